package reconcile

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"pgregory.net/rapid"
)

// world is a loop on a machine of which each object fails, or is changed back behind its back.
type world struct {
	patience Patience
	now      time.Time
	fails    map[string]bool // objects whose change fails
	fought   map[string]bool // objects that somebody changes after each pass
	quick    map[string]bool // those that somebody changes before the second look
	open     map[string]bool // objects that differ now
	tries    map[string]int
	told     []string
}

var epoch = time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)

func newWorld(objects ...string) *world {
	w := &world{now: epoch, fails: map[string]bool{}, fought: map[string]bool{}, quick: map[string]bool{}, open: map[string]bool{}, tries: map[string]int{}}
	w.patience.Interval = time.Minute
	for _, o := range objects {
		w.open[o] = true
	}
	return w
}

// pass is one round of the loop, a minute after the last.
func (w *world) pass() *Plan {
	w.now = w.now.Add(time.Minute)
	for o := range w.fought {
		w.open[o] = true
	}
	p := w.plan()
	s := Step{Plan: p, Observed: &state.Observed{}}
	for _, a := range p.Actions {
		if !a.Runnable() {
			continue
		}
		w.tries[a.Object.Name]++
		o := Outcome{Action: a, Outcome: state.Done}
		if w.quick[a.Object.Name] {
			w.open[a.Object.Name] = true // again, before the second look
		} else if w.fails[a.Object.Name] {
			o.Outcome, o.Err = state.Failed, errors.New("busy\nwith details")
		} else {
			w.open[a.Object.Name] = false
		}
		s.Outcomes = append(s.Outcomes, o)
	}
	w.patience.take(s.Outcomes, w.now)
	kept, err := json.Marshal(w.patience.learned()) // each round may be the last of its process
	if err != nil {
		panic(err)
	}
	var k learned
	if err := json.Unmarshal(kept, &k); err != nil {
		panic(err)
	}
	w.patience.recall(k, w.now)
	s.Remaining = w.plan()
	w.told = append(w.told, w.patience.Learn(s, w.now)...)
	return p
}

func (w *world) plan() *Plan {
	var f fixed
	for _, o := range []string{"a", "b", "c"} {
		if w.open[o] {
			a := act("update dataset " + o + " safe")
			a.Reason.Code, a.Fields = drivers.Drift, []drivers.Field{{Name: "compression", From: "lz4", To: "zstd"}}
			f.actions = append(f.actions, a)
		}
	}
	c := Consent{Risk: spec.Safe, Unattended: true, Patience: &w.patience}
	return Build(drivers.Input{Want: &spec.Spec{}, Have: state.NewObserved(w.now, "h"), Now: w.now}, []drivers.Driver{f}, c)
}

func TestBackOff(t *testing.T) {
	w := newWorld("a", "b")
	w.fails["a"] = true
	var minutes []int
	for m := 1; m <= 6*60; m++ {
		before := w.tries["a"]
		w.pass()
		if w.tries["a"] > before {
			minutes = append(minutes, m)
		}
	}
	// After 1, 2, 4, ... minutes, then hourly; b was done at once, and b's next drift is not held.
	const want = "[1 2 4 8 16 32 64 124 184 244 304]"
	if got := fmt.Sprint(minutes); got != want {
		t.Errorf("tried in the minutes %s, want %s", got, want)
	}
	if w.tries["b"] != 1 {
		t.Errorf("b was tried %d times", w.tries["b"])
	}
	w.open["b"] = true
	w.pass()
	if w.tries["b"] != 2 {
		t.Error("an object that is well waits for one that fails")
	}
	const held = "update a (waits until 2026-11-24T13:04:00Z after 11 failure(s): busy)"
	if got := show(w.pass()); got != held {
		t.Errorf("got %s, want %s", got, held)
	}
	w.patience.Forget()
	if got := show(w.pass()); got != "update a" {
		t.Errorf("after the files changed: %s", got)
	}
	if w.patience.failures[spec.Ref{Kind: "dataset", Name: "a"}].n != 1 {
		t.Error("the count goes on after the files changed")
	}
	w.fails["a"] = false
	w.pass()
	w.pass()
	if len(w.patience.failures) != 0 {
		t.Errorf("a success does not end it: %+v", w.patience.failures)
	}
}

