package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/retention"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// keeping is what a replication keeps on its target.
type keeping struct {
	*batch
	rule   *spec.Schedule
	policy *retention.Policy
	text   string // of the policy, to be compared
	have   *state.Observed
	in     *spec.Spec // nil: what other targets need is left out
	now    time.Time
}

// newKeeping is nil where the target keeps all.
func newKeeping(in *spec.Spec, have *state.Observed, b *batch, now time.Time) (*keeping, error) {
	rule := b.want.Retention()
	if rule == nil {
		return nil, nil
	}
	policy, err := retention.NewPolicy(rule, in.Node.Timezone)
	return &keeping{b, rule, policy, rule.Retention(in.Node.Timezone), have, in, now}, err
}

// pruned is what is to be done with the snapshots of one target.
type pruned struct {
	own     []state.Snapshot // what the replication brought
	goes    []state.Snapshot // oldest first
	excess  []state.Snapshot // of what goes those that stay if less were not kept than before
	less    bool             // less is kept than before, of what goes or of what can't
	hold    string           // why nothing goes without a person's word
	tooMany string           // why the excess does not
	unknown string           // why nothing goes, since nobody knows what another target needs
	future  []string         // names
}

// decide is pure. It gives nil for a target on which nothing is to be touched: it is not there, something is under way, or
// it has not what its source has.
func (k *keeping) decide(p state.Pair, kept *state.Kept) *pruned {
	if p.Target == nil || p.Target.Token != "" || p.Target.Partial {
		return nil
	}
	j := judge(&p.Source, p.Target, k.wanted, k.raw(p.Source))
	if j.Basis == nil || j.Diverged != nil {
		return nil
	}
	x, newest := &pruned{}, state.Point{}
	for _, s := range p.Target.Snapshots {
		if s.TXG >= newest.TXG {
			newest = s
		}
		if !s.Received {
			continue
		}
		x.own = append(x.own, state.Snapshot{
			Dataset: p.To, Name: s.Name, GUID: s.GUID, TXG: s.TXG, Creation: s.Creation, Used: s.Used, Holds: s.Holds, Clones: s.Clones,
		})
		if s.Creation.After(k.now) {
			x.future = append(x.future, s.Name)
		}
	}
	for _, v := range k.policy.Retain(x.own, k.now) {
		if !v.Keep {
			x.goes = append(x.goes, v.Snapshot)
		}
	}
	x.less = len(k.excess(x, kept)) > 0
	need, unknown := map[string]string{}, ""
	if k.in != nil && k.want.Target.Remote == "" { // it may be a source in its turn
		need, unknown = retention.Needed(k.in, k.have, p.To, p.Target.GUID)
	}
	x.goes = slices.DeleteFunc(x.goes, func(s state.Snapshot) bool {
		return s.GUID == j.Basis.GUID || need[s.GUID] != "" || retention.Protects(s, newest.GUID) != ""
	})
	if len(x.goes) > 0 && unknown != "" {
		x.goes, x.unknown = nil, unknown
	}
	slices.SortFunc(x.goes, func(a, b state.Snapshot) int { return cmp.Compare(a.TXG, b.TXG) })
	x.excess = k.excess(x, kept)
	if n := len(x.excess); n > 0 && n*100 > k.rule.MaxPrune*len(x.own) {
		x.tooMany = fmt.Sprintf("less is to be kept than before, and that would prune %d of %d at once, more than %d%%", n, len(x.own), k.rule.MaxPrune)
	}
	x.hold = retention.Doubt(k.have.Clock, x.own, x.own, retention.FarApart(k.rule), k.now)
	return x
}

func (k *keeping) excess(x *pruned, kept *state.Kept) []state.Snapshot {
	before := ""
	if kept != nil {
		before = kept.Before
	}
	if before == k.text {
		return nil
	}
	return retention.Excess(before, x.goes, x.own, k.now)
}

