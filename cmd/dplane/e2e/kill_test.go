//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sixty is a configuration that takes sixty actions: a pool, file systems with properties, volumes.
func sixty(pool string, vdevs ...string) (yaml string, names []string) {
	yaml = fmt.Sprintf("pools: {%s: {vdevs: [{mirror: [%s]}]}}\ndatasets:\n", pool, strings.Join(vdevs, ", "))
	for i := range 59 {
		name := fmt.Sprintf("%s/d%02d", pool, i)
		switch {
		case i%10 == 9:
			yaml += fmt.Sprintf("  %s: {volume: {size: 8M, sparse: true}}\n", name)
		case i%10 == 1: // below the one before
			name = fmt.Sprintf("%s/d%02d/child", pool, i-1)
			yaml += fmt.Sprintf("  %s: {properties: {canmount: off, compression: zstd}}\n", name)
		default:
			yaml += fmt.Sprintf("  %s: {properties: {mountpoint: none, quota: 20M, \"com.example:n\": \"%d\"}}\n", name, i)
		}
		names = append(names, name)
	}
	return yaml, names
}

// cutting runs dplane and ends it at one of its writes; see the script cut.
func (b *box) cutting(at int, how string, args ...string) result {
	b.t.Helper()
	shims := b.path("shims")
	if err := os.MkdirAll(shims, 0o755); err != nil {
		b.t.Fatal(err)
	}
	for _, name := range []string{"zfs", "zpool"} {
		if err := os.Symlink(filepath.Join(filepath.Dir(os.Getenv("DPLANE_BIN")), "cut"), filepath.Join(shims, name)); err != nil && !os.IsExist(err) {
			b.t.Fatal(err)
		}
	}
	if err := os.WriteFile(b.path("writes"), []byte("0\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	env := []string{"env", "PATH=" + shims + ":" + os.Getenv("PATH"), "DPLANE_CUT_COUNT=" + b.path("writes"), fmt.Sprintf("DPLANE_CUT_AT=%d", at), "DPLANE_CUT_HOW=" + how}
	return run(b.t, append(append(env, os.Getenv("DPLANE_BIN"), "--config", b.path("etc")), args...)...)
}

// TestKilled: kill -9 at twenty of the writes of an apply of sixty actions, before and after each took effect. Every
// run goes on from where the last one was ended; nothing is done twice, and nothing is left out.
func TestKilled(t *testing.T) {
	b := newBox(t)
	pool := b.pool("tank")
	yaml, names := sixty(pool, b.disk("a"), b.disk("b"))
	b.write("sixty.yaml", yaml)
	for i := range 20 {
		how := []string{"before", "after"}[i%2]
		if r := b.cutting(1+i%5, how, "apply", "--yes"); r.Code != -1 {
			t.Fatalf("apply %d was not killed: exit status %d\n%s%s", i, r.Code, r.Stdout, r.Stderr)
		}
	}
	b.expect(0, "apply", "--yes")
	b.expect(0, "plan", "--detailed-exitcode")
	b.expect(0, "status")
	oncePerDataset(t, pool, names, 0)
	if r := b.expect(0, "events", "--search", "started"); strings.Contains(r.Stdout, "started:") {
		t.Errorf("an intent is still open:\n%s", r.Stdout)
	}
}

// oncePerDataset fails where the pool does not hold exactly these datasets, each created by one command. lost is how
// many commands its history may lack: the tools write a line of it after the command, and a power cut comes between.
func oncePerDataset(t *testing.T, pool string, names []string, lost int) {
	t.Helper()
	there := strings.Fields(must(t, "zfs", "list", "-H", "-o", "name", "-r", pool))
	if len(there) != 1+len(names) {
		t.Errorf("%d datasets are there, want %d:\n%s", len(there), 1+len(names), strings.Join(there, "\n"))
	}
	history := must(t, "zpool", "history", pool) + "\n"
	made := map[string]int{pool: strings.Count(history, "zpool create")}
	for _, name := range names {
		made[name] = strings.Count(history, " "+name+"\n")
	}
	for name, n := range made {
		if n == 0 {
			lost--
		}
		if n > 1 {
			t.Errorf("%s was made by %d commands", name, n)
		}
	}
	if lost < 0 {
		t.Errorf("the history lacks more commands than it may:\n%s", history)
	}
}

// TestPowerCut is run by the script crash, in a guest on whose disks it goes on from boot to boot: the first time
// the machine stops at a write, the second time what is left is done.
func TestPowerCut(t *testing.T) {
	place := os.Getenv("DPLANE_POWER_CUT")
	if place == "" {
		t.Skip("the script crash runs it (make test-crash)")
	}
	var at int
	var how, dir string
	if _, err := fmt.Sscanf(place, "%s %d %s", &dir, &at, &how); err != nil {
		t.Fatalf("DPLANE_POWER_CUT=%q: %v", place, err)
	}
	const pool = "dptcut"
	disks := strings.Fields(os.Getenv("DPLANE_E2E_DISKS"))
	b := &box{t: t, dir: dir, listen: "127.0.0.1:9000"}
	yaml, names := sixty(pool, disks[0], disks[1])
	if err := os.MkdirAll(b.path("etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.write("daemon.yaml", fmt.Sprintf("daemon: {runtime: %s, database: %s}\n", b.path("run"), b.path("dplane.db")))
	b.write("sixty.yaml", yaml)
	if at > 0 {
		exec.Command("sync").Run() // the test's own files, not dplane's
		r := b.cutting(at, how, "apply", "--yes")
		t.Fatalf("the machine goes on: exit status %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if run(t, "zpool", "list", pool).Code != 0 { // as zfs-import-scan.service does at boot
		run(t, "zpool", "import", "-d", filepath.Dir(disks[0]), pool)
	}
	b.expect(0, "apply", "--yes")
	b.expect(0, "plan", "--detailed-exitcode")
	oncePerDataset(t, pool, names, 1)
}
