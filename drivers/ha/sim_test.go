package ha

import (
	"flag"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/ha/history"
	"github.com/dplaneos/dplane/state"
)

var (
	schedules = flag.Int("schedules", 400, "how many schedules TestSimulation goes through")
	first     = flag.Int64("first", 1, "the seed of the first of them")
	seed      = flag.Int64("seed", 0, "the one schedule that TestSimulation goes through, told step by step")
)

// TestSimulation lets two or three nodes live through faults and orders at random, and their history be judged.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		t.Log(strings.Join(simulate(*seed, soundRules(), t.Logf), "\n"))
		if len(simulate(*seed, soundRules(), nil)) > 0 {
			t.Fail()
		}
		return
	}
	for i := *first; i < *first+int64(*schedules); i++ {
		if wrong := simulate(i, soundRules(), nil); len(wrong) > 0 {
			t.Fatalf("seed %d (go test ./drivers/ha -run TestSimulation -v -seed %d):\n%s", i, i, strings.Join(wrong, "\n"))
		}
	}
	fmt.Printf("%d schedules\n", *schedules)
}

// profiles are what half of the faults of a schedule are like.
var profiles = []string{"", "restarts", "to and fro", "cut off"}

func soundRules() rules { return rules{decide: sound().decide, admit: Admit} }

// simulate is one schedule: a time of faults, then all is well again, a person does what the nodes ask for, and one node has
// to be active, with nothing lost unseen.
func simulate(seed int64, r rules, trace func(string, ...any)) []string {
	w := build(rand.New(rand.NewSource(seed)), r)
	w.trace = trace
	var honest = !w.chance(0.2)
	end := 4 * time.Minute
	for i := 6 + w.rng.Intn(10); i > 0; i-- {
		w.after(w.within(end), func() { w.strike(honest) })
	}
	w.until(end)
	w.heal()
	w.until(w.now + 75*time.Second)
	w.fact(history.Fact{Event: history.Healed})
	for i := 0; i < 4; i++ {
		w.mend()
		w.until(w.now + 75*time.Second)
	}
	return append(history.Check(w.names(), w.facts), w.ended()...)
}

func (w *world) names() []string {
	var all []string
	for _, n := range w.nodes {
		all = append(all, n.name)
	}
	return all
}

// build is a group where a is active in term 1, and all have met.
func build(rng *rand.Rand, r rules) *world {
	w := &world{rng: rng, cut: map[[2]string]bool{}, rules: r}
	w.lossy, w.dup, w.late = 0.2*rng.Float64(), 0.3*rng.Float64(), 0.1*rng.Float64()
	w.profile = profiles[rng.Intn(len(profiles))]
	if w.profile == "restarts" {
		w.dup, w.late = 0.6, 0.5
	}
	pick := func(share, value float64) float64 {
		if w.chance(share) {
			return value
		}
		return 0
	}
	w.crash, w.fail, w.lie = pick(0.5, 0.004), pick(0.4, 0.05), pick(0.2, 0.1)
	names, agents, alone := []string{"a", "b", "c"}[:2+rng.Intn(10)/8], w.chance(0.5), w.chance(0.03)
	for _, name := range names {
		n := &sim{w: w, name: name, up: true, running: true, heard: map[string]bool{}, files: "a", run: 1}
		n.rate, n.skew = 1+0.02*(rng.Float64()-0.5), time.Duration(rng.Int63n(int64(20*time.Second)))
		n.cfg = Config{Limits: limits, Agents: map[string]bool{}, Patience: 45 * time.Second, Shared: "h", StartAlone: alone}
		n.mem = state.HA{Node: name, Boot: name + "1", Role: state.RoleStandby, Term: 1, Holder: "a", Declared: "a", Writable: state.WritableNo, Peers: map[string]state.PeerHealth{}}
		for _, p := range names {
			if p != name {
				n.cfg.Peers = append(n.cfg.Peers, p)
				n.cfg.Agents[p] = agents
				n.mem.Peers[p] = state.PeerHealth{Node: p, State: state.PeerUnknown, Seen: state.Heard{Boot: p + "1"}}
			}
		}
		w.nodes = append(w.nodes, n)
	}
	a := w.nodes[0]
	a.mem.Role, a.mem.Writable, a.mem.Opened, a.mem.Dirty, a.zfsTerm = state.RoleActive, state.WritableYes, true, true, 1
	for _, n := range w.nodes {
		n.disk = n.mem
		n.backups = append(n.backups, n.mem)
		n.beats()
	}
	w.fact(history.Fact{Node: "a", Event: history.Promote, Term: 1, Proofs: map[string]string{"b": "P1", "c": "P1"}, LagKnown: true})
	a.set(true, true)
	return w
}

func (w *world) any() *sim { return w.nodes[w.rng.Intn(len(w.nodes))] }

