package sim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
)

// replicas are the guids of all snapshots of a pool, however their datasets are called.
func (x *ticking) replicas(pool string) map[string]bool {
	x.t.Helper()
	all := map[string]bool{}
	for _, guid := range strings.Fields(x.do("zfs list -Hp -r -t snapshot -o guid " + pool)) {
		all[guid] = true
	}
	return all
}

// Whatever happens to the source, no pass takes from the replica what it alone has, and none sends whole into the place of it.
func TestReplicationDisasters(t *testing.T) {
	for name, happens := range map[string]func(x *ticking){
		"the source is rolled back to the base of before": func(x *ticking) {
			for _, d := range []string{"tank/a/b", "tank/a"} {
				x.do("zfs rollback -r " + d + "@h07")
			}
		},
		"the source is rolled back, and goes on": func(x *ticking) {
			for _, d := range []string{"tank/a/b", "tank/a"} {
				x.do("zfs rollback -r " + d + "@h07")
			}
			x.snap("new")
		},
		"the source is another dataset": func(x *ticking) {
			x.do("zfs rename tank/a tank/old")
			x.do("zfs create tank/a")
			x.do("zfs create tank/a/b")
			x.snap("h09")
		},
		"the source has lost all its snapshots and marks": func(x *ticking) {
			for _, d := range []string{"tank/a/b", "tank/a"} {
				for _, what := range strings.Fields(x.do("zfs list -H -d 1 -t snapshot,bookmark -o name " + d)) {
					x.do("zfs destroy " + what)
				}
			}
			x.snap("after")
		},
		"the target is called otherwise": func(x *ticking) { x.do("zfs rename usb/a usb/moved") },
		"both ends changed their names": func(x *ticking) {
			x.do("zfs rename usb/a usb/moved")
			x.do("zfs create usb/a")
			x.do("zfs create usb/a/b")
		},
		"a child took the place of its parent": func(x *ticking) {
			x.do("zfs rename tank/a/b tank/b")
			x.do("zfs rename tank/a tank/old")
			x.do("zfs rename tank/b tank/a")
		},
	} {
		for _, forget := range []bool{false, true} {
			x := newSending(t)
			x.want = keepOf(t, "hourly: 1")
			x.sentHours(7, 8)
			x.do("zfs snapshot usb/a@own")
			x.do("zfs hold mine usb/a@own")
			had := x.replicas("usb")
			happens(x)
			if forget {
				if err := x.Store.ForgetReplication(t.Context(), "off"); err != nil {
					t.Fatal(err)
				}
			}
			for h := range 4 {
				x.at(fmt.Sprintf("2026-11-24T%02d:30:00Z", 9+h))
				x.ZFS.SetClock(x.Clock.now)
				x.tick()
				x.at(fmt.Sprintf("2026-11-24T%02d:31:00Z", 9+h))
				if _, _, err := x.with(reconcile.Daemon(x.want), nil); err != nil {
					t.Fatal(err)
				}
			}
			has := x.replicas("usb")
			for guid := range had {
				if !has[guid] {
					t.Errorf("%s, forgotten %t: the snapshot %s is gone from the target", name, forget, guid)
				}
			}
		}
	}
}

// Killed twice in a row, at any two writes of a run and of the one after it: the next leaves what an undisturbed one leaves, and sends
// nothing whole again, though the source prunes what it can meanwhile.
func TestReplicationKilledTwice(t *testing.T) {
	for first := 1; ; first++ {
		ended := false
		for second := 1; second < 12; second += 3 {
			x := newSending(t)
			x.snap("one")
			x.tick()
			was := x.do("zfs get -Hp -r -t filesystem -o name,value guid usb/a")
			x.snap("two")
			x.snap("three")
			for i, n := range []int{first, second} {
				x.at(fmt.Sprintf("2026-11-24T08:0%d:00Z", i))
				_, died, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, nil), &host.Faulty{N: n, Fault: host.DieAfter})
				if err != nil {
					t.Fatal(err)
				}
				ended = ended || i == 0 && !died
				for _, d := range []string{"tank/a", "tank/a/b"} { // what a schedule may prune, it prunes
					for _, s := range []string{"one", "two"} {
						_, _ = x.ZFS.Do("zfs destroy " + d + "@" + s)
					}
				}
			}
			x.snap("four")
			for i := range 3 {
				x.at(fmt.Sprintf("2026-11-24T09:0%d:00Z", i))
				x.tick()
			}
			if is := x.do("zfs get -Hp -r -t filesystem -o name,value guid usb/a"); is != was {
				t.Errorf("killed at %d and %d: another dataset: %s, was %s", first, second, is, was)
			}
			x.came()
		}
		if ended {
			break
		}
	}
}
