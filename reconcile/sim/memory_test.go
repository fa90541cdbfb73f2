package sim

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
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

// TestLostMemory: a database that was deleted is told of by status, once; a first apply that was killed at any command,
// so that nothing of it is recorded, is no loss.
func TestLostMemory(t *testing.T) {
	lost := func(m *Machine) []string {
		t.Helper()
		rec, err := m.Store.Record(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return rec.Lost
	}
	want := load(t, fresh(2))
	m := newMachine(t)
	pass(t, m, want)
	if got := lost(m); len(got) > 0 {
		t.Errorf("a first apply: %q", got)
	}
	store, err := sqlite.Open(t.TempDir() + "/new.db")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m.Store = store
	for range 3 {
		pass(t, m, want)
		if got := lost(m); len(got) != 1 || !strings.Contains(got[0], "the database was deleted") {
			t.Errorf("a deleted database: %q", got)
		}
	}
	for n := 1; n < 4; n++ {
		m := newMachine(t)
		if _, died, err := m.Pass(want, reconcile.ByHand(nil, nil), &host.Faulty{N: n, Fault: host.DieAfter}); err != nil || !died {
			t.Fatalf("write %d: died %v, %v", n, died, err)
		}
		pass(t, m, want)
		if got := lost(m); len(got) > 0 {
			t.Errorf("killed after write %d: %q", n, got)
		}
	}
}
