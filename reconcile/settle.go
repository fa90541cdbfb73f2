package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// SettleTry takes back a try whose time is over, or that a crash stopped while it was taken back. It gives the one
// that still waits for its confirmation. It is for whoever holds the lock: then no living apply has the try.
func (l *Loop) SettleTry(ctx context.Context, f TryFile) (pending *Try, err error) {
	t, err := f.Reverting()
	if err != nil {
		return nil, err
	}
	if t != nil {
		if err := l.TakeBack(ctx, f, t, "it was begun to be taken back"); err != nil {
			return nil, err
		}
	}
	if t, err = f.Pending(); err != nil || t == nil {
		return nil, err
	}
	why := "nobody confirmed it by " + t.Deadline.UTC().Format(time.RFC3339)
	switch left := t.Deadline.Sub(l.Clock.Now()); {
	case left > LongestTry:
		why = "the clock was set back since, so that its time can't be told"
	case left > 0:
		return t, nil
	}
	return nil, l.Overdue(ctx, f, t, why)
}

// Overdue ends a try that waits, unless somebody confirmed it in this moment.
func (l *Loop) Overdue(ctx context.Context, f TryFile, t *Try, why string) error {
	ours, err := f.Overdue()
	if err != nil || !ours {
		return err
	}
	return l.TakeBack(ctx, f, t, why)
}

// TakeBack restores the values and sources from before a try. What fails is tried again by the next one who comes.
func (l *Loop) TakeBack(ctx context.Context, f TryFile, t *Try, why string) error {
	ctx = context.WithoutCancel(ctx)
	left, err := t.Revert(ctx, l.Runner)
	if err != nil {
		return fmt.Errorf("take back what was tried: %w", err)
	}
	for _, what := range left {
		l.tell(ctx, t, state.Warn, "a try was taken back but for this: "+what)
	}
	l.tell(ctx, t, state.Warn, fmt.Sprintf("what %s tried was taken back (%d values): %s", t.By, len(t.Undo)-len(left), why))
	return f.Reverted()
}

// Kept notes in the journal that somebody confirmed.
func (l *Loop) Kept(ctx context.Context, t *Try, by string) {
	l.tell(ctx, t, state.Info, fmt.Sprintf("what %s tried was confirmed by %s", t.By, by))
}

func (l *Loop) tell(ctx context.Context, t *Try, level, msg string) {
	e := state.Event{At: l.Clock.Now(), Type: "approval", Level: level, Generation: t.Generation, Message: msg}
	if err := l.Store.Log(ctx, e); err != nil {
		l.Log.Error("write an event", "err", err)
	}
}

// LookOn is Look after a step that nobody else's came after: only what it did is looked at, where that is enough.
func (l *Loop) LookOn(ctx context.Context, want *spec.Spec, s *Step, consent Consent, by string) error {
	consent = consent.spent()
	consent.Select = Selection{}
	if err := l.again(ctx, want, s, consent); err != nil {
		return err
	}
	return l.record(ctx, want, Step{Plan: s.Remaining, Remaining: s.Remaining, Observed: s.Observed}, s.Remaining, by)
}

// Look looks again and records what there is to be done, when nothing more is.
func (l *Loop) Look(ctx context.Context, want *spec.Spec, consent Consent, by string) (Step, error) {
	consent = consent.spent()
	consent.Select = Selection{}
	p, obs, err := l.Plan(ctx, want, consent)
	if err != nil {
		return Step{}, err
	}
	s := Step{Plan: p, Remaining: p, Observed: obs}
	return s, l.record(ctx, want, s, p, by)
}
