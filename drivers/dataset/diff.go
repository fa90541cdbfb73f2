package dataset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Diff gives what must be done to the declared datasets and what can't be, in the order of their names.
func (d *Driver) Diff(in drivers.Input) drivers.Result {
	if in.Have.ZFS.Error != "" {
		return drivers.Result{}
	}
	v, moves := newView(in).moves()
	present := v.present(moves)
	v.keepVisible(present)
	v.pin(present)
	actions, keys := map[spec.DatasetName][]drivers.Action{}, map[spec.DatasetName][]drivers.Action{}
	for _, name := range present { // what is locked now is not when the rest comes
		keys[name] = v.keys(name)
	}
	for _, name := range in.Want.DatasetNames() {
		switch want, have := in.Want.Datasets[name], v.have(name); {
		case !v.reachable(name) || stuck(moves, name) || in.Want.Datasets[name].Absent && in.Restore[string(name)]:
		case have == nil:
			actions[name] = v.missing(want)
		case want.Absent:
			actions[name] = v.absent(want, have)
		case v.conflict(want, have) != nil:
			actions[name] = v.conflict(want, have)
		}
	}
	// The last names first: what a parent's change would alter below it is pinned there before.
	for _, name := range slices.Backward(present) {
		actions[name] = append(keys[name], v.actionsFor(in.Want.Datasets[name], v.have(name))...)
	}
	for _, name := range present { // parents first
		actions[name] = append(actions[name], v.mounting(name)...)
	}
	v.afterMoves(actions)
	v.createAfterMounts(actions)
	v.allowAll(actions, present)
	follow(moves, in.Want, actions)
	for _, m := range moves {
		name := spec.DatasetName(m.to)
		actions[name] = append([]drivers.Action{m.action}, actions[name]...)
	}
	var all []drivers.Action
	for _, name := range sortedKeys(v.made) {
		all = append(all, v.made[name])
	}
	names := in.Want.DatasetNames()
	// What goes, goes first: a change above it would alter what it inherits, or unmount it.
	slices.SortStableFunc(names, func(a, b spec.DatasetName) int {
		return -cmp.Compare(rankOf(in.Want.Datasets[a]), rankOf(in.Want.Datasets[b]))
	})
	for _, name := range names {
		all = append(all, actions[name]...)
		delete(actions, name)
	}
	for _, name := range slices.Sorted(maps.Keys(actions)) { // wanted back, and not in the files
		all = append(all, actions[name]...)
	}
	v.untangle(all)
	rest, notices := v.trashed()
	all = append(all, rest...)
	for i, a := range all {
		if name := spec.DatasetName(a.Object.Name); v.readOnly(name) {
			notOnReadOnly(name.Pool(), all[i:i+1])
		}
	}
	return drivers.Result{Actions: all, Notices: append(v.notices, notices...)}
}

func rankOf(d *spec.Dataset) int {
	if d.Absent {
		return 1
	}
	return 0
}

// readOnly tells whether the dataset's pool is imported read-only.
func (v *view) readOnly(name spec.DatasetName) bool {
	p := v.Have.Pools[string(name.Pool())]
	return p != nil && p.Properties["readonly"].Value == "on"
}

// notOnReadOnly turns what would be done into what can't be done: zfs refuses every change of such a pool. To load a key
// and to mount or unmount is none, and saves what is on it (2.3.9).
func notOnReadOnly(pool spec.PoolName, actions []drivers.Action) {
	for i, a := range actions {
		if a.Verb == drivers.Blocked || !slices.ContainsFunc(a.Steps, zfs.Changes) {
			continue
		}
		actions[i] = drivers.Action{
			Object: a.Object, GUID: a.GUID, Verb: drivers.Blocked, Risk: spec.Safe, Reason: a.Reason, Fields: a.Fields,
			Undo:  "nothing is done",
			Notes: []string{"the pool " + string(pool) + " is imported read-only: export it, and import it without readonly=on"},
		}
	}
}

// reachable tells whether anything may be planned for a dataset: it is not received only, and its pool is
// seen, is the known one, or is about to be made.
func (v *view) reachable(name spec.DatasetName) bool {
	pool := string(name.Pool())
	if v.Want.ReceivedOnly(name, v.Have.Role) != "" || v.Have.UnseenPool(pool) != "" {
		return false
	}
	p := v.Have.Pools[pool]
	if p == nil {
		return v.poolMayCome(name.Pool())
	}
	return !v.foreign(spec.KindPool, pool, p.GUID)
}

// conflict is the one blocked action of a dataset that is there and can't become what is declared, or nil.
func (v *view) conflict(want *spec.Dataset, have *state.Dataset) []drivers.Action {
	blocked := func(code, observed string, notes ...string) []drivers.Action {
		a := block(want, have.GUID, code, want.Pos.At(), observed, notes...)
		return []drivers.Action{a}
	}
	name := string(want.Name)
	switch {
	case v.foreign(spec.KindDataset, name, have.GUID):
		known := v.recorded[ref(want.Name)]
		return blocked(drivers.Conflict, fmt.Sprintf("%s has the guid %s; the one known by that name had %s", name, have.GUID, known.GUID),
			"another dataset took a known name: it is left as it is; if it is the right one: dplane adopt "+name)
	case want.Type() != ofType(have):
		return blocked(drivers.Conflict, fmt.Sprintf("%s is a %s, declared is a %s", name, have.Type, want.Type()),
			"a dataset can't change its type: declare it as it is, or copy its data to a new one")
	}
	return nil
}

// block is an action that says what can't be done and what the operator can do.
func block(want *spec.Dataset, guid, code, at, observed string, notes ...string) drivers.Action {
	a := drivers.Action{
		Object: ref(want.Name), GUID: guid, Verb: drivers.Blocked, Risk: spec.Safe,
		Reason: drivers.Reason{Code: code, At: at, Observed: observed},
		Undo:   "nothing is done", Notes: notes,
	}
	return a
}

func ref(name spec.DatasetName) spec.Ref {
	return spec.Ref{Kind: spec.KindDataset, Name: string(name)}
}
