//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestReplicationVerify: a replication is tested before it runs, compared after it did, found out where the target holds
// something else under the same guid, and restored to where it goes on.
func TestReplicationVerify(t *testing.T) {
	p := newPair(t, "")
	p.fill("one", 1)
	must(t, "dd", "if=/dev/urandom", "of=/dev/zvol/"+p.from+"/home/vol", "bs=64k", "count=4", "status=none")
	p.snapshot("one")
	p.line(0, "ok", "space", "replication", "test", "off")
	p.between(p.from+"/home", p.to+"/none/home", "")
	p.line(1, "failed", "parent", "replication", "test", "off")
	p.declare("")
	p.expect(1, "replication", "verify", "off") // nothing was sent
	p.expect(0, "replication", "run", "off")
	p.fill("two", 1)
	p.snapshot("two")
	p.expect(0, "replication", "verify", "off") // not all was sent
	p.expect(0, "replication", "run", "off")
	if r := p.expect(0, "replication", "verify", "off", "--deep"); strings.Count(r.Stdout, "@two holds the same") != len(sentDatasets) {
		t.Errorf("not all was read: %s", r.Stdout)
	}
	p.bringBack()
	p.forge("home/anna", "two")
	p.expect(0, "replication", "verify", "off")
	if r := p.expect(1, "replication", "verify", "off", "--deep", "--snapshot", "two"); strings.Count(r.Stdout, "content differs") != 1 || !strings.Contains(r.Stdout, "failed  "+p.from+"/home/anna ") {
		t.Errorf("one byte is another one: %s", r.Stdout)
	}
}

// line fails unless the command exits so and prints a line of this state and check.
func (p *pairOf) line(code int, state, check string, args ...string) {
	p.t.Helper()
	if r := p.expect(code, args...); !regexp.MustCompile(`(?m)^` + state + ` +` + check + ` `).MatchString(r.Stdout) {
		p.t.Errorf("no %s %s in\n%s", state, check, r.Stdout)
	}
}

// bringBack restores all, in two goes, and lets the replication go on from it.
func (p *pairOf) bringBack() {
	t := p.t
	p.expect(1, "replication", "restore", "off", "--to", p.from+"/home", "--yes")
	must(t, "zfs", "create", "-o", "mountpoint="+p.path("back"), p.from+"/back") // what stands there empty is kept, and not mounted
	kept := p.from + "/back.empty-" + zfsGet(t, "guid", p.from+"/back")
	p.expect(0, "replication", "restore", "off", "--to", p.from+"/back", "--yes")
	if zfsGet(t, "canmount", kept) != "noauto" || zfsGet(t, "mounted", kept) != "no" {
		t.Errorf("%s may be mounted", kept)
	}
	must(t, "zfs", "destroy", kept)
	for _, d := range sentDatasets {
		name := p.from + strings.Replace("/"+d, "/home", "/back", 1)
		if zfsGet(t, "readonly", name) != "off" || zfsGet(t, "mounted", name) == "yes" || zfsGet(t, "dplane:restore", name) != "-" {
			t.Errorf("%s is read-only, mounted or marked", name)
		}
		for _, s := range []string{"@one", "@two"} {
			if zfsGet(t, "guid", name+s) != zfsGet(t, "guid", p.from+"/"+d+s) {
				t.Errorf("%s%s is another snapshot", name, s)
			}
		}
	}
	if a, b := p.sums(p.from+"/home/anna@two"), p.sums(p.from+"/back/anna@two"); a != b || a == "" {
		t.Errorf("what came back is something else:\n%s\n%s", a, b)
	}
	if out := must(t, "zfs", "holds", "-Hr", p.to+"/home@one"); strings.Contains(out, "restore") {
		t.Errorf("left held: %s", out)
	}
	guid := zfsGet(t, "guid", p.to+"/home/anna")
	must(t, "zfs", "rename", p.from+"/home", p.from+"/lost")
	must(t, "zfs", "rename", p.from+"/back", p.from+"/home")
	must(t, "zfs", "set", "canmount=on", p.from+"/home/anna")
	run(t, "zfs", "mount", p.from+"/home/anna")
	p.snapshot("three")
	p.expect(0, "replication", "run", "off")
	if zfsGet(t, "guid", p.to+"/home/anna") != guid || p.runs()[0].Bytes > 1<<20 {
		t.Errorf("it was sent whole again: %+v", p.runs()[0])
	}
	p.expect(0, "replication", "verify", "off", "--deep")
}

