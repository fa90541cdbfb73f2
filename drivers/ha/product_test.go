package ha

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

// The product of two nodes over Decide, gone through whole: every interleaving of orders, beats (delivered, twice, late, out
// of order, never), steps (done, failed with their effect and without, done in word alone), crashes of the daemon before and
// after an effect, power cuts and fences, as far as the budget of a run goes. In every state that can be reached the
// invariants have to hold. Time stands still: what it decides (misses, patience) are events here.

// pair is one state of the product.
type pair struct {
	n   [2]half
	net [2][]state.Beat // to each node: the last ones that were sent, all of which may come yet, and again
	budget
}

type half struct {
	s           state.HA
	on, running bool // the machine, the daemon
	rw          bool
	step        *Action // that is being done, and has an effect or a result
	fences      bool
}

// budget is how often a thing may still happen.
type budget struct{ orders, crashes, cuts, fails, losses, sends int8 }

var names = [2]string{"a", "b"}

func other(i int) int { return 1 - i }

// product goes through the states from the beginning.
type product struct {
	rules rules
	cfg   [2]Config
	seen  map[[16]byte]bool
	todo  []visit
	wrong string
}

type visit struct {
	pair
	path *path
}

// path is how a state was reached.
type path struct {
	what string
	from *path
}

func (p *path) String() string {
	if p == nil {
		return ""
	}
	return p.from.String() + "\n  " + p.what
}

func newProduct(r rules, b budget) *product {
	p := &product{rules: r, seen: map[[16]byte]bool{}}
	first := pair{budget: b}
	for i, name := range names {
		peer := names[other(i)]
		p.cfg[i] = Config{Peers: []string{peer}, Limits: limits, Agents: map[string]bool{peer: true}, Patience: time.Minute, Shared: "h"}
		s := state.HA{Node: name, Boot: name + "1", Role: state.RoleStandby, Term: 1, Holder: "a", Declared: "a", Writable: state.WritableNo, Counter: 1,
			Peers: map[string]state.PeerHealth{peer: {Node: peer, State: state.PeerUnknown, Seen: state.Heard{Boot: peer + "1"}}}}
		first.n[i] = half{s: s, on: true, running: true}
	}
	a := &first.n[0]
	a.s.Role, a.s.Writable, a.s.Opened, a.s.Dirty, a.rw = state.RoleActive, state.WritableYes, true, true, true
	for _, i := range []int{0, 1, 0} { // both have heard each other
		b := Speak(&first.n[other(i)].s, names[i], Local{Shared: "h"}, noon)
		first.n[i].s, _ = r.decide(first.n[i].s, Event{Kind: Heard, At: noon, Peer: b.Node, Beat: &b}, p.cfg[i])
	}
	p.reach(first, nil, "")
	return p
}

// run visits every state; at most most of them, which is more than the budgets of the tests lead to.
func (p *product) run(most int) {
	for len(p.todo) > 0 && p.wrong == "" {
		v := p.todo[len(p.todo)-1]
		p.todo = p.todo[:len(p.todo)-1]
		if len(p.seen) > most {
			p.wrong = "more states than expected: lower the budget"
			return
		}
		for i := range names {
			p.moves(v, i)
		}
	}
}

// reach notes a state, and judges it.
func (p *product) reach(s pair, from *path, what string) {
	k := s.key()
	if p.seen[k] || p.wrong != "" {
		return
	}
	p.seen[k] = true
	at := &path{what, from}
	if s.n[0].rw && s.n[1].rw {
		p.wrong = "I1: both write" + at.String()
	}
	p.todo = append(p.todo, visit{s, at})
}

// moves are all that can happen next on one node.
func (p *product) moves(v visit, i int) {
	n := &v.n[i]
	if !n.running {
		if n.on || v.n[i].s.Boot != "" {
			s := v.pair
			s.n[i].on, s.n[i].running = true, true
			p.event(s, v.path, i, Event{Kind: Boot, Boot: n.s.Boot + "'"})
		}
		return
	}
	for k := range v.net[i] {
		b := v.net[i][k]
		p.event(v.pair, v.path, i, Event{Kind: Heard, Peer: b.Node, Beat: &b})
	}
	if s := v.pair; s.sends > 0 {
		s.sends--
		s.tell(i)
		p.reach(s, v.path, names[i]+" beats")
	}
	p.steps(v, i)
	p.faults(v, i)
	p.orders(v, i)
}

