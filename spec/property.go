package spec

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// DatasetType is a set of what a property applies to.
type DatasetType uint8

const (
	Filesystems DatasetType = 1 << iota
	Volumes
	PoolProps

	datasets = Filesystems | Volumes
)

func (t DatasetType) String() string {
	switch t {
	case Filesystems:
		return "filesystem"
	case Volumes:
		return "volume"
	case PoolProps:
		return "pool"
	}
	return "dataset"
}

// Change says when a property's value can be chosen.
type Change uint8

const (
	Anytime    Change = iota
	AtCreation        // at creation only
	Never             // ZFS reports it
	OwnKey            // declared by a key of its own, or by a command of its own
)

// Shape is how a property's values are written.
type Shape uint8

const (
	Word   Shape = iota // one of Values
	OnOff               // on or off, and true or false in YAML
	Bytes               // a size; "none" is 0
	Count               // a number; "none" is no limit
	Number              // a plain number within Min and Max
	Path                // an absolute path, or one of Values
	Text                // anything; where there is a Max, so many printable ASCII characters
)

// PropertyInfo is what is known of one native property (zfsprops(7), zpoolprops(7)).
type PropertyInfo struct {
	Name     string
	On       DatasetType
	Shape    Shape
	Change   Change
	Local    bool              // not inherited by children
	Values   []string          // canonical words
	Alias    map[string]string // other spellings -> canonical word
	Min, Max uint64            // of Bytes, Number and Text; Max 0: no bound
	Power2   bool              // Bytes: 0 or a power of two
	Instead  string            // what to use where it can't be declared under properties
	Example  string
}

// userQuotaPrefixes are the properties that carry a user, group or project after the @.
var userQuotaPrefixes = []string{
	"userquota@", "groupquota@", "projectquota@", "userobjquota@", "groupobjquota@", "projectobjquota@",
}

// IsUserProperty tells whether the name is a user property's: it has a colon and no @ before it.
func IsUserProperty(name string) bool {
	colon := strings.IndexByte(name, ':')
	return colon >= 0 && !isUserQuota(name)
}

