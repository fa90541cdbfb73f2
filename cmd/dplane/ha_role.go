package main

import (
	"cmp"
	"errors"

	"github.com/dplaneos/dplane/drivers/ha/gate"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// roleKnown is what the daemon wrote of this node's role; of a node that is in no group, or of which that can't be read, that it
// has none.
func (a *app) roleKnown() *state.HA {
	none := &state.HA{Role: state.RoleBoot}
	want := a.inForce.Load()
	if want == nil || want.HA == nil {
		return none
	}
	s, err := gate.Read(gate.Dir(want.Daemon.Runtime))
	if errors.Is(err, gate.ErrGone) {
		return none
	}
	if err != nil {
		a.logger().Error("this node only receives", "err", err)
		return none
	}
	if s.Node != want.Node.Name { // of the name that it had before
		return none
	}
	return s
}

// role is what the drivers go by: active, or one in which the group's datasets are only received into. Of two nodes that are
// active each goes on taking snapshots of what is written to it: what frozen says keeps them from taking anything away.
func (a *app) role() string {
	switch s := a.roleKnown(); s.Role {
	case state.RoleActive, state.RoleActiveFailsafe, state.RoleSplitBrain:
		return spec.RoleActive
	case state.RoleBoot:
		return spec.RoleStandby
	default:
		return string(s.Role)
	}
}

// term is the one in which this node sends: it is told to the others. 0: it is not the one that may.
func (a *app) term() uint64 {
	if s := a.roleKnown(); s.Holder == s.Node && !a.asksOnly {
		return s.Term
	}
	return 0
}

// frozen is why replication and pruning in the group stand still, "" where they don't.
func (a *app) frozen() string {
	s := a.roleKnown()
	if s.Role == state.RoleSplitBrain {
		return cmp.Or(s.Frozen, "two nodes are active")
	}
	return s.Frozen
}