func (p *product) steps(v visit, i int) {
	n := v.n[i]
	if n.fences {
		s := v.pair
		s.n[i].fences = false
		p.event(s, v.path, i, Event{Kind: FenceFailed, Peer: names[other(i)]})
		s.cut(other(i))
		p.event(s, v.path, i, Event{Kind: FenceFailed, Peer: names[other(i)]})
		if j := n.s.Job; j != nil {
			p.event(s, v.path, i, Event{Kind: Proved, Proof: &state.Proof{Kind: state.ProofFenced, Peer: names[other(i)], Term: j.Term}})
		}
	}
	a := n.step
	if a == nil {
		return
	}
	done, failed := Event{Kind: StepDone, Job: a.Job, Step: a.Step}, Event{Kind: StepFailed, Job: a.Job, Step: a.Step, Why: "it failed"}
	s := v.pair
	s.n[i].step = nil
	if a.Step == StepVerify {
		if n.rw {
			p.event(s, v.path, i, failed)
		} else {
			p.event(s, v.path, i, done)
		}
		return
	}
	with := s
	with.n[i].rw = a.Do == Promote
	p.event(with, v.path, i, done)
	if v.fails > 0 {
		with.fails--
		p.event(with, v.path, i, failed)
		s.fails--
		p.event(s, v.path, i, failed)
		if a.Do != Promote {
			p.event(s, v.path, i, done)
		}
	}
}

func (p *product) faults(v visit, i int) {
	if s := v.pair; s.crashes > 0 {
		s.crashes--
		if a := s.n[i].step; a != nil && a.Step == StepReadonly {
			with := s
			with.n[i].rw = a.Do == Promote
			with.down(i)
			p.reach(with, v.path, names[i]+": the daemon is killed, its step takes effect")
		}
		s.down(i)
		p.reach(s, v.path, names[i]+": the daemon is killed")
	}
	if s := v.pair; s.cuts > 0 {
		s.cuts--
		s.cut(i)
		p.reach(s, v.path, names[i]+": power off")
	}
	if s := v.pair; s.losses > 0 {
		s.losses--
		lost := Event{Kind: Missed, Peer: names[other(i)]}
		s.n[i].s, _ = p.rules.decide(s.n[i].s, lost, p.cfg[i])
		p.event(s, v.path, i, lost)
	}
	if r := v.n[i].s.Role; r == state.RoleCandidate || r == state.RoleFencing {
		p.event(v.pair, v.path, i, Event{Kind: Ticked, Now: 2 * time.Minute})
	}
	if v.n[i].s.Job != nil && v.n[i].s.Job.Failed != "" {
		p.event(v.pair, v.path, i, Event{Kind: Ticked})
	}
	if v.n[i].s.Role == state.RoleRejoining {
		p.event(v.pair, v.path, i, Event{Kind: Compared, Seen: Clean})
	}
}

func (p *product) orders(v visit, i int) {
	if v.budget.orders == 0 {
		return
	}
	s := v.pair
	s.budget.orders--
	words := map[string]string{}
	if !s.n[other(i)].on {
		words[names[other(i)]] = "it is off"
	}
	for _, c := range []Command{
		{Name: Switchover, To: names[0], Accept: true}, {Name: Switchover, To: names[1], Accept: true},
		{Name: Failover, Accept: true}, {Name: Failover}, {Name: Failover, Accept: true, Words: words},
	} {
		if c.Name != Failover || c.Words == nil || len(words) > 0 {
			p.event(s, v.path, i, Event{Kind: Commanded, Command: &c})
		}
	}
}

