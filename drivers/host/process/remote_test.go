package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
)

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

func nas(t *testing.T) Remote {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Remote{Host: "nas-b.lan", Port: 2222, User: "replication", IdentityFile: key, HostKey: hostKey}
}

// knowing makes a Runner that knows one machine, nas-b, and for whom ssh is a script, which has its arguments in $@.
func knowing(t *testing.T, m Remote, ssh string) *Runner {
	t.Helper()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\n"+ssh+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return New(WithPath(bin+":"+systemPath), WithRemotes(always(filepath.Join(t.TempDir(), "ssh")), func(name string) (Remote, bool) { return m, name == "nas-b" }))
}

func there(argv ...string) host.Command {
	c := host.Read(argv...)
	c.Host = "nas-b"
	return c
}

// asThere is an ssh that runs the line here, as sshd would have a shell run it there.
const asThere = `for line; do :; done; exec sh -c "$line"`

func TestSSHArguments(t *testing.T) {
	m := nas(t)
	r := knowing(t, m, `printf '%s\n' "$@"`)
	res, err := r.Run(t.Context(), there("zfs", "list", "-o", "name", "tank/a b"))
	if err != nil {
		t.Fatal(err)
	}
	socket, known, err := m.files(r.remoteDir())
	if err != nil {
		t.Fatal(err)
	}
	got := strings.NewReplacer(known, "KNOWN", socket, "SOCKET", m.IdentityFile, "KEY").Replace(string(res.Stdout))
	want := strings.ReplaceAll(`-F none BatchMode=yes
StrictHostKeyChecking=yes UserKnownHostsFile=KNOWN GlobalKnownHostsFile=/dev/null HostKeyAlias=dplane CheckHostIP=no UpdateHostKeys=no VerifyHostKeyDNS=no
IdentityFile=KEY IdentitiesOnly=yes IdentityAgent=none PreferredAuthentications=publickey
ForwardAgent=no ForwardX11=no ClearAllForwardings=yes PermitLocalCommand=no
ControlMaster=auto ControlPath=SOCKET ControlPersist=60
ConnectTimeout=10 ServerAliveInterval=15 ServerAliveCountMax=4 TCPKeepAlive=yes
Compression=no RequestTTY=no EscapeChar=none LogLevel=ERROR`, "\n", " ")
	want = strings.Join(strings.Fields(want), "\n")
	lines := strings.Split(want, "\n")
	want = strings.Join(lines[:2], "\n")
	for _, o := range lines[2:] {
		want += "\n-o\n" + o
	}
	want += "\n-p\n2222\n-l\nreplication\n--\nnas-b.lan\n" + farEnv + "zfs list -o name 'tank/a b'\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	info, err := os.Stat(known)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if b, _ := os.ReadFile(known); string(b) != "dplane "+hostKey+"\n" {
		t.Errorf("pinned %q", b)
	}
	if info, _ := os.Stat(r.remoteDir()); info.Mode().Perm() != 0o700 {
		t.Errorf("%v", info.Mode())
	}
}

