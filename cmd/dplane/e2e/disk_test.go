//go:build e2e

package e2e

import (
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
