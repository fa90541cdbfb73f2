//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/ha/rejoin"
	spawn "github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/spec"
)

// TestAhead: a group that is promoted as one set is its newest complete one, and what datasets have beyond that is kept: in a plain
// one, a volume and one that has its key from one above it. Taken back, all is what it was; where something was written, it stays.
func TestAhead(t *testing.T) {
	b := newBox(t)
	pool := b.pool("own")
	must(t, "zpool", "create", "-m", b.path(pool), pool, b.disk("a"))
	if err := os.WriteFile(b.path("key"), []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "zfs", "create", pool+"/home")
	must(t, "zfs", "create", pool+"/home/anna")
	must(t, "zfs", "create", "-o", "encryption=on", "-o", "keyformat=raw", "-o", "keylocation=file://"+b.path("key"), pool+"/home/secret")
	must(t, "zfs", "create", pool+"/home/secret/sub")
	must(t, "zfs", "create", "-V", "8M", pool+"/home/vol")
	must(t, "zfs", "snapshot", "-r", pool+"/home@set")
	ahead := []string{"/home/anna", "/home/secret/sub", "/home/vol"}
	must(t, "udevadm", "settle")
	must(t, "dd", "if=/dev/urandom", "of=/dev/zvol/"+pool+"/home/vol", "bs=100k", "count=3", "status=none", "conv=fsync")
	for _, d := range ahead {
		if d != "/home/vol" {
			must(t, "dd", "if=/dev/urandom", "of="+b.path(pool)+d+"/ahead", "bs=100k", "count=3", "status=none")
		}
		must(t, "zfs", "snapshot", pool+d+"@ahead")
	}
	for _, d := range []string{"/home/secret/sub", "/home/secret", "/home/anna", "/home"} {
		must(t, "zfs", "unmount", pool+d)
		must(t, "zfs", "set", "readonly=on", pool+d)
		must(t, "zfs", "set", "canmount=noauto", pool+d)
	}
	must(t, "zfs", "set", "readonly=on", pool+"/home/vol")
	must(t, "zfs", "unload-key", pool+"/home/secret")
	look := func() string {
		return must(t, "zfs", "list", "-Hp", "-r", "-t", "filesystem,volume,snapshot", "-o", "name,guid,userrefs,encryptionroot,refreservation", pool)
	}
	was := look()
	node := rejoin.Promoting(spawn.New(), []spec.DatasetName{spec.DatasetName(pool + "/home")}, 7)
	for range 2 {
		for range 2 {
			if err := node.PutAside(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := must(t, "zfs", "list", "-H", "-r", "-t", "snapshot", "-o", "name", pool+"/home"); strings.Contains(got, "@ahead") || strings.Count(got, "@set") != 5 {
			t.Errorf("promoted is\n%s", got)
		}
		if got := must(t, "zfs", "list", "-H", "-r", "-t", "snapshot", "-o", "name", pool+"/home.ahead-t7"); strings.Count(got, "@ahead") != 3 {
			t.Errorf("kept is\n%s", got)
		}
		for range 2 {
			if err := node.TakeBack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if now := look(); now != was {
			t.Errorf("taken back it is\n%s\nand was\n%s", now, was)
		}
	}
	if err := node.PutAside(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(t, "zfs", "load-key", pool+"/home/secret")
	for _, d := range []string{"/home", "/home/anna", "/home/secret", "/home/secret/sub"} {
		must(t, "zfs", "set", "readonly=off", pool+d)
		must(t, "zfs", "mount", pool+d)
	}
	if got := must(t, "ls", b.path(pool)+"/home/anna", b.path(pool)+"/home/secret/sub"); strings.Contains(got, "ahead\n") {
		t.Errorf("promoted is %s", got)
	}
	must(t, "dd", "if=/dev/urandom", "of="+b.path(pool)+"/home/anna/mine", "bs=100k", "count=3", "status=none")
	must(t, "zpool", "sync", pool)
	if err := node.TakeBack(t.Context()); err == nil || !strings.Contains(err.Error(), pool+"/home/anna was written") {
		t.Error(err)
	}
	must(t, "ls", b.path(pool)+"/home/anna/mine")
}
