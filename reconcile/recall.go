package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// learned is what the record keeps of a Patience, so that a loop that is started again, or that dies again and
// again, goes on where it was.
type learned struct {
	Failures []learnedFailure `json:"failures,omitempty"`
	Rounds   []learnedRounds  `json:"rounds,omitempty"`
}

type learnedFailure struct {
	Object spec.Ref  `json:"object"`
	N      int       `json:"n"`
	Until  time.Time `json:"until"`
	Last   string    `json:"last"`
}

type learnedRounds struct {
	Object spec.Ref    `json:"object"`
	Field  string      `json:"field"`
	At     []time.Time `json:"at"`
	Seen   time.Time   `json:"seen"`
	Told   bool        `json:"told,omitempty"`
}

// Remember writes down what the loop learned.
func (l *Loop) Remember(ctx context.Context, p *Patience) error {
	doc, err := json.Marshal(p.learned())
	if err != nil {
		return fmt.Errorf("write down what the loop waits with: %w", err)
	}
	return l.Store.SavePatience(ctx, doc)
}

// Recall takes up what an earlier loop learned.
func (l *Loop) Recall(ctx context.Context, p *Patience) error {
	doc, err := l.Store.Patience(ctx)
	if err != nil || doc == nil {
		return err
	}
	var k learned
	if err := json.Unmarshal(doc, &k); err != nil {
		return fmt.Errorf("read what the loop waits with: %w", err)
	}
	p.recall(k, l.Clock.Now())
	return nil
}

func (p *Patience) learned() learned {
	var k learned
	for ref, f := range p.failures {
		k.Failures = append(k.Failures, learnedFailure{ref, f.n, f.until, f.last})
	}
	for c, r := range p.rounds {
		k.Rounds = append(k.Rounds, learnedRounds{c.object, c.field, r.at, r.seen, r.told})
	}
	slices.SortFunc(k.Failures, func(a, b learnedFailure) int { return cmp.Compare(a.Object.String(), b.Object.String()) })
	slices.SortFunc(k.Rounds, func(a, b learnedRounds) int {
		return cmp.Or(cmp.Compare(a.Object.String(), b.Object.String()), cmp.Compare(a.Field, b.Field))
	})
	return k
}

// recall takes up what was kept. A rest that ends too late for any that begins now is one of a clock that was wrong.
func (p *Patience) recall(k learned, now time.Time) {
	p.failures, p.rounds = map[spec.Ref]*failure{}, map[contested]*rounds{}
	for _, f := range k.Failures {
		if f.Until.Sub(now) > 2*max(longest, p.Interval) {
			f.Until = now
		}
		p.failures[f.Object] = &failure{n: f.N, until: f.Until, last: f.Last}
	}
	for _, r := range k.Rounds {
		p.rounds[contested{r.Object, r.Field}] = &rounds{at: r.At, seen: r.Seen, told: r.Told}
	}
}

// died counts the intents that a loop left open when it died as failures: what it dies of is not begun again at once.
func (p *Patience) died(open []state.Event, now time.Time) {
	p.begin()
	for _, e := range open {
		if e.Action != nil && e.Action.By == ByDaemon {
			p.failed(spec.Ref{Kind: spec.Kind(e.Action.Kind), Name: e.Action.Name}, "the daemon ended while it ran", now)
		}
	}
}
