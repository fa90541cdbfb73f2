package dataset

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// entry is what act one put into the trash.
type entry struct {
	*state.Dataset
	state.Trashed
}

// name is the dataset's own, in the trash; Trashed.Name is the one it had.
func (e entry) place() string { return e.Dataset.Name }

// trash is all that is in the trash of pools that may be changed, the newest first, then by place.
func (v *view) trash() []entry {
	var all []entry
	for _, n := range v.names {
		d := v.Have.Datasets[n]
		if !spec.DatasetName(n).InTrash() || !d.InTrash() || !v.reachable(spec.DatasetName(n)) {
			continue
		}
		t, _ := d.Trashed()
		all = append(all, entry{d, t})
	}
	slices.SortStableFunc(all, func(a, b entry) int { return b.At.Compare(a.At) })
	return all
}

// wanted tells whether the files or a person want that name back.
func (v *view) wanted(name spec.DatasetName) bool {
	d := v.Want.Datasets[name]
	return v.Restore[string(name)] || d != nil && !d.Absent && d.Renamed == ""
}

// restores plans what comes back: from the trash, or where act one stopped on the way there.
func (v *view) restores() (*view, []*move) {
	var all []*move
	done := map[spec.DatasetName]bool{}
	plan := func(m *move) {
		if !m.blocked() {
			in := v.after(m, all).Input
			in.Have = restored(in.Have, m.to)
			v = newView(in)
		}
		m.action.Identify()
		all = append(all, m)
	}
	for _, n := range v.names {
		name := spec.DatasetName(n)
		if v.begun(v.Have.Datasets[n]) && v.wanted(name) && v.reachable(name) {
			done[name] = true
			plan(v.back(n, n, name))
		}
	}
	entries := v.trash()
	slices.SortStableFunc(entries, func(a, b entry) int { // the one that was known last, whatever the clock said
		return cmp.Compare(v.strange(a), v.strange(b))
	})
	for _, e := range entries {
		if done[e.Trashed.Name] || !v.wanted(e.Trashed.Name) || !v.reachable(e.Trashed.Name) || stuck(all, e.Trashed.Name) {
			continue
		}
		if v.have(e.Trashed.Name) != nil && !v.Restore[string(e.Trashed.Name)] {
			continue // it has a successor
		}
		done[e.Trashed.Name] = true
		plan(v.back(e.place(), string(e.Trashed.Name), e.Trashed.Name))
	}
	return v, all
}

// strange is 1 where another dataset was known by the name since.
func (v *view) strange(e entry) int {
	if v.foreign(spec.KindDataset, string(e.Trashed.Name), e.GUID) {
		return 1
	}
	return 0
}

// begun tells whether act one left marks on a dataset that still has, or has again, its name.
func (v *view) begun(d *state.Dataset) bool {
	guid, name := d.Properties[state.TrashGUID], d.Properties[state.TrashName]
	t, marked := d.Trashed()
	return guid.Local() && guid.Value == d.GUID && !d.InTrash() && (!name.Local() || marked && string(t.Name) == d.Name)
}