// ssh itself takes every option, and nothing it was not told.
func TestSSHTakesTheOptions(t *testing.T) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("no ssh here")
	}
	argv, err := nas(t).argv(filepath.Join(t.TempDir(), "ssh"), there("zfs", "list"), 0)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(ssh, append([]string{"-G"}, argv[1:]...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, line := range []string{
		"user replication", "hostname nas-b.lan", "port 2222", "batchmode yes", "stricthostkeychecking true", "hostkeyalias dplane",
		"identitiesonly yes", "forwardagent no", "forwardx11 no", "clearallforwardings yes", "permitlocalcommand no", "controlmaster auto",
		"controlpersist 60", "compression no", "requesttty false", "escapechar none", "updatehostkeys false", "identityagent none",
	} {
		if !bytes.Contains(out, []byte(line+"\n")) {
			t.Errorf("%s is missing in\n%s", line, out)
		}
	}
}

// Whatever the words are, a program there gets them as they are, and nothing of them is run.
func TestWordsArriveAsTheyAre(t *testing.T) {
	r := knowing(t, nas(t), asThere)
	words := []string{"", "a b", "$(touch x)", "`touch x`", ";", "<", ">", "|", "&", "-x", "--", "it's", `\`, `"`, "*", "~", "~root", "#", "a#b", "A=b", "!", "{a,b}", "é", "tank/a@b", "\t", "%"}
	res, err := r.Run(t.Context(), there(append([]string{"printf", `<%s>\n`}, words...)...))
	if err != nil {
		t.Fatal(err)
	}
	if want := "<" + strings.Join(words, ">\n<") + ">\n"; string(res.Stdout) != want {
		t.Errorf("got\n%s\nwant\n%s", res.Stdout, want)
	}
	for _, words := range [][]string{{"echo", "a\nb"}, {"echo", "a\rb"}, {"echo", "a\x00b"}, {"echo", "\xff"}, {"-oProxyCommand=x"}, {"", "a"}, {"A=b", "a"}} {
		if _, err := r.Run(t.Context(), there(words...)); err == nil {
			t.Errorf("%q ran", words)
		}
	}
}

// The longest line that is sent arrives, also where a forced command reads it from its environment, and a longer one is
// refused in words.
func TestLongestLine(t *testing.T) {
	r := knowing(t, nas(t), `for line; do :; done; exec env SSH_ORIGINAL_COMMAND="$line" sh -c "$line"`)
	word := strings.Repeat("x", mostLine-len(farEnv)-len("echo "))
	res, err := r.Run(t.Context(), there("echo", word))
	if err != nil || string(res.Stdout) != word+"\n" {
		t.Errorf("%d bytes of %d came: %v", len(res.Stdout), len(word)+1, err)
	}
	if _, err := r.Run(t.Context(), there("echo", word+"x")); err == nil || !strings.Contains(err.Error(), "the most that one word may have") {
		t.Errorf("a longer one: %v", err)
	}
}

// Nothing is run where a machine is not known, or said so that ssh would take it for something else.
func TestRemoteRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ran")
	good := nas(t)
	try := func(name string, m Remote, says string) {
		t.Helper()
		c := there("zfs", "list")
		_, err := knowing(t, m, "touch "+file).Run(t.Context(), c)
		if _, statErr := os.Stat(file); err == nil || !strings.Contains(err.Error(), says) || statErr == nil {
			t.Errorf("%s: %v, and it ran: %v", name, err, statErr == nil)
		}
	}
	for _, bad := range []string{"", "-oProxyCommand=x", "a b", "a\nb", "a\tb", "a\x00b", "a'b", `a"b`, `a\b`} {
		m := good
		m.Host = bad
		try("host "+bad, m, "is no host")
		m = good
		m.User = bad
		try("user "+bad, m, "is no user")
		m = good
		m.IdentityFile = bad
		try("key "+bad, m, "is no path")
		m.IdentityFile = "/" + bad + "/%h"
		try("key "+bad, m, "is no path")
		m = good
		m.HostKey = bad
		try("host key "+bad, m, "is no host key")
		m.HostKey = hostKey + bad + "\n* " + hostKey
		try("host key "+bad, m, "is no host key")
		m.HostKey = strings.Replace(hostKey, "ssh-ed25519", "ssh-rsa", 1)
		try("host key "+bad, m, "is no host key")
	}
	m := good
	m.IdentityFile = "/no/such/key"
	try("no key", m, "no such file")
	m = good
	m.Port = 65536
	try("port", m, "is no port")

	touch := there("touch", file)
	for _, name := range []string{"nas-c", "-x", "nas-b.lan"} {
		for _, r := range []*Runner{New(), knowing(t, good, asThere)} {
			touch.Host = name
			pipe := joinedBy("echo x", "cat")
			pipe.Stdin.Host = name
			for _, c := range []host.Command{touch, pipe} {
				if _, err := r.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no remote") {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a command for an unknown machine ran here")
	}
}

func TestPinNeedsAPlaceOfOurOwn(t *testing.T) {
	dir := t.TempDir()
	plain, open := filepath.Join(dir, "plain"), filepath.Join(dir, "open")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for place, says := range map[string]string{
		plain: "not a directory", open: "others can write", plain + "/below": "not a directory", "relative": "no path",
		dir + "/a b": "no path", dir + "/%h": "no path", dir + "/" + strings.Repeat("x", 100): "too long",
	} {
		r := knowing(t, nas(t), "echo ran")
		r.remoteDir = always(place)
		if res, err := r.Run(t.Context(), there("zfs")); err == nil || !strings.Contains(err.Error(), says) || len(res.Stdout) > 0 {
			t.Errorf("%s: %q, %v", place, res.Stdout, err)
		}
	}
	m, r := nas(t), knowing(t, nas(t), "echo ran")
	_, known, err := m.files(r.remoteDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(known, []byte("* "+hostKey), 0o600); err != nil { // somebody's own idea
		t.Fatal(err)
	}
	if _, _, err := m.files(r.remoteDir()); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(known); string(b) != "dplane "+hostKey+"\n" {
		t.Errorf("pinned %q", b)
	}
	os.Remove(known)
	if err := os.MkdirAll(filepath.Join(known, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.files(r.remoteDir()); err == nil || !strings.Contains(err.Error(), "pin its host key") {
		t.Error(err)
	}
	if left, _ := filepath.Glob(r.remoteDir() + "/.key-*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestUnreachable(t *testing.T) {
	for _, c := range []struct{ stderr, why string }{
		{"@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "hostKey"},
		{"ssh: connect to host nas-b.lan port 2222: Connection refused", "nothing listens at nas-b.lan port 2222"},
		{"replication@nas-b.lan: Permission denied (publickey).", "authorized_keys"},
		{"@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nPermission denied (publickey).", "chmod 600"},
		{"ssh: connect to host nas-b.lan port 2222: Connection timed out", "no answer"},
		{"ssh: Could not resolve hostname nas-b.lan: Name or service not known", "name service"},
		{"", "the connection ended"},
	} {
		r := knowing(t, nas(t), fmt.Sprintf("echo '%s' >&2; exit 255", c.stderr))
		_, err := r.Run(t.Context(), there("zfs", "list"))
		var lost *host.UnreachableError
		var exit *host.ExitError
		if !errors.Is(err, host.ErrUnreachable) || !errors.As(err, &lost) || errors.As(err, &exit) || !strings.Contains(lost.Error(), c.why) || strings.TrimSpace(lost.Stderr) != c.stderr {
			t.Errorf("%s: %v", c.stderr, err)
		}
	}
	var exit *host.ExitError
	if _, err := knowing(t, nas(t), "echo no >&2; exit 1").Run(t.Context(), there("zfs")); !errors.As(err, &exit) || exit.Code != 1 || errors.Is(err, host.ErrUnreachable) {
		t.Errorf("the program's own end: %v", err)
	}
	if _, err := New().Run(t.Context(), host.Read("sh", "-c", "exit 255")); !errors.As(err, &exit) || errors.Is(err, host.ErrUnreachable) {
		t.Errorf("a program here: %v", err)
	}
}

func TestRemotePipe(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	for _, c := range []struct {
		name, ssh, sender, receiver string
		senderThere                 bool
		lost                        bool
		says                        string // "": well
	}{
		{"push", asThere, "echo hello", "cat", false, false, ""},
		{"pull", asThere, "echo hello", "cat", true, false, ""},
		{"push, the way is lost", "head -c 1 >/dev/null; echo Connection reset >&2; exit 255", "while :; do echo x; done", "cat", false, true, "Connection reset"},
		{"push, no way", "exit 255", "echo x", "cat", false, true, "nas-b can't be reached"},
		{"push, the sender fails", asThere, "echo why >&2; exit 2", "cat; exit 1", false, false, "why"},
		{"pull, the way is lost", "echo gone >&2; exit 255", "", "cat >/dev/null; echo failed to read >&2; exit 1", true, true, "gone"},
		{"pull, the way is lost without a word", "exit 255", "", "cat >/dev/null; exit 1", true, true, "nas-b can't be reached"},
		// As ssh does, which ends when the far end has heard of it: here, when dplane has.
		{"pull, the receiver fails", "exec 2>/dev/null; until read pid <" + pid + " && [ $pid ]; do :; done; while [ -e /proc/$pid ]; do sleep 0.01; done; exit 255", "", "echo $$ >" + pid + "; echo no space >&2; exit 1", true, false, "no space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := joinedBy(c.sender, c.receiver)
			if c.senderThere {
				cmd.Stdin.Host = "nas-b"
			} else {
				cmd.Host = "nas-b"
			}
			res, err := knowing(t, nas(t), c.ssh).Run(t.Context(), cmd)
			switch {
			case c.says == "":
				if err != nil || string(res.Stdout) != "hello\n" {
					t.Errorf("%q, %v", res.Stdout, err)
				}
			case err == nil || errors.Is(err, host.ErrUnreachable) != c.lost || !strings.Contains(err.Error(), c.says):
				t.Error(err)
			}
		})
	}
}

func TestLanesAreOfThisMachine(t *testing.T) {
	r := knowing(t, nas(t), asThere)
	r.on = func(host.Command) string { return "tank" }
	r.stuck.left = map[string]*abandoned{"tank": {pid: 1}}
	if _, err := r.Run(t.Context(), host.Read("true")); !errors.Is(err, host.ErrStuck) {
		t.Error(err)
	}
	if _, err := r.Run(t.Context(), there("true")); err != nil {
		t.Errorf("a pool of the same name elsewhere: %v", err)
	}
}

func always(dir string) func() string { return func() string { return dir } }
