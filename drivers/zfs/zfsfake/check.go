package zfsfake

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/spec"
)

// creatable are properties that can be given to a new dataset and not changed after.
var creatable = []string{"volblocksize", "encryption", "keyformat"}

// check validates one assignment as libzfs does before it asks the kernel (zfs_valid_proplist), and gives the
// canonical value. create is true for a dataset that is yet to be made.
func (m *Model) check(a assignment, on spec.DatasetType, create bool) (string, *refusal) {
	if strings.Contains(a.name, ":") && !spec.IsUserQuota(a.name) {
		return checkUser(a)
	}
	if spec.IsUserQuota(a.name) {
		return m.checkQuota(a, on)
	}
	n, known := findNative(a.name)
	info, inSpec := spec.LookupProperty(a.name, spec.Filesystems|spec.Volumes)
	switch {
	case !known || !inSpec:
		return "", refuse(255, "invalid property '%s'", a.name)
	case n.on&on == 0:
		return "", refuse(255, "'%s' does not apply to datasets of this type", a.name)
	case info.Change == spec.Never,
		!create && (info.Change == spec.AtCreation || slices.Contains(creatable, a.name)):
		return "", refuse(255, "'%s' is readonly", a.name)
	case a.name == "refreservation" && a.value == "auto" && on == spec.Filesystems:
		return "", refuse(255, "'refreservation=auto' only allowed on volumes")
	}
	return canonical(info, a)
}

// canonical is stricter than the configuration files: true and false are words of YAML only.
func canonical(info spec.PropertyInfo, a assignment) (string, *refusal) {
	if a.value == "true" || a.value == "false" {
		return "", badValue(info)
	}
	if a.value == "0" && strings.HasSuffix(a.name, "quota") {
		return "", refuse(255, "use 'none' to disable quota/refquota")
	}
	switch a.name {
	case "mountpoint":
		if strings.HasPrefix(a.value, "/") {
			return a.value, nil // as it was written
		}
	case "dnodesize":
		if !slices.Contains(info.Values, a.value) {
			return "", badValue(info)
		}
	case "xattr":
		if a.value == "sa" {
			return "on", nil // one value, printed by its first name
		}
	case "special_small_blocks":
		if n, err := spec.ParseSize(a.value); err == nil && n&(n-1) != 0 {
			return "", refuse(255, "invalid 'special_small_blocks=%d' property: must be zero or a power of 2 from 512B to 16M", n)
		}
	case "encryption":
		if a.value == "on" {
			return "aes-256-gcm", nil
		}
	case "volsize":
		if n, err := spec.ParseSize(a.value); err == nil && n == 0 {
			return "", refuse(255, "'volsize' cannot be zero")
		}
	}
	c, err := info.Canonical(a.value)
	if err != nil {
		return "", badValue(info)
	}
	return c, nil
}

func badValue(info spec.PropertyInfo) *refusal {
	switch info.Shape {
	case spec.OnOff:
		return refuse(255, "'%s' must be one of 'on | off'", info.Name)
	case spec.Word:
		return refuse(255, "'%s' must be one of '%s'", info.Name, strings.Join(info.Values, " | "))
	case spec.Path:
		return refuse(255, "'%s' must be an absolute path, 'none', or 'legacy'", info.Name)
	}
	if info.Power2 {
		return refuse(255, "'%s' must be power of 2 from 512B to 16M", info.Name)
	}
	return refuse(255, "'%s' must be a number", info.Name)
}

var userName = regexp.MustCompile(`^[a-z0-9:.+_-]+$`)

func checkUser(a assignment) (string, *refusal) {
	switch {
	case !userName.MatchString(a.name) || a.name[0] == '-':
		return "", refuse(255, "invalid property '%s'", a.name)
	case len(a.name) > 255:
		return "", refuse(255, "property name '%s' is too long", a.name)
	case len(a.value) > 8191:
		return "", refuse(255, "property value too long")
	}
	return a.value, nil
}

func (m *Model) checkQuota(a assignment, on spec.DatasetType) (string, *refusal) {
	_, who, _ := strings.Cut(a.name, "@")
	if on == spec.Volumes {
		return "", refuse(255, "invalid property value")
	}
	if !m.knows(who) {
		return "", refuse(255, "'%s' has an invalid user/group name", a.name)
	}
	if a.value == "none" {
		return "0", nil
	}
	n, err := spec.ParseSize(a.value)
	if err != nil {
		return "", refuse(255, "bad numeric value '%s'", a.value)
	}
	return strconv.FormatUint(uint64(n), 10), nil
}

// checkAll validates all before any is set.
func (m *Model) checkAll(all []assignment, on spec.DatasetType, create bool) *refusal {
	for i, a := range all {
		c, r := m.check(a, on, create)
		if r != nil {
			return r
		}
		all[i].value = c
	}
	return nil
}

// checkName is zfs_validate_name for a file system or volume.
func checkName(name string) *refusal {
	bad := func(format string, args ...any) *refusal { return refuse(1, format, args...) }
	switch {
	case strings.HasPrefix(name, "/"):
		return bad("leading slash in name")
	case strings.HasSuffix(name, "/"):
		return bad("trailing slash in name")
	case strings.Contains(name, "//"):
		return bad("empty component or misplaced '@' or '#' delimiter in name")
	case strings.Contains(name, "@"):
		return bad("snapshot delimiter '@' is not expected here")
	case len(name) > 255:
		return bad("name is too long")
	}
	for _, c := range strings.Split(name, "/") {
		if c == "." || c == ".." {
			return bad("%s", map[string]string{".": "self reference, '.' is found in name", "..": "parent reference, '..' is found in name"}[c])
		}
		if i := strings.IndexFunc(c, badRune); i >= 0 {
			return bad("invalid character '%c' in name", c[i])
		}
	}
	return nil
}

func badRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.:- ", r)
}

// wrap puts "cannot create 'tank/a': " before a refusal, with the exit status of that command.
func (r *refusal) wrap(code int, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...) + ": " + r.text}
}
