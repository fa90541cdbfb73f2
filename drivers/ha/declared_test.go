package ha

import (
	"fmt"
	"testing"

	"github.com/dplaneos/dplane/state"
)

// What ha.active says counts when it is edited: whoever is promoted overrules what it said until then, on every node, and what it
// asks for is begun once.
func TestDeclared(t *testing.T) {
	activeIn2 := state.Beat{Role: state.RoleActive, Term: 2, Active: "b"}
	edited := func(to string) Event { return Event{Kind: Files, Active: to} }
	for _, c := range []struct {
		name string
		role state.Role
		do   func(x *one)
		want string // declared, overruled, acted
	}{
		{"promoted by command", state.RoleStandby, func(x *one) { x.hear(activeB).lost(); x.order(word) }, "b b -"},
		{"and edited after that", state.RoleStandby, func(x *one) { x.hear(activeB).lost(); x.order(word); x.do(edited("a")) }, "a - -"},
		{"and edited, and back", state.RoleStandby, func(x *one) { x.hear(activeB).lost(); x.order(word); x.do(edited("a")).do(edited("b")) }, "b - -"},
		{"another one was promoted", state.RoleActive, func(x *one) { x.hear(activeIn2) }, "a a -"},
		{"the one that the files name was promoted", state.RoleActive, func(x *one) { x.do(edited("b")).hear(activeIn2) }, "b - -"},
		{"an older promotion overruled it, and the files are obeyed now", state.RoleStandby, func(x *one) { x.s.Overruled = "b"; x.hear(activeIn2) }, "b - -"},
		{"of one term another one holds it", state.RoleStandby, func(x *one) { x.s.Holder, x.s.Declared = "c", "c"; x.hear(activeB) }, "c c -"},
		{"a switchover that the files ask for", state.RoleActive, func(x *one) { x.do(edited("b")).hear(standbyB).order(Command{Name: Switchover, To: "b"}) }, "b - b"},
		{"one that they don't ask for", state.RoleActive, func(x *one) { x.hear(standbyB).order(Command{Name: Switchover, To: "b"}) }, "a - -"},
		{"one that is refused was not begun", state.RoleActive, func(x *one) { x.do(edited("b")).hear(standbyB).lost().order(Command{Name: Switchover, To: "b"}) }, "b - -"},
		{"one that fails is not begun again", state.RoleActive, func(x *one) {
			x.do(edited("b")).hear(standbyB).order(Command{Name: Switchover, To: "b"}).until(StepSend).step("cut").through()
		}, "b - b"},
		{"but when it is edited", state.RoleActive, func(x *one) { x.s.Acted, x.s.Declared = "b", "b"; x.do(edited("c")).do(edited("b")) }, "b - -"},
		{"nobody is active who would hand over: it is refused", state.RoleStandby, func(x *one) {
			x.s.Term, x.s.Holder = 1, "b"
			x.do(edited("a")).hear(standbyOf)
			x.order(Command{Name: Switchover, To: "a", Lag: &Lag{Known: true, Counted: true, Complete: true}})
		}, "a - -"},
		{"a restart forgets nothing of it", state.RoleActive, func(x *one) { x.s.Declared, x.s.Overruled, x.s.Acted = "b", "b", "b"; x.reboot() }, "b b b"},
	} {
		x := node(t, c.role)
		c.do(x)
		dash := func(s string) string {
			if s == "" {
				return "-"
			}
			return s
		}
		if got := fmt.Sprintf("%s %s %s", dash(x.s.Declared), dash(x.s.Overruled), dash(x.s.Acted)); got != c.want {
			t.Errorf("%s: %s, want %s (%s)", c.name, got, c.want, x.why())
		}
	}
}
