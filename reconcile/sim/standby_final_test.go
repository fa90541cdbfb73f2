package sim

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/spec"
)

// What a node takes at the end of a switchover arrives, whatever names the files send: else no switchover would come to its end.
func TestFinalSnapshotArrives(t *testing.T) {
	a, b := newGroup(t)
	a.Role = spec.RoleActive
	for _, x := range []*ticking{a, b} {
		x.want.Replications["pair"].Snapshots = []string{"daily-*"}
	}
	a.do("zfs create tank/home")
	for i, snap := range []string{"daily-1", "by-hand", spec.FinalSnapshot + "5-20261124T080000Z"} {
		a.ZFS.Write("tank/home", 1<<20)
		a.do("zfs snapshot tank/home@" + snap)
		for _, at := range []string{"1", "2"} {
			a.at("2026-11-24T0" + string(rune('1'+i)) + ":0" + at + ":00Z")
			for _, o := range a.tick().Outcomes {
				if o.Err != nil {
					t.Error(o.Action.Object, o.Err)
				}
			}
		}
	}
	if got := strings.Join(strings.Fields(b.do("zfs list -H -t snapshot -o name -r tank/home")), " "); got != "tank/home@daily-1 tank/home@"+spec.FinalSnapshot+"5-20261124T080000Z" {
		t.Error(got)
	}
}
