//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/ha/history"
)

// faulty is a pair whose nodes are used all the time, and to which things happen.
type faulty struct {
	*pair
	rounds  int
	ahead   map[string]int64 // by how much a node's clock is ahead of the one here
	decided map[string]decision
	more    []history.Fact
	took    map[string][]time.Duration // from the command to writable, by fault
	lost    map[string][]time.Duration
	gone    map[int64]bool // records that a person let go
	fences  context.CancelFunc
}

const (
	groupAddress = "10.77.0.100"
	address      = "\n  virtualAddress: {address: " + groupAddress + "/24, interface: eth0}"
)

// TestPairFaults is run by the script across with RUN=^TestPairFaults$: what happens to machines happens to two nodes that
// are written to all the time. Afterwards it is judged by what was written when and where, and by what the nodes decided.
func TestPairFaults(t *testing.T) {
	peer := os.Getenv("DPLANE_ACROSS")
	if peer == "" {
		t.Skip("the script across runs it (make test-pair)")
	}
	p := &faulty{pair: newNodes(t, peer), ahead: map[string]int64{"nas-a": 0}, decided: map[string]decision{},
		took: map[string][]time.Duration{}, lost: map[string][]time.Duration{}, gone: map[int64]bool{}, rounds: 1}
	if n, err := strconv.Atoi(os.Getenv("DPLANE_E2E_ROUNDS")); err == nil {
		p.rounds = n
	}
	p.begin()
	for _, part := range []struct {
		name string
		do   func()
	}{
		{"twice over and back", p.twiceOverAndBack},
		{"cut off", func() { p.cutOff("both ways") }},
		{"cut off one way", func() { p.cutOff("to the active one"); p.cutOff("from the active one") }},
		{"paused for 5 s", func() { p.paused(5) }},
		{"paused for 20 s", func() { p.paused(20) }},
		{"paused for 40 s", func() { p.paused(40) }},
		{"paused for 120 s", func() { p.paused(120) }},
		{"power", p.power},
		{"an older database", p.olderDatabase},
	} {
		ok := t.Run(part.name, func(t *testing.T) {
			p.t, p.daemon.t = t, t
			for range p.rounds {
				part.do()
				p.judge()
			}
		})
		p.t, p.daemon.t = t, t
		if !ok {
			t.Logf("the daemon here:\n%s\nthere:\n%s", tail(p.daemon.log.String(), 80), p.there("tail", "-n", "80", "/keep/daemon.log").Stdout)
			t.FailNow()
		}
	}
	p.fences()
	for _, what := range slices.Sorted(mapKeys(p.took)) {
		t.Logf("%-45s %s", what, medianWorst(p.took[what]))
	}
	for _, what := range slices.Sorted(mapKeys(p.lost)) {
		t.Logf("what was written and is not there, %-30s %s", what, medianWorst(p.lost[what]))
	}
}

func mapKeys(m map[string][]time.Duration) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func medianWorst(all []time.Duration) string {
	all = slices.Sorted(slices.Values(all))
	return fmt.Sprintf("median %.1f s, worst %.1f s (n=%d)", all[len(all)/2].Seconds(), all[len(all)-1].Seconds(), len(all))
}

