package ha

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// one is node a of a pair with b, whose beats it takes in.
type one struct {
	t testing.TB
	s state.HA
	c Config

	sent    uint64 // beats of b
	boot    string // b's run
	now     time.Duration
	did     []Action
	replays bool
}

func node(t testing.TB, role state.Role) *one {
	c := Config{Peers: []string{"b"}, Limits: limits, Agents: map[string]bool{}, Patience: 45 * time.Second, Shared: "h", MaxLag: spec.Lag{Time: spec.Duration(time.Minute)}}
	s := state.HA{Node: "a", Boot: "a1", Role: role, Term: 1, Holder: "b", Declared: "b", Writable: state.WritableNo, Peers: map[string]state.PeerHealth{}}
	if role.Writes() || role == state.RolePromoting || role == state.RoleDemoting {
		s.Holder, s.Declared, s.Writable, s.Opened, s.Dirty = "a", "a", state.WritableYes, true, true
	}
	x := &one{t: t, s: s, c: c, boot: "b1", replays: true}
	x.meet()
	return x
}

// meet: b is seen, so that its next beat is taken in.
func (x *one) meet() {
	x.s.Peers["b"] = state.PeerHealth{Node: "b", State: state.PeerUnknown, Seen: state.Heard{Boot: x.boot}}
	x.s.Counter++
}

func (x *one) do(e Event) *one {
	x.t.Helper()
	e.Now, e.At = x.now, noon.Add(x.now)
	before := x.s
	x.s, x.did = Decide(x.s, e, x.c)
	if x.replays {
		x.replay(Inputs{State: before, Event: e, Config: x.c})
	}
	for i, a := range x.did {
		if a.Do == Persist && i != 0 {
			x.t.Errorf("%s: persist is number %d", e.Kind, i)
		}
	}
	return x
}

// replay: the record of a decision gives the same decision again.
func (x *one) replay(in Inputs) {
	x.t.Helper()
	d, err := Explain(in, x.s, x.did)
	if err != nil {
		x.t.Fatal(err)
	}
	if d == nil {
		if in.State.Role != x.s.Role {
			x.t.Errorf("%s to %s leaves no record", in.State.Role, x.s.Role)
		}
		return
	}
	_, after, acts, err := Replay(d)
	if err != nil {
		x.t.Fatal(err)
	}
	if got, want := text(after, acts), text(x.s, x.did); got != want {
		x.t.Errorf("replayed:\n%s\nwant:\n%s", got, want)
	}
}

func text(parts ...any) string {
	b, _ := json.Marshal(parts)
	return string(b)
}

func (x *one) hear(b state.Beat) *one {
	x.t.Helper()
	x.sent++
	b.Version, b.Node, b.Boot, b.Counter = 1, "b", x.boot, x.sent
	b.Heard, b.At, b.Shared = state.Heard{Boot: x.s.Boot, Counter: x.s.Counter}, noon.Add(x.now), "h"
	return x.do(Event{Kind: Heard, Peer: "b", Beat: &b})
}

func (x *one) miss() *one { return x.do(Event{Kind: Missed, Peer: "b"}) }

// lost: two beats are missed.
func (x *one) lost() *one { return x.miss().miss() }

func (x *one) order(c Command) *one { return x.do(Event{Kind: Commanded, Command: &c}) }

// step reports the step that goes on: as done, or as failed with why.
func (x *one) step(why string) *one {
	kind := StepDone
	if why != "" {
		kind = StepFailed
	}
	return x.do(Event{Kind: kind, Job: x.s.Job.ID, Step: x.s.Job.Step, Why: why})
}

// lacks: the promotion could not do this.
func (x *one) lacks(what ...string) *one { x.s.Degraded = what; return x }

// tick: time went by.
func (x *one) tick(d time.Duration) *one { x.now += d; return x.do(Event{Kind: Ticked}) }

// through does the steps that remain.
func (x *one) through() *one {
	for n := 0; x.s.Job != nil && x.s.Job.Step != "" && n < 30; n++ {
		x.step("")
	}
	return x
}

// until does the steps before this one.
func (x *one) until(step string) *one {
	for n := 0; x.s.Job != nil && x.s.Job.Step != step && n < 30; n++ {
		x.step("")
	}
	return x
}

// acts are the actions in short, without persist, record and tell.
func (x *one) acts() string {
	var all []string
	for _, a := range x.did {
		word := a.Do
		switch a.Do {
		case Persist, Record, Tell:
			continue
		case Alarm:
			word += ":" + a.Level
		}
		if a.Step != "" {
			word += ":" + a.Step
		}
		if a.Peer != "" {
			word += ":" + a.Peer
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}

func (x *one) why() string {
	for _, a := range x.did {
		if a.Do == Record {
			return a.Text
		}
	}
	return ""
}