// keep tells what was received, looks at what goes by keep, and learns whether less is kept than before.
func (d *Driver) keep(ctx context.Context, want *spec.Spec, r *spec.Replication, obs *state.Observed, seen *state.Replication) error {
	d.markReceived(r.Name, seen.Pairs)
	had, err := d.Memory.Kept(ctx, r.Name)
	if err != nil {
		return err
	}
	k, err := newKeeping(want, obs, &batch{want: r, seen: seen}, obs.At)
	if err != nil || k == nil {
		if had != nil && k == nil && d.Learns {
			return d.Memory.SaveKept(ctx, r.Name, nil)
		}
		return nil //nolint:nilerr // Diff says so
	}
	k.in = nil // the replications that come after this one are not seen yet
	seen.Kept = k.learn(had)
	if d.Learns && (had == nil || *had != *seen.Kept) {
		if err := d.Memory.SaveKept(ctx, r.Name, seen.Kept); err != nil {
			return err
		}
	}
	var goes []string
	for _, p := range seen.Pairs {
		if x := k.decide(p, seen.Kept); x != nil {
			for _, s := range x.goes {
				goes = append(goes, s.FullName())
			}
		}
	}
	if len(goes) == 0 {
		return nil
	}
	if d.checked == nil {
		d.checked = map[string]time.Time{}
	}
	at := d.Now()
	if err := d.check(ctx, r.Target.Remote, goes, seen.Pairs); err != nil {
		if ctx.Err() != nil {
			return err
		}
		seen.Unchecked = err.Error()
		return nil
	}
	d.checked[r.Name] = at
	return nil
}

// check lists what goes, with its clones. What is not there any more, or is another one, is left out of the target.
func (d *Driver) check(ctx context.Context, remote string, names []string, pairs []state.Pair) error {
	there, err := d.snapshots(ctx, remote, names)
	if err != nil {
		return err
	}
	asked := map[string]bool{}
	for _, n := range names {
		asked[n] = true
	}
	for _, p := range pairs {
		if p.Target == nil {
			continue
		}
		p.Target.Snapshots = slices.DeleteFunc(p.Target.Snapshots, func(s state.Point) bool {
			name := p.Target.Name + "@" + s.Name
			return asked[name] && there[name].GUID != s.GUID
		})
		for i := range p.Target.Snapshots {
			s := &p.Target.Snapshots[i]
			if x, ok := there[p.Target.Name+"@"+s.Name]; ok {
				s.Used, s.Clones, s.Holds = x.Used, x.Clones, x.Holds
			}
		}
	}
	return nil
}

// snapshots lists these, by whole name; those that are gone are not in it.
func (d *Driver) snapshots(ctx context.Context, remote string, names []string) (map[string]state.Snapshot, error) {
	all := map[string]state.Snapshot{}
	for _, c := range zfs.ListSnapshots(names) {
		c.Host = remote
		res, err := d.Runner.Run(ctx, c)
		if err != nil && !errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
			return nil, fmt.Errorf("look at what is no longer kept: %w", err)
		}
		list, err := zfs.ParseSnapshots(res.Stdout)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			all[s.FullName()] = s
		}
	}
	return all, nil
}

// learn is what is remembered of the retention after a look.
func (k *keeping) learn(had *state.Kept) *state.Kept {
	next := &state.Kept{Policy: k.text, Since: k.now}
	if had != nil {
		*next = *had
		if had.Policy != k.text || had.Since.After(k.now) { // the clock may have been set back
			next.Policy, next.Since = k.text, k.now
		}
	}
	for _, p := range k.seen.Pairs {
		x := k.decide(p, next)
		if p.Target != nil && (x == nil || x.less || x.hold != "" || len(x.future) > 0) {
			return next
		}
	}
	next.Before = k.text
	return next
}

