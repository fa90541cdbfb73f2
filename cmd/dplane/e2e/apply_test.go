//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// small mounts a file system of so many MiB in the box, which a vdev in it can fill: then its pool is suspended, and
// once the file system is larger it can be cleared. It goes with the pool that stands on it.
func (b *box) small(pool string, mib int) (dir string, grow func()) {
	b.t.Helper()
	dir = b.path("small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	must(b.t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dM", mib), "tmpfs", dir)
	grow = func() {
		run(b.t, "mount", "-o", "remount,size=400M", dir)
		run(b.t, "zpool", "clear", pool)
	}
	b.t.Cleanup(func() {
		grow()
		destroyPool(b.t, pool)
		must(b.t, "umount", dir)
	})
	return dir, grow
}

// processes are those of zfs and zpool that name a pool.
func processes(pool string) (n int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range lines {
		b, _ := os.ReadFile(f)
		words := strings.Split(string(b), "\x00")
		if name := filepath.Base(words[0]); (name == "zfs" || name == "zpool") && strings.Contains(string(b), pool) {
			n++
		}
	}
	return n
}

// suspendedFor is how long a pool stays suspended: a minute, or what DPLANE_E2E_SUSPENDED says.
func suspendedFor(t *testing.T) time.Duration {
	said := os.Getenv("DPLANE_E2E_SUSPENDED")
	if said == "" {
		return time.Minute
	}
	long, err := time.ParseDuration(said)
	if err != nil {
		t.Fatal(err)
	}
	return long
}

// TestSuspendedPool: one pool's disk takes no more writes: it is told, costs no process that stays, and the other one
// is set right all the same, for as long as that is so. When it is back, all is well again.
func TestSuspendedPool(t *testing.T) {
	b := newBox(t)
	sus, ok := b.pool("sus"), b.pool("ok")
	dir, grow := b.small(sus, 100)
	disk := filepath.Join(dir, "a")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 256<<20); err != nil {
		t.Fatal(err)
	}
	b.write("tank.yaml", fmt.Sprintf(`pools: {%[1]s: {vdevs: [{stripe: [%[3]s]}]}, %[2]s: {vdevs: [{stripe: [%[4]s]}]}}
datasets: {%[1]s: {properties: {mountpoint: %[5]s}}, %[2]s: {properties: {mountpoint: none}}, %[2]s/d: {properties: {compression: zstd}}}
`, sus, ok, disk, b.disk("b"), b.path("mnt")))
	b.expect(0, "apply", "--yes")
	d := b.daemon("")
	d.until("all is well", func() bool { return b.dplane("status").Code == 0 })

	fill := exec.Command("dd", "if=/dev/urandom", "of="+b.path("mnt/x"), "bs=1M", "count=150", "conv=fsync")
	if err := fill.Start(); err != nil {
		t.Fatal(err)
	}
	filled := make(chan error, 1) // the writer ends when the pool is back
	go func() { filled <- fill.Wait() }()
	t.Cleanup(func() {
		grow()
		fill.Process.Kill()
	})
	d.until("the pool is suspended", func() bool {
		return strings.TrimSpace(run(t, "zpool", "list", "-H", "-o", "health", sus).Stdout) == "SUSPENDED"
	})
	if r := run(t, "timeout", "60", "zfs", "get", "-Hp", "all", sus); r.Code != 1 || !strings.Contains(r.Stderr, "pool I/O is currently suspended") {
		t.Errorf("zfs on a suspended pool: exit status %d: %s", r.Code, r.Stderr)
	}
	end := time.Now().Add(suspendedFor(t))
	fresh := ""
	for n := 0; n < 4 || time.Now().Before(end); n++ {
		if n < 3 { // then it is a fight
			must(t, "zfs", "set", "compression=off", ok+"/d")
			d.until("the other pool is set right", func() bool { return zfsGet(t, "compression", ok+"/d") == "zstd" })
		} else {
			name := fmt.Sprintf("%s/n%d", ok, n)
			fresh += fmt.Sprintf("  %s: {}\n", name)
			b.write("fresh.yaml", "datasets:\n"+fresh)
			d.until("the other pool gets what is declared", func() bool { return run(t, "zfs", "list", name).Code == 0 })
		}
		if got := processes(sus); got > 1 {
			t.Errorf("%d processes on the suspended pool", got)
		}
		time.Sleep(time.Second) // of the time that it stays so
	}
	d.until("status tells", func() bool { return strings.Contains(b.dplane("status").Stdout, "suspended") })
	d.until("the loop is on time", func() bool { // a slow machine may be late once
		status, _ := d.get("/health")
		return status == 200
	})
	d.stop() // in time, whatever hangs
	// A write by hand is not begun either.
	b.write("more.yaml", fmt.Sprintf("datasets: {%s/new: {}}\n", sus))
	if r := b.expect(3, "apply", "--yes", "--only", sus+"/**"); !strings.Contains(r.Stdout, "suspended") {
		t.Errorf("apply does not say why it does nothing:\n%s", r.Stdout)
	}
	grow()
	select {
	case <-filled:
	case <-time.After(10 * time.Minute): // an emulated machine is slow to write what it could not
		t.Fatalf("the writer does not go on: the pool is not back\n%s", run(t, "zpool", "status", sus).Stdout)
	}
	must(t, "rm", b.path("mnt/x")) // it left no room for a dataset
	d = b.daemon("")
	d.until("the pool takes its turn again", func() bool { // what was lost on the way stays: "2 data errors" (2.3.9)
		return run(t, "zfs", "list", sus+"/new").Code == 0 && zfsGet(t, "compression", ok+"/d") == "zstd" &&
			!strings.Contains(b.dplane("status").Stdout, "suspended")
	})
	d.stop()
}

