//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// home writes a configuration with a mirrored pool, 20 datasets with properties and a volume.
func home(b *box, pool string, edit func(string) string) {
	var y strings.Builder
	fmt.Fprintf(&y, "pools:\n  %s:\n    vdevs: [{mirror: [%s, %s]}]\n    properties: {ashift: 12, autotrim: off}\n", pool, b.path("a"), b.path("b"))
	fmt.Fprintf(&y, "datasets:\n  %s: {properties: {atime: off, mountpoint: %s}}\n", pool, b.path("mnt"))
	for i := range 20 {
		fmt.Fprintf(&y, "  %s/d%02d:\n    properties:\n      compression: zstd\n      recordsize: 64K\n      \"com.example:owner\": team %d\n", pool, i, i)
	}
	fmt.Fprintf(&y, "  %s/vol: {volume: {size: 32M, blockSize: 16K, sparse: true}, properties: {compression: lz4}}\n", pool)
	text := y.String()
	if edit != nil {
		text = edit(text)
	}
	b.write("home.yaml", text)
}

func (b *box) expect(code int, args ...string) result {
	b.t.Helper()
	r := b.dplane(args...)
	if r.Code != code {
		b.t.Fatalf("dplane %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), r.Code, code, r.Stdout, r.Stderr)
	}
	return r
}

// TestSkeleton is the user's whole job: from an empty machine and a file to a reconciled pool, its drift and
// its repair, with strangers on the same machine.
func TestSkeleton(t *testing.T) {
	other := newBox(t)
	stranger := other.pool("other")
	must(t, "zpool", "create", "-m", other.path("mnt"), stranger, other.disk("s"))
	must(t, "zfs", "create", "-o", "compression=gzip", stranger+"/x")
	must(t, "zfs", "snapshot", stranger+"/x@one")
	before := foreignState(t, stranger)

	b := newBox(t)
	pool := b.pool("tank")
	b.disk("a")
	b.disk("b")
	home(b, pool, nil)
	b.expect(0, "validate")
	b.expect(3, "status")
	b.expect(2, "plan", "--detailed-exitcode")
	if r := b.expect(0, "apply", "--dry-run"); !strings.Contains(r.Stdout, "zpool create") || run(t, "zpool", "list", pool).Code == 0 {
		t.Fatalf("a dry run shows the commands and runs none: %s", r.Stdout)
	}
	b.expect(3, "apply") // nobody can be asked
	b.expect(0, "apply", "--yes")
	b.expect(0, "plan", "--detailed-exitcode")
	b.expect(0, "status")
	for property, want := range map[string]string{"compression": "zstd", "recordsize": "65536", "com.example:owner": "team 7"} {
		if v, s := zfsGet(t, property, pool+"/d07"), zfsSource(t, property, pool+"/d07"); v != want || s != "local" {
			t.Errorf("%s of d07 is %q from %q, want %q", property, v, s, want)
		}
	}
	if v := zfsGet(t, "volsize", pool+"/vol"); v != "33554432" {
		t.Errorf("volsize is %s", v)
	}

	child := pool + "/d03/foreign"
	must(t, "zfs", "create", "-o", "quota=5M", child)
	must(t, "zfs", "snapshot", child+"@mine")
	childBefore := datasetState(t, child)

	must(t, "zfs", "set", "compression=off", pool+"/d05")
	if r := b.expect(2, "plan", "--detailed-exitcode"); !strings.Contains(r.Stdout, "home.yaml:") || !strings.Contains(r.Stdout, "compression") {
		t.Errorf("the drift is not explained:\n%s", r.Stdout)
	}
	d := b.daemon("") // with an interval that makes a second generation
	d.until("compression of d05 is set back", func() bool { return zfsGet(t, "compression", pool+"/d05") == "zstd" })
	d.until("the record is of a pass after the repair", func() bool { return b.dplane("status").Code == 0 })
	t.Run("endpoint", func(t *testing.T) { endpoint(t, d, pool) })

	home(b, pool, func(y string) string { return strings.Replace(y, "      recordsize: 64K\n", "", 1) }) // of d00
	d.until("recordsize of d00 is inherited again", func() bool { return zfsSource(t, "recordsize", pool+"/d00") == "default" })
	// The mark follows the property in a command of its own: a fast machine looks between the two.
	d.until("the mark no longer names recordsize", func() bool { return !strings.Contains(zfsGet(t, "dplane:applied", pool+"/d00"), "recordsize") })

	b.write("broken.yaml", "datasets: {"+pool+"/d01: {propertees: {}}}\n")
	d.until("the invalid file is told of", func() bool { return b.dplane("status").Code == 1 })
	must(t, "zfs", "set", "compression=off", pool+"/d06")
	d.until("the last good generation is still in force", func() bool { return zfsGet(t, "compression", pool+"/d06") == "zstd" })
	if err := os.Remove(b.path("etc/broken.yaml")); err != nil {
		t.Fatal(err)
	}
	d.until("all is well again", func() bool { return b.dplane("status").Code == 0 })
	d.stop()

	if r := b.expect(0, "events", "--search", "d05 compression"); !strings.Contains(r.Stdout, pool+"/d05") {
		t.Errorf("the repair is not in the journal:\n%s", r.Stdout)
	}
	if r := b.expect(0, "history", "diff", "2", "3"); !strings.Contains(r.Stdout, "recordsize") {
		t.Errorf("the history does not tell what changed:\n%s", r.Stdout)
	}
	if after := foreignState(t, stranger); after != before {
		t.Errorf("a stranger's pool changed:\n%s\nwas\n%s", after, before)
	}
	if after := datasetState(t, child); after != childBefore {
		t.Errorf("a stranger's dataset changed:\n%s\nwas\n%s", after, childBefore)
	}
}

func endpoint(t *testing.T, d *running, pool string) {
	d.t = t
	d.has("/health", 200)
	d.has("/api/status", 200, `"state"`, pool)
	d.has("/api/plan", 200, `"generation"`, `"actions"`)
	d.has("/api/events?q=compression", 200, pool+"/d05")
	d.has("/metrics", 200, "dplane_", pool)
	for _, path := range []string{"/health", "/api/status", "/nowhere"} {
		res, err := http.Post("http://"+d.box.listen+path, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: status %d, want 405", path, res.StatusCode)
		}
	}
}

// TestSavedPlan: exactly that plan, once, or none.
func TestSavedPlan(t *testing.T) {
	b := newBox(t)
	pool := b.pool("tank")
	b.disk("a")
	yaml := fmt.Sprintf("pools: {%s: {vdevs: [{stripe: [%s]}]}}\ndatasets:\n  %s: {properties: {mountpoint: none}}\n  %s/x: {properties: {compression: zstd}}\n", pool, b.path("a"), pool, pool)
	b.write("tank.yaml", yaml)
	plan := b.path("p.json")
	b.expect(0, "plan", "--out", plan)
	b.expect(0, "apply", plan, "--yes")
	if r := b.expect(4, "apply", plan, "--yes"); !strings.Contains(r.Stderr, "no longer") {
		t.Errorf("a plan is used once, and this says: %s", r.Stderr)
	}

	must(t, "zfs", "set", "compression=off", pool+"/x")
	b.expect(0, "plan", "--out", plan)
	must(t, "zfs", "set", "compression=lz4", pool+"/x") // the world changes
	b.expect(4, "apply", plan, "--yes")
	if v := zfsGet(t, "compression", pool+"/x"); v != "lz4" {
		t.Errorf("a refused plan changed compression to %s", v)
	}

	must(t, "zfs", "set", "compression=off", pool+"/x")
	b.expect(0, "plan", "--out", plan)
	b.write("tank.yaml", strings.Replace(yaml, "zstd", "gzip", 1)) // the configuration changes
	b.expect(4, "apply", plan, "--yes")
	b.expect(0, "apply", "--yes")
	if v := zfsGet(t, "compression", pool+"/x"); v != "gzip" {
		t.Errorf("compression is %s", v)
	}
}

// TestRecordedElsewhere: a state recorded on this machine is planned where there is no ZFS.
func TestRecordedElsewhere(t *testing.T) {
	b := newBox(t)
	pool := b.pool("tank")
	b.disk("a")
	b.write("tank.yaml", fmt.Sprintf("pools: {%s: {vdevs: [{stripe: [%s]}]}}\ndatasets: {%s: {properties: {mountpoint: none, atime: off}}}\n", pool, b.path("a"), pool))
	b.expect(0, "apply", "--yes")
	observed := b.path("o.json")
	if err := os.WriteFile(observed, []byte(b.expect(0, "observe", "--json").Stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "zpool", "destroy", pool)
	b.expect(0, "plan", "--observed", observed, "--detailed-exitcode")
	b.write("more.yaml", fmt.Sprintf("datasets: {%s/new: {}}\n", pool))
	if r := b.expect(2, "plan", "--observed", observed, "--detailed-exitcode"); !strings.Contains(r.Stdout, pool+"/new") {
		t.Errorf("no create in\n%s", r.Stdout)
	}
}
