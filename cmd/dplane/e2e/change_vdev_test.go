//go:build e2e

package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// mirrorOf is the pool that most rows begin with; more is put behind its vdevs.
func mirrorOf(devices, more string) string {
	return "pools: {POOL: {vdevs: [{mirror: [" + devices + "]}" + more + "}}\n"
}

// TestVdevChanges: the vdevs of a pool follow the files.
func TestVdevChanges(t *testing.T) {
	rows(t, []row{
		{
			name:   "add a mirror",
			before: mirrorOf("DISK:a, DISK:b", "]"),
			after:  mirrorOf("DISK:a, DISK:b", ", {mirror: [DISK:c, DISK:d]}]"),
			verb:   "update", risk: "irreversible", plan: []string{"zpool add POOL mirror DISK:c DISK:d"},
			see: func(p *place) { p.holds("a b c d") },
			twin: twin{ // a single device beside mirrors
				after: mirrorOf("DISK:a, DISK:b", ", {mirror: [DISK:c, DISK:d]}, {stripe: [DISK:e]}]"),
				verb:  "blocked", risk: "safe", plan: []string{"its redundancy differs from that of the pool (a single device, and the pool has a mirror of 2)"},
				unchanged: func(p *place) { p.holds("a b c d") },
			},
		},
		{
			name:   "add a log",
			before: mirrorOf("DISK:a, DISK:b", "]"),
			after:  mirrorOf("DISK:a, DISK:b", "], log: [{mirror: [DISK:c, DISK:d]}]"),
			verb:   "update", risk: "irreversible", plan: []string{"zpool add POOL log mirror DISK:c DISK:d"},
			see: func(p *place) { p.holds("a b c d") },
			twin: twin{ // a device with something on it
				after: mirrorOf("DISK:a, DISK:b", "], log: [{mirror: [DISK:c, DISK:d]}, {stripe: [DISK:e]}]"),
				hand:  func(p *place) { must(p.T, "mkswap", p.file("e")) },
				verb:  "blocked", risk: "safe", plan: []string{"DISK:e is used: signature of swap"},
				unchanged: func(p *place) { p.holds("a b c d") },
				wipe:      []string{"DISK:e"}, applied: func(p *place) { p.holds("a b c d e") },
			},
		},
		{
			name:   "add a special vdev",
			before: mirrorOf("DISK:a, DISK:b", "]"),
			after:  mirrorOf("DISK:a, DISK:b", "], special: [{mirror: [DISK:c, DISK:d]}]"),
			verb:   "update", risk: "irreversible", plan: []string{"zpool add POOL special mirror DISK:c DISK:d", "losing this vdev loses the pool"},
			see: func(p *place) { p.holds("a b c d") },
			twin: twin{ // one that would be lost with one device
				after: mirrorOf("DISK:a, DISK:b", "], special: [{mirror: [DISK:c, DISK:d]}], dedup: [{stripe: [DISK:e]}]"),
				verb:  "blocked", risk: "safe", plan: []string{"zpool refuses to mix them"},
				unchanged: func(p *place) { p.holds("a b c d") },
			},
		},
		{
			name:   "add a spare",
			before: mirrorOf("DISK:a, DISK:b", "]"),
			after:  mirrorOf("DISK:a, DISK:b", "], spare: [DISK:c]"),
			verb:   "update", risk: "irreversible", plan: []string{"zpool add POOL spare DISK:c"},
			see: func(p *place) { p.holds("a b c") },
			twin: twin{ // a device that has another task
				after: mirrorOf("DISK:a, DISK:b", "], log: [{stripe: [DISK:c]}]"),
				verb:  "blocked", risk: "safe", plan: []string{"DISK:c is a spare of the pool"},
				unchanged: func(p *place) { p.holds("a b c") },
			},
		},
		{
			name:   "add a cache device",
			before: mirrorOf("DISK:a, DISK:b", "]"),
			hand:   func(p *place) { p.disks["k"] = p.blockDisk() }, // zpool takes no file for a cache
			after:  mirrorOf("DISK:a, DISK:b", "], cache: [DISK:k]"),
			verb:   "update", risk: "irreversible", plan: []string{"zpool add POOL cache DISK:k"},
			see: func(p *place) { p.holds("a b k") },
			twin: twin{ // a disk with a file system
				after: mirrorOf("DISK:a, DISK:b", "], cache: [DISK:k, DISK:m]"),
				hand: func(p *place) {
					p.disks["m"] = p.blockDisk()
					must(p.T, "mkfs.ext4", "-q", p.disks["m"])
					must(p.T, "udevadm", "settle")
				},
				verb: "blocked", risk: "safe", plan: []string{"DISK:m is used: signature of ext4"},
				unchanged: func(p *place) { p.holds("a b k") },
				wipe:      []string{"DISK:m"}, applied: func(p *place) { p.holds("a b k m") },
			},
		},
		{
			name:   "keep a spare in the place of a disk",
			before: mirrorOf("DISK:a, DISK:b", "], spare: [DISK:s]"),
			hand:   func(p *place) { p.kickIn("b", "s") },
			after:  mirrorOf("DISK:a, DISK:s", "]"),
			verb:   "update", risk: "irreversible", plan: []string{"zpool detach POOL DISK:b"},
			see: func(p *place) { p.holds("a s") },
			twin: twin{ // a spare in use is to leave
				before: mirrorOf("DISK:a, DISK:s", "], spare: [DISK:x]"),
				hand:   func(p *place) { p.kickIn("s", "x") },
				after:  mirrorOf("DISK:a, DISK:s", "], remove: [DISK:x]"),
				verb:   "blocked", risk: "safe", plan: []string{"it stands in for another device"},
				unchanged: func(p *place) { p.holds("a s x") },
			},
		},
		{
			name:   "attach a device to a mirror",
			before: mirrorOf("DISK:a, DISK:b", "]"),
			after:  mirrorOf("DISK:a, DISK:b, DISK:c", "]"),
			verb:   "update", risk: "disruptive", plan: []string{"zpool attach POOL DISK:a DISK:c"},
			see: func(p *place) { p.holds("a b c") },
			twin: twin{ // while a checkpoint exists
				after: mirrorOf("DISK:a, DISK:b, DISK:c, DISK:d", "]"),
				hand: func(p *place) {
					must(p.T, "zpool", "wait", "-t", "resilver", p.pool)
					must(p.T, "zpool", "checkpoint", p.pool)
				},
				verb: "blocked", risk: "safe", plan: []string{"zpool checkpoint -d POOL"},
				unchanged: func(p *place) { p.holds("a b c") },
			},
		},
		{
			name:   "make a mirror of a single device",
			before: "pools: {POOL: {vdevs: [{stripe: [DISK:a]}]}}\n",
			after:  mirrorOf("DISK:a, DISK:b", "]"),
			verb:   "update", risk: "disruptive", plan: []string{"zpool attach POOL DISK:a DISK:b"},
			see: func(p *place) { p.holds("a b") },
			twin: twin{ // and a raidz of it
				after: "pools: {POOL: {vdevs: [{raidz1: [DISK:a, DISK:b, DISK:c]}]}}\n",
				verb:  "blocked", risk: "safe", plan: []string{"ZFS does not make a raidz1 of a mirror"},
				unchanged: func(p *place) { p.holds("a b") },
			},
		},
		{
			name:   "detach a device",
			before: mirrorOf("DISK:a, DISK:b, DISK:c", "]"),
			after:  mirrorOf("DISK:a, DISK:b", "], remove: [DISK:c]"),
			verb:   "update", risk: "irreversible", plan: []string{"zpool detach POOL DISK:c"},
			see: func(p *place) { p.holds("a b") },
			twin: twin{ // the only copy
				after: "pools: {POOL: {vdevs: [{stripe: [DISK:a]}], remove: [DISK:b]}}\n",
				hand:  func(p *place) { must(p.T, "zpool", "offline", p.pool, p.file("a")) },
				verb:  "blocked", risk: "safe", plan: []string{"it holds the only copy", "zpool online POOL DISK:a"},
				unchanged: func(p *place) { p.holds("a b") },
			},
			more: []twin{{ // the last but one
				hand: func(p *place) { // online again; a scrub has written what was missed, whenever the resilver began
					must(p.T, "zpool", "wait", "-t", "resilver", p.pool)
					must(p.T, "zpool", "scrub", "-w", p.pool)
				},
				after: "pools: {POOL: {vdevs: [{stripe: [DISK:a]}], remove: [DISK:b]}}\n",
				verb:  "update", risk: "irreversible", plan: []string{"zpool detach POOL DISK:b"},
				unchanged: func(p *place) { p.holds("a b") },
				yes:       true, applied: func(p *place) { p.holds("a") },
			}},
		},
		{
			name:   "remove a vdev",
			before: mirrorOf("DISK:bigA, DISK:bigB", ", {mirror: [DISK:c, DISK:d]}], log: [{stripe: [DISK:l]}]"),
			after:  mirrorOf("DISK:bigA, DISK:bigB", "], remove: [DISK:c, DISK:d, DISK:l]"),
			verb:   "update", risk: "irreversible", plan: []string{"zpool remove POOL mirror-1", "zpool remove POOL DISK:l"},
			see: func(p *place) {
				must(p.T, "zpool", "wait", "-t", "remove", p.pool)
				p.holds("bigA bigB")
			},
			twin: twin{ // one whose successor is yet to be written
				after: "pools: {POOL: {vdevs: [{mirror: [DISK:bigA, DISK:bigX]}], remove: [DISK:bigB]}}\n",
				verb:  "blocked", risk: "safe", plan: []string{"it stays until DISK:bigX is attached and resilvered"},
				unchanged: func(p *place) { p.holds("bigA bigB bigX") },
			},
		},
		{
			name:   "replace a device",
			before: "pools: {POOL: {vdevs: [{raidz1: [DISK:a, DISK:b, DISK:c]}]}}\n",
			after:  "pools: {POOL: {vdevs: [{raidz1: [DISK:a, DISK:d, DISK:c]}]}}\n",
			verb:   "update", risk: "disruptive", plan: []string{"zpool replace POOL DISK:b DISK:d"},
			see: func(p *place) {
				p.eventually("a c d")
			},
			twin: twin{ // a smaller raidz
				after: "pools: {POOL: {vdevs: [{raidz1: [DISK:a, DISK:d]}], remove: [DISK:c]}}\n",
				verb:  "blocked", risk: "safe", plan: []string{"ZFS does not take a device out of a raidz or draid"},
				unchanged: func(p *place) { p.holds("a c d") },
			},
		},
		{
			name:   "bring a device online",
			before: mirrorOf("DISK:a, DISK:b", "]"),
			hand:   func(p *place) { must(p.T, "zpool", "offline", p.pool, p.file("b")) },
			after:  mirrorOf("DISK:a, DISK:b", "]"),
			verb:   "update", risk: "safe", plan: []string{"DISK:b is OFFLINE", "zpool online POOL DISK:b"},
			see: func(p *place) {
				p.want("health", must(p.T, "zpool", "list", "-H", "-o", "health", p.pool), "ONLINE")
			},
			twin: twin{ // a replacement that is used
				after: mirrorOf("DISK:a, DISK:e", "]"),
				hand: func(p *place) {
					must(p.T, "zpool", "offline", p.pool, p.file("b"))
					must(p.T, "mkswap", p.file("e"))
				},
				verb: "blocked", risk: "safe", plan: []string{"DISK:e is used: signature of swap"},
				unchanged: func(p *place) { p.holds("a b") },
				wipe:      []string{"DISK:e"}, applied: func(p *place) { p.eventually("a e") },
			},
		},
		{
			name:   "renew a disk in its bay",
			before: mirrorOf("DISK:a, DISK:b", "]"),
			hand:   func(p *place) { p.swap("b") },
			after:  mirrorOf("DISK:a, DISK:b", "]"),
			verb:   "update", risk: "disruptive", plan: []string{"another device is at its path", "zpool replace POOL "},
			see: func(p *place) {
				p.eventually("a b")
				p.want("health", must(p.T, "zpool", "list", "-H", "-o", "health", p.pool), "ONLINE")
			},
			twin: twin{ // by one with something on it
				after: mirrorOf("DISK:a, DISK:b", "]"),
				hand: func(p *place) {
					p.swap("b")
					must(p.T, "mkswap", p.file("b"))
				},
				verb: "blocked", risk: "safe", plan: []string{"DISK:b is used: signature of swap"},
				unchanged: func(p *place) { p.holds("a b") },
				wipe:      []string{"DISK:b"}, applied: func(p *place) {
					p.eventually("a b")
					p.want("health", must(p.T, "zpool", "list", "-H", "-o", "health", p.pool), "ONLINE")
				},
			},
		},
	})
}

