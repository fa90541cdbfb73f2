package dataset

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// move is a dataset that gets another name in this plan, with what is below it.
type move struct {
	from, to string
	tree     []string // as it is now, from itself first
	places   []string // where file systems of it will be mounted anew
	action   drivers.Action
}

func (m *move) blocked() bool { return m.action.Verb == drivers.Blocked }

// moves plans every change of a name, and gives the machine as it will be after it: all else is planned for
// that, to come after the move.
func (v *view) moves() (*view, []*move) {
	v, all := v.restores()
	for _, name := range v.Want.DatasetNames() {
		want := v.Want.Datasets[name]
		if want.Renamed == "" || want.Absent || !v.reachable(name) || stuck(all, name) {
			continue
		}
		m := v.rename(want)
		if m == nil {
			continue
		}
		if !m.blocked() {
			v = v.after(m, all)
		}
		m.action.Identify()
		all = append(all, m)
	}
	return v, all
}

// after is the view once the move is done. What moved before, into or out of this tree, comes first.
func (v *view) after(m *move, before []*move) *view {
	for _, b := range before {
		if !b.blocked() && (under(m.to, b.to) || under(b.from, m.from)) {
			m.action.After = append(m.action.After, b.action.ID)
		}
	}
	in := v.Input
	in.Have = project(in.Have, m.from, m.to)
	return newView(in)
}

func under(name, other string) bool { return spec.DatasetName(name).Under(spec.DatasetName(other)) }

// rename is what becomes of renamedFrom: nil where it is done.
func (v *view) rename(want *spec.Dataset) *move {
	from := v.formerly(want.Renamed)
	m := &move{from: string(from), to: string(want.Name)}
	old, now := v.have(from), v.have(want.Name)
	blocked := func(code, observed, note string) *move {
		guid := ""
		if old != nil {
			guid = old.GUID
		}
		m.action = block(want, guid, code, want.Pos.At(), observed, note)
		return m
	}
	switch {
	case old == nil && now != nil:
		return nil
	case old == nil:
		return blocked(drivers.Missing, fmt.Sprintf("neither %s nor %s exists", m.from, m.to),
			"there is nothing to rename: take renamedFrom out, and it is created like any other")
	case now != nil:
		return blocked(drivers.Conflict, fmt.Sprintf("both %s and %s exist", m.from, m.to),
			"a rename replaces nothing: rename one of the two by hand, or take renamedFrom out")
	}
	m.tree = append([]string{m.from}, v.below(m.from)...)
	projected := project(v.Have, m.from, m.to)
	m.places = v.remounted(m, projected)
	if code, note := v.moveObstacle(m, want); note != "" {
		return blocked(code, m.from+" exists, and "+m.to+" does not", note)
	}
	m.action = drivers.Action{
		Object: ref(want.Name), GUID: old.GUID, Verb: drivers.Update, Risk: spec.Disruptive,
		Reason: drivers.Reason{Code: drivers.Drift, At: want.Pos.At(), Observed: m.from + " exists, and " + m.to + " does not"},
		Fields: []drivers.Field{{Name: "name", From: m.from, To: m.to}},
		Undo:   zfs.Rename(m.to, m.from).String(),
		Notes:  v.moveNotes(m, projected),
		Waits:  []spec.Ref{ref(want.Name.Parent())},
		Steps:  []host.Command{zfs.Rename(m.from, m.to)},
		Guard:  v.moveGuards(m),
	}
	return m
}

// formerly is where a dataset of that former name is now: what stands below another that the files renamed
// went along with it.
func (v *view) formerly(name spec.DatasetName) spec.DatasetName {
	if v.have(name) != nil {
		return name
	}
	for up := name.Parent(); up != ""; up = up.Parent() {
		for _, n := range v.Want.DatasetNames() {
			if v.Want.Datasets[n].Renamed == up && v.have(n) != nil {
				return spec.DatasetName(state.Follow(string(name), string(up), string(n)))
			}
		}
	}
	return name
}

