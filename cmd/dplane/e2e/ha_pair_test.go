//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair are two nodes of a group: one here, the other in another guest. Both have the same pool, by name, and a daemon.
type pair struct {
	*across
	home    string    // the group's topmost dataset
	ids     [2]string // the nodes' own
	daemon  *running
	measure map[string]time.Duration
}

// TestPair is run by the script across with RUN=^TestPair$: two nodes are made a pair by the commands of the README, the group is
// handed over and back, the active one dies, comes back with what it wrote alone, and is off in the end.
func TestPair(t *testing.T) {
	peer := os.Getenv("DPLANE_ACROSS")
	if peer == "" {
		t.Skip("the script across runs it (make test-pair)")
	}
	p := newNodes(t, peer)
	p.pools()
	p.paired("")
	for _, part := range []struct {
		name string
		do   func()
	}{{"first", p.first}, {"over and back", p.overAndBack}, {"dead and back with more", p.divergedBack}, {"off", p.off}} {
		if !t.Run(part.name, func(t *testing.T) { p.t, p.daemon.t = t, t; part.do() }) {
			t.Logf("the daemon here:\n%s\nthere:\n%s", p.daemon.log, p.there("tail", "-n", "60", "/keep/daemon.log").Stdout)
			t.FailNow()
		}
		p.t, p.daemon.t = t, t
	}
	for what, took := range p.measure {
		t.Logf("%s: %s", what, took.Round(100*time.Millisecond))
	}
}

func newNodes(t *testing.T, peer string) *pair {
	b := newBox(t)
	pool := b.pool("pair")
	return &pair{across: &across{&pairOf{b, pool, pool}, peer, strings.TrimSpace(string(content(t, "host.pub")))}, home: pool + "/home", measure: map[string]time.Duration{}}
}

// pools: one node has data, and the other one an empty pool.
func (p *pair) pools() {
	must(p.t, "zpool", "create", "-O", "mountpoint=none", p.from, p.disk("a"))
	p.mustThere("zpool", "create", "-O", "mountpoint=none", p.from, "/dev/disk/by-id/virtio-disk1")
	must(p.t, "zfs", "create", "-o", "mountpoint=/srv/pair", p.home)
	must(p.t, "zfs", "create", p.home+"/anna")
	p.put("one")
}

