package ha

import (
	"slices"

	"github.com/dplaneos/dplane/state"
)

// An attempt: from an order, a handover or a lease to a proof for every peer.

// next is the term of a node's next promotion, as far as is known here: one more than any that was promoted, or promised to
// another one; or a higher one that was promised to it.
func (t *turn) next(node string) uint64 {
	taken, given := max(t.s.Term, t.s.Promise.Term), uint64(0)
	for _, p := range t.s.Peers {
		switch {
		case p.Last == nil || p.Last.Promise == nil:
		case p.Last.Promise.To == node:
			given = max(given, p.Last.Promise.Term)
		default:
			taken = max(taken, p.Last.Promise.Term)
		}
	}
	return max(taken+1, given)
}

func named(name string) func(*turn) bool {
	return func(t *turn) bool { return t.e.Command.Name == name }
}

func rejoining(t *turn) bool { return t.e.Command.Name == Keep || t.e.Command.Name == Discard }

func saw(what string) func(*turn) bool { return func(t *turn) bool { return t.e.Seen == what } }

func (t *turn) refuseCommand() {
	t.refuse("%s is not possible while this node is %s in the group", t.e.Command.Name, t.s.Role)
}

func (t *turn) pause() {
	t.s.Paused = t.e.Command.Name == Pause
	t.do(Tell)
}

// handOver begins a switchover, on the active node: nothing is given up before a standby that has it all is seen.
func (t *turn) handOver() {
	to := t.e.Command.To
	last := t.s.Peers[to].Last
	switch {
	case to == t.s.Node:
		t.refuse("%s is active already", to)
	case !slices.Contains(t.c.Peers, to):
		t.refuse("there is no peer %q", to)
	case t.c.Automatic:
		t.refuse("the lease decides in automatic mode")
	case !t.reached(to):
		t.refuse("%s is not reached (%s): a switchover needs both sides; where this node is to be given up: dplane ha failover, there", to, t.peer(to).State)
	case last.Role != state.RoleStandby || last.Term != t.s.Term:
		t.refuse("%s is %s in term %d, and has to be standby in term %d", to, last.Role, last.Term, t.s.Term)
	case t.s.Frozen != "":
		t.refuse("replication is frozen: %s", t.s.Frozen)
	case last.Shared != t.c.Shared:
		t.refuse("the shared part of the files of %s differs from that here: what it would open need not be what is closed here", to)
	case last.Paused:
		t.refuse("%s is paused, and would not take over: dplane ha resume, there", to)
	default:
		t.s.Role, t.why = state.RoleDemoting, "switchover to "+to
		t.begin(JobHandover)
		t.s.Job.To, t.s.Job.By = to, t.e.Command.By
		t.acted()
	}
}

// switchHere is a switchover that was typed on a standby: the active node does it. Where there is none, nobody can say that
// nothing is lost.
func (t *turn) switchHere() {
	to := t.e.Command.To
	for _, n := range t.c.Peers {
		if t.reached(n) && t.s.Peers[n].Last.Role.Writes() {
			t.why = n + " is active: it is asked to demote itself"
			t.acts = append(t.acts, Action{Do: Forward, Peer: n, Command: t.e.Command})
			return
		}
	}
	t.refuse("nobody is seen to be active, who would hand over: dplane ha failover on %s shows what would be lost", to)
}

func (t *turn) failover() { t.attempt(t.e.Command.Words, true) }

// attempt begins one by a person's order, if what would be lost is known or accepted.
func (t *turn) attempt(words map[string]string, fence bool) {
	lag := t.e.Command.Lag
	if lag == nil {
		lag = &Lag{}
	}
	own := t.s.Term == 0 || t.s.Holder == t.s.Node
	switch loss := t.m.exceeds(*lag, t.c.MaxLag); {
	case t.c.Automatic:
		t.refuse("the lease decides in automatic mode")
	case t.s.Holder != "" && t.s.Holder != t.s.Node && !slices.Contains(t.c.Peers, t.s.Holder):
		t.refuse("%s was active in term %d, and the files name it no longer, so that nothing can prove that it does not write: put it back into ha.peers until another node is active", t.s.Holder, t.s.Term)
	case t.s.Writable != state.WritableNo:
		t.refuse("it is not verified that the group is read-only here: %s", t.s.Writable)
	case loss != "" && !own && !t.e.Command.Accept:
		t.refuse("%s", loss)
	case t.s.Role != state.RoleStandby && !t.e.Command.Accept:
		t.refuse("this node is %s: what it has and what the other one has differ, and that has to be accepted", t.s.Role)
	default:
		t.try(t.next(t.s.Node), t.e.Command.By, words, fence)
	}
}

// acted: what ha.active asks for is begun once. Where it comes to nothing a person looks first: each try cuts clients off.
func (t *turn) acted() {
	if c := t.e.Command; c.Name == Switchover && c.To == t.s.Declared {
		t.s.Acted = c.To
	}
}

// takeOver follows a handover: the rest of the peers is still asked.
func (t *turn) takeOver() {
	t.s.Taken = t.e.Beat.Promise.Term
	t.try(t.s.Taken, t.e.Beat.Node, nil, false)
}

func (t *turn) try(term uint64, by string, words map[string]string, fence bool) {
	t.s.Was = ""
	if t.s.Role != state.RoleStandby {
		t.s.Was = t.s.Role
	}
	t.s.Role, t.s.Proofs = state.RoleCandidate, nil
	t.begin(JobAttempt)
	t.s.Job.Term, t.s.Job.By, t.s.Job.Words, t.s.Job.Fence = term, by, words, fence
	if t.why == "" {
		t.why = "a person ordered it"
	}
	t.do(CloseGate)
	t.do(Tell)
	t.muster()
}