// moveGuards hold while the same datasets are there, nothing stands in their way, and nobody hides files.
func (v *view) moveGuards(m *move) []host.Expect {
	guards := []host.Expect{
		zfs.ExpectProps(m.from, map[string]state.Property{"guid": {Value: v.Have.Datasets[m.from].GUID, Source: "-"}}),
		zfs.ExpectTree(m.tree), zfs.ExpectMissingDataset(m.to),
	}
	if parent := v.have(spec.DatasetName(m.to).Parent()); parent != nil {
		guards = append(guards, zfs.ExpectProps(parent.Name, map[string]state.Property{"guid": {Value: parent.GUID, Source: "-"}}))
	}
	for _, at := range m.places {
		guards = append(guards, expectFree(at))
	}
	return guards
}

// moveObstacle says what stands in the way of another name, "" where nothing does that can be seen.
func (v *view) moveObstacle(m *move, want *spec.Dataset) (code, note string) {
	from := v.Have.Datasets[m.from]
	if v.foreign(spec.KindDataset, m.from, from.GUID) {
		return drivers.Conflict, fmt.Sprintf("%s has the guid %s; the one known by that name had %s: if it is the right one: dplane adopt %[1]s", m.from, from.GUID, v.recorded[ref(spec.DatasetName(m.from))].GUID)
	}
	if r, known := v.recorded[ref(want.Name)]; known && r.GUID != from.GUID {
		return drivers.Conflict, fmt.Sprintf("another dataset was known as %s (guid %s): bring it back under another name, or, if it was destroyed on purpose: dplane forget %[1]s", m.to, r.GUID)
	}
	if code, note := v.parentObstacle(want.Name.Parent()); note != "" {
		return code, note
	}
	if note := v.namedBelow(m); note != "" {
		return drivers.Conflict, note
	}
	if note := v.tooLong(m); note != "" {
		return drivers.Conflict, note
	}
	if note := v.leavesRoot(m); note != "" {
		return drivers.Conflict, note
	}
	return v.placesTaken(m)
}

// namedBelow: what the files still call by a name below the old one would be missing there.
func (v *view) namedBelow(m *move) string {
	for _, n := range v.Want.DatasetNames() {
		if string(n) != m.from && under(string(n), m.from) && string(n) != m.to {
			return fmt.Sprintf("%s is declared below the old name (%s), and would go along: declare it below %s", n, v.Want.Datasets[n].Pos.At(), m.to)
		}
	}
	for _, key := range sortedKeys(v.Want.Replications) {
		r := v.Want.Replications[key]
		for _, end := range []spec.End{r.Source, r.Target} {
			if end.Remote == "" && end.Dataset != "" && under(string(end.Dataset), m.from) {
				return fmt.Sprintf("the replication %s names %s (%s), which would go along: let it name %s", key, end.Dataset, r.Pos.At(), state.Follow(string(end.Dataset), m.from, m.to))
			}
		}
	}
	return ""
}

// tooLong: ZFS_MAX_DATASET_NAME_LEN is 256 with its NUL, snapshots not counted here.
func (v *view) tooLong(m *move) string {
	for _, n := range m.tree {
		if to := state.Follow(n, m.from, m.to); len(to) > 255 {
			return fmt.Sprintf("%s would have a name of %d bytes, and ZFS takes 255: choose a shorter one", n, len(to))
		}
	}
	return ""
}

// leavesRoot: what inherits its key stays below the dataset whose key it is (dsl_dir_rename_crypt_check).
func (v *view) leavesRoot(m *move) string {
	up := above(v.Have, spec.DatasetName(m.to))
	for _, n := range m.tree {
		root := v.Have.Datasets[n].EncryptionRoot
		if root != "" && !under(root, m.from) && (up == nil || up.EncryptionRoot != root) {
			return fmt.Sprintf("%s has its key from %s, and ZFS lets it not leave that: choose a name below %[2]s, or give it a key of its own first (zfs change-key)", n, root)
		}
	}
	return ""
}

