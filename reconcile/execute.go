package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Outcome is how one action ended.
type Outcome struct {
	Action  Planned
	Outcome string // state.Done, Failed, Refused, Skipped, Interrupted
	Err     error
}

// Outcomes are those of a whole plan, in its order; actions that were held or blocked are not in it.
type Outcomes []Outcome

// Count is the number of actions that ended in one of these ways.
func (o Outcomes) Count(outcomes ...string) int {
	n := 0
	for _, x := range o {
		for _, want := range outcomes {
			if x.Outcome == want {
				n++
			}
		}
	}
	return n
}

// execute carries out what may run: each action is written down before and after. Independent actions
// go on when one fails; what waited for it is skipped.
func (l *Loop) execute(ctx context.Context, p *Plan, by string, allow map[string]bool) Outcomes {
	var out Outcomes
	var long lanes                // begun when all else is done: what is set right before it is out of its way
	failed := map[string]string{} // id -> what was not carried out
	for _, a := range p.Actions {
		if !a.Runnable() {
			failed[a.ID] = a.Object.String()
			continue
		}
		allowed, vain := a.Named || allow[a.ID], p.vain(a, failed)
		if a.Long && l.Lanes != nil && vain == "" {
			long.add(task{a, allowed})
			continue
		}
		o := l.one(ctx, a, p.Generation, by, allowed, vain)
		var partial *drivers.Partial
		if o.Outcome != state.Done && !errors.As(o.Err, &partial) {
			failed[a.ID] = a.Object.String()
		}
		if l.Progress != nil {
			l.Progress(o)
		}
		out = append(out, o)
	}
	for _, of := range long.order {
		l.begin(ctx, of, long.tasks[of], p.Generation, by)
	}
	return out
}

// one carries out one action, unless vain says why it can't come to anything.
func (l *Loop) one(ctx context.Context, a Planned, generation, by string, allowed bool, vain string) Outcome {
	if vain != "" {
		err := fmt.Errorf("%s %s: skipped, %s", a.Verb, a.Object, vain)
		l.note(err.Error(), generation)
		return Outcome{a, state.Skipped, err}
	}
	if err := ctx.Err(); err != nil {
		return Outcome{a, state.Interrupted, fmt.Errorf("%s %s: not begun: %w", a.Verb, a.Object, err)}
	}
	if l.Enter != nil {
		inside, leave, err := l.Enter(ctx, a)
		if err != nil {
			err = fmt.Errorf("%s %s: %w", a.Verb, a.Object, err)
			l.note(err.Error(), generation)
			return Outcome{a, state.Refused, err}
		}
		defer leave()
		ctx = inside
	}
	intent := l.intent(a, generation, by, allowed)
	id, err := l.Store.Begin(context.WithoutCancel(ctx), intent)
	if err != nil { // nothing is done that is not written down first
		return Outcome{a, state.Failed, fmt.Errorf("%s %s: write down the intent: %w", a.Verb, a.Object, err)}
	}
	err = l.driver(a.Object.Kind).Apply(ctx, a.Action)
	outcome := outcomeOf(err)
	if l.Progress == nil { // else the person is told there, and once is enough
		l.log(outcome, a, err)
	}
	if e := l.Store.Finish(context.WithoutCancel(ctx), id, outcome, text(err), l.Clock.Now()); e != nil && err == nil {
		l.Log.Error("write down the outcome", "kind", a.Object.Kind, "name", a.Object.Name, "err", e)
	}
	return Outcome{a, outcome, err}
}

func outcomeOf(err error) string {
	var changed *host.Unexpected
	switch {
	case err == nil:
		return state.Done
	case errors.As(err, &changed):
		return state.Refused
	case errors.Is(err, drivers.ErrMoot):
		return state.Skipped
	case errors.Is(err, context.Canceled):
		return state.Interrupted
	}
	return state.Failed
}

func (l *Loop) intent(a Planned, generation, by string, allowed bool) state.Event {
	now := l.Clock.Now()
	commands := make([][]string, len(a.Steps))
	for i, c := range a.Steps {
		commands[i] = kept(c.Words())
	}
	return state.Event{
		At: now, Type: "action", Level: "info", Generation: generation,
		Message: describe(a.Action),
		Action: &state.Action{
			ID: a.ID, Kind: string(a.Object.Kind), Name: a.Object.Name, Verb: string(a.Verb), Risk: a.Risk.String(),
			Reason: because(a.Reason), Commands: commands,
			Outcome: state.Started, Started: now, By: by, Allowed: allowed,
		},
	}
}

// keptWords is how many words of a command the journal keeps: a schedule names a thousand datasets in one, every hour.
const keptWords = 200

// kept is a command line as the journal keeps it.
func kept(argv []string) []string {
	if len(argv) <= keptWords {
		return argv
	}
	return append(slices.Clone(argv[:keptWords]), fmt.Sprintf("... and %d more", len(argv)-keptWords))
}

// because is a reason in one line: "drift (home.yaml:7): compression is lz4 (local)".
func because(r drivers.Reason) string {
	s := r.Code
	if r.At != "" {
		s += " (" + r.At + ")"
	}
	if r.Observed != "" {
		s += ": " + r.Observed
	}
	return s
}

// described is how many fields a line of the journal names; its commands have them all.
const described = 16

// describe says what changes in one line.
func describe(a drivers.Action) string {
	if len(a.Fields) == 0 {
		return a.Reason.Code
	}
	var parts []string
	for i, f := range a.Fields {
		if i == described {
			parts = append(parts, fmt.Sprintf("and %d more", len(a.Fields)-i))
			break
		}
		if f.From == "" {
			parts = append(parts, fmt.Sprintf("%s=%s", f.Name, f.To))
		} else {
			parts = append(parts, fmt.Sprintf("%s: %s -> %s", f.Name, f.From, f.To))
		}
	}
	return strings.Join(parts, ", ")
}

func (l *Loop) log(outcome string, a Planned, err error) {
	attrs := []any{"kind", a.Object.Kind, "name", a.Object.Name, "verb", a.Verb, "risk", a.Risk.String(), "outcome", outcome}
	if err != nil {
		l.Log.Error(describe(a.Action), append(attrs, "err", err)...)
		return
	}
	l.Log.Info(describe(a.Action), attrs...)
}

func (l *Loop) driver(k spec.Kind) drivers.Driver {
	for _, d := range l.Drivers {
		if d.Kind() == k {
			return d
		}
	}
	panic("no driver for an action of kind " + string(k)) // its own Diff made it
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