// node runs dplane there.
func (p *pair) nodeB(code int, args ...string) result {
	p.t.Helper()
	r := p.there(append([]string{"dplane", "--config", "/keep/etc"}, args...)...)
	if r.Code != code {
		p.t.Fatalf("there: dplane %s: exit status %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// declared writes what both nodes share. more is added to `ha`.
func (p *pair) declared(more string) {
	p.t.Helper()
	text := fmt.Sprintf(`
ha:
  active: nas-a
  datasets: [%[1]s]
  maxLag: {time: 15m}
  heartbeat: {every: 5s, misses: 2}%[6]s
  peers:
    nas-a: {address: "https://10.77.0.1:9443", identity: %[2]q, remote: nas-a}
    nas-b: {address: "https://10.77.0.2:9443", identity: %[3]q, remote: nas-b}
datasets:
  %[1]s: {properties: {mountpoint: /srv/pair}, snapshots: often}
  %[1]s/anna: {}
pools: {%[5]s: {}}
schedules: {often: {keep: {frequently: 12}, frequentPeriod: 1m}}
replications:
  pair: {source: %[1]s, target: standby, recursive: true, when: {every: 1m}, objective: 15m}
remotes:
  nas-a: {host: 10.77.0.1, user: root, identityFile: /keep/replication_key, hostKey: %[4]q}
  nas-b: {host: 10.77.0.2, user: root, identityFile: /keep/replication_key, hostKey: %[4]q}
`, p.home, p.ids[0], p.ids[1], p.host, p.from, more)
	p.write("shared.yaml", text)
	p.writes("/keep/etc/shared.yaml", text)
}

// paired types what the README says.
func (p *pair) paired(more string) {
	t := p.t
	p.write("node.yaml", "node: {name: nas-a}\n")
	p.writes("/keep/etc/node.yaml", "node: {name: nas-b}\ndaemon: {interval: 5s, listen: \"127.0.0.1:9000\", runtime: /run/dplaneos, database: /keep/pair.db}\n")
	p.settings("5s")
	p.ids = [2]string{p.identity(p.expect(0, "ha", "id")), p.identity(p.nodeB(0, "ha", "id"))}
	p.declared(more)
	p.expect(0, "validate")
	p.nodeB(0, "validate")
	var doc struct{ AuthorizedKeys string }
	if err := json.Unmarshal([]byte(p.expect(0, "replication", "setup", "pair", "--json").Stdout), &doc); err != nil {
		t.Fatal(err)
	}
	p.writes("/keep/authorized", doc.AuthorizedKeys+"\n")
	p.writes("/keep/boot", "cat /keep/authorized >>/run/keys/root\nzpool import -f -a -N -d /dev/disk/by-id\n"+start)
	p.mustThere("sh", "-c", "cat /keep/authorized >>/run/keys/root")
	if err := json.Unmarshal([]byte(p.nodeB(0, "replication", "setup", "pair", "--json").Stdout), &doc); err != nil {
		t.Fatal(err)
	}
	line := strings.Replace(doc.AuthorizedKeys, "dplane receive", "dplane receive --runtime "+p.path("run"), 1)
	must(t, "sh", "-c", `printf '%s\n' "$1" >>/run/keys/root`, "sh", line)
	p.daemon = p.box.daemon("")
	p.daemonThere()
	p.healthy()
}

// healthy waits until each hears the other.
func (p *pair) healthy() {
	p.t.Helper()
	p.until("each hears the other", func() bool {
		return strings.Contains(p.dplane("ha", "status").Stdout, "healthy") && strings.Contains(p.statusB(), "healthy")
	})
}

// start starts the daemon there.
const start = "setsid /usr/local/bin/dplane --config /keep/etc daemon >>/keep/daemon.log 2>&1 </dev/null & echo $! >/run/daemon.pid\n"

func (p *pair) statusB() string {
	return p.there("dplane", "--config", "/keep/etc", "ha", "status").Stdout
}

func (p *pair) daemonThere() {
	p.t.Helper()
	p.mustThere("sh", "-c", start)
}

func (p *pair) identity(r result) string {
	p.t.Helper()
	i := strings.Index(r.Stdout, "sha256/")
	if i < 0 {
		p.t.Fatalf("no identity in %q", r.Stdout)
	}
	return strings.FieldsFunc(r.Stdout[i:], func(c rune) bool { return strings.ContainsRune(" \n\",", c) })[0]
}

// until waits on the real machines.
func (p *pair) until(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if ok() {
			return
		}
	}
	p.t.Fatalf("after four minutes still not: %s\n%s%s", what, p.dplane("ha", "status").Stdout, p.statusB())
}

// put writes a file on the node that is here, get reads one there; and the other way round.
func (p *pair) put(name string) {
	p.t.Helper()
	for _, d := range []string{"", "anna/"} {
		must(p.t, "dd", "if=/dev/urandom", "of=/srv/pair/"+d+name, "bs=64k", "count=4", "status=none")
	}
}

func (p *pair) putThere(name string) {
	p.t.Helper()
	for _, d := range []string{"", "anna/"} {
		p.mustThere("dd", "if=/dev/urandom", "of=/srv/pair/"+d+name, "bs=64k", "count=4", "status=none")
	}
}

// listed are the files of a node that is active, with their checksums.
const listed = "cd /srv/pair && find . -type f | sort | xargs sha256sum"

// readonly tells whether the group can't be written here, and there.
func (p *pair) readonly(here, there string) {
	p.t.Helper()
	for _, d := range []string{p.home, p.home + "/anna"} {
		if got := zfsGet(p.t, "readonly", d); got != here {
			p.t.Errorf("here %s is readonly=%s, want %s", d, got, here)
		}
		if got := p.mustThere("zfs", "get", "-Hp", "-o", "value", "readonly", d); got != there {
			p.t.Errorf("there %s is readonly=%s, want %s", d, got, there)
		}
	}
}

// timed measures how long something takes.
func (p *pair) timed(what string, do func()) {
	p.t.Helper()
	began := time.Now()
	do()
	p.measure[what] = time.Since(began)
}

// arrives waits until the other node has what is the newest snapshot of all now. here: this node is the active one.
func (p *pair) arrives(here bool) {
	p.t.Helper()
	guids := func(here bool, d string) []string {
		argv := []string{"zfs", "list", "-Hp", "-d", "1", "-t", "snapshot", "-o", "guid", "-s", "createtxg", d}
		if here {
			return strings.Fields(run(p.t, argv...).Stdout)
		}
		return strings.Fields(p.there(argv...).Stdout)
	}
	for _, d := range []string{p.home, p.home + "/anna"} {
		var own []string
		p.until("a snapshot is taken", func() bool { own = guids(here, d); return len(own) > 0 })
		p.until("all has arrived", func() bool { return slices.Contains(guids(!here, d), own[len(own)-1]) })
	}
}

// first promotes the node that has the data.
func (p *pair) first() {
	p.timed("the first promotion", func() { p.expect(0, "ha", "failover", "--yes", "--accept-loss") })
	if got := zfsGet(p.t, "readonly", p.home); got != "off" {
		p.t.Errorf("readonly=%s", got)
	}
	p.arrives(true)
	p.readonly("off", "on")
}

// overAndBack hands the group over with nothing lost, and back.
func (p *pair) overAndBack() {
	p.put("two")
	had := must(p.t, "sh", "-c", listed)
	p.timed("a switchover there", func() { p.expect(0, "ha", "switchover", "--to", "nas-b", "--yes") })
	p.readonly("on", "off")
	if got := p.mustThere("sh", "-c", listed); got != strings.TrimSuffix(had, "\n") {
		p.t.Errorf("there is %s\nwant %s", got, had)
	}
	p.putThere("three")
	had = p.mustThere("sh", "-c", listed)
	p.timed("a switchover back", func() { p.expect(0, "ha", "switchover", "--to", "nas-a", "--yes") })
	p.readonly("off", "on")
	if got := must(p.t, "sh", "-c", listed); strings.TrimSuffix(got, "\n") != had {
		p.t.Errorf("here is %s\nwant %s", got, had)
	}
	p.arrives(true)
	p.expect(0, "ha", "switchover", "--to", "nas-b", "--yes")
	p.arrives(false)
}

// divergedBack: the active node's daemon dies, what it wrote since is on no other node, and it is said to be off. Back, it stops
// writing, keeps what only it has, and goes on as a standby without being sent anything whole.
func (p *pair) divergedBack() {
	t := p.t
	p.mustThere("sh", "-c", "kill -9 $(cat /run/daemon.pid)")
	p.putThere("alone")
	p.until("it is noticed", func() bool { return strings.Contains(p.dplane("ha", "status").Stdout, "unreachable") })
	if r := p.expect(3, "ha", "failover", "--yes"); !strings.Contains(r.Stdout+r.Stderr, "no proof that nas-b does not write") {
		t.Errorf("%s%s", r.Stdout, r.Stderr)
	}
	p.timed("a failover", func() {
		p.expect(0, "ha", "failover", "--yes", "--accept-loss", "--off", "nas-b", "--reason", "its daemon was killed by a test")
	})
	p.put("four")
	guid := p.mustThere("zfs", "get", "-Hp", "-o", "value", "guid", p.home+"/anna")
	p.daemonThere()
	p.until("it is known to have diverged", func() bool {
		return strings.Contains(p.statusB(), "diverged")
	})
	p.readonly("off", "on")
	shown := p.nodeB(3, "ha", "rejoin", "--keep")
	if !strings.Contains(shown.Stdout, ".diverged-t") {
		t.Errorf("%s", shown.Stdout)
	}
	p.timed("a rejoin that keeps", func() { p.nodeB(0, "ha", "rejoin", "--keep", "--yes") })
	p.arrives(true)
	kept := p.mustThere("sh", "-c", `zfs list -H -o name -r "$1" | grep diverged | tail -n 1`, "sh", p.from)
	if snaps := p.mustThere("zfs", "list", "-H", "-d", "1", "-t", "snapshot", "-o", "name", kept); !strings.Contains(snaps, "@dplane_diverged_t") {
		t.Errorf("%s has %s", kept, snaps)
	}
	if p.mustThere("zfs", "get", "-Hp", "-o", "value", "guid", p.home+"/anna") == guid {
		t.Error("nothing took its place")
	}
	p.expect(0, "ha", "switchover", "--to", "nas-b", "--yes")
	if got := p.mustThere("sh", "-c", listed); strings.Contains(got, "alone") || !strings.Contains(got, "four") {
		t.Errorf("there is %s", got)
	}
	p.arrives(false)
}

// off: the active node loses its power. Its word is typed, and the group is here within a minute.
func (p *pair) off() {
	p.there("sh", "-c", "(sleep 1; echo b >/proc/sysrq-trigger) >/dev/null 2>&1 &")
	p.until("it is noticed", func() bool { return strings.Contains(p.dplane("ha", "status").Stdout, "unreachable") })
	p.timed("a failover from a node that is off", func() {
		p.expect(0, "ha", "failover", "--yes", "--accept-loss", "--off", "nas-b", "--reason", "no power, seen in the rack")
	})
	if took := p.measure["a failover from a node that is off"]; took > time.Minute {
		p.t.Errorf("it took %s", took)
	}
	if got := must(p.t, "sh", "-c", listed); !strings.Contains(got, "four") {
		p.t.Errorf("here is %s", got)
	}
	p.put("five")
}
