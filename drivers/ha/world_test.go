package ha

import (
	"container/heap"
	"fmt"
	"math/rand"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers/ha/history"
	"github.com/dplaneos/dplane/state"
)

// world is a group of machines on one virtual clock: nothing in it waits, and a seed gives the same run again.
type world struct {
	rng    *rand.Rand
	now    time.Duration
	queue  queue
	serial int
	nodes  []*sim
	cut    map[[2]string]bool // from, to
	rules  rules

	lossy, dup, late float64 // shares of messages that are lost, come twice, come late
	crash, fail, lie float64 // shares of actions that a crash precedes, steps that fail, steps that say done and are not
	writes           int
	profile          string
	facts            []history.Fact
	trace            func(string, ...any)
}

// rules is what is under test: sound ones, or with a fault planted.
type rules struct {
	decide func(state.HA, Event, Config) (state.HA, []Action)
	admit  func(*state.HA, string, uint64) string
}

// queue holds what will happen, in the order of its time.
type queue []happening

type happening struct {
	at     time.Duration
	serial int
	do     func()
}

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].serial < q[j].serial
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(happening)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.queue, happening{w.now + d, w.serial, do})
}

// until lets time go by.
func (w *world) until(t time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= t {
		h := heap.Pop(&w.queue).(happening)
		w.now = h.at
		h.do()
	}
	w.now = t
}

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// within is a random time up to most.
func (w *world) within(most time.Duration) time.Duration {
	return time.Duration(w.rng.Int63n(int64(most) + 1))
}

func (w *world) fact(f history.Fact) {
	f.Mono = int64(w.now)
	w.facts = append(w.facts, f)
	w.say("%s: %s term %d %s %v", f.Node, f.Event, f.Term, f.Peer, f.Proofs)
}

func (w *world) say(format string, args ...any) {
	if w.trace != nil {
		w.trace("%8.2f %s", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

func (w *world) node(name string) *sim {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *sim) bool { return n.name == name })]
}

// sim is one machine with its daemon, its database and its copy of the group.
type sim struct {
	w    *world
	name string
	cfg  Config

	up, running, frozen bool
	run                 int           // grows with each start and end of the daemon
	rate                float64       // of its monotonic clock
	skew                time.Duration // of its wall clock
	disk, mem           state.HA
	backups             []state.HA
	zfsTerm             uint64 // dplane:term
	files               string // ha.active
	inbox               []func()
	heard               map[string]bool

	rw, vip  bool
	log      []int // what was written here, or received
	snap     int   // of log, in the newest snapshot
	task     *task
	receives *stream

	known, accepts bool // of the last order: the lag was known, its loss was accepted
}

// task is a step that is being done.
type task struct {
	effect func()
	over   bool
}

type stream struct {
	from string
	term uint64
	log  []int
}

// later does something in the daemon's life: not after its end, and when it goes on after a pause.
func (n *sim) later(d time.Duration, do func()) {
	run := n.run
	n.w.after(d, func() { n.now(run, do) })
}

func (n *sim) now(run int, do func()) {
	switch {
	case n.run != run || !n.running:
	case n.frozen:
		n.inbox = append(n.inbox, func() { n.now(run, do) })
	default:
		do()
	}
}

func (n *sim) mono() time.Duration { return time.Duration(float64(n.w.now) * n.rate) }

// event lets the machine decide, and does what it says; a crash may come before each action.
func (n *sim) event(e Event) {
	if !n.running {
		return
	}
	e.Now, e.At = n.mono(), noon.Add(n.w.now+n.skew)
	before := n.mem
	after, acts := n.w.rules.decide(before, e, n.cfg)
	n.mem = after
	for _, a := range acts {
		if n.w.chance(n.w.crash) {
			n.w.say("%s: crashes before %s", n.name, a.Do)
			n.kill(n.w.within(20 * time.Second))
			return
		}
		if a.Do == Persist {
			n.persist(before, after, e)
			continue
		}
		n.perform(a)
	}
}

func (n *sim) persist(before, after state.HA, e Event) {
	if after.Role != before.Role {
		n.w.say("%s: %s -> %s (%s) term %d", n.name, before.Role, after.Role, e.Kind, after.Term)
		n.backups = append(n.backups, after)
	}
	n.disk = after
	if after.Term > before.Term {
		n.w.fact(history.Fact{Node: n.name, Event: history.Term, Term: after.Term})
	}
	if after.Taken > before.Taken {
		n.known = true // all that was there was sent before the handover
	}
	if after.Promise.Term > before.Promise.Term {
		n.w.fact(history.Fact{Node: n.name, Event: history.Promise, Term: after.Promise.Term, Peer: after.Promise.To})
	}
	promoted := after.Role == state.RolePromoting && before.Role != state.RolePromoting
	switch {
	case promoted && e.Kind == Alone:
		n.w.fact(history.Fact{Node: n.name, Event: history.Alone, Term: after.Term})
	case promoted && (after.Term > before.Term || after.Holder != before.Holder):
		n.promoted(before, after)
	}
}

func (n *sim) promoted(before, after state.HA) {
	f := history.Fact{Node: n.name, Event: history.Promote, Term: after.Term, Proofs: map[string]string{}}
	for _, p := range after.Proofs {
		f.Proofs[p.Peer] = p.Kind
		if p.Kind == state.ProofWord && n.w.node(p.Peer).up {
			f.False = append(f.False, p.Peer)
		}
	}
	f.LagKnown = n.known || before.Term == 0 || before.Holder == n.name
	f.Approved = n.accepts
	n.w.fact(f)
}

