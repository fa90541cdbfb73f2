package zfs

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// featurePrefix begins the names of the pool properties that tell of features.
const featurePrefix = "feature@"

// CompatibilityFolders hold the files of feature sets; one in the first hides that in the second (zpool-features(7)).
var CompatibilityFolders = []string{"/etc/zfs/compatibility.d", "/usr/share/zfs/compatibility.d"}

// ReadFeatureSet prints the file of a set, up to the size that zpool takes.
func ReadFeatureSet(folder, set string) host.Command {
	return host.Read("head", "-c", "16384", path.Join(folder, set))
}

// ParseFeatureSet gives the features that a file names: words with spaces, commas or ends of lines between, and # for
// comments.
func ParseFeatureSet(out []byte) []string {
	var all []string
	for line := range bytes.Lines(out) {
		text, _, _ := strings.Cut(string(line), "#")
		all = append(all, strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Disabled are the features that this release has and the pool does not use, sorted.
func Disabled(props map[string]state.Property) []string {
	var all []string
	for name, p := range props {
		if feature, ok := strings.CutPrefix(name, featurePrefix); ok && p.Value == "disabled" {
			all = append(all, feature)
		}
	}
	slices.Sort(all)
	return all
}

// FeatureProperty is the pool property of a feature.
func FeatureProperty(name string) string { return featurePrefix + name }

// EnableFeature enables one feature, with those that it depends on.
func EnableFeature(pool, name string) host.Command {
	return SetPool(pool, featurePrefix+name, "enabled")
}