// event lets a node decide, and follows every way that its actions may go.
func (p *product) event(s pair, from *path, i int, e Event) {
	e.At = noon
	n := &s.n[i]
	before := n.s
	after, acts := p.rules.decide(before, e, p.cfg[i])
	n.s = after
	what := fmt.Sprintf("%s: %s %s%s -> %s term %d", names[i], e.Kind, e.Step, told(e), after.Role, after.Term)
	if why := p.judge(&s, i, &before, &after, e, acts); why != "" && p.wrong == "" {
		p.wrong = why + (&path{what, from}).String()
	}
	old := n.step
	for k := range acts {
		switch a := &acts[k]; a.Do {
		case Tell:
			s.tell(i)
		case Fence:
			n.fences = true
		case Promote, UndoPromote, Demote:
			n.step = a
		}
	}
	if n.step != old && old != nil && old.Step == StepReadonly { // it ends before the new one begins: with its effect, or without
		with := s
		with.n[i].rw = old.Do == Promote
		p.settle(with, from, i, what+", the step before takes effect")
	}
	p.settle(s, from, i, what)
}

// settle does the steps that have no effect here: nothing that happens between them makes a difference.
func (p *product) settle(s pair, from *path, i int, what string) {
	if a := s.n[i].step; a != nil && a.Step != StepReadonly && a.Step != StepVerify {
		s.n[i].step = nil
		p.event(s, from, i, Event{Kind: StepDone, Job: a.Job, Step: a.Step})
		return
	}
	p.reach(s, from, what)
}

func told(e Event) string {
	switch {
	case e.Command != nil:
		return fmt.Sprintf("%s %s %v", e.Command.Name, e.Command.To, e.Command.Words)
	case e.Beat != nil:
		return fmt.Sprintf("%s %d: %s term %d wants %d %v", e.Beat.Boot, e.Beat.Counter, e.Beat.Role, e.Beat.Term, e.Beat.Want, e.Beat.Promise)
	}
	return ""
}

// judge holds what a decision alone can break.
func (p *product) judge(s *pair, i int, before, after *state.HA, e Event, acts []Action) string {
	peer := &s.n[other(i)]
	for k, a := range acts {
		if a.Do == Persist && k > 0 || a.Do == Promote && acts[0].Do != Persist {
			return "something is done before it is persisted"
		}
		if a.Do == Rejoin && (e.Command == nil || e.Command.Approval == "") {
			return "I8: " + a.Step + " without approval"
		}
	}
	if after.Term < before.Term || after.Promise.Term < before.Promise.Term {
		return "I6: a term or a promise goes back"
	}
	if p.rules.admit(after, names[other(i)], after.Term) == "" && s.n[i].rw || p.rules.admit(after, names[other(i)], after.Term-1) == "" {
		return "I7: it would receive what it must not"
	}
	begins := before.Role.Quiet() && before.Job == nil && after.Job != nil
	if begins && e.Command != nil && !e.Command.Accept && before.Holder != names[i] {
		return "I5: a promotion begins though the lag is unknown, and was not accepted"
	}
	if after.Role != state.RolePromoting || after.Term == before.Term {
		return ""
	}
	proof := func(q state.Proof) bool { return q.Peer == names[other(i)] && q.Term == after.Term }
	switch {
	case !slices.ContainsFunc(after.Proofs, proof):
		return "I2: promoted without a proof"
	case peer.rw:
		return "I2: promoted while the other one writes"
	case after.Term > max(before.Term, before.Promise.Term, raisedTo(e))+1 && after.Promise.Term == before.Promise.Term:
		return "I6: a term was left out"
	case before.Job != nil && before.Job.Kind == JobAttempt && e.Beat != nil && e.Beat.Term > before.Term:
		return "I5: promoted by an order that did not know of the last promotion"
	}
	return ""
}

func raisedTo(e Event) uint64 {
	if e.Beat == nil {
		return 0
	}
	return e.Beat.Term
}

// tell puts a beat on the line; of each direction the last two may still come.
func (s *pair) tell(i int) {
	to := other(i)
	b := Speak(&s.n[i].s, names[to], Local{Shared: "h"}, noon)
	line := append(slices.Clone(s.net[to]), b)
	s.net[to] = line[max(0, len(line)-2):]
}

// down: the daemon is gone. What it opened stays open.
func (s *pair) down(i int) {
	s.n[i].running, s.n[i].step, s.n[i].fences = false, nil, false
}

// cut: the machine is off.
func (s *pair) cut(i int) {
	s.down(i)
	s.n[i].on, s.n[i].rw = false, false
}