// A failure that is mended elsewhere is forgotten, but not because nothing could be seen.
func TestBackOffEnds(t *testing.T) {
	w := newWorld("a")
	w.fails["a"] = true
	w.pass()
	w.patience.Learn(Step{Plan: &Plan{}, Observed: &state.Observed{}, Remaining: &Plan{Unseen: []state.Unseen{{Pool: "t"}}}}, w.now)
	if len(w.patience.failures) != 1 {
		t.Error("forgotten because a pool was not seen")
	}
	w.open["a"] = false
	w.pass()
	if len(w.patience.failures) != 0 {
		t.Error("remembered though nothing is left to be done")
	}
}

func TestFight(t *testing.T) {
	w := newWorld()
	w.fought["a"] = true
	for range 10 {
		w.pass()
	}
	if w.tries["a"] != fightRounds {
		t.Errorf("set back %d times, want %d", w.tries["a"], fightRounds)
	}
	if len(w.told) != 1 || !strings.Contains(w.told[0], "dataset a: a fight: compression was set back 3 times") {
		t.Errorf("told %q", w.told)
	}
	if got := show(w.pass()); !strings.HasPrefix(got, "update a (a fight: compression") {
		t.Errorf("got %s", got)
	}
	w.patience.Forget()
	if got := show(w.pass()); got != "update a" {
		t.Errorf("after a person applied: %s", got)
	}
}

// Whoever changes it back before the second look fights as well.
func TestQuickFight(t *testing.T) {
	w := newWorld("a")
	w.quick["a"] = true
	for range 10 {
		w.pass()
	}
	if w.tries["a"] != fightRounds || len(w.told) != 1 {
		t.Errorf("set back %d times, told %q", w.tries["a"], w.told)
	}
}

// Drift now and then is no fight, and one that ended a day ago is forgotten.
func TestFightEnds(t *testing.T) {
	w := newWorld()
	for range 10 {
		w.open["a"] = true
		w.pass()
		w.now = w.now.Add(10 * time.Hour)
	}
	if w.tries["a"] != 10 || len(w.told) > 0 {
		t.Errorf("drift twice a day: set back %d times of 10, told %q", w.tries["a"], w.told)
	}
	w.fought["a"] = true
	for range 5 {
		w.pass()
	}
	if len(w.told) != 1 {
		t.Fatalf("told %q", w.told)
	}
	delete(w.fought, "a")
	w.open["a"] = false
	w.now = w.now.Add(25 * time.Hour)
	w.pass()
	w.open["a"] = true
	if got := show(w.pass()); got != "update a" {
		t.Errorf("a day later: %s", got)
	}
}

// What is scheduled comes back by itself, and is no fight.
func TestDueIsNoFight(t *testing.T) {
	for _, code := range []string{"due", drivers.Missing} { // a disk that is plugged in several times a day
		a := act("run pool t safe")
		a.Reason.Code = code
		if got := contestedBy(a); got != nil {
			t.Errorf("%v", got)
		}
	}
}

// Whatever the number of failures and the interval: the delay grows, stays within a quarter of the hour or the
// interval, and is not the same twice.
func TestDelayLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Patience{Interval: time.Duration(rapid.IntRange(1, 7200).Draw(t, "interval")) * time.Second}
		n := rapid.IntRange(1, 1000).Draw(t, "n")
		plain := p.delay(n)
		if plain < p.Interval || plain > max(longest, p.Interval) || p.delay(n+1) < plain {
			t.Fatalf("%s after %d failures, %s after one more", plain, n, p.delay(n+1))
		}
		p.Rand = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		for range 10 {
			if d := p.delay(n); d < plain*3/4 || d > plain*5/4 {
				t.Fatalf("%s, without jitter %s", d, plain)
			}
		}
	})
}
