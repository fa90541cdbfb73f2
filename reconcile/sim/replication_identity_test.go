package sim

import (
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// gone destroys a target, with what is below it and these snapshots of both.
func (x *ticking) gone(target string, snapshots ...string) {
	x.t.Helper()
	for _, d := range []string{target + "/b", target} {
		for _, s := range snapshots {
			if strings.TrimSpace(x.do("zfs list -Hp -d 1 -t snapshot -o userrefs "+d+"@"+s)) != "0" {
				x.do("zfs release dplane:off " + d + "@" + s)
			}
			x.do("zfs destroy " + d + "@" + s)
		}
		x.do("zfs destroy " + d)
	}
}

func (x *ticking) health(step reconcile.Step) state.ReplicationHealth {
	x.t.Helper()
	if len(step.Observed.ReplicationHealth) != 1 {
		x.t.Fatalf("%+v", step.Observed.ReplicationHealth)
	}
	return step.Observed.ReplicationHealth[0]
}

// A target that has nothing is behind by the age of what it lacks, and one that was destroyed is a fault.
func TestReplicationLag(t *testing.T) {
	x := newSending(t)
	x.ZFS.SetClock(x.Clock.now)
	x.snap("one")
	x.want.Replications["off"].When = spec.When{Manual: true}
	x.at("2026-11-24T09:00:00Z")
	if h := x.health(x.tick()); h.Never != 2 || h.Lag.Hours() != 2 || len(h.Datasets) != 2 || h.Datasets[1].Source != "tank/a/b" || h.Error != "" {
		t.Errorf("nothing was sent: %+v", h)
	}
	x.want.Replications["off"].When = spec.When{After: true}
	if h := x.health(x.tick()); h.Never != 0 || h.Lag != 0 || h.Error != "" {
		t.Errorf("all was sent: %+v", h)
	}
	x.ZFS.Write("tank/a", 1<<20)
	x.at("2026-11-24T10:00:00Z")
	if h := x.health(x.tick()); h.Lag.Hours() != 3 || h.Datasets[1].Lag != 0 {
		t.Errorf("one was written to: %+v", h)
	}
	x.gone("usb/a", "one")
	x.at("2026-11-24T11:00:00Z")
	h := x.health(x.tick())
	if h.Never != 2 || h.Lag.Hours() != 4 || !h.Datasets[0].Lost || !strings.Contains(h.Error, "usb/a had it once, and is gone (and 1 more datasets)") {
		t.Errorf("the target was destroyed: %+v", h)
	}
}

// Another target in the files is meant: it is sent whole unasked; and then it is the one that must not be lost.
func TestReplicationElsewhere(t *testing.T) {
	x := newSending(t)
	x.snap("one")
	x.tick()
	x.want = policyOf(t, strings.Replace(replicated, "target: usb/a", "target: usb/z", 1))
	x.at("2026-11-24T08:00:00Z")
	step := x.tick()
	if out := x.do("zfs list -H -r -t snapshot -o name usb/z"); !strings.Contains(out, "usb/z@one") || !strings.Contains(out, "usb/z/b@one") {
		t.Fatalf("%s: %v", out, outcomes(step))
	}
	x.gone("usb/z", "one")
	x.at("2026-11-24T08:01:00Z")
	x.tick()
	if out := x.do("zfs list -H -r -o name usb"); strings.Contains(out, "usb/z") {
		t.Errorf("it was sent whole unasked: %s", out)
	}
}

// From one target to another, and back: what the first one has lost meanwhile is not sent whole unasked, and what it has of
// its own is not overwritten. Where it is as it was it goes on, as it was begun.
func TestReplicationThereAndBack(t *testing.T) {
	for _, meanwhile := range []string{"nothing", "lost", "lost twice", "diverged"} {
		x := newLarge(t, "largeBlocks: true")
		there := x.want
		x.snap("one")
		x.tick()
		small := strings.Replace(replicated, "recursive: true", "recursive: true, send: {largeBlocks: false}", 1)
		away := policyOf(t, strings.Replace(small, "target: usb/a", "target: usb/z", 1))
		x.want = away
		x.at("2026-11-24T08:00:00Z")
		x.tick()
		if meanwhile == "lost twice" { // there and back and away
			x.want = there
			x.at("2026-11-24T08:10:00Z")
			x.tick()
			x.want = away
			x.snap("two")
			x.at("2026-11-24T08:20:00Z")
			x.tick()
		}
		switch meanwhile {
		case "lost", "lost twice":
			x.gone("usb/a", "one")
		case "diverged":
			x.ZFS.Write("usb/a", 1<<20)
			x.do("zfs snapshot usb/a@own")
		}
		x.snap("three")
		x.want = policyOf(t, small)
		x.at("2026-11-24T09:00:00Z")
		step := x.tick()
		asks := slices.ContainsFunc(step.Remaining.Actions, func(a reconcile.Planned) bool { return a.Held != "" })
		have := x.do("zfs list -H -r -t snapshot -o name usb")
		switch meanwhile {
		case "nothing":
			if x.came(); asks { // and what the way to the other one needs stays
				t.Errorf("it asks: %v", step.Remaining.Actions)
			}
		case "diverged":
			if !asks || !strings.Contains(have, "usb/a@own") || strings.Contains(have, "usb/a@three") {
				t.Errorf("asks %t: %s", asks, have)
			}
		default:
			if !asks || strings.Contains(have, "usb/a") {
				t.Errorf("%s: sent whole, asks %t: %s", meanwhile, asks, have)
			}
		}
	}
}

// A stranger in the target's place is told as one, and left alone; a target that was brought back by other means is gone on with.
func TestReplicationStranger(t *testing.T) {
	for _, restored := range []bool{false, true} {
		x := newSending(t)
		x.snap("one")
		x.tick()
		was := guidOf(x, "usb/a")
		x.gone("usb/a", "one")
		if restored {
			for _, d := range []string{"a", "a/b"} {
				send, receive := zfs.Stream{Snapshot: "tank/" + d + "@one"}.Send(), zfs.Receive("usb/"+d, nil, nil)
				receive.Stdin = &send
				if _, err := x.ZFS.Run(t.Context(), receive); err != nil {
					t.Fatal(err)
				}
			}
		} else {
			x.do("zfs create usb/a")
			x.do("zfs create usb/a/b")
			x.do("zfs snapshot usb/a@other")
		}
		is := guidOf(x, "usb/a")
		x.snap("two")
		x.at("2026-11-24T08:00:00Z")
		step := x.tick()
		text := "usb/a is another dataset than the one that was sent to (guid " + was + ", now " + is + ")"
		told := strings.Contains(strings.Join(step.Plan.Notices, "\n"), text)
		blocked := slices.ContainsFunc(step.Plan.Actions, func(a reconcile.Planned) bool {
			return a.Verb == drivers.Blocked && strings.Contains(a.Reason.Observed, text)
		})
		if told != restored || blocked == restored {
			t.Errorf("restored %t: told %t, blocked %t: %v", restored, told, blocked, step.Plan.Notices)
		}
		if !restored {
			if got := x.there("usb/a"); !slices.Equal(got, []string{"other"}) || guidOf(x, "usb/a") != is {
				t.Errorf("the stranger has %v", got)
			}
			continue
		}
		x.arrived()
		x.at("2026-11-24T08:01:00Z")
		if step := x.tick(); len(step.Plan.Notices) > 0 {
			t.Errorf("it is told again: %v", step.Plan.Notices)
		}
	}
}

// large is a machine whose blocks are larger than what a stream without -L has.
func newLarge(t *testing.T, send string) *ticking {
	t.Helper()
	x := newSending(t)
	x.want = policyOf(t, strings.Replace(replicated, "recursive: true", "recursive: true, send: {"+send+"}", 1))
	x.do("zfs set recordsize=1M tank/a")
	return x
}

// What was first received with large blocks is sent so for ever, whatever the files say; with the memory lost the target tells.
func TestReplicationFlags(t *testing.T) {
	for name, forget := range map[string]bool{"remembered": false, "forgotten": true} {
		x := newLarge(t, "largeBlocks: true")
		x.snap("one")
		x.tick()
		x.want = policyOf(t, strings.Replace(replicated, "recursive: true", "recursive: true, send: {largeBlocks: false}", 1))
		if forget {
			if err := x.Store.SaveReplicated(t.Context(), "off", nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range []string{"two", "three"} {
			x.snap(s)
			x.at("2026-11-24T08:0" + map[string]string{"two": "0", "three": "1"}[s] + ":00Z")
			step := x.tick()
			told := strings.Contains(strings.Join(step.Plan.Notices, "\n"), "was first received in plain, with large blocks, and goes on so")
			if told == (forget && s == "two") {
				t.Errorf("%s, %s: told %t", name, s, told)
			}
			if h := x.health(step); h.Error != "" {
				t.Errorf("%s, %s: %s", name, s, h.Error)
			}
		}
		x.arrived()
	}
}

// A first stream that broke off goes on as it was begun, and so does what comes after it, though the files say otherwise since.
func TestReplicationFlagsOfABrokenOne(t *testing.T) {
	x := newLarge(t, "largeBlocks: true")
	x.snap("one")
	x.snap("two")
	x.ZFS.Model.Cuts = []uint64{1 << 18}
	x.tick()
	x.want = policyOf(t, strings.Replace(replicated, "recursive: true", "recursive: true, send: {largeBlocks: false}", 1))
	for _, at := range []string{"2026-11-24T08:00:00Z", "2026-11-24T08:01:00Z"} { // what broke off with the rest, and then nothing
		x.at(at)
		if h := x.health(x.tick()); h.Error != "" {
			t.Error(h.Error)
		}
	}
	x.arrived()
	known, err := x.Store.Replicated(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := known["off"]
	if n := r.Runs[0].Resumed; n != 1 || len(r.Runs) != 2 {
		t.Errorf("%d streams went on in the last of %d runs", n, len(r.Runs))
	}
	if s := r.Sent[guidOf(x, "tank/a")]; !s.LargeBlocks || s.Target != guidOf(x, "usb/a") {
		t.Errorf("%+v", s)
	}
}
