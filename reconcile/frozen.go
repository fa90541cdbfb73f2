package reconcile

import (
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
)

// OfGroup tells whether an action touches what the HA group has.
func OfGroup(want *spec.Spec, a *drivers.Action) bool {
	if want == nil || want.HA == nil {
		return false
	}
	if a.Object.Kind == spec.KindReplication {
		name, _, _ := strings.Cut(a.Object.Name, ":")
		r := want.Replications[name]
		return r == nil || r.Source.Remote == "" && slices.ContainsFunc(want.HA.Datasets, r.Source.Dataset.Under)
	}
	for _, c := range a.Steps {
		for _, word := range c.Words() {
			name, _, _ := strings.Cut(word, "@")
			name, _, _ = strings.Cut(name, "#")
			if slices.ContainsFunc(want.HA.Datasets, spec.DatasetName(name).Under) {
				return true
			}
		}
	}
	return false
}

// freeze blocks what takes something away from the group, or sends it on, while two nodes may have written it: what a
// schedule no longer keeps may be the last that both have. Snapshots are taken, and what else harms nothing is done.
func freeze(in drivers.Input, actions []drivers.Action) []drivers.Action {
	if in.Want.HA == nil || in.Have.Frozen == "" {
		return actions
	}
	var out []drivers.Action
	blocked := map[spec.Ref]bool{} // one for each object, which keeps its id
	for _, a := range actions {
		if a.Verb != drivers.Blocked && a.Takes() && OfGroup(in.Want, &a) {
			if blocked[a.Object] {
				continue
			}
			blocked[a.Object] = true
			a = standstill(&a, in.Have.Frozen)
		}
		out = append(out, a)
	}
	return out
}

func standstill(a *drivers.Action, why string) drivers.Action {
	return drivers.Action{
		Object: a.Object, GUID: a.GUID, Verb: drivers.Blocked, Scheduled: a.Scheduled,
		Reason: drivers.Reason{Code: drivers.Conflict, At: a.Reason.At, Observed: a.Reason.Observed + "; replication and pruning in the HA group stand still: " + why},
		Notes:  []string{"dplane ha status tells how the nodes stand; once one was chosen, on the other: dplane ha rejoin"},
	}
}