// muster looks for what is missing: a proof for every peer, and then the promotion begins; or a way to one, and else the
// attempt is given up. Unreachable is no proof.
func (t *turn) muster() {
	lacking := false
	for _, n := range t.witnesses() {
		if t.proved(n) || t.promised(n) || t.word(n) {
			continue
		}
		lacking = true
		if t.wait(n) {
			continue
		}
		t.why = n + " does not answer, and no proof is possible: no fence agent is declared for it, and nobody typed its name and a reason"
		t.giveUp()
		return
	}
	if !lacking {
		t.promote()
	}
}

// witnesses are the peers that a proof is needed for. Under a lease there is one candidate at a time, so that only the
// holder of the last term is left.
func (t *turn) witnesses() []string {
	if !t.c.Automatic {
		return t.c.Peers
	}
	if t.s.Holder == "" || t.s.Holder == t.s.Node {
		return nil
	}
	return []string{t.s.Holder}
}

func (t *turn) proved(peer string) bool {
	return slices.ContainsFunc(t.s.Proofs, func(p state.Proof) bool { return p.Peer == peer && p.Term == t.s.Job.Term })
}

func (t *turn) prove(kind, peer, reason string) bool {
	t.s.Proofs = append(t.s.Proofs, state.Proof{Kind: kind, Peer: peer, Term: t.s.Job.Term, At: t.e.At, Mono: t.e.Now, Reason: reason, By: t.s.Job.By})
	return true
}

// promised: P1, in a beat that was taken in, from a node that does not write.
func (t *turn) promised(peer string) bool {
	p := t.s.Peers[peer]
	if p.Stale || p.Last == nil || p.Last.Promise == nil || !p.Last.Role.Quiet() {
		return false
	}
	said := p.Last.Promise
	return said.To == t.s.Node && said.Term == t.s.Job.Term && t.prove(state.ProofPromise, peer, "")
}

// word: P4, which counts once the peer no longer answers.
func (t *turn) word(peer string) bool {
	reason, said := t.s.Job.Words[peer]
	return said && reason != "" && !t.reached(peer) && t.prove(state.ProofWord, peer, reason)
}

// wait tells whether a proof of the peer may still come, and asks its fence agent where it has to.
func (t *turn) wait(peer string) bool {
	if slices.Contains(t.s.Job.Sent, peer) {
		return true
	}
	_, said := t.s.Job.Words[peer]
	reached := t.reached(peer)
	writes := reached && t.s.Peers[peer].Last.Role.Writes()
	if t.s.Job.Fence && t.c.Agents[peer] && !said && (writes || !reached) {
		t.s.Role = state.RoleFencing
		t.s.Job.Sent = append(t.s.Job.Sent, peer)
		t.acts = append(t.acts, Action{Do: Fence, Peer: peer})
		return true
	}
	return reached || said || t.c.Automatic
}

// proves: of this attempt, and of a kind that comes from outside.
func (t *turn) proves() bool {
	p := t.e.Proof
	kind := p.Kind == state.ProofFenced && slices.Contains(t.s.Job.Sent, p.Peer) || p.Kind == state.ProofWatchdog && t.c.Automatic
	return kind && p.Term == t.s.Job.Term && slices.Contains(t.c.Peers, p.Peer)
}

func (t *turn) proof() {
	t.prove(t.e.Proof.Kind, t.e.Proof.Peer, t.e.Proof.Reason)
	t.muster()
}

func (t *turn) needed() bool { return slices.Contains(t.s.Job.Sent, t.e.Peer) && !t.proved(t.e.Peer) }

// impatient: the promises that are missing did not come in time. A fence agent has a time of its own.
func (t *turn) impatient() bool {
	fencing := slices.ContainsFunc(t.s.Job.Sent, func(n string) bool { return !t.proved(n) })
	return !fencing && t.e.Now-t.s.Job.Began > t.c.Patience
}

// giveUp leaves things as they were before the attempt. What peers promised for its term stays promised.
func (t *turn) giveUp() {
	term := t.s.Job.Term
	t.s.Role = state.RoleStandby
	if t.s.Was == state.RoleRejoining || t.s.Was == state.RoleDiverged {
		t.s.Role = t.s.Was
	}
	t.s.Was, t.s.Job, t.s.Proofs = "", nil, nil
	t.refused = true
	if t.c.Automatic {
		t.do(Release)
	}
	if t.e.Why != "" {
		t.why += ": " + t.e.Why
	}
	if Gate(&t.s) {
		t.do(OpenGate)
	}
	t.alarm(state.Warn, "the promotion of %s to term %d was given up: %s", t.s.Node, term, t.why)
	t.do(Tell)
}

// promote: every peer is proved away, so the term is taken. It is persisted before the first step.
func (t *turn) promote() {
	by := t.s.Job.By
	t.s.Role, t.s.Term, t.s.Holder, t.s.Opened = state.RolePromoting, t.s.Job.Term, t.s.Node, false
	t.overrule()
	t.s.Was, t.s.Degraded = "", nil
	t.why = "every peer is proved not to write: " + t.kinds()
	t.begin(JobPromote)
	t.s.Job.By = by
	t.do(Tell)
}

func (t *turn) kinds() string {
	text := ""
	for _, p := range t.s.Proofs {
		text += " " + p.Peer + " by " + p.Kind
	}
	return text
}
