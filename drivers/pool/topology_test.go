package pool

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func TestTopologyDiffers(t *testing.T) {
	for _, tc := range []struct{ declared, inPool, want string }{
		{"/a /b", "/a /b", ""},
		{"/dev/disk/by-id/ata-A /dev/sdb /dev/nvme0n1", "/dev/disk/by-id/ata-A-part1 /dev/sdb1 /dev/nvme0n1p1", ""},
		{"/dev/disk/by-id/ata-A-part1", "/dev/disk/by-id/ata-A-part1", ""}, // declared as a partition
		{"/a /b /c", "/a /b", "declared and not in it: /c"},
		{"/a", "/a /b", "in it and not declared: /b"},
		{"/a /c", "/a /b", "declared and not in it: /c in it and not declared: /b"},
		{"/dev/disk/by-id/ata-A /dev/disk/by-id/ata-B", "/dev/sda1 /dev/sdb1", ""}, // imported under other names
		{"/dev/disk/by-id/ata-A /dev/disk/by-id/ata-B", "/dev/sda1", "declared and not in it"},
	} {
		want := &spec.Pool{Name: "tank", Vdevs: []spec.Vdev{{Type: "mirror"}}}
		for _, d := range strings.Fields(tc.declared) {
			want.Vdevs[0].Devices = append(want.Vdevs[0].Devices, spec.Device{Path: d})
		}
		mirror := state.Vdev{Name: "mirror-0"}
		for _, d := range strings.Fields(tc.inPool) {
			mirror.Children = append(mirror.Children, state.Vdev{Name: d})
		}
		obs := state.NewObserved(time.Unix(0, 0), "test")
		obs.Pools["tank"] = &state.Pool{Name: "tank", Vdevs: []state.Vdev{mirror}}
		got := strings.Join(topologyNotices(drivers.Input{Want: &spec.Spec{Pools: map[spec.PoolName]*spec.Pool{"tank": want}}, Have: obs}), "\n")
		if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
			t.Errorf("declared %s, in the pool %s: %q, want %q", tc.declared, tc.inPool, got, tc.want)
		}
	}
}
