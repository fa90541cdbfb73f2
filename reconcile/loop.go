package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Loop is what a step needs. The CLI and the daemon share it.
type Loop struct {
	Drivers  []drivers.Driver // in the order in which they observe
	Runner   host.Runner      // for what is no action of a plan: taking back a try
	Store    Store
	Clock    Clock
	Log      *slog.Logger
	Render   func(*Plan) ([]byte, error) // the plan's JSON document, as the record keeps it
	Progress func(Outcome)               // told of each action that ended; may be nil
	Lanes    *Lanes                      // where long work goes on; nil: it is done where it stands
	// Enter is asked before each action, and may refuse it: what it is about may be another node's by now. leave follows. May be nil.
	Enter   func(ctx context.Context, a Planned) (inside context.Context, leave func(), err error)
	Invalid string        // why newer files are not in force; recorded for status
	Role    func() string // of this node in its HA group, as it is now; nil: standby, which only receives
	Frozen  func() string // why replication and pruning in the group stand still now, "" where they don't; nil: they don't
}

// Step is the result of one pass.
type Step struct {
	Plan      *Plan           // what was to be done
	Outcomes  Outcomes        // what was done
	Lanes     Outcomes        // long work that ended since the step before
	Remaining *Plan           // what is still to be done, by a second look where anything was done
	Observed  *state.Observed // by the last look
}

// Observe takes one look at the machine, and adds what is remembered of it.
func (l *Loop) Observe(ctx context.Context, want *spec.Spec) (*state.Observed, error) {
	obs := state.NewObserved(l.Clock.Now(), want.Node.Name)
	if want.HA != nil {
		obs.Role = spec.RoleStandby
		if l.Role != nil {
			obs.Role = l.Role()
		}
		if l.Frozen != nil {
			obs.Frozen = l.Frozen()
		}
	}
	if c, ok := l.Clock.(interface{ Synchronised() string }); ok {
		obs.Clock = c.Synchronised()
	}
	recorded, err := l.Store.Recorded(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what was recorded: %w", err)
	}
	obs.Recorded = recorded
	obs.Running = l.running(&want.Daemon)
	return obs, l.look(ctx, want, obs, l.Drivers)
}

func (l *Loop) look(ctx context.Context, want *spec.Spec, obs *state.Observed, by []drivers.Driver) error {
	for _, d := range by {
		if err := d.Observe(ctx, want, obs); err != nil {
			return fmt.Errorf("observe %ss: %w", d.Kind(), err)
		}
	}
	return nil
}

