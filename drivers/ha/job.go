package ha

import (
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/state"
)

// Jobs: their steps one after the other, each persisted before it is done; what fails is taken back or, in a demotion
// that has to come about, left for the verification to judge.

// boot: whatever it was, it closes what may be open; only the verification makes it a standby.
func (t *turn) boot() {
	s := &t.s
	switch s.Role {
	case state.RoleBoot, "", state.RoleStandby:
	case state.RoleCandidate, state.RoleFencing:
		s.Proofs = nil
	case state.RolePromoting:
		s.Was = state.RolePromoting
		if s.Job != nil && s.Job.Undo {
			s.Was = ""
		}
	case state.RoleDemoting:
		s.Was = forgetful(s.Was)
		if s.Job != nil && s.Job.Kind == JobHandover {
			s.Was = state.RoleDemoting // nothing was promised yet: its term is still its own
		}
	case state.RoleSuperseded, state.RoleSplitBrain, state.RoleSelfFenced:
		s.Was = state.RoleRejoining
	default:
		s.Was = s.Role
	}
	if t.c.Automatic {
		s.Was = forgetful(s.Was)
	}
	if t.e.Term > s.Term {
		s.Term, s.Holder, s.Was = t.e.Term, "", forgetful(s.Was)
	}
	s.Boot, s.Counter, s.Role, s.Writable = t.e.Boot, 0, state.RoleBoot, state.WritableUnknown
	for n, p := range s.Peers {
		s.Peers[n] = Reloaded(p)
	}
	t.do(CloseGate)
	t.begin(JobClose)
}

// begin starts a job, in the place of the one that goes on.
func (t *turn) begin(kind string) {
	t.s.Jobs++
	t.s.Job = &state.Job{ID: t.s.Jobs, Kind: kind, Term: t.s.Term, Began: t.e.Now}
	if all := steps[kind]; len(all) > 0 {
		t.enter(all[0])
	}
}

// enter orders a step. From readonly=off on, what is here may be in no snapshot.
func (t *turn) enter(step string) {
	j := t.s.Job
	j.Step = step
	promotes := j.Kind == JobPromote || j.Kind == JobResume || j.Kind == JobMend
	if promotes && step == StepReadonly && !j.Undo {
		t.s.Opened, t.s.Dirty, t.s.Writable = true, true, state.WritableYes
	}
	a := Action{Do: Demote, Job: j.ID, Step: step}
	switch {
	case promotes && j.Undo:
		a.Do = UndoPromote
	case promotes:
		a.Do = Promote
	}
	t.acts = append(t.acts, a)
}

// ours: the result is of the step that goes on, not of an older job.
func (t *turn) ours() bool {
	j := t.s.Job
	return j != nil && j.ID == t.e.Job && j.Step == t.e.Step && j.Failed == ""
}

func (t *turn) advance() {
	j := t.s.Job
	if j.Kind == JobClose && j.Step == StepVerify || j.Kind == JobHandover && j.Step == StepVerify {
		t.s.Writable = state.WritableNo
	}
	if j.Undo {
		if step := before(j.Kind, j.Step); step != "" {
			t.enter(step)
			return
		}
		t.s.Role = state.RoleDemoting
		t.begin(JobClose)
		return
	}
	if j.Kind == JobMend {
		t.mendNext(j.Step)
		return
	}
	if step := after(j.Kind, j.Step); step != "" {
		t.enter(step)
		return
	}
	t.finished()
}

// failed: a timeout is a failure too.
func (t *turn) failed() {
	j := t.s.Job
	t.why = j.Kind + ": " + j.Step + ": " + t.e.Why
	switch {
	case j.Kind == JobClose && j.Step == StepVerify:
		t.notVerified()
	case j.Undo || j.Kind == JobClose || j.Step == StepRelease:
		t.alarm(state.Error, "%s; it goes on, and is verified at the end", t.why)
		t.advance()
	case slices.Contains(tolerated, j.Step) && j.Kind != JobHandover:
		if text := j.Step + ": " + t.e.Why; !slices.Contains(t.s.Degraded, text) {
			t.s.Degraded = append(slices.DeleteFunc(t.s.Degraded, lacks(j.Step)), text)
			t.alarm(state.Error, "%s; the node stays active, degraded", t.why)
		}
		if j.Kind != JobMend {
			t.s.Mends = 0
		}
		t.advance()
	case j.Kind == JobHandover:
		t.takeBack()
	default:
		t.undo()
	}
}

// takeBack ends a handover before anything was promised: the node is made active again in its term, which is still its own.
func (t *turn) takeBack() {
	t.alarm(state.Error, "%s; %s is made active again", t.why, t.s.Node)
	t.s.Role, t.s.Degraded = state.RolePromoting, nil
	t.begin(JobResume)
}

// undo takes back the step of a promotion that goes on and those before it; what is left is a standby, once that is verified.
func (t *turn) undo() {
	t.alarm(state.Error, "%s; what was done is taken back", t.why)
	t.s.Jobs++
	t.s.Job.ID, t.s.Job.Undo = t.s.Jobs, true
	t.enter(t.s.Job.Step)
}

// notVerified: it does not count as demoted. Under a lease the machine is reset, else it is tried again.
func (t *turn) notVerified() {
	t.s.Job.Failed, t.s.Writable = t.e.Why, state.WritableUnknown
	t.alarm(state.Error, "%s: it can't be shown that %s stopped writing", t.why, t.s.Node)
	if t.c.Automatic && t.s.Role == state.RoleDemoting {
		t.s.Role = state.RoleSelfFenced
		t.do(Reset)
	}
}