// TestRaidzExpansion: where the release has it.
func TestRaidzExpansion(t *testing.T) {
	if on21(t) {
		t.Skip("OpenZFS 2.1 expands no raidz; the plan is blocked there, which the model shows")
	}
	rows(t, []row{{
		name:   "expand a raidz",
		before: "pools: {POOL: {vdevs: [{raidz1: [DISK:a, DISK:b, DISK:c]}]}}\n",
		after:  "pools: {POOL: {vdevs: [{raidz1: [DISK:a, DISK:b, DISK:c, DISK:d]}]}}\n",
		verb:   "update", risk: "irreversible", plan: []string{"zpool attach POOL raidz1-0 DISK:d"},
		see: func(p *place) {
			must(p.T, "zpool", "wait", "-t", "raidz_expand", p.pool)
			p.holds("a b c d")
		},
		twin: twin{ // a smaller one
			after: "pools: {POOL: {vdevs: [{raidz1: [DISK:a, DISK:b, DISK:c]}]}}\n",
			verb:  "blocked", risk: "safe", plan: []string{"a raidz or draid never gets smaller"},
			unchanged: func(p *place) { p.holds("a b c d") },
		},
	}})
}

// TestDiskFails: status tells of a failing disk, the declared replacement resilvers with progress, and a spare that
// stands in becomes the owner of its place when it is declared there.
func TestDiskFails(t *testing.T) {
	b := newBox(t)
	p := &place{T: t, box: b, pool: b.pool("tank"), disks: map[string]string{}}
	p.start("pools: {POOL: {vdevs: [{mirror: [DISK:a, DISK:b]}], spare: [DISK:s]}}\ndatasets: {POOL: {properties: {mountpoint: DIR/mnt}}}\n", nil)
	must(t, "dd", "if=/dev/urandom", "of="+p.path("mnt/data"), "bs=1M", "count=40", "status=none")
	must(t, "zpool", "sync", p.pool)

	// Its data rots: a scrub finds it, and status names the device.
	must(t, "dd", "if=/dev/urandom", "of="+p.file("b"), "bs=1M", "seek=10", "count=60", "conv=notrunc", "status=none")
	must(t, "zpool", "scrub", "-w", p.pool)
	p.expect(0, "apply", "--yes")
	if said := p.expect(1, "status").Stdout; !strings.Contains(said, p.file("b")+" has errors: 0 read, 0 write, ") {
		t.Errorf("status does not name the disk with errors:\n%s", said)
	}

	// It fails, and a new one is declared in its place.
	must(t, "zpool", "offline", "-f", p.pool, p.file("b"))
	suspend := "/sys/module/zfs/parameters/zfs_scan_suspend_progress"
	if err := os.WriteFile(suspend, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(suspend, []byte("0"), 0o644) })
	p.declare("pools: {POOL: {vdevs: [{mirror: [DISK:a, DISK:c]}], spare: [DISK:s]}}\n")
	p.planned("update", "disruptive", []string{"zpool replace POOL DISK:b DISK:c", "FAULTED"})
	p.expect(0, "apply", "--yes")
	if said := p.expect(1, "status").Stdout; !strings.Contains(said, "resilver 0.0% done (0 of ") || !strings.Contains(said, p.file("b")+" of mirror-0 is FAULTED (external device fault)") {
		t.Errorf("status shows no resilver:\n%s", said)
	}
	p.expect(0, "plan", "--detailed-exitcode")
	if err := os.WriteFile(suspend, []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.eventually("a c s")
	p.expect(0, "apply", "--yes")
	p.expect(0, "status")

	// The spare stands in for the next one, and is declared in its place.
	p.kickIn("c", "s")
	p.declare("pools: {POOL: {vdevs: [{mirror: [DISK:a, DISK:s]}]}}\n")
	p.planned("update", "irreversible", []string{"zpool detach POOL DISK:c"})
	p.expect(0, "apply", "--yes")
	p.expect(0, "plan", "--detailed-exitcode")
	p.holds("a s")
}