// prune adds what goes of each target.
func (b *batch) prune(in drivers.Input, r *drivers.Result) {
	k, err := newKeeping(in.Want, in.Have, b, in.Now)
	switch {
	case err != nil:
		r.Notices = append(r.Notices, fmt.Sprintf("replication %s (%s): its target is not pruned: %v", b.want.Name, b.want.Pos.At(), err))
	case k == nil:
	case b.seen.Unchecked != "":
		r.Notices = append(r.Notices, fmt.Sprintf("replication %s (%s): its target is not pruned: %s", b.want.Name, b.want.Pos.At(), b.seen.Unchecked))
	default:
		for _, p := range b.seen.Pairs {
			if names := unsure(p); len(names) > 0 {
				r.Notices = append(r.Notices, fmt.Sprintf("replication %s (%s): %s has %d snapshot(s) of its source of which nobody knows whether this replication brought them, so keep lets them stay: %s (zfs destroy of those that nobody needs ends this)", b.want.Name, b.want.Pos.At(), p.To, len(names), drivers.Some(names)))
			}
			if x := k.decide(p, b.seen.Kept); x != nil {
				r.Actions = append(r.Actions, k.prunes(p, x)...)
				if x.unknown != "" {
					r.Notices = append(r.Notices, x.unknown)
				}
				if len(x.future) > 0 {
					r.Notices = append(r.Notices, fmt.Sprintf("%s, the target of replication %s: dated in the future, kept, and filling no period: %s", p.To, b.want.Name, drivers.Some(x.future)))
				}
			}
		}
	}
}

// unsure are the snapshots of a target that its source has too, and that are not known to be received: a person brought them, or the
// memory of it is lost.
func unsure(p state.Pair) (names []string) {
	if p.Target == nil {
		return nil
	}
	source := map[string]bool{}
	for _, s := range slices.Concat(p.Source.Snapshots, p.Source.Bookmarks) {
		source[s.GUID] = true
	}
	for _, s := range p.Target.Snapshots {
		if !s.Received && source[s.GUID] {
			names = append(names, "@"+s.Name)
		}
	}
	return names
}

// prunes are the actions that destroy what goes of one target: one, but where what goes only because less is to be kept
// has to wait, and the rest does not wait with it.
func (k *keeping) prunes(p state.Pair, x *pruned) []drivers.Action {
	settles := time.Time{}
	if k.seen.Kept != nil {
		settles = k.seen.Kept.Since.Add(retention.Unasked)
	}
	switch {
	case len(x.goes) == 0:
		return nil
	case len(x.excess) == 0:
		return []drivers.Action{k.action(p, x, x.goes)}
	case x.hold != "" || x.tooMany == "" && !k.now.Before(settles) || len(x.excess) == len(x.goes):
		a := k.action(p, x, x.goes)
		a.Hold, a.Settles = cmp.Or(x.hold, x.tooMany), settles
		return []drivers.Action{a}
	}
	more := map[string]bool{}
	for _, s := range x.excess {
		more[s.GUID] = true
	}
	rest := k.action(p, x, slices.DeleteFunc(slices.Clone(x.goes), func(s state.Snapshot) bool { return more[s.GUID] }))
	a := k.action(p, x, x.excess)
	a.Hold, a.Settles = x.tooMany, settles
	return []drivers.Action{rest, a}
}

// action destroys some of what goes of one target.
func (k *keeping) action(p state.Pair, x *pruned, goes []state.Snapshot) drivers.Action {
	w := way(k.want)
	w.Source, w.Target, w.Recursive = p.Source.Name, p.To, false
	w.Pairs = []drivers.SendingPair{{Source: p.Source.Name, GUID: p.Source.GUID, Target: p.To}}
	a := drivers.Action{
		Object: k.pairRef(p), GUID: p.Target.GUID, Verb: drivers.Destroy, Risk: spec.Safe, Scheduled: true, Apart: true,
		Reason: drivers.Reason{Code: drivers.Expired, At: k.want.Pos.At(), Observed: fmt.Sprintf("%d of the %d snapshots that %s received are no longer kept", len(goes), len(x.own), p.To)},
		Undo:   "nothing: what replication " + k.want.Name + " brought, its keep lets go",
		Hold:   x.hold, Pruning: w,
	}
	var names []string
	var frees uint64
	for _, s := range goes {
		names = append(names, s.Name)
		frees += s.Used
		a.Destroy = append(a.Destroy, s.GUID)
		a.Fields = append(a.Fields, drivers.Field{Name: s.Name, To: "no longer kept"})
	}
	a.Notes = []string{fmt.Sprintf("frees %s at least", spec.Size(frees))}
	for _, c := range zfs.DestroySnapshots(p.To, names) {
		c.Host = k.want.Target.Remote
		a.Steps = append(a.Steps, c)
	}
	return a
}

