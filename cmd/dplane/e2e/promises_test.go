//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func content(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestUsedDisks: what zpool would overwrite in silence, dplane's own probe refuses.
func TestUsedDisks(t *testing.T) {
	for name, fill := range map[string]func(b *box, disk string){
		"ext4": func(b *box, disk string) { must(t, "mkfs.ext4", "-q", "-F", disk) },
		"mbr":  func(b *box, disk string) { partition(t, disk, "label: dos\n,40M\n") },
		"gpt":  func(b *box, disk string) { partition(t, disk, "label: gpt\n,40M\n") },
		"destroyed pool": func(b *box, disk string) {
			p := b.pool("old")
			must(t, "zpool", "create", "-m", "none", p, disk)
			must(t, "zpool", "destroy", p)
		},
		"exported pool": func(b *box, disk string) {
			p := b.pool("exp")
			must(t, "zpool", "create", "-m", "none", p, disk)
			must(t, "zpool", "export", p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			pool := b.pool("tank")
			disk := b.disk("used")
			if err := os.Truncate(disk, 64<<20); err != nil { // the smallest vdev: it is compared as a whole
				t.Fatal(err)
			}
			fill(b, disk)
			before := content(t, disk)
			b.write("tank.yaml", fmt.Sprintf("pools: {%s: {vdevs: [{mirror: [%s, %s]}]}}\n", pool, b.disk("blank"), disk))
			if r := b.expect(2, "plan", "--detailed-exitcode"); !strings.Contains(r.Stdout, disk) || strings.Contains(r.Stdout, "+ ") {
				t.Errorf("the plan does not name the disk that blocks it:\n%s", r.Stdout)
			}
			b.expect(3, "apply", "--yes")
			if run(t, "zpool", "list", pool).Code == 0 || !bytes.Equal(content(t, disk), before) {
				t.Errorf("the used disk was taken")
			}
		})
	}
}

func partition(t *testing.T, disk, script string) {
	t.Helper()
	file := disk + ".sfdisk"
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "sh", "-c", `sfdisk -q "$1" <"$2"`, "sh", disk, file)
}

// TestMissingIsNotNew: what was recorded and is gone is not made again before the operator says so.
func TestMissingIsNotNew(t *testing.T) {
	b := newBox(t)
	pool := b.pool("tank")
	disk := b.disk("a")
	b.write("tank.yaml", fmt.Sprintf("pools: {%s: {vdevs: [{stripe: [%s]}]}}\ndatasets:\n  %s: {properties: {mountpoint: none}}\n  %s/x: {}\n", pool, disk, pool, pool))
	b.expect(0, "apply", "--yes")

	must(t, "zfs", "destroy", pool+"/x")
	if r := b.expect(3, "apply", "--yes"); !strings.Contains(r.Stdout, "dplane forget "+pool+"/x") {
		t.Errorf("the way out is not named:\n%s", r.Stdout)
	}
	b.expect(0, "forget", pool+"/x")
	b.expect(0, "apply", "--yes")
	must(t, "zfs", "list", pool+"/x")

	guid := must(t, "zpool", "get", "-Hpo", "value", "guid", pool)
	must(t, "zpool", "export", pool)
	if r := b.expect(2, "plan", "--detailed-exitcode"); !strings.Contains(r.Stdout, "import") || strings.Contains(r.Stdout, "+ create") {
		t.Errorf("no import is offered, or a create:\n%s", r.Stdout)
	}
	b.expect(0, "apply", "--yes")
	b.expect(0, "plan", "--detailed-exitcode")
	if now := must(t, "zpool", "get", "-Hpo", "value", "guid", pool); now != guid {
		t.Errorf("the pool has the guid %s, and had %s", now, guid)
	}
}

