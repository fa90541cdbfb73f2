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

// reboot is what TestReboot goes on with from one boot of the machine to the next.
type reboot struct {
	*box
	pool, old, at string // the pool, the tree, and where that is mounted
}

// TestReboot is run by the script reboot, in a guest that is booted three times with the same disks: what is in the
// trash when the machine starts is not mounted, and comes back whole; what came back is there after the next start.
func TestReboot(t *testing.T) {
	dir, boot, ok := strings.Cut(os.Getenv("DPLANE_REBOOT"), " ")
	if !ok {
		t.Skip("the script reboot runs it (make test-reboot)")
	}
	const pool = "dptboot"
	r := &reboot{&box{t: t, dir: dir, listen: "127.0.0.1:9000"}, pool, pool + "/old", "/srv/old"}
	defer run(t, "sync") // the test's own files
	switch boot {
	case "1":
		r.intoTrash()
	case "2":
		r.start("successor", "other")
		r.back()
	case "3":
		r.start("old", "old/child", "old/enc", "other")
		r.end()
	default:
		t.Fatalf("DPLANE_REBOOT=%q", os.Getenv("DPLANE_REBOOT"))
	}
}

// declare writes the files: body is what they say beside the pool, its root and a file system that stays.
func (r *reboot) declare(body string) {
	r.t.Helper()
	disks := strings.Fields(os.Getenv("DPLANE_E2E_DISKS"))
	head := fmt.Sprintf("pools: {POOL: {vdevs: [{mirror: [%s, %s]}]}}\ndatasets:\n", disks[0], disks[1])
	stays := "  POOL: {properties: {mountpoint: none}}\n  POOL/other: {properties: {mountpoint: /srv/other}}\n"
	r.write("tank.yaml", strings.ReplaceAll(head+stays+body, "POOL", r.pool))
}

func (r *reboot) tree() string {
	return fmt.Sprintf("  POOL/old: {properties: {mountpoint: %s}}\n  POOL/old/child: {properties: {canmount: on}}\n  POOL/old/enc: {encryption: {format: raw, keyFile: %s}}\n", r.at, r.path("keys/raw"))
}

const treeAbsent = "  POOL/old: {absent: true}\n  POOL/old/child: {absent: true}\n  POOL/old/enc: {absent: true}\n"

