package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state/sqlite"
)

// What a person took on the target was not received, also once it came back to the source with a restore.
func TestKeepOwnOfTheTargetAfterRestore(t *testing.T) {
	x := newSending(t)
	x.want = keepOf(t, "hourly: 4")
	x.sentHours(7, 10)
	x.do("zfs snapshot usb/a@own")
	x.do("zfs rename tank/a tank/lost")
	x.at("2026-11-24T10:10:00Z")
	l := x.Loop(x.ZFS)
	_, obs, err := l.Plan(t.Context(), x.want, reconcile.ByHand(&x.want.Daemon.Limits, nil))
	if err != nil {
		t.Fatal(err)
	}
	d := &replication.Driver{Runner: x.ZFS, Memory: x.Store, Now: x.Clock.Now, After: x.Clock.After}
	a, _, err := d.PlanRestore(t.Context(), x.want, obs, "off", replication.Wish{To: "tank/back"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Apply(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	x.do("zfs rename tank/back tank/a")
	x.sentHours(11, 17)
	if got := x.there("usb/a"); !slices.Contains(got, "own") || !slices.Contains(got, "h17") {
		t.Errorf("usb/a has %v", got)
	}
}

// A person thinks at the prompt, and meanwhile the source is rolled back: what only the target has then stays.
func TestKeepRolledBackAtThePrompt(t *testing.T) {
	x := newSending(t)
	x.sentHours(7, 11)
	x.want = keepOf(t, "hourly: 1, daily: 1")
	plan := func(allow map[string]bool) (*reconcile.Plan, func() reconcile.Step) {
		c := reconcile.ByHand(&x.want.Daemon.Limits, allow)
		l := x.Loop(x.ZFS)
		p, obs, err := l.Plan(t.Context(), x.want, c)
		if err != nil {
			t.Fatal(err)
		}
		return p, func() reconcile.Step {
			s, err := l.Carry(t.Context(), x.want, p, obs, c, "test")
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	}
	x.at("2026-11-24T11:10:00Z")
	p, _ := plan(nil)
	allow := map[string]bool{}
	for _, a := range p.Actions {
		allow[a.ID] = true
	}
	_, carry := plan(allow)
	x.do("zfs rollback -r tank/a@h07")
	x.at("2026-11-24T11:20:00Z")
	s := carry()
	t.Log(outcomes(s))
	x.hasAll("usb/a", "h07", "h08", "h09", "h10", "h11")
}

// Two machines of a chain may give their replications the same name: keep of the first leaves what the second needs to go on.
func TestReplicationChainOfOneName(t *testing.T) {
	for _, name := range []string{"on", "off"} {
		x := newSending(t)
		x.want = keepOf(t, "hourly: 2")
		store, err := sqlite.Open(t.TempDir() + "/dplane.db")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		y := &ticking{t: t, Machine: &Machine{ZFS: x.ZFS, Store: store, Clock: x.Clock}, dir: x.dir}
		y.want = policyOf(t, strings.Replace(replicated, "off: {source: tank/a, target: usb/a, recursive: true, exclude: [tank/a/cache]}", name+": {source: usb/a, target: tank/c, recursive: true}", 1))
		x.sentHours(7, 7)
		x.ZFS.Model.Cuts = []uint64{1 << 18}
		y.at("2026-11-24T07:10:00Z")
		y.tick()
		if out := x.do("zfs get -H -o value receive_resume_token tank/c"); len(out) < 10 {
			t.Fatalf("nothing broke off: %q", out)
		}
		x.sentHours(8, 11)
		if got := x.there("usb/a"); !slices.Contains(got, "h07") {
			t.Errorf("%s: what the resume token of the second needs was pruned: usb/a has %v", name, got)
		}
	}
}

// The base of a replication of a part outlives the one of the whole, which left the files.
func TestReplicationSplitKeepsItsBase(t *testing.T) {
	x := newSending(t)
	x.sentHours(7, 8)
	x.do("zfs destroy tank/a/b@h07")
	x.do("zfs destroy tank/a/b@h08") // pruned: the bookmark is the base
	x.want = policyOf(t, strings.Replace(replicated, "off: {source: tank/a, target: usb/a, recursive: true, exclude: [tank/a/cache]}",
		"part: {source: tank/a/b, target: usb/a/b}", 1))
	for i := range 3 {
		x.at(time.Date(2026, 11, 24, 9, i, 0, 0, time.UTC).Format(time.RFC3339))
		x.tick()
	}
	x.sentHours(10, 10)
	if got := x.there("usb/a/b"); !slices.Contains(got, "h10") {
		t.Errorf("usb/a/b has %v; bookmarks: %s", got, x.do("zfs list -Hp -r -t bookmark -o name tank"))
	}
}
