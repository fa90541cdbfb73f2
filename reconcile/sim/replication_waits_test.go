package sim

import (
	"strings"
	"testing"
)

// What can't be received yet, since there is nothing to receive it into, is not tried: it waits, is told with what to do,
// and counts as behind.
func TestReplicationWaitsForTheParent(t *testing.T) {
	x := newSending(t)
	x.ZFS.SetClock(x.Clock.now)
	x.do("zfs create tank/a/b/c")
	x.do("zfs snapshot tank/a/b@one")
	x.do("zfs snapshot tank/a/b/c@one")
	x.at("2026-11-24T09:00:00Z")
	step := x.tick()
	if len(step.Plan.Actions) > 0 || len(step.Outcomes) > 0 {
		t.Errorf("it was tried: %+v", outcomes(step))
	}
	told := strings.Join(step.Remaining.Notices, "\n")
	if !strings.Contains(told, "not sent before tank/a has a snapshot") || !strings.Contains(told, "zfs snapshot tank/a@NAME") || !strings.Contains(told, ": tank/a/b, tank/a/b/c") {
		t.Errorf("told: %s", told)
	}
	if h := x.health(step); h.Never != 2 || h.Lag.Hours() != 2 || h.Error != "" {
		t.Errorf("%+v", h)
	}
	x.do("zfs snapshot tank/a@two")
	x.at("2026-11-24T09:01:00Z")
	x.tick()
	x.arrived()
	if got := x.there("usb/a/b/c"); len(got) != 1 {
		t.Errorf("below it: %v", got)
	}
}
