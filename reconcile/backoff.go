package reconcile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

const (
	// longest is the most that is waited for before an object that fails is tried again.
	longest = time.Hour
	// longestPart is the same for one that fails in part: what is well of it waits with it.
	longestPart = 5 * time.Minute
	// fightRounds are how often a value is set back before whoever changes it is left to win, within fightSpan.
	fightRounds = 3
	fightSpan   = 24 * time.Hour
)

// Patience is what the loop learned of objects that fail, and of values that somebody else keeps changing: the
// first are tried again ever later, the second are left alone. It ends when the files change and when a person
// applies. The zero value knows nothing; nil has none, which is a person's.
type Patience struct {
	Interval time.Duration // of the loop: what is waited for after a first failure
	Rand     *rand.Rand    // spreads the tries of objects that failed together; nil: no spread

	failures map[spec.Ref]*failure
	rounds   map[contested]*rounds
}

// resting is what rests after an action failed: its object. What a schedule takes and what it prunes rest apart, and
// no name has an @ at its end.
func resting(a drivers.Action) spec.Ref {
	if a.Scheduled && a.Verb == drivers.Destroy {
		return spec.Ref{Kind: a.Object.Kind, Name: a.Object.Name + "@"}
	}
	return a.Object
}

// failure is how often in a row an object failed, and what follows from it.
type failure struct {
	n     int
	until time.Time
	last  string
}

// contested is one value that somebody else may want otherwise.
type contested struct {
	object spec.Ref
	field  string
}

// rounds are the times at which a value was set back, the last fightRounds of them.
type rounds struct {
	at   []time.Time
	seen time.Time // when it was last different
	told bool
}

// Forget begins anew: the files changed, or a person looked after it.
func (p *Patience) Forget() { p.failures, p.rounds = nil, nil }

// delay is how long an object rests after n failures in a row: ever longer, and never the same for all.
func (p *Patience) delay(n int) time.Duration {
	d := p.Interval
	for range min(n-1, 30) {
		d = min(2*d, max(longest, p.Interval))
	}
	if p.Rand == nil {
		return d
	}
	return time.Duration(float64(d) * (0.75 + p.Rand.Float64()/2))
}

// hold says why the loop leaves an action alone for now, "" where it doesn't.
func (p *Patience) hold(a drivers.Action, now time.Time) string {
	if p == nil {
		return ""
	}
	if field := p.fought(a, now); field != "" {
		return fmt.Sprintf("a fight: %s was set back %d times and is different again, so something else sets it; left alone until the files change or dplane apply", field, fightRounds)
	}
	if f := p.failures[resting(a)]; f != nil && now.Before(f.until) {
		return fmt.Sprintf("waits until %s after %d failure(s): %s", f.until.UTC().Format(time.RFC3339), f.n, f.last)
	}
	return ""
}

// fought is the first value of the action that was set back too often, "" where none was.
func (p *Patience) fought(a drivers.Action, now time.Time) string {
	for _, k := range contestedBy(a) {
		if r := p.rounds[k]; r != nil && len(r.at) == fightRounds && (r.told || now.Sub(r.at[0]) <= fightSpan) {
			return k.field
		}
	}
	return ""
}

// contestedBy are the values that an action sets back; none where it is due for another reason.
func contestedBy(a drivers.Action) []contested {
	if a.Reason.Code != drivers.Drift || a.Verb != drivers.Update && a.Verb != drivers.Run {
		return nil
	}
	if len(a.Fields) == 0 {
		return []contested{{a.Object, string(a.Verb)}}
	}
	out := make([]contested, len(a.Fields))
	for i, f := range a.Fields {
		out[i] = contested{a.Object, f.Name}
	}
	return out
}

func (p *Patience) begin() {
	if p.failures == nil {
		p.failures, p.rounds = map[spec.Ref]*failure{}, map[contested]*rounds{}
	}
}

// take takes in what was done, before the second look.
func (p *Patience) take(done Outcomes, now time.Time) {
	p.begin()
	for _, o := range done {
		switch o.Outcome {
		case state.Done:
			p.done(o.Action.Action, now)
		case state.Failed, state.Refused:
			var partial *drivers.Partial
			part := errors.As(o.Err, &partial)
			if part && partial.Rests {
				continue
			}
			p.failed(resting(o.Action.Action), firstLine(text(o.Err)), now)
			if f := p.failures[resting(o.Action.Action)]; part && f.until.After(now.Add(longestPart)) {
				f.until = now.Add(longestPart)
			}
		}
	}
}

// review holds what rests by what was learned since the plan was made.
func (p *Patience) review(plan *Plan, now time.Time) {
	for i := range plan.Actions {
		if a := &plan.Actions[i]; a.Runnable() {
			a.Held = p.hold(a.Action, now)
		}
	}
}

// Learn takes in what is left after a step of the loop, and gives the fights that are new.
func (p *Patience) Learn(s Step, now time.Time) (fights []string) {
	p.begin()
	fights = p.fights(s.Plan, now)
	p.expire(s, now)
	return fights
}

func (p *Patience) failed(object spec.Ref, why string, now time.Time) {
	f := p.failures[object]
	if f == nil {
		f = &failure{}
		p.failures[object] = f
	}
	if now.Before(f.until) {
		return // another action of the same object failed in this very step
	}
	f.n, f.last = f.n+1, why
	f.until = now.Add(p.delay(f.n))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func (p *Patience) done(a drivers.Action, now time.Time) {
	if f := p.failures[resting(a)]; f != nil && !now.Before(f.until) {
		delete(p.failures, resting(a))
	}
	for _, k := range contestedBy(a) {
		r := p.rounds[k]
		if r == nil {
			r = &rounds{}
			p.rounds[k] = r
		}
		r.at, r.seen = append(r.at, now), now
		r.at = r.at[max(0, len(r.at)-fightRounds):]
	}
}

// fights are the values that were found different again after their last round, each told once.
func (p *Patience) fights(plan *Plan, now time.Time) []string {
	var out []string
	for _, a := range plan.Actions {
		if p.fought(a.Action, now) == "" || a.Runnable() {
			continue
		}
		for _, k := range contestedBy(a.Action) {
			r := p.rounds[k]
			if r == nil || len(r.at) < fightRounds {
				continue
			}
			r.seen = now
			if !r.told {
				r.told = true
				out = append(out, fmt.Sprintf("%s: %s", a.Object, p.hold(a.Action, now)))
			}
		}
	}
	return out
}

// expire drops what the machine has outlived: a failure of which nothing is left to be done, and values that were
// in order for long.
func (p *Patience) expire(s Step, now time.Time) {
	if s.Remaining.ZFSError == "" && len(s.Remaining.Unseen) == 0 {
		open := map[spec.Ref]bool{}
		for _, a := range s.Remaining.Actions {
			open[resting(a.Action)] = true
		}
		for ref := range p.failures {
			if !open[ref] && !busy(s.Observed.Running, ref) { // while it is tried it is not to be done
				delete(p.failures, ref)
			}
		}
	}
	for k, r := range p.rounds {
		if now.Sub(r.seen) > fightSpan {
			delete(p.rounds, k)
		}
	}
}