// remounted are the places where file systems that are mounted will be mounted after the move.
func (v *view) remounted(m *move, after *state.Observed) []string {
	var places []string
	for _, n := range m.tree {
		was := v.Have.Datasets[n]
		at := after.Datasets[state.Follow(n, m.from, m.to)].Properties["mountpoint"].Value
		if was.Mounted && path.IsAbs(at) && at != was.Properties["mountpoint"].Value {
			places = append(places, at)
		}
	}
	slices.Sort(places)
	return places
}

func (v *view) placesTaken(m *move) (code, note string) {
	for _, at := range m.places {
		if v.occupied[at] {
			return drivers.Conflict, fmt.Sprintf("%s, where it would be mounted then, holds files, and mounting would hide them: move them away, or declare another mountpoint first", at)
		}
		if other := v.mounted[at]; other != "" && !slices.Contains(m.tree, other) {
			return drivers.Conflict, fmt.Sprintf("%s, where it would be mounted then, is the mountpoint of %s: declare another mountpoint first", at, other)
		}
	}
	return "", ""
}

// moveNotes are what goes along, what is mounted elsewhere, and what is inherited from the new place.
func (v *view) moveNotes(m *move, after *state.Observed) []string {
	var notes, others []string
	for _, n := range m.tree[1:] {
		if !v.ours(spec.DatasetName(state.Follow(n, m.from, m.to))) {
			others = append(others, n)
		}
	}
	if len(others) > 0 {
		notes = append(notes, fmt.Sprintf("%d below it that dplane does not manage go along: %s", len(others), listed(others)))
	}
	was, now := v.Have.Datasets[m.from], after.Datasets[m.to]
	if a, b := was.Properties["mountpoint"].Value, now.Properties["mountpoint"].Value; was.Mounted && a != b {
		notes = append(notes, fmt.Sprintf("it is unmounted from %s, and mounted at %s: where somebody has a file open, nothing is changed", a, b))
	}
	var changed []string
	for _, name := range sortedKeys(was.Properties) {
		p, q := was.Properties[name], now.Properties[name]
		if _, declared := v.declaredAt(m.to, name); p.Value != q.Value && name != "mountpoint" && !declared && !strings.HasPrefix(name, "dplane:") {
			changed = append(changed, fmt.Sprintf("%s %s -> %s", name, p.Value, cmp.Or(q.Value, "-")))
		}
	}
	if len(changed) > 0 {
		notes = append(notes, "it inherits from its new place: "+listed(changed))
	}
	return notes
}

func (v *view) declaredAt(name, prop string) (spec.Property, bool) {
	d := v.Want.Datasets[spec.DatasetName(name)]
	if d == nil {
		return spec.Property{}, false
	}
	p, ok := d.Properties[prop]
	return p, ok
}

// follow makes what is planned for moved datasets, or for what they move out of, or made from their snapshots, wait
// for the move.
func follow(moves []*move, want *spec.Spec, actions map[spec.DatasetName][]drivers.Action) {
	for _, m := range moves {
		if m.blocked() {
			continue
		}
		for name, list := range actions {
			d := want.Datasets[name]
			if !under(string(name), m.to) && !under(m.from, string(name)) && (d == nil || d.Origin == "" || !under(string(source(d.Origin)), m.to)) {
				continue
			}
			for i := range list {
				// A mount above both comes first: what the new parent is made in waits for it.
				mounts := list[i].Verb == drivers.Run && under(m.to, string(name))
				if list[i].Verb != drivers.Blocked && !mounts {
					list[i].After = append(list[i].After, m.action.ID)
				}
			}
		}
	}
}

// stuck tells whether a dataset would be at or below a name that can't be given.
func stuck(moves []*move, name spec.DatasetName) bool {
	return slices.ContainsFunc(moves, func(m *move) bool { return m.blocked() && under(string(name), m.to) })
}
