//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// pairOf is a pool with what is sent, and one that it is sent to.
type pairOf struct {
	*box
	from, to string // the pools
}

// newPair makes both, with a tree to be sent: file systems, one of which is excluded, a volume, and one that is encrypted.
func newPair(t *testing.T, more string) *pairOf {
	b := newBox(t)
	p := &pairOf{b, b.pool("from"), b.pool("to")}
	p.create(b.disk("a"), b.disk("b"))
	p.declare(more)
	return p
}

// create makes the pools on these disks.
func (p *pairOf) create(from, to string) {
	p.t.Helper()
	must(p.t, "zpool", "create", "-m", p.path("mnt2"), p.to, to)
	p.tree(from)
}

// tree makes the pool with what is sent.
func (p *pairOf) tree(disk string) {
	t, b := p.t, p.box
	t.Helper()
	must(t, "zpool", "create", "-m", b.path("mnt"), p.from, disk)
	must(t, "zfs", "create", p.from+"/home")
	must(t, "zfs", "create", p.from+"/home/anna")
	must(t, "zfs", "create", p.from+"/home/anna/cache")
	must(t, "zfs", "create", "-s", "-V", "8M", p.from+"/home/vol")
	if err := os.WriteFile(b.path("key"), []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "zfs", "create", "-o", "encryption=on", "-o", "keyformat=raw", "-o", "keylocation=file://"+b.path("key"), p.from+"/home/secret")
}

// declare writes the replication, with more keys of it.
func (p *pairOf) declare(more string) { p.between(p.from+"/home", p.to+"/home", more) }

// between writes it with these ends.
func (p *pairOf) between(source, target, more string) {
	p.write("pair.yaml", fmt.Sprintf("pools: {%s: {}, %s: {}}\nreplications:\n  off: {source: %s, target: %s, recursive: true, exclude: [%[1]s/home/*/cache], when: {manual: true}, objective: 1h%[5]s}\n", p.from, p.to, source, target, more))
}

// fill writes as many MiB that can't be compressed, of this name, into two of the file systems.
func (p *pairOf) fill(name string, mib int) {
	p.t.Helper()
	for _, d := range []string{"anna", "secret"} {
		must(p.t, "dd", "if=/dev/urandom", "of="+p.path("mnt/home/"+d+"/"+name), "bs=1M", fmt.Sprint("count=", mib), "status=none")
	}
	must(p.t, "dd", "if=/dev/urandom", "of="+p.device(p.from+"/home/vol"), "bs=128K", "count=1", "seek=3", "status=none", "conv=fsync")
}

