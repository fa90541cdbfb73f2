package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// Apply sends, or carries out a repair. What is planned is compared with what there is now, dataset by dataset: what no
// longer fits is left to the next plan.
func (d *Driver) Apply(ctx context.Context, a drivers.Action) error {
	switch {
	case a.Pruning != nil:
		return d.prune(ctx, a)
	case a.Reason.Code == drivers.Removed:
		return d.letGo(ctx, a)
	case a.Sending == nil:
		return drivers.Apply(ctx, d.Runner, a)
	}
	if a.Sending.Restore {
		return d.restore(ctx, a)
	}
	t := &transfer{Driver: d, Sending: a.Sending, run: state.TransferRun{Began: d.Now(), Again: a.Sending.Again, Load: a.Sending.Load}}
	err := t.all(ctx)
	return errors.Join(err, t.remember(context.WithoutCancel(ctx), err))
}

// transfer is one run of a replication.
type transfer struct {
	*Driver
	*drivers.Sending
	run    state.TransferRun
	noting sync.Mutex // for run and what follows: some datasets are sent at once
	tried
	got   map[string]map[string]*state.Received
	unset map[string]map[string]string // by target: properties that zfs did not set there, and why
	remembering
}

// all sends one dataset after the other, those above before those below, and then lets go of what is no longer needed.
func (t *transfer) all(ctx context.Context) error {
	if err := t.recallReceived(ctx); err != nil {
		return err
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	pairs := t.begins(t.Replication, t.Now())
	if pairs == nil || t.holdSources(ctx, pairs) != nil {
		var err error
		if pairs, _, err = t.look(ctx, t.Sending); err != nil {
			return err
		}
		if err := t.holdSources(ctx, pairs); err != nil {
			return fmt.Errorf("hold what is sent: %w", err)
		}
	}
	if err := t.intend(ctx, pairs); err != nil {
		return err
	}
	done, err := t.sendAll(ctx, pairs)
	anchored := t.anchor(context.WithoutCancel(ctx))
	t.run.Part = err != nil && anchored == nil && ctx.Err() == nil && len(t.Pairs)-done < len(pairs)
	err = errors.Join(err, anchored)
	if err != nil && (done > 0 || t.run.Part) {
		return &drivers.Partial{Err: err, Rests: t.run.Part, Nothing: done == 0}
	}
	return err
}

// holdSources holds what is about to be sent, so that nothing prunes it: a resume token is worth nothing without the
// snapshot that it is of.
func (t *transfer) holdSources(ctx context.Context, pairs []state.Pair) error {
	sources, _ := endsOf(pairs)
	return t.tag(ctx, t.From, sourceTag(t.Replication), sources, toHold(t.Sending, pairs), true)
}

// tag holds snapshots by a tag, or releases them.
func (t *transfer) tag(ctx context.Context, remote, tag string, ends []*state.End, names []string, hold bool) error {
	all, well, did := zfs.Release(tag, names), zfs.AllReleased, true
	if hold {
		all, well = zfs.Hold(tag, names), zfs.AllHeld
	}
	err := t.each(ctx, remote, all, func(err error) bool { did = false; return well(err) })
	if did {
		t.noteHeld(tag, remote, ends, names, hold)
	}
	return err
}

// each runs commands on one side; some errors are as good as success.
func (t *transfer) each(ctx context.Context, remote string, all []host.Command, well func(error) bool) error {
	var errs []error
	for _, c := range all {
		c.Host = remote
		if _, err := t.Runner.Run(ctx, c); err != nil && !well(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// is tells of an error whether zfs means that.
func is(kind error) func(error) bool {
	return func(err error) bool { return errors.Is(zfs.Classify(err), kind) }
}

// pair sends one dataset: first what is under way, then what is missing.
func (t *transfer) pair(ctx context.Context, plan drivers.SendingPair, pairs []state.Pair) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("not begun: %w", err)
	}
	p, err := now(plan, pairs)
	if err != nil {
		return err
	}
	if p.Target != nil && (p.Target.Token != "" || p.Target.Partial) {
		whole := p.Target.Partial
		err := t.goOn(ctx, plan, p)
		if is(zfs.ErrPartial)(err) && t.To != "" {
			err = t.takeOver(ctx, plan, p)
		}
		if err != nil {
			return err
		}
		if p, err = t.again(ctx, plan); err != nil {
			return err
		}
		plan.Full = plan.Full || whole && p.Target == nil // what was begun whole, and thrown away, begins whole again
	}
	err = t.legs(ctx, plan, p)
	if is(zfs.ErrNotExist)(err) || is(zfs.ErrNoBase)(err) { // pruned since the look: its bookmark is as good a base
		q, e := t.again(ctx, plan)
		if was, has := basisOf(p), basisOf(q); e == nil && was != nil && has != nil && (was.GUID != has.GUID || was.bookmark != has.bookmark) {
			return t.legs(ctx, plan, q)
		}
	}
	return err
}

// now is the pair as it is, if it is the one that was planned.
func now(plan drivers.SendingPair, pairs []state.Pair) (state.Pair, error) {
	i := slices.IndexFunc(pairs, func(p state.Pair) bool { return p.Source.Name == plan.Source })
	switch {
	case i < 0:
		return state.Pair{}, errors.New("the source is gone since it was planned")
	case pairs[i].Source.GUID != plan.GUID:
		return state.Pair{}, fmt.Errorf("the source is another dataset since it was planned (guid %s, not %s)", pairs[i].Source.GUID, plan.GUID)
	case pairs[i].Source.Encrypted != plan.Encrypted:
		return state.Pair{}, errors.New("the source is encrypted otherwise than when it was planned")
	}
	return pairs[i], nil
}

// again looks at both ends of one dataset.
func (t *transfer) again(ctx context.Context, plan drivers.SendingPair) (state.Pair, error) {
	w := *t.Sending
	w.Source, w.Target, w.Recursive = plan.Source, plan.Target, false
	pairs, _, err := t.look(ctx, &w)
	if err != nil {
		return state.Pair{}, err
	}
	return now(plan, pairs)
}

// goOn resumes what a broken receive left, or throws it away where the token is not of this transfer: it comes from the
// far side, and could make the sender send anything.
func (t *transfer) goOn(ctx context.Context, plan drivers.SendingPair, p state.Pair) error {
	if p.Target.Token == "" {
		return fmt.Errorf("something is received into %s by somebody else, or was and left no resume token: zfs receive -A %[1]s ends it", p.To)
	}
	why := unusable(t.Snapshots, plan, p)
	if why == "" {
		c, err := resumeOf(t.Sending, p, plan)
		if err != nil {
			return err
		}
		if err = t.expect(ctx, p, []string{p.Target.Resume.ToGUID}); err != nil {
			return err
		}
		err = t.stream(ctx, plan, p, c)
		if err == nil {
			t.noting.Lock()
			defer t.noting.Unlock()
			t.run.Resumed++
			return nil
		}
		if !slices.ContainsFunc(worthless, func(kind error) bool { return errors.Is(zfs.Classify(err), kind) }) {
			return err
		}
		why = err.Error()
	}
	c := zfs.DiscardPartial(p.To)
	c.Host = t.To
	if _, err := t.Runner.Run(ctx, c); err != nil {
		return fmt.Errorf("throw away what was received in part (%s): %w", why, err)
	}
	return nil
}

// worthless is what zfs says of a token that leads to nothing any more.
var worthless = []error{zfs.ErrToken, zfs.ErrTokenGone, zfs.ErrNoBase, zfs.ErrModified}

// unusable says why a resume token is not to be used, "" where it is.
func unusable(patterns []string, plan drivers.SendingPair, p state.Pair) string {
	r := p.Target.Resume
	if r == nil {
		return "the resume token can't be read"
	}
	has := func(list []state.Point, guid string) bool {
		return slices.ContainsFunc(list, func(x state.Point) bool { return x.GUID == guid })
	}
	dataset, name, _ := strings.Cut(r.ToName, "@")
	switch {
	case dataset != p.Source.Name:
		return fmt.Sprintf("the resume token is of %s", r.ToName)
	case !slices.ContainsFunc(p.Source.Snapshots, func(x state.Point) bool { return x.GUID == r.ToGUID && x.Name == name }):
		return fmt.Sprintf("the snapshot of the resume token, %s, is not there any more", r.ToName)
	case !chooses(patterns, name):
		return fmt.Sprintf("the snapshot of the resume token, %s, is not among those that are sent", r.ToName)
	case r.FromGUID != "" && !has(p.Source.Snapshots, r.FromGUID) && !has(p.Source.Bookmarks, r.FromGUID):
		return "what the resume token begins with is not there any more"
	case r.Raw != (plan.Raw && plan.Encrypted):
		return "the resume token is of a stream of the other kind (raw or plain)"
	}
	return ""
}

// legs sends what is missing.
func (t *transfer) legs(ctx context.Context, plan drivers.SendingPair, p state.Pair) error {
	j := judge(&p.Source, p.Target, inPlan(plan), plan.Raw)
	if j.Diverged != nil && (j.Diverged.Kind != modified || len(j.Legs) > 0) {
		return errors.New(j.Diverged.what(p, j.Basis))
	}
	for _, l := range j.Legs {
		if l.From == "" && !plan.Full {
			return errors.New("the target is gone since it was planned: it is not sent whole unasked")
		}
		if err := t.expect(ctx, p, guidsOf(j.Sends)); err != nil {
			return err
		}
		err := t.stream(ctx, plan, p, streamOf(t.Sending, p, l, plan))
		if is(zfs.ErrLargeBlocks)(err) && !plan.LargeBlocks { // nothing was known of how it was begun
			plan.LargeBlocks = true
			err = t.stream(ctx, plan, p, streamOf(t.Sending, p, l, plan))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// streamOf is the sender of a leg.
func streamOf(w *drivers.Sending, p state.Pair, l leg, plan drivers.SendingPair) host.Command {
	s := flagsOf(w, plan)
	s.Snapshot, s.From, s.Between = p.Source.Name+"@"+l.To.Name, l.From, l.Between > 0
	return s.Send()
}

// resumeOf is the sender of what broke off.
func resumeOf(w *drivers.Sending, p state.Pair, plan drivers.SendingPair) (host.Command, error) {
	return flagsOf(w, plan).Resume(p.Target.Token)
}

func flagsOf(w *drivers.Sending, plan drivers.SendingPair) zfs.Stream {
	return zfs.Stream{Raw: plan.Raw, Compressed: w.Compressed, LargeBlocks: plan.LargeBlocks}
}

// anchor looks what has arrived, and leaves of what keeps it only what is needed.
func (t *transfer) anchor(ctx context.Context) error {
	pairs, _, err := t.look(ctx, t.Sending)
	if err != nil {
		return fmt.Errorf("look what has arrived: %w", err)
	}
	if err := t.settleReceived(ctx, pairs); err != nil {
		return err
	}
	t.note(pairs)
	known, err := t.known(ctx)
	if err != nil {
		return err
	}
	var all anchors
	var hold []string
	var errs []error
	for _, p := range pairs {
		b := basisOf(p)
		if b == nil {
			continue
		}
		a := anchor(t.Replication, p, b, underWay(p), needed(known, place(t.To, t.Target), p.Source.GUID, p.Target.GUID))
		if err := t.bookmark(ctx, a); err != nil { // then the hold stays, and the older bookmark
			errs = append(errs, err)
			continue
		}
		all.Release, all.Drop, all.Let = append(all.Release, a.Release...), append(all.Drop, a.Drop...), append(all.Let, a.Let...)
		if a.Hold != "" {
			hold = append(hold, a.Hold)
		}
	}
	sources, targets := endsOf(pairs)
	err = t.tag(ctx, t.To, Tag(t.Replication), targets, hold, true)
	if err == nil { // else the older hold stays
		err = t.tag(ctx, t.To, Tag(t.Replication), targets, all.Let, false)
	}
	errs = append(errs, err, t.tag(ctx, t.From, sourceTag(t.Replication), sources, all.Release, false), t.letTurned(ctx, pairs))
	for _, name := range all.Drop {
		dataset, bookmark, _ := strings.Cut(name, "#")
		errs = append(errs, t.each(ctx, t.From, []host.Command{zfs.DestroyBookmark(dataset, bookmark)}, is(zfs.ErrNotExist)))
	}
	return errors.Join(errs...)
}

func (t *transfer) bookmark(ctx context.Context, a anchors) error {
	if a.Bookmark[0] == "" {
		return nil
	}
	_, name, _ := strings.Cut(a.Bookmark[1], "#")
	return t.each(ctx, t.From, []host.Command{zfs.Bookmark(a.Bookmark[0], name)}, is(zfs.ErrExists))
}

// basisOf is what both ends of a pair have in common, nil where one is not there.
func basisOf(p state.Pair) *basis {
	if p.Target == nil {
		return nil
	}
	return common(&p.Source, p.Target)
}

// underWay are the guids of what a resume token needs.
func underWay(p state.Pair) map[string]bool {
	under := map[string]bool{}
	if r := p.Target.Resume; p.Target.Token != "" && r != nil {
		under[r.ToGUID], under[r.FromGUID] = true, true
	}
	return under
}
