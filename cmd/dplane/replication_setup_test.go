package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/spec"
)

// setUpWith runs setup on a configuration with these replications, whose remote is at a port that nothing listens at.
func setUpWith(t *testing.T, dir, replications string) (code int, doc setup, said string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	files := fmt.Sprintf("pools: {tank: {}}\nremotes:\n  b: {host: 127.0.0.1, port: %d, user: repl, identityFile: %s/keys/id, hostKey: ssh-ed25519 AAAA}\nreplications:\n%s", port, dir, replications)
	if err := os.MkdirAll(dir+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/etc/a.yaml", []byte(files), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code = run(t.Context(), []string{"replication", "setup", "one", "--config", dir + "/etc", "--json"}, edges{stdin: os.Stdin, stdout: &out, stderr: &errs})
	_ = json.Unmarshal(out.Bytes(), &doc) // an error has another document
	return code, doc, out.String() + errs.String()
}

// The key is made once, belongs to its owner alone, and is never made again; what is printed fits all replications that go
// by the remote.
func TestSetup(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("no OpenSSH here")
	}
	dir := t.TempDir()
	const both = `  one: {source: tank/a, target: {remote: b, dataset: backup/a}, keep: {daily: 3}, receive: {set: {quota: 1G}}}
  two: {source: {remote: b, dataset: "far/my home"}, target: tank/b}
  three: {source: tank/a, target: {remote: b, dataset: backup/c}}
  uncovered: {source: {remote: b, dataset: far/secret}, target: tank/d, send: {raw: false}}
  here: {source: tank/a, target: tank/c}
`
	code, doc, said := setUpWith(t, dir, both)
	if code != exitFailed || !doc.Made || doc.HostKey.Error == "" { // nothing listens there
		t.Errorf("%d: %s", code, said)
	}
	key := filepath.Join(dir, "keys", "id")
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	was, _ := os.ReadFile(key)
	public, _ := os.ReadFile(key + ".pub")
	want := `restrict,command="dplane receive --target backup/a --prune --set quota=1073741824 --target backup/c --source 'far/my home' --source far/secret --plain" ` + strings.Join(strings.Fields(string(public))[:2], " ") + " dplane-b"
	if doc.AuthorizedKeys != want {
		t.Errorf("authorized_keys:\n%s\n%s", doc.AuthorizedKeys, want)
	}
	told := (&setup{AuthorizedKeys: "LINE", Replications: []string{"one"}, pushes: []string{"backup/a", "backup/c"}}).text(&spec.Remote{Name: "b"})
	if !strings.Contains(told, "--source backup/a --source backup/c\n") {
		t.Errorf("it tells nothing of the way back:\n%s", told)
	}
	if got := strings.Join(doc.Allow, "\n"); got != "zfs allow -u repl canmount,create,destroy,hold,mount,quota,readonly,receive,release backup\nzfs allow -u repl canmount,create,destroy,hold,mount,readonly,receive,release backup\nzfs allow -u repl bookmark,destroy,hold,mount,release,send 'far/my home'\nzfs allow -u repl bookmark,destroy,hold,mount,release,send far/secret" {
		t.Errorf("rights:\n%s", got)
	}
	if got := strings.Join(doc.Narrow, "\n"); got != "zfs allow -u repl canmount,create,destroy,hold,mount,quota,readonly,receive,release backup/a\nzfs allow -u repl canmount,create,destroy,hold,mount,readonly,receive,release backup/c\nzfs unallow -u repl canmount,create,destroy,hold,mount,quota,readonly,receive,release backup" {
		t.Errorf("the same rights on the targets alone:\n%s", got)
	}
	if _, doc, _ = setUpWith(t, dir, both); doc.Made || doc.AuthorizedKeys != want {
		t.Error("the key was made again")
	}
	if now, _ := os.ReadFile(key); !bytes.Equal(now, was) {
		t.Error("the key was overwritten")
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, said = setUpWith(t, dir, both); code != exitFailed || !strings.Contains(said, "chmod 600") {
		t.Errorf("a key that others can read: %d: %s", code, said)
	}
	if code, _, said = setUpWith(t, t.TempDir(), "  one: {source: tank/a, target: tank/c}\n"); code != exitFailed || !strings.Contains(said, "needs no key") {
		t.Errorf("both ends here: %d: %s", code, said)
	}
}

// Whatever a declared value holds comes to the forced command as it is: sshd takes its quotes off, and the user's shell its
// own. What has no place in a line is refused.
func TestSetupQuotes(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("no OpenSSH here")
	}
	dir := t.TempDir()
	value := "it's \"one\" \\\"$(id)`id`\\ & ; %h é\\"
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	_, doc, said := setUpWith(t, dir, "  one: {source: tank/a, target: {remote: b, dataset: backup/a}, receive: {set: {\"a:b\": "+string(text)+"}}}\n")
	rest, ok := strings.CutPrefix(doc.AuthorizedKeys, `restrict,command="`)
	if !ok {
		t.Fatal(said)
	}
	line, i := "", 0
	for ; rest[i] != '"'; i++ { // opt_dequote
		if strings.HasPrefix(rest[i:], `\"`) {
			i++
		}
		line += rest[i : i+1]
	}
	if !strings.HasPrefix(rest[i:], `" ssh-ed25519 `) {
		t.Errorf("behind the command: %s", rest[i:])
	}
	out, err := exec.Command("sh", "-c", `dplane() { printf '<%s>' "$@"; }; `+line).Output()
	if want := "<receive><--target><backup/a><--set><a:b=" + value + ">"; err != nil || string(out) != want {
		t.Errorf("%s\ncomes as %s, %v\nwant     %s", doc.AuthorizedKeys, out, err, want)
	}
	code, _, said := setUpWith(t, dir, "  one: {source: tank/a, target: {remote: b, dataset: backup/a}, receive: {set: {\"a:b\": \"x\\ny\"}}}\n")
	if code != exitFailed || !strings.Contains(said, "can't stand in a line") {
		t.Errorf("a line break: %d: %s", code, said)
	}
}