// device waits for that of a volume or its snapshot, which comes a moment after it.
func (p *pairOf) device(name string) string {
	p.t.Helper()
	path := "/dev/zvol/" + name
	for range 300 {
		if _, err := os.Stat(path); err == nil {
			return path
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Fatal("there is no " + path)
	return ""
}

// volumeSum is the checksum of a snapshot of a volume.
func (p *pairOf) volumeSum(snapshot string) string {
	p.t.Helper()
	volume, _, _ := strings.Cut(snapshot, "@")
	must(p.t, "zfs", "set", "snapdev=visible", volume)
	defer must(p.t, "zfs", "inherit", "snapdev", volume)
	sum, _, _ := strings.Cut(must(p.t, "sha256sum", p.device(snapshot)), " ")
	return sum
}

func (p *pairOf) snapshot(name string) {
	p.t.Helper()
	must(p.t, "zfs", "snapshot", "-r", p.from+"/home@"+name)
}

var sentDatasets = []string{"home", "home/anna", "home/secret", "home/vol"}

// same fails unless the target has this snapshot of all that is sent, with the same guid and the same content, and nothing
// else that is not sent.
func (p *pairOf) same(snap string) {
	p.t.Helper()
	var want []string
	for _, d := range sentDatasets {
		want = append(want, p.to+"/"+d)
		a, b := zfsGet(p.t, "guid", p.from+"/"+d+"@"+snap), zfsGet(p.t, "guid", p.to+"/"+d+"@"+snap)
		if a != b {
			p.t.Errorf("%s@%s: guid %s, on the target %s", d, snap, a, b)
		}
		if zfsGet(p.t, "readonly", p.to+"/"+d) != "on" || zfsGet(p.t, "mounted", p.to+"/"+d) == "yes" {
			p.t.Errorf("the replica %s is writable or mounted", d)
		}
	}
	if got := strings.Fields(must(p.t, "zfs", "list", "-H", "-r", "-o", "name", p.to+"/home")); !slices.Equal(got, want) {
		p.t.Errorf("the target has %v", got)
	}
	if zfsGet(p.t, "encryption", p.to+"/home/secret") == "off" {
		p.t.Error("what is encrypted was sent in plain")
	}
	if zfsGet(p.t, "keystatus", p.to+"/home/secret") != "available" {
		must(p.t, "zfs", "load-key", "-L", "file://"+p.path("key"), p.to+"/home/secret")
	}
	for _, d := range sentDatasets[:3] {
		if a, b := p.sums(p.from+"/"+d+"@"+snap), p.sums(p.to+"/"+d+"@"+snap); a != b {
			p.t.Errorf("%s@%s has other content on the target:\n%s\n%s", d, snap, a, b)
		}
	}
	must(p.t, "zfs", "unload-key", p.to+"/home/secret")
	if a, b := p.volumeSum(p.from+"/home/vol@"+snap), p.volumeSum(p.to+"/home/vol@"+snap); a != b {
		p.t.Errorf("home/vol@%s has other content on the target: %s, %s", snap, a, b)
	}
}

// sums are all that is in a snapshot: each file with its kind, mode, owner, size, time and link, and its checksum.
func (p *pairOf) sums(snapshot string) string {
	p.t.Helper()
	dir, err := os.MkdirTemp(p.dir, "look")
	if err != nil {
		p.t.Fatal(err)
	}
	must(p.t, "mount", "-t", "zfs", snapshot, dir)
	defer must(p.t, "umount", dir)
	return must(p.t, "sh", "-c", `cd "$1" && find . -printf '%P %y %m %U %G %s %T@ %n %l\n' | sort && find . -type f -exec sha256sum {} + | sort`, "sh", dir)
}

// clean fails where something is left of a transfer: holds at the source, more than one bookmark of a dataset, holds at
// the target on another snapshot than the newest, a resume token, a process.
func (p *pairOf) clean(snap string) {
	p.t.Helper()
	for _, d := range sentDatasets {
		for _, line := range strings.Split(strings.TrimSpace(must(p.t, "zfs", "list", "-Hp", "-d", "1", "-t", "snapshot", "-o", "name,userrefs", p.from+"/"+d)), "\n") {
			if !strings.HasSuffix(line, "\t0") {
				p.t.Errorf("held at the source: %s", line)
			}
		}
		if n := len(strings.Fields(must(p.t, "zfs", "list", "-H", "-d", "1", "-t", "bookmark", "-o", "name", p.from+"/"+d))); n != 1 {
			p.t.Errorf("%s has %d bookmarks", d, n)
		}
		for _, line := range strings.Split(strings.TrimSpace(must(p.t, "zfs", "list", "-Hp", "-d", "1", "-t", "snapshot", "-o", "name,userrefs", p.to+"/"+d)), "\n") {
			if newest := strings.HasPrefix(line, p.to+"/"+d+"@"+snap+"\t"); newest != strings.HasSuffix(line, "\t1") {
				p.t.Errorf("held at the target, or not: %s", line)
			}
		}
		if token := zfsGet(p.t, "receive_resume_token", p.to+"/"+d); token != "-" {
			p.t.Errorf("%s has a resume token", d)
		}
	}
	p.noProcess()
}

// noProcess fails where a transfer still runs.
func (p *pairOf) noProcess() {
	p.t.Helper()
	var out string
	for range 50 {
		if out = run(p.t, "pgrep", "-af", "^([^ ]*/)?zfs (send|receive) ").Stdout; out == "" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Errorf("left running:\n%s", out)
}

// runs are what is remembered of the runs, newest first.
func (p *pairOf) runs() (all []struct {
	Bytes   int64  `json:"bytes"`
	Streams int    `json:"streams"`
	Resumed int    `json:"resumed"`
	Outcome string `json:"outcome"`
}) {
	p.t.Helper()
	var doc struct {
		Replications []struct {
			Runs json.RawMessage `json:"runs"`
		} `json:"replications"`
	}
	if err := json.Unmarshal([]byte(p.expect(0, "replication", "list", "--json").Stdout), &doc); err != nil || len(doc.Replications) != 1 {
		p.t.Fatal(err, doc)
	}
	if err := json.Unmarshal(doc.Replications[0].Runs, &all); err != nil {
		p.t.Fatal(err)
	}
	return all
}

// TestReplication: what is sent arrives whole, then by what changed, from a bookmark where the source has pruned, and a
// divergence is told and repaired as a person chooses.
func TestReplication(t *testing.T) {
	p := newPair(t, "")
	p.fill("one", 2)
	p.snapshot("one")
	p.expect(0, "replication", "run", "off")
	p.same("one")
	p.clean("one")
	guid := zfsGet(t, "guid", p.to+"/home/anna")
	if r := p.expect(0, "replication", "run", "off"); !strings.Contains(r.Stdout, "has all") {
		t.Errorf("again: %s", r.Stdout)
	}

	p.fill("two", 1)
	p.snapshot("two")
	p.fill("three", 1)
	p.snapshot("three")
	p.expect(0, "replication", "run", "off")
	p.same("two")
	p.same("three")
	p.clean("three")

	must(t, "sh", "-c", fmt.Sprintf("for s in one two three; do for d in %s; do zfs destroy %s/$d@$s || exit 1; done; done", strings.Join(sentDatasets, " "), p.from))
	p.fill("four", 1)
	p.snapshot("four")
	p.expect(0, "replication", "run", "off")
	p.same("four")
	p.clean("four")
	if got := zfsGet(t, "guid", p.to+"/home/anna"); got != guid {
		t.Error("the target was made anew")
	}
	if last := p.runs()[0]; last.Bytes < 1<<20 || last.Bytes > 8<<20 || last.Outcome != "done" {
		t.Errorf("the run from the bookmarks: %+v", last)
	}

	p.snapshot("five")
	must(t, "zfs", "set", "readonly=off", p.to+"/home/anna")
	must(t, "zfs", "snapshot", p.to+"/home/anna@own") // nothing is written: no divergence
	p.expect(0, "replication", "run", "off")
	must(t, "zfs", "set", "readonly=on", p.to+"/home/anna")
	if got, want := zfsGet(t, "guid", p.to+"/home/anna@five"), zfsGet(t, "guid", p.from+"/home/anna@five"); got != want {
		t.Error("on top of a snapshot of its own nothing was received")
	}
	must(t, "zfs", "destroy", p.to+"/home/anna@own")
	p.diverge()
}

// diverge lets the target be written to, and takes both ways out.
func (p *pairOf) diverge() {
	t, replica := p.t, p.to+"/home/anna"
	write := func() {
		must(t, "zfs", "set", "readonly=off", replica)
		must(t, "zfs", "set", "mountpoint="+p.path("replica"), replica)
		must(t, "zfs", "mount", replica)
		must(t, "touch", p.path("replica/own"))
		must(t, "zfs", "unmount", replica)
		must(t, "zfs", "set", "readonly=on", replica)
		must(t, "zfs", "inherit", "mountpoint", replica)
		must(t, "zfs", "snapshot", replica+"@own")
	}
	ways := func() (ids []string) {
		r := p.expect(0, "plan", "--json")
		var doc struct {
			Actions []struct {
				ID, Verb, Held string
				Fields         []struct{ Name string }
			}
		}
		if err := json.Unmarshal([]byte(r.Stdout), &doc); err != nil {
			t.Fatal(err)
		}
		for _, a := range doc.Actions {
			if a.Verb == "update" && a.Held != "" {
				ids = append(ids, a.ID)
			}
		}
		if len(ids) != 2 {
			t.Fatalf("the ways out: %v\n%s", ids, r.Stdout)
		}
		return ids
	}
	write()
	p.snapshot("six")
	if r := p.expect(3, "replication", "run", "off"); !strings.Contains(r.Stdout+r.Stderr, "done") {
		t.Errorf("the others were not sent: %s%s", r.Stdout, r.Stderr)
	}
	if out := must(t, "zfs", "list", "-H", "-t", "snapshot", "-o", "name", replica); !strings.Contains(out, "@own") || strings.Contains(out, "@six") {
		t.Errorf("the target was overwritten: %s", out)
	}
	if r := p.dplane("status"); r.Code != 1 || !strings.Contains(r.Stdout, "@five") {
		t.Errorf("status: %d\n%s", r.Code, r.Stdout)
	}
	p.expect(0, "apply", "--yes", "--allow", ways()[1]) // back
	p.expect(0, "replication", "run", "off")
	p.same("six")
	p.clean("six")
	write()
	p.snapshot("seven")
	p.expect(3, "replication", "run", "off")
	p.expect(3, "apply", "--yes", "--allow", ways()[0]) // aside; to send it anew waits for a word of its own
	kept := strings.TrimSpace(must(t, "sh", "-c", "zfs list -H -o name -r "+p.to+"/home | grep diverged"))
	if out := must(t, "zfs", "list", "-H", "-d", "1", "-t", "snapshot", "-o", "name", kept); !strings.Contains(out, "@own") {
		t.Errorf("what was kept aside has %s", out)
	}
	// The target had it once: it is not sent whole unasked.
	r := p.expect(3, "replication", "run", "off")
	_, id, ok := strings.Cut(r.Stdout+p.expect(0, "plan").Stdout, "--allow ")
	if !ok {
		t.Fatalf("no id to send it anew:\n%s", r.Stdout)
	}
	p.expect(0, "apply", "--yes", "--allow", strings.Fields(id)[0])
	must(t, "zfs", "release", "dplane:off", kept+"@six")
	must(t, "sh", "-c", fmt.Sprintf("for s in $(zfs list -H -d 1 -t snapshot -o name %s); do zfs destroy $s || exit 1; done; zfs destroy %[1]s", kept))
	p.same("seven")
}

// TestReplicationKilled: kill -9 at each write of a run, before and after it took effect, and in the middle of streams. It
// converges each time, from where it was, and leaves nothing behind.
func TestReplicationKilled(t *testing.T) {
	p := newPair(t, "")
	p.fill("one", 1)
	p.snapshot("s0")
	p.expect(0, "replication", "run", "off")
	guids := func() string {
		return must(t, "zfs", "get", "-Hp", "-r", "-o", "value", "-t", "filesystem,volume", "guid", p.to+"/home")
	}
	had := guids()
	kills := numberFrom(t, "DPLANE_E2E_KILLS", 5)
	next := func(i int) string {
		p.fill("file", 1)
		p.snapshot(fmt.Sprint("s", i))
		return fmt.Sprint("s", i)
	}
	next(1)
	if r := p.cutting(0, "", "replication", "run", "off"); r.Code != 0 {
		t.Fatalf("exit status %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	var writes int
	if _, err := fmt.Sscan(string(content(t, p.path("writes"))), &writes); err != nil || writes < 10 {
		t.Fatal("a run has few writes", writes, err)
	}
	for i := range kills {
		snap := next(i + 2)
		at, how := 1+(i*writes/min(kills, writes)+i/writes)%writes, []string{"after", "before"}[(i+i/writes)%2]
		if r := p.cutting(at, how, "replication", "run", "off"); r.Code != -1 {
			t.Fatalf("%s write %d of %d: exit status %d\n%s%s", how, at, writes, r.Code, r.Stdout, r.Stderr)
		}
		p.noProcess()
		if r := p.dplane("replication", "run", "off"); r.Code != 0 {
			t.Fatalf("after a kill %s write %d: exit status %d\n%s%s", how, at, r.Code, r.Stdout, r.Stderr)
		}
		if p.clean(snap); t.Failed() {
			t.Fatalf("killed %s write %d of %d", how, at, writes)
		}
		p.prune(i + 1)
	}
	p.same(fmt.Sprint("s", kills+1))
	if guids() != had {
		t.Error("a target was made anew")
	}
	p.declare(", rateLimit: 1M")
	p.fill("big", 8)
	p.snapshot("big")
	for i, victim := range []string{"dplane", "zfs send", "zfs receive"} {
		p.killWithin(victim)
		token := zfsGet(t, "receive_resume_token", p.to+"/home/anna") + zfsGet(t, "receive_resume_token", p.to+"/home/secret")
		if strings.Trim(token, "-") == "" {
			t.Errorf("kill %d, of %s: nothing is kept of what was received", i, victim)
		}
	}
	p.declare("")
	p.expect(0, "replication", "run", "off")
	p.same("big")
	p.clean("big")
	if guids() != had {
		t.Error("a target was made anew")
	}
	resumed, bytes := 0, int64(0)
	for _, r := range p.runs()[:4] {
		resumed += r.Resumed
		bytes += r.Bytes
	}
	if resumed == 0 {
		t.Error("nothing was gone on with")
	}
	if bytes > 32<<20 { // 16 MiB are to be sent
		t.Errorf("%d bytes were sent in all", bytes)
	}
}

// killWithin begins a run and kills one of its processes in the middle of a stream.
func (p *pairOf) killWithin(victim string) {
	p.t.Helper()
	if err := p.within(2*time.Second, func(cmd *exec.Cmd) { p.kill(victim, cmd) }); err == nil {
		p.t.Errorf("killed %s, and all was well", victim)
	}
	p.noProcess()
}

// kill kills -9 a process of a run.
func (p *pairOf) kill(victim string, cmd *exec.Cmd) {
	p.t.Helper()
	if victim == "dplane" {
		if err := cmd.Process.Kill(); err != nil {
			p.t.Error(err)
		}
		return
	}
	for i := 0; run(p.t, "pkill", "-9", "-f", "^([^ ]*/)?"+victim+" ").Code != 0 && i < 300; i++ { // it may be between two streams
		time.Sleep(100 * time.Millisecond)
	}
}

// within begins a run, does something when its first stream is so old, and gives how the run ended.
func (p *pairOf) within(age time.Duration, do func(*exec.Cmd)) error {
	p.t.Helper()
	return p.withinOne(age, func() bool { return run(p.t, "pgrep", "-f", "^([^ ]*/)?zfs receive .*"+p.prefix).Code == 0 }, do)
}

// withinOne is within where somebody else tells whether a stream is received.
func (p *pairOf) withinOne(age time.Duration, receives func() bool, do func(*exec.Cmd)) error {
	p.t.Helper()
	cmd := exec.Command(os.Getenv("DPLANE_BIN"), "--config", p.path("etc"), "replication", "run", "off")
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	deadline := time.Now().Add(time.Minute)
	for !receives() && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(age) // some of it has come
	do(cmd)
	select {
	case err := <-ended:
		return err
	case <-time.After(3 * time.Minute):
		_ = cmd.Process.Kill()
		p.t.Fatal("broken off, and dplane waits for ever")
		return nil
	}
}
