package retention

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Needed are the snapshots of a dataset here that targets of replications need, by guid, with what is said of them: the
// newest that both ends have, unless the source has a bookmark of it. unknown says why that can't be told, and then nothing
// is pruned: neither is the target to be seen, nor is anything remembered of it (PRODUCT.md section 4, promise 10).
func Needed(want *spec.Spec, have *state.Observed, name, guid string) (need map[string]string, unknown string) {
	need = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(want.Replications)) {
		r := want.Replications[key]
		if !r.Sends(spec.DatasetName(name)) {
			continue
		}
		base, known := common(have.Replications[key], guid)
		if base != "" {
			need[base] = fmt.Sprintf("it is the newest that the target of the replication %s has", key)
		}
		if !known {
			unknown = fmt.Sprintf("what the replication %s (%s) sends is not pruned: what its target still needs is not known", key, r.Pos.At())
		}
	}
	return need, unknown
}

// common is the snapshot of a source that its target needs, by guid; "": none. known tells whether that is sure.
func common(seen *state.Replication, source string) (guid string, known bool) {
	if seen == nil {
		return "", false
	}
	remembered := ""
	if seen.Remembered != nil {
		remembered = seen.Remembered.Common[source].GUID
	}
	if seen.Unseen != "" || seen.Running { // while it runs what it sends is held, but not what it begins with
		return remembered, remembered != ""
	}
	for _, p := range seen.Pairs {
		switch {
		case p.Source.GUID != source:
		case p.Marked:
			return "", true
		case p.Common != "":
			return p.Common, true
		}
	}
	return remembered, true // it is not yet sent, or the target that had it is gone
}
