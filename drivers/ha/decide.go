package ha

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// row is one transition: in these roles, on this event, if when holds, then. The first that fits is taken.
type row struct {
	in   []state.Role // nil: any
	on   string
	when func(*turn) bool // nil: always
	then func(*turn)
	why  string // "": then says it
}

type roles = []state.Role

var (
	standby   = roles{state.RoleStandby}
	trying    = roles{state.RoleCandidate, state.RoleFencing}
	promoting = roles{state.RolePromoting}
	active    = roles{state.RoleActive, state.RoleActiveFailsafe}
	split     = roles{state.RoleSplitBrain}
	writing   = roles{state.RolePromoting, state.RoleActive, state.RoleActiveFailsafe, state.RoleSplitBrain, state.RoleDemoting}
	apart     = roles{state.RoleRejoining, state.RoleDiverged}
	readOnly  = roles{state.RoleStandby, state.RoleRejoining, state.RoleDiverged}
)

// table is the whole machine of HA.md section 2. Heard is a beat that was taken in: one that is stale changes nothing but
// what is seen. Before a row is looked for, what a beat says of terms, and what the files say, is noted.
//
//	role          what it promises while it is in it
//	boot          nothing: it closes what it may have had open, and verifies that
//	standby       read-only, verified; receives from the holder of the term
//	candidate     read-only; asks every peer for its promise
//	fencing       read-only; waits for the proof of a peer that gave none
//	promoting     has a proof for every peer, and the term is persisted as its own
//	active        writes
//	demoting      may write until it is verified that it does not
//	superseded    the same, and another node has a higher term
//	rejoining     read-only; does not know yet whether it has what the active node lacks
//	diverged      read-only; it has, and a person decides
//	split_brain   writes, and saw another one that does
var table = []row{
	{nil, Boot, nil, (*turn).boot, "a node begins read-only, whatever it was: what it remembers is no licence"},

	// A beat. Whoever may write gives way to a higher term.
	{writing, Heard, (*turn).higher, (*turn).supersede, "a higher term was promoted: this node stops writing"},
	{promoting, Heard, (*turn).rival, (*turn).undo, "a peer that was proved away answers, and is active: the promotion is taken back"},
	{active, Heard, (*turn).rival, (*turn).split, "two nodes are active"},
	{split, Heard, (*turn).allQuiet, (*turn).heal, "the other node stopped writing"},
	{active, Heard, (*turn).settled, (*turn).unfreeze, "every peer is a standby again"},
	{trying, Heard, (*turn).outrun, (*turn).giveUp, "a promotion came to light that was not known when this one was ordered"},
	{trying, Heard, (*turn).falseWord, (*turn).giveUp, "a peer that is said to be off answers, and is active"},
	{trying, Heard, nil, (*turn).muster, "a peer answered"},
	{standby, Heard, (*turn).handedOver, (*turn).takeOver, "the active node demoted itself for this one"},
	{readOnly, Heard, (*turn).asked, (*turn).promise, "a candidate asks, and this node does not write"},
	{standby, Heard, (*turn).mayResume, (*turn).resume, "every peer answers and knows no higher term, and the files agree"},
	{standby, Heard, (*turn).behind, (*turn).rejoin, "it wrote before, and another node is active now"},
	{apart[:1], Heard, (*turn).activePeer, (*turn).compare, "the active node answers"},

	// Time, and what is seen here.
	{trying, Missed, nil, (*turn).muster, "a peer does not answer"},
	{trying, Ticked, (*turn).impatient, (*turn).giveUp, "not every peer gave its promise in time"},
	{nil, Ticked, (*turn).unverified, (*turn).closeAgain, "it is not verified that this node stopped writing: once more"},
	{active, Ticked, (*turn).mendable, (*turn).mend, "what the promotion could not do is tried once more"},
	{standby, Alone, (*turn).mayStartAlone, (*turn).resume, "ha.startAlone has passed: it starts without the word of its peers"},
	{readOnly, Looked, (*turn).writable, (*turn).closeNow, "the group is writable here, and this node is not active"},
	{active, Looked, (*turn).unwritable, (*turn).degrade, "the group is not writable here, though this node is active"},
	{active, Looked, nil, (*turn).writableAgain, ""},

	// What a person orders, and what proves it.
	{nil, Commanded, named(Pause), (*turn).pause, "paused: nothing is done unasked"},
	{nil, Commanded, named(Resume), (*turn).pause, "no longer paused"},
	{active, Commanded, named(Switchover), (*turn).handOver, ""},
	{standby, Commanded, named(Switchover), (*turn).switchHere, ""},
	{readOnly, Commanded, named(Failover), (*turn).failover, ""},
	{apart, Commanded, rejoining, (*turn).settle, ""},
	{split, Commanded, rejoining, (*turn).supersede, "a person chose the other node: this one stops writing"},
	{nil, Commanded, nil, (*turn).refuseCommand, ""},
	{trying, Proved, (*turn).proves, (*turn).proof, "a proof came"},
	{trying, FenceFailed, (*turn).needed, (*turn).giveUp, "a peer could not be fenced"},

	// The steps of a job, and its end.
	{nil, StepDone, (*turn).ours, (*turn).advance, "a step is done"},
	{nil, StepFailed, (*turn).ours, (*turn).failed, ""},
	{apart[:1], Compared, saw(Clean), (*turn).clean, "it has nothing that the active node lacks"},
	{apart[:1], Compared, saw(Diverged), (*turn).diverge, "it has what the active node lacks: a person decides"},

	// The lease of automatic mode.
	{standby, LeaseTaken, nil, (*turn).leased, ""},
	{nil, LeaseTaken, nil, (*turn).release, "the lease is of no use in this role"},
	{trying, LeaseLost, nil, (*turn).giveUp, "the lease is lost"},
	{writing, LeaseLost, (*turn).stillWriting, (*turn).closeNow, "the lease is lost, or could not be renewed in time"},
	{active, LeaseAway, (*turn).failsafe, (*turn).toFailsafe, "etcd does not answer, and every peer promised to wait"},
	{active, LeaseBack, (*turn).inFailsafe, (*turn).toActive, "the lease is renewed again"},
}

