package dataset

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// due tells whether an entry of the trash has been there for its grace.
func (v *view) due(e entry) bool {
	return !e.At.IsZero() && !v.Now.Before(e.At.Add(grace(v.Want)))
}

// observeExpired lists the snapshots of what act two would destroy, in one process per pool.
func (d *Driver) observeExpired(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	v := newView(drivers.Input{Want: want, Have: obs, Now: obs.At})
	places := map[string][]string{} // by pool
	for _, e := range v.trash() {
		if want := v.Want.Datasets[e.Trashed.Name]; want != nil && want.Absent && v.due(e) {
			pool := string(spec.DatasetName(e.place()).Pool())
			places[pool] = append(places[pool], e.place())
		}
	}
	for _, pool := range sortedKeys(places) {
		if err := d.addSnapshots(ctx, obs, pool, zfs.ListSnapshotsBelow(places[pool]...)...); err != nil {
			return err
		}
	}
	return nil
}

// trashed is what becomes of the trash: act one ends what was interrupted, act two destroys what is due, and the
// rest is told.
func (v *view) trashed() (actions []drivers.Action, notices []string) {
	for _, e := range v.trash() {
		want := v.Want.Datasets[e.Trashed.Name]
		switch absent := want != nil && want.Absent; {
		case absent && v.due(e):
			actions = append(actions, v.destroy(e, want))
			continue
		case absent:
			actions = append(actions, v.finish(e, want)...)
			notices = append(notices, v.waiting(e))
		default: // nothing but that is a wish to destroy it
			notices = append(notices, v.waiting(e)+"; no file declares it absent any more, so that it stays")
		}
	}
	slices.Reverse(actions)
	return actions, notices
}

// waiting tells of what is in the trash and not due: that is no change.
func (v *view) waiting(e entry) string {
	if e.At.IsZero() {
		return fmt.Sprintf("%s is in the trash, as %s, and its mark %s is no time: it stays until a person decides: dplane restore %[1]s", e.Trashed.Name, e.place(), state.TrashTime)
	}
	return fmt.Sprintf("%s is in the trash since %s, and uses %s; from %s on a person may allow its destruction; dplane restore %[1]s brings it back",
		e.Trashed.Name, timeText(e.At), about(e.Used), timeText(e.At.Add(grace(v.Want))))
}

// finish is the last step of an act one that was interrupted before it. What somebody put there since is not dplane's.
func (v *view) finish(e entry, want *spec.Dataset) []drivers.Action {
	ours := slices.DeleteFunc(v.treeOf(e), func(d *state.Dataset) bool { return !wasThere(d) })
	steps := readOnlySteps(ours, "", "")
	if len(steps) == 0 {
		return nil
	}
	return []drivers.Action{{
		Object: ref(e.Trashed.Name), GUID: e.GUID, Verb: drivers.Update, Risk: spec.Disruptive,
		Reason: drivers.Reason{Code: drivers.Drift, At: want.Pos.At(), Observed: fmt.Sprintf("%s is in the trash, as %s, and not read-only", e.Trashed.Name, e.place())},
		Fields: []drivers.Field{{Name: "readonly", From: "off", To: "on"}},
		Undo:   "dplane restore " + host.Read(string(e.Trashed.Name)).String(),
		Steps:  steps,
		Guard:  []host.Expect{zfs.ExpectProps(e.place(), map[string]state.Property{"guid": {Value: e.GUID, Source: "-"}})},
	}}
}

// wasThere tells whether a dataset went through act one, which leaves its mark on each.
func wasThere(d *state.Dataset) bool {
	_, kept := d.Kept(state.TrashReadonly)
	return kept
}

// treeOf are the datasets of an entry, itself first.
func (v *view) treeOf(e entry) []*state.Dataset {
	list := []*state.Dataset{e.Dataset}
	for _, n := range v.below(e.place()) {
		list = append(list, v.Have.Datasets[n])
	}
	return list
}

