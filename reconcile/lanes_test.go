package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
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

func (outcomesOnly) Log(context.Context, state.Event) error { return nil }

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
	l := &Loop{Drivers: []drivers.Driver{w}, Store: j, Clock: Wall{}, Log: slog.New(slog.DiscardHandler), Lanes: &Lanes{Dirs: []string{dir + "/a", dir + "/b"}, Ended: func() { poked <- true }}}
	long := func(name string) Planned {
		return Planned{Action: drivers.Action{Object: spec.Ref{Kind: spec.KindReplication, Name: name}, Verb: drivers.Run, Long: true}}
	}
	p := &Plan{Actions: []Planned{long("a"), long("b")}}
	if done := l.execute(t.Context(), p, "test", nil); len(done) != 0 {
		t.Errorf("the loop waited: %+v", done)
	}
	<-w.begun
	<-w.begun
	all := l.running(&spec.Daemon{})
	if len(all) != 2 || !busy(all, ref("a")) || !busy(all, ref("b")) {
		t.Errorf("running: %+v", all)
	}
	l.execute(t.Context(), p, "test", nil) // the next pass begins none of them again
	select {
	case name := <-w.begun:
		t.Errorf("%s runs twice", name)
	default:
	}
	if done := l.Lanes.take(); len(done) != 2 || !errors.Is(done[0].Err, ErrUnderWay) || done[0].Outcome != state.Skipped {
		t.Errorf("what could not be begun is told: %+v", done)
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
	if all := l.running(&spec.Daemon{}); len(all) != 0 {
		t.Errorf("still running: %+v", all)
	}
}

// A daemon that is told to end ends what runs in its lanes, which can go on later.
func TestLanesEnd(t *testing.T) {
	w := &waiting{fixed: fixed{kind: spec.KindReplication}, begun: make(chan string, 1), let: make(chan error)}
	l := &Loop{Drivers: []drivers.Driver{w}, Store: outcomesOnly{ended: make(chan string, 9)}, Clock: Wall{}, Log: slog.New(slog.DiscardHandler), Lanes: &Lanes{Dirs: []string{t.TempDir()}}}
	ctx, cancel := context.WithCancel(t.Context())
	l.execute(ctx, &Plan{Actions: []Planned{{Action: drivers.Action{Object: spec.Ref{Kind: spec.KindReplication, Name: "a"}, Long: true}}}}, "test", nil)
	<-w.begun
	cancel()
	if done := l.Lanes.Wait(); len(done) != 1 || done[0].Outcome != state.Interrupted {
		t.Errorf("%+v", done)
	}
}

func ref(name string) spec.Ref { return spec.Ref{Kind: spec.KindReplication, Name: name} }

// All that goes the same way does so one after the other, whatever of it is meant.
func TestOneLane(t *testing.T) {
	w := &waiting{fixed: fixed{kind: spec.KindReplication}, begun: make(chan string, 9), let: make(chan error)}
	l := &Loop{Drivers: []drivers.Driver{w}, Store: outcomesOnly{ended: make(chan string, 9)}, Clock: Wall{}, Log: slog.New(slog.DiscardHandler), Lanes: &Lanes{Dirs: []string{t.TempDir()}}}
	part := Planned{Action: drivers.Action{Object: ref("off:tank/a"), Long: true, Sending: &drivers.Sending{Replication: "off"}}}
	whole := Planned{Action: drivers.Action{Object: ref("off"), Long: true, Sending: &drivers.Sending{Replication: "off"}}}
	l.execute(t.Context(), &Plan{Actions: []Planned{part, whole}}, "test", nil)
	if name := <-w.begun; name != "off:tank/a" {
		t.Errorf("%s is first", name)
	}
	if all := l.running(&spec.Daemon{}); len(all) != 1 || all[0].Name != "off" {
		t.Errorf("running: %+v", all)
	}
	select {
	case name := <-w.begun:
		t.Errorf("%s does not wait", name)
	case <-time.After(20 * time.Millisecond):
	}
	w.let <- errors.New("broken off")
	if name := <-w.begun; name != "off" {
		t.Errorf("%s is next", name)
	}
	w.let <- nil
	if done := l.Lanes.Wait(); len(done) != 2 || done.Count(state.Done) != 1 {
		t.Errorf("%+v", done)
	}
}

// Whatever a replication is called, its lane is found by its name.
func TestLaneNames(t *testing.T) {
	names := []string{"a", "a/b", "a:b", "a%2Fb", "%", "..", "a b", "ü\n", "~", strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("/", 300) + "a", strings.Repeat("/", 300) + "b"}
	dir := t.TempDir()
	for _, name := range names {
		lock, err := acquireLane([]string{dir}, ref(name), "somebody")
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		defer lock.release()
	}
	all := running([]string{dir})
	for _, name := range names {
		if !busy(all, ref(name)) {
			t.Errorf("%q is not seen", name)
		}
	}
	if len(all) != len(names) {
		t.Errorf("%d are seen, of %d", len(all), len(names))
	}
}

// Whoever looks which lanes are busy is in nobody's way.
func TestLooking(t *testing.T) {
	dirs := []string{t.TempDir()}
	over := make(chan bool)
	var looking sync.WaitGroup
	for range 8 {
		looking.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					running(dirs)
				}
			}
		})
	}
	for range 2000 {
		lock, err := acquireLane(dirs, ref("a"), "somebody")
		if err != nil {
			t.Error(err)
			break
		}
		lock.release()
	}
	close(over)
	looking.Wait()
}

// One of the places in which a lane is locked may be moved in the files while it is busy. What runs in this process is
// known wherever that is.
func TestLaneMoves(t *testing.T) {
	dir := t.TempDir()
	was := spec.Daemon{Runtime: dir + "/run", Database: dir + "/db"}
	lock, err := acquireLane(LaneDirs(&was), ref("a"), "somebody")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.release()
	for _, now := range []spec.Daemon{{Runtime: dir + "/run2", Database: dir + "/db"}, {Runtime: dir + "/run", Database: dir + "/db2"}} {
		var held *LockedError
		if _, err := acquireLane(LaneDirs(&now), ref("a"), "another"); !errors.As(err, &held) || !strings.Contains(held.Holder, "somebody") {
			t.Errorf("%+v: %v", now, err)
		}
		if all := running(LaneDirs(&now)); !busy(all, ref("a")) {
			t.Errorf("%+v: %+v", now, all)
		}
	}
	w := &Lanes{Dirs: LaneDirs(&was)}
	if _, err := w.acquire(ref("b"), "this"); err != nil {
		t.Fatal(err)
	}
	l := &Loop{Lanes: w}
	moved := spec.Daemon{Runtime: dir + "/run3", Database: dir + "/db3"}
	w.Dirs = LaneDirs(&moved)
	if all := l.running(&moved); len(all) != 1 || !busy(all, ref("b")) {
		t.Errorf("%+v", all)
	}
	if _, err := w.acquire(ref("b"), "this"); err == nil {
		t.Error("it runs twice in one process")
	}
}

// A lock that nobody holds any more is no lane.
func TestLanesDie(t *testing.T) {
	dirs := []string{t.TempDir()}
	lock, err := acquireLane(dirs, ref("a"), "somebody")
	if err != nil {
		t.Fatal(err)
	}
	if all := running(dirs); len(all) != 1 || all[0].Name != "a" || !strings.Contains(all[0].By, "somebody") {
		t.Errorf("%+v", all)
	}
	lock.release()
	if all := running(dirs); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	if all := running([]string{filepath.Join(dirs[0], "nowhere")}); all != nil {
		t.Errorf("%+v", all)
	}
}
