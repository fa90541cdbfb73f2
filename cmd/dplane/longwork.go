package main

import (
	"context"
	"errors"
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// longWork is what a command does in a lane: it holds the lock while it plans and begins, and waits for the end without.
type longWork struct {
	*app
	want    *spec.Spec
	lock    *reconcile.Lock
	loop    *reconcile.Loop
	consent reconcile.Consent
}

// longWork settles what a killed command left, under the lock, and then does it.
func (a *app) longWork(ctx context.Context, want *spec.Spec, consent reconcile.Consent, by string, do func(w *longWork) error) error {
	outliveReaders()
	lock, err := a.lock(ctx, want, by, exitFailed)
	if err != nil {
		return err
	}
	defer lock.Release()
	db, err := a.openStore(want.Daemon.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	l := a.loop(db, true)
	l.Progress, l.Lanes = a.progress, &reconcile.Lanes{Dirs: reconcile.LaneDirs(&want.Daemon)}
	if err := l.Settle(ctx, want, nil); err != nil {
		return err
	}
	return do(&longWork{a, want, lock, l, consent})
}

// carry carries a plan out, and waits for its end. not says what it is that another process does already.
func (w *longWork) carry(ctx context.Context, p *reconcile.Plan, obs *state.Observed, not string) (reconcile.Step, error) {
	s, err := w.loop.Carry(ctx, w.want, p, obs, w.consent, who())
	if err == nil {
		err = w.awaitLanes(ctx, w.loop, w.want, w.lock, &s)
	}
	if err != nil {
		return s, err
	}
	for _, o := range s.Outcomes {
		if errors.Is(o.Err, reconcile.ErrUnderWay) {
			return s, failf("dplane status tells when it is over", "%s: %w", not, o.Err)
		}
	}
	return s, nil
}

// awaitLanes waits for the long work that was begun, without the lock: the loop and other people go on meanwhile. Then it
// looks again and records what is left.
func (a *app) awaitLanes(ctx context.Context, l *reconcile.Loop, want *spec.Spec, lock *reconcile.Lock, s *reconcile.Step) error {
	lock.Release()
	done := l.Lanes.Wait()
	if len(done) == 0 {
		return nil
	}
	s.Outcomes = append(s.Outcomes, done...)
	again, err := a.lock(context.WithoutCancel(ctx), want, "dplane: recording", exitFailed)
	if err != nil {
		return nil //nolint:nilerr // whoever has it records as well
	}
	defer again.Release()
	after, consent := context.WithoutCancel(ctx), reconcile.ByHand(&want.Daemon.Limits, nil)
	if again.Follows(lock) { // nobody else changed anything meanwhile
		err = l.LookOn(after, want, s, consent, who())
	} else {
		var now reconcile.Step
		now, err = l.Look(after, want, consent, who())
		s.Remaining, s.Observed = now.Remaining, now.Observed
	}
	if err != nil {
		return err
	}
	return a.letGo(after, l, want, s, consent)
}

// letGo exports the removable pools that have all: whoever waited for a run may take the disk away after it.
func (a *app) letGo(ctx context.Context, l *reconcile.Loop, want *spec.Spec, s *reconcile.Step, consent reconcile.Consent) error {
	p := *s.Remaining
	p.Actions = slices.DeleteFunc(slices.Clone(p.Actions), func(x reconcile.Planned) bool { return x.Reason.Code != drivers.Sent })
	if len(p.Actions) == 0 {
		return nil
	}
	done, err := l.Carry(ctx, want, &p, s.Observed, consent, who())
	s.Outcomes, s.Remaining, s.Observed = append(s.Outcomes, done.Outcomes...), done.Remaining, done.Observed
	return err
}