// TestDiskUnplugged: a disk that is drawn out is named by status; put back, it is brought online; drawn out again, the
// declared replacement takes its place.
func TestDiskUnplugged(t *testing.T) {
	b := newBox(t)
	p := &place{T: t, box: b, pool: b.pool("tank"), disks: map[string]string{"a": b.blockDisk(), "b": b.blockDisk(), "c": b.blockDisk()}}
	p.start("pools: {POOL: {vdevs: [{mirror: [DISK:a, DISK:b]}]}}\ndatasets: {POOL: {properties: {mountpoint: DIR/mnt}}}\n", nil)
	draw := func() (back func()) {
		back = unplug(t, p.file("b"))
		must(t, "dd", "if=/dev/urandom", "of="+p.path("mnt/data"), "bs=1M", "count=10", "status=none")
		must(t, "zpool", "sync", p.pool)
		p.expect(0, "apply", "--yes")
		if said := p.expect(1, "status").Stdout; !strings.Contains(said, p.file("b")+"-part1 of mirror-0 is ") {
			t.Errorf("status does not name the disk that is out:\n%s", said)
		}
		return back
	}
	draw()()
	p.planned("update", "safe", []string{"a device with its label is here again", "zpool online POOL "})
	p.expect(0, "apply", "--yes")
	must(t, "zpool", "wait", "-t", "resilver", p.pool)
	p.want("health", must(t, "zpool", "list", "-H", "-o", "health", p.pool), "ONLINE")

	back := draw()
	t.Cleanup(back) // before the disks are given back
	p.declare("pools: {POOL: {vdevs: [{mirror: [DISK:a, DISK:c]}]}}\n")
	p.planned("update", "disruptive", []string{"zpool replace POOL "})
	p.expect(0, "apply", "--yes")
	p.eventually("a c")
	p.expect(0, "plan", "--detailed-exitcode")
	p.want("health", must(t, "zpool", "list", "-H", "-o", "health", p.pool), "ONLINE")
}