// machine is the table and the judgements that it leans on. There is one; the tests make others, each with a fault planted,
// and require that it is caught.
type machine struct {
	rows    []row
	stale   func(state.PeerHealth, *state.Beat, state.Heard) string
	answers func(p state.PeerHealth, lim Limits, now time.Duration, ok func(*state.Beat) bool) bool
	exceeds func(Lag, spec.Lag) string
}

func sound() *machine {
	return &machine{rows: table, stale: Stale, answers: answers, exceeds: Lag.Exceeds}
}

// answers: a peer that is not reached has said nothing.
func answers(p state.PeerHealth, lim Limits, now time.Duration, ok func(*state.Beat) bool) bool {
	return Reached(p, lim, now) && ok(p.Last)
}

// turn is one decision while it is made.
type turn struct {
	m       *machine
	s       state.HA
	e       Event
	c       Config
	acts    []Action
	why     string
	refused bool
	raised  bool // the beat told of a higher term
}

// Decide is the machine: what a node becomes by an event, and what is to be done, in this order. Persist comes first where
// anything changed; where that fails, nothing else may be done.
func Decide(s state.HA, e Event, c Config) (state.HA, []Action) { return sound().decide(s, e, c) }

func (m *machine) decide(s state.HA, e Event, c Config) (state.HA, []Action) {
	t := &turn{m: m, s: clone(s), e: e, c: c}
	if t.notice() {
		for i := range m.rows {
			if r := &m.rows[i]; r.fits(t) {
				t.why = r.why
				r.then(t)
				break
			}
		}
	}
	t.s.Quorum = Count(t.s.Peers, c.Peers, c.Limits, c.Automatic && t.s.Role.Writes(), e.Now)
	var acts []Action
	if !reflect.DeepEqual(s, t.s) {
		acts = append(acts, Action{Do: Persist})
	}
	acts = append(acts, inOrder(t.acts)...)
	if t.s.Role != s.Role || t.refused || len(t.acts) > 0 && t.why != "" {
		acts = append(acts, Action{Do: Record, Step: t.outcome(), Text: t.why})
	}
	return t.s, acts
}

// long are the actions whose result comes as an event: they are begun last.
var long = []string{Promote, UndoPromote, Demote, Fence, KeepSnapshot, Compare, Rejoin, Reset}