func tail(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// begin makes the pair, with an address and a fence agent, and uses it.
func (p *faulty) begin() {
	t := p.t
	p.pools()
	p.paired(address)
	if err := os.Mkdir(p.path("fence"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.mustThere("sh", "-c", "cat >>/keep/boot <<'E'\nmkdir -p "+p.path("")+"\n"+writer("nas-b", "/keep/notes")+"E\n")
	p.mustThere("sh", "-c", writer("nas-b", "/keep/notes"))
	must(t, "sh", "-c", writer("nas-a", p.path("notes")))
	t.Cleanup(func() { run(t, "sh", "-c", "kill -9 $(cat /run/writer.pid)") })
	ctx, stop := context.WithCancel(context.Background())
	p.fences = stop
	t.Cleanup(stop)
	go fencing(ctx, p.path("fence"))
	p.clocks()
	p.timedAs("the first promotion", func() { p.expect(0, "ha", "failover", "--yes", "--accept-loss") })
	p.collect(true)
	p.arrives(true)
}

// writer uses the group.
func writer(node, notes string) string {
	return fmt.Sprintf("DPLANE_REAL_ZFS=1 DPLANE_BIN=/x DPLANE_E2E_WRITER='%s /srv/pair %s %s' setsid /in/e2e.test -test.timeout 0 -test.run '^TestWriter$' >/run/writer.log 2>&1 </dev/null & echo $! >/run/writer.pid\n", node, groupAddress, notes)
}

// fenceScript is a fence agent: it asks for the other machine to be switched off, and says that it is off when that was done.
func fenceScript(room string) string {
	return `#!/bin/sh
while read -r line; do case $line in action=*) action=${line#action=} ;; esac; done
case $action in
metadata) echo '<?xml version="1.0" ?><resource-agent name="fence_room"><parameters></parameters><actions><action name="off"/><action name="status"/><action name="monitor"/></actions></resource-agent>' ;;
off) touch ` + room + `/ask; for i in $(seq 100); do [ ! -e ` + room + `/off ] || exit 0; sleep 0.2; done; exit 1 ;;
status) [ ! -e ` + room + `/off ] || exit 2 ;;
esac
exit 0
`
}

// fencing does what the agent asks for. Who started both machines reads what is said here.
func fencing(ctx context.Context, room string) {
	for ctx.Err() == nil {
		if os.Remove(room+"/ask") == nil {
			machine("power off there")
			time.Sleep(time.Second) // it is done at once, and nothing says so
			_ = os.WriteFile(room+"/off", nil, 0o600)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// machine asks the script across for something that only who runs the emulators can do.
func machine(what string) { fmt.Printf("\nacross: %s\n", what) }

// driven is how far a clock may have gone from where it was: a machine that boots knows the time to a second.
const driven = int64(3 * time.Second)

// clocks measures how far they are apart: what happened where is compared by them.
func (p *faulty) clocks() {
	t := p.t
	t.Helper()
	best := time.Hour
	var ahead int64
	for range 7 {
		before := time.Now()
		there, err := strconv.ParseInt(p.mustThere("date", "+%s%N"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took < best {
			best, ahead = took, there-before.Add(took/2).UnixNano()
		}
	}
	if old, ok := p.ahead["nas-b"]; ok && max(old-ahead, ahead-old) > driven {
		t.Fatalf("the clock there was %s ahead, and is %s ahead: nothing can be judged by it", time.Duration(old), time.Duration(ahead))
	}
	p.ahead["nas-b"] = ahead
	t.Logf("the clock there is %s ahead (known to %s)", time.Duration(ahead), best/2)
}

// timedAs measures what a person waits for.
func (p *faulty) timedAs(what string, do func()) {
	p.t.Helper()
	began := time.Now()
	do()
	p.took[what] = append(p.took[what], time.Since(began))
}

// collect keeps what both decided since.
func (p *faulty) collect(accepted bool, lied ...string) {
	t := p.t
	t.Helper()
	for node, doc := range map[string]string{"nas-a": p.expect(0, "ha", "explain", "--json").Stdout, "nas-b": p.nodeB(0, "ha", "explain", "--json").Stdout} {
		all, err := decidedBy(node, doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			d.accepted, d.lied = accepted, lied
			key := fmt.Sprint(node, d.d.ID, d.d.At.UnixNano())
			if _, known := p.decided[key]; !known {
				p.decided[key] = d
			}
		}
	}
}

// notesOf are those of a node's writer, until now.
func (p *faulty) notesOf(node string) *notes {
	p.t.Helper()
	if node == "nas-a" {
		return readNotes(string(content(p.t, p.path("notes"))), 0)
	}
	return readNotes(p.mustThere("cat", "/keep/notes"), p.ahead["nas-b"])
}

// judge looks at everything that happened.
func (p *faulty) judge() {
	t := p.t
	t.Helper()
	p.clocks()
	p.collect(false)
	var all []decision
	for _, d := range p.decided {
		all = append(all, d)
	}
	decided, err := factsOf(all, p.ahead)
	if err != nil {
		t.Fatal(err)
	}
	facts := slices.Clone(p.more)
	for _, node := range []string{"nas-a", "nas-b"} {
		own := slices.DeleteFunc(slices.Clone(decided), func(f history.Fact) bool { return f.Node != node })
		facts = append(facts, p.notesOf(node).facts(node, own)...)
	}
	if wrong := history.Check([]string{"nas-a", "nas-b"}, facts); len(wrong) > 0 {
		slices.SortFunc(facts, func(a, b history.Fact) int { return int(a.Mono/1e6 - b.Mono/1e6) })
		var text bytes.Buffer
		for _, f := range facts[max(0, len(facts)-60):] {
			fmt.Fprintf(&text, "%.3f %s %s term %d %v\n", float64(f.Mono-facts[0].Mono)/1e9, f.Node, f.Event, f.Term, f.Proofs)
		}
		t.Fatalf("%s\n%s", strings.Join(wrong, "\n"), &text)
	}
	// A judge that saw nothing says nothing.
	if n := len(p.notesOf("nas-a").wrote); n == 0 {
		t.Fatal("nothing was ever written")
	}
}

// read is what a node has of the records of a writer, on the group as it is mounted there.
func records(text string) map[int64]bool {
	all := map[int64]bool{}
	for line := range strings.Lines(text) {
		if n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64); err == nil {
			all[n] = true
		}
	}
	return all
}

// missing are the records that were written at node and are not among these, and how long it took to write them.
func (p *faulty) missing(node string, have map[int64]bool) (n int, took time.Duration) {
	p.t.Helper()
	w := p.notesOf(node)
	first, last := int64(0), int64(0)
	for _, number := range w.acked {
		if have[number] || p.gone[number] {
			continue
		}
		if n++; first == 0 {
			first = w.at[number]
		}
		last = w.at[number]
	}
	return n, time.Duration(last - first)
}

// nothingLost: all that was written at node is in the group as it is here (or there).
func (p *faulty) nothingLost(node string, here bool) {
	t := p.t
	t.Helper()
	var text string
	if here {
		text = must(t, "sh", "-c", "cat /srv/pair/log-"+node)
	} else {
		text = p.mustThere("sh", "-c", "cat /srv/pair/log-"+node)
	}
	if n, took := p.missing(node, records(text)); n > 0 {
		t.Errorf("%d records of %s are not there, which were written in %s", n, node, took)
	}
}

// over hands the group over, and sees that all is there.
func (p *faulty) over(to string) {
	p.t.Helper()
	p.timedAs("switchover", func() { p.expect(0, "ha", "switchover", "--to", to, "--yes") })
	p.collect(false)
	from := map[string]string{"nas-a": "nas-b", "nas-b": "nas-a"}[to]
	p.nothingLost(from, to == "nas-a")
}

// ready: the other one is the active node, and the one here has what it has.
func (p *faulty) ready() {
	p.t.Helper()
	p.healthy()
	if !strings.Contains(p.dplane("ha", "status").Stdout, "role standby") {
		p.over("nas-b")
	}
	p.arrives(false)
}

func (p *faulty) twiceOverAndBack() {
	p.healthy()
	began := time.Now()
	for range 2 {
		p.over("nas-b")
		p.over("nas-a")
	}
	p.took["A to B to A to B to A"] = append(p.took["A to B to A to B to A"], time.Since(began))
	p.arrives(true)
}

// later runs something on the other node in a moment, in the background.
func (p *faulty) later(script string) {
	p.t.Helper()
	p.mustThere("sh", "-c", "setsid sh -c 'sleep 1; "+script+"' >/dev/null 2>&1 </dev/null &")
}

// away waits until the other one is missed.
func (p *faulty) away() {
	p.t.Helper()
	p.until("it is noticed", func() bool { return strings.Contains(p.dplane("ha", "status").Stdout, "unreachable") })
	if r := p.dplane("ha", "failover", "--plan"); !strings.Contains(r.Stdout, "nas-b") {
		p.t.Errorf("%s%s", r.Stdout, r.Stderr)
	}
}

// takesOver is a failover by a person's word, which is not true.
func (p *faulty) takesOver(fault string) {
	p.t.Helper()
	p.timedAs(fault, func() {
		p.expect(0, "ha", "failover", "--yes", "--accept-loss", "--off", "nas-b", "--reason", "a test says so, and it is not so")
	})
	if got := zfsGet(p.t, "readonly", p.home); got != "off" {
		p.t.Errorf("readonly=%s", got)
	}
}

// comesBack: the other one stops writing, keeps what only it has, and goes on behind the active one.
func (p *faulty) comesBack(fault, how string) {
	t := p.t
	t.Helper()
	p.until("it has stopped, and knows what only it has", func() bool {
		s := p.statusB()
		return strings.Contains(s, "role diverged") || strings.Contains(s, "role standby")
	})
	p.collect(true, "nas-b")
	p.readonly("off", "on")
	p.until("the address is here", func() bool { return has(groupAddress) }) // also where the other one had it for a while
	n, took := p.missing("nas-b", records(must(t, "sh", "-c", "cat /srv/pair/log-nas-b || :")))
	t.Logf("%s: %d records of nas-b, written in %s, are not with the new active node", fault, n, took)
	p.lost[fault] = append(p.lost[fault], took)
	if strings.Contains(p.statusB(), "role standby") {
		if n > 0 {
			t.Errorf("nas-b takes itself for clean, and %d records are not with the active node", n)
		}
		return
	}
	// Nothing is discarded in silence: all is in its snapshot.
	snap := p.mustThere("sh", "-c", `zfs list -H -o name -d 1 -t snapshot "$1" | grep dplane_diverged_t | tail -n 1`, "sh", p.home)
	kept := p.mustThere("sh", "-c", `mkdir -p /run/kept && mount -t zfs "$1" /run/kept && cat /run/kept/log-nas-b; umount /run/kept`, "sh", snap)
	if n, took := p.missing("nas-b", records(kept)); n > 0 {
		t.Errorf("%d records of nas-b, written in %s, are in none of both: %s", n, took, snap)
	}
	p.timedAs("rejoin --"+how, func() { p.nodeB(0, "ha", "rejoin", "--"+how, "--yes") })
	p.healthy()
	p.arrives(true)
	p.letGo(records(must(t, "sh", "-c", "cat /srv/pair/log-nas-b || :"))) // by a person, who was told
}

// letGo: what the group has not now is not missed later.
func (p *faulty) letGo(have map[int64]bool) {
	for _, number := range p.notesOf("nas-b").acked {
		if !have[number] {
			p.gone[number] = true
		}
	}
}

// cutOff: no packet gets through for a while, in both ways or in one. What a person says of the other one is not true.
func (p *faulty) cutOff(way string) {
	t := p.t
	p.ready()
	const here, there = "ip route add blackhole 10.77.0.2/32", "ip route add blackhole 10.77.0.1/32"
	const hereEnds, thereEnds = "ip route del blackhole 10.77.0.2/32", "ip route del blackhole 10.77.0.1/32"
	if way != "to the active one" {
		p.later(there + "; sleep 60; " + thereEnds)
	}
	if way != "from the active one" {
		must(t, "sh", "-c", here)
		ended := false
		end := func() {
			if !ended {
				ended = true
				must(t, "sh", "-c", hereEnds)
			}
		}
		defer end()
		p.away()
		p.takesOver("cut off " + way)
		time.Sleep(5 * time.Second) // both write
		end()
	} else {
		p.away()
		p.takesOver("cut off " + way)
	}
	p.again()
	p.comesBack("cut off "+way, "keep")
}

// again waits until the other machine answers.
func (p *faulty) again() {
	p.t.Helper()
	end := time.Now().Add(4 * time.Minute)
	for time.Now().Before(end) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := exec.CommandContext(ctx, "ssh", "-F", "none", "-i", "hands", "-o", "UserKnownHostsFile=/in/known", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-S", "none", "root@"+p.peer, "true").Run()
		cancel()
		if err == nil {
			run(p.t, "ssh", "-S", "/run/hands", "-O", "exit", p.peer)
			must(p.t, "sh", "-c", "ssh -F none -i hands -o UserKnownHostsFile=/in/known -o ConnectTimeout=20 -o ServerAliveInterval=5 -M -S /run/hands -fN root@"+p.peer+" </dev/null >/dev/null 2>&1")
			return
		}
		time.Sleep(time.Second)
	}
	p.t.Fatal("the other machine does not answer any more")
}

// paused: the active node's machine is stopped as it is, and goes on. Where that takes so long that it is missed, another one
// takes its place meanwhile; else nobody is asked, and nothing changes.
func (p *faulty) paused(seconds int) {
	fault := fmt.Sprintf("paused for %d s", seconds)
	p.ready()
	before := p.statusB()
	machine(fmt.Sprint("pause there ", seconds))
	goesOn := time.Now().Add(time.Duration(seconds) * time.Second)
	missed := false
	for !missed && time.Now().Before(goesOn) {
		missed = strings.Contains(p.dplane("ha", "status").Stdout, "unreachable")
	}
	if missed {
		p.takesOver(fault)
	} else if seconds >= 40 {
		p.t.Errorf("in %d s it was not missed:\n%s", seconds, p.dplane("ha", "status").Stdout)
	}
	time.Sleep(time.Until(goesOn))
	p.again()
	if missed {
		p.comesBack(fault, "discard")
		return
	}
	p.healthy()
	p.readonly("on", "off")
	if !strings.Contains(before, "role active") || !strings.Contains(p.statusB(), "role active") {
		p.t.Errorf("%s\n%s", before, p.statusB())
	}
}

// armed declares a fence agent for the other node.
func (p *faulty) armed() {
	t := p.t
	agent := p.path("agent")
	if err := os.WriteFile(agent, []byte(fenceScript(p.path("fence"))), 0o755); err != nil {
		t.Fatal(err)
	}
	p.writes(agent, fenceScript(p.path("fence"))) // the shared part is the same
	p.mustThere("chmod", "755", agent)
	p.declared(fmt.Sprintf("%s\n  fencing: {nas-b: [{agent: %s}]}", address, agent))
	p.until("the files are in force on both", func() bool {
		return strings.Contains(p.dplane("ha", "failover", "--plan").Stdout+p.dplane("ha", "status").Stdout, "fence")
	})
	p.healthy()
}

// power: the fence agent switches the active node off. It comes back with its disks.
func (p *faulty) power() {
	t := p.t
	p.ready()
	p.armed()
	p.mustThere("sh", "-c", "kill -9 $(cat /run/daemon.pid)") // writes go on
	p.away()
	p.timedAs("fenced", func() { p.expect(0, "ha", "failover", "--yes", "--accept-loss") })
	if r := p.expect(0, "ha", "explain"); !strings.Contains(r.Stdout, "nas-b by P3") {
		t.Errorf("%s", r.Stdout)
	}
	if err := os.Remove(p.path("fence/off")); err != nil {
		t.Error(err)
	}
	machine("power on there")
	p.again()
	p.comesBack("fenced", "keep")
	p.declared(address)
}

// olderDatabase: a node's memory is one from before two promotions.
func (p *faulty) olderDatabase() {
	t := p.t
	p.healthy()
	p.stopThere()
	p.mustThere("sh", "-c", "cp /keep/pair.db /keep/older.db")
	p.daemonThere()
	p.healthy()
	p.over("nas-b")
	p.over("nas-a")
	p.stopThere()
	p.mustThere("sh", "-c", "rm -f /keep/pair.db*; mv /keep/older.db /keep/pair.db")
	p.more = append(p.more, history.Fact{Mono: time.Now().UnixNano(), Node: "nas-b", Event: history.Restored})
	p.daemonThere()
	p.until("it knows the term", func() bool {
		return strings.Contains(p.statusB(), "role standby") && strings.Contains(p.statusB(), "active nas-a")
	})
	p.healthy()
	p.readonly("off", "on")
	p.arrives(true)
	p.over("nas-b")
	p.over("nas-a")
	p.readonly("off", "on")
	if t.Failed() {
		t.Logf("%s\n%s", p.dplane("ha", "status").Stdout, p.statusB())
	}
}

// stopThere ends the daemon as systemd would.
func (p *faulty) stopThere() {
	p.t.Helper()
	p.mustThere("sh", "-c", "kill $(cat /run/daemon.pid); while kill -0 $(cat /run/daemon.pid) 2>/dev/null; do sleep 0.1; done")
}