func (n *sim) perform(a Action) {
	switch a.Do {
	case CloseGate:
		n.receives = nil
	case Tell:
		n.tell()
	case Promote, UndoPromote, Demote:
		n.step(a)
	case Fence:
		n.fence(a.Peer)
	case Forward:
		n.w.send(n.name, a.Peer, func(p *sim) { p.order(*a.Command) })
	case Compare:
		n.later(time.Second, n.compare)
	case Rejoin:
		n.later(2*time.Second, func() { n.rejoin(a.Step) })
	case Freeze:
		n.w.fact(history.Fact{Node: n.name, Event: history.Found})
	case Alarm:
		n.w.say("%s: %s", n.name, a.Text)
	}
}

// send lets a message go: it may be lost, late, or come twice.
func (w *world) send(from, to string, do func(*sim)) {
	if w.cut[[2]string{from, to}] || w.chance(w.lossy) {
		return
	}
	d := w.within(500 * time.Millisecond)
	if w.chance(w.late) {
		d += w.within(90 * time.Second)
	}
	deliver := func() {
		p := w.node(to)
		p.now(p.run, func() { do(p) })
	}
	w.after(d, deliver)
	if w.chance(w.dup) {
		w.after(d+w.within(60*time.Second), deliver)
	}
}

func (n *sim) tell() {
	for _, p := range n.cfg.Peers {
		n.speak(p, true)
	}
}

// speak sends a beat; the first of an exchange is answered.
func (n *sim) speak(to string, answer bool) {
	b := Speak(&n.mem, to, Local{Shared: "h"}, noon.Add(n.w.now+n.skew))
	n.disk.Counter = n.mem.Counter
	n.w.send(n.name, to, func(p *sim) {
		last := p.mem.Peers[n.name].LastAt
		p.event(Event{Kind: Heard, Peer: n.name, Beat: &b})
		if p.mem.Peers[n.name].LastAt != last {
			p.heard[n.name] = true
			if b.Role.Writes() {
				n.w.fact(history.Fact{Node: p.name, Event: history.Hears, Term: b.Term, Peer: n.name})
			}
		}
		if answer && p.running {
			p.speak(n.name, false)
		}
	})
}

// beat is the daemon's loop.
func (n *sim) beat() {
	for _, p := range n.cfg.Peers {
		if !n.heard[p] {
			n.event(Event{Kind: Missed, Peer: p})
		}
		delete(n.heard, p)
	}
	n.event(Event{Kind: Ticked})
	if n.running {
		n.tell()
		n.later(n.cfg.Limits.Every, n.beat)
	}
}

func (n *sim) look() {
	seen := state.WritableNo
	if n.rw || n.vip {
		seen = state.WritableYes
	}
	if n.w.chance(n.w.fail) {
		seen = state.WritableUnknown
	}
	if n.task == nil || n.task.over {
		n.event(Event{Kind: Looked, Seen: seen})
	}
	n.later(20*time.Second, n.look)
}

// start begins the daemon: whatever the database says, of whatever day it is.
func (n *sim) start() {
	if n.running || !n.up {
		return
	}
	n.run++
	n.running, n.frozen, n.inbox, n.heard, n.mem = true, false, nil, map[string]bool{}, n.disk
	n.event(Event{Kind: Boot, Boot: fmt.Sprintf("%s%d", n.name, n.run), Term: n.zfsTerm})
	n.event(Event{Kind: Files, Active: n.files})
	n.beats()
}

func (n *sim) beats() {
	n.later(n.w.within(n.cfg.Limits.Every), n.beat)
	n.later(n.w.within(20*time.Second), n.look)
	n.later(n.w.within(10*time.Second), n.write)
	n.later(n.w.within(20*time.Second), n.replicate)
	if n.cfg.StartAlone {
		n.later(40*time.Second, func() { n.event(Event{Kind: Alone}) })
	}
}

// kill ends the daemon; what it opened stays open. It begins again after a while.
func (n *sim) kill(again time.Duration) {
	if n.task != nil && !n.task.over && n.w.chance(0.5) {
		n.task.effect()
	}
	n.running, n.task, n.receives = false, nil, nil
	n.run++
	run := n.run
	n.w.after(again, func() {
		if n.run == run {
			n.start()
		}
	})
}

// off is the end of the whole machine.
func (n *sim) off() {
	n.up, n.running, n.task, n.receives = false, false, nil, nil
	n.run++
	n.set(false, false)
}

func (n *sim) on() {
	if !n.up {
		n.up = true
		n.start()
	}
}

func (n *sim) thaw() {
	all := n.inbox
	n.frozen, n.inbox = false, nil
	for _, do := range all {
		do()
	}
}

// set is what can be written, with its facts.
func (n *sim) set(rw, vip bool) {
	if rw != n.rw {
		n.rw = rw
		n.w.fact(history.Fact{Node: n.name, Event: map[bool]string{true: history.RWOn, false: history.RWOff}[rw], Term: n.mem.Term})
	}
	if vip != n.vip {
		n.vip = vip
		n.w.fact(history.Fact{Node: n.name, Event: map[bool]string{true: history.VIPOn, false: history.VIPOff}[vip], Term: n.mem.Term})
	}
}
