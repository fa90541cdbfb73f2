//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/rejoin"
	"github.com/dplaneos/dplane/drivers/host"
	spawn "github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/spec"
)

// otherNode runs what is for the other one on this machine: its pool has another name here.
type otherNode struct {
	host.Runner
	own, other string
}

func (w otherNode) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if c.Host == "" {
		return w.Runner.Run(ctx, c)
	}
	c.Host, c.Argv = "", slices.Clone(c.Argv)
	for i, word := range c.Argv {
		c.Argv[i] = strings.ReplaceAll(word, w.own, w.other)
	}
	res, err := w.Runner.Run(ctx, c)
	res.Stdout = []byte(strings.ReplaceAll(string(res.Stdout), w.other, w.own))
	return res, err
}

// rejoining are a node that comes back, with what it wrote alone, and the one that was promoted meanwhile.
type rejoining struct {
	*box
	own, other string
	node       *rejoin.Node
}

func (r *rejoining) datasets() []string {
	return []string{"/home", "/home/anna", "/home/secret", "/home/secret/sub", "/home/vol"}
}

// TestRejoin: what wrote while another node was promoted goes on from what both have, without a full stream, also where it is
// encrypted and sent raw, and a volume. Kept, nothing of it is lost; given up, it is exactly what was shown.
func TestRejoin(t *testing.T) {
	for _, how := range []string{ha.Keep, ha.Discard} {
		t.Run(how, func(t *testing.T) {
			r := newRejoining(t)
			if err := r.node.KeepSnapshots(t.Context()); err != nil {
				t.Fatal(err)
			}
			p, err := r.node.Plan(t.Context(), how)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Datasets) != 5 || len(p.Anew) > 0 || (how == ha.Discard) != (len(p.Loses) == 9) {
				t.Fatalf("%+v", p)
			}
			if err := r.node.Carry(t.Context(), how, p.ID); err != nil {
				t.Fatal(err)
			}
			c, err := r.node.Compare(t.Context())
			if err != nil || c.Seen() != ha.Clean {
				t.Fatalf("%v, %+v", err, c)
			}
			for _, d := range r.datasets() {
				if got := zfsGet(t, "readonly", r.own+d); got != "on" {
					t.Errorf("%s is readonly=%s", d, got)
				}
				must(t, "sh", "-c", fmt.Sprintf("zfs send -w -i @one %s@three | zfs receive -s -u %s", r.other+d, r.own+d))
			}
			r.equal()
			if allowed := must(t, "zfs", "allow", r.own+"/home"); !strings.Contains(allowed, "user nobody create,mount,receive") {
				t.Errorf("delegated is %s", allowed)
			}
			if got := zfsGet(t, "refreservation", r.own+"/home/vol"); got == "0" || got == "none" {
				t.Error("the volume reserves nothing any more")
			}
			if how == ha.Keep {
				r.kept()
				r.letGo(p)
			}
		})
	}
}

// TestRejoinBelowAKey: what has its key from one above it is put aside with that one, also where the key is not loaded.
func TestRejoinBelowAKey(t *testing.T) {
	r := newRejoining(t)
	for _, d := range r.datasets() {
		if d != "/home/secret/sub" {
			must(t, "zfs", "release", "dplane:pair:source", r.own+d+"@own")
			must(t, "zfs", "rollback", "-r", r.own+d+"@one")
		}
	}
	must(t, "zfs", "unload-key", r.own+"/home/secret")
	p, err := r.node.Plan(t.Context(), ha.Keep)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.node.Carry(t.Context(), ha.Keep, p.ID); err != nil {
		t.Fatal(err)
	}
	if c, err := r.node.Compare(t.Context()); err != nil || c.Seen() != ha.Clean {
		t.Fatalf("%v, %+v", err, c)
	}
	for _, d := range r.datasets() {
		must(t, "sh", "-c", fmt.Sprintf("zfs send -w -i @one %s@three | zfs receive -s -u %s", r.other+d, r.own+d))
	}
	r.equal()
	r.letGo(p)
}

// letGo types what the plan says: until then nothing of what is kept can be destroyed, and after it nothing of it is left.
func (r *rejoining) letGo(p *rejoin.Plan) {
	r.t.Helper()
	aside := r.own + "/home.diverged-t5"
	if out, err := exec.Command("zfs", "destroy", "-r", aside).CombinedOutput(); err == nil {
		r.t.Errorf("a slip destroys what is kept: %s", out)
	}
	for _, c := range p.LetGo {
		must(r.t, c.Argv...)
	}
	if out, err := exec.Command("zfs", "list", aside).CombinedOutput(); err == nil {
		r.t.Errorf("it is there still: %s", out)
	}
}