// intoTrash is before the first start: the tree is made, is busy, goes into the trash, and has a successor in its place.
func (r *reboot) intoTrash() {
	t := r.t
	for _, dir := range []string{"etc", "keys"} {
		if err := os.MkdirAll(r.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.write("daemon.yaml", fmt.Sprintf("daemon: {runtime: /run/dptboot, database: %s}\n", r.path("dplane.db")))
	r.keep("keys/raw", strings.Repeat("k", 32))
	r.declare(r.tree())
	r.expect(0, "apply", "--yes")
	for _, name := range []string{"", "child/", "enc/"} {
		if err := os.WriteFile(filepath.Join(r.at, name+"file"), []byte("of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "zfs", "snapshot", "-r", r.old+"@s")
	r.keep("before", local(t, r.old))
	r.keep("guid", zfsGet(t, "guid", r.old))

	r.declare(treeAbsent)
	f, err := os.Open(filepath.Join(r.at, "enc/file"))
	if err != nil {
		t.Fatal(err)
	}
	end := user(t, f)
	if got := r.expect(3, "apply", "--yes"); !strings.Contains(got.Stdout, "uses "+r.at+"/enc/file") {
		t.Errorf("does not say who has it open:\n%s", got.Stdout)
	}
	end()
	r.expect(0, "apply", "--yes")
	r.declare(treeAbsent + "  POOL/successor: {properties: {mountpoint: " + r.at + "}}\n")
	r.expect(0, "apply", "--yes")
	if err := os.WriteFile(filepath.Join(r.at, "new"), []byte("of the successor"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "sync")
}

// start imports and mounts as the units of zfsutils do at boot, without keys and then with them, and fails where
// anything but these is mounted.
func (r *reboot) start(names ...string) {
	t := r.t
	t.Helper()
	must(t, "zpool", "import", "-a", "-N", "-d", "/dev/disk/by-id")
	must(t, "zfs", "mount", "-a")
	r.mounted(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "old/enc" })...)
	must(t, "zfs", "load-key", "-a")
	must(t, "zfs", "mount", "-a", "-l")
	r.mounted(names...)
	r.expect(0, "plan", "--detailed-exitcode")
}

func (r *reboot) mounted(names ...string) {
	r.t.Helper()
	var got []string
	for _, line := range strings.Split(must(r.t, "zfs", "get", "-Hr", "-t", "filesystem", "-o", "name,value", "mounted", r.pool), "\n") {
		if name, yes := strings.CutSuffix(line, "\tyes"); yes {
			got = append(got, strings.TrimPrefix(name, r.pool+"/"))
		}
	}
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		r.t.Fatalf("mounted is %q, want %q", got, names)
	}
}

// back is after the first start: the successor has its place, and once it has another, the tree is restored whole.
func (r *reboot) back() {
	t := r.t
	if got, err := os.ReadFile(filepath.Join(r.at, "new")); err != nil || string(got) != "of the successor" {
		t.Errorf("%s/new holds %q, %v", r.at, got, err)
	}
	if got := r.expect(1, "restore", r.old); !strings.Contains(got.Stdout, "is the mountpoint of "+r.pool+"/successor") {
		t.Errorf("does not say what is in its place:\n%s", got.Stdout)
	}
	r.declare(treeAbsent + "  POOL/successor: {properties: {mountpoint: none}}\n")
	r.expect(0, "apply", "--yes")
	r.expect(0, "restore", r.old)
	r.whole()
	r.declare(r.tree() + "  POOL/successor: {properties: {mountpoint: none}}\n")
	r.expect(0, "plan", "--detailed-exitcode")
}

// whole fails where the tree is not as it was before it went into the trash.
func (r *reboot) whole() {
	t := r.t
	t.Helper()
	if got, was := local(t, r.old), r.kept("before"); got != was {
		t.Errorf("came back as\n%s\nwas\n%s", got, was)
	}
	for _, name := range []string{"", "child/", "enc/"} {
		if got, err := os.ReadFile(filepath.Join(r.at, name+"file")); err != nil || string(got) != "of "+name {
			t.Errorf("%sfile holds %q, %v", name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(r.at, "new")); err == nil {
		t.Error("what the successor holds is in the tree")
	}
}

// end is after the second start: the tree is there, goes again, and a clone keeps it from being destroyed.
func (r *reboot) end() {
	t := r.t
	r.whole()
	r.declare(treeAbsent)
	r.expect(0, "apply", "--yes")
	place := r.pool + "/.dplane-trash/" + r.kept("guid")
	must(t, "zfs", "clone", "-o", "mountpoint=none", place+"/child@s", r.pool+"/keep")
	age(t, place)
	if got := r.expect(3, "apply", "--yes"); !strings.Contains(got.Stdout, r.pool+"/keep is a clone of "+place+"/child@s") {
		t.Errorf("the clone is not told of:\n%s", got.Stdout)
	}
	must(t, "zfs", "list", place+"/child@s", place+"/enc@s", place+"@s")
	must(t, "zfs", "promote", r.pool+"/keep")
	r.expect(0, "apply", "--yes", "--allow", r.destructive())
	if got := run(t, "zfs", "list", place); got.Code == 0 {
		t.Errorf("%s is still there", place)
	}
	must(t, "zfs", "list", r.pool+"/keep@s", r.pool+"/successor")
	r.expect(0, "plan", "--detailed-exitcode")
}

// keep writes a file that the next boot reads, and kept reads one.
func (r *reboot) keep(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reboot) kept(name string) string {
	r.t.Helper()
	text, err := os.ReadFile(r.path(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}