func inOrder(acts []Action) []Action {
	var now, later []Action
	for _, a := range acts {
		switch {
		case slices.Contains(long, a.Do):
			later = append(later, a)
		case a.Do != Tell:
			now = append(now, a)
		}
	}
	if slices.ContainsFunc(acts, func(a Action) bool { return a.Do == Tell }) {
		now = append(now, Action{Do: Tell})
	}
	return append(now, later...)
}

func (r *row) fits(t *turn) bool {
	return r.on == t.e.Kind && (r.in == nil || slices.Contains(r.in, t.s.Role)) && (r.when == nil || r.when(t))
}

// clone: what Decide was given stays as it was.
func clone(s state.HA) state.HA {
	s.Peers = maps.Clone(s.Peers)
	if s.Peers == nil {
		s.Peers = map[string]state.PeerHealth{}
	}
	s.Proofs, s.Degraded = slices.Clone(s.Proofs), slices.Clone(s.Degraded)
	if s.Job != nil {
		j := *s.Job
		j.Sent = slices.Clone(j.Sent)
		s.Job = &j
	}
	return s
}

// notice takes in what is so whatever the role is, and tells whether there is anything to decide.
func (t *turn) notice() bool {
	switch t.e.Kind {
	case Heard:
		return t.hear()
	case Missed:
		t.s.Peers[t.e.Peer] = Health(t.peer(t.e.Peer), Sighting{Wall: t.e.At}, t.c.Limits, t.e.Now)
	case Files:
		if t.e.Active != t.s.Declared {
			t.s.Declared, t.s.Overruled, t.s.Acted = t.e.Active, "", ""
		}
	case Looked:
		t.s.Writable = t.e.Seen
	}
	return true
}

// hear takes in a beat, unless it is stale or of nobody that the files name.
func (t *turn) hear() bool {
	b, own := t.e.Beat, state.Heard{Boot: t.s.Boot, Counter: t.s.Counter}
	if b == nil || b.Node != t.e.Peer || !slices.Contains(t.c.Peers, t.e.Peer) {
		return false
	}
	p := t.peer(t.e.Peer)
	t.s.Peers[t.e.Peer] = health(t.m.stale, p, Sighting{Beat: b, Wall: t.e.At, Shared: t.c.Shared, Own: own}, t.c.Limits, t.e.Now)
	if t.m.stale(p, b, own) != "" {
		return false
	}
	switch {
	case b.Term > t.s.Term:
		t.s.Term, t.s.Holder, t.raised, t.s.Dirty = b.Term, b.Active, true, true
		t.s.Was = forgetful(t.s.Was)
		t.overrule()
	case b.Term == t.s.Term && b.Role.Writes() && t.s.Role.Quiet() && t.s.Holder != b.Node:
		t.s.Holder, t.s.Dirty = b.Node, true // two nodes took one term, and this one does not write in it
		t.s.Was = forgetful(t.s.Was)
		t.overrule()
	}
	return true
}

// overrule: whatever ha.active says while somebody is promoted has been heard. It is acted on again when it is edited, on every
// node, so that nothing fails back by itself.
func (t *turn) overrule() {
	t.s.Overruled = ""
	if t.s.Declared != t.s.Holder {
		t.s.Overruled = t.s.Declared
	}
}

// forgetful: who was active in a lower term has nothing to resume.
func forgetful(was state.Role) state.Role {
	if was == state.RoleRejoining || was == state.RoleDiverged {
		return was
	}
	return ""
}

func (t *turn) peer(name string) state.PeerHealth {
	p, known := t.s.Peers[name]
	if !known {
		p = state.PeerHealth{Node: name, State: state.PeerUnknown}
	}
	return p
}

func (t *turn) reached(name string) bool {
	return Reached(t.s.Peers[name], t.c.Limits, t.e.Now)
}

// do adds an action.
func (t *turn) do(what string) { t.acts = append(t.acts, Action{Do: what}) }

func (t *turn) alarm(level, format string, args ...any) {
	t.acts = append(t.acts, Action{Do: Alarm, Level: level, Text: fmt.Sprintf(format, args...)})
}

func (t *turn) refuse(format string, args ...any) {
	t.why, t.refused = fmt.Sprintf(format, args...), true
}

// Refused is the Step of a Record whose order was not followed.
const Refused = "refused"

func (t *turn) outcome() string {
	if t.refused {
		return Refused
	}
	return ""
}
