package zfs

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// CreateFilesystem makes a file system with these properties, set in the same transaction group.
func CreateFilesystem(name string, props map[string]string) host.Command {
	argv := append([]string{"zfs", "create"}, options("-o", props)...)
	return host.Write(append(argv, name)...)
}

// CreateVolume makes a volume of size bytes. A sparse one reserves nothing; one that is not gets a
// refreservation from zfs unless props names one. volblocksize, where it matters, is among props.
func CreateVolume(name string, size uint64, sparse bool, props map[string]string) host.Command {
	argv := []string{"zfs", "create"}
	if sparse {
		argv = append(argv, "-s")
	}
	argv = append(argv, "-V", strconv.FormatUint(size, 10))
	argv = append(argv, options("-o", props)...)
	return host.Write(append(argv, name)...)
}

// Set sets all of props in one command. It is not all or nothing: conformance_test.go shows what is set when
// one of several is refused.
func Set(name string, props map[string]string) host.Command {
	argv := append([]string{"zfs", "set"}, assignments(props)...)
	c := host.Write(append(argv, name)...)
	if _, ok := props["volthreading"]; ok { // asked of the device, which comes a moment after a new volume (2.3.9)
		c.NotYet = "dataset does not exist"
	}
	return c
}

// Inherit gives one property back to the parent, or to its default. With received, the value that came with a
// stream returns where there is one; it is also the only form that zfs accepts for quota, reservation and
// the like, which cannot be inherited. zfs takes one property per call: a second word would be a dataset.
func Inherit(name, prop string, received bool) host.Command {
	if received {
		return host.Write("zfs", "inherit", "-S", prop, name)
	}
	return host.Write("zfs", "inherit", prop, name)
}

// CreatePool makes a pool. vdev are the words of its topology as zpool-create(8) wants them ("mirror", device,
// device, "log", ...); fsProps go to the root dataset. There is no -f: what zpool refuses stays refused.
func CreatePool(name string, poolProps, fsProps map[string]string, vdev []string) host.Command {
	argv := append([]string{"zpool", "create"}, options("-o", poolProps)...)
	argv = append(argv, options("-O", fsProps)...)
	argv = append(argv, name)
	return host.Write(append(argv, vdev...)...)
}

// SetPool sets one property of a pool; zpool takes one per call.
func SetPool(name, prop, value string) host.Command {
	return host.Write("zpool", "set", assign(prop, value), name)
}

// PoolValue is what zpool set takes for what zpool get prints: the empty word for a "-" that nobody set.
func PoolValue(p state.Property) string {
	if p.Value == "-" && !p.Local() {
		return ""
	}
	return p.Value
}

// options repeats flag before each assignment, in sorted order.
func options(flag string, props map[string]string) []string {
	var words []string
	for _, a := range assignments(props) {
		words = append(words, flag, a)
	}
	return words
}

// assignments are "name=value" words in the order of their names, so that equal plans print equal commands.
func assignments(props map[string]string) []string {
	words := make([]string, 0, len(props))
	for _, name := range slices.Sorted(maps.Keys(props)) {
		words = append(words, assign(name, props[name]))
	}
	return words
}

// assign is one "name=value" word. A quota of 0, as `get -p` prints "no quota", is refused by `set`: "use 'none'
// to disable quota/refquota" (2.3.9); a reservation of 0 is not.
func assign(name, value string) string {
	kind, _, _ := strings.Cut(name, "@")
	if value == "0" && strings.HasSuffix(kind, "quota") && !spec.IsUserProperty(name) {
		value = "none"
	}
	return name + "=" + value
}
