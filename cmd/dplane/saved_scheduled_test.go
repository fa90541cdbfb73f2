package main

import (
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/reconcile"
)

// A scrub that became due, or was done, since a plan was saved is no change of the world, and not part of that plan.
func TestSavedPlanAndScheduledWork(t *testing.T) {
	set := drivers.Action{ID: "1", Verb: drivers.Update}
	scrub := drivers.Action{ID: "2", Verb: drivers.Run, Scheduled: true}
	plan := func(actions ...drivers.Action) *reconcile.Plan {
		p := &reconcile.Plan{Generation: "g"}
		for _, a := range actions {
			p.Actions = append(p.Actions, reconcile.Planned{Action: a})
		}
		return p
	}
	for name, c := range map[string]struct {
		saved, now []drivers.Action
		left       int
	}{
		"due since":   {[]drivers.Action{set}, []drivers.Action{set, scrub}, 1},
		"done since":  {[]drivers.Action{set, scrub}, []drivers.Action{set}, 1},
		"part of it":  {[]drivers.Action{set, scrub}, []drivers.Action{set, scrub}, 2},
		"on its own":  {[]drivers.Action{scrub}, []drivers.Action{scrub}, 1},
		"none at all": {nil, []drivers.Action{scrub}, 0},
	} {
		b, p := bound{Generation: "g", Actions: c.saved}, plan(c.now...)
		if why := b.fits(p); why != "" {
			t.Errorf("%s: %s", name, why)
		}
		if b.leaveOut(p); len(p.Actions) != c.left {
			t.Errorf("%s: %d actions are left", name, len(p.Actions))
		}
	}
	if why := (bound{Generation: "g"}).fits(plan(set)); why == "" {
		t.Error("a change is none")
	}
}
