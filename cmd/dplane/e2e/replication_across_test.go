//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// across is a source here, and a target in another guest, which may have another release of OpenZFS.
type across struct {
	*pairOf
	peer string // its address
	host string // the host key, which both machines have
}

// TestReplicationAcross is run by the script across: push and pull between two releases, broken off and gone on with, and
// what the older one can't take.
func TestReplicationAcross(t *testing.T) {
	peer := os.Getenv("DPLANE_ACROSS")
	if peer == "" {
		t.Skip("the script across runs it (make test-across)")
	}
	b := newBox(t)
	c := &across{&pairOf{b, b.pool("from"), b.prefix + "to"}, peer, strings.TrimSpace(string(content(t, "host.pub")))}
	t.Logf("%s here, %s there", must(t, "zfs", "version"), c.mustThere("zfs", "version"))
	c.tree(b.disk("a"))
	must(t, "zfs", "create", "-o", "recordsize=1M", "-o", "compression=zstd", c.from+"/home/big")
	c.mustThere("truncate", "-s", "256M", "/pool/to", "/pool/old")
	c.mustThere("zpool", "create", c.to, "/pool/to")
	c.declare("")
	for _, part := range []struct {
		name string
		do   func()
	}{{"push", c.push}, {"pull", c.pull}, {"features", c.noFeatures}, {"names", c.longNames}} {
		t.Run(part.name, func(t *testing.T) {
			c.t = t
			part.do()
		})
		c.t = t
	}
}

// expect runs dplane here, and tells how long it took: these machines are slow.
func (c *across) expect(code int, args ...string) result {
	c.t.Helper()
	began := time.Now()
	defer func() { c.t.Logf("dplane %s: %s", strings.Join(args, " "), time.Since(began).Round(time.Second)) }()
	return c.pairOf.expect(code, args...)
}

// there runs a program on the other machine, by a connection that is not dplane's.
func (c *across) there(argv ...string) result {
	c.t.Helper()
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return run(c.t, "ssh", "-F", "none", "-i", "hands", "-o", "UserKnownHostsFile=/in/known", "-o", "BatchMode=yes", "-o", "ConnectTimeout=60",
		"-S", "/run/hands", "root@"+c.peer, "LC_ALL=C "+strings.Join(quoted, " "))
}