// back takes act one back, from wherever it is: in the trash (from), or still under its name (from is to).
func (v *view) back(from, to string, name spec.DatasetName) *move {
	d := v.Have.Datasets[from]
	m := &move{from: from, to: to, tree: append([]string{from}, v.below(from)...)}
	at, observed := "", fmt.Sprintf("%s is in the trash, as %s, since %s", to, from, v.since(d))
	want := v.Want.Datasets[name]
	if want == nil {
		want = &spec.Dataset{Name: name}
	}
	if at = want.Pos.At(); v.Restore[to] {
		at = ""
	}
	if from == to {
		observed = fmt.Sprintf("%s was on its way into the trash since %s", to, v.since(d))
	}
	after := restored(project(v.Have, from, to), to)
	mounts := v.mounts(m, after)
	if note := v.backObstacle(m, want, d); note != "" {
		m.action = block(want, d.GUID, drivers.Trashed, at, observed, note)
		return m
	}
	m.action = drivers.Action{
		Object: ref(name), GUID: d.GUID, Verb: drivers.Update, Risk: spec.Disruptive,
		Reason: drivers.Reason{Code: drivers.Trashed, At: at, Observed: observed},
		Fields: []drivers.Field{{Name: "trash", From: from, To: "restored"}},
		Undo:   "absent: true, in the files, takes it away again",
		Notes:  v.backNotes(m, after),
		Waits:  []spec.Ref{ref(name.Parent())},
		Steps:  v.backSteps(m, after, mounts),
		Guard: []host.Expect{
			zfs.ExpectProps(from, map[string]state.Property{"guid": {Value: d.GUID, Source: "-"}}), zfs.ExpectTree(m.tree),
		},
	}
	if from != to {
		m.action.Guard = append(m.action.Guard, zfs.ExpectMissingDataset(to))
	}
	for _, at := range m.places {
		m.action.Guard = append(m.action.Guard, expectFree(at))
	}
	return m
}

