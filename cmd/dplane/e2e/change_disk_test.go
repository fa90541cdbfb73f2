//go:build e2e

package e2e

import "testing"

// TestDiskChanges are the rows of disks that are not blank; TestWipe and TestNeverWiped have real ones of each kind.
func TestDiskChanges(t *testing.T) {
	pool := func(vdev string) string {
		return "pools: {POOL: {vdevs: [" + vdev + "]}}\ndatasets: {POOL: {properties: {mountpoint: none}}}\n"
	}
	// had makes a pool of a disk, and leaves it as verb says.
	had := func(p *place, verb, disk string) {
		name := p.pool + "." + verb
		p.pools = append(p.pools, name)
		must(p.T, "zpool", "create", "-m", "none", name, p.file(disk))
		if verb != "keep" {
			must(p.T, "zpool", verb, name)
		}
	}
	devices := func(n string) func(*place) {
		return func(p *place) {
			p.want("devices", must(p.T, "sh", "-c", `zpool list -HPv "$1" | grep -c /`, "sh", p.pool), n)
		}
	}
	rows(t, []row{
		{
			name: "clear a used disk for a new pool", hand: func(p *place) { must(p.T, "mkfs.ext4", "-q", "-L", "old", p.file("a")) },
			after: pool("{stripe: [DISK:a]}"), wipe: []string{"DISK:a"},
			verb: "destroy", risk: "destructive", plan: []string{"ext4, named old", "$ wipefs --force -a DISK:a", "$ zpool create"}, see: devices("1"),
			twin: twin{ // its label names a pool that may still be wanted
				hand: func(p *place) { had(p, "export", "b") }, after: pool("{mirror: [DISK:a, DISK:b]}"),
				verb: "blocked", risk: "safe", plan: []string{"dplane apply --wipe DISK:b=POOL.export"}, unchanged: devices("1"),
				wipe: []string{"DISK:b=POOL.export"}, applied: devices("2"),
			},
		},
		{
			name: "clear a used disk for a mirror", before: pool("{stripe: [DISK:a]}"), hand: func(p *place) { had(p, "destroy", "b") },
			after: pool("{mirror: [DISK:a, DISK:b]}"), wipe: []string{"DISK:b"},
			verb: "destroy", risk: "destructive", plan: []string{"$ zpool labelclear -f DISK:b", "$ zpool attach"}, see: devices("2"),
			twin: twin{ // it is in use
				hand: func(p *place) { had(p, "keep", "c") }, after: pool("{mirror: [DISK:a, DISK:b, DISK:c]}"),
				verb: "blocked", risk: "safe", plan: []string{"DISK:c is used: "}, unchanged: devices("2"),
			},
		},
	})
}