// key tells states apart by all that can make a difference later.
func (s *pair) key() [16]byte {
	k := make(key, 0, 1024)
	k.num(uint64(s.orders), uint64(s.crashes), uint64(s.cuts), uint64(s.fails), uint64(s.losses), uint64(s.sends))
	for i := range s.n {
		n := &s.n[i]
		h := &n.s
		p := h.Peers[names[other(i)]]
		k.flag(n.on, n.running, n.rw, n.fences, h.Opened, h.Dirty, h.Frozen != "", p.Stale, p.Last != nil, n.step != nil, h.Job != nil)
		k.text(h.Boot, string(h.Role), string(h.Was), h.Holder, h.Promise.To, h.Overruled, h.Writable, p.State, p.Seen.Boot)
		k.num(h.Counter, h.Term, h.Taken, h.Promise.Term, uint64(p.Misses), uint64(p.Good), p.Seen.Counter, p.Asked, uint64(len(s.net[i])), uint64(len(h.Proofs)))
		if n.step != nil {
			k.text(n.step.Do, n.step.Step)
		}
		if j := h.Job; j != nil {
			k.flag(j.Undo, j.Failed != "", j.Fence, len(j.Sent) > 0, len(j.Words) > 0)
			k.text(j.Kind, j.Step, j.To)
			k.num(j.Term)
		}
		for _, q := range h.Proofs {
			k.text(q.Kind)
			k.num(q.Term)
		}
		if p.Last != nil {
			k.said(p.Last)
		}
		for m := range s.net[i] {
			k.said(&s.net[i][m])
		}
	}
	sum := sha256.Sum256(k)
	return [16]byte(sum[:16])
}

type key []byte

func (k *key) num(all ...uint64) {
	for _, n := range all {
		*k = binary.AppendUvarint(*k, n)
	}
}

func (k *key) text(all ...string) {
	for _, t := range all {
		*k = append(append(*k, t...), 0)
	}
}

func (k *key) flag(all ...bool) {
	for _, f := range all {
		if f {
			*k = append(*k, 1)
		} else {
			*k = append(*k, 0)
		}
	}
}

func (k *key) said(m *state.Beat) {
	k.text(m.Boot, m.Heard.Boot, string(m.Role), m.Active)
	k.num(m.Counter, m.Heard.Counter, m.Term, m.Want)
	if m.Promise != nil {
		k.text(m.Promise.To)
		k.num(m.Promise.Term)
		k.flag(m.Promise.Handover)
	}
}

var deep = flag.Bool("deep", false, "TestProduct with faults on top of each other: minutes")

func TestProduct(t *testing.T) {
	budgets := []budget{
		{orders: 1, sends: 1},
		{orders: 1, fails: 1, sends: 1},
		{orders: 1, losses: 1},
		{orders: 1, cuts: 1},
	}
	if *deep {
		budgets = []budget{
			{orders: 1, sends: 3},
			{orders: 2, fails: 1, losses: 1},
			{orders: 2, fails: 2},
			{orders: 1, crashes: 1, fails: 1, losses: 1},
			{orders: 2, crashes: 1},
			{orders: 2, cuts: 1},
			{orders: 1, crashes: 1, cuts: 1},
		}
	}
	for _, b := range budgets {
		p := newProduct(soundRules(), b)
		p.run(3000000)
		t.Logf("%+v: %d states", b, len(p.seen))
		if p.wrong != "" {
			t.Error(p.wrong)
		}
	}
}

// The product finds planted faults too, each with the way to it.
func TestProductOfMutants(t *testing.T) {
	for name, b := range map[string]budget{
		"no proof":                         {orders: 1},
		"unreachable is taken for dead":    {orders: 1, losses: 1},
		"a demotion is not verified":       {orders: 1, fails: 1},
		"an unknown lag is taken for none": {orders: 1, losses: 1},
	} {
		i := slices.IndexFunc(mutants, func(m mutant) bool { return m.name == name })
		p := newProduct(mutants[i].plant(), b)
		p.run(200000)
		if p.wrong == "" || !strings.HasPrefix(p.wrong, "I") {
			t.Errorf("%s: it lives in %d states: %s", name, len(p.seen), p.wrong)
		}
	}
}
