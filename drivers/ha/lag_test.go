package ha

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// points writes snapshots short: s5 was taken five minutes after noon.
func points(text string) []state.Point {
	var all []state.Point
	for i, name := range strings.Fields(text) {
		at, _ := time.ParseDuration(strings.TrimLeft(name, "s") + "m")
		all = append(all, state.Point{Name: name, GUID: "g" + name, TXG: uint64(i), Creation: noon.Add(at)})
	}
	return all
}

func TestMeasure(t *testing.T) {
	group := []string{"tank/a", "tank/b"}
	at := noon.Add(10 * time.Minute)
	pub := func(a, b string, written uint64) map[string]state.Published {
		return map[string]state.Published{"tank/a": {GUID: a, Written: written}, "tank/b": {GUID: b}}
	}
	limit := spec.Lag{Time: spec.Duration(5 * time.Minute), Bytes: 100}
	for _, c := range []struct {
		name      string
		published map[string]state.Published
		a, b      string
		set       string
		behind    time.Duration
		why       string // why it exceeds; "": it does not
	}{
		{"all is here", pub("gs9", "gs9", 0), "s8 s9", "s8 s9", "s9", time.Minute, ""},
		{"as much as may be lost", pub("gs5", "gs5", 100), "s5", "s5", "s5", 5 * time.Minute, ""},
		{"too old", pub("gs4", "gs4", 0), "s4", "s4", "s4", 6 * time.Minute, "6m0s old"},
		{"too much written", pub("gs9", "gs9", 101), "s9", "s9", "s9", time.Minute, "101 bytes"},
		{"one lacks the newest set", pub("gs9", "gs9", 0), "s8 s9", "s8", "s8", 2 * time.Minute, "not complete"},
		{"none has the newest", pub("gs9", "gs9", 0), "s8", "s8", "s8", 2 * time.Minute, "how much was written since is unknown"},
		{"no set at all", pub("gs9", "gs9", 0), "s9", "s8", "", 0, "how much is missing is unknown"},
		{"nothing here", pub("gs9", "gs9", 0), "", "", "", 0, "how much is missing is unknown"},
		{"the active one never said", nil, "s9", "s9", "s9", time.Minute, "how much was written since is unknown"},
		{"it said nothing of one dataset", map[string]state.Published{"tank/a": {GUID: "gs9"}}, "s9", "s9", "s9", time.Minute, "how much was written since is unknown"},
		{"dated in the future", pub("gs99", "gs99", 0), "s99", "s99", "s99", -89 * time.Minute, "dated in the future"},
		{"one is ahead of the set", pub("gs9", "gs8", 0), "s8 s9", "s8", "s8", 2 * time.Minute, "tank/a is not at the set"},
	} {
		l := Measure(group, c.published, map[string][]state.Point{"tank/a": points(c.a), "tank/b": points(c.b)}, at)
		if why := l.Exceeds(limit); l.Set != c.set || l.Behind != c.behind || (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s: set %q, behind %s, %q; want %q, %s, %q", c.name, l.Set, l.Behind, why, c.set, c.behind, c.why)
		}
	}
}

// Where no limit is declared, nothing may be lost unasked; where one is, it is the limit.
func TestNoLimitIsNoLoss(t *testing.T) {
	l := Lag{Known: true, Counted: true, Complete: true, Behind: time.Minute}
	if why := l.Exceeds(spec.Lag{}); why != "" {
		t.Error(why)
	}
	l.Bytes = 1
	if why := l.Exceeds(spec.Lag{}); !strings.Contains(why, "no maxLag") {
		t.Errorf("%q", why)
	}
	if why := l.Exceeds(spec.Lag{Time: spec.Duration(time.Hour)}); why != "" {
		t.Error(why)
	}
}

// What is unknown exceeds every bound, also where none is declared.
func TestUnknownIsNotZero(t *testing.T) {
	for _, l := range []Lag{{}, {Known: true, Complete: true}, {Counted: true, Complete: true}, {Known: true, Counted: true}, Measure(nil, nil, nil, noon)} {
		if l.Exceeds(spec.Lag{}) == "" {
			t.Errorf("%+v is within bounds", l)
		}
	}
}

func TestAdmit(t *testing.T) {
	well := state.HA{Node: "a", Role: state.RoleStandby, Term: 3, Holder: "b"}
	with := func(change func(*state.HA)) state.HA {
		s := well
		change(&s)
		return s
	}
	for _, c := range []struct {
		name   string
		s      state.HA
		sender string
		term   uint64
		why    string // "": it is admitted
	}{
		{"the holder, in its term", well, "b", 3, ""},
		{"an older term", well, "b", 2, "term 3 is known here"},
		{"a term that was not heard of", well, "b", 4, "no beat was heard"},
		{"another node", well, "c", 3, "the holder of term 3"},
		{"nobody", well, "", 3, "the holder of term 3"},
		{"nobody, with no holder", with(func(s *state.HA) { s.Holder = "" }), "", 3, "the holder of term 3"},
		{"it wrote itself", with(func(s *state.HA) { s.Dirty = true }), "b", 3, "it is not settled"},
		{"frozen", with(func(s *state.HA) { s.Frozen = "two" }), "b", 3, "frozen"},
	} {
		if got := Admit(&c.s, c.sender, c.term); (got == "") != (c.why == "") || !strings.Contains(got, c.why) {
			t.Errorf("%s: %q, want %q", c.name, got, c.why)
		}
	}
	for _, r := range []state.Role{state.RoleBoot, state.RoleCandidate, state.RoleFencing, state.RolePromoting, state.RoleActive, state.RoleDemoting,
		state.RoleSuperseded, state.RoleRejoining, state.RoleDiverged, state.RoleSplitBrain, state.RoleActiveFailsafe, state.RoleSelfFenced, ""} {
		if s := with(func(s *state.HA) { s.Role = r }); Admit(&s, "b", 3) == "" {
			t.Errorf("a node that is %q receives", r)
		}
	}
}

