package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// refusing receives nothing into some targets, and counts how often it was to.
type refusing struct {
	host.Runner
	targets []string
	tried   map[string]int
}

func (r *refusing) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if target := c.Argv[len(c.Argv)-1]; len(c.Argv) > 1 && c.Argv[1] == "receive" && c.Stdin != nil {
		r.tried[target]++
		if slices.Contains(r.targets, target) {
			return host.Result{}, &host.ExitError{Command: c, Code: 1, Stderr: "cannot receive new filesystem stream: out of space\n"}
		}
	}
	return r.Runner.Run(ctx, c)
}

// patient is the loop of a machine, over many ticks, whose receiver refuses some.
type patient struct {
	*ticking
	*refusing
	patience reconcile.Patience
}

func newPatient(t *testing.T, targets ...string) *patient {
	x := newSending(t)
	return &patient{x, &refusing{x.ZFS, targets, map[string]int{}}, reconcile.Patience{Interval: time.Minute}}
}

func (x *patient) minute(m int) reconcile.Step {
	x.t.Helper()
	x.at("2026-11-24T08:00:00Z")
	x.Clock.Move(time.Duration(m) * time.Minute)
	x.ZFS.SetClock(x.Clock.now)
	l := x.Loop(x.refusing)
	consent := reconcile.Daemon(x.want)
	consent.Patience = &x.patience
	p, obs, err := l.Plan(x.t.Context(), x.want, consent)
	if err != nil {
		x.t.Fatal(err)
	}
	step, err := l.Carry(x.t.Context(), x.want, p, obs, consent, "sim")
	if err != nil {
		x.t.Fatal(err)
	}
	x.patience.Learn(step, x.Clock.now)
	return step
}

// One dataset of two fails, again and again: the other one is sent each minute all the same, and the one that fails is
// tried ever more seldom, is told, and goes on when it can.
func TestReplicationFailsInPart(t *testing.T) {
	x := newPatient(t, "usb/a/b")
	var tries []int
	for m := range 130 {
		x.snap(fmt.Sprint("s", m))
		had := x.tried["usb/a/b"]
		step := x.minute(m)
		if x.tried["usb/a/b"] > had {
			tries = append(tries, m)
		} else if told := strings.Join(step.Plan.Notices, "\n"); !strings.Contains(told, "failure(s): tank/a/b") && !strings.Contains(told, "out of space: tank/a/b") {
			t.Errorf("minute %d: it is not told: %q", m, told)
		}
		if got := x.there("usb/a"); len(got) != m+1 {
			t.Fatalf("minute %d: the one that is well has %v: %v", m, got, outcomes(step))
		}
		if h := x.health(step); !strings.Contains(h.Error, "tank/a/b") || !strings.Contains(h.Error, "out of space") {
			t.Errorf("minute %d: %q", m, h.Error)
		}
	}
	if got := fmt.Sprint(tries); got != "[0 1 3 7 15 31 63 123]" {
		t.Errorf("the one that fails was tried in the minutes %s", got)
	}
	x.targets = nil
	x.tick() // a person waits for nothing
	x.arrived()
	x.snap("last")
	if h := x.health(x.minute(131)); h.Error != "" || h.Never > 0 {
		t.Errorf("%+v", h)
	}
	x.arrived()
}

// Where all of them fail the whole replication rests, and what is below one that fails waits with it.
func TestReplicationFailsWhole(t *testing.T) {
	x := newPatient(t, "usb/a")
	x.snap("one")
	for m := range 20 {
		if h := x.health(x.minute(m)); h.Never != 2 || !strings.Contains(h.Error, "out of space") {
			t.Errorf("minute %d: %+v", m, h)
		}
	}
	if n, below := x.tried["usb/a"], x.tried["usb/a/b"]; n != 5 || below > 0 {
		t.Errorf("it was tried %d times, what is below it %d", n, below)
	}
	x.targets = nil
	x.tick()
	x.arrived()
}

// What is sent once a day goes on at that: only what failed is tried again before.
func TestReplicationFailsInPartOnceADay(t *testing.T) {
	x := newPatient(t, "usb/a/b")
	x.want.Replications["off"].When = spec.When{Recur: &spec.Recur{Every: spec.Duration(24 * time.Hour)}}
	for m := range 5 {
		x.snap(fmt.Sprint("s", m))
		x.minute(m)
	}
	if n, other := x.tried["usb/a"], x.tried["usb/a/b"]; n != 1 || other != 3 {
		t.Errorf("the one that is well was sent %d times, the other tried %d", n, other)
	}
	x.targets = nil
	x.minute(7)
	if got := x.there("usb/a/b"); len(got) != 5 {
		t.Errorf("it has %v", got)
	}
	if got := x.there("usb/a"); len(got) != 1 {
		t.Errorf("the other has %v", got)
	}
	x.minute(24 * 60)
	x.arrived()
}

// What failed is tried again right before all is due, and begins when it is: that is not the run of all.
func TestReplicationTriedAgainIsNoRun(t *testing.T) {
	x := newPatient(t, "usb/a/b")
	x.want.Replications["off"].When = spec.When{Recur: &spec.Recur{Daily: "10:00"}}
	x.snap("one")
	x.minute(120) // 10:00
	x.snap("two")
	x.targets = nil
	x.at("2026-11-25T09:59:59Z")
	consent, l := reconcile.Daemon(x.want), x.Loop(x.refusing)
	consent.Patience = &x.patience
	p, obs, err := l.Plan(t.Context(), x.want, consent)
	if err != nil {
		t.Fatal(err)
	}
	x.Clock.Move(2 * time.Second)
	if _, err := l.Carry(t.Context(), x.want, p, obs, consent, "sim"); err != nil {
		t.Fatal(err)
	}
	if a, b := x.there("usb/a"), x.there("usb/a/b"); len(a) != 1 || len(b) != 2 {
		t.Fatalf("before it is due: %v %v", a, b)
	}
	x.minute(120 + 24*60 + 1)
	x.arrived()
}

// What is not due is not told as what waits.
func TestReplicationNotDue(t *testing.T) {
	x := newSending(t)
	x.snap("one")
	x.want.Replications["off"].When = spec.When{Manual: true}
	if step := x.tick(); len(step.Plan.Notices)+len(step.Plan.Actions) > 0 {
		t.Errorf("%v %v", step.Plan.Notices, step.Plan.Actions)
	}
}

// Other words in the files are a reason to try at once.
func TestReplicationFailsUntilTheFilesChange(t *testing.T) {
	x := newPatient(t, "usb/a/b")
	x.snap("one")
	for m := range 6 {
		x.minute(m)
	}
	had := x.tried["usb/a/b"]
	x.minute(6)
	x.want.Replications["off"].RateLimit = 1 << 30
	x.minute(6)
	if n := x.tried["usb/a/b"]; n != had+1 {
		t.Errorf("it was tried %d times more", n-had)
	}
}
