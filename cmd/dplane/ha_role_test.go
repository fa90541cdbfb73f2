package main

import (
	"os"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/ha/gate"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// The role is read again before each action on the group: of two active nodes each goes on taking snapshots, and takes nothing
// away; what a dead daemon left behind is no role.
func TestEnter(t *testing.T) {
	want := &spec.Spec{HA: &spec.HA{Datasets: []spec.DatasetName{"tank/home"}}}
	want.Node.Name, want.Daemon.Runtime = "nas-a", t.TempDir()+"/run"
	a := &app{edges: edges{stdout: t.Output(), stderr: t.Output()}, logLevel: "error"}
	a.inForce.Store(want)
	action := func(kind spec.Kind, verb drivers.Verb, words ...string) reconcile.Planned {
		return reconcile.Planned{Action: drivers.Action{Object: spec.Ref{Kind: kind, Name: "x"}, Verb: verb, Risk: spec.Safe, Steps: []host.Command{{Argv: words}}}}
	}
	take := action(spec.KindSchedule, drivers.Create, "zfs", "snapshot", "tank/home/anna@now")
	prune := action(spec.KindSchedule, drivers.Destroy, "zfs", "destroy", "tank/home/anna@then")
	send := action(spec.KindReplication, drivers.Run, "zfs", "send", "tank/home@now")
	other := action(spec.KindSchedule, drivers.Destroy, "zfs", "destroy", "tank/homely@then")
	may := func(role state.HA, want string, actions ...reconcile.Planned) {
		t.Helper()
		for _, x := range actions {
			_, leave, err := a.enter(t.Context(), x)
			switch {
			case err == nil:
				leave()
				if want != "" {
					t.Errorf("as %s, %s: it may", role.Role, x.Steps[0])
				}
			case want == "" || !strings.Contains(err.Error(), want):
				t.Errorf("as %s, %s: %v, want %q", role.Role, x.Steps[0], err, want)
			}
		}
	}
	keeper := &gate.Keeper{}
	is := func(s state.HA) state.HA {
		t.Helper()
		s.Node, s.Holder, s.Term = "nas-a", "nas-a", 3
		if err := keeper.Write(gate.Dir(want.Daemon.Runtime), &s, os.Geteuid()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	may(is(state.HA{Role: state.RoleActive}), "", take, prune, send, other)
	may(is(state.HA{Role: state.RoleStandby}), "it is standby", take, prune, send)
	for _, s := range []state.HA{{Role: state.RoleSplitBrain, Frozen: "two"}, {Role: state.RoleSplitBrain}, {Role: state.RoleActive, Frozen: "two"}} {
		may(is(s), "", take, other)
		may(s, "stand still: two", prune, send)
	}
	is(state.HA{Role: state.RoleActive})
	if a.term() != 3 || a.role() != spec.RoleActive {
		t.Errorf("%d, %s", a.term(), a.role())
	}
	keeper.Close()
	if a.term() != 0 {
		t.Error("a dead daemon gives a term to send in")
	}
	may(state.HA{Role: "dead"}, "it is standby", take, prune, send)
	may(state.HA{Role: "dead"}, "", other)
}