// Plan looks and plans; nothing is changed.
func (l *Loop) Plan(ctx context.Context, want *spec.Spec, consent Consent) (*Plan, *state.Observed, error) {
	obs, err := l.Observe(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	return l.decide(want, obs, consent), obs, nil
}

func (l *Loop) decide(want *spec.Spec, obs *state.Observed, consent Consent) *Plan {
	in := drivers.Input{Want: want, Have: obs, Now: obs.At, Wipe: consent.Wipe, Restore: consent.Restore, Send: consent.Send, Patient: consent.Patience != nil}
	return Build(in, l.Drivers, consent)
}

// Carry carries out a plan made from obs, looks again, and records both. by is who asked. Only an
// error of the looking or the recording is returned; what became of the actions is in the Step.
func (l *Loop) Carry(ctx context.Context, want *spec.Spec, p *Plan, obs *state.Observed, consent Consent, by string) (Step, error) {
	s := Step{Plan: p, Remaining: p, Observed: obs}
	if err := l.tellForgotten(context.WithoutCancel(ctx), obs); err != nil {
		return s, err
	}
	s.Lanes = l.Lanes.take()
	after := context.WithoutCancel(ctx)
	if err := l.learn(after, consent.Patience, s.Lanes); err != nil {
		return s, err
	}
	if len(s.Lanes) > 0 {
		consent.Patience.review(p, l.Clock.Now()) // it was made before that was heard
	}
	s.Outcomes = l.execute(ctx, p, by, consent.Allow)
	if len(s.Outcomes) > 0 {
		err := l.learn(after, consent.Patience, s.Outcomes)
		if err != nil {
			return s, err
		}
		if err := l.again(after, want, &s, consent.spent()); err != nil {
			return s, err
		}
		l.verify(&s)
	}
	return s, l.record(after, want, s, l.whole(want, s, consent), by)
}

// sameLook is how old a look may be of which a part stands for the next one.
const sameLook = time.Minute

// again looks once more, and plans what is left. After work that was apart, and went well, only its own drivers look:
// a tick in which a schedule takes snapshots costs one look at all datasets, not two.
func (l *Loop) again(ctx context.Context, want *spec.Spec, s *Step, consent Consent) (err error) {
	now := l.Clock.Now().UTC()
	by, enough := l.apart(s, now)
	if !enough {
		s.Remaining, s.Observed, err = l.Plan(ctx, want, consent)
		return err
	}
	obs := *s.Observed
	obs.At, obs.Again = now, true
	if err := l.look(ctx, want, &obs, by); err != nil {
		return err
	}
	s.Remaining, s.Observed = l.decide(want, &obs, consent), &obs
	return nil
}

// apart are the drivers that must look again, where all that was done was apart and went well, not long after the first
// look.
func (l *Loop) apart(s *Step, now time.Time) (by []drivers.Driver, enough bool) {
	if age := now.Sub(s.Observed.At); age < 0 || age > sameLook {
		return nil, false
	}
	for _, o := range s.Outcomes {
		if o.Outcome != state.Done || !o.Action.Apart {
			return nil, false
		}
		if d := l.driver(o.Action.Object.Kind); !slices.Contains(by, d) {
			by = append(by, d)
		}
	}
	return by, true
}

// learn keeps what the outcomes tell before anything else can go wrong.
func (l *Loop) learn(ctx context.Context, p *Patience, done Outcomes) error {
	if p == nil || len(done) == 0 {
		return nil
	}
	p.take(done, l.Clock.Now())
	return l.Remember(ctx, p)
}

// whole is all that is still to be done: what a person left out of his plan is not done by that, and status must
// say so.
func (l *Loop) whole(want *spec.Spec, s Step, consent Consent) *Plan {
	if consent.Select.All() {
		return s.Remaining
	}
	consent.Select = Selection{}
	return Build(drivers.Input{Want: want, Have: s.Observed, Now: s.Observed.At, Patient: consent.Patience != nil}, l.Drivers, consent.spent())
}

// errUndone is an action of which nothing is to be seen: it never worked, or somebody took it back at once.
var errUndone = errors.New("the commands succeeded, and a second look shows no change")

// verify turns an action that ran without an error, and is still to be done, into a failed one: done
// means seen, never an exit status alone.
func (l *Loop) verify(s *Step) {
	still := map[string]bool{}
	for _, a := range s.Remaining.Actions {
		still[a.ID] = true
	}
	for i, o := range s.Outcomes {
		if o.Outcome != state.Done || !still[o.Action.ID] {
			continue
		}
		err := fmt.Errorf("%s %s: %w", o.Action.Verb, o.Action.Object, errUndone)
		s.Outcomes[i].Outcome, s.Outcomes[i].Err = state.Failed, err
		l.note(err.Error(), s.Plan.Generation)
	}
}

func (l *Loop) record(ctx context.Context, want *spec.Spec, s Step, remaining *Plan, by string) error {
	body, err := l.Render(remaining)
	if err != nil {
		return fmt.Errorf("render the plan: %w", err)
	}
	r := state.Record{At: s.Observed.At, Generation: want.Generation, Observed: s.Observed, Plan: body, Invalid: l.Invalid, Declared: state.Declare(want)}
	if by == ByDaemon {
		r.Interval = want.Daemon.Interval.Std()
	}
	r.Errors, r.Ended = s.Errors(), s.ended()
	if err := l.Store.SaveRecord(ctx, r); err != nil {
		return fmt.Errorf("record the step: %w", err)
	}
	return nil
}

// ended are the guids of the datasets that this step destroyed, as a person allowed it, and that are seen no more. Of an
// action that failed half way it is what it got to; of a pool that can't be seen now nothing is known.
func (s *Step) ended() []string {
	seen := map[string]bool{}
	for _, d := range s.Observed.Datasets {
		seen[d.GUID] = true
	}
	var gone []string
	for _, o := range s.Outcomes {
		pool := string(spec.DatasetName(o.Action.Object.Name).Pool())
		if o.Outcome == state.Skipped || s.Observed.Pools[pool] == nil || s.Observed.UnseenPool(pool) != "" {
			continue
		}
		for _, guid := range o.Action.Ends {
			if !seen[guid] {
				gone = append(gone, guid)
			}
		}
	}
	return gone
}

// ByDaemon is who asks for the loop's own steps.
const ByDaemon = "daemon"

// Errors are what an operator must know of this step.
func (s *Step) Errors() []string {
	var out []string
	if s.Observed.ZFS.Error != "" {
		out = append(out, s.Observed.ZFS.Error)
	}
	for _, u := range s.Observed.Unseen {
		out = append(out, fmt.Sprintf("pool %s: %s", u.Pool, u.Why))
	}
	for _, o := range slices.Concat(s.Lanes, s.Outcomes) {
		if o.Err != nil {
			out = append(out, o.Err.Error())
		}
	}
	return out
}

func (l *Loop) note(msg, generation string) {
	e := state.Event{At: l.Clock.Now(), Type: "action", Level: state.Warn, Message: msg, Generation: generation}
	if err := l.Store.Log(context.Background(), e); err != nil {
		l.Log.Error("write an event", "err", err)
	}
}

// Settle looks at intents that a killed process left behind: the next look at the machine decides what
// they did, they are never repeated blindly. p, of the loop, learns which were its own; nil is a person's.
// What runs in a lane is not among them.
func (l *Loop) Settle(ctx context.Context, want *spec.Spec, p *Patience) error {
	open, err := l.Store.Unsettled(ctx)
	if err != nil {
		return fmt.Errorf("read unfinished intents: %w", err)
	}
	now := l.running(&want.Daemon)
	open = slices.DeleteFunc(open, func(e state.Event) bool {
		return busy(now, spec.Ref{Kind: spec.Kind(e.Action.Kind), Name: e.Action.Name})
	})
	if p != nil && len(open) > 0 {
		p.died(open, l.Clock.Now())
		if err := l.Remember(ctx, p); err != nil {
			return err
		}
	}
	for _, e := range open {
		const why = "dplane ended while this ran; the next look at the machine decides what is left to do"
		if err := l.Store.Finish(ctx, e.ID, state.Interrupted, why, l.Clock.Now()); err != nil {
			return fmt.Errorf("settle an intent: %w", err)
		}
	}
	return nil
}

// Wait blocks until d is over, a poke comes, or ctx ends; it tells whether to go on.
func (l *Loop) Wait(ctx context.Context, d time.Duration, poke <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-poke:
		return true
	case <-l.Clock.After(d):
		return true
	}
}
