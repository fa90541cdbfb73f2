package handover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/drivertest"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func TestGolden(t *testing.T) { drivertest.Golden(t, new(Driver).Diff) }

func group() *state.Group {
	return &state.Group{Node: "nas-a", Role: state.RoleActive, Term: 3, Holder: "nas-a", Peers: map[string]state.Mate{
		"nas-b": {State: state.PeerHealthy, Reached: true, Role: state.RoleStandby, Term: 3, Same: true},
	}}
}

func files(active string) *spec.Spec {
	return &spec.Spec{HA: &spec.HA{Active: active, ActivePos: spec.Pos{File: "ha.yaml", Line: 7}, Failover: spec.Failover{Mode: "manual"},
		Peers: map[string]*spec.Peer{"nas-a": {}, "nas-b": {}}}}
}

// One node acts, and only where it can come to something; what a command overruled, or was tried, is blocked.
func TestDiff(t *testing.T) {
	asB := func(g *state.Group) {
		g.Node, g.Role = "nas-b", state.RoleStandby
		g.Peers = map[string]state.Mate{"nas-a": {State: state.PeerHealthy, Reached: true, Role: state.RoleActive, Term: 3, Same: true}}
	}
	quietA := func(g *state.Group) {
		asB(g)
		g.Peers["nas-a"] = state.Mate{State: state.PeerHealthy, Reached: true, Role: state.RoleStandby, Term: 3, Same: true}
	}
	mate := func(m state.Mate) func(g *state.Group) { return func(g *state.Group) { g.Peers["nas-b"] = m } }
	for _, c := range []struct {
		name, active string
		is           func(g *state.Group)
		want         string // "": nothing
	}{
		{"as declared", "nas-a", nil, ""},
		{"edited", "nas-b", nil, "update disruptive: ha.active says nas-b; nas-a is active, in term 3 $ dplane ha switchover --to nas-b"},
		{"nobody was promoted yet", "nas-b", func(g *state.Group) { g.Term, g.Holder, g.Role = 0, "", state.RoleStandby }, ""},
		{"overruled", "nas-b", func(g *state.Group) { g.Overruled = "nas-b" }, "blocked: ha.active says nas-b; nas-a was promoted by command in term 3, which overrules it"},
		{"overruled, on the other node", "nas-b", func(g *state.Group) { asB(g); g.Overruled = "nas-b" }, "blocked: ha.active says nas-b; nas-a was promoted by command"},
		{"overruled, and edited", "nas-b", func(g *state.Group) { g.Overruled = "nas-c" }, "update disruptive"},
		{"tried", "nas-b", func(g *state.Group) { g.Acted = "nas-b" }, "blocked: ha.active says nas-b; a switchover to it was begun for that already"},
		{"it goes on", "nas-b", func(g *state.Group) { g.Job, g.Role = "handover", state.RoleDemoting }, "notice: ha.yaml:7: ha.active says nas-b: a promotion or demotion goes on"},
		{"paused", "nas-b", func(g *state.Group) { g.Paused = true }, "blocked: ha.active says nas-b; the group is paused"},
		{"frozen", "nas-b", func(g *state.Group) { g.Frozen = "two nodes were active" }, "blocked: ha.active says nas-b; replication of the group stands still: two nodes were active"},
		{"two are active", "nas-b", func(g *state.Group) { g.Role = state.RoleSplitBrain }, "blocked: ha.active says nas-b; replication of the group stands still"},
		{"the daemon is gone", "nas-b", func(g *state.Group) { g.Old = true }, "blocked: ha.active says nas-b; the group is not watched"},
		{"the other one is gone", "nas-b", mate(state.Mate{State: state.PeerUnreachable}), "blocked: ha.active says nas-b; nas-b is not reached (unreachable)"},
		{"the other one has diverged", "nas-b", mate(state.Mate{Reached: true, Role: state.RoleDiverged, Term: 3}), "blocked: ha.active says nas-b; nas-b is diverged in term 3"},
		{"the other one is behind", "nas-b", mate(state.Mate{Reached: true, Role: state.RoleStandby, Term: 2}), "blocked: ha.active says nas-b; nas-b is standby in term 2"},
		{"the standby leaves it to the active one", "nas-b", asB, "notice: ha.yaml:7: ha.active says nas-b: nas-a, which is active, hands over by its own plan"},
		{"which has other files", "nas-b", func(g *state.Group) { asB(g); m := g.Peers["nas-a"]; m.Same = false; g.Peers["nas-a"] = m }, "blocked: ha.active says nas-b; nas-a, which is active, has other files"},
		{"which is gone", "nas-b", func(g *state.Group) { asB(g); g.Peers["nas-a"] = state.Mate{State: state.PeerUnreachable} }, "blocked: ha.active says nas-b; nas-a is not reached"},
		{"nobody is active", "nas-b", quietA, "blocked: ha.active says nas-b; nobody is active"},
		{"nobody is active, and it is another one that is to be", "nas-c", quietA, "blocked: ha.active says nas-c; nobody is active"},
		{"nobody is active, and this one can't be", "nas-b", func(g *state.Group) { quietA(g); g.Role = state.RoleDiverged }, "blocked: ha.active says nas-b; nobody is active"},
	} {
		in := drivers.Input{Want: files(c.active), Have: &state.Observed{HA: group()}}
		if c.is != nil {
			c.is(in.Have.HA)
		}
		if got := brief(new(Driver).Diff(in)); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	in := drivers.Input{Want: files("nas-b"), Have: &state.Observed{HA: group(), Running: []state.Lane{{Kind: "ha", Name: "group"}}}}
	if got := brief(new(Driver).Diff(in)); !strings.HasPrefix(got, "notice") {
		t.Errorf("while it is done: %s", got)
	}
	in = drivers.Input{Want: files("nas-b"), Have: &state.Observed{HA: group()}}
	in.Want.HA.Failover.Mode = "automatic"
	if got := brief(new(Driver).Diff(in)); got != "" {
		t.Errorf("the lease decides: %s", got)
	}
}

func brief(r drivers.Result) string {
	text := ""
	for _, n := range r.Notices {
		text += "notice: " + n
	}
	for _, a := range r.Actions {
		text += string(a.Verb)
		if a.Verb != drivers.Blocked {
			text += " " + a.Risk.String()
		}
		text += ": " + a.Reason.Observed
		for _, s := range a.Steps {
			text += " $ " + s.String()
		}
		if a.Reason.At != "ha.yaml:7" {
			text += " AT " + a.Reason.At
		}
		if a.Verb == drivers.Blocked && (len(a.Notes) == 0 || len(a.Steps) > 0) {
			text += " WITHOUT A WAY OUT"
		}
	}
	return text
}

// A record that is old tells of nobody that he is reached, and neither does a beat that is.
func TestSeen(t *testing.T) {
	at := time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC)
	rec := func() *state.HARecord {
		return &state.HARecord{At: at, Every: 15 * time.Second, Misses: 2, Peers: []state.HAPeer{{Name: "b"}}, HA: state.HA{
			Node: "a", Role: state.RoleActive, Term: 3, Holder: "a", Job: &state.Job{Kind: "handover"}, Overruled: "x", Acted: "y",
			Peers: map[string]state.PeerHealth{"b": {State: state.PeerHealthy, LastAt: at, Last: &state.Beat{Role: state.RoleStandby, Term: 3, Shared: "h"}}},
		}}
	}
	for _, c := range []struct {
		name string
		does func(r *state.HARecord)
		age  time.Duration
		want string
	}{
		{"well", func(*state.HARecord) {}, 0, "false {healthy true standby 3 true}"},
		{"old", func(*state.HARecord) {}, time.Minute, "true {healthy false  0 false}"},
		{"of later", func(*state.HARecord) {}, -time.Minute, "true {healthy false  0 false}"},
		{"other files", func(r *state.HARecord) { r.HA.Peers["b"].Last.Shared = "i" }, 0, "false {healthy true standby 3 false}"},
		{"an old beat", func(r *state.HARecord) { r.At = at.Add(31 * time.Second) }, 31 * time.Second, "false {healthy false  0 false}"},
		{"a stale one", func(r *state.HARecord) { p := r.HA.Peers["b"]; p.Stale = true; r.HA.Peers["b"] = p }, 0, "false {healthy false  0 false}"},
		{"unreachable", func(r *state.HARecord) { p := r.HA.Peers["b"]; p.State = state.PeerUnreachable; r.HA.Peers["b"] = p }, 0, "false {unreachable false  0 false}"},
	} {
		r := rec()
		c.does(r)
		g := Seen(r, "h", at.Add(c.age))
		if got := fmt.Sprintf("%t %v", g.Old, g.Peers["b"]); got != c.want || g.Job != "handover" || g.Overruled != "x" || g.Acted != "y" || g.Term != 3 {
			t.Errorf("%s: %s, want %s (%+v)", c.name, got, c.want, g)
		}
	}
	off := rec()
	off.Off = true
	if Seen(off, "h", at) != nil || Seen(nil, "h", at) != nil {
		t.Error("a group was seen where there is none")
	}
}

// The daemon is asked for what was shown, and for nothing else.
func TestApply(t *testing.T) {
	in := drivers.Input{Want: files("nas-b"), Have: &state.Observed{HA: group()}}
	a := new(Driver).Diff(in).Actions[0]
	asked := ""
	d := &Driver{Order: func(_ context.Context, to string) error { asked = to; return errors.New("it is refused") }}
	if err := d.Apply(t.Context(), a); err == nil || asked != "nas-b" || !strings.Contains(err.Error(), "to nas-b: it is refused") {
		t.Errorf("asked for %q: %v", asked, err)
	}
	if err := new(Driver).Apply(t.Context(), a); err == nil {
		t.Error("done without leave")
	}
	a.Verb, asked = drivers.Blocked, ""
	if err := d.Apply(t.Context(), a); err == nil || asked != "" {
		t.Error("what is blocked was done")
	}
}