// What Admit says after a transfer is what counts: the term went on meanwhile.
func TestAdmitAfterThePromotion(t *testing.T) {
	x := node(t, state.RoleStandby)
	x.hear(activeB)
	if why := Admit(&x.s, "b", 1); why != "" {
		t.Fatal(why)
	}
	if x.order(word).lost(); Admit(&x.s, "b", 1) == "" {
		t.Error("a stream of before is admitted after the promotion began")
	}
}

func TestSpeak(t *testing.T) {
	x := node(t, state.RoleStandby)
	x.hear(state.Beat{Role: state.RoleCandidate, Term: 1, Active: "b", Want: 2})
	b := Speak(&x.s, "b", Local{Shared: "h"}, noon)
	if b.Promise == nil || b.Promise.Term != 2 || b.Promise.To != "b" || b.Heard.Boot != "b1" || b.Heard.Counter != x.sent || b.Counter != x.s.Counter {
		t.Errorf("%+v", b)
	}
	// Once the term was taken, or another one is tried, the promise is no longer said.
	x.s.Term = 2
	if b := Speak(&x.s, "b", Local{}, noon); b.Promise != nil {
		t.Errorf("%+v", b.Promise)
	}
	x.s.Term = 1
	x.order(allowed)
	if b := Speak(&x.s, "b", Local{}, noon); b.Promise != nil || b.Want != 3 {
		t.Errorf("%+v, wants %d", b.Promise, b.Want)
	}
}

// What is not known, or is not here, is never little.
func TestReplicaLag(t *testing.T) {
	at := time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC)
	snap := func(guid string, ago time.Duration, written uint64) state.Published {
		return state.Published{GUID: guid, Creation: at.Add(-ago), Written: written}
	}
	type group = map[string]state.Published
	for _, c := range []struct {
		name    string
		own     group
		there   group
		does    func(l *Local, p *state.PeerHealth)
		lag     time.Duration
		unknown bool
	}{
		{"the oldest counts", group{"a": snap("1", time.Minute, 0), "b": snap("2", time.Hour, 0)}, group{"a": snap("9", 0, 1), "b": snap("8", 0, 1)}, nil, time.Hour, false},
		{"nothing was written since", group{"a": snap("1", time.Hour, 0)}, group{"a": snap("1", time.Hour, 0)}, nil, 10 * time.Second, false},
		{"something was", group{"a": snap("1", time.Hour, 0)}, group{"a": snap("1", time.Hour, 4096)}, nil, time.Hour, false},
		{"what the active one has no more", group{"a": snap("1", time.Minute, 0), "gone": snap("2", time.Hour, 0)}, group{"a": snap("9", 0, 1)}, nil, time.Minute, false},
		{"a part is not here", group{"a": snap("1", time.Minute, 0)}, group{"a": snap("1", 0, 0), "b": snap("2", 0, 0)}, nil, 0, true},
		{"no snapshot", group{"a": {}}, group{"a": {}}, nil, 0, true},
		{"of the future", group{"a": snap("1", -time.Minute, 0)}, group{"a": snap("2", 0, 0)}, nil, 0, true},
		{"nothing here", nil, group{"a": snap("1", 0, 0)}, nil, 0, true},
		{"the active one told nothing", group{"a": snap("1", time.Minute, 0)}, nil, nil, 0, true},
		{"of before the restart", group{"a": snap("1", time.Minute, 0)}, group{"a": snap("1", 0, 0)}, func(_ *Local, p *state.PeerHealth) { p.Stale = true }, 0, true},
		{"never heard", group{"a": snap("1", time.Minute, 0)}, group{"a": snap("1", 0, 0)}, func(_ *Local, p *state.PeerHealth) { p.Last = nil }, 0, true},
		{"not active any more", group{"a": snap("1", time.Minute, 0)}, group{"a": snap("1", 0, 0)}, func(_ *Local, p *state.PeerHealth) { p.Last.Role = state.RoleStandby }, 0, true},
		{"not looked at for long", group{"a": snap("1", time.Minute, 0)}, group{"a": snap("1", 0, 0)}, func(l *Local, _ *state.PeerHealth) { l.Looked = at.Add(-time.Hour) }, 0, true},
		{"never looked at", group{"a": snap("1", time.Minute, 0)}, group{"a": snap("1", 0, 0)}, func(l *Local, _ *state.PeerHealth) { l.Looked = time.Time{} }, 0, true},
	} {
		l := Local{Group: c.own, Looked: at.Add(-time.Second)}
		p := state.PeerHealth{LastAt: at.Add(-10 * time.Second), Last: &state.Beat{Role: state.RoleActive, Group: c.there}}
		if c.does != nil {
			c.does(&l, &p)
		}
		if lag, known := ReplicaLag(l, p, at); lag != c.lag || known == c.unknown {
			t.Errorf("%s: %s, known %t", c.name, lag, known)
		}
	}
}