// forge puts a stream in the place of a replica that differs from it by one byte, with the same guid.
func (p *pairOf) forge(dataset, snap string) {
	t := p.t
	t.Helper()
	stream, err := exec.Command("zfs", "send", p.from+"/"+dataset+"@"+snap).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !forged(stream) {
		t.Fatal("no byte was changed")
	}
	replica := p.to + "/" + dataset
	run(t, "sh", "-c", "for s in $(zfs list -H -d1 -t snapshot -o name "+replica+"); do zfs release dplane:off $s; done")
	must(t, "zfs", "destroy", "-r", replica)
	c := exec.Command("zfs", "receive", "-u", "-o", "readonly=on", replica)
	c.Stdin, c.Stderr = bytes.NewReader(stream), os.Stderr
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
}

// forged changes a byte of a file in a stream of zfs send, and its checksums, which are fletcher4 of all before.
func forged(stream []byte) (done bool) {
	const size, sums, plainFile = 312, 280, 19
	le := binary.LittleEndian
	var sum [4]uint64
	add := func(p []byte) {
		for ; len(p) > 0; p = p[4:] {
			sum[0] += uint64(le.Uint32(p))
			sum[1] += sum[0]
			sum[2] += sum[1]
			sum[3] += sum[2]
		}
	}
	put := func(p []byte) {
		for i, s := range sum {
			le.PutUint64(p[8*i:], s)
		}
	}
	for at := 0; at < len(stream); {
		r, payload := stream[at:at+size], 0
		kind := le.Uint32(r)
		switch kind {
		case 0:
			payload = int(le.Uint32(r[4:]))
		case 1:
			payload = int(le.Uint32(r[28:])+7) &^ 7
		case 3:
			payload = int(le.Uint64(r[32:]))
		case 5:
			put(r[8:])
		case 7:
			payload = int(le.Uint64(r[16:]))
		}
		data := stream[at+size : at+size+payload]
		if kind == 3 && le.Uint32(r[16:]) == plainFile && !done {
			data[0], done = data[0]^1, true
		}
		add(r[:sums])
		if kind != 0 {
			put(r[sums:])
		}
		add(r[sums:])
		add(data)
		at += size + payload
	}
	return done
}

// TestReplicationVerifySSH: the way to another machine is checked step by step, and what is there is read from here.
func TestReplicationVerifySSH(t *testing.T) {
	p := newPair(t, "")
	p.sshd()
	p.between(p.from+"/home", far(p.to+"/home"), ", rateLimit: 4M")
	p.fill("one", 1)
	p.snapshot("one")
	r := p.expect(0, "replication", "test", "off")
	for _, check := range []string{"resolve", "connect", "host-key", "key-file", "authentication", "zfs-there", "features", "rights", "space", "clock"} {
		if !regexp.MustCompile(`(?m)^ok +` + check + ` `).MatchString(r.Stdout) {
			t.Errorf("not ok: %s in\n%s", check, r.Stdout)
		}
	}
	p.expect(0, "replication", "run", "off")
	p.expect(0, "replication", "verify", "off", "--deep")

	must(t, "chmod", "644", p.path("id"))
	p.line(1, "failed", "key-file", "replication", "test", "off")
	must(t, "chmod", "600", p.path("id"))
	must(t, "mv", p.path("id.pub"), p.path("id.away")) // the shared connection is still there
	p.line(1, "failed", "authentication", "replication", "test", "off")
	must(t, "mv", p.path("id.away"), p.path("id.pub"))
	p.remote("127.0.0.1", "1", strings.TrimSpace(string(content(t, p.path("host.pub")))))
	p.line(1, "failed", "connect", "replication", "test", "off")
}
