package replication

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// What is to be sent anew is one action, parents first, with what is new below them. Its id stays while the source goes on,
// and is another where another dataset would go, or elsewhere.
func TestAnew(t *testing.T) {
	source := func(name, guid, points string, used uint64) state.Pair {
		e := *endOf(points)
		e.Name, e.GUID, e.Used = name, guid, used
		return state.Pair{Source: e, To: "usb/a" + strings.TrimPrefix(name, "tank/a")}
	}
	plan := func(remote string, pairs ...state.Pair) drivers.Action {
		t.Helper()
		want := &spec.Spec{Replications: map[string]*spec.Replication{"off": {
			Name: "off", Source: spec.End{Dataset: "tank/a"}, Target: spec.End{Remote: remote, Dataset: "usb/a"}, Recursive: true, When: spec.When{After: true},
		}}}
		seen := &state.Replication{Pairs: pairs}
		r := (&Driver{}).Diff(drivers.Input{Want: want, Have: &state.Observed{Replications: map[string]*state.Replication{"off": seen}}})
		if len(r.Actions) != 1 {
			t.Fatalf("%d actions", len(r.Actions))
		}
		r.Actions[0].Identify()
		return r.Actions[0]
	}
	top, child := source("tank/a", "1", "@x,1 #dplane-off-1,1", 5<<20), source("tank/a/b", "2", "@x,2 #dplane-off-2,2", 1<<20)
	a := plan("", top, child)
	if p := a.Sending.Pairs; len(p) != 2 || p[0].Source != "tank/a" || a.Lane() != (spec.Ref{Kind: spec.KindReplication, Name: "off"}) {
		t.Errorf("%+v", a)
	}
	const hold = "usb/a (about 4M), usb/a/b (about 1M) were replicated before, or are below what was, and are gone: all would be sent whole, about 5M"
	if !strings.HasPrefix(a.Hold, hold) {
		t.Errorf("it says %q", a.Hold)
	}
	if same := plan("", source("tank/a", "1", "@x,1 #dplane-off-1,1 @y,7", 6<<20), child); same.ID != a.ID {
		t.Error("with a new snapshot the id is another")
	}
	another := child
	another.Source.GUID = "3"
	grandchild := source("tank/a/b/c", "9", "@x,4", 1)
	for what, b := range map[string]drivers.Action{
		"one of them":              plan("", top),
		"another of the same name": plan("", top, another),
		"one more, that is new":    plan("", top, child, grandchild),
		"elsewhere":                plan("nas-b", top, child),
	} {
		if b.ID == a.ID || b.Hold == "" {
			t.Errorf("%s: it has the same id, or waits for nobody", what)
		}
	}
}
