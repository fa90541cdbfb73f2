//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// written is all that can be read of what is on a disk.
func written(t *testing.T, disk string) string {
	t.Helper()
	all := ""
	for _, path := range strings.Fields(must(t, "lsblk", "-n", "-r", "-p", "-o", "NAME", disk)) {
		all += run(t, "wipefs", "-J", path).Stdout + run(t, "zdb", "-l", path).Stdout
	}
	return all
}

// used is a box with a declared pool of real disks on each of which something is, and the arguments of --wipe that
// the plan must ask for.
type used struct {
	*box
	pool  string
	disks []string
	args  []string // without --wipe
}

func usedDisks(t *testing.T, fill ...func(b *box, disk string) (pool string)) *used {
	t.Helper()
	u := &used{box: newBox(t)}
	u.pool = u.box.pool("tank")
	for _, f := range fill {
		disk := u.blockDisk()
		arg := disk
		if pool := f(u.box, disk); pool != "" {
			arg += "=" + pool
		}
		u.disks, u.args = append(u.disks, disk), append(u.args, arg)
	}
	must(t, "udevadm", "settle")
	u.write("tank.yaml", fmt.Sprintf("pools: {%s: {vdevs: [{raidz1: [%s]}]}}\ndatasets: {%s: {properties: {mountpoint: none}}}\n",
		u.pool, strings.Join(u.disks, ", "), u.pool))
	return u
}

func (u *used) wipe(command ...string) []string {
	for _, a := range u.args {
		command = append(command, "--wipe", a)
	}
	return command
}

// taken wipes all disks and makes the pool of them in one apply.
func (u *used) taken() {
	u.t.Helper()
	u.expect(0, u.wipe("apply", "--yes")...)
	if out := must(u.t, "zpool", "list", "-HPv", u.pool); strings.Count(out, "-part1") != len(u.disks) {
		u.t.Errorf("the pool:\n%s", out)
	}
	u.expect(0, "plan", "--detailed-exitcode")
}

// old makes a pool of the disk, and ends it.
func old(verb string) func(b *box, disk string) string {
	return func(b *box, disk string) string {
		p := b.pool(verb)
		must(b.t, "zpool", "create", "-m", "none", p, disk)
		must(b.t, "udevadm", "settle")
		if verb != "import" {
			must(b.t, "zpool", verb, p)
		}
		if verb == "destroy" {
			return ""
		}
		return p
	}
}

func ext4(b *box, disk string) string {
	must(b.t, "mkfs.ext4", "-q", "-L", "backup", disk)
	return ""
}

func parted(label string) func(b *box, disk string) string {
	return func(b *box, disk string) string {
		file := b.path(label)
		must(b.t, "sh", "-c", `printf 'label: %s\n,100M\n,50M\n' "$1" >"$2" && sfdisk -q "$3" <"$2"`, "sh", label, file, disk)
		must(b.t, "udevadm", "settle")
		must(b.t, "mkfs.ext4", "-q", disk+"-part2")
		return ""
	}
}

func md(b *box, disk string) string {
	must(b.t, "mdadm", "--create", "/dev/md77", "--run", "--level=1", "--force", "--raid-devices=1", "--metadata=1.2", disk)
	b.t.Cleanup(func() { run(b.t, "mdadm", "--stop", "/dev/md77") })
	return ""
}

func stoppedMD(b *box, disk string) string {
	md(b, disk)
	must(b.t, "udevadm", "settle")
	must(b.t, "mdadm", "--stop", "/dev/md77")
	return ""
}

func lvm(b *box, disk string) string {
	must(b.t, "pvcreate", "-q", disk)
	must(b.t, "vgcreate", "-q", b.prefix, disk)
	must(b.t, "lvcreate", "-q", "-y", "-L", "50M", "-n", "lv", b.prefix)
	b.t.Cleanup(func() { run(b.t, "vgchange", "-an", b.prefix) })
	return ""
}

func inactiveLVM(b *box, disk string) string {
	lvm(b, disk)
	must(b.t, "vgchange", "-an", b.prefix)
	return ""
}

// TestWipe: what is on each of these disks blocks the pool, however willing the operator is otherwise, until each is
// named; then one apply clears them and makes the pool.
func TestWipe(t *testing.T) {
	u := usedDisks(t, ext4, parted("gpt"), parted("dos"), stoppedMD, inactiveLVM, old("export"))
	before := ""
	for _, d := range u.disks {
		before += written(t, d)
	}
	r := u.expect(3, "apply", "--yes")
	for _, a := range u.args {
		if !strings.Contains(r.Stdout, "dplane apply --wipe "+a) {
			t.Errorf("the plan does not say how to have %s:\n%s", a, r.Stdout)
		}
	}
	exported := u.disks[5]
	u.expect(1, "apply", "--yes", "--wipe", exported)            // without the pool's name
	u.expect(1, "apply", "--yes", "--wipe", exported+"="+u.pool) // with another
	u.expect(3, "apply", "--yes", "--wipe", u.disks[0])          // one of six
	u.expect(2, u.wipe("plan", "--detailed-exitcode")...)        // which changes nothing
	after := ""
	for _, d := range u.disks {
		after += written(t, d)
	}
	if before != after {
		t.Fatalf("a disk was touched before all were named:\n%s\nwas\n%s", after, before)
	}
	u.taken()
}

// TestNeverWiped: a disk that is in use, or of a pool that is imported here, stays as it is though it is named; the
// plan says what ends the use, and after that it can be had.
func TestNeverWiped(t *testing.T) {
	mount := func(b *box, disk string) string {
		ext4(b, disk)
		must(b.t, "mkdir", "-p", b.path("mnt"))
		must(b.t, "mount", disk, b.path("mnt"))
		b.t.Cleanup(func() { run(b.t, "umount", b.path("mnt")) })
		return ""
	}
	swap := func(b *box, disk string) string {
		must(b.t, "mkswap", disk)
		must(b.t, "swapon", disk)
		b.t.Cleanup(func() { run(b.t, "swapoff", disk) })
		return ""
	}
	u := usedDisks(t, mount, swap, md, lvm, old("import"), old("destroy"))
	r := u.expect(3, u.wipe("apply", "--yes")...)
	for _, text := range []string{"umount " + u.path("mnt"), "swapoff /dev/", "mdadm --stop /dev/md77", "lvchange -an /dev/mapper/" + u.prefix + "-lv",
		"which is imported here, and is never wiped"} {
		if !strings.Contains(r.Stdout, text) {
			t.Errorf("the plan does not say %q:\n%s", text, r.Stdout)
		}
	}
	if must(t, "zpool", "list", "-H", "-o", "health", u.prefix+"import") != "ONLINE" || run(t, "zdb", "-l", u.disks[5]+"-part1").Code != 0 {
		t.Error("a disk was touched")
	}
	must(t, "umount", u.path("mnt"))
	must(t, "swapoff", u.disks[1])
	must(t, "mdadm", "--stop", "/dev/md77")
	must(t, "vgchange", "-an", u.prefix)
	must(t, "zpool", "export", u.prefix+"import")
	must(t, "udevadm", "settle")
	u.taken()
}