// strike is one fault, or one order.
func (w *world) strike(honest bool) {
	n, p := w.any(), w.any()
	kind := w.rng.Intn(16)
	if other := kind % 4; w.profile != "" && w.chance(0.5) {
		kind = map[string][]int{"restarts": {4, 5, 8, 8}, "to and fro": {0, 0, 0, 9}, "cut off": {4, 11, 9, 0}}[w.profile][other]
	}
	switch kind {
	case 0, 1, 2, 3:
		n.order(Command{Name: Switchover, To: p.name, Lag: w.lag(), Accept: w.chance(0.5)})
	case 4, 5, 6:
		n.order(Command{Name: Failover, Words: w.words(n, honest), Lag: w.lag(), Accept: w.chance(0.5)})
	case 7:
		w.say("%s: the daemon is killed", n.name)
		n.kill(w.within(40 * time.Second))
	case 8:
		w.say("%s: power off", n.name)
		n.off()
		w.after(w.within(60*time.Second), n.on)
	case 9, 10:
		w.say("%s: stands still", n.name)
		n.frozen = true
		w.after([]time.Duration{5, 20, 40, 120}[w.rng.Intn(4)]*time.Second, n.thaw)
	case 11, 12:
		w.say("cut from %s to %s", n.name, p.name)
		w.cut[[2]string{n.name, p.name}] = true
		w.cut[[2]string{p.name, n.name}] = w.chance(0.5)
		w.after(w.within(100*time.Second), func() { clear(w.cut) })
	case 13:
		w.restore(n)
	case 14:
		n.files = p.name
		n.event(Event{Kind: Files, Active: p.name})
	case 15:
		n.order(Command{Name: []string{Pause, Resume}[w.rng.Intn(2)]})
	}
}

func (w *world) lag() *Lag {
	if w.chance(0.5) {
		return nil
	}
	return &Lag{Known: true, Counted: true, Complete: true}
}

// words: an honest person stands before a machine and sees that it is off.
func (w *world) words(n *sim, honest bool) map[string]string {
	words := map[string]string{}
	for _, p := range n.cfg.Peers {
		if !w.node(p).up || !honest && w.chance(0.7) {
			words[p] = "it is off"
		}
	}
	return words
}

// restore puts an older database in place, as the machine is off.
func (w *world) restore(n *sim) {
	if !w.chance(0.5) {
		return
	}
	n.off()
	n.disk = n.backups[w.rng.Intn(len(n.backups))]
	w.fact(history.Fact{Node: n.name, Event: history.Restored, Term: n.disk.Term})
	w.after(w.within(60*time.Second), n.on)
}

// heal: nothing fails from here on.
func (w *world) heal() {
	w.say("healed")
	w.lossy, w.dup, w.late, w.crash, w.fail, w.lie = 0, 0, 0, 0, 0, 0
	clear(w.cut)
	for _, n := range w.nodes {
		if n.frozen {
			n.thaw()
		}
		n.on()
		n.start()
	}
}

// mend is a person who does what the nodes ask for.
func (w *world) mend() {
	var writes []*sim
	for _, n := range w.nodes {
		n.on() // it may have been fenced since
		if n.mem.Paused {
			n.order(Command{Name: Resume})
		}
		if n.mem.Role.Writes() {
			writes = append(writes, n)
		}
		if n.mem.Role == state.RoleDiverged {
			n.order(Command{Name: Discard, Approval: "plan", Term: n.mem.Term})
		}
	}
	switch {
	case len(writes) > 1:
		writes[0].order(Command{Name: Discard, Approval: "plan"})
	case len(writes) == 0:
		w.any().order(Command{Name: Failover, Accept: true})
	}
}

// ended is what must be so at the end.
func (w *world) ended() []string {
	var wrong, roles []string
	writes := 0
	for _, n := range w.nodes {
		roles = append(roles, fmt.Sprintf("%s %s term %d dirty %v frozen %q", n.name, n.mem.Role, n.mem.Term, n.mem.Dirty, n.mem.Frozen))
		if n.rw != n.mem.Role.Writes() && n.mem.Job == nil {
			wrong = append(wrong, fmt.Sprintf("%s is %s, and writable is %v", n.name, n.mem.Role, n.rw))
		}
		if n.rw {
			writes++
		}
	}
	if writes != 1 {
		wrong = append(wrong, fmt.Sprintf("%d nodes write, long after all was well: %s", writes, strings.Join(roles, "; ")))
	}
	for _, n := range w.nodes {
		for _, s := range w.nodes {
			if s.rw && Gate(&n.mem) && !has(s.log, n.log) {
				wrong = append(wrong, fmt.Sprintf("%s is a standby as if it had nothing of its own: %v, and %s has %v", n.name, n.log, s.name, s.log))
			}
		}
	}
	return wrong
}