func (t *turn) unverified() bool { return t.s.Job != nil && t.s.Job.Failed != "" }

func (t *turn) closeAgain() { t.begin(JobClose) }

func (t *turn) finished() {
	j := t.s.Job
	t.s.Job = nil
	switch {
	case j.Kind == JobMend:
		t.why = "what the promotion could not do was tried once more"
	case j.Kind == JobHandover:
		t.handedOverTo(j.To)
	case j.Kind == JobClose:
		t.closed()
	default:
		t.s.Role, t.why = state.RoleActive, "the promotion is done"
	}
	if Gate(&t.s) {
		t.do(OpenGate)
	}
	t.do(Tell)
}

// handedOverTo: all that was here is in the final snapshot, which the successor has. Only now the term is given away.
func (t *turn) handedOverTo(to string) {
	t.s.Promise = state.Promise{Term: t.next(to), To: to, Gave: t.s.Term, Handover: true}
	t.s.Role, t.s.Dirty, t.s.Degraded = state.RoleStandby, false, nil
	t.why = "demoted and verified, for " + to
}

// closed: it is verified that this node does not write.
func (t *turn) closed() {
	t.s.Degraded = nil
	switch {
	case t.s.Role == state.RoleSuperseded, t.s.Was == state.RoleRejoining:
		t.s.Role, t.s.Was = state.RoleRejoining, ""
		t.do(Compare)
	case t.s.Was == state.RoleDiverged:
		t.s.Role, t.s.Was = state.RoleDiverged, ""
		t.do(KeepSnapshot) // the last run may not have come to it
	default:
		t.s.Role = state.RoleStandby
	}
	t.why = "it is verified that the group is read-only here"
}

// Gate tells whether the receive gate is open in a state: what Admit then says is asked of every stream.
func Gate(s *state.HA) bool { return s.Role == state.RoleStandby && !s.Dirty && s.Frozen == "" }

func (t *turn) writable() bool { return t.e.Seen == state.WritableYes }

func (t *turn) unwritable() bool { return t.e.Seen != state.WritableYes }

// closeNow: who is not to write, or no longer, stops.
func (t *turn) closeNow() {
	t.alarm(state.Error, "%s: %s stops writing", t.why, t.s.Node)
	if t.s.Role == state.RoleRejoining || t.s.Role == state.RoleDiverged {
		t.s.Was = t.s.Role
	}
	t.s.Role = state.RoleDemoting
	t.do(CloseGate)
	t.begin(JobClose)
}

func (t *turn) degrade() {
	text := unwritable + t.e.Seen
	if !slices.Contains(t.s.Degraded, text) {
		t.s.Degraded = append(t.s.Degraded, text)
		t.alarm(state.Error, "%s is active, and %s", t.s.Node, text)
	}
}

const unwritable = "the group is not writable: "

// writableAgain is as it should be.
func (t *turn) writableAgain() {
	t.s.Degraded = slices.DeleteFunc(t.s.Degraded, func(d string) bool { return strings.HasPrefix(d, unwritable) })
}

// Between two tries to do what a promotion could not.
const (
	mendFirst = 5 * time.Second
	mendMost  = 10 * time.Minute
)

// lacks tells whether it says that a step was not done.
func lacks(step string) func(string) bool {
	return func(d string) bool { return strings.HasPrefix(d, step+": ") }
}

// mendable: somebody else had the address, a service did not start. Who is active can try that again, less and less often; also
// while replication is frozen, which may be for as long as a person takes: nobody is served meanwhile.
func (t *turn) mendable() bool {
	s := &t.s
	if s.Job != nil || t.toMend("") == "" {
		return false
	}
	wait := min(mendFirst<<min(s.Mends, 10), mendMost)
	return s.Mended > t.e.Now || t.e.Now-s.Mended >= wait // the first: of an earlier run
}

// toMend is the next step that was not done, after this one; "": none.
func (t *turn) toMend(last string) string {
	for step := after(JobMend, last); step != ""; step = after(JobMend, step) {
		if slices.ContainsFunc(t.s.Degraded, lacks(step)) {
			return step
		}
	}
	return ""
}

func (t *turn) mend() {
	t.s.Mended, t.s.Mends = t.e.Now, t.s.Mends+1
	t.s.Jobs++
	t.s.Job = &state.Job{ID: t.s.Jobs, Kind: JobMend, Term: t.s.Term, Began: t.e.Now}
	t.enter(t.toMend(""))
}

// mendNext follows on a step that was done, or could not be done again.
func (t *turn) mendNext(last string) {
	if t.e.Kind == StepDone {
		t.s.Degraded = slices.DeleteFunc(t.s.Degraded, lacks(last))
		t.alarm(state.Info, "%s: the promotion could not do it, and it is done now", last)
	}
	if len(t.s.Degraded) == 0 {
		t.s.Mends = 0
	}
	if step := t.toMend(last); step != "" {
		t.enter(step)
		return
	}
	t.finished()
}

// settle begins what a person approved: the plan that was shown, in this term, and nothing else.
func (t *turn) settle() {
	c := t.e.Command
	switch {
	case c.Approval == "" || c.Term != t.s.Term:
		t.refuse("it needs the approval of its plan, in term %d: dplane ha rejoin --%s", t.s.Term, c.Name)
	default:
		t.s.Role, t.why = state.RoleRejoining, "a person chose: "+c.Name
		t.acts = append(t.acts, Action{Do: Rejoin, Step: c.Name, Command: c})
	}
}
