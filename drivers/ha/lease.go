package ha

import "github.com/dplaneos/dplane/state"

// The lease of automatic mode is one more input: it gives the term, and takes it away. A candidate needs a proof for the
// holder of the last term even so; etcd's word that a lease is over is none.

// leased: the key is ours, with the next term. Nobody is asked whether a loss is accepted, so there must be none to ask for.
func (t *turn) leased() {
	lag := t.e.Lag
	if lag == nil {
		lag = &Lag{}
	}
	loss := t.m.exceeds(*lag, t.c.MaxLag)
	if t.s.Term == 0 || t.s.Holder == t.s.Node {
		loss = ""
	}
	switch {
	case !t.c.Automatic || t.s.Paused || t.s.Writable != state.WritableNo || t.s.Dirty && t.s.Holder != t.s.Node:
		t.refuse("the lease can't be used now: manual mode, paused, or not verified as a clean standby")
	case t.e.Term != t.s.Term+1:
		t.refuse("the lease is of term %d, and term %d is known here: this is not the etcd of before", t.e.Term, t.s.Term)
	case loss != "":
		t.refuse("%s", loss)
	default:
		t.why = "the lease is taken"
		t.try(t.e.Term, "lease", nil, true)
		return
	}
	t.do(Release)
}

func (t *turn) release() { t.do(Release) }

// stillWriting: what is being closed is not begun again.
func (t *turn) stillWriting() bool {
	return t.c.Automatic && (t.s.Job == nil || t.s.Job.Kind != JobClose)
}

func (t *turn) failsafe() bool {
	return t.c.Automatic && t.c.Failsafe && t.s.Role == state.RoleActive
}

func (t *turn) inFailsafe() bool { return t.s.Role == state.RoleActiveFailsafe }

func (t *turn) toFailsafe() {
	t.s.Role = state.RoleActiveFailsafe
	t.alarm(state.Warn, "etcd does not answer: %s stays active while every peer promises to wait", t.s.Node)
}

func (t *turn) toActive() { t.s.Role = state.RoleActive }
