//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// taken are the real disks that a box holds now.
var taken = map[string]bool{}

// blockDisk gives a real disk by its path below /dev/disk/by-id, blank, until the test ends. A test that
// makes something of its own stand on it (md, LVM, a mount) takes that away itself. Only the guest has such
// disks (DPLANE_E2E_DISKS): without them the test is skipped.
func (b *box) blockDisk() string {
	b.t.Helper()
	all := strings.Fields(os.Getenv("DPLANE_E2E_DISKS"))
	i := slices.IndexFunc(all, func(d string) bool { return !taken[d] })
	if i < 0 {
		b.t.Skipf("no real disk is free: %d are in DPLANE_E2E_DISKS", len(all))
	}
	clearDisk(b.t, all[i])
	taken[all[i]] = true
	b.disks = append(b.disks, all[i])
	return all[i]
}

func giveBack(t *testing.T, disk string) {
	clearDisk(t, disk)
	delete(taken, disk)
}

// clearDisk writes zeros, which the guest's host takes for holes, and has the kernel forget the partitions.
func clearDisk(t *testing.T, disk string) {
	t.Helper()
	must(t, "blkdiscard", "-f", "-z", disk)
	must(t, "blockdev", "--rereadpt", disk)
	must(t, "udevadm", "settle")
}

// unplug takes a disk away from the kernel as if its cable was drawn; plug brings it back.
func unplug(t *testing.T, disk string) (plug func()) {
	t.Helper()
	name, err := filepath.EvalSymlinks(disk)
	if err != nil {
		t.Fatal(err)
	}
	device, err := filepath.EvalSymlinks(filepath.Join("/sys/block", filepath.Base(name), "device"))
	if err != nil {
		t.Fatal(err)
	}
	driver := func(verb string) {
		if err := os.WriteFile("/sys/bus/virtio/drivers/virtio_blk/"+verb, []byte(filepath.Base(device)), 0); err != nil {
			t.Fatal(err)
		}
		must(t, "udevadm", "settle")
	}
	driver("unbind")
	return func() { driver("bind") }
}

// TestRealDisk: a whole disk by its id becomes a pool, and is recognised by the partition that zpool made on it.
func TestRealDisk(t *testing.T) {
	b := newBox(t)
	pool, disk, other := b.pool("disk"), b.blockDisk(), b.blockDisk()
	b.write("pool.yaml", "pools: {"+pool+": {vdevs: [{mirror: ["+disk+", "+other+"]}]}}\ndatasets: {"+pool+": {properties: {mountpoint: none}}}\n")
	b.expect(0, "apply", "--yes")
	if out := must(t, "zpool", "list", "-HPv", pool); !strings.Contains(out, disk+"-part1") || !strings.Contains(out, other+"-part1") {
		t.Errorf("the pool:\n%s", out)
	}
	if r := b.expect(0, "plan", "--detailed-exitcode"); strings.Contains(r.Stdout, "To know") {
		t.Errorf("after it was created:\n%s", r.Stdout)
	}
}

// TestUnpluggedDisk: a disk of a mirror is drawn; status names it. It comes back, and is brought online. It is drawn
// again, and in its place comes one with a file system on it, which is taken once the operator names it.
func TestUnpluggedDisk(t *testing.T) {
	b := newBox(t)
	pool, stays, drawn := b.pool("tank"), b.blockDisk(), b.blockDisk()
	b.write("tank.yaml", fmt.Sprintf("pools: {%s: {vdevs: [{mirror: [%s, %s]}]}}\ndatasets: {%s: {properties: {mountpoint: %s}}}\n",
		pool, stays, drawn, pool, b.path("mnt")))
	b.expect(0, "apply", "--yes")

	draw := func() (plug func()) {
		plug = unplug(t, drawn)
		if err := os.WriteFile(b.path("mnt/written"), make([]byte, 4<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		must(t, "zpool", "sync", pool) // ZFS sees that a disk is gone when it writes there
		return plug
	}
	online := func() {
		t.Helper()
		must(t, "zpool", "wait", "-t", "resilver,replace", pool)
		if health := must(t, "zpool", "list", "-H", "-o", "health", pool); health != "ONLINE" {
			t.Errorf("the pool is %s:\n%s", health, must(t, "zpool", "status", "-P", pool))
		}
		b.expect(0, "plan", "--detailed-exitcode")
	}

	plug := draw()
	b.dplane("apply", "--yes")
	if r := b.expect(1, "status"); !strings.Contains(r.Stdout, "DEGRADED") || !strings.Contains(r.Stdout, drawn) || !strings.Contains(r.Stdout, "REMOVED") {
		t.Errorf("status does not name the disk:\n%s", r.Stdout)
	}
	plug()
	b.expect(0, "apply", "--yes")
	online()

	plug = draw()
	plug()
	clearDisk(t, drawn)
	must(t, "mkfs.ext4", "-q", drawn)
	must(t, "udevadm", "settle")
	if r := b.expect(3, "apply", "--yes"); !strings.Contains(r.Stdout, "dplane apply --wipe "+drawn) {
		t.Errorf("the plan does not say how to have the other disk:\n%s", r.Stdout)
	}
	b.expect(0, "apply", "--yes", "--wipe", drawn)
	online()
}
