package ha

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

var (
	limits = Limits{Every: 15 * time.Second, Misses: 2, Skew: MaxSkew}
	noon   = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
)

// beats writes a history short: + good beat, s sick pool, l late replication, c skewed clock, d different files, - miss,
// R restart of ours, o an old beat, h one that has not heard us.
func beats(history string) state.PeerHealth {
	p := state.PeerHealth{Node: "b", State: state.PeerUnknown}
	own, counter := state.Heard{Boot: "own"}, uint64(0)
	for i, c := range history {
		wall := noon.Add(time.Duration(i) * limits.Every)
		own.Counter++
		counter++
		b := &state.Beat{Version: 1, Node: "b", Boot: "b1", Counter: counter, Heard: own, At: wall, Shared: "h"}
		switch c {
		case 's':
			b.Sick = []string{"tank"}
		case 'l':
			b.Late = []string{"pair"}
		case 'c':
			b.At = wall.Add(-MaxSkew - time.Second)
		case 'd':
			b.Shared = "other"
		case 'o':
			b.Counter = 1
		case 'h':
			b.Heard.Boot = "another"
		case '-':
			b = nil
		case 'R':
			p = Reloaded(p)
			own = state.Heard{Boot: "own, again"}
			continue
		}
		p = Health(p, Sighting{Beat: b, Wall: wall, Shared: "h", Own: own}, limits, time.Duration(i)*limits.Every)
	}
	return p
}

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		history, state, reason string
		reached                bool
	}{
		{"", "unknown", "", false},
		{"+", "healthy", "", true},
		{"h", "unknown", "", false},
		{"-", "unknown", "", false},
		{"--", "unreachable", "missed 2 beats", false},
		{"s", "degraded", "not ONLINE there: tank", true},
		{"+s", "degraded", "not ONLINE there: tank", true},
		{"+l", "degraded", "replication is late: pair", true},
		{"+c", "degraded", "its clock differs by 6s", true},
		{"+d", "degraded", "the shared part of its files differs from ours", true},
		{"+-", "degraded", "missed 1 of 2 beats", true},
		{"+o", "healthy", "", true},
		{"+-o", "degraded", "missed 1 of 2 beats", true},
		{"+o-o-", "unreachable", "missed 2 beats", false},
		{"+--", "unreachable", "missed 2 beats", false},
		{"+---", "unreachable", "missed 2 beats", false},
		{"+-+", "degraded", "answers again: 1 of 2 good beats", true},
		{"+-++", "healthy", "", true},
		{"+--+", "degraded", "answers again: 1 of 2 good beats", true},
		{"+--+-+", "degraded", "answers again: 1 of 2 good beats", true},
		{"+--++", "healthy", "", true},
		{"+s+", "degraded", "answers again: 1 of 2 good beats", true},
		{"+s+s+", "degraded", "answers again: 1 of 2 good beats", true},
		{"+s++", "healthy", "", true},
		{"--+", "degraded", "answers again: 1 of 2 good beats", true},
		// A restart: what it was is shown, and is not reached until a beat answers this run.
		{"+R", "healthy", "", false},
		{"+R-", "healthy", "", false},
		{"+R--", "unreachable", "missed 2 beats", false},
		{"+Rh", "healthy", "", false},
		{"+R+", "healthy", "", true},
		{"+-R+", "degraded", "answers again: 1 of 2 good beats", true},
		{"+-R-", "degraded", "missed 1 of 2 beats", false},
	} {
		p := beats(c.history)
		now := time.Duration(max(len(c.history)-1, 0)) * limits.Every
		if got := Reached(p, limits, now); p.State != c.state || p.Reason != c.reason || got != c.reached {
			t.Errorf("%q: %s (%s), reached %v; want %s (%s), %v", c.history, p.State, p.Reason, got, c.state, c.reason, c.reached)
		}
	}
}

// A node that stood still counted no misses: what it knew before is old all the same.
func TestHealthAfterAPause(t *testing.T) {
	p := beats("+++")
	if now := 2 * limits.Every; !Reached(p, limits, now+30*time.Second) || Reached(p, limits, now+31*time.Second) {
		t.Error("a beat is fresh for 30 s, and no longer")
	}
}

