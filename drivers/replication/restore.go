package replication

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Wish is what a person wants back.
type Wish struct {
	Dataset  string // by its name at the source or at the target; "": all of the replication
	Snapshot string // the newest that comes back; "": of all
	To       spec.DatasetName
}

// Cause is why a wish can't be fulfilled, and what to do about it.
type Cause struct {
	Err  error
	Hint string
}

func (c *Cause) Error() string { return c.Err.Error() }
func (c *Cause) Unwrap() error { return c.Err }

func because(hint, format string, args ...any) error {
	return &Cause{fmt.Errorf(format, args...), hint}
}

// restoreMark stands, local, on what is being restored: on nothing else that exists anything is received.
const restoreMark = "dplane:restore"

// PlanRestore says how a replica comes back into a dataset here that is not there yet, or is empty, or goes on where an earlier
// restore broke off. next is what is left to the operator then. With no error and no pairs all of it is there.
func (d *Driver) PlanRestore(ctx context.Context, want *spec.Spec, obs *state.Observed, name string, wish Wish) (a drivers.Action, next []string, err error) {
	r := want.Replications[name]
	w, err := back(r, wish)
	if err != nil {
		return a, nil, err
	}
	if err := landing(want, obs, w, wish.To); err != nil {
		return a, nil, err
	}
	held := *w
	held.Replication = restoring(name, wish.To)
	pairs, others, err := d.look(ctx, &held)
	if err != nil {
		return a, nil, because(zfs.Hint(err), "%w", err)
	}
	marked, err := d.marked(ctx, name, pairs)
	if err != nil {
		return a, nil, err
	}
	b := &restoration{w: w, wish: wish, marked: marked, skipped: map[string]bool{}}
	b.aside(obs, pairs, others)
	for _, p := range pairs {
		if err := b.add(p); err != nil {
			return a, nil, err
		}
	}
	held.Pairs = w.Pairs
	return b.action(r, slices.Concat(w.Aside, preview(held, pairs))), slices.Concat(b.next, nextSteps(r, wish.To, pairs)), nil
}

// restoring stands for the replication in the tag of what a restore holds: each lets go of its own alone, and no
// replication has such a name.
func restoring(replication string, to spec.DatasetName) string {
	sum := sha256.Sum256([]byte(to))
	return fmt.Sprintf("restore:%s:%x", replication, sum[:4])
}

// back is the way of a replication, the other way round. What comes back is neither read-only nor mounted.
func back(r *spec.Replication, wish Wish) (*drivers.Sending, error) {
	if why := unreached(r); why != "" {
		return nil, because("", "%s", why)
	}
	w := way(r)
	w.Restore, w.From, w.To, w.Exclude, w.Snapshots, w.Without = true, r.Target.Remote, "", nil, nil, nil
	w.Source, w.Target = string(r.Target.Dataset), string(wish.To)
	w.Set = map[string]string{"canmount": "noauto", restoreMark: r.Name}
	switch d := spec.DatasetName(wish.Dataset); {
	case d == "":
	case d.Under(r.Source.Dataset):
		w.Source += strings.TrimPrefix(wish.Dataset, string(r.Source.Dataset))
	case d.Under(r.Target.Dataset):
		w.Source = wish.Dataset
	default:
		return nil, because("dplane replication list shows its datasets", "%s is no dataset of the replication %s", wish.Dataset, r.Name)
	}
	return w, nil
}

