package ha

import (
	"time"

	"github.com/dplaneos/dplane/state"
)

// Local is what a beat says of this node beside its role.
type Local struct {
	Shared string
	Sick   []string
	// Unlooked: Sick were not looked at lately.
	Unlooked bool
	Late     []string
	Group    map[string]state.Published
	Looked   time.Time // when Group was so, by this node's wall clock
}

// Speak is the next beat to a peer, of what is persisted; it counts it in s.
func Speak(s *state.HA, to string, l Local, at time.Time) state.Beat {
	s.Counter++
	b := state.Beat{
		Version: 1, Node: s.Node, Boot: s.Boot, Counter: s.Counter, Heard: s.Peers[to].Seen,
		Role: s.Role, Term: s.Term, Active: s.Holder, Paused: s.Paused, Frozen: s.Frozen,
		At: at, Shared: l.Shared, Sick: l.Sick, Unlooked: l.Unlooked, Late: l.Late, Group: l.Group,
	}
	if s.Role == state.RoleCandidate || s.Role == state.RoleFencing {
		b.Want = s.Job.Term
	} else if s.Role.Quiet() && s.Promise.Term > s.Term {
		p := s.Promise
		b.Promise = &p
	}
	return b
}
