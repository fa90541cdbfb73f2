package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

// sshServer is a real sshd on the loopback, for the user who runs the test.
type sshServer struct {
	remote Remote
	stop   func()
}

func startSSHD(t *testing.T) sshServer {
	t.Helper()
	sshd, err := New().look("sshd")
	if err != nil {
		t.Skip("no sshd here")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, hostKey := filepath.Join(dir, "key"), filepath.Join(dir, "host")
	for _, f := range []string{key, hostKey} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", f).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	public, err := os.ReadFile(hostKey + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	config := fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s.pub\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nLogLevel ERROR\n", port, hostKey, key)
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(sshd, "-D", "-e", "-f", filepath.Join(dir, "config"))
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = server.Wait(); close(ended) }()
	stop := func() { _ = server.Process.Kill(); <-ended }
	t.Cleanup(stop)
	awaitPort(t, port, ended)
	return sshServer{Remote{
		Host: "127.0.0.1", Port: port, User: me.Username, IdentityFile: key, HostKey: strings.TrimSpace(string(public)),
	}, stop}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func awaitPort(t *testing.T, port int, ended <-chan struct{}) {
	t.Helper()
	for range 1000 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Skip("sshd does not start here")
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("sshd does not listen")
}

// reaching makes a Runner that reaches a machine as nas-b, and ends the connection it leaves behind.
func reaching(t *testing.T, m Remote) *Runner {
	t.Helper()
	dir, err := os.MkdirTemp("", "dp") // short: a socket's path
	if err != nil {
		t.Fatal(err)
	}
	r := New(WithRemotes(always(dir), func(string) (Remote, bool) { return m, true }))
	t.Cleanup(func() {
		if socket, _, err := m.files(dir); err == nil {
			_ = exec.Command("ssh", "-F", "none", "-o", "ControlPath="+socket, "-O", "exit", m.Host).Run()
		}
		os.RemoveAll(dir)
	})
	return r
}

func TestSSHD(t *testing.T) {
	server := startSSHD(t)
	m := server.remote
	r := reaching(t, m)
	r.grace = 10 * time.Minute // were the shared connection to hold our pipes, Run would take as long

	t.Run("words", func(t *testing.T) {
		for range 2 { // the first one makes the connection, the second one shares it
			res, err := r.Run(t.Context(), there("printf", `<%s>`, "a b", "$(x)", ";", "it's", "", "-x"))
			if want := "<a b><$(x)><;><it's><><-x>"; err != nil || string(res.Stdout) != want {
				t.Errorf("%q, %v", res.Stdout, err)
			}
		}
		socket, _, _ := m.files(r.remoteDir())
		if info, err := os.Stat(socket); err != nil || info.Mode()&os.ModeSocket == 0 {
			t.Errorf("the connection is not shared: %v", err)
		}
	})
	t.Run("status", func(t *testing.T) {
		res, err := r.Run(t.Context(), there("sh", "-c", "echo out; echo why >&2; exit 3"))
		var exit *host.ExitError
		if !errors.As(err, &exit) || exit.Code != 3 || exit.Stderr != "why\n" || string(res.Stdout) != "out\n" {
			t.Errorf("%q, %v", res.Stdout, err)
		}
	})
	t.Run("pipes", func(t *testing.T) {
		const size = 5 << 20
		for _, rate := range []int64{0, 500 << 20} {
			push := joinedBy(fmt.Sprintf("head -c %d /dev/zero", size), "wc -c")
			push.Host, push.Pipe.Rate = "nas-b", rate
			pull := joinedBy(fmt.Sprintf("head -c %d /dev/zero", size), "wc -c")
			pull.Stdin.Host, pull.Pipe.Rate = "nas-b", rate
			for _, c := range []host.Command{push, pull} {
				res, err := r.Run(t.Context(), c)
				if err != nil || strings.TrimSpace(string(res.Stdout)) != strconv.Itoa(size) {
					t.Errorf("%s: %q, %v", c, res.Stdout, err)
				}
			}
		}
	})
	t.Run("a pull whose receiver fails", func(t *testing.T) {
		c := joinedBy("exec cat /dev/zero", "head -c 10 >/dev/null; echo no space >&2; exit 1")
		c.Stdin.Host = "nas-b"
		var exit *host.ExitError
		if _, err := r.Run(t.Context(), c); !errors.As(err, &exit) || exit.Stderr != "no space\n" {
			t.Error(err)
		}
	})
	r.grace = grace
	t.Run("what ran there ends", func(t *testing.T) {
		before := master(t, r, m)
		endsThere(t, r)
		if after := master(t, r, m); after != before {
			t.Errorf("the shared connection was ended too: %s, then %s", before, after)
		}
	})
	t.Run("the way is lost", func(t *testing.T) { wayIsLost(t, r) })
	t.Run("faults", func(t *testing.T) { sshFaults(t, server) })
}

// master names the process of the shared connection.
func master(t *testing.T, r *Runner, m Remote) string {
	t.Helper()
	socket, _, err := m.files(r.remoteDir())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh", "-F", "none", "-o", "ControlPath="+socket, "-O", "check", m.Host).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return string(out)
}

// endsThere: a receiver elsewhere, which reads, ends when its pipe is ended here.
func endsThere(t *testing.T, r *Runner) {
	file := t.TempDir() + "/pid"
	ctx, cancel := context.WithCancel(t.Context())
	c := joinedBy("exec sleep 1000", fmt.Sprintf("echo $$ >%s; exec cat", file))
	c.Host = "nas-b"
	go func() { groupIn(t, file); cancel() }()
	if _, err := r.Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	waitGone(t, file)
	if _, err := r.Run(t.Context(), there("true")); err != nil {
		t.Error(err)
	}
}

func sshFaults(t *testing.T, server sshServer) {
	other := startSSHD(t).remote
	for _, c := range []struct {
		why    string
		change func(*Remote)
	}{
		{"hostKey", func(m *Remote) { m.HostKey = other.HostKey }},
		{"authorized_keys", func(m *Remote) { m.IdentityFile = other.IdentityFile }},
		{"nothing listens", func(m *Remote) { m.Port = freePort(t) }},
		{"name service", func(m *Remote) { m.Host = "no-such-host.invalid" }},
	} {
		m := server.remote
		c.change(&m)
		_, err := reaching(t, m).Run(t.Context(), there("echo", "in"))
		if !errors.Is(err, host.ErrUnreachable) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", c.why, err)
		}
	}
}

// wayIsLost: the server's end of the connection dies while a command runs, and the next command makes a new one.
func wayIsLost(t *testing.T, r *Runner) {
	const cut = "kill -9 $PPID; exec sleep 5"
	push, pull := joinedBy("while echo x; do :; done", cut), joinedBy("echo x; "+cut, "cat >/dev/null; echo failed to read >&2; exit 1")
	push.Host, pull.Stdin.Host = "nas-b", "nas-b"
	for _, c := range []host.Command{there("sh", "-c", cut), push, pull} {
		if _, err := r.Run(t.Context(), c); !errors.Is(err, host.ErrUnreachable) {
			t.Errorf("%s: %v", c, err)
		}
		if _, err := r.Run(t.Context(), there("true")); err != nil {
			t.Errorf("after %s: %v", c, err)
		}
	}
}
