package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/reconcile"
)

// TestHangingPool: a pool that does not answer, or whose devices are gone, is told with the reason, costs one
// command a pass, and the other one is set right all the same. Afterwards its turn comes.
func TestHangingPool(t *testing.T) {
	for state, why := range map[string]string{"hang": "zfs did not answer in time", "suspend": "the pool is suspended"} {
		t.Run(state, func(t *testing.T) {
			m := newMachine(t)
			do(t, m, "zpool create -o ashift=12 -o autotrim=on tank mirror /dev/a /dev/b")
			want := load(t, `pools: {tank: {}, other: {}}
datasets: {tank: {properties: {atime: off}}, other/x: {properties: {compression: zstd}}}
`)
			m.Hurry = 20 * time.Millisecond // a hang takes real time
			if err := m.ZFS.Control(state + " tank"); err != nil {
				t.Fatal(err)
			}
			m.Watch = &Watched{}
			step, _, err := m.Pass(want, reconcile.ByHand(nil, nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			if un := step.Observed.UnseenPool("tank"); !strings.Contains(un, why) {
				t.Errorf("tank: %q, want %q", un, why)
			}
			if out, err := m.ZFS.Do("zfs get -H -o value compression other/x"); err != nil || out != "zstd\n" {
				t.Errorf("the other pool waits: %q, %v", out, err)
			}
			if n := len(m.Watch.TimedOut); n > 2 { // one look before, and one after what was done
				t.Errorf("%d commands ran into their deadline: %v", n, m.Watch.TimedOut)
			}
			if err := m.ZFS.Control("resume tank"); err != nil {
				t.Fatal(err)
			}
			pass(t, m, want)
			for _, c := range m.Watch.All {
				kernel := c.String() == "cat /proc/self/mounts" // asks no pool
				if p := zfs.PoolNamed(c); p == "" && !kernel && c.String() != zfs.Version().String() && c.String() != zfs.ListPools().String() {
					t.Errorf("%s names no pool: it would wait for any that hangs", c)
				}
			}
		})
	}
}