// fresh is how old the list may be that is the check before a prune (PRODUCT.md section 4, promise 4).
const fresh = 60 * time.Second

// prune destroys what goes of one target, after a look at whether it still may, and forgets it.
func (d *Driver) prune(ctx context.Context, a drivers.Action) error {
	if age := d.Now().Sub(d.checked[a.Pruning.Replication]); age < 0 || age > fresh {
		if err := d.lookAgain(ctx, a); err != nil {
			return fmt.Errorf("prune %s: %w", a.Pruning.Target, err)
		}
	}
	if err := drivers.Apply(ctx, d.Runner, a); err != nil {
		return err
	}
	_, all, err := d.Memory.Received(ctx, 0)
	source := a.Pruning.Pairs[0].GUID
	row := all[a.Pruning.Replication][source]
	if err != nil || row == nil {
		return err
	}
	left := &state.Received{Target: row.Target, Elsewhere: row.Elsewhere, GUIDs: slices.DeleteFunc(slices.Clone(row.GUIDs), func(guid string) bool { return slices.Contains(a.Destroy, guid) })}
	return d.Memory.SaveReceived(context.WithoutCancel(ctx), a.Pruning.Replication, map[string]*state.Received{source: left})
}

// lookAgain looks at both ends: each that goes must be there as it was, or be gone.
func (d *Driver) lookAgain(ctx context.Context, a drivers.Action) error {
	pairs, _, err := d.look(ctx, a.Pruning)
	if err != nil {
		return err
	}
	p, err := now(drivers.SendingPair{Source: a.Pruning.Source, GUID: a.Pruning.Pairs[0].GUID, Encrypted: len(pairs) == 1 && pairs[0].Source.Encrypted}, pairs)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", drivers.ErrMoot, err)
	case p.Target == nil || p.Target.GUID != a.GUID:
		return fmt.Errorf("%w: it is another dataset since, or gone", drivers.ErrMoot)
	case p.Target.Token != "" || p.Target.Partial || p.Common == "":
		return fmt.Errorf("%w: something is received into it, or it has nothing in common with its source any more", drivers.ErrMoot)
	}
	all := func(state.Point) bool { return true }
	if j := judge(&p.Source, p.Target, all, p.Source.Encrypted); j.Diverged != nil { // what goes may be there alone now
		return fmt.Errorf("%w: %s", drivers.ErrMoot, j.Diverged.what(p, j.Basis))
	}
	names := map[string]string{} // those that go, with their guids
	var whole []string
	for i, f := range a.Fields {
		names[f.Name] = a.Destroy[i]
		whole = append(whole, p.To+"@"+f.Name)
	}
	there, err := d.snapshots(ctx, a.Pruning.To, whole)
	if err != nil {
		return err
	}
	for name, guid := range names {
		s, ok := there[p.To+"@"+name]
		if ok && (s.GUID != guid || s.Holds > 0 || len(s.Clones) > 0) || guid == p.Common {
			return fmt.Errorf("%w: @%s is another one, held, cloned or needed since", drivers.ErrMoot, name)
		}
	}
	if last := p.Target.Snapshots[len(p.Target.Snapshots)-1]; names[last.Name] != "" {
		return fmt.Errorf("%w: @%s is the newest snapshot now, which is never pruned", drivers.ErrMoot, last.Name)
	}
	return nil
}
