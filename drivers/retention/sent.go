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
		bases, known := common(have.Replications[key], guid)
		for _, base := range bases {
			need[base] = fmt.Sprintf("it is the newest that the target of the replication %s has", key)
		}
		if !known {
			unknown = fmt.Sprintf("what the replication %s (%s) sends is not pruned: what its target still needs is not known", key, r.Pos.At())
		}
	}
	return need, unknown
}

// common are the snapshots of a source that its target needs, by guid. known tells whether that is sure.
func common(seen *state.Replication, source string) (guids []string, known bool) {
	if seen == nil {
		return nil, false
	}
	var remembered []string
	if seen.Remembered != nil {
		if c := seen.Remembered.Common[source]; c.GUID != "" {
			remembered = []string{c.GUID}
		}
	}
	if seen.Unseen != "" || seen.Running { // while it runs what it sends is held, but not what it begins with
		return remembered, remembered != nil
	}
	for _, p := range seen.Pairs {
		switch {
		case p.Source.GUID != source || p.Common == "":
		case p.Believed: // the bookmark that stands for it may be gone since: then it is this one, or the newest that both have as snapshots
			return append([]string{p.Common}, newest(p)...), true
		case p.Marked:
			return nil, true
		default:
			return []string{p.Common}, true
		}
	}
	return remembered, true // it is not yet sent, or the target that had it is gone
}

// newest is the newest snapshot that both ends have as one.
func newest(p state.Pair) []string {
	for _, s := range slices.Backward(p.Source.Snapshots) {
		if p.Target != nil && slices.ContainsFunc(p.Target.Snapshots, func(t state.Point) bool { return t.GUID == s.GUID }) {
			return []string{s.GUID}
		}
	}
	return nil
}
