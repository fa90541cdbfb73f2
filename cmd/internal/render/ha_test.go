package render

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

// paired is what nas-a recorded of nas-b, in a state.
func paired(as, reason string) *state.HARecord {
	return &state.HARecord{
		At: t0, Every: 15 * time.Second, Misses: 2, Identity: "sha256/AAAA", Listen: "10.0.0.1:9443",
		Peers: []state.HAPeer{{Name: "nas-b", Address: "10.0.0.2:9443"}},
		HA: state.HA{
			Node: "nas-a", Role: state.RoleStandby, Declared: "nas-a", Quorum: state.Quorum{Nodes: 2, Fresh: 2, Why: "two nodes and no third vote"},
			Peers: map[string]state.PeerHealth{"nas-b": {
				Node: "nas-b", State: as, Reason: reason, Since: t0, LastAt: t0,
				Last: &state.Beat{Role: state.RoleStandby, Term: 3, At: t0.Add(1500 * time.Millisecond), Shared: "cafebabe"},
			}},
		},
	}
}

func TestHAStatus(t *testing.T) {
	restarted := paired(state.PeerHealthy, "")
	p := restarted.HA.Peers["nas-b"]
	p.Stale = true
	restarted.HA.Peers["nas-b"] = p
	oneWay := paired(state.PeerHealthy, "")
	oneWay.Peers[0].Trouble = "connection refused"
	gone := paired(state.PeerUnreachable, "missed 2 beats")
	gone.Peers[0].Trouble = "no answer in time"
	off := paired(state.PeerHealthy, "")
	off.Off = true
	keyless := paired(state.PeerHealthy, "")
	keyless.Trouble = []string{"this node has no key yet"}
	frozen := paired(state.PeerHealthy, "")
	frozen.HA.Frozen = "two nodes are active"
	diverged, other, closing := paired(state.PeerHealthy, ""), paired(state.PeerHealthy, ""), paired(state.PeerHealthy, "")
	diverged.HA.Role, diverged.HA.Holder = state.RoleDiverged, "nas-b"
	other.HA.Peers["nas-b"].Last.Role = state.RoleDiverged
	closing.HA.Job = &state.Job{Kind: "close", Step: "verify", Failed: "tank/home is mounted read-write"}
	fresh := paired("", "")
	fresh.HA.Peers = nil
	fenced := func(level2 string, devices ...state.FenceDevice) *state.HARecord {
		r := paired(state.PeerHealthy, "")
		r.Peers[0].Fence = append(devices, state.FenceDevice{Level: 2, Agent: "fence_b", Power: state.PowerOn, At: t0, Error: level2})
		return r
	}
	alone := paired(state.PeerUnreachable, "missed 2 beats")
	alone.HA.Term, alone.HA.Holder = 3, "nas-a"
	ago := t0.Add(-time.Minute)
	for _, c := range []struct {
		name  string
		rec   *state.HARecord
		after time.Duration
		state string
		says  string // in the text
	}{
		{"no record", nil, 0, Unknown, "no group is watched here"},
		{"no group any more", off, 0, Unknown, "no group is watched here"},
		{"well", paired(state.PeerHealthy, ""), time.Second, OK, "nas-b  healthy  standby, term 3"},
		{"diverged", diverged, 0, Degraded, "this node has what nas-b lacks, and receives nothing until a person decides: dplane ha rejoin"},
		{"its peer is", other, 0, Degraded, "peer nas-b has diverged"},
		{"not shown to have stopped", closing, 0, Critical, "tank/home is mounted read-write"},
		{"nobody to ask", alone, 0, Degraded, "nas-b can't be asked: this node stays a standby, for it can't know what was promoted meanwhile; what it needs to become active: dplane ha failover --plan"},
		{"a miss", paired(state.PeerDegraded, "missed 1 of 2 beats"), 0, Degraded, "peer nas-b is degraded: missed 1 of 2 beats"},
		{"gone", gone, 0, Degraded, "peer nas-b is unreachable: missed 2 beats (no answer in time)"},
		{"after a restart", restarted, 0, Degraded, "nas-b  stale(healthy)"},
		{"no beat yet", fresh, 0, Degraded, "peer nas-b is unknown: no beat yet"},
		{"one way", oneWay, 0, Degraded, "can't be reached from here (connection refused), though its own beats come"},
		{"no key", keyless, 0, Degraded, "this node has no key yet"},
		{"fence devices are well", fenced(""), 0, OK, "nas-b  level 2  fence_b  on  asked "},
		{"one would not help", fenced("fence_b: status returned 1: no way"), 0, Degraded, "fencing of nas-b, level 2: fence_b: status returned 1: no way"},
		{"one is for another machine", fenced("", state.FenceDevice{Level: 1, Agent: "fence_a", Power: state.PowerOff, At: ago}), 0, Degraded, "fence_a says that nas-b is off, and it answers"},
		{"it was off when it was asked", fenced("", state.FenceDevice{Level: 1, Agent: "fence_a", Power: state.PowerOff, At: t0}), 0, OK, "fence_a  off"},
		{"one of two supplies is off", fenced("", state.FenceDevice{Level: 1, Agent: "fence_a", Power: state.PowerOff, At: ago}, state.FenceDevice{Level: 1, Agent: "fence_a", Power: state.PowerOn, At: ago}), 0, OK, "fence_a  off"},
		{"frozen", frozen, 0, Critical, "stand still: two nodes are active"},
		{"no daemon", paired(state.PeerHealthy, ""), 46 * time.Second, Unknown, "the peers were last watched 46s ago: is the daemon running?"},
		{"the clock was set back", paired(state.PeerHealthy, ""), -time.Hour, Unknown, "stale(healthy)"},
	} {
		s := NewHAStatus(c.rec, t0.Add(c.after))
		var out bytes.Buffer
		if err := HAStatusText(&out, s, TextOptions{}); err != nil {
			t.Fatal(err)
		}
		doc, err := HAStatusJSON(s)
		if err != nil {
			t.Fatal(err)
		}
		if s.State != c.state || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %s, want %s:\n%s", c.name, s.State, c.state, &out)
		}
		if strings.Contains(string(doc), "null") != (s.ObservedAt == nil || c.rec == fresh) || strings.Contains(string(doc)+out.String(), "cafebabe") {
			t.Errorf("%s: %s", c.name, doc)
		}
		if s.State == Unknown && (s.Quorum.Possible || s.Quorum.Fresh > 0) {
			t.Errorf("%s: what is not watched counts: %+v", c.name, s.Quorum)
		}
	}
	if s := NewHAStatus(paired(state.PeerHealthy, ""), t0); s.Peers[0].Skew != 1.5 {
		t.Errorf("%+v", s.Peers[0])
	}
}