// landing tells why nothing can be made at a name.
func landing(want *spec.Spec, obs *state.Observed, w *drivers.Sending, to spec.DatasetName) error {
	pool, up := string(to.Pool()), to.Parent()
	from := spec.DatasetName(w.Source)
	switch why := want.ReceivedOnly(to, obs.Role); {
	case obs.ZFS.Error != "":
		return because(obs.ZFS.Hint, "nothing can be restored: %s", obs.ZFS.Error)
	case up == "":
		return because("name a dataset below it", "%s is a pool: nothing is received over its root", to)
	case obs.UnseenPool(pool) != "":
		return because("dplane status tells more", "pool %s: %s", pool, obs.UnseenPool(pool))
	case obs.Pools[pool] == nil:
		return because("import it, and name it under pools in the files", "pool %s is not imported, or not declared", pool)
	case foreign(obs, pool):
		return because("if it is the right one: dplane adopt "+pool, "pool %s is not the one that was known by this name", pool)
	case to.InTrash():
		return because("choose another name", "%s is in the trash", to)
	case why != "":
		return because("choose another name", "%s is received only (%s)", to, why)
	case w.From == "" && (to.Under(from) || from.Under(to)):
		return because("choose another name", "%s and the replica %s would be one within the other", to, from)
	case obs.Datasets[string(up)] == nil:
		return because("zfs create "+string(up), "%s, into which it would be received, is not there: dplane makes no parents", up)
	}
	return nil
}

// marked are the datasets here that a restore of this replication has begun.
func (d *Driver) marked(ctx context.Context, name string, pairs []state.Pair) (map[string]bool, error) {
	is := map[string]bool{}
	for _, p := range pairs {
		if p.Target == nil {
			continue
		}
		res, err := d.Runner.Run(ctx, host.Read("zfs", "get", "-Hp", "-o", "value,source", restoreMark, p.To))
		if err != nil {
			return nil, fmt.Errorf("ask whether %s is a restore: %w", p.To, err)
		}
		is[p.To] = string(res.Stdout) == name+"\tlocal\n"
	}
	return is, nil
}

// restoration gathers what comes back.
type restoration struct {
	w       *drivers.Sending
	wish    Wish
	marked  map[string]bool
	skipped map[string]bool // replicas
	fields  []drivers.Field
	notes   []string
	guard   []host.Expect
	back    [][]host.Command // of each of the steps that keep something aside
	undo    string
	next    []string
}

// almostNothing is what a file system that was just made takes, at most (bytes), on any layout of a pool.
const almostNothing = 1 << 20

func empty(e state.End) bool {
	total := e.Referenced
	for _, s := range e.Snapshots {
		total += s.Written
	}
	return total <= almostNothing
}

// aside keeps what stands at the target under another name, if it and all below it is empty: declared, it was made by an
// apply before anybody could restore it. A file may be in it all the same: it is not destroyed, and nothing is received over
// it.
func (b *restoration) aside(obs *state.Observed, pairs []state.Pair, others []state.End) {
	var there []state.End
	for _, p := range pairs {
		if p.Target != nil {
			there = append(there, *p.Target)
		}
	}
	there = append(there, others...)
	slices.SortFunc(there, func(x, y state.End) int { return strings.Compare(y.Name, x.Name) }) // what is below before what is above
	known := 0
	for name := range obs.Datasets {
		if spec.DatasetName(name).Under(b.wish.To) {
			known++
		}
	}
	unfit := func(e state.End) bool {
		d := obs.Datasets[e.Name]
		return b.marked[e.Name] || e.Token != "" || e.Partial || !empty(e) || d == nil || d.GUID != e.GUID
	}
	if len(there) == 0 || known != len(there) || slices.ContainsFunc(there, unfit) || there[len(there)-1].Name != string(b.wish.To) {
		return
	}
	top := there[len(there)-1]
	name := top.Name + ".empty-" + top.GUID
	for _, e := range there {
		d := obs.Datasets[e.Name]
		if d.Mounted {
			b.step(zfs.Unmount(e.Name), zfs.Mount(e.Name))
		}
		if was := d.Properties["canmount"]; e.Type == "filesystem" { // what comes back may be mounted in its place
			back := zfs.Inherit(e.Name, "canmount", true)
			if was.Local() {
				back = zfs.Set(e.Name, map[string]string{"canmount": was.Value})
			}
			b.step(zfs.Set(e.Name, map[string]string{"canmount": "noauto"}), back)
		}
		b.guard = append(b.guard, zfs.ExpectProps(e.Name, map[string]state.Property{
			"guid": {Value: e.GUID, Source: "-"}, "written": {Value: strconv.FormatUint(e.Written, 10), Source: "-"},
		}))
	}
	b.step(zfs.RenameUnmounted(obs.Datasets[top.Name], top.Name, name), zfs.RenameUnmounted(obs.Datasets[top.Name], name, top.Name))
	b.notes = append(b.notes, fmt.Sprintf("%s is there and empty: it is kept as %s", top.Name, name))
	b.undo = fmt.Sprintf(", then zfs rename -u %s %s", name, top.Name)
	b.next = []string{"once all is well: zfs destroy -r " + name}
	for i := range pairs {
		pairs[i].Target = nil
	}
}

