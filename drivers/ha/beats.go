package ha

import (
	"slices"

	"github.com/dplaneos/dplane/state"
)

// The conditions of the rows on a beat that was taken in, and what these rows do.

func (t *turn) higher() bool { return t.raised }

// rival: the peer writes too, in no higher term. A beat that was on its way while the peer was fenced tells nothing of now.
func (t *turn) rival() bool {
	b := t.e.Beat
	for _, p := range t.s.Proofs {
		if p.Peer == b.Node && p.Kind != state.ProofWord && p.Kind != state.ProofPromise && t.e.Now-p.Mono < t.c.Limits.Every {
			return false
		}
	}
	return b.Role.Writes() || b.Role == state.RolePromoting && b.Term == t.s.Term
}

// allQuiet: every peer is reached and verified read-only.
func (t *turn) allQuiet() bool {
	return t.every(func(b *state.Beat) bool { return b.Role.Quiet() && b.Term <= t.s.Term })
}

func (t *turn) settled() bool {
	return t.s.Frozen != "" && t.every(func(b *state.Beat) bool { return b.Role == state.RoleStandby && b.Term == t.s.Term })
}

func (t *turn) every(ok func(*state.Beat) bool) bool {
	return !slices.ContainsFunc(t.c.Peers, func(n string) bool { return !t.m.answers(t.s.Peers[n], t.c.Limits, t.e.Now, ok) })
}

// outrun: somebody was promoted since the attempt began, or before and it was not known: what would be lost was not judged by
// that, whatever the term that is tried.
func (t *turn) outrun() bool { return t.raised || t.s.Term >= t.s.Job.Term }

func (t *turn) falseWord() bool {
	_, said := t.s.Job.Words[t.e.Beat.Node]
	return said && t.e.Beat.Role.Writes()
}

// handedOver: once, for this node, and of a peer that does not write.
func (t *turn) handedOver() bool {
	b := t.e.Beat
	p := b.Promise
	return p != nil && p.Handover && p.To == t.s.Node && b.Role.Quiet() && p.Term == t.next(t.s.Node) && p.Term > t.s.Taken &&
		!t.s.Paused && !t.c.Automatic && t.s.Writable == state.WritableNo
}

// asked: a candidate wants a term that this node never promised to another, nor knows to be taken; and what it would open is what
// is closed here: where the files differ that is not so.
func (t *turn) asked() bool {
	b := t.e.Beat
	return b.Want > t.s.Term && b.Want > t.s.Promise.Term && t.s.Writable == state.WritableNo && b.Shared == t.c.Shared
}

// mayResume: it was active, nobody was promised more, and every peer answered this run of ours: it does not write, and knows
// no higher term, nor another holder of this one. (Two nodes that were off in turn, each proved so to the other, may have
// taken the same term.)
func (t *turn) mayResume() bool {
	return t.remembers() && !t.s.Paused && t.every(func(b *state.Beat) bool {
		known := b.Term < t.s.Term || b.Term == t.s.Term && b.Active == t.s.Node
		return known && slices.Contains(readOnly, b.Role) && (b.Promise == nil || b.Promise.Term <= t.s.Term)
	})
}

func (t *turn) mayStartAlone() bool { return t.c.StartAlone && t.remembers() && !t.s.Paused }

// remembers: by its own memory and the files it is the active one.
func (t *turn) remembers() bool {
	s := &t.s
	mine := s.Was.Writes() || s.Was == state.RolePromoting || s.Was == state.RoleDemoting
	return mine && s.Holder == s.Node && s.Promise.Term <= s.Term && agrees(s) && s.Writable == state.WritableNo && !t.c.Automatic
}

// agrees tells whether the files say that this node is to be active, or were overruled by a command.
func agrees(s *state.HA) bool {
	return s.Declared == s.Node || s.Overruled != "" && s.Overruled == s.Declared
}

// behind: this node may have written what is in no snapshot, and somebody else is active.
func (t *turn) behind() bool { return t.s.Dirty && t.activePeer() }

func (t *turn) activePeer() bool {
	b := t.e.Beat
	return b.Role.Writes() && b.Term == t.s.Term && b.Active == b.Node && t.s.Holder == b.Node
}

func (t *turn) supersede() {
	switch {
	case t.s.Role == state.RoleSplitBrain:
		t.alarm(state.Error, "%s was active beside another node in term %d: both may have written; this one stops", t.s.Node, t.s.Term)
	case t.s.Writable != state.WritableNo:
		t.alarm(state.Error, "%s was active, and %s has term %d: both may have written; this one stops", t.s.Node, t.s.Holder, t.s.Term)
	}
	t.s.Role = state.RoleSuperseded
	if t.s.Job == nil || t.s.Job.Kind != JobClose {
		t.begin(JobClose)
	}
}

func (t *turn) split() {
	b := t.e.Beat
	t.s.Role = state.RoleSplitBrain
	t.freeze("two nodes are active: " + t.s.Node + " and " + b.Node)
	t.alarm(state.Error, "two nodes are active: %s in term %d, %s in term %d; replication and pruning stand still: choose one, and on the other: dplane ha rejoin",
		t.s.Node, t.s.Term, b.Node, b.Term)
	t.do(Tell)
}

func (t *turn) freeze(why string) {
	t.s.Frozen = why
	t.do(Freeze)
}

func (t *turn) heal() {
	t.s.Role = state.RoleActive
	t.alarm(state.Warn, "%s alone is active again; replication stays frozen until the other node has rejoined", t.s.Node)
}

func (t *turn) unfreeze() {
	t.s.Frozen = ""
	t.do(Unfreeze)
}

// promise is persisted before it is said. It is given once for a term, and no lower one is ever used here after it.
func (t *turn) promise() {
	t.s.Promise = state.Promise{Term: t.e.Beat.Want, To: t.e.Beat.Node}
	t.do(Tell)
}

// resume is no promotion: the term stays. Where the old promotion had not come as far as readonly=off, it is done whole.
func (t *turn) resume() {
	t.s.Role, t.s.Was, t.s.Degraded = state.RolePromoting, "", nil
	t.do(CloseGate)
	if !t.s.Opened {
		t.begin(JobPromote)
		return
	}
	t.begin(JobResume)
}

func (t *turn) rejoin() {
	t.s.Role = state.RoleRejoining
	t.do(CloseGate)
	t.do(Compare)
}

func (t *turn) compare() { t.do(Compare) }

func (t *turn) clean() {
	t.s.Role, t.s.Dirty = state.RoleStandby, false
	if t.s.Frozen != "" {
		t.unfreeze()
	}
	t.do(OpenGate)
	t.do(Tell)
}

func (t *turn) diverge() {
	t.s.Role = state.RoleDiverged
	t.do(KeepSnapshot)
	t.alarm(state.Error, "%s has what %s lacks, and it is kept: dplane ha rejoin --keep or --discard shows what each loses", t.s.Node, t.s.Holder)
}
