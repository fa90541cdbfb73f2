//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// trashed is the place in the trash of what was below the pool, by the guid it had.
func (p *place) trashed(guid string) string { return p.pool + "/.dplane-trash/" + guid }

// age moves the moment at which a dataset came into the trash 8 days back: the grace is over.
func age(t *testing.T, name string) {
	t.Helper()
	must(t, "zfs", "set", "dplane:trash.time="+time.Now().Add(-8*24*time.Hour).UTC().Format(time.RFC3339), name)
}

// TestNameChanges are the rows of what gets another name, is made from another, or goes.
func TestNameChanges(t *testing.T) {
	with := func(body string) string { return onePool + body }
	rows(t, []row{
		{
			name: "rename a dataset", before: with("  POOL/before: {properties: {compression: zstd}}\n"),
			hand: func(p *place) {
				must(p.T, "zfs", "create", p.pool+"/before/foreign")
				p.guid = p.get("guid", "before")
			},
			after: with("  POOL/new: {renamedFrom: POOL/before, properties: {compression: zstd}}\n"),
			verb:  "update", risk: "disruptive", plan: []string{"zfs rename POOL/before POOL/new", "go along: POOL/before/foreign"},
			see: func(p *place) {
				p.want("guid", p.get("guid", "new"), p.guid)
				p.want("mounted", p.get("mounted", "new/foreign"), "yes")
			},
			twin: twin{ // by hand: told by the guid, and nothing is made in its place
				hand:  func(p *place) { must(p.T, "zfs", "rename", p.pool+"/new", p.pool+"/moved") },
				after: with("  POOL/new: {properties: {compression: zstd}}\n"), verb: "blocked", risk: "safe",
				plan:      []string{"was renamed by hand, and is POOL/moved now"},
				unchanged: func(p *place) { p.want("exit status", exitOf(p, "zfs", "list", p.pool+"/new"), "1") },
			},
			more: []twin{{ // declared where it is now, and to be renamed while it and what is below are mounted
				after: with("  POOL/last: {renamedFrom: POOL/moved, properties: {compression: zstd}}\n"),
				verb:  "update", risk: "disruptive", plan: []string{"zfs rename POOL/moved POOL/last", "go along: POOL/moved/foreign"}, yes: true,
				unchanged: func(p *place) { p.want("mounted", p.get("mounted", "moved/foreign"), "yes") },
				applied: func(p *place) {
					p.want("guid", p.get("guid", "last"), p.guid)
					p.want("mountpoint", p.get("mountpoint", "last/foreign"), p.path("mnt/last/foreign"))
					p.want("mounted", p.get("mounted", "last/foreign"), "yes")
				},
			}},
		},
		{
			name: "make a clone", before: with("  POOL/golden: {}\n"),
			hand:  func(p *place) { must(p.T, "zfs", "snapshot", p.pool+"/golden@v3") },
			after: with("  POOL/golden: {}\n  POOL/web: {origin: POOL/golden@v3, properties: {compression: lz4}}\n"),
			verb:  "create", risk: "safe", plan: []string{"zfs clone -o compression=lz4", "POOL/golden@v3 POOL/web"},
			see: func(p *place) {
				p.want("origin", p.get("origin", "web"), p.pool+"/golden@v3")
				p.want("mounted", p.get("mounted", "web"), "yes")
			},
			twin: twin{ // promoted
				hand:  func(p *place) { must(p.T, "zfs", "promote", p.pool+"/web") },
				after: with("  POOL/golden: {}\n  POOL/web: {origin: POOL/golden@v3, properties: {compression: lz4}}\n"), verb: "blocked", risk: "safe",
				plan:      []string{"was promoted", "zfs promote POOL/golden"},
				unchanged: func(p *place) { p.want("origin", p.get("origin", "golden"), p.pool+"/web@v3") },
			},
		},
		{
			name: "a destroy, act one: into the trash", before: with("  POOL/old: {}\n  POOL/old/x: {}\n"),
			hand: func(p *place) {
				must(p.T, "zfs", "snapshot", "-r", p.pool+"/old@a")
				p.guid = p.get("guid", "old")
			},
			after: with("  POOL/old: {absent: true}\n  POOL/old/x: {absent: true}\n"),
			verb:  "destroy", risk: "disruptive", plan: []string{"no data goes", "zfs rename -u POOL/old POOL/.dplane-trash/", "dplane restore POOL/old"},
			see: func(p *place) {
				p.want("canmount", zfsGet(p.T, "canmount", p.trashed(p.guid)+"/x"), "noauto")
				p.want("readonly", zfsGet(p.T, "readonly", p.trashed(p.guid)+"/x"), "on")
				p.want("mounted", zfsGet(p.T, "mounted", p.trashed(p.guid)+"/x"), "no")
			},
			twin: twin{ // act two
				hand:  func(p *place) { age(p.T, p.trashed(p.guid)) },
				after: with("  POOL/old: {absent: true}\n  POOL/old/x: {absent: true}\n"), verb: "destroy", risk: "destructive",
				plan:      []string{"2 dataset(s), and 2 snapshot(s)", "the newest snapshot is", "zfs destroy POOL/.dplane-trash/"},
				unchanged: func(p *place) { must(p.T, "zfs", "list", p.trashed(p.guid)+"/x@a") },
				applied:   func(p *place) { p.want("exit status", exitOf(p, "zfs", "list", p.trashed(p.guid)), "1") },
			},
		},
		{
			name: "back from the trash, declared again", before: with("  POOL/p: {}\n  POOL/p/old: {properties: {compression: lz4}}\n"),
			hand: func(p *place) {
				p.guid = p.get("guid", "p/old")
				p.declare(with("  POOL/p: {}\n  POOL/p/old: {absent: true}\n"))
				p.expect(0, "apply", "--yes")
			},
			after: with("  POOL/p: {}\n  POOL/p/old: {properties: {compression: lz4}}\n"),
			verb:  "update", risk: "disruptive", plan: []string{"is in the trash, as", "zfs rename -u POOL/.dplane-trash/", "zfs mount POOL/p/old"},
			see: func(p *place) {
				p.want("guid", p.get("guid", "p/old"), p.guid)
				p.want("mounted", p.get("mounted", "p/old"), "yes")
				p.want("canmount", zfsSource(p.T, "canmount", p.pool+"/p/old"), "default")
			},
			twin: twin{ // a quota does not admit it
				before: with("  POOL/p: {}\n  POOL/p/old: {absent: true}\n"),
				hand:   func(p *place) { must(p.T, "zfs", "set", "quota=40K", p.pool+"/p") },
				after:  with("  POOL/p: {}\n  POOL/p/old: {properties: {compression: lz4}}\n"), verb: "blocked", risk: "safe",
				plan:      []string{"its quota is 40K"},
				unchanged: func(p *place) { must(p.T, "zfs", "list", p.trashed(p.guid)) },
			},
		},
	})
}

