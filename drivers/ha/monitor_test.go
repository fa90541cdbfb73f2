package ha

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func TestMonitored(t *testing.T) {
	for _, c := range []struct{ history, state string }{
		{"+", "healthy"}, {"x", "degraded"}, {"+x", "degraded"}, {"+x+", "degraded"}, {"+x++", "healthy"},
		{"+-", "degraded"}, {"+--", "unreachable"}, {"+--+", "degraded"}, {"+--++", "healthy"}, {"-", "unknown"}, {"--", "unreachable"},
	} {
		p := state.PeerHealth{Node: "b", State: state.PeerUnknown}
		for _, h := range c.history {
			switch h {
			case '+':
				p = Monitored(p, "", noon)
			case 'x':
				p = Monitored(p, "its loop is late", noon)
			default:
				p = Health(p, Sighting{Wall: noon}, limits, 0)
			}
		}
		if p.State != c.state || Reached(p, limits, 0) {
			t.Errorf("%q: %s, reached %v", c.history, p.State, Reached(p, limits, 0))
		}
	}
}

func TestLocalOf(t *testing.T) {
	want, err := spec.LoadFiles(map[string][]byte{"a.yaml": []byte("pools: {a: {}, b: {}, c: {}, d: {}, usb: {removable: true}, usc: {removable: true}}\n")}, spec.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	obs := state.NewObserved(noon, "nas-a")
	for name, health := range map[string]string{"a": "ONLINE", "b": "DEGRADED", "d": "ONLINE", "usc": "SUSPENDED", "foreign": "FAULTED"} {
		obs.Pools[name] = &state.Pool{Name: name, Health: health}
	}
	obs.Unseen = []state.Unseen{{Pool: "d", Why: "slow"}}
	obs.ReplicationHealth = []state.ReplicationHealth{
		{Name: "z", Lag: time.Hour, Objective: time.Minute}, {Name: "late", Lag: 2 * time.Minute, Objective: time.Minute},
		{Name: "ok", Lag: time.Second, Objective: time.Minute}, {Name: "none", Lag: time.Hour},
	}
	got := LocalOf(want, obs, noon.Add(time.Minute), 2*time.Minute)
	if !reflect.DeepEqual(got, Local{Sick: strings.Fields("b c d usc"), Late: strings.Fields("late z")}) {
		t.Errorf("%+v", got)
	}
	for name, got := range map[string]Local{
		"nothing seen": LocalOf(want, &state.Observed{At: noon}, noon, time.Minute),
		"an old look":  LocalOf(want, obs, noon.Add(3*time.Minute), 2*time.Minute),
	} {
		if !reflect.DeepEqual(got.Sick, strings.Fields("a b c d")) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := LocalOf(want, nil, noon, time.Minute); got.Sick != nil {
		t.Errorf("a daemon that has just begun: %+v", got)
	}
}