func TestStale(t *testing.T) {
	own := state.Heard{Boot: "own", Counter: 9}
	prev := state.PeerHealth{Last: &state.Beat{Boot: "b1", Counter: 5}, Asked: 7}
	for _, c := range []struct {
		name string
		beat state.Beat
		why  string // a part of it; "": it is taken in
	}{
		{"the next", state.Beat{Version: 1, Boot: "b1", Counter: 6, Heard: state.Heard{Boot: "own", Counter: 3}}, ""},
		{"the same again", state.Beat{Version: 1, Boot: "b1", Counter: 5, Heard: own}, "5 was heard before"},
		{"an older one", state.Beat{Version: 1, Boot: "b1", Counter: 2, Heard: own}, "5 was heard before"},
		{"to our run before", state.Beat{Version: 1, Boot: "b1", Counter: 6, Heard: state.Heard{Boot: "old", Counter: 9}}, "not heard this run"},
		{"to nobody", state.Beat{Version: 1, Boot: "b2", Counter: 1}, "not heard this run"},
		{"another run, that answers what we sent since", state.Beat{Version: 1, Boot: "b2", Counter: 1, Heard: state.Heard{Boot: "own", Counter: 8}}, ""},
		{"another run, that answers an older one", state.Beat{Version: 1, Boot: "b0", Counter: 99, Heard: state.Heard{Boot: "own", Counter: 7}}, "of another run"},
		{"another format", state.Beat{Version: 2, Boot: "b1", Counter: 6, Heard: own}, "format is 2"},
	} {
		got := Stale(prev, &c.beat, own)
		if (got == "") != (c.why == "") || !strings.Contains(got, c.why) {
			t.Errorf("%s: %q, want %q", c.name, got, c.why)
		}
	}
}

// A first contact of two runs that know nothing of each other takes one beat each way before one is taken in.
func TestFirstContact(t *testing.T) {
	a, b := state.Heard{Boot: "a1"}, state.Heard{Boot: "b1"}
	var ofB, ofA state.PeerHealth
	from := func(own *state.Heard, peer state.PeerHealth) *state.Beat {
		own.Counter++
		return &state.Beat{Version: 1, Boot: own.Boot, Counter: own.Counter, Heard: peer.Seen, At: noon}
	}
	ofA = Health(ofA, Sighting{Beat: from(&a, ofB), Wall: noon, Own: b}, limits, 0)
	if ofA.Last != nil {
		t.Fatal("b took in a beat that answers nothing")
	}
	ofB = Health(ofB, Sighting{Beat: from(&b, ofA), Wall: noon, Own: a}, limits, 0)
	ofA = Health(ofA, Sighting{Beat: from(&a, ofB), Wall: noon, Own: b}, limits, 0)
	if ofB.State != state.PeerHealthy || ofA.State != state.PeerHealthy {
		t.Errorf("%+v %+v", ofA, ofB)
	}
}

func TestCount(t *testing.T) {
	fresh, old, stale := beats("+"), beats("+--"), beats("+R")
	for _, c := range []struct {
		name  string
		peers []state.PeerHealth
		third bool
		want  state.Quorum // Why: a part of it
	}{
		{"two, both here", []state.PeerHealth{fresh}, false, state.Quorum{Nodes: 2, Fresh: 2, Why: "no decision is possible"}},
		{"two, one gone", []state.PeerHealth{old}, false, state.Quorum{Nodes: 2, Fresh: 1, Why: "no decision is possible"}},
		{"two, one gone, the lease is ours", []state.PeerHealth{old}, true, state.Quorum{Nodes: 2, Fresh: 1, Third: true, Possible: true}},
		{"three", []state.PeerHealth{fresh, fresh}, false, state.Quorum{Nodes: 3, Fresh: 3, Possible: true}},
		{"three, one gone", []state.PeerHealth{fresh, old}, false, state.Quorum{Nodes: 3, Fresh: 2, Possible: true}},
		{"three, alone", []state.PeerHealth{old, {}}, false, state.Quorum{Nodes: 3, Fresh: 1, Why: "only 1 of 3 votes are here; no fresh beat of 0, 1"}},
		{"three, remembered ones don't count", []state.PeerHealth{stale, stale}, false, state.Quorum{Nodes: 3, Fresh: 1, Why: "1 of 3"}},
		{"four, half", []state.PeerHealth{fresh, old, old}, false, state.Quorum{Nodes: 4, Fresh: 2, Why: "2 of 4"}},
	} {
		peers, names := map[string]state.PeerHealth{}, []string{}
		for i, p := range c.peers {
			names = append(names, string(rune('0'+i)))
			peers[names[i]] = p
		}
		got := Count(peers, names, limits, c.third, 0)
		why := c.want.Why
		c.want.Why = got.Why
		if got != c.want || (why == "") != (got.Why == "") || !strings.Contains(got.Why, why) {
			t.Errorf("%s: %+v, want %+v (%s)", c.name, got, c.want, why)
		}
	}
}

func TestHAJSON(t *testing.T) {
	in := state.HA{Node: "a", Role: state.RoleStandby, Term: 3, Holder: "b", Promise: state.Promise{Term: 3, To: "b", Gave: 2},
		Peers: map[string]state.PeerHealth{"b": beats("+")}, Job: &state.Job{ID: 1, Kind: "x"}}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out state.HA
	if err := json.Unmarshal(text, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%v\n%+v\n%+v", err, in, out)
	}
}
