package pool

import (
	"maps"
	"slices"

	"github.com/dplaneos/dplane/spec"
)

// declaredProperties are those of the pool with its compatibility, which is a property too.
func declaredProperties(want *spec.Pool) map[string]spec.Property {
	all := maps.Clone(want.Properties)
	if want.Compatibility != "" {
		if all == nil {
			all = map[string]spec.Property{}
		}
		all["compatibility"] = spec.Property{Value: want.Compatibility, Text: want.Compatibility, Pos: want.Pos}
	}
	return all
}

// defaultCachefile is what zpool prints as "-".
const defaultCachefile = "/etc/zfs/zpool.cache"

// same compares in ZFS's canonical form. What is not set prints as "-".
func same(name, declared, observed string) bool {
	if observed == "-" {
		return declared == "" || declared == "-" || name == "cachefile" && declared == defaultCachefile
	}
	return spec.SameValue(name, declared, observed, spec.PoolProps)
}

// riskOf is the risk of changing a pool's property: they are live, and one command takes them back; what may
// be noticed at once is disruptive.
func riskOf(name string) spec.Risk {
	switch name {
	case "delegation", "multihost": // rights go; a pool without a host id is refused
		return spec.Disruptive
	}
	return spec.Safe
}

// notes say what people expect otherwise.
var notes = map[string]string{
	"ashift":        "holds for vdevs that are added later: those that are there keep theirs",
	"compatibility": "bounds which features may be enabled later: those that are enabled stay",
	"autotrim":      "trims what is freed from now on: what was freed before waits for a scheduled trim",
	"autoexpand":    "holds for devices that grow from now on: `zpool online -e` takes what grew before",
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