// user is a process that keeps a file open.
func user(t *testing.T, f *os.File) (end func()) {
	t.Helper()
	c := exec.Command("sleep", "1000")
	c.ExtraFiles = []*os.File{f}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = c.Process.Kill() // by its own number
		_ = c.Wait()
		_ = f.Close()
	}
}

// local is all that is set on the datasets of a tree, and what is mounted of it.
func local(t *testing.T, name string) string {
	t.Helper()
	return must(t, "zfs", "get", "-Hr", "-t", "filesystem,volume", "-s", "local,received", "-o", "name,property,value,source", "all", name) + "\n" +
		must(t, "zfs", "get", "-Hr", "-o", "name,value", "mounted,guid", name)
}

// TestTrash is the whole way: a tree with a mountpoint of its own, a child, an encrypted child and an open file; a
// successor at the same place; the pool imported anew; restored whole; and a clone in the way of act two.
func TestTrash(t *testing.T) {
	b := newBox(t)
	pool := b.pool("tank")
	old, at := pool+"/old", b.path("old")
	head := fmt.Sprintf("pools: {%s: {vdevs: [{stripe: [%s]}]}}\ndatasets:\n  %s: {properties: {mountpoint: none}}\n", pool, b.disk("a"), pool)
	declared := head + fmt.Sprintf("  %s: {properties: {mountpoint: %s}}\n  %s/child: {properties: {readonly: off}}\n", old, at, old)
	absent := head + fmt.Sprintf("  %s: {absent: true}\n  %[1]s/child: {absent: true}\n  %[1]s/enc: {absent: true}\n", old)
	b.write("tank.yaml", declared)
	b.expect(0, "apply", "--yes")
	key := b.path("key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "zfs", "create", "-o", "encryption=on", "-o", "keyformat=raw", "-o", "keylocation=file://"+key, old+"/enc")
	for _, name := range []string{"", "child/", "enc/"} {
		if err := os.WriteFile(filepath.Join(at, name+"file"), []byte("of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "zfs", "snapshot", "-r", old+"@s")
	before, guid := local(t, old), zfsGet(t, "guid", old)
	place := pool + "/.dplane-trash/" + guid

	b.write("tank.yaml", absent)
	f, err := os.Open(filepath.Join(at, "child/file"))
	if err != nil {
		t.Fatal(err)
	}
	end := user(t, f)
	if r := b.expect(3, "apply", "--yes"); !strings.Contains(r.Stdout, "sleep (") || !strings.Contains(r.Stdout, "uses "+at+"/child/file") {
		t.Errorf("does not say who has it open:\n%s", r.Stdout)
	}
	if got := local(t, old); got != before {
		t.Errorf("a busy tree changed to\n%s\nwas\n%s", got, before)
	}
	end()
	b.expect(0, "apply", "--yes")
	b.expect(0, "plan", "--detailed-exitcode")
	if r := run(t, "zfs", "list", old); r.Code == 0 {
		t.Fatalf("%s is still there", old)
	}

	must(t, "zfs", "create", "-o", "mountpoint="+at, pool+"/successor")
	must(t, "zpool", "export", pool)
	must(t, "zpool", "import", "-d", b.dir, pool)
	must(t, "zfs", "mount", "-a")
	if got := must(t, "zfs", "get", "-Hr", "-t", "filesystem", "-o", "name,value", "mounted", pool); strings.Count(got, "\tyes") != 1 || !strings.Contains(got, pool+"/successor\tyes") {
		t.Errorf("mounted after an import:\n%s", got)
	}

	if r := b.expect(1, "restore", old); !strings.Contains(r.Stdout, "is the mountpoint of "+pool+"/successor") {
		t.Errorf("does not say what is in its place:\n%s", r.Stdout)
	}
	must(t, "zfs", "set", "mountpoint=none", pool+"/successor")
	must(t, "zfs", "load-key", place+"/enc")
	b.expect(0, "restore", old)
	if got := local(t, old); got != before {
		t.Errorf("came back as\n%s\nwas\n%s", got, before)
	}
	for _, name := range []string{"", "child/", "enc/"} {
		if got, err := os.ReadFile(filepath.Join(at, name+"file")); err != nil || string(got) != "of "+name {
			t.Errorf("%sfile holds %q, %v", name, got, err)
		}
	}

	b.expect(0, "apply", "--yes") // the files still say absent
	must(t, "zfs", "clone", "-o", "mountpoint=none", place+"@s", pool+"/keep")
	age(t, place)
	if r := b.expect(3, "apply", "--yes"); !strings.Contains(r.Stdout, pool+"/keep is a clone of "+place+"@s") {
		t.Errorf("the clone is not told of:\n%s", r.Stdout)
	}
	must(t, "zfs", "promote", pool+"/keep")
	must(t, "zfs", "hold", "keep", place+"/child@s")
	if r := b.expect(3, "apply", "--yes"); !strings.Contains(r.Stdout, place+"/child@s has 1 holds") {
		t.Errorf("the hold is not told of:\n%s", r.Stdout)
	}
	must(t, "zfs", "release", "keep", place+"/child@s")
	b.expect(3, "apply", "--yes")
	b.expect(0, "apply", "--yes", "--allow", b.destructive())
	if r := run(t, "zfs", "list", place); r.Code == 0 {
		t.Errorf("%s is still there", place)
	}
	must(t, "zfs", "list", pool+"/keep@s", pool+"/successor")
	b.expect(0, "plan", "--detailed-exitcode")
	b.write("tank.yaml", head+fmt.Sprintf("  %s: {properties: {mountpoint: %s}}\n", old, at)) // destroyed on purpose: not missed
	b.expect(0, "apply", "--yes")
	if got := zfsGet(t, "guid", old); got == guid {
		t.Errorf("%s is the one that was destroyed", old)
	}
}

// destructive is the id of the one action of the plan that loses data.
func (b *box) destructive() string {
	b.t.Helper()
	var plan struct {
		Actions []struct{ ID, Risk string }
	}
	if err := json.Unmarshal([]byte(b.expect(0, "plan", "--json").Stdout), &plan); err != nil {
		b.t.Fatal(err)
	}
	for _, a := range plan.Actions {
		if a.Risk == "destructive" {
			return a.ID
		}
	}
	b.t.Fatal("no action is destructive")
	return ""
}

// TestTrashVolume: a volume that is open stays.
func TestTrashVolume(t *testing.T) {
	b := newBox(t)
	pool := b.pool("tank")
	yaml := fmt.Sprintf("pools: {%s: {vdevs: [{stripe: [%s]}]}}\ndatasets:\n  %[1]s: {properties: {mountpoint: none}}\n  %[1]s/vol: ", pool, b.disk("a"))
	b.write("tank.yaml", yaml+"{volume: {size: 16M, sparse: true}}\n")
	b.expect(0, "apply", "--yes")
	f, err := os.Open("/dev/zvol/" + pool + "/vol")
	for range 50 { // udev makes the link
		if err == nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
		f, err = os.Open("/dev/zvol/" + pool + "/vol")
	}
	if err != nil {
		t.Fatal(err)
	}
	end := user(t, f)
	b.write("tank.yaml", yaml+"{absent: true}\n")
	if r := b.expect(3, "apply", "--yes"); !strings.Contains(r.Stdout, "it is busy: sleep (") {
		t.Errorf("does not say who has it open:\n%s", r.Stdout)
	}
	must(t, "zfs", "list", pool+"/vol")
	end()
	run(t, "modprobe", "loop") // where it is built in there is no module
	loop := must(t, "losetup", "--find", "--show", "/dev/zvol/"+pool+"/vol")
	if r := b.expect(3, "apply", "--yes"); !strings.Contains(r.Stdout, "it is busy: "+strings.TrimPrefix(loop, "/dev/")+" serves "+pool+"/vol (/dev/zd") {
		t.Errorf("does not say that a loop device stands on it:\n%s", r.Stdout)
	}
	must(t, "losetup", "--detach", loop)
	b.expect(0, "apply", "--yes")
	b.expect(0, "plan", "--detailed-exitcode")
}
