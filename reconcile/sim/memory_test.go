package sim

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state"
)

// full is a database that takes nothing more.
type full struct{ reconcile.Store }

func (full) Begin(context.Context, state.Event) (int64, error) {
	return 0, errors.New("database or disk is full")
}

// TestNothingWithoutAnIntent: what can't be written down first is not done, whatever it is.
func TestNothingWithoutAnIntent(t *testing.T) {
	m, want := newMachine(t), load(t, fresh(5))
	count := &host.Faulty{Runner: m.ZFS}
	l := m.Loop(count)
	l.Store = full{m.Store}
	consent := reconcile.ByHand(nil, nil)
	p, obs, err := l.Plan(t.Context(), want, consent)
	if err != nil {
		t.Fatal(err)
	}
	step, err := l.Carry(t.Context(), want, p, obs, consent, "anna")
	if err != nil {
		t.Fatal(err)
	}
	if count.Writes != 0 {
		t.Errorf("%d commands ran", count.Writes)
	}
	if n := step.Outcomes.Count(state.Failed, state.Skipped); n != len(p.Actions) || !strings.Contains(step.Outcomes[0].Err.Error(), "write down the intent") {
		t.Errorf("%d of %d actions failed: %+v", n, len(p.Actions), step.Outcomes[0])
	}
}
