package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
)

// While the group stands still, snapshots of it are taken, and nothing of it is pruned, sent or destroyed, whoever approves
// it; the plan says why. What is no part of it goes on. Afterwards all that was left is made good.
func TestFrozen(t *testing.T) {
	files := strings.NewReplacer(
		"  tank/home: {}\n", "  tank/home: {snapshots: often}\n  tank/own: {snapshots: often}\n",
		"replications:\n", "schedules: {often: {keep: {hourly: 2}}}\nreplications:\n",
	).Replace(inGroup)
	a, b := newNode(t, files, "nas-a"), newNode(t, files, "nas-b")
	b.ZFS.Model.Serial = 1 << 20
	a.ZFS.Remotes = map[string]*zfsfake.Fake{"nas-b": b.ZFS}
	a.Role = spec.RoleActive
	hour := 7
	hours := func(n int) {
		t.Helper()
		for range n {
			hour++
			for _, minute := range []int{0, 1} {
				a.at(fmt.Sprintf("2026-11-24T%02d:%02d:00Z", hour, minute))
				a.ZFS.SetClock(a.Clock.now)
				for _, o := range a.tick().Outcomes {
					if o.Err != nil {
						t.Errorf("%02d h: %s: %v", hour, o.Action.Object, o.Err)
					}
				}
			}
		}
	}
	a.do("zfs create tank/home")
	hours(4)
	before, sent := a.there("tank/home"), b.there("tank/home")
	if len(before) != 2 || !slices.Equal(before, sent[len(sent)-2:]) {
		t.Fatalf("the group has %v, and the standby %v", before, sent)
	}

	a.Frozen = "two nodes are active: nas-a and nas-b"
	hours(4)
	if got := a.there("tank/home"); len(got) != 6 || !slices.Equal(got[:2], before) {
		t.Errorf("the group has %v, and it had %v: it is snapshotted, and nothing of it goes", got, before)
	}
	if got := b.there("tank/home"); !slices.Equal(got, sent) {
		t.Errorf("the standby got %v, and had %v", got, sent)
	}
	if got := a.there("tank/own"); len(got) != 2 {
		t.Errorf("what is no part of the group has %v, and is to keep 2", got)
	}
	a.at(fmt.Sprintf("2026-11-24T%02d:02:00Z", hour))
	step, kinds := a.tick(), map[string]bool{}
	for _, x := range step.Plan.Actions {
		switch {
		case x.Verb != drivers.Blocked:
			t.Errorf("%s %s is not blocked", x.Verb, x.Object)
		case !strings.Contains(x.Reason.Observed, "stand still: two nodes are active: nas-a and nas-b") || x.Reason.At == "" || len(x.Steps) > 0:
			t.Errorf("%s: %+v", x.Object, x.Action)
		}
		kinds[x.Object.String()] = true
	}
	for _, want := range []string{"schedule tank/home", "replication pair"} {
		if !kinds[want] {
			t.Errorf("the plan does not say that %s is blocked: %v", want, kinds)
		}
	}
	a.Frozen = ""
	hours(2)
	now := a.there("tank/home")
	if got := b.there("tank/home"); len(now) != 2 || !slices.Equal(now, got[len(got)-2:]) {
		t.Errorf("it goes on, and the group has %v, the standby %v", now, got)
	}
}