// decided are the values of a pool's datasets that somebody set, with their sources.
func decided(t *testing.T, pool string) string {
	t.Helper()
	return must(t, "zfs", "get", "-Hp", "-r", "-t", "filesystem,volume", "-s", "local,received", "-o", "name,property,value,source", "all", pool) +
		must(t, "zfs", "list", "-H", "-r", "-o", "name,mounted,mountpoint", pool)
}

// TestTry: values of every source, a mountpoint and a name come back where nobody confirms, also where the apply was
// killed; a confirmation keeps them.
func TestTry(t *testing.T) {
	b := newBox(t)
	b.settings("5s") // the daemon's, from the start: another generation is tried anew
	pool := b.pool("tank")
	disk := b.disk("a")
	yaml := func(datasets string) {
		b.write("tank.yaml", strings.NewReplacer("POOL", pool, "DIR", b.dir).Replace(
			fmt.Sprintf("pools: {POOL: {vdevs: [{stripe: [%s]}]}}\ndatasets:\n  POOL: {properties: {mountpoint: DIR/mnt}}\n%s", disk, datasets)))
	}
	yaml("  POOL/a: {properties: {compression: zstd, quota: 20M}}\n  POOL/r: {}\n  POOL/old: {properties: {atime: off}}\n")
	must(t, "mkdir", "-p", b.path("mnt"))
	if err := os.Remove(b.path("mnt")); err != nil {
		t.Fatal(err)
	}
	b.expect(0, "apply", "--yes", "--except", pool+"/r")
	must(t, "zfs", "set", "compression=gzip", pool+"/old")
	must(t, "sh", "-c", fmt.Sprintf("zfs snapshot %[1]s/old@s && zfs send -p %[1]s/old@s | zfs recv -u -x mountpoint -x dplane:applied %[1]s/r && zfs mount %[1]s/r", pool))
	must(t, "zfs", "inherit", "compression", pool+"/old")
	b.expect(0, "apply", "--yes")
	before := decided(t, pool)

	yaml("  POOL/a: {properties: {mountpoint: DIR/elsewhere, readonly: on}}\n  POOL/r: {properties: {compression: lz4}}\n  POOL/new: {renamedFrom: POOL/old}\n")
	b.expect(1, "apply", "--yes", "--try", "1s")
	if got := decided(t, pool); got != before {
		t.Errorf("after a try:\n%s\nbefore:\n%s", got, before)
	}

	try := func(long string) *exec.Cmd {
		c := exec.Command(os.Getenv("DPLANE_BIN"), "--config", b.path("etc"), "apply", "--yes", "--try", long)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for range 600 {
			if _, err := os.Stat(b.path("dplane.db.try.tried")); err == nil {
				return c
			}
			time.Sleep(100 * time.Millisecond) // a real process has no clock to fake
		}
		t.Fatal("nothing was tried in a minute")
		return nil
	}
	c := try("5s")
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	if decided(t, pool) == before {
		t.Error("nothing was tried")
	}
	d := b.daemon("")
	d.until("the daemon takes it back", func() bool { return decided(t, pool) == before })
	d.until("and leaves it so", func() bool { return strings.Contains(b.dplane("plan").Stdout, "rename") })
	d.stop()
	if got := decided(t, pool); got != before {
		t.Errorf("after the daemon:\n%s\nbefore:\n%s", got, before)
	}

	c = try("10m")
	b.expect(0, "confirm")
	if err := c.Wait(); err != nil {
		t.Errorf("a confirmed apply ended with %v", err)
	}
	b.expect(0, "plan", "--detailed-exitcode")
	must(t, "zfs", "list", pool+"/new")
}
