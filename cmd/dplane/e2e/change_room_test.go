//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"
)

// TestVdevRoom are the rows of vdevs for which size and room count.
func TestVdevRoom(t *testing.T) {
	// small makes a file that no vdev of these pools takes.
	small := func(p *place) {
		if err := os.Truncate(p.file("s"), 100<<20); err != nil {
			p.Fatal(err)
		}
	}
	draid := func(devices string) string {
		return "pools: {POOL: {vdevs: [{draid1: {data: 2, spares: 1, devices: [" + devices + "]}}]}}\ndatasets: {POOL: {properties: {mountpoint: none}}}\n"
	}
	single := func(more string) string {
		return "pools: {POOL: {vdevs: [{stripe: [DISK:a" + more + "}}\ndatasets: {POOL: {properties: {mountpoint: DIR/mnt}}}\n"
	}
	rows(t, []row{
		{
			name:  "create a draid",
			after: draid("DISK:a, DISK:b, DISK:c, DISK:d"),
			verb:  "create", risk: "irreversible", plan: []string{"POOL draid1:2d:1s:4c DISK:a DISK:b DISK:c DISK:d"},
			see: func(p *place) { p.holds("a b c d") },
			twin: twin{ // a larger one
				after: draid("DISK:a, DISK:b, DISK:c, DISK:d, DISK:e"),
				verb:  "blocked", risk: "safe", plan: []string{"a draid never grows"},
				unchanged: func(p *place) { p.holds("a b c d") },
			},
		},
		{
			name:   "add a dedup vdev",
			before: mirrorOf("DISK:a, DISK:b", "]"),
			after:  mirrorOf("DISK:a, DISK:b", "], dedup: [{mirror: [DISK:c, DISK:d]}]"),
			verb:   "update", risk: "irreversible", plan: []string{"zpool add POOL dedup mirror DISK:c DISK:d", "losing this vdev loses the pool"},
			see: func(p *place) { p.holds("a b c d") },
			twin: twin{ // of unequal devices
				after: mirrorOf("DISK:a, DISK:b", "], dedup: [{mirror: [DISK:c, DISK:d]}, {mirror: [DISK:e, DISK:s]}]"),
				hand:  small,
				verb:  "blocked", risk: "safe", plan: []string{"zpool refuses a mirror of devices that differ by more than 16 MiB"},
				unchanged: func(p *place) { p.holds("a b c d") },
			},
		},
		{
			name:   "make a mirror of a log",
			before: mirrorOf("DISK:a, DISK:b", "], log: [{stripe: [DISK:c]}]"),
			after:  mirrorOf("DISK:a, DISK:b", "], log: [{mirror: [DISK:c, DISK:d]}]"),
			verb:   "update", risk: "disruptive", plan: []string{"zpool attach POOL DISK:c DISK:d"},
			see: func(p *place) { p.holds("a b c d") },
			twin: twin{ // by a device that is too small
				after: mirrorOf("DISK:a, DISK:b", "], log: [{mirror: [DISK:c, DISK:d, DISK:s]}]"),
				hand:  small,
				verb:  "blocked", risk: "safe", plan: []string{"DISK:s is too small: it has 100M"},
				unchanged: func(p *place) { p.holds("a b c d") },
			},
		},
		{
			name:   "take a log out",
			before: single(", DISK:b]}], log: [{stripe: [DISK:l]}]"),
			after:  single(", DISK:b]}], remove: [DISK:l]"),
			verb:   "update", risk: "irreversible", plan: []string{"zpool remove POOL DISK:l"},
			see: func(p *place) { p.holds("a b") },
			twin: twin{ // a vdev whose data has no room elsewhere
				after: single("]}], remove: [DISK:b]"),
				hand: func(p *place) {
					must(p.T, "dd", "if=/dev/urandom", "of="+p.path("mnt/data"), "bs=1M", "count=160", "status=none")
					must(p.T, "zpool", "sync", p.pool)
				},
				verb: "blocked", risk: "safe", plan: []string{"and ZFS removes no vdev of more"},
				unchanged: func(p *place) {
					p.holds("a b")
					if r := run(p.T, "zpool", "remove", p.pool, p.file("b")); r.Code == 0 || !strings.Contains(r.Stderr, "out of space") {
						p.Errorf("zpool itself says %d: %s", r.Code, r.Stderr)
					}
				},
			},
		},
	})
}
