package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Apply takes or prunes. What is about to be taken is remembered first, so that a snapshot whose dplane died is known
// again.
func (d *Driver) Apply(ctx context.Context, a drivers.Action) error {
	switch {
	case a.Taking != nil:
		return d.take(ctx, a)
	case a.Verb == drivers.Destroy:
		return d.prune(ctx, a)
	}
	return d.release(ctx, a)
}

// remembered is a copy of what is remembered of a dataset, to be changed.
func (d *Driver) remembered(guid string) *state.Taken {
	t := &state.Taken{}
	if was := d.taken[guid]; was != nil {
		*t = *was
		t.Snapshots = slices.Clone(was.Snapshots)
	}
	return t
}

// fresh is how old the list may be that is the check before a prune (PRODUCT.md section 4, promise 4).
const fresh = 60 * time.Second

// prune destroys what goes, after a look at whether it still may.
func (d *Driver) prune(ctx context.Context, a drivers.Action) error {
	t := d.remembered(a.GUID)
	if a.Counts != "" && !slices.ContainsFunc(t.Snapshots, func(s state.TakenSnapshot) bool { return s.Name == a.Counts && !s.Pending && s.Gone.IsZero() }) {
		return fmt.Errorf("prune %s: %w: %s was not taken, and it was decided with that one", a.Object.Name, drivers.ErrMoot, a.Counts)
	}
	if d.Now().Sub(d.listed[string(spec.DatasetName(a.Object.Name).Pool())]) > fresh {
		if err := d.lookAgain(ctx, a); err != nil {
			return err
		}
	}
	if err := drivers.Apply(ctx, d.Runner, a); err != nil {
		return err
	}
	t.Snapshots = slices.DeleteFunc(t.Snapshots, func(s state.TakenSnapshot) bool { return slices.Contains(a.Destroy, s.GUID) })
	return d.save(ctx, map[string]*state.Taken{a.GUID: t})
}

// lookAgain lists the dataset's snapshots: each that goes must be there as it was, or be gone.
func (d *Driver) lookAgain(ctx context.Context, a drivers.Action) error {
	list, missing, err := d.snapshots(ctx, []string{a.Object.Name})
	if err != nil || missing {
		return fmt.Errorf("prune %s: look at its snapshots again: %w", a.Object.Name, cmpErr(err))
	}
	names := map[string]string{} // those that go, with their guids
	for i, f := range a.Fields {
		names[f.Name] = a.Destroy[i]
	}
	var newest state.Snapshot
	for _, s := range list {
		if guid, goes := names[s.Name]; goes && (s.GUID != guid || s.Holds > 0 || len(s.Clones) > 0) {
			return fmt.Errorf("prune %s: %w: %s is another one, held or cloned since", a.Object.Name, drivers.ErrMoot, s.Name)
		}
		if s.TXG >= newest.TXG {
			newest = s
		}
	}
	if names[newest.Name] != "" { // it was rolled back meanwhile
		return fmt.Errorf("prune %s: %w: %s is the newest snapshot now, which is never pruned", a.Object.Name, drivers.ErrMoot, newest.Name)
	}
	return nil
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("the dataset is gone")
	}
	return err
}

// take runs what quiesces, takes what is due, and ends what it quiesced, whatever happened.
func (d *Driver) take(ctx context.Context, a drivers.Action) error {
	if err := d.expect(ctx, a); err != nil {
		return fmt.Errorf("write down what is about to be taken: %w", err)
	}
	left, quiet := d.quiesce(ctx, a)
	taken, failed := d.most(ctx, a.Taking.Mark, left)
	for guid, why := range quiet.skipped {
		failed[guid] = why
	}
	still := d.resume(ctx, a)
	all := []error{quiet.err, d.know(ctx, a, taken, failed, still)}
	for _, err := range still {
		all = append(all, fmt.Errorf("end what was quiesced, which is tried again: %w", err))
	}
	var why error
	for _, t := range a.Taking.Of {
		if err := failed[t.GUID]; err != nil {
			why = err
		}
	}
	if n := len(failed); n > 0 {
		all = append(all, fmt.Errorf("take snapshots: %d of %d dataset(s) could not be snapshotted: %w", n, len(a.Taking.Of), why))
	}
	err := errors.Join(all...)
	if err != nil && len(taken) > 0 {
		return &drivers.Partial{Err: err, Rests: true}
	}
	return err
}

// expect remembers what is about to be taken, and what must run after what quiesces.
func (d *Driver) expect(ctx context.Context, a drivers.Action) error {
	changed := map[string]*state.Taken{}
	now := d.Now()
	hooks := map[int]bool{}
	for _, t := range a.Taking.Of {
		m := d.remembered(t.GUID)
		m.Snapshots = append(m.Snapshots, state.TakenSnapshot{Name: t.Name, Creation: now, Pending: true, Expires: t.Expires})
		if t.Hook > 0 && !hooks[t.Hook] && a.Taking.Hooks[t.Hook-1].After != nil {
			h := a.Taking.Hooks[t.Hook-1].After
			m.Quiesced = &state.Quiesced{Run: h.Argv, Timeout: h.Timeout, At: now}
			hooks[t.Hook] = true
		}
		changed[t.GUID] = m
	}
	return d.save(ctx, changed)
}

// quiet is what came of quiescing.
type quiet struct {
	err     error            // of programs whose failure does not matter
	skipped map[string]error // guids of datasets that are left out
}