// A peer that is not well degrades the machine, and one that is does not.
func TestStatusOfPeers(t *testing.T) {
	for as, want := range map[string]string{state.PeerHealthy: OK, state.PeerDegraded: Degraded, state.PeerUnreachable: Degraded, state.PeerUnknown: Degraded} {
		rec := &state.Record{At: t0, Observed: state.NewObserved(t0, "nas-a"), Declared: &state.Declared{}, HA: paired(as, "why")}
		s := NewStatus(rec, t0)
		if s.State != want || len(s.Peers) != 1 || s.Peers[0].Name != "nas-b" {
			t.Errorf("%s: %s %v, want %s", as, s.State, s.Reasons, want)
		}
		var out bytes.Buffer
		if err := StatusText(&out, s, TextOptions{}); err != nil || !strings.Contains(out.String(), "\nPeers\n  nas-b  "+as) {
			t.Errorf("%v\n%s", err, &out)
		}
	}
}

// Who stays a standby is told so only while nobody is seen to be active.
func TestSilent(t *testing.T) {
	three := func(role state.Role) *HAStatus {
		r := paired(state.PeerHealthy, "")
		r.HA.Term = 3
		r.HA.Peers["nas-b"].Last.Role = role
		r.Peers = append(r.Peers, state.HAPeer{Name: "nas-c"})
		r.HA.Peers["nas-c"] = state.PeerHealth{Node: "nas-c", State: state.PeerUnreachable}
		return NewHAStatus(r, t0)
	}
	for role, want := range map[state.Role]int{state.RoleStandby: 1, state.RoleActive: 0, state.RolePromoting: 0, state.RoleSplitBrain: 0} {
		if got := three(role).Notices; len(got) != want {
			t.Errorf("beside a %s: %q", role, got)
		}
	}
}