func (v *view) since(d *state.Dataset) string {
	t, _ := d.Trashed()
	return timeText(t.At)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "a time that is not known"
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

// backObstacle says why it can't come back, "" where it can.
func (v *view) backObstacle(m *move, want *spec.Dataset, d *state.Dataset) string {
	if note := v.succeeded(m, d); note != "" {
		return note
	}
	if m.from != m.to {
		if v.Have.Datasets[m.to] != nil {
			return fmt.Sprintf("the name %s is taken by another dataset: rename that first (zfs rename)", m.to)
		}
		_, noParent := v.parentObstacle(want.Name.Parent())
		if note := cmp.Or(noParent, v.tooLong(m), v.leavesRoot(m), v.overQuota(m, d)); note != "" {
			return note
		}
	}
	_, taken := v.placesTaken(m)
	return taken
}

// succeeded: another dataset was known by the name since. That one is missing, and an older one in its place would
// pass for it, so only a person who names it brings that back.
func (v *view) succeeded(m *move, d *state.Dataset) string {
	if !v.foreign(spec.KindDataset, m.to, d.GUID) || v.Restore[m.to] {
		return ""
	}
	r := v.recorded[ref(spec.DatasetName(m.to))]
	return fmt.Sprintf("it is not the one that was known as %[1]s since (guid %[2]s, last seen %[3]s), and that one is missing: bring that back; or, if the one in the trash is wanted in its place: dplane restore %[1]s",
		m.to, r.GUID, timeText(r.Seen))
}

// overQuota: what comes back counts for every dataset above that has a quota, unless the trash is below it too.
func (v *view) overQuota(m *move, d *state.Dataset) string {
	for up := spec.DatasetName(m.to).Parent(); up != "" && !under(m.from, string(up)); up = up.Parent() {
		above := v.have(up)
		if above == nil {
			continue
		}
		if quota := bytesOf(above.Properties["quota"].Value); quota > 0 && above.Used+d.Used > quota {
			return fmt.Sprintf("it has %s, %s uses %s, and its quota is %s: raise the quota, or free space there", about(d.Used), up, about(above.Used), about(quota))
		}
	}
	return ""
}

// mounts are the file systems that were mounted and are not, what is mounted inside of another last; it fills in
// their places.
func (v *view) mounts(m *move, after *state.Observed) []*state.Dataset {
	var list []*state.Dataset
	for _, n := range m.tree {
		was, now := v.Have.Datasets[n], after.Datasets[state.Follow(n, m.from, m.to)]
		mark, at := was.Properties[state.TrashMounted], now.Properties["mountpoint"].Value
		if mark.Local() && mark.Value == "yes" && !was.Mounted && was.KeyStatus != "unavailable" && path.IsAbs(at) && now.Properties["canmount"].Value != "off" {
			list = append(list, now)
			m.places = append(m.places, at)
		}
	}
	slices.SortStableFunc(list, func(a, b *state.Dataset) int {
		return strings.Compare(a.Properties["mountpoint"].Value+"/", b.Properties["mountpoint"].Value+"/")
	})
	slices.Sort(m.places)
	return list
}

// backSteps reverse act one, the last first. What remembers goes last of all.
func (v *view) backSteps(m *move, after *state.Observed, mounts []*state.Dataset) []host.Command {
	steps := v.giveKept(m.tree, "readonly", func(n string) string { return n })
	moved := func(n string) string { return state.Follow(n, m.from, m.to) }
	if m.from != m.to {
		steps = append(steps, zfs.RenameUnmounted(v.Have.Datasets[m.from], m.from, m.to))
	}
	steps = append(steps, v.giveKept(m.tree, "canmount", moved)...)
	for _, d := range mounts {
		steps = append(steps, zfs.Mount(d.Name))
	}
	var names []string
	for _, n := range m.tree {
		names = append(names, moved(n))
	}
	return append(steps, clearMarks(names, m.to)...)
}

// giveKept gives a property back as act one remembers it, where it is not so.
func (v *view) giveKept(tree []string, prop string, named func(string) string) (steps []host.Command) {
	values := map[string][]string{} // "" is for what is not set locally
	for _, n := range tree {
		d := v.Have.Datasets[n]
		kept, ok := d.Kept(keptBy[prop])
		p := d.Properties[prop]
		switch {
		case !ok, kept.Local() && p == kept, !kept.Local() && !p.Local():
		case kept.Local():
			values[kept.Value] = append(values[kept.Value], named(n))
		default:
			values[""] = append(values[""], named(n))
		}
	}
	for _, value := range slices.Sorted(maps.Keys(values)) {
		if value == "" {
			steps = append(steps, zfs.InheritAll(values[value], prop)...)
		} else {
			steps = append(steps, zfs.SetAll(values[value], map[string]string{prop: value})...)
		}
	}
	return steps
}

func (v *view) backNotes(m *move, after *state.Observed) (notes []string) {
	if len(m.tree) > 1 {
		notes = append(notes, fmt.Sprintf("%d below it come along: %s", len(m.tree)-1, listed(m.tree[1:])))
	}
	var locked []string
	for _, n := range m.tree {
		if d := v.Have.Datasets[n]; d.KeyStatus == "unavailable" && d.Properties[state.TrashMounted].Value == "yes" {
			locked = append(locked, state.Follow(n, m.from, m.to))
		}
	}
	if len(locked) > 0 {
		notes = append(notes, "not mounted, since the key is not loaded: "+listed(locked))
	}
	if want := v.Want.Datasets[spec.DatasetName(m.to)]; want != nil && want.Absent {
		notes = append(notes, "the files still declare it absent ("+want.Pos.At()+"): take that out, or the next apply puts it into the trash again")
	}
	return notes
}

// restored is the machine once the marks of act one on a tree are undone: canmount and readonly as they were.
func restored(have *state.Observed, top string) *state.Observed {
	after := *have
	after.Datasets = maps.Clone(have.Datasets)
	var tree []string
	for n := range have.Datasets {
		if under(n, top) {
			tree = append(tree, n)
		}
	}
	slices.Sort(tree)
	for _, n := range tree {
		d := *have.Datasets[n]
		d.Properties = maps.Clone(d.Properties)
		for prop, mark := range keptBy {
			if kept, ok := d.Kept(mark); ok {
				d.Properties[prop] = asKept(prop, kept, &d, above(&after, spec.DatasetName(n)))
			}
		}
		if p := d.Properties[state.TrashMounted]; p.Local() && p.Value == "yes" && d.KeyStatus != "unavailable" {
			d.Mounted = true
		}
		for _, mark := range state.TrashProperties {
			delete(d.Properties, mark)
		}
		after.Datasets[n] = &d
	}
	return &after
}

func asKept(prop string, kept state.Property, d, parent *state.Dataset) state.Property {
	if kept.Local() || kept.Source == "received" || !spec.Inheritable(prop) {
		return kept
	}
	p, _ := handedDown(prop, d, parent)
	return p
}
