package handover

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// object is what the actions are of: a machine is in one group.
var object = spec.Ref{Kind: spec.KindHA, Name: "group"}

const field = "active"

// Diff compares ha.active with who is active. A group in which nobody was promoted yet, or whose lease decides, asks for nothing.
func (*Driver) Diff(in drivers.Input) drivers.Result {
	w, g := in.Want.HA, in.Have.HA
	if w == nil || g == nil || g.Term == 0 || w.Failover.Mode == "automatic" || w.Active == g.Holder || w.Peers[g.Node] == nil {
		return drivers.Result{}
	}
	v := &view{in: in, w: w, g: g, to: w.Active}
	switch {
	case g.Overruled == v.to:
		return v.blocked(fmt.Sprintf("%s was promoted by command in term %d, which overrules it", v.holder(), g.Term),
			fmt.Sprintf("nothing fails back by itself: write %s there, on every node, or switch back: %s", g.Holder, v.command()))
	case slices.ContainsFunc(in.Have.Running, func(x state.Lane) bool { return x.Kind == string(spec.KindHA) }), g.Job != "":
		return v.notice("a promotion or demotion goes on: dplane ha status")
	case g.Old:
		return v.blocked("the group is not watched: the daemon does not run here, or not on time", "systemctl start dplaned; dplane ha status")
	case g.Frozen != "" || g.Role == state.RoleSplitBrain:
		return v.blocked("replication of the group stands still: "+cmp.Or(g.Frozen, "two nodes are active"), "dplane ha status")
	case g.Acted == v.to:
		return v.blocked("a switchover to it was begun for that already, and "+v.to+" is not active", "dplane ha explain tells why; once that is mended: "+v.command())
	case g.Paused:
		return v.blocked("the group is paused here", "dplane ha resume")
	case g.Role.Writes():
		return v.active()
	}
	return v.standby()
}

// view is one comparison.
type view struct {
	in drivers.Input
	w  *spec.HA
	g  *state.Group
	to string
}

func (v *view) holder() string { return cmp.Or(v.g.Holder, "nobody that is known") }

func (v *view) command() string { return host.Command{Argv: Command(v.to)}.String() }

// active is the plan of the active node: it hands over once the other one can take all of it.
func (v *view) active() drivers.Result {
	m, known := v.g.Peers[v.to]
	switch {
	case !known || !m.Reached:
		return v.blocked(fmt.Sprintf("%s is not reached (%s): a switchover needs both sides", v.to, cmp.Or(m.State, state.PeerUnknown)),
			"where this node is to be given up: dplane ha failover, there")
	case m.Role != state.RoleStandby || m.Term != v.g.Term:
		return v.blocked(fmt.Sprintf("%s is %s in term %d, and has to be standby in term %d", v.to, m.Role, m.Term, v.g.Term), "dplane ha status, there")
	}
	return v.change(v.g.Node)
}

// standby is the plan of any other node. The active one acts by its own plan, which is the same if its files are.
func (v *view) standby() drivers.Result {
	for _, name := range slices.Sorted(maps.Keys(v.g.Peers)) {
		m := v.g.Peers[name]
		switch {
		case !m.Reached:
			return v.blocked(fmt.Sprintf("%s is not reached (%s), and it is not known whether it is active", name, m.State), "dplane ha failover --plan, on "+v.to)
		case !m.Role.Writes():
		case m.Same:
			return v.notice(fmt.Sprintf("%s, which is active, hands over by its own plan: dplane apply, there; or here: %s", name, v.command()))
		default:
			return v.blocked(name+", which is active, has other files: it does not know of that yet", "bring the files there; or here: "+v.command())
		}
	}
	return v.blocked("nobody is active who would hand over", "on "+v.to+": dplane ha failover --plan shows what would be lost")
}

func (v *view) says() string { return fmt.Sprintf("ha.active says %s", v.to) }

func (v *view) notice(text string) drivers.Result {
	return drivers.Result{Notices: []string{fmt.Sprintf("%s: %s: %s", v.w.ActivePos.At(), v.says(), text)}}
}

func (v *view) blocked(why string, notes ...string) drivers.Result {
	return drivers.Result{Actions: []drivers.Action{{
		Object: object, Verb: drivers.Blocked, Notes: notes,
		Fields: []drivers.Field{{Name: field, From: v.g.Holder, To: v.to}},
		Reason: drivers.Reason{Code: drivers.Conflict, At: v.w.ActivePos.At(), Observed: v.says() + "; " + why},
	}}}
}

// change is the switchover.
func (v *view) change(from string) drivers.Result {
	return drivers.Result{Actions: []drivers.Action{{
		Object: object, Verb: drivers.Update, Risk: spec.Disruptive, Long: true,
		Fields: []drivers.Field{{Name: field, From: from, To: v.to}},
		Reason: drivers.Reason{Code: drivers.Drift, At: v.w.ActivePos.At(), Observed: fmt.Sprintf("%s; %s is active, in term %d", v.says(), from, v.g.Term)},
		Steps:  []host.Command{{Argv: Command(v.to), Effect: host.Writes}},
		Undo:   "write " + from + " there: that is a switchover back",
		Notes:  []string{"clients are cut off for some seconds", "it is tried once: what fails before the promise is taken back, and then a person looks first"},
	}}}
}
