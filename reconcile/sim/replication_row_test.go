package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// ending is a machine that loses what it sends to once a stream has run.
type ending struct {
	host.Runner
	then func()
}

func (e *ending) Run(ctx context.Context, c host.Command) (host.Result, error) {
	res, err := e.Runner.Run(ctx, c)
	if c.Stdin != nil && e.then != nil {
		e.then()
		e.then = nil
	}
	return res, err
}

// A disk is pulled in the middle of a row of snapshots, and stays away for longer than the source keeps them: what had come
// last is still there when it is back, so that it goes on.
func TestReplicationRowCutAndAway(t *testing.T) {
	x := newSending(t)
	x.want = policyOf(t, strings.Replace(replicated, "datasets:\n", "schedules:\n  s: {keep: {hourly: 4}}\ndatasets:\n  tank/a: {snapshots: s}\n", 1))
	hour := func(h int) {
		for m := range 3 {
			x.at(fmt.Sprintf("2026-11-24T%02d:%02d:00Z", h, m))
			if m == 0 {
				x.ZFS.Write("tank/a", 1<<20)
			}
			x.tick()
		}
	}
	hour(7)
	if len(x.there("usb/a")) != 1 {
		t.Fatalf("usb/a has %v", x.there("usb/a"))
	}
	x.do("zpool export usb")
	hour(8)
	hour(9)
	hour(10)
	x.do("zpool import -d /pool usb")
	x.ZFS.Model.Cuts = []uint64{1<<20 + 1<<18} // the first arrives, of the second a part
	x.at("2026-11-24T10:30:00Z")
	x.meanwhile(&ending{x.ZFS, func() { x.do("zpool export usb") }}, func() {})
	for h := 11; h < 18; h++ {
		hour(h)
	}
	x.do("zpool import -d /pool usb")
	came := x.guidsOf("usb/a")
	if len(came) != 2 {
		t.Fatalf("the cut left %v", x.there("usb/a"))
	}
	hour(18)
	hour(19)
	source, target := x.guidsOf("tank/a"), x.guidsOf("usb/a")
	if last := source[len(source)-1]; !slices.Contains(target, last) {
		t.Errorf("it does not go on: tank/a has %v, usb/a %v", x.there("tank/a"), x.there("usb/a"))
	}
}

// What the source prunes in the same step as it is sent may be the base: the bookmark of it is as good.
func TestReplicationBasePrunedInTheSameStep(t *testing.T) {
	x := newSending(t)
	x.want = policyOf(t, strings.Replace(replicated, "tank/a/cache]}", "tank/a/cache], when: {every: 2h}}", 1))
	x.snap("one")
	x.tick()
	x.arrived()
	x.snap("two")
	x.snap("three")
	x.at("2026-11-24T10:00:00Z")
	s := x.meanwhile(x.ZFS, func() { x.do("zfs destroy tank/a@one") }) // by a schedule, right before it is sent
	if s.Outcomes.Count(state.Done) != 1 {
		t.Error(outcomes(s))
	}
	x.arrived()
}

// What a replication left that was named otherwise is let go of once the next one has marked its own: a dataset that has no
// snapshot, and that nothing was ever sent of, keeps nobody waiting.
func TestReplicationRenamedLetsGo(t *testing.T) {
	for _, long := range []bool{false, true} {
		renamedLetsGo(t, long)
	}
}

// long: one dataset has so long a name that no bookmark of it can be made.
func renamedLetsGo(t *testing.T, long bool) {
	x := newSending(t)
	x.do("zfs create tank/a/none")
	name := "tank/a/" + strings.Repeat("x", 225)
	if long {
		x.do("zfs create " + name)
		x.do("zfs snapshot " + name + "@one")
	}
	x.snap("one")
	x.tick()
	x.want = policyOf(t, strings.Replace(replicated, "off: {", "other: {", 1))
	x.snap("two")
	if long {
		x.do("zfs snapshot " + name + "@two")
	}
	offered := 0
	for h := 8; h < 14; h++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
		step := x.tick()
		for _, a := range step.Remaining.Actions {
			if a.Reason.Code == drivers.Removed && a.Object.Name == "off" {
				offered++
			}
		}
	}
	if offered == 0 {
		t.Errorf("long %t: what the replication off left stays for ever", long)
	}
}