// destroy is act two: the snapshots by name, then the dataset, children first.
func (v *view) destroy(e entry, want *spec.Dataset) drivers.Action {
	x := &expiry{view: v, entry: e, list: v.treeOf(e), snaps: map[string][]state.Snapshot{}}
	for _, s := range v.Have.Snapshots {
		if under(s.Dataset, e.place()) {
			x.snaps[s.Dataset] = append(x.snaps[s.Dataset], s)
			x.all = append(x.all, s)
		}
	}
	observed := fmt.Sprintf("%s is in the trash, as %s, since %s", e.Trashed.Name, e.place(), timeText(e.At))
	order, notes := x.order()
	notes = append(x.obstacles(), notes...)
	if len(notes) > 0 {
		return block(want, e.GUID, drivers.Expired, want.Pos.At(), observed, notes...)
	}
	a := drivers.Action{
		Object: ref(e.Trashed.Name), GUID: e.GUID, Verb: drivers.Destroy, Risk: spec.Destructive,
		Reason: drivers.Reason{Code: drivers.Expired, At: want.Pos.At(), Observed: observed},
		Fields: []drivers.Field{{Name: "trash", From: e.place(), To: "destroyed"}},
		Undo:   "nothing: until it is carried out, dplane restore " + host.Read(string(e.Trashed.Name)).String() + " brings the dataset back",
		Notes:  x.notes(),
		Guard:  []host.Expect{zfs.ExpectValues(x.list, []string{"guid"}), zfs.ExpectSnapshots(e.place(), x.all)},
		Ends:   x.ends(),
	}
	for _, n := range order {
		var names []string
		for _, s := range x.snaps[n] {
			names = append(names, s.Name)
			a.Destroy = append(a.Destroy, s.GUID)
		}
		a.Steps = append(a.Steps, zfs.DestroySnapshots(n, names)...)
		a.Steps = append(a.Steps, zfs.Destroy(n))
		if n != e.place() {
			a.Fields = append(a.Fields, drivers.Field{Name: strings.TrimPrefix(n, e.place()+"/"), From: v.Have.Datasets[n].GUID, To: "destroyed"})
		}
	}
	return a
}

// expiry is one act two.
type expiry struct {
	*view
	entry entry
	list  []*state.Dataset
	snaps map[string][]state.Snapshot
	all   []state.Snapshot // in the order in which zfs lists them
}

// obstacles are holds, clones elsewhere, what is mounted, and what was not there at act one.
func (x *expiry) obstacles() (notes []string) {
	for _, d := range x.list {
		switch {
		case !wasThere(d):
			notes = append(notes, fmt.Sprintf("%s was not there when it went into the trash: move it away (zfs rename)", d.Name))
		case d.Mounted:
			notes = append(notes, fmt.Sprintf("%s is mounted at %s: unmount it", d.Name, d.Properties["mountpoint"].Value))
		case d.ResumeToken != "":
			notes = append(notes, fmt.Sprintf("%s is the receiver of a stream that was interrupted: zfs receive -A %[1]s", d.Name))
		}
	}
	for _, s := range x.all {
		if s.Holds > 0 {
			notes = append(notes, fmt.Sprintf("%s has %d holds: zfs holds %[1]s names them, and zfs release ends one", s.FullName(), s.Holds))
		}
		for _, c := range s.Clones {
			if !under(c, x.entry.place()) {
				notes = append(notes, fmt.Sprintf("%s is a clone of %s: zfs promote %[1]s, by hand, makes it stand alone; or destroy it", c, s.FullName()))
			}
		}
	}
	return notes
}

// order puts what has to go first before the rest: children before their parent, clones before their origin.
func (x *expiry) order() (names, notes []string) {
	placed := map[string]int{} // 1 while it is looked at, 2 once it has its place
	var visit func(n string)
	visit = func(n string) {
		if placed[n] != 0 {
			if placed[n] == 1 {
				notes = append(notes, fmt.Sprintf("%s is a clone of what is below it, so neither can go first: zfs promote, by hand, turns that round", n))
			}
			return
		}
		placed[n] = 1
		for _, d := range x.list {
			if spec.DatasetName(d.Name).Parent() == spec.DatasetName(n) {
				visit(d.Name)
			}
		}
		for _, s := range x.snaps[n] {
			for _, c := range s.Clones {
				if under(c, x.entry.place()) {
					visit(c)
				}
			}
		}
		placed[n] = 2
		names = append(names, n)
	}
	visit(x.entry.place())
	return names, notes
}

// ends are the guids of the tree, those among them that an act two which was killed got to before.
func (x *expiry) ends() []string {
	var guids []string
	for _, d := range x.list {
		guids = append(guids, d.GUID)
	}
	for _, r := range x.Have.Recorded {
		if spec.Kind(r.Kind) == spec.KindDataset && under(r.Name, x.entry.place()) && !slices.Contains(guids, r.GUID) {
			guids = append(guids, r.GUID)
		}
	}
	return guids
}

// notes say what data goes.
func (x *expiry) notes() []string {
	d := x.entry.Dataset
	var referenced uint64
	for _, d := range x.list {
		referenced += d.Referenced
	}
	notes := []string{fmt.Sprintf("what goes: %s used, %s referenced by %d dataset(s), and %d snapshot(s)", about(d.Used), about(referenced), len(x.list), len(x.all))}
	last := "its last change is not known: it has no snapshot, and was put into the trash on " + timeText(x.entry.At)
	if len(x.all) > 0 {
		newest := slices.MaxFunc(x.all, func(a, b state.Snapshot) int { return a.Creation.Compare(b.Creation) })
		last = fmt.Sprintf("the newest snapshot is %s, of %s", newest.FullName(), timeText(newest.Creation))
	}
	notes = append(notes, last, "dplane knows of no replica of it")
	if len(x.list) > 1 {
		var names []string
		for _, d := range x.list[1:] {
			names = append(names, d.Name)
		}
		notes = append(notes, fmt.Sprintf("%d below it go too: %s", len(names), listed(names)))
	}
	return notes
}