// step is one of those that keep something aside. Where a later one fails it is taken back: the name is in use as before.
func (b *restoration) step(c, back host.Command) {
	b.w.Aside, b.back = append(b.w.Aside, c), append(b.back, []host.Command{back})
}

// add takes one replica, unless something that is no restore of it stands in its place.
func (b *restoration) add(p state.Pair) error {
	wanted, last := b.upTo(p.Source)
	switch top := p.Source.Name == b.w.Source; {
	case b.skipped[string(spec.DatasetName(p.Source.Name).Parent())], last == "" && !top:
		b.skipped[p.Source.Name] = true
		b.notes = append(b.notes, p.Source.Name+" does not come back: it, or what is above it, has no such snapshot")
		return nil
	case last == "" && b.wish.Snapshot != "":
		return because("zfs list -t snapshot shows what is there", "%s has no snapshot %s", p.Source.Name, b.wish.Snapshot)
	case last == "":
		return because("dplane replication list shows both ends", "%s has no snapshot: there is nothing to restore", p.Source.Name)
	}
	raw := p.Source.Encrypted
	plan := drivers.SendingPair{Source: p.Source.Name, GUID: p.Source.GUID, Target: p.To, Raw: raw, LargeBlocks: b.w.LargeBlocks, Encrypted: raw, Full: p.Target == nil || p.Target.Partial}
	for _, s := range chosen(p.Source.Snapshots, wanted) {
		plan.Snapshots = append(plan.Snapshots, s.GUID)
	}
	f := drivers.Field{Name: p.To, To: fmt.Sprintf("%s@%s, %d snapshot(s)", p.Source.Name, last, len(plan.Snapshots))}
	if p.Target != nil {
		more, err := b.goesOn(p, plan, wanted)
		if !more || err != nil {
			return err
		}
		f.From = "begun"
	}
	b.w.Pairs, b.fields = append(b.w.Pairs, plan), append(b.fields, f)
	return nil
}

// upTo tells which snapshots of a replica are wanted, and the newest of them; "": there is none.
func (b *restoration) upTo(e state.End) (wanted func(state.Point) bool, last string) {
	txg := ^uint64(0)
	if s := b.wish.Snapshot; s != "" {
		i := slices.IndexFunc(e.Snapshots, func(p state.Point) bool { return p.Name == s })
		if i < 0 {
			return nil, ""
		}
		txg = e.Snapshots[i].TXG
	}
	wanted = func(p state.Point) bool { return p.TXG <= txg }
	if all := chosen(e.Snapshots, wanted); len(all) > 0 {
		last = all[len(all)-1].Name
	}
	return wanted, last
}

// goesOn tells whether what stands in the place of a replica is a restore of it that is not complete.
func (b *restoration) goesOn(p state.Pair, plan drivers.SendingPair, wanted func(state.Point) bool) (bool, error) {
	ours := p.Target.Token != "" && unusable(nil, plan, p) == ""
	switch {
	case p.Target.Partial && ours:
		return true, nil
	case !b.marked[p.To] && b.marked[b.w.Target] && complete(p, plan): // the mark of the topmost goes last
		return false, nil
	case !b.marked[p.To]:
		return false, because("choose another name, or rename what is there", "%s is there: nothing is received over what exists", p.To)
	case p.Target.Token != "":
		return true, nil
	}
	j := judge(&p.Source, p.Target, wanted, plan.Raw)
	if j.Diverged != nil && (j.Diverged.Kind != modified || len(j.Legs) > 0) {
		return false, because("choose another name", "%s was begun by a restore, and is another one since: %s", p.To, j.Diverged.what(p, j.Basis))
	}
	return true, nil // at the least its mark is to be taken off
}

