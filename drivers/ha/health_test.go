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
	seen := state.Heard{Boot: "b1"} // the first contact is a test of its own
	p := state.PeerHealth{Node: "b", State: state.PeerUnknown, Seen: seen}
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
			p.Seen = seen
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

// Both ways, and still the way back takes its time.
func TestGoodBeatsAreApart(t *testing.T) {
	p, own := beats("+--"), state.Heard{Boot: "own"}
	good := func(at time.Duration, counter uint64) string {
		own.Counter++
		b := &state.Beat{Version: 1, Node: "b", Boot: "b1", Counter: counter, Heard: state.Heard{Boot: "own", Counter: 9}, At: noon, Shared: "h"}
		p = Health(p, Sighting{Beat: b, Wall: noon, Shared: "h", Own: own}, limits, at)
		return p.State
	}
	if a, b, c := good(time.Minute, 10), good(time.Minute+time.Second, 11), good(time.Minute+9*time.Second, 12); a != "degraded" || b != "degraded" || c != "healthy" {
		t.Error("a beat and the answer to ours, at once, are one:", a, b, c)
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
	prev := state.PeerHealth{Last: &state.Beat{Boot: "b1", Counter: 5}, Seen: state.Heard{Boot: "b1", Counter: 5}, Asked: 2}
	again := prev // the peer began again, and was seen, when we had sent 7
	again.Seen, again.Asked = state.Heard{Boot: "b2", Counter: 1}, 7
	heard := func(n uint64) state.Heard { return state.Heard{Boot: "own", Counter: n} }
	for _, c := range []struct {
		name string
		prev state.PeerHealth
		beat state.Beat
		why  string // a part of it; "": it is taken in
	}{
		{"the next", prev, state.Beat{Version: 1, Boot: "b1", Counter: 6, Heard: heard(3)}, ""},
		{"the same again", prev, state.Beat{Version: 1, Boot: "b1", Counter: 5, Heard: own}, "5 was heard before"},
		{"an older one", prev, state.Beat{Version: 1, Boot: "b1", Counter: 2, Heard: own}, "5 was heard before"},
		{"to our run before", prev, state.Beat{Version: 1, Boot: "b1", Counter: 6, Heard: state.Heard{Boot: "old", Counter: 9}}, "not heard this run"},
		{"to nobody", prev, state.Beat{Version: 1, Boot: "b2", Counter: 1}, "not heard this run"},
		{"of a run that was not seen", prev, state.Beat{Version: 1, Boot: "b2", Counter: 1, Heard: heard(9)}, "of another run"},
		{"of a new run, that answers", again, state.Beat{Version: 1, Boot: "b2", Counter: 2, Heard: heard(8)}, ""},
		{"of a new run, that answers what the old one heard", again, state.Beat{Version: 1, Boot: "b2", Counter: 2, Heard: heard(7)}, "answers nothing"},
		{"of the old run, late", again, state.Beat{Version: 1, Boot: "b1", Counter: 99, Heard: heard(7)}, "of another run"},
		{"another format", prev, state.Beat{Version: 2, Boot: "b1", Counter: 6, Heard: own}, "format is 2"},
	} {
		got := Stale(c.prev, &c.beat, own)
		if (got == "") != (c.why == "") || !strings.Contains(got, c.why) {
			t.Errorf("%s: %q, want %q", c.name, got, c.why)
		}
	}
}

// Two runs that know nothing of each other say hello first: what is taken in answers what was sent since.
func TestFirstContact(t *testing.T) {
	a, b := state.Heard{Boot: "a1"}, state.Heard{Boot: "b1"}
	var ofB, ofA state.PeerHealth
	say := func(own *state.Heard, of state.PeerHealth, at *state.PeerHealth, peer state.Heard) {
		own.Counter++
		m := &state.Beat{Version: 1, Boot: own.Boot, Counter: own.Counter, Heard: of.Seen, At: noon}
		*at = Health(*at, Sighting{Beat: m, Wall: noon, Own: peer}, limits, 0)
	}
	for i, want := range []string{"", "", "healthy ", "healthy healthy"} {
		if i%2 == 0 {
			say(&a, ofB, &ofA, b)
		} else {
			say(&b, ofA, &ofB, a)
		}
		if got := strings.TrimRight(ofA.State+" "+ofB.State, " "); got != strings.TrimRight(want, " ") {
			t.Errorf("after beat %d: %q, want %q", i+1, got, want)
		}
	}
}

// What an old run of the peer said comes after its new run was seen: it is not taken in, whatever its number.
func TestLateBeatOfTheRunBefore(t *testing.T) {
	own := state.Heard{Boot: "own", Counter: 4}
	p := state.PeerHealth{Last: &state.Beat{Boot: "b1", Counter: 5}, Seen: state.Heard{Boot: "b1", Counter: 5}}
	hear := func(b state.Beat) {
		b.Version, b.At = 1, noon
		p = Health(p, Sighting{Beat: &b, Wall: noon, Own: own}, limits, 0)
	}
	hear(state.Beat{Boot: "b2", Counter: 1})
	late := state.Beat{Boot: "b1", Counter: 6, Heard: own}
	hear(late)
	hear(late)
	if p.Last.Counter != 5 {
		t.Error("it was taken in")
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
