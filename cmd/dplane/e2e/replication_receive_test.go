//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// gatekeeper is an sshd that lets an ordinary user in by a key with the forced command that setup prints, after the rights
// were given that it prints.
func (p *pairOf) gatekeeper() {
	t := p.t
	t.Helper()
	const user = "dprepl"
	must(t, "useradd", "-M", "-d", "/", "-s", "/bin/sh", "-p", "*", user)
	t.Cleanup(func() { run(t, "userdel", user) })
	open, err := os.MkdirTemp("", "dplane-key-") // what the user has to read
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(open) })
	must(t, "chmod", "755", open)
	must(t, "cp", os.Getenv("DPLANE_BIN"), open+"/dplane")
	must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", p.path("host"))
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	p.write("remotes.yaml", fmt.Sprintf("remotes:\n  far: {host: 127.0.0.1, port: %s, user: %s, identityFile: %s, hostKey: %q}\n", port, user, p.path("id"), strings.TrimSpace(string(content(t, p.path("host.pub"))))))
	config := fmt.Sprintf("ListenAddress %s\nHostKey %s\nAuthorizedKeysFile %s/keys\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n", address, p.path("host"), open)
	if err := os.WriteFile(p.path("sshd_config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", p.path("sshd_config"))
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("sshd does not listen")
		}
	}
	var doc struct {
		Made           bool
		AuthorizedKeys string
		Allow          []string
		HostKey        struct{ Pinned bool }
	}
	if err := json.Unmarshal([]byte(p.expect(0, "replication", "setup", "off", "--json").Stdout), &doc); err != nil || !doc.Made || !doc.HostKey.Pinned {
		t.Fatalf("%v %+v", err, doc)
	}
	line := strings.Replace(doc.AuthorizedKeys, `command="dplane `, `command="`+open+"/dplane ", 1)
	if err := os.WriteFile(open+"/keys", []byte(line+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, line := range doc.Allow {
		must(t, strings.Fields(line)...)
	}
}

// asks sends a request over SSH with the key, and a stream with it.
func (p *pairOf) asks(request, stream string) result {
	p.t.Helper()
	port := strings.Fields(strings.SplitN(string(content(p.t, p.path("sshd_config"))), "\n", 2)[0])[1]
	_, port, _ = net.SplitHostPort(port)
	ssh := fmt.Sprintf("ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i %s -p %s dprepl@127.0.0.1 \"$1\"", p.path("id"), port)
	if stream == "" {
		return run(p.t, "sh", "-c", ssh+" </dev/null", "sh", request)
	}
	return run(p.t, "sh", "-c", stream+" | "+ssh, "sh", request)
}

// TestReplicationReceive: a push through the forced command, into an account that has only the rights that setup names:
// whole, on top, and gone on with after a kill; then what a thief of the key tries.
func TestReplicationReceive(t *testing.T) {
	p := newPair(t, "")
	p.between(p.from+"/home", far(p.to+"/home"), "")
	p.gatekeeper()
	p.fill("one", 1)
	p.snapshot("one")
	p.expect(0, "replication", "test", "off")
	p.expect(0, "replication", "run", "off")
	p.same("one")
	p.clean("one")

	p.between(p.from+"/home", far(p.to+"/home"), ", rateLimit: 512K")
	p.fill("two", 4)
	p.snapshot("two")
	p.snapshot("three")
	p.killWithin("zfs receive")
	p.between(p.from+"/home", far(p.to+"/home"), "")
	p.expect(0, "replication", "run", "off")
	p.same("three")
	p.clean("three")

	must(t, "zfs", "create", p.to+"/other")
	must(t, "zfs", "snapshot", p.to+"/other@a")
	all := func() string {
		return must(t, "zfs", "get", "-Hp", "-r", "-t", "all", "-o", "name,property,value", "guid,userrefs,mountpoint,canmount,readonly,sharenfs,mounted", p.to)
	}
	was := all()
	target := p.to + "/home"
	for _, request := range []string{
		"", "id", "zfs list", "zfs list -H -o name " + target + "; id", "zfs destroy " + target, "zfs destroy -r " + target,
		"zfs destroy " + target + "@one", "zfs destroy " + p.to + "/other@a", "zfs set 'mountpoint=/etc' " + target, "zfs list -H -o name $(id)",
		"zfs send -P -v " + target + "@one", "zfs rollback -r " + target + "@one",
	} {
		if r := p.asks(request, ""); r.Code != 77 || !strings.Contains(r.Stderr, "nothing was run") || r.Stdout != "" {
			t.Errorf("%q: exit status %d: %s%s", request, r.Code, r.Stdout, r.Stderr)
		}
	}
	plain := "zfs receive -s -u -o 'canmount=noauto' -o 'readonly=on' "
	send := "zfs send " + p.from + "/home@one"
	for _, c := range []struct{ request, stream string }{
		{plain + p.to + "/other", send},
		{"zfs receive -F -s -u -o 'canmount=noauto' -o 'readonly=on' " + target, send},
		{"zfs receive -s -u -o 'canmount=noauto' -o 'mountpoint=/etc' -o 'readonly=on' " + target + "/new", send},
		{"zfs receive -s -u -o 'readonly=on' " + target + "/new", send}, // files as a volume, which would be mounted
		{plain + target + "/new", "zfs send -R " + p.from + "/home/anna@one"},
		{plain + target + "/new", "head -c 100000 /dev/zero"},
	} {
		if r := p.asks(c.request, c.stream); r.Code != 77 {
			t.Errorf("%q of %s: exit status %d: %s", c.request, c.stream, r.Code, r.Stderr)
		}
	}
	if now := all(); now != was {
		t.Errorf("something was changed:\n%s\n%s", was, now)
	}

	// Streams on top of what is there: with properties, and a row of snapshots of which one is called so that zfs would hang it
	// beside the target, or below it.
	must(t, "zfs", "set", "mountpoint="+p.path("evil"), "canmount=on", "setuid=on", p.from+"/home/anna")
	must(t, "zfs", "snapshot", p.from+"/home/anna@evil")
	for _, name := range []string{"/home-evil", "/home/kid"} {
		must(t, "zfs", "create", p.from+name)
		must(t, "zfs", "snapshot", p.from+name+"@evil")
	}
	row := func(part string) string { return p.row("one", "three", part+"@evil") }
	for _, c := range []struct{ target, stream, says string }{
		{target + "/anna", "zfs send -p -i @three " + p.from + "/home/anna@evil", "has properties"},
		{target + "/anna", "zfs send -R " + p.from + "/home/anna@one", "has properties"},
		{target, row("/home-evil"), "a part of it is of"},
		{target, row("/home/kid"), "a part of it is of"},
	} {
		if r := p.asks(plain+c.target, c.stream); r.Code != 77 || !strings.Contains(r.Stderr, c.says) {
			t.Errorf("%s into %s: exit status %d: %s", c.stream, c.target, r.Code, r.Stderr)
		}
	}
	if now := all(); now != was {
		t.Errorf("something was changed:\n%s\n%s", was, now)
	}
	if r := run(t, "sh", "-c", row("/home-evil")+" | zfs receive -s -u "+target); r.Code != 0 || run(t, "zfs", "list", p.to+"/home-evil").Code != 0 {
		t.Errorf("zfs itself takes it no more, or the test is none: %d: %s", r.Code, r.Stderr)
	}
}

// row is the command of a stream that says it is that of the snapshots of home between two, and has a part of another dataset.
func (p *pairOf) row(from, to, part string) string {
	const end = `printf '\005\000\000\000'; head -c 308 /dev/zero`
	return fmt.Sprintf("{ zfs send -I @%s %s/home@%s | head -c 624; zfs send %s%s; %s; }", from, p.from, to, p.from, part, end)
}

// TestReplicationFetchesFromAnEnemy: of a source that was taken over, and sends what it was not asked for, nothing is received.
func TestReplicationFetchesFromAnEnemy(t *testing.T) {
	p := newPair(t, "")
	p.sshd()
	script := fmt.Sprintf("#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in *' zfs send '*) [ ! -e %s ] || exec sh %[1]s ;; esac\neval \"$SSH_ORIGINAL_COMMAND\"\n", p.path("enemy"))
	if err := os.WriteFile(p.path("far"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	key := content(t, p.path("id.pub"))
	if err := os.WriteFile(p.path("id.pub"), []byte(fmt.Sprintf("command=%q %s", p.path("far"), key)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.between(far(p.from+"/home"), p.to+"/home", "")
	p.fill("one", 1)
	p.snapshot("one")
	p.expect(0, "replication", "run", "off")
	p.same("one")
	p.snapshot("two")
	p.snapshot("three")
	must(t, "zfs", "create", "-o", "mountpoint="+p.path("evil"), p.from+"/home-evil")
	must(t, "zfs", "snapshot", p.from+"/home-evil@evil")
	there := func() string {
		return must(t, "zfs", "get", "-Hp", "-r", "-t", "all", "-o", "name,property,value", "guid,mountpoint,canmount,readonly,mounted", p.to)
	}
	was := there()
	for _, stream := range []string{p.row("one", "three", "/home-evil@evil"), "zfs send -R -I @one " + p.from + "/home/anna@three", "zfs send -p " + p.from + "/home-evil@evil", "head -c 100000 /dev/zero"} {
		if err := os.WriteFile(p.path("enemy"), []byte(stream+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := p.expect(1, "replication", "run", "off"); !strings.Contains(r.Stderr, "the stream is refused") {
			t.Errorf("%s: %s", stream, r.Stderr)
		}
		if now := there(); now != was {
			t.Errorf("%s: something was received:\n%s\n%s", stream, was, now)
		}
	}
	if err := os.Remove(p.path("enemy")); err != nil {
		t.Fatal(err)
	}
	p.expect(0, "replication", "run", "off")
	p.same("three")
	p.clean("three")
}
