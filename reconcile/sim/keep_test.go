package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

func keepOf(t *testing.T, keep string) *spec.Spec {
	return policyOf(t, strings.Replace(replicated, "cache]}", "cache], keep: {"+keep+"}}", 1))
}

// sentHours takes one of each hour, and sends it.
func (x *ticking) sentHours(from, to int) {
	x.t.Helper()
	for h := from; h <= to; h++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
		x.ZFS.SetClock(x.Clock.now)
		x.snap(fmt.Sprintf("h%02d", h))
		x.at(fmt.Sprintf("2026-11-24T%02d:01:00Z", h))
		x.tick()
		x.at(fmt.Sprintf("2026-11-24T%02d:02:00Z", h))
		x.tick()
	}
}

func (x *ticking) hasAll(dataset string, want ...string) {
	x.t.Helper()
	if got := x.there(dataset); !slices.Equal(got, want) {
		x.t.Errorf("%s has %v, want %v", dataset, got, want)
	}
}

// rest fails where a pass has something left to do.
func (x *ticking) rests(at string) {
	x.t.Helper()
	x.at(at)
	if step := x.tick(); len(step.Plan.Actions) > 0 {
		a := step.Plan.Actions[0]
		x.t.Errorf("it is not at rest: %s %s %v %s", a.Verb, a.Object, a.Fields, a.Held)
	}
}

// What was received goes as keep says; what is the target's own, held, cloned or in common with the source stays.
func TestKeep(t *testing.T) {
	x := newSending(t)
	x.want = keepOf(t, "hourly: 3")
	x.sentHours(7, 8)
	x.do("zfs snapshot usb/a@own")
	x.do("zfs hold mine usb/a@h07")
	x.do("zfs clone usb/a@h08 usb/clone")
	x.sentHours(9, 12)
	x.hasAll("usb/a", "h07", "h08", "own", "h10", "h11", "h12")
	x.hasAll("usb/a/b", "h10", "h11", "h12")
	x.hasAll("tank/a", "h07", "h08", "h09", "h10", "h11", "h12")
	x.do("zfs release mine usb/a@h07")
	x.do("zfs destroy usb/clone")
	for _, s := range []string{"h07", "h08", "h09", "h10", "h11", "h12"} { // the source has pruned all: its bookmark is the base
		x.do("zfs destroy tank/a@" + s)
	}
	x.sentHours(13, 13)
	x.hasAll("usb/a", "own", "h11", "h12", "h13")
	x.rests("2026-11-24T13:05:00Z")
}

// Nothing goes of a target that was written to, and none that is the newest that both have.
func TestKeepDiverged(t *testing.T) {
	x := newSending(t)
	x.want = keepOf(t, "hourly: 1")
	x.sentHours(7, 7)
	x.ZFS.Write("usb/a", 1<<20)
	x.sentHours(8, 9)
	x.hasAll("usb/a", "h07")
	x.hasAll("usb/a/b", "h09")
	x.do("zfs destroy tank/a/b@h09") // an older one is not what both have: the bookmark tells
	x.rests2("2026-11-24T09:10:00Z")
	x.hasAll("usb/a/b", "h09")
}

// rests2 is a pass that may have something to tell of what is blocked.
func (x *ticking) rests2(at string) {
	x.t.Helper()
	x.at(at)
	for _, o := range x.tick().Outcomes {
		x.t.Errorf("%s %s: %s", o.Action.Verb, o.Action.Object, o.Outcome)
	}
}