// complete tells whether a target has all that is planned for it, and nothing else.
func complete(p state.Pair, plan drivers.SendingPair) bool {
	j := judge(&p.Source, p.Target, inPlan(plan), plan.Raw)
	return p.Target.Token == "" && len(j.Legs) == 0 && j.Diverged == nil
}

func (b *restoration) action(r *spec.Replication, steps []host.Command) drivers.Action {
	a := drivers.Action{
		Object: spec.Ref{Kind: spec.KindReplication, Name: r.Name}, Verb: drivers.Create, Risk: spec.Safe, Long: true,
		Reason:  drivers.Reason{Code: drivers.Missing, At: r.Pos.At(), Observed: "a person wants it back"},
		Fields:  b.fields,
		Notes:   b.notes,
		Guard:   b.guard,
		Back:    b.back,
		Undo:    "zfs destroy of what is restored" + b.undo,
		Sending: b.w,
		Steps:   steps,
	}
	a.Identify()
	return a
}

// nextSteps is what the operator does with what came back.
func nextSteps(r *spec.Replication, to spec.DatasetName, pairs []state.Pair) (next []string) {
	var locked, mounts []string
	for _, p := range pairs {
		if p.Source.Encrypted {
			locked = append(locked, p.To)
		}
		if p.Source.Type == "filesystem" {
			mounts = append(mounts, p.To)
		}
	}
	if len(locked) > 0 {
		next = append(next, "load its key: zfs load-key -L file:///PATH, for "+drivers.Some(locked))
	}
	if len(mounts) > 0 {
		next = append(next, "mount it: zfs set canmount=on, and zfs mount, for "+drivers.Some(mounts))
	}
	if r.Source.Remote == "" && to != r.Source.Dataset {
		next = append(next, fmt.Sprintf("to let the replication go on from it, without a full stream: zfs rename %s %s, once that name is free", to, r.Source.Dataset))
	}
	return append(next, "where its name is declared and known as that of another dataset: dplane adopt NAME")
}

// restore carries out what PlanRestore planned.
func (d *Driver) restore(ctx context.Context, a drivers.Action) error {
	s := a.Sending
	aside := a
	if aside.Steps = s.Aside; len(s.Aside) > 0 {
		if err := drivers.Apply(ctx, d.Runner, aside); err != nil {
			return err
		}
	}
	w := *s
	w.Replication = restoring(s.Replication, spec.DatasetName(s.Target)) // the replication's own holds stay as they are
	t := &transfer{Driver: d, Sending: &w}
	t.sent = map[string]state.Sent{} // noted, and not remembered: it is no run of the replication
	pairs, _, err := t.look(ctx, &w)
	if err != nil {
		return err
	}
	// A target whose user may not hold is restored from all the same: what is being sent can't be destroyed.
	_ = t.holdSources(ctx, pairs)
	done, err := t.sendAll(ctx, pairs)
	if err != nil { // the holds stay, so that it can go on
		err := fmt.Errorf("%w: the same command goes on from here; to give it up: zfs destroy -r %s, and on the machine of %s: %s", err, s.Target, s.Source, releaseByHand(s.Source, sourceTag(w.Replication)))
		if done > 0 {
			return &drivers.Partial{Err: err}
		}
		return err
	}
	return t.restored(context.WithoutCancel(ctx))
}

// restored takes away what was needed on the way.
func (t *transfer) restored(ctx context.Context) error {
	pairs, _, err := t.look(ctx, t.Sending)
	if err != nil {
		return err
	}
	var names []string
	var errs []error
	for _, p := range pairs {
		for _, s := range p.Source.Snapshots {
			if s.Ours {
				names = append(names, p.Source.Name+"@"+s.Name)
			}
		}
	}
	errs = append(errs, t.tag(ctx, t.From, sourceTag(t.Replication), nil, names, false))
	for _, plan := range slices.Backward(t.Pairs) { // while the topmost has its mark, it is not over
		errs = append(errs, t.each(ctx, t.To, []host.Command{zfs.Inherit(plan.Target, restoreMark, false)}, is(zfs.ErrNotExist)))
	}
	return errors.Join(errs...)
}