// kickIn lets a spare stand in for a disk that fails.
func (p *place) kickIn(disk, spare string) {
	p.Helper()
	if on21(p.T) {
		p.Skip("OpenZFS 2.1 puts no spare that is a file in a place, also with -f")
	}
	must(p.T, "zpool", "offline", "-f", p.pool, p.file(disk))
	must(p.T, "zpool", "replace", p.pool, p.file(disk), p.file(spare))
	must(p.T, "zpool", "wait", "-t", "resilver", p.pool)
}

// swap puts a blank file to the path of another, as a new disk comes into the bay of one that failed.
func (p *place) swap(disk string) {
	p.Helper()
	must(p.T, "zpool", "export", p.pool)
	must(p.T, "rm", p.file(disk))
	must(p.T, "truncate", "-s", "256M", p.file(disk))
	must(p.T, "zpool", "import", "-d", p.dir, p.pool)
}

// holds fails unless the pool has exactly these devices.
func (p *place) holds(disks string) {
	p.Helper()
	p.want("devices of the pool", p.devices(), disks)
}

// devices are the short names of all devices of the pool, sorted.
func (p *place) devices() string {
	p.Helper()
	var names []string
	out := must(p.T, "zpool", "status", "-P", p.pool)
	for _, line := range strings.Split(out, "\n") {
		f := strings.Fields(strings.ReplaceAll(line, "-part1", ""))
		for name, path := range p.disks {
			if len(f) > 0 && (f[0] == path || f[len(f)-1] == path) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// eventually waits until a resilver is over and the pool has exactly these devices.
func (p *place) eventually(disks string) {
	p.Helper()
	must(p.T, "zpool", "wait", "-t", "resilver", p.pool)
	for range 100 {
		if p.devices() == disks {
			return
		}
		time.Sleep(200 * time.Millisecond) // the old device is detached a moment after the resilver
	}
	p.holds(disks)
}