func (c *across) mustThere(argv ...string) string {
	c.t.Helper()
	r := c.there(argv...)
	if r.Code != 0 {
		c.t.Fatalf("there: %s: exit status %d\n%s%s", strings.Join(argv, " "), r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// writes puts a file on the other machine.
func (c *across) writes(path, text string) {
	c.t.Helper()
	c.mustThere("sh", "-c", `mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"`, "sh", path, text)
}

// by goes by a user with a key there: an ordinary one with a forced command, or root, whom plain zfs obeys.
func (c *across) by(user, key string) {
	c.write("remotes.yaml", fmt.Sprintf("remotes:\n  far: {host: %s, user: %s, identityFile: %s, hostKey: %q}\n", c.peer, user, key, c.host))
}

func (c *across) declare(more string) {
	c.write("pair.yaml", fmt.Sprintf("pools: {%s: {}}\nreplications:\n  off: {source: %[1]s/home, target: %s, recursive: true, exclude: [%[1]s/home/*/cache], when: {manual: true}, objective: 1h%[3]s}\n", c.from, far(c.to+"/home"), more))
}

// another declares one dataset to be sent to another place there.
func (c *across) another(name, source, target string) {
	c.write(name+".yaml", fmt.Sprintf("replications:\n  %s: {source: %s, target: %s, when: {manual: true}, objective: 1h}\n", name, source, far(target)))
}

// change writes what can be compressed and what can't, of this name, and takes a snapshot.
func (c *across) change(name string, mib int) {
	t := c.t
	t.Helper()
	c.fill(name, mib)
	big := c.path("mnt/home/big/" + name)
	must(t, "sh", "-c", `yes "$1" | head -c 3000000 >"$1" && head -c 1200000 /dev/urandom >>"$1"`, "sh", big)
	must(t, "dd", "if=/dev/urandom", "of=/dev/zvol/"+c.from+"/home/vol", "bs=64k", "count=8", fmt.Sprint("seek=", len(name)), "conv=notrunc,fsync", "status=none")
	c.snapshot(name)
}

// push sends by a key that may only receive: whole, by what changed, and several snapshots at once.
func (c *across) push() {
	t := c.t
	const user = "dprepl"
	c.by(user, c.path("id"))
	c.mustThere("useradd", "-M", "-d", "/", "-s", "/bin/sh", "-p", "*", user)
	var doc struct {
		AuthorizedKeys string
		Allow          []string
		HostKey        struct{ Pinned bool }
	}
	if err := json.Unmarshal([]byte(c.expect(0, "replication", "setup", "off", "--json").Stdout), &doc); err != nil || !doc.HostKey.Pinned {
		t.Fatalf("%v %+v", err, doc)
	}
	c.writes("/run/keys/"+user, doc.AuthorizedKeys+"\n")
	for _, line := range doc.Allow {
		c.mustThere(strings.Fields(line)...)
	}
	c.change("one", 2)
	c.line(0, "ok", "features", "replication", "test", "off")
	c.expect(0, "replication", "run", "off")
	c.same("home")
	for _, names := range [][]string{{"two"}, {"three", "four"}} {
		for _, name := range names {
			c.change(name, 1)
		}
		c.expect(0, "replication", "run", "off")
		c.same("home")
	}
	c.alike("home", "four")
	c.brokenOff()
}

// brokenOff ends the connection in the middle of a stream; the run after it goes on from there.
func (c *across) brokenOff() {
	t := c.t
	guids := func() string {
		return c.mustThere("zfs", "get", "-Hp", "-r", "-o", "value", "-t", "filesystem,volume", "guid", c.to+"/home")
	}
	had := guids()
	c.declare(", rateLimit: 512K")
	c.change("five", 6)
	const stream = "^([^ ]*/)?zfs receive "
	receives := func() bool { return c.there("pgrep", "-f", stream+".*"+c.to+"/home/(anna|secret)").Code == 0 }
	if err := c.withinOne(5*time.Second, receives, func(cmd *exec.Cmd) { c.kill("ssh", cmd) }); err == nil {
		t.Error("the connection was cut, and all was well")
	}
	for end := time.Now().Add(2 * time.Minute); c.there("pgrep", "-f", stream).Code == 0; time.Sleep(500 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("there it is still received")
		}
	}
	if tokens := c.mustThere("zfs", "get", "-Hp", "-r", "-o", "value", "-t", "filesystem,volume", "receive_resume_token", c.to+"/home"); strings.Trim(tokens, "-\n") == "" {
		t.Error("nothing is kept of what was received")
	}
	c.declare("")
	c.expect(0, "replication", "run", "off")
	if last := c.ran("off"); last[0].Resumed == 0 || last[1].Outcome == "done" {
		t.Errorf("nothing was gone on with: %+v", last[:2])
	}
	if guids() != had {
		t.Error("a target was made anew")
	}
	c.same("home")
	c.by("root", "/in/hands") // a key that may only receive does not read what is there
	if r := c.expect(0, "replication", "verify", "off", "--deep"); strings.Count(r.Stdout, "@five holds the same") != len(sentDatasets)+1 {
		t.Errorf("not all was read: %s", r.Stdout)
	}
	c.alike("home", "five")
	c.change("six", 1)
	c.expect(0, "replication", "run", "off") // by root now, on top of what the other user received
	c.same("home")
}

// pull lets the other machine fetch the same.
func (c *across) pull() {
	const etc = "/run/back/etc"
	c.writes(etc+"/back.yaml", fmt.Sprintf(`daemon: {runtime: /run/back, database: /run/back/dplane.db}
pools: {%s: {}}
remotes: {near: {host: 10.77.0.1, user: root, identityFile: /in/hands, hostKey: %q}}
replications: {back: {source: {remote: near, dataset: %s/home}, target: %[1]s/back, recursive: true, exclude: [%[3]s/home/*/cache], when: {manual: true}, objective: 1h}}
`, c.to, c.host, c.from))
	back := func(args ...string) string {
		began := time.Now()
		defer func() { c.t.Logf("there: %s: %s", strings.Join(args, " "), time.Since(began).Round(time.Second)) }()
		return c.mustThere(append([]string{"dplane", "--config", etc, "replication"}, args...)...)
	}
	c.change("first", 1)
	back("run", "back")
	c.same("back")
	c.change("second", 1)
	back("run", "back")
	c.same("back")
	if out := back("verify", "back", "--deep"); strings.Count(out, "@second holds the same") != len(sentDatasets)+1 {
		c.t.Errorf("not all was read: %s", out)
	}
	c.alike("back", "second")
}

// same fails unless all snapshots are on both machines with the same guids, and the replica is read-only, not mounted, and
// waits for nothing.
func (c *across) same(replica string) {
	t := c.t
	t.Helper()
	ask := func(types, columns, properties, of string) []string {
		return []string{"zfs", "get", "-Hp", "-r", "-t", types, "-o", columns, properties, of}
	}
	var want []string
	for line := range strings.Lines(must(t, ask("snapshot", "name,value", "guid", c.from+"/home")...) + "\n") {
		if !strings.Contains(line, "/cache@") {
			want = append(want, strings.Replace(line, c.from+"/home", c.to+"/"+replica, 1))
		}
	}
	if got := c.mustThere(ask("snapshot", "name,value", "guid", c.to+"/"+replica)...) + "\n"; got != strings.Join(want, "") {
		t.Errorf("the target has\n%sand the source\n%s", got, strings.Join(want, ""))
	}
	for line := range strings.Lines(c.mustThere(ask("filesystem,volume", "name,property,value", "readonly,mounted,receive_resume_token,encryption", c.to+"/"+replica)...) + "\n") {
		f := strings.Fields(line)
		wrong := map[string]bool{"readonly": f[2] != "on", "mounted": f[2] == "yes", "receive_resume_token": f[2] != "-", "encryption": (f[2] == "off") == strings.HasSuffix(f[0], "/secret")}
		if wrong[f[1]] {
			t.Errorf("there: %s", line)
		}
	}
	if held := regexp.MustCompile(`(?m)^.*\t[1-9].*$`).FindString(must(t, ask("snapshot", "name,value", "userrefs", c.from+"/home")...)); held != "" {
		t.Errorf("held at the source: %s", held)
	}
	c.noProcess()
}

// alike compares the files of a snapshot, and the volume, as they are read on both machines.
func (c *across) alike(replica, snap string) {
	c.t.Helper()
	const look = `set -e; mkdir -p /run/look
zfs load-key -L file:///run/key "$1/secret" 2>/dev/null || [ "$(zfs get -Ho value keystatus "$1/secret")" = available ]
for d in "" /anna /big /secret; do
  mount -t zfs "$1$d@$2" /run/look
  (cd /run/look && find . -xdev -type f | sort | xargs -r sha256sum)
  umount /run/look
done
sha256sum <"/dev/zvol/$1/vol"`
	key := string(content(c.t, c.path("key")))
	c.writes("/run/key", key)
	a := must(c.t, "sh", "-c", look, "sh", c.from+"/home", snap)
	b := c.mustThere("sh", "-c", look, "sh", c.to+"/"+replica, snap)
	c.mustThere("zfs", "unload-key", c.to+"/"+replica+"/secret")
	if a != b || !strings.Contains(a, "./"+snap) {
		c.t.Errorf("@%s is here\n%s\nand there\n%s", snap, a, b)
	}
}

// ran are the runs of one replication, newest first.
func (c *across) ran(name string) (all []struct {
	Streams, Resumed int
	Outcome, Error   string
}) {
	c.t.Helper()
	var doc struct {
		Replications []struct {
			Name string
			Runs json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(c.expect(0, "replication", "list", "--json").Stdout), &doc); err != nil {
		c.t.Fatal(err)
	}
	for _, r := range doc.Replications {
		if r.Name != name {
			continue
		}
		if err := json.Unmarshal(r.Runs, &all); err != nil {
			c.t.Fatal(err)
		}
	}
	return all
}

// refused fails unless a run says why nothing is received, tries once, and leaves nothing there.
func (c *across) refused(name, target, why string) {
	t := c.t
	t.Helper()
	for i := range 2 {
		r := c.expect(1, "replication", "run", name)
		if out := r.Stdout + r.Stderr; !strings.Contains(out, why) || !strings.Contains(out, "newer ZFS") {
			t.Errorf("it is not said why: %s", out)
		}
		if runs := c.ran(name); len(runs) != i+1 || runs[0].Streams != 1 || runs[0].Outcome == "done" {
			t.Errorf("run %d: %+v", i, runs)
		}
	}
	if r := c.there("zfs", "list", target); r.Code == 0 {
		t.Errorf("left there: %s", r.Stdout)
	}
	if r := c.dplane("status"); r.Code != 1 || !strings.Contains(r.Stdout, why) {
		t.Errorf("status: %d\n%s", r.Code, r.Stdout)
	}
}

// noFeatures sends to a pool that has none: what is said leads out of it.
func (c *across) noFeatures() {
	t := c.t
	c.by("root", "/in/hands")
	c.change("seven", 1)
	c.mustThere("zpool", "create", "-d", c.prefix+"old", "/pool/old")
	c.another("old", c.from+"/home/big", c.prefix+"old/big")
	c.refused("old", c.prefix+"old/big", "pool must be upgraded to receive this stream")
	for range 6 {
		r := c.dplane("replication", "test", "old")
		f := regexp.MustCompile(`zpool set (feature@\w+=enabled) (\w+)`).FindStringSubmatch(r.Stdout)
		if f == nil {
			break
		}
		if r.Code != 1 || f[2] != c.prefix+"old" {
			t.Fatalf("exit status %d: %s", r.Code, r.Stdout)
		}
		t.Log(f[0])
		c.mustThere("zpool", "set", f[1], f[2])
	}
	c.expect(0, "replication", "run", "old")
	if got, want := c.mustThere("zfs", "get", "-Hpo", "value", "guid", c.prefix+"old/big@seven"), zfsGet(t, "guid", c.from+"/home/big@seven"); got != want {
		t.Errorf("guid %s, not %s", got, want)
	}
}

// longNames sends what OpenZFS 2.3 brought to a machine that may be older.
func (c *across) longNames() {
	t := c.t
	ask := func(pool string) []string { return []string{"zpool", "get", "-Ho", "value", "feature@longname", pool} }
	has := func(r result) bool { // a release that does not know the feature says -, or nothing, or that it is an error
		state := strings.TrimSpace(r.Stdout)
		return state == "enabled" || state == "active"
	}
	if !has(run(t, ask(c.from)...)) {
		return // nor can it be had here
	}
	c.by("root", "/in/hands")
	source, target := c.from+"/new", c.to+"/new"
	must(t, "zfs", "create", "-o", "longname=on", source)
	if err := os.WriteFile(c.path("mnt/new/"+strings.Repeat("n", 300)), []byte("long"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "zfs", "snapshot", source+"@one")
	c.another("new", source, target)
	if has(c.there(ask(c.to)...)) {
		c.line(0, "ok", "features", "replication", "test", "new")
		c.expect(0, "replication", "run", "new")
		return
	}
	r := c.expect(0, "replication", "test", "new")
	if !regexp.MustCompile(`(?m)^warning +features .*longname`).MatchString(r.Stdout) || !strings.Contains(r.Stdout, "does not know longname") {
		t.Errorf("it is not said before: %s", r.Stdout)
	}
	c.refused("new", target, "stream has unsupported feature")
}
