package ha

import (
	"fmt"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

// The lease is one more input: automatic mode comes on the same table.
func TestLease(t *testing.T) {
	near := &Lag{Known: true, Counted: true, Complete: true}
	for _, c := range []struct {
		name string
		role state.Role
		do   func(x *one)
		want string
		acts string
	}{
		{"taken: the holder has to be proved away", state.RoleStandby, func(x *one) { x.do(Event{Kind: LeaseTaken, Term: 2, Lag: near}) }, "candidate 1", "closeGate"},
		{"taken: with an agent it is fenced", state.RoleStandby, func(x *one) { x.c.Agents["b"] = true; x.do(Event{Kind: LeaseTaken, Term: 2, Lag: near}) }, "fencing 1", "closeGate fence:b"},
		{"the watchdog's time has passed", state.RoleStandby, func(x *one) {
			x.do(Event{Kind: LeaseTaken, Term: 2, Lag: near}).do(Event{Kind: Proved, Proof: &state.Proof{Kind: state.ProofWatchdog, Peer: "b", Term: 2}})
		}, "promoting 2", "promote:gate"},
		{"taken by the last holder itself", state.RoleStandby, func(x *one) { x.s.Holder = "a"; x.do(Event{Kind: LeaseTaken, Term: 2}) }, "promoting 2", "closeGate promote:gate"},
		{"taken: the lag is unknown", state.RoleStandby, func(x *one) { x.do(Event{Kind: LeaseTaken, Term: 2}) }, "standby 1", "release"},
		{"taken: too far behind", state.RoleStandby, func(x *one) {
			x.do(Event{Kind: LeaseTaken, Term: 2, Lag: &Lag{Known: true, Counted: true, Complete: true, Behind: time.Hour}})
		}, "standby 1", "release"},
		{"taken: of another etcd", state.RoleStandby, func(x *one) { x.s.Term = 5; x.do(Event{Kind: LeaseTaken, Term: 1, Lag: near}) }, "standby 5", "release"},
		{"taken while active", state.RoleActive, func(x *one) { x.do(Event{Kind: LeaseTaken, Term: 2, Lag: near}) }, "active 1", "release"},
		{"taken while paused", state.RoleStandby, func(x *one) { x.s.Paused = true; x.do(Event{Kind: LeaseTaken, Term: 2, Lag: near}) }, "standby 1", "release"},
		{"lost by a candidate", state.RoleStandby, func(x *one) { x.do(Event{Kind: LeaseTaken, Term: 2, Lag: near}).do(Event{Kind: LeaseLost}) }, "standby 1", "release openGate alarm:warn"},
		{"lost by the active one", state.RoleActive, func(x *one) { x.do(Event{Kind: LeaseLost}) }, "demoting 1", "alarm:error closeGate demote:address"},
		{"lost, and verified", state.RoleActive, func(x *one) { x.do(Event{Kind: LeaseLost}).through() }, "standby 1", ""},
		{"lost, and not verified", state.RoleActive, func(x *one) { x.do(Event{Kind: LeaseLost}).until(StepVerify).step("busy") }, "self_fenced 1", "alarm:error reset"},
		{"lost twice", state.RoleActive, func(x *one) { x.do(Event{Kind: LeaseLost}).step("").do(Event{Kind: LeaseLost}) }, "demoting 1", ""},
		{"etcd is away", state.RoleActive, func(x *one) { x.do(Event{Kind: LeaseAway}) }, "active 1", ""},
		{"etcd is away, failsafe", state.RoleActive, func(x *one) { x.c.Failsafe = true; x.do(Event{Kind: LeaseAway}) }, "active_failsafe 1", "alarm:warn"},
		{"etcd is back", state.RoleActiveFailsafe, func(x *one) { x.do(Event{Kind: LeaseBack}) }, "active 1", ""},
		{"boot of an active: only the lease promotes", state.RoleActive, func(x *one) { x.reboot().hear(standbyB) }, "standby 1", ""},
		{"a person's order waits for the lease", state.RoleStandby, func(x *one) { x.order(word) }, "standby 1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := node(t, c.role)
			x.c.Automatic = true
			c.do(x)
			if got := fmt.Sprintf("%s %d", x.s.Role, x.s.Term); got != c.want || x.acts() != c.acts {
				t.Errorf("%s, %q (%s); want %s, %q", got, x.acts(), x.why(), c.want, c.acts)
			}
		})
	}
}
