package sim

import (
	"slices"
	"testing"

	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/reconcile"
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
	d := &replication.Driver{Runner: x.ZFS, Memory: x.Store, Now: x.Clock.Now}
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
