package dataset

import (
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

// toTrash is act one of a destroy. Each step is told by what it left on the machine, so that a plan made after
// any of them goes on from there, or, where the dataset is wanted again, takes back what was done.
type toTrash struct {
	*view
	name, dest string // dest is its place in the trash
	trash      string // the dataset that holds that
	list       []*state.Dataset
}

// absent is what becomes of a dataset that is declared absent and is there: nil where it goes with one above.
func (v *view) absent(want *spec.Dataset, have *state.Dataset) []drivers.Action {
	for up := want.Name.Parent(); up != ""; up = up.Parent() {
		if d := v.Want.Datasets[up]; d != nil && d.Absent && v.have(up) != nil && !up.IsRoot() {
			return nil
		}
	}
	t := v.newToTrash(have)
	observed := have.Name + " exists"
	if code, notes := t.obstacles(want, have); len(notes) > 0 {
		return []drivers.Action{block(want, have.GUID, code, want.Pos.At(), observed, notes...)}
	}
	a := drivers.Action{
		Object: ref(want.Name), GUID: have.GUID, Verb: drivers.Destroy, Risk: spec.Disruptive,
		Reason: drivers.Reason{Code: drivers.Drift, At: want.Pos.At(), Observed: observed},
		Fields: []drivers.Field{{Name: "trash", From: have.Name, To: t.dest}},
		Undo:   "dplane restore " + host.Read(have.Name).String(),
		Notes:  t.notes(have),
		Guard:  t.guards(),
	}
	t.steps(&a)
	if t.Have.Datasets[t.trash] == nil {
		a.After = []string{v.makeTrash(t.trash, want)}
	}
	return []drivers.Action{a}
}

// makeTrash plans the dataset that holds what goes, once for all that need it, and gives the action's id. It is as
// disruptive as what it is for: nobody's leave for less makes it.
func (v *view) makeTrash(name string, want *spec.Dataset) string {
	if a, planned := v.made[name]; planned {
		return a.ID
	}
	parent := spec.DatasetName(name).Parent()
	a := drivers.Action{
		Object: ref(spec.DatasetName(name)), Verb: drivers.Create, Risk: spec.Disruptive,
		Reason: drivers.Reason{Code: drivers.Missing, At: want.Pos.At(), Observed: name + " does not exist, and holds what is declared absent"},
		Fields: []drivers.Field{{Name: "type", To: spec.Filesystems.String()}},
		Undo:   zfs.Destroy(name).String() + ", by hand, while it holds nothing",
		Steps:  []host.Command{zfs.CreateFilesystem(name, map[string]string{"canmount": "off", "mountpoint": "none", "sharenfs": "off", "sharesmb": "off"})},
		Guard: []host.Expect{
			zfs.ExpectMissingDataset(name),
			zfs.ExpectProps(string(parent), map[string]state.Property{"guid": {Value: v.have(parent).GUID, Source: "-"}}),
		},
	}
	a.Identify()
	v.made[name] = a
	return a.ID
}

func (v *view) newToTrash(have *state.Dataset) *toTrash {
	base := spec.DatasetName(have.Name).Pool()
	root := string(base)
	if have.EncryptionRoot != "" && have.EncryptionRoot != have.Name { // what inherits its key can't leave it
		root = have.EncryptionRoot
	}
	t := &toTrash{view: v, name: have.Name, trash: string(spec.DatasetName(root).Trash())}
	t.dest = t.trash + "/" + have.GUID
	for _, n := range append([]string{have.Name}, v.below(have.Name)...) {
		t.list = append(t.list, v.Have.Datasets[n])
	}
	return t
}

// obstacles are all that stands in the way, each named, with the reason's code.
func (t *toTrash) obstacles(want *spec.Dataset, have *state.Dataset) (code string, notes []string) {
	if want.Name.IsRoot() {
		return drivers.Drift, []string{"a pool's root dataset goes with its pool alone, and dplane never destroys a pool: zpool destroy, by hand"}
	}
	for _, d := range t.list {
		if t.foreign(spec.KindDataset, d.Name, d.GUID) {
			notes = append(notes, fmt.Sprintf("%s has the guid %s; the one known by that name had %s: if it is meant all the same: dplane adopt %[1]s", d.Name, d.GUID, t.recorded[ref(spec.DatasetName(d.Name))].GUID))
		}
	}
	if len(notes) > 0 {
		return drivers.Drift, notes
	}
	if others := t.undeclared(); len(others) > 0 {
		notes = append(notes, fmt.Sprintf("%d dataset(s) below it are not declared absent: %s: declare each absent too, or move it away", len(others), listed(others)))
	}
	if kept := t.kept(); len(kept) > 0 {
		notes = append(notes, fmt.Sprintf("its own trash still holds %s: wait until they may be destroyed, or bring them back (dplane restore)", listed(kept)))
	}
	notes = append(notes, t.used()...)
	for _, b := range t.Have.Busy {
		if b.Dataset == t.name {
			notes = append(notes, "it is busy: "+b.By)
		}
	}
	return drivers.Drift, append(notes, t.noRoom()...)
}

// undeclared are the datasets below that are not declared absent. An empty trash is dplane's own, and goes along.
func (t *toTrash) undeclared() []string {
	var names []string
	for _, d := range t.list[1:] {
		want := t.Want.Datasets[spec.DatasetName(d.Name)]
		if (want == nil || !want.Absent) && !spec.DatasetName(d.Name).InTrash() && !spec.DatasetName(d.Name).IsTrash() {
			names = append(names, d.Name)
		}
	}
	return names
}

// kept is what the trash below the tree's own encryption root holds, by the names it had.
func (t *toTrash) kept() []string {
	var names []string
	for _, d := range t.list[1:] {
		if !spec.DatasetName(d.Name).Parent().IsTrash() {
			continue
		}
		name := d.Name
		if was, ok := d.Trashed(); ok {
			name = string(was.Name)
		}
		names = append(names, name)
	}
	return names
}

// used tells what the files or a receive still need of the tree.
func (t *toTrash) used() (notes []string) {
	for _, key := range sortedKeys(t.Want.Replications) {
		r := t.Want.Replications[key]
		for what, end := range map[string]spec.End{"source": r.Source, "target": r.Target} {
			if end.Remote == "" && end.Dataset != "" && under(string(end.Dataset), t.name) {
				notes = append(notes, fmt.Sprintf("%s is the %s of the replication %s (%s): take that out first", end.Dataset, what, key, r.Pos.At()))
			}
		}
		if name := t.sent(r); name != "" {
			notes = append(notes, fmt.Sprintf("%s is sent by the replication %s (%s), as all below %s: exclude it there first", name, key, r.Pos.At(), r.Source.Dataset))
		}
	}
	if ha := t.Want.HA; ha != nil {
		for _, n := range ha.Datasets {
			if under(string(n), t.name) {
				notes = append(notes, fmt.Sprintf("%s is in the HA group: take it out first", n))
			}
		}
	}
	for _, d := range t.list {
		switch {
		case d.ResumeToken != "":
			notes = append(notes, fmt.Sprintf("%s is the receiver of a stream that was interrupted: end that, or give it up with zfs receive -A %[1]s", d.Name))
		case d.Mounted && !path.IsAbs(d.Properties["mountpoint"].Value):
			notes = append(notes, fmt.Sprintf("%s is mounted by other means than ZFS's (mountpoint=%s): unmount it by hand", d.Name, d.Properties["mountpoint"].Value))
		case d.Properties["readonly"].Source == "temporary":
			notes = append(notes, fmt.Sprintf("%s is mounted with options of its own, which hide its properties: unmount it by hand", d.Name))
		}
	}
	return notes
}

// noRoom tells why the tree can't be moved to its place in the trash.
func (t *toTrash) noRoom() (notes []string) {
	m := &move{from: t.name, to: t.dest, tree: t.tree()}
	if t.Have.Datasets[t.dest] != nil {
		notes = append(notes, t.dest+", its place in the trash, is taken: rename that by hand")
	}
	for _, note := range []string{t.tooLong(m), t.leavesRoot(m)} {
		if note != "" {
			notes = append(notes, note)
		}
	}
	holder := t.Have.Datasets[string(spec.DatasetName(t.trash).Parent())]
	switch trash := t.Have.Datasets[t.trash]; {
	case trash != nil && trash.Type == "volume":
		notes = append(notes, t.trash+" is a volume: rename it by hand, its name is that of the trash")
	case trash == nil && holder != nil && holder.KeyStatus == "unavailable":
		notes = append(notes, fmt.Sprintf("the trash is made below %s, whose key is not loaded: zfs load-key %[1]s", holder.Name))
	}
	return notes
}

// sent is the first of the tree that a replication sends as what is below its source, "" where it sends none.
func (t *toTrash) sent(r *spec.Replication) string {
	if !r.Recursive || r.Source.Remote != "" || r.Source.Dataset == "" || !strings.HasPrefix(t.name, string(r.Source.Dataset)+"/") {
		return ""
	}
	for _, d := range t.list {
		if !r.Excludes(spec.DatasetName(d.Name)) {
			return d.Name
		}
	}
	return ""
}

func (t *toTrash) tree() []string {
	names := make([]string, len(t.list))
	for i, d := range t.list {
		names[i] = d.Name
	}
	return names
}

func (t *toTrash) notes(have *state.Dataset) []string {
	notes := []string{
		fmt.Sprintf("act one of a destroy: no data goes. It keeps its %s (%s referenced) in %s until it was there for %s and a person allows act two", about(have.Used), about(have.Referenced), t.dest, spec.Duration(grace(t.Want))),
	}
	if len(t.list) > 1 {
		notes = append(notes, fmt.Sprintf("%d below it go along: %s", len(t.list)-1, listed(t.tree()[1:])))
	}
	for _, n := range t.view.names {
		if d := t.Have.Datasets[n]; d.Origin != "" && !under(n, t.name) && under(string(source(spec.SnapshotName(d.Origin))), t.name) {
			notes = append(notes, fmt.Sprintf("%s is a clone of %s: it stays as it is, and blocks act two until it is promoted or gone", n, d.Origin))
		}
	}
	return notes
}

// grace is how long the trash keeps what is in it: never under an hour.
func grace(want *spec.Spec) time.Duration {
	return max(want.Daemon.Trash.Std(), time.Hour)
}

// guards hold while the tree is what was seen, and nobody uses it.
func (t *toTrash) guards() []host.Expect {
	guards := []host.Expect{zfs.ExpectValues(t.list, []string{"guid", "canmount", "readonly"})}
	if places := t.places(); len(places) > 0 {
		guards = append(guards, expectUnused(t.name, places))
	}
	return guards
}

// mounted are the file systems that are mounted, in the order of their names.
func (t *toTrash) mounted() []*state.Dataset {
	return slices.DeleteFunc(slices.Clone(t.list), func(d *state.Dataset) bool { return !d.Mounted })
}

func (t *toTrash) places() []string {
	var places []string
	for _, d := range t.mounted() {
		places = append(places, place(d))
	}
	return places
}

// unmounts are the steps that unmount the tree, with those that mount it again. `zfs unmount` takes with it every
// mounted file system below, wherever that is mounted, and mounts all of them again where one is busy.
func (t *toTrash) unmounts() (steps []host.Command, back [][]host.Command) {
	top := ""
	for _, d := range t.mounted() {
		if top == "" || !under(d.Name, top) {
			top = d.Name
			steps, back = append(steps, zfs.Unmount(top)), append(back, nil)
		}
	}
	all := t.mounted()
	slices.SortStableFunc(all, func(a, b *state.Dataset) int {
		return strings.Compare(a.Properties["mountpoint"].Value+"/", b.Properties["mountpoint"].Value+"/")
	})
	for i, c := range steps {
		back[i] = []host.Command{}
		for _, d := range all {
			if under(d.Name, c.Argv[len(c.Argv)-1]) {
				back[i] = append(back[i], zfs.Mount(d.Name))
			}
		}
	}
	return steps, back
}

// steps are what is left to do, and how each is taken back while the dataset has its name.
func (t *toTrash) steps(a *drivers.Action) {
	add := func(back []host.Command, steps ...host.Command) {
		for _, c := range steps {
			a.Steps, a.Back = append(a.Steps, c), append(a.Back, back)
			back = []host.Command{} // once for all of them
		}
	}
	add(t.unremember(), t.remember()...)
	unmounts, mounts := t.unmounts()
	for i, c := range unmounts {
		add(mounts[i], c)
	}
	var quiet []string
	for _, d := range t.list {
		if d.Type != "volume" && (d.Properties["canmount"] != state.Property{Value: "noauto", Source: "local"}) {
			quiet = append(quiet, d.Name)
		}
	}
	add(canmountBack(t.list), zfs.SetAll(quiet, map[string]string{"canmount": "noauto"})...)
	add([]host.Command{}, zfs.RenameUnmounted(t.list[0], t.name, t.dest)) // once it is done there is no way back but a restore
	a.Steps = append(a.Steps, readOnlySteps(t.list, t.name, t.dest)...)
}

// readOnlySteps is the last step of act one, on each dataset under its name in the trash.
func readOnlySteps(list []*state.Dataset, from, to string) []host.Command {
	var names []string
	for _, d := range list {
		if (d.Properties["readonly"] != state.Property{Value: "on", Source: "local"}) {
			names = append(names, state.Follow(d.Name, from, to))
		}
	}
	return zfs.SetAll(names, map[string]string{"readonly": "on"})
}

// remember writes the marks of those that have none yet: what an earlier, interrupted act one wrote is what was
// before it.
func (t *toTrash) remember() []host.Command {
	groups := map[string][]string{} // marks as text -> names
	marks := map[string]map[string]string{}
	for i, d := range t.list {
		m := t.marks(d, i == 0)
		if len(m) == 0 {
			continue
		}
		key := fmt.Sprint(m) // maps print in the order of their keys
		groups[key], marks[key] = append(groups[key], d.Name), m
	}
	var steps []host.Command
	for _, key := range slices.SortedFunc(maps.Keys(groups), func(a, b string) int { return strings.Compare(groups[a][0], groups[b][0]) }) {
		steps = append(steps, zfs.SetAll(groups[key], marks[key])...)
	}
	return steps
}

func (t *toTrash) marks(d *state.Dataset, top bool) map[string]string {
	m := map[string]string{}
	if old, begun := d.Trashed(); top && (!begun || string(old.Name) != d.Name || old.At.IsZero()) {
		m[state.TrashName], m[state.TrashGUID] = d.Name, d.GUID
	}
	if top { // the grace begins when it gets there, whatever an earlier act one wrote
		m[state.TrashTime] = t.Now.UTC().Format(time.RFC3339)
	}
	for prop, mark := range keptBy {
		p, has := d.Properties[prop]
		if _, kept := d.Kept(mark); has && (!kept || m[state.TrashGUID] != "") {
			m[mark] = p.Value + " " + p.Source
		}
	}
	if !d.Properties[state.TrashMounted].Local() || m[state.TrashGUID] != "" {
		m[state.TrashMounted] = "no"
		if d.Mounted {
			m[state.TrashMounted] = "yes"
		}
	}
	return m
}

// keptBy are the properties that act one changes, with their marks.
var keptBy = map[string]string{"canmount": state.TrashCanmount, "readonly": state.TrashReadonly}

// unremember takes the marks away that remember wrote; those of an act one that was interrupted stay.
func (t *toTrash) unremember() []host.Command {
	if t.list[0].Properties[state.TrashGUID].Local() {
		return []host.Command{}
	}
	return clearMarks(t.tree(), t.name)
}

// clearMarks ends the memory of act one: what says that there is one goes last.
func clearMarks(names []string, top string) []host.Command {
	var steps []host.Command
	for _, mark := range state.TrashProperties {
		on := names
		if mark == state.TrashName || mark == state.TrashGUID || mark == state.TrashTime {
			on = []string{top}
		}
		steps = append(steps, zfs.InheritAll(on, mark)...)
	}
	return steps
}

// canmountBack gives each file system the canmount that it has now.
func canmountBack(list []*state.Dataset) []host.Command {
	steps := []host.Command{}
	for _, d := range list {
		p, has := d.Properties["canmount"]
		switch {
		case !has:
		case p.Local():
			steps = append(steps, zfs.Set(d.Name, map[string]string{"canmount": p.Value}))
		default:
			steps = append(steps, zfs.Inherit(d.Name, "canmount", true))
		}
	}
	return steps
}

// about is a number of bytes as people say it.
func about(n uint64) string {
	const units = "KMGTPE"
	f, unit := float64(n), ""
	for i := 0; f >= 1024 && i < len(units); i++ {
		f, unit = f/1024, units[i:i+1]
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + unit
}