// quiesce runs each program that comes before, and gives what is to be taken.
func (d *Driver) quiesce(ctx context.Context, a drivers.Action) (left []drivers.Taken, q quiet) {
	q.skipped = map[string]error{}
	failed := map[int]error{}
	for i, h := range a.Taking.Hooks {
		if h.Before == nil {
			continue
		}
		if _, err := d.Runner.Run(ctx, *h.Before); err != nil && h.Skip {
			failed[i+1] = fmt.Errorf("%w: %w", errLoud, err)
		} else if err != nil {
			q.err = errors.Join(q.err, fmt.Errorf("it is taken although it could not be quiesced: %w", err))
		}
	}
	for _, t := range a.Taking.Of {
		if err := failed[t.Hook]; err != nil {
			q.skipped[t.GUID] = err
		} else {
			left = append(left, t)
		}
	}
	return left, q
}

// resume runs each program that comes after, the last first, also where dplane is told to stop. It gives those that
// failed, by the number of the hook.
func (d *Driver) resume(ctx context.Context, a drivers.Action) (failed map[int]error) {
	failed = map[int]error{}
	for i, h := range slices.Backward(a.Taking.Hooks) {
		if h.After == nil {
			continue
		}
		if _, err := d.Runner.Run(context.WithoutCancel(ctx), *h.After); err != nil {
			failed[i+1] = err
		}
	}
	return failed
}

// release runs what a dplane that died left to be run.
func (d *Driver) release(ctx context.Context, a drivers.Action) error {
	if err := drivers.Apply(ctx, d.Runner, a); err != nil {
		return err
	}
	m := d.remembered(a.GUID)
	m.Quiesced = nil
	return d.save(ctx, map[string]*state.Taken{a.GUID: m})
}

// know remembers what became of it.
func (d *Driver) know(ctx context.Context, a drivers.Action, taken map[string]bool, failed map[string]error, still map[int]error) error {
	changed := map[string]*state.Taken{}
	for _, t := range a.Taking.Of {
		m := d.remembered(t.GUID)
		i := slices.IndexFunc(m.Snapshots, func(s state.TakenSnapshot) bool { return s.Name == t.Name && s.Pending })
		if t.Hook > 0 && still[t.Hook] == nil {
			if after := a.Taking.Hooks[t.Hook-1].After; after != nil && m.Quiesced.Is(after.Argv) {
				m.Quiesced = nil
			}
		}
		switch err := failed[t.GUID]; {
		case i < 0:
		case taken[t.GUID]:
			m.Snapshots[i].Pending = false
			m.Failed, m.Why = time.Time{}, ""
		case untaken(err):
			m.Snapshots = slices.Delete(m.Snapshots, i, i+1)
			if errors.Is(err, errLoud) || !hopeless(err) {
				m.Failed, m.Why = d.Now(), err.Error()
			}
		} // else the next list tells whether it is there
		changed[t.GUID] = m
	}
	if err := d.save(ctx, changed); err != nil {
		return fmt.Errorf("write down what was taken: %w", err)
	}
	return nil
}

// untaken tells whether a failed command is sure to have taken nothing: zfs takes all that one names, or none.
func untaken(err error) bool {
	var exit *host.ExitError
	return errors.As(err, &exit) || errors.Is(err, errNotTried) || errors.Is(err, errLoud)
}

// errLoud is a dataset that could not be quiesced.
var errLoud = errors.New("it could not be quiesced, and is left out")

// errNotTried is a dataset whose turn never came.
var errNotTried = errors.New("not tried after so many failures")

// attempts is how many commands one instant is worth where zfs refuses some of it: each that takes anything is a
// transaction group of its own.
const attempts = 40

// most takes all of them at one instant or, where zfs refuses some, as many as it lets: the one that it names is left
// out, and where it names none each half is tried for itself. It gives the guids of the datasets.
func (d *Driver) most(ctx context.Context, mark string, all []drivers.Taken) (taken map[string]bool, failed map[string]error) {
	taken, failed = map[string]bool{}, map[string]error{}
	left := attempts
	var try func(part []drivers.Taken)
	try = func(part []drivers.Taken) {
		for len(part) > 0 {
			commands := zfs.TakeSnapshots(mark, wholeNames(part))
			if len(commands) > 1 { // more than a command line holds
				try(part[:len(part)/2])
				part = part[len(part)/2:]
				continue
			}
			err := errNotTried
			if left > 0 && ctx.Err() == nil {
				left--
				_, err = d.Runner.Run(ctx, commands[0])
			}
			if err == nil {
				for _, t := range part {
					taken[t.GUID] = true
				}
				return
			}
			rest := part
			if named := zfs.Refuses(err); len(named) > 0 && left > attempts/2 {
				rest = slices.DeleteFunc(slices.Clone(part), func(t drivers.Taken) bool { return slices.Contains(named, t.Dataset) })
			}
			switch {
			case len(rest) < len(part):
				for _, t := range part {
					if !slices.ContainsFunc(rest, func(r drivers.Taken) bool { return r.GUID == t.GUID }) {
						failed[t.GUID] = err
					}
				}
				part = rest
			case len(part) == 1 || hopeless(err):
				for _, t := range part {
					failed[t.GUID] = err
				}
				return
			default:
				try(part[:len(part)/2])
				part = part[len(part)/2:]
			}
		}
	}
	try(all)
	return taken, failed
}

// hopeless tells whether no part of what failed would fare better, and none is to blame: it was not tried, zfs gave no
// answer, or nothing can be written at all.
func hopeless(err error) bool {
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return true
	}
	for _, kind := range []error{zfs.ErrNoModule, zfs.ErrPermission, zfs.ErrSuspended} {
		if errors.Is(zfs.Classify(err), kind) {
			return true
		}
	}
	return false
}

func wholeNames(part []drivers.Taken) []string {
	names := make([]string, len(part))
	for i, t := range part {
		names[i] = t.Dataset + "@" + t.Name
	}
	return names
}