func newRejoining(t *testing.T) *rejoining {
	b := newBox(t)
	r := &rejoining{box: b, own: b.pool("own"), other: b.pool("other")}
	for i, pool := range []string{r.own, r.other} {
		must(t, "zpool", "create", "-m", b.path(pool), pool, b.disk([]string{"a", "b"}[i]))
	}
	if err := os.WriteFile(b.path("key"), []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "zfs", "create", "-o", "compression=lz4", r.own+"/home")
	must(t, "zfs", "create", "-o", "quota=100M", r.own+"/home/anna")
	must(t, "zfs", "create", "-o", "encryption=on", "-o", "keyformat=raw", "-o", "keylocation=file://"+b.path("key"), r.own+"/home/secret")
	must(t, "zfs", "create", r.own+"/home/secret/sub")
	must(t, "zfs", "create", "-V", "8M", r.own+"/home/vol")
	must(t, "zfs", "allow", "-u", "nobody", "receive,create,mount", r.own+"/home")
	r.write(r.own, "first")
	must(t, "zfs", "snapshot", "-r", r.own+"/home@one")
	for _, d := range r.datasets() {
		must(t, "sh", "-c", fmt.Sprintf("zfs send -w %s@one | zfs receive -s -u -o readonly=on %s", r.own+d, r.other+d))
	}
	r.write(r.own, "own")
	must(t, "zfs", "snapshot", "-r", r.own+"/home@own")
	must(t, "zfs", "hold", "-r", "dplane:pair:source", r.own+"/home@own")
	r.write(r.own, "more")
	for _, d := range r.datasets() { // as a demotion does
		must(t, "zfs", "set", "readonly=on", r.own+d)
	}
	for _, d := range []string{"/home/anna", "/home/secret/sub", "/home/secret", "/home"} {
		must(t, "zfs", "set", "canmount=noauto", r.own+d)
		must(t, "zfs", "unmount", r.own+d)
	}
	for _, d := range []string{"/home/secret", "/home/secret/sub"} { // and a promotion
		must(t, "zfs", "set", "keylocation=file://"+b.path("key"), r.other+d)
		must(t, "zfs", "load-key", r.other+d)
	}
	for _, d := range r.datasets() {
		must(t, "zfs", "set", "readonly=off", r.other+d)
		if d != "/home/vol" {
			must(t, "zfs", "mount", r.other+d)
		}
	}
	r.write(r.other, "third")
	must(t, "zfs", "snapshot", "-r", r.other+"/home@three")
	r.node = &rejoin.Node{Runner: otherNode{spawn.New(), r.own, r.other}, Group: []spec.DatasetName{spec.DatasetName(r.own + "/home")}, Remote: "other", Term: 5}
	return r
}

// write writes to all of a node.
func (r *rejoining) write(pool, name string) {
	r.t.Helper()
	for _, d := range []string{"", "anna/", "secret/"} {
		must(r.t, "dd", "if=/dev/urandom", "of="+r.path(pool)+"/home/"+d+name, "bs=100k", "count=3", "status=none")
	}
	must(r.t, "udevadm", "settle")
	must(r.t, "dd", "if=/dev/urandom", "of=/dev/zvol/"+pool+"/home/vol", "bs=100k", "count=3", "status=none", "conv=fsync", fmt.Sprintf("seek=%d", 3*len(name)))
	must(r.t, "zpool", "sync", pool)
}

// equal fails unless both nodes hold the same.
func (r *rejoining) equal() {
	r.t.Helper()
	sums := func(pool string) string {
		var all string
		for _, d := range []string{"/home", "/home/anna", "/home/secret", "/home/secret/sub"} {
			if zfsGet(r.t, "keystatus", pool+d) == "unavailable" {
				must(r.t, "zfs", "load-key", pool+d)
			}
			if zfsGet(r.t, "mounted", pool+d) != "yes" {
				must(r.t, "zfs", "mount", pool+d)
			}
		}
		all = must(r.t, "sh", "-c", "cd "+r.path(pool)+"/home && find . -type f | sort | xargs sha256sum")
		must(r.t, "udevadm", "settle")
		return all + must(r.t, "sh", "-c", "sha256sum </dev/zvol/"+pool+"/home/vol")
	}
	if own, other := sums(r.own), sums(r.other); own != other || !strings.Contains(own, "third") || strings.Contains(own, "own") {
		r.t.Errorf("here:\n%s\nthere:\n%s", own, other)
	}
}

// kept fails unless all that was here alone is there still.
func (r *rejoining) kept() {
	r.t.Helper()
	aside := r.own + "/home.diverged-t5"
	for _, d := range []string{"", "/anna", "/secret"} {
		at := r.path("kept")
		must(r.t, "mkdir", "-p", at)
		must(r.t, "mount", "-t", "zfs", "-o", "ro", aside+d+"@dplane_diverged_t5", at)
		if got := strings.Join(strings.Fields(must(r.t, "ls", at)), " "); !strings.Contains(got, "first") || !strings.Contains(got, "own") || !strings.Contains(got, "more") {
			r.t.Errorf("%s has %s", d, got)
		}
		must(r.t, "umount", at)
	}
	if got := must(r.t, "zfs", "list", "-H", "-d", "1", "-t", "snapshot", "-o", "name", aside+"/vol"); !strings.Contains(got, "@own") || !strings.Contains(got, "@dplane_diverged_t5") {
		r.t.Errorf("the volume has %s", got)
	}
	if got := zfsGet(r.t, "quota", r.own+"/home/anna"); got != "104857600" {
		r.t.Errorf("quota=%s", got)
	}
}