func isUserQuota(name string) bool {
	for _, p := range userQuotaPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// IsUserQuota tells whether the name is userquota@anna or one of its kin, which ZFS lists only when asked by name.
func IsUserQuota(name string) bool { return isUserQuota(name) }

// LookupProperty finds a native property by name among those of the given type (or types). User
// quotas are found by their prefix; user properties (com.example:owner) are not native and not found.
func LookupProperty(name string, on DatasetType) (PropertyInfo, bool) {
	table := datasetProperties
	if on == PoolProps {
		table = poolProperties
	}
	if p, ok := table[name]; ok && p.On&on != 0 {
		return p, true
	}
	if on&Filesystems != 0 && isUserQuota(name) && validOwner(name) {
		if strings.Contains(name, "obj") {
			return PropertyInfo{Name: name, On: Filesystems, Shape: Count, Alias: noObjects, Local: true, Example: "1000"}, true
		}
		return PropertyInfo{Name: name, On: Filesystems, Shape: Bytes, Local: true, Example: "50G"}, true
	}
	return PropertyInfo{}, false
}

// validOwner takes what userquota@ and its kin can name: a project by its number, anybody else by a name that `zfs get`
// reads as one word of its list.
func validOwner(name string) bool {
	kind, who, _ := strings.Cut(name, "@")
	if strings.HasPrefix(kind, "project") {
		_, err := strconv.ParseUint(who, 10, 32)
		return err == nil
	}
	bad := func(r rune) bool { return unprintable(r) || r == ',' || r == '=' }
	return who != "" && !strings.ContainsFunc(who, bad)
}

// PropertyNames are the native properties of a type that a file can declare under `properties`, sorted.
func PropertyNames(on DatasetType) []string {
	table := datasetProperties
	if on == PoolProps {
		table = poolProperties
	}
	var names []string
	for n, p := range table {
		if p.On&on != 0 && (p.Change == Anytime || p.Change == AtCreation) {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	return names
}

// Inheritable tells whether children take the value over: user properties are, user quotas are not.
func Inheritable(name string) bool {
	if IsUserProperty(name) {
		return true
	}
	p, ok := LookupProperty(name, datasets)
	return ok && !p.Local
}

// CheckProperty validates a declared property and gives its canonical value, as `zfs get -p` prints
// it. The error says what is wrong with the name or the value and what would be right; hint is a
// short example or the right place, for the message's "expected".
func CheckProperty(name, text string, on DatasetType) (canonical, expected string, err error) {
	if IsUserProperty(name) && !isFeature(name) {
		return text, "a name with a colon, of lower-case letters, digits and : . - _, and at most 8191 bytes of text", checkUserProperty(name, text)
	}
	info, ok := LookupProperty(name, on)
	switch {
	case !ok && isUserQuota(name) && on&Filesystems != 0:
		return "", "a user or group after the @, or a project's number", fmt.Errorf("%s names nobody", quote(name))
	case !ok && isFeature(name):
		return "", "compatibility beside properties, which chooses features", fmt.Errorf("%s is a feature: dplane does not set features one by one", name)
	case !ok:
		return "", "a native property of that type, or a user property with a colon in its name", unknownProperty(name, on)
	}
	switch info.Change {
	case Never:
		return "", "a property that can be set", fmt.Errorf("%s is read-only: ZFS reports it, nobody sets it", name)
	case OwnKey:
		return "", info.Instead, fmt.Errorf("%s is not set under properties", name)
	}
	if name == "refreservation" && text == "auto" && on == Filesystems {
		return "", "a size such as 100G, or none", fmt.Errorf("refreservation=auto is only for volumes")
	}
	c, err := info.Canonical(text)
	return c, info.Expected(), err
}

// isFeature tells a pool's feature@name, whose name may hold a colon.
func isFeature(name string) bool { return strings.HasPrefix(name, "feature@") }

// shortNames are columns of `zfs list` and `zpool list` that the commands take for the property, as zfs_prop.c and
// zpool_prop.c have them: written out, a property has one name.
var shortNames = map[string]string{
	"compress": "compression", "recsize": "recordsize", "reserv": "reservation", "refreserv": "refreservation",
	"rdonly": "readonly", "listsnaps": "listsnapshots", "expand": "autoexpand", "replace": "autoreplace",
}

// knownElsewhere tells a name that another kind of object has.
func knownElsewhere(name string) bool {
	_, ok := LookupProperty(name, datasets)
	_, pool := LookupProperty(name, PoolProps)
	return ok || pool
}

func unknownProperty(name string, on DatasetType) error {
	for _, other := range []DatasetType{Filesystems, Volumes, PoolProps} {
		if p, ok := LookupProperty(name, other); ok && other != on {
			return fmt.Errorf("%s is a property of a %s, not of a %s", p.Name, p.On, on)
		}
	}
	return fmt.Errorf("no %s property is called %s", on, quote(name))
}

// checkUserProperty follows zfs_prop_user and zfsprops(7), "User Properties".
func checkUserProperty(name, text string) error {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(":.-_", r) {
			return fmt.Errorf("user property name %q: the character %q is not allowed (lower-case letters, digits and : . - _ are)", name, r)
		}
	}
	switch {
	case strings.HasPrefix(name, "dplane:"):
		return fmt.Errorf("user property %q: names that begin with dplane: are dplane's own", name)
	case strings.HasPrefix(name, "-"):
		return fmt.Errorf("user property name %q begins with -", name)
	case len(name) > maxName:
		return fmt.Errorf("user property name of %d bytes: at most %d are allowed", len(name), maxName)
	case len(text) > 8191:
		return fmt.Errorf("value of user property %s has %d bytes: at most 8191 are allowed", name, len(text))
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("value of user property %s holds a NUL", name)
	}
	return nil
}

// SameValue compares a declared canonical value with what ZFS reports, both in any spelling.
func SameValue(name, declared, observed string, on DatasetType) bool {
	if declared == observed {
		return true
	}
	info, ok := LookupProperty(name, on)
	if !ok {
		return false
	}
	d, err1 := info.Canonical(declared)
	o, err2 := info.Canonical(observed)
	if err1 != nil || err2 != nil {
		return false
	}
	return d == o || name == "xattr" && sameXattr(d, o)
}

// sameXattr: on and dir are one value up to 2.2, on and sa from 2.3 on, and either reads back as on.
// On 2.1 and 2.2 a local xattr=on is so taken for a declared sa; one that is default is set all the same.
func sameXattr(declared, observed string) bool {
	return declared == "on" && (observed == "sa" || observed == "dir") || (declared == "dir" || declared == "sa") && observed == "on"
}
