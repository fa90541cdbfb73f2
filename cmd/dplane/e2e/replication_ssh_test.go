//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// sshd begins a real one on the loopback, which lets root in by a key, and declares it as the remote far.
func (p *pairOf) sshd() (port string) { return p.sshdAt(freeAddress(p.t)) }

// sshdAt begins it at this address, by way of a command where one is given.
func (p *pairOf) sshdAt(address string, by ...string) (port string) {
	t := p.t
	t.Helper()
	for _, f := range []string{"id", "host"} {
		must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", p.path(f))
	}
	host, port, _ := net.SplitHostPort(address)
	config := fmt.Sprintf("ListenAddress %s\nHostKey %s\nAuthorizedKeysFile %s.pub\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n",
		address, p.path("host"), p.path("id"))
	if err := os.WriteFile(p.path("sshd_config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	argv := append(by, "/usr/sbin/sshd", "-D", "-e", "-f", p.path("sshd_config"))
	server := exec.Command(argv[0], argv[1:]...)
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
	p.remote(host, port, strings.TrimSpace(string(content(t, p.path("host.pub")))))
	return port
}

func (p *pairOf) remote(host, port, key string) {
	p.write("remotes.yaml", fmt.Sprintf("remotes:\n  far: {host: %s, port: %s, user: root, identityFile: %s, hostKey: %q}\n", host, port, p.path("id"), key))
}

func far(dataset string) string { return "{remote: far, dataset: " + dataset + "}" }

// TestReplicationSSH: push and pull over a real SSH, broken off in the middle, and a machine that is not the one it was.
func TestReplicationSSH(t *testing.T) {
	p := newPair(t, "")
	p.sshd()
	p.between(p.from+"/home", far(p.to+"/home"), "")
	p.fill("one", 1)
	p.snapshot("one")
	p.expect(0, "replication", "run", "off")
	p.same("one")
	p.clean("one")

	p.between(p.from+"/home", far(p.to+"/home"), ", rateLimit: 512K")
	p.fill("two", 6)
	p.snapshot("two")
	p.killWithin("zfs receive")
	p.killWithin("ssh")
	p.killWithin("dplane")
	p.between(p.from+"/home", far(p.to+"/home"), "")
	p.expect(0, "replication", "run", "off")
	p.same("two")
	p.clean("two")
	resumed := 0
	for _, r := range p.runs()[:3] {
		resumed += r.Resumed
	}
	if resumed == 0 {
		t.Error("nothing was gone on with")
	}

	p.between(far(p.from+"/home"), p.to+"/home", "") // the same ends, fetched from this one
	p.fill("three", 1)
	p.snapshot("three")
	p.expect(0, "replication", "run", "off")
	p.same("three")
	p.clean("three")

	must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", p.path("other"))
	was := string(content(t, p.path("etc/remotes.yaml")))
	p.write("remotes.yaml", strings.ReplaceAll(was, strings.Fields(string(content(t, p.path("host.pub"))))[1], strings.Fields(string(content(t, p.path("other.pub"))))[1]))
	if r := p.expect(1, "replication", "run", "off"); !strings.Contains(r.Stderr, "host key") {
		t.Errorf("another host key: %s", r.Stderr)
	}
	p.write("remotes.yaml", was)
	p.expect(0, "replication", "run", "off")
}
