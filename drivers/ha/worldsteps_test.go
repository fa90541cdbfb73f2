package ha

import (
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers/ha/history"
	"github.com/dplaneos/dplane/state"
)

// What the steps do in the simulated world, and what goes on beside them.

// step does one, in place of one that goes on: that one ends first, with its effect or without.
func (n *sim) step(a Action) {
	if t := n.task; t != nil && !t.over {
		t.over = true
		if n.w.chance(0.5) {
			t.effect()
		}
	}
	fails := n.w.chance(n.w.fail)
	lies := n.w.chance(n.w.lie) && (a.Do == Demote || a.Do == UndoPromote)
	t := &task{effect: func() {
		if !lies {
			n.effect(a)
		}
	}}
	n.task = t
	n.later(n.w.within(2*time.Second), func() {
		if t.over {
			return
		}
		t.over = true
		ok := n.holds(a)
		if !fails || n.w.chance(0.5) {
			t.effect()
		}
		kind, why := StepDone, ""
		if fails || !ok {
			kind, why = StepFailed, "it failed"
		}
		n.w.say("%s: %s %s: %s", n.name, a.Do, a.Step, kind)
		n.event(Event{Kind: kind, Job: a.Job, Step: a.Step, Why: why})
	})
}

func (n *sim) effect(a Action) {
	if !n.up {
		return
	}
	opens := a.Do == Promote
	switch a.Step {
	case StepReadonly:
		if opens {
			n.zfsTerm = max(n.zfsTerm, n.mem.Term)
		}
		n.set(opens, n.vip)
	case StepAddress:
		n.set(n.rw, opens)
	case StepGate:
		n.receives = nil
	case StepSnapshot:
		n.snap = len(n.log)
	}
}

// holds is what a step finds to be so: the verification, and whether the final increment is there.
func (n *sim) holds(a Action) bool {
	if a.Do != Demote || n.mem.Job == nil {
		return true
	}
	switch a.Step {
	case StepVerify:
		return !n.rw && !n.vip && (n.mem.Job.Kind != JobHandover || n.snap == len(n.log))
	case StepSend:
		p := n.w.node(n.mem.Job.To)
		if !p.running || p.frozen || n.w.cut[[2]string{n.name, p.name}] || n.w.cut[[2]string{p.name, n.name}] {
			return false
		}
		s := &stream{n.name, n.mem.Term, slices.Clone(n.log[:n.snap])}
		return p.begin(s) && p.end(s)
	}
	return true
}

func (n *sim) write() {
	if n.rw {
		n.w.writes++
		n.log = append(n.log, n.w.writes)
	}
	n.later(n.w.within(15*time.Second), n.write)
}

// replicate sends what is new to every peer. The sender is whoever believes itself active; the receiver judges.
func (n *sim) replicate() {
	if n.mem.Role.Writes() && n.mem.Frozen == "" {
		for _, p := range n.cfg.Peers {
			s := &stream{n.name, n.mem.Term, slices.Clone(n.log)}
			n.w.send(n.name, p, func(p *sim) {
				if p.begin(s) {
					p.later(p.w.within(20*time.Second), func() { p.end(s) })
				}
			})
		}
	}
	n.later(10*time.Second+n.w.within(10*time.Second), n.replicate)
}

// begin is the forced command before the transfer. It reads what is persisted.
func (n *sim) begin(s *stream) bool {
	if n.receives != nil || n.w.rules.admit(&n.disk, s.from, s.term) != "" {
		return false
	}
	n.receives = s
	n.w.fact(history.Fact{Node: n.name, Event: history.RecvBegin, Term: s.term, Peer: s.from})
	return true
}

// end is the forced command after it. Nothing is received over what was written here.
func (n *sim) end(s *stream) bool {
	if n.receives != s {
		return false
	}
	n.receives = nil
	if n.w.rules.admit(&n.disk, s.from, s.term) != "" || !has(s.log, n.log) {
		return false
	}
	n.log = s.log
	n.snap = len(n.log)
	n.w.fact(history.Fact{Node: n.name, Event: history.RecvEnd, Term: s.term, Peer: s.from})
	return true
}

// has tells whether all of a part is in what is whole, in its order.
func has(whole, part []int) bool {
	return len(part) <= len(whole) && slices.Equal(whole[:len(part)], part)
}

func (n *sim) holder() *sim {
	if n.mem.Holder == "" || n.mem.Holder == n.name {
		return nil
	}
	h := n.w.node(n.mem.Holder)
	if !h.running || h.frozen || !h.mem.Role.Writes() || n.w.cut[[2]string{n.name, h.name}] || n.w.cut[[2]string{h.name, n.name}] {
		return nil
	}
	return h
}

func (n *sim) compare() {
	seen := "unknown"
	if h := n.holder(); h != nil && n.mem.Role == state.RoleRejoining {
		seen = Diverged
		if has(h.log, n.log) {
			seen = Clean
		}
	}
	n.event(Event{Kind: Compared, Seen: seen})
}

// rejoin takes what the active node has; what only this one has stays aside, or goes if that was approved.
func (n *sim) rejoin(how string) {
	h := n.holder()
	if h == nil {
		return
	}
	if !has(h.log, n.log) && how == Discard {
		n.w.fact(history.Fact{Node: n.name, Event: history.Destroy, Approved: true})
	}
	n.log = slices.Clone(h.log)
	n.snap = len(n.log)
	n.compare()
}

// fence switches the peer's machine off, over a line of its own; or fails, or is too slow.
func (n *sim) fence(peer string) {
	n.later(time.Second+n.w.within(8*time.Second), func() {
		if n.w.chance(0.2) {
			n.event(Event{Kind: FenceFailed, Peer: peer, Why: "timed out"})
			return
		}
		p := n.w.node(peer)
		p.off()
		n.w.after(n.w.within(60*time.Second), p.on) // somebody switches it on again
		if n.w.chance(0.1) {
			n.event(Event{Kind: FenceFailed, Peer: peer, Why: "its status timed out"})
			return
		}
		if n.mem.Job != nil {
			n.event(Event{Kind: Proved, Proof: &state.Proof{Kind: state.ProofFenced, Peer: peer, Term: n.mem.Job.Term}})
		}
	})
}

// order is a person's command on this node. What is not known of the lag is told as unknown.
func (n *sim) order(c Command) {
	if !n.running || n.frozen {
		return
	}
	known, accepts, jobs := n.known, n.accepts, n.mem.Jobs
	if n.known, n.accepts = c.Lag != nil, c.Accept; !n.known {
		c.Lag = &Lag{}
	}
	n.w.say("%s: ordered %s %s %v, lag known %v, accepted %v", n.name, c.Name, c.To, c.Words, n.known, c.Accept)
	n.event(Event{Kind: Commanded, Command: &c})
	if n.mem.Jobs == jobs { // it was refused
		n.known, n.accepts = known, accepts
	}
}
