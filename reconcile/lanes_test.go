package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// waiting is a driver whose actions last until they are let go.
type waiting struct {
	fixed
	begun chan string
	let   chan error
}

func (w waiting) Apply(ctx context.Context, a drivers.Action) error {
	w.begun <- a.Object.Name
	select {
	case err := <-w.let:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// outcomesOnly keeps nothing but the outcomes.
type outcomesOnly struct {
	Store
	ended chan string
}

func (outcomesOnly) Begin(context.Context, state.Event) (int64, error) { return 1, nil }

func (j outcomesOnly) Finish(_ context.Context, _ int64, outcome, _ string, _ time.Time) error {
	j.ended <- outcome
	return nil
}

func TestLanes(t *testing.T) {
	dir := t.TempDir()
	w := &waiting{fixed: fixed{kind: spec.KindReplication}, begun: make(chan string, 9), let: make(chan error)}
	poked := make(chan bool, 9)
	j := outcomesOnly{ended: make(chan string, 9)}
	l := &Loop{Drivers: []drivers.Driver{w}, Store: j, Clock: Wall{}, Log: slog.New(slog.DiscardHandler), Lanes: &Lanes{Dir: dir, Ended: func() { poked <- true }}}
	long := func(name string) Planned {
		return Planned{Action: drivers.Action{Object: spec.Ref{Kind: spec.KindReplication, Name: name}, Verb: drivers.Run, Long: true}}
	}
	p := &Plan{Actions: []Planned{long("a"), long("b"), long("a")}}
	if done := l.execute(t.Context(), p, "test", nil); len(done) != 0 {
		t.Errorf("the loop waited: %+v", done)
	}
	<-w.begun
	<-w.begun
	all := running(dir)
	if len(all) != 2 || !busy(all, "replication", "a") || !busy(all, "replication", "b") {
		t.Errorf("running: %+v", all)
	}
	l.execute(t.Context(), p, "test", nil) // the next pass begins none of them again
	select {
	case name := <-w.begun:
		t.Errorf("%s runs twice", name)
	default:
	}
	w.let <- nil
	<-poked
	if done := l.Lanes.take(); len(done) != 1 || done[0].Outcome != state.Done {
		t.Errorf("one ended: %+v", done)
	}
	w.let <- errors.New("broken off")
	if done := l.Lanes.Wait(); len(done) != 1 || done[0].Outcome != state.Failed {
		t.Errorf("the other ended: %+v", done)
	}
	if all := running(dir); len(all) != 0 {
		t.Errorf("still running: %+v", all)
	}
}

// A daemon that is told to end ends what runs in its lanes, which can go on later.
func TestLanesEnd(t *testing.T) {
	w := &waiting{fixed: fixed{kind: spec.KindReplication}, begun: make(chan string, 1), let: make(chan error)}
	l := &Loop{Drivers: []drivers.Driver{w}, Store: outcomesOnly{ended: make(chan string, 9)}, Clock: Wall{}, Log: slog.New(slog.DiscardHandler), Lanes: &Lanes{Dir: t.TempDir()}}
	ctx, cancel := context.WithCancel(t.Context())
	l.execute(ctx, &Plan{Actions: []Planned{{Action: drivers.Action{Object: spec.Ref{Kind: spec.KindReplication, Name: "a"}, Long: true}}}}, "test", nil)
	<-w.begun
	cancel()
	if done := l.Lanes.Wait(); len(done) != 1 || done[0].Outcome != state.Interrupted {
		t.Errorf("%+v", done)
	}
}

// A lock that nobody holds any more is no lane.
func TestLanesDie(t *testing.T) {
	dir := t.TempDir()
	ref := spec.Ref{Kind: spec.KindReplication, Name: "a"}
	f, err := acquireLane(dir, ref, "somebody")
	if err != nil {
		t.Fatal(err)
	}
	if all := running(dir); len(all) != 1 || all[0].Name != "a" || all[0].By == "" {
		t.Errorf("%+v", all)
	}
	f.Close()
	if all := running(dir); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	if all := running(filepath.Join(dir, "nowhere")); all != nil {
		t.Errorf("%+v", all)
	}
}