// TestFullMountpoint: a file system is not mounted over files.
func TestFullMountpoint(t *testing.T) {
	b := newBox(t)
	pool := b.pool("tank")
	b.write("tank.yaml", fmt.Sprintf("pools: {%s: {vdevs: [{stripe: [%s]}]}}\ndatasets: {%s: {properties: {mountpoint: %s}}}\n", pool, b.disk("a"), pool, b.path("mnt")))
	b.expect(0, "apply", "--yes")
	if err := os.MkdirAll(b.path("mnt/home/anna"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.write("more.yaml", fmt.Sprintf("datasets: {%s/home: {}, %s/srv: {}}\n", pool, pool))
	if r := b.expect(3, "apply", "--yes"); !strings.Contains(r.Stdout, b.path("mnt/home")) {
		t.Errorf("the directory is not named:\n%s", r.Stdout)
	}
	must(t, "zfs", "list", pool+"/srv") // the rest goes on
	if _, err := os.Stat(b.path("mnt/home/anna")); err != nil || run(t, "zfs", "list", pool+"/home").Code == 0 {
		t.Errorf("the files are hidden: %v", err)
	}
}

// counting puts wrappers of zfs and zpool in front of the real ones, which note each start; started gives them, and forgets
// them.
func counting(t *testing.T, b *box) (path string, started func() []string) {
	path = b.path("bin")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"zfs", "zpool"} {
		real := must(t, "sh", "-c", "command -v "+p)
		script := fmt.Sprintf("#!/bin/sh\necho \"%s $*\" >>%s\nexec %s \"$@\"\n", p, b.path("count"), real)
		if err := os.WriteFile(filepath.Join(path, p), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path, func() []string {
		lines, _ := os.ReadFile(b.path("count"))
		os.Remove(b.path("count"))
		return strings.Split(strings.TrimSpace(string(lines)), "\n")
	}
}

// TestProcessesAreConstant: a reconcile with nothing to do starts as many processes for 100 datasets as for 10.
func TestProcessesAreConstant(t *testing.T) {
	b := newBox(t)
	pool := b.pool("tank")
	path, started := counting(t, b)
	t.Setenv("PATH", path+":"+os.Getenv("PATH"))
	disk := b.disk("a")
	reconcile := func(n int) []string {
		var y strings.Builder
		fmt.Fprintf(&y, "pools: {%s: {vdevs: [{stripe: [%s]}]}}\ndatasets:\n  %s: {properties: {mountpoint: none}}\n", pool, disk, pool)
		for i := range n {
			fmt.Fprintf(&y, "  %s/d%d: {properties: {compression: zstd}}\n", pool, i)
		}
		b.write("tank.yaml", y.String())
		b.expect(0, "apply", "--yes")
		started()
		b.expect(0, "apply", "--yes")
		return slices.DeleteFunc(started(), func(line string) bool { // asked where a command is slow: how many are so is the machine's affair
			return line == "zpool list -H -o health "+pool
		})
	}
	ten, hundred := reconcile(10), reconcile(100)
	t.Logf("processes of a reconcile with nothing to do: %d with 10 datasets, %d with 100", len(ten), len(hundred))
	if len(ten) < 2 || len(ten) != len(hundred) {
		t.Errorf("with 10 datasets:\n%s\nwith 100:\n%s", strings.Join(ten, "\n"), strings.Join(hundred, "\n"))
	}
}

// TestBrokenZFS: the daemon stays up, plans nothing, says so, and the endpoint answers.
func TestBrokenZFS(t *testing.T) {
	b := newBox(t)
	pool := b.pool("tank")
	b.write("tank.yaml", fmt.Sprintf("pools: {%s: {vdevs: [{stripe: [%s]}]}}\ndaemon: {apply: disruptive}\n", pool, b.disk("a")))
	path := b.path("bin")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"zfs", "zpool"} {
		script := "#!/bin/sh\necho 'The ZFS modules cannot be auto-loaded.' >&2\necho \"Try running 'modprobe zfs' as root to manually load them.\" >&2\nexit 1\n"
		if err := os.WriteFile(filepath.Join(path, p), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := b.daemon(path)
	d.until("status is critical", func() bool { return b.dplane("status").Code == 2 })
	d.has("/health", 200)
	d.has("/api/status", 200, "critical", "modprobe")
	d.has("/api/plan", 200, `"actions":[]`)
	d.stop()
}