// Less that is to be kept than before waits: ten minutes, and where it is most of it, for a word.
func TestKeepSmaller(t *testing.T) {
	x := newSending(t)
	x.want = keepOf(t, "hourly: 8")
	x.sentHours(7, 14)
	x.want = keepOf(t, "hourly: 6")
	daemon := reconcile.Daemon(x.want)
	pass := func(at string, c reconcile.Consent) reconcile.Step {
		x.at(at)
		step, _, err := x.with(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		return step
	}
	step := pass("2026-11-24T14:10:00Z", daemon)
	if n := len(step.Plan.Actions); n != 2 || !strings.Contains(step.Plan.Actions[0].Held, "because less is to be kept") {
		t.Fatalf("%d actions: %+v", n, step.Plan.Actions)
	}
	pass("2026-11-24T14:19:00Z", daemon)
	if n := len(x.there("usb/a")); n != 8 {
		t.Fatalf("after nine minutes there are %d", n)
	}
	pass("2026-11-24T14:21:00Z", daemon)
	if n := len(x.there("usb/a")); n != 6 {
		t.Fatalf("after eleven minutes there are %d", n)
	}
	pass("2026-11-24T14:22:00Z", daemon)

	x.want = keepOf(t, "hourly: 2")
	step = pass("2026-11-24T14:30:00Z", reconcile.ByHand(&x.want.Daemon.Limits, nil))
	if n := len(x.there("usb/a")); n != 6 {
		t.Fatalf("most of it went unasked: %d are left", n)
	}
	allow := map[string]bool{}
	for _, a := range step.Plan.Actions {
		if !strings.Contains(a.Held, "--allow "+a.ID) {
			t.Errorf("held: %s", a.Held)
		}
		allow[a.ID] = true
	}
	pass("2026-11-24T14:31:00Z", reconcile.ByHand(&x.want.Daemon.Limits, allow))
	x.hasAll("usb/a", "h13", "h14")
	x.rests("2026-11-24T14:32:00Z")
}

// With the memory lost nobody knows any more what came by the replication: what a person may have brought there stays, and what comes
// from then on goes as keep says.
func TestKeepForgotten(t *testing.T) {
	x := newSending(t)
	x.want = keepOf(t, "hourly: 4")
	x.sentHours(7, 10)
	x.do("zfs snapshot usb/a@own")
	if err := x.Store.ForgetReplication(t.Context(), "off"); err != nil {
		t.Fatal(err)
	}
	x.at("2026-11-24T10:10:00Z")
	if step := x.tick(); !strings.Contains(strings.Join(step.Plan.Notices, "\n"), "usb/a has 4 snapshot(s) of its source of which nobody knows whether this replication brought them") {
		t.Errorf("it is not told: %v", step.Plan.Notices)
	}
	x.sentHours(11, 16)
	x.hasAll("usb/a", "h07", "h08", "h09", "h10", "own", "h13", "h14", "h15", "h16")
}

// What a person brought to the target before the replication went there stays, also once the memory is lost.
func TestKeepSeededByHand(t *testing.T) {
	for _, forget := range []bool{false, true} {
		x := newSending(t)
		x.ZFS.SetClock(x.Clock.now)
		for i, s := range []string{"one", "two"} {
			x.snap(s)
			for _, d := range []string{"a", "a/b"} {
				send := host.Read("zfs", "send", "tank/"+d+"@one")
				if i > 0 {
					send = host.Read("zfs", "send", "-i", "@one", "tank/"+d+"@two")
				}
				receive := host.Write("zfs", "receive", "-u", "-o", "readonly=on", "usb/"+d)
				receive.Stdin = &send
				if _, err := x.ZFS.Run(t.Context(), receive); err != nil {
					t.Fatal(err)
				}
			}
		}
		x.want = keepOf(t, "hourly: 2")
		x.sentHours(8, 9)
		if forget {
			if err := x.Store.ForgetReplication(t.Context(), "off"); err != nil {
				t.Fatal(err)
			}
		}
		x.sentHours(10, 13)
		if forget {
			x.hasAll("usb/a", "one", "two", "h08", "h09", "h12", "h13")
		} else {
			x.hasAll("usb/a", "one", "two", "h12", "h13")
		}
	}
}

// A replication that is called otherwise since goes on with what it received, also once the one of the former name let go of all; so does
// one that sent elsewhere for a while.
func TestKeepRenamed(t *testing.T) {
	x := newSending(t)
	x.want = keepOf(t, "hourly: 4")
	x.sentHours(7, 9)
	x.do("zfs snapshot usb/a@own")
	renamed := policyOf(t, strings.NewReplacer("off:", "other:", "cache]}", "cache], keep: {hourly: 4}}").Replace(replicated))
	x.want = renamed
	x.sentHours(10, 12)
	x.hasAll("usb/a", "h09", "own", "h10", "h11", "h12")
	if known, err := x.Store.Replicated(t.Context()); err != nil || known["off"] != nil {
		t.Errorf("the former name is remembered: %v, %v", known["off"], err)
	}

	x.want = policyOf(t, strings.NewReplacer("off:", "other:", "target: usb/a", "target: usb/z", "cache]}", "cache], keep: {hourly: 4}}").Replace(replicated))
	x.sentHours(13, 13)
	x.want = renamed
	x.sentHours(14, 16)
	x.hasAll("usb/a", "own", "h13", "h14", "h15", "h16")
}

// However a pass dies, and at whatever write: what is the target's own stays, what both have stays, and the next ones leave
// what an undisturbed one leaves.
func TestKeepKilled(t *testing.T) {
	for _, fault := range []host.Fault{host.DieBefore, host.DieAfter, host.FailBefore} {
		for n := 1; ; n++ {
			x := newSending(t)
			x.want = keepOf(t, "hourly: 2")
			x.sentHours(7, 8)
			x.do("zfs snapshot usb/a@own")
			x.at("2026-11-24T09:00:00Z")
			x.ZFS.SetClock(x.Clock.now)
			x.snap("h09")
			x.tick() // sends, and what goes then is left to the next
			x.at("2026-11-24T10:00:00Z")
			x.ZFS.SetClock(x.Clock.now)
			x.snap("h10")
			x.hasAll("usb/a", "h07", "h08", "own", "h09")
			x.at("2026-11-24T10:01:00Z")
			f := &host.Faulty{N: n, Fault: fault}
			_, died, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, nil), f)
			if err != nil {
				t.Fatal(err)
			}
			if fault != host.FailBefore && !died || fault == host.FailBefore && f.Writes < n {
				if n < 10 {
					t.Fatalf("fault %d: only %d writes", fault, n-1)
				}
				break
			}
			for i := range 4 {
				x.at(time.Date(2026, 11, 24, 10, 2+i, 0, 0, time.UTC).Format(time.RFC3339))
				x.tick()
			}
			x.hasAll("usb/a", "own", "h09", "h10")
			x.hasAll("usb/a/b", "h09", "h10")
			x.rests("2026-11-24T10:09:00Z")
			x.sentHours(11, 11)
			x.hasAll("usb/a", "own", "h10", "h11")
			if t.Failed() {
				t.Fatalf("fault %d at write %d", fault, n)
			}
		}
	}
}

