package replication

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// What both have stays, also where nothing holds it and the target has something newer of its own; nothing goes where
// something is under way or the target is diverged.
func TestKeepDecides(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ name, source, target, token, goes string }{
		{"older than what is kept", "@c,3", "@a,1 @b,2 @c,3", "", "a b"},
		{"what both have, and a newer one of its own", "@a,1", "@a,1 @b,2 @own,9", "", ""},
		{"the source has a bookmark of it", "#m,2", "@a,1 @b,2 @own,9", "", "a"},
		{"broken off", "@c,3", "@a,1 @b,2 @c,3", "token", ""},
		{"written to", "@c,3 @d,4", "@a,1 @b,2 @c,3 +5", "", ""},
		{"nothing in common", "@x,8", "@a,1 @b,2 @c,3", "", ""},
	} {
		p := state.Pair{Source: *endOf(c.source), To: "usb/a", Target: endOf(c.target)}
		p.Target.Token = c.token
		for i := range p.Target.Snapshots {
			s := &p.Target.Snapshots[i]
			s.Creation, s.Received = now.Add(time.Duration(i-10)*time.Hour), s.Name != "own"
		}
		want := &spec.Spec{Node: spec.Node{Timezone: "UTC"}}
		b := &batch{want: &spec.Replication{Name: "off", Source: spec.End{Dataset: "tank/a"}, Target: spec.End{Dataset: "usb/a"}, Keep: map[string]int{"hourly": 1}}, seen: &state.Replication{}}
		k, err := newKeeping(want, &state.Observed{}, b, now)
		if err != nil {
			t.Fatal(err)
		}
		var goes []string
		if x := k.decide(p, nil); x != nil {
			for _, s := range x.goes {
				goes = append(goes, s.Name)
			}
		}
		if got := strings.Join(goes, " "); got != c.goes {
			t.Errorf("%s: %q goes, want %q", c.name, got, c.goes)
		}
	}
}
