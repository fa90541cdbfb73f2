package ha

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

type mutant struct {
	name  string
	rules string // one of these has to be named
	from  int64  // a seed before one that is known to catch it; the search goes on to 4000 more
	plant func() rules
}

// mutants are faults that must be caught: by the history of the simulation, and so that the rule it breaks is named. A
// checker that lets one live is worth nothing.
var mutants = []mutant{
	{"no proof", "I1 I2", 1, func() rules {
		return replaced(func(r *row) bool {
			return r.on == Commanded && slices.Contains(r.in, state.RoleDiverged) && r.why == "" && len(r.in) == 3
		},
			func(t *turn) {
				term := t.next(t.s.Node)
				t.begin(JobAttempt)
				t.s.Job.Term = term
				t.promote()
			})
	}},
	{"unreachable is taken for dead", "I1 I2", 1, func() rules {
		return replaced(func(r *row) bool { return r.on == Missed }, func(t *turn) {
			if !t.reached(t.e.Peer) {
				t.prove(state.ProofFenced, t.e.Peer, "")
			}
			t.muster()
		})
	}},
	{"the term is ignored", "I1 I6 I7", 1, func() rules {
		return preceded(func(s *state.HA, e *Event) {
			if e.Kind == Heard {
				b := *e.Beat
				if b.Term > s.Term {
					b.Term, b.Active = s.Term, s.Holder
				}
				e.Beat = &b
			}
		})
	}},
	{"unknown is counted as reachable", "I1 I6", 1, func() rules {
		m := sound()
		m.answers = func(p state.PeerHealth, lim Limits, now time.Duration, ok func(*state.Beat) bool) bool {
			return p.Last == nil || ok(p.Last)
		}
		m.rows = append([]row{{standby, Ticked, (*turn).mayResume, (*turn).resume, ""}}, m.rows...)
		return rules{m.decide, Admit}
	}},
	{"an unknown lag is taken for none", "I5", 1, func() rules {
		m := sound()
		m.exceeds = func(l Lag, max spec.Lag) string {
			if !l.Known {
				return ""
			}
			return l.Exceeds(max)
		}
		return rules{m.decide, Admit}
	}},
	{"a demotion is not verified", "I1 I2", 1, func() rules {
		return preceded(func(_ *state.HA, e *Event) {
			if e.Kind == StepFailed && e.Step == StepVerify {
				e.Kind = StepDone
			}
		})
	}},
	{"the receive gate ignores the term", "I7", 1, func() rules {
		return rules{sound().decide, func(s *state.HA, _ string, _ uint64) string { return Admit(s, s.Holder, s.Term) }}
	}},
	{"the receive gate ignores the role", "I7", 1, func() rules {
		return rules{sound().decide, func(s *state.HA, sender string, term uint64) string {
			as := *s
			as.Role, as.Dirty = state.RoleStandby, false
			return Admit(&as, sender, term)
		}}
	}},
	{"a stale beat is taken in", "I1 I6", 590, func() rules {
		m := sound()
		m.stale = func(state.PeerHealth, *state.Beat, state.Heard) string { return "" }
		return rules{m.decide, Admit}
	}},
	{"two that write are not found", "I1", 3940, func() rules {
		return replaced(func(r *row) bool { return r.on == Heard && r.why == "two nodes are active" }, func(*turn) {})
	}},
	{"a restart is a licence", "I1 I6", 1, func() rules {
		m := sound()
		m.rows = append([]row{{standby, Ticked, (*turn).remembers, (*turn).resume, ""}}, m.rows...)
		return rules{m.decide, Admit}
	}},
}

// replaced plants another deed in the row that is.
func replaced(is func(*row) bool, then func(*turn)) rules {
	m := sound()
	m.rows = slices.Clone(m.rows)
	found := 0
	for i := range m.rows {
		if r := &m.rows[i]; is(r) {
			found++
			r.then = then
		}
	}
	if found != 1 {
		panic("the row that the fault is planted in is not there, or not alone")
	}
	return rules{m.decide, Admit}
}

// preceded bends what comes in.
func preceded(bend func(*state.HA, *Event)) rules {
	m := sound()
	return rules{func(s state.HA, e Event, c Config) (state.HA, []Action) {
		bend(&s, &e)
		return m.decide(s, e, c)
	}, Admit}
}

func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			r := m.plant()
			for seed := m.from; seed < m.from+4000; seed++ {
				for _, wrong := range simulate(seed, r, nil) {
					if slices.Contains(strings.Fields(m.rules), strings.Split(wrong, ":")[0]) {
						t.Logf("caught by seed %d: %s", seed, wrong)
						return
					}
				}
			}
			t.Error("it lives")
		})
	}
}