// A replication that left the files leaves nothing behind once a person applies, and nothing is done by the loop.
func TestReplicationRemoved(t *testing.T) {
	x := newSending(t)
	x.want = keepOf(t, "hourly: 3")
	x.sentHours(7, 8)
	x.do("zfs hold mine usb/a@h08")
	x.do("zfs bookmark tank/a@h08 tank/a#mine")
	marks := func() string {
		return x.do("zfs list -Hp -r -t bookmark -o name tank") + x.do("zfs list -Hp -r -t snapshot -o name,userrefs usb")
	}
	had := marks()
	x.want = policyOf(t, strings.Split(replicated, "replications:")[0])
	for i := range 15 {
		x.at(fmt.Sprintf("2026-11-24T09:%02d:00Z", i))
		if _, _, err := x.with(reconcile.Daemon(x.want), nil); err != nil {
			t.Fatal(err)
		}
	}
	if marks() != had {
		t.Fatalf("the loop let go: %s", marks())
	}
	x.want = policyOf(t, "node: {name: sim}\n")
	x.at("2026-11-24T10:00:00Z")
	x.tick()
	if marks() != had {
		t.Fatalf("the files say nothing any more, and it let go: %s", marks())
	}
	x.want = policyOf(t, strings.Replace(replicated, "off:", "heir:", 1))
	x.at("2026-11-24T10:01:00Z")
	x.do("zfs destroy tank/a/b@h08") // the mark of the one before is the base
	x.tick()
	if !strings.Contains(marks(), "tank/a/b#dplane-off-") {
		t.Fatalf("the base of another one of the same ends was let go: %s", marks())
	}
	x.sentHours(11, 11)
	x.at("2026-11-24T11:10:00Z")
	if step := x.tick(); strings.Contains(marks(), "dplane-off-") || step.Remaining == nil || len(step.Remaining.Actions) > 0 {
		t.Errorf("another one has its own marks, and those of the one before stay: %s", marks())
	}
	x.want = policyOf(t, strings.Split(replicated, "replications:")[0])
	x.at("2026-11-24T11:20:00Z")
	x.tick()
	if got, want := marks(), "tank/a#mine\nusb/a@h07\t0\nusb/a@h08\t1\nusb/a@h11\t0\nusb/a/b@h07\t0\nusb/a/b@h08\t0\nusb/a/b@h11\t0\n"; got != want {
		t.Errorf("left behind: %s", got)
	}
	x.rests("2026-11-24T11:25:00Z")
	if known, err := x.Store.Replicated(t.Context()); err != nil || len(known) > 0 {
		t.Errorf("%v, and it remembers %v", err, known)
	}
}
