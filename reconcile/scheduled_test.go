package reconcile

import (
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Scheduled work is carried out whatever the limits hold, and is no pending change.
func TestScheduledWork(t *testing.T) {
	scrub := drivers.Action{Object: spec.Ref{Kind: spec.KindPool, Name: "tank"}, Verb: drivers.Run, Risk: spec.Safe, Scheduled: true, Fields: []drivers.Field{{Name: "scrub"}}}
	destroy := drivers.Action{Object: spec.Ref{Kind: spec.KindDataset, Name: "tank/a"}, Verb: drivers.Destroy, Risk: spec.Disruptive}
	in := drivers.Input{Want: &spec.Spec{}, Have: state.NewObserved(time.Unix(0, 0), "")}
	p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{scrub, destroy}}}, Daemon(&spec.Spec{Daemon: spec.Daemon{Apply: spec.Disruptive}}))
	if p.Limit == "" || p.Actions[1].Held == "" || !p.Actions[0].Runnable() {
		t.Errorf("limit %q:\n%s", p.Limit, show(p))
	}
	// Limits bind the daemon. By hand a destroy that loses nothing is like any change; --allow names the others.
	if p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{destroy}}}, ByHand(&spec.Limits{Changes: 50}, nil)); !p.Actions[0].Runnable() {
		t.Errorf("by hand it is held: %s", p.Actions[0].Held)
	}
	if n := p.Pending(); n != 1 {
		t.Errorf("%d actions are pending", n)
	}
}

// What a schedule prunes counts for no limit, and waits with the rest where one holds the plan: the files may not mean it.
func TestPrunesAndLimits(t *testing.T) {
	prune := drivers.Action{Object: spec.Ref{Kind: spec.KindSchedule, Name: "tank/a"}, Verb: drivers.Destroy, Risk: spec.Safe, Scheduled: true, Destroy: []string{"7"}}
	destroy := drivers.Action{Object: spec.Ref{Kind: spec.KindDataset, Name: "tank/a"}, Verb: drivers.Destroy, Risk: spec.Disruptive}
	in := drivers.Input{Want: &spec.Spec{}, Have: state.NewObserved(time.Unix(0, 0), "")}
	loop := Daemon(&spec.Spec{Daemon: spec.Daemon{Apply: spec.Disruptive}})
	if p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{prune}}}, loop); p.Limit != "" || !p.Actions[0].Runnable() {
		t.Errorf("limit %q:\n%s", p.Limit, show(p))
	}
	if p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{prune, destroy}}}, loop); p.Limit == "" || p.Actions[0].Runnable() {
		t.Errorf("limit %q:\n%s", p.Limit, show(p))
	}
	prune.Settles = time.Unix(600, 0)
	if p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{prune}}}, loop); p.Actions[0].Runnable() {
		t.Error("it is done unasked before it is settled")
	}
	in.Now, in.Have.At = time.Unix(600, 0), time.Unix(600, 0)
	if p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{prune}}}, loop); !p.Actions[0].Runnable() {
		t.Errorf("settled, and held: %s", p.Actions[0].Held)
	}
	loop.Cut = "tank.yaml"
	if p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{prune}}}, loop); p.Actions[0].Runnable() {
		t.Error("done although the count may be cut off")
	}
	prune.Hold = "the clock is wrong"
	if p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{prune}}}, ByHand(nil, nil)); p.Actions[0].Runnable() || p.Asked() != 1 {
		t.Errorf("done by hand without its id: %s", p.Actions[0].Held)
	}
	prune.Identify()
	if p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{prune}}}, ByHand(nil, map[string]bool{prune.ID: true})); !p.Actions[0].Runnable() {
		t.Errorf("named, and held: %s", p.Actions[0].Held)
	}
}

// A scrub that is due does not refuse a try: it waits for the time of it.
func TestScheduledWorkWaitsForTry(t *testing.T) {
	scrub := drivers.Action{Object: spec.Ref{Kind: spec.KindPool, Name: "tank"}, Verb: drivers.Run, Risk: spec.Safe, Scheduled: true, Fields: []drivers.Field{{Name: "scrub"}}}
	scrub.Steps = []host.Command{host.Write("zpool", "scrub", "tank")}
	scrub.Identify()
	c := ByHand(nil, map[string]bool{scrub.ID: true})
	c.Trying = true
	p := planOf(c, scrub, act("update dataset tank/a safe"))
	if want := "run tank (is not done while something is tried)\nupdate tank/a"; show(p) != want {
		t.Errorf("got\n%s\nwant\n%s", show(p), want)
	}
	if p := planOf(c.spent(), scrub); !p.Actions[0].Runnable() {
		t.Errorf("after it, it is held: %s", p.Actions[0].Held)
	}
}

// What is apart spares the other drivers the second look, if all of it went well and not long ago.
func TestApart(t *testing.T) {
	took := Outcome{Outcome: state.Done, Action: Planned{Action: drivers.Action{Object: spec.Ref{Kind: spec.KindSchedule, Name: "tank"}, Apart: true}}}
	failed, other := took, took
	failed.Outcome, other.Action.Apart = state.Failed, false
	l := &Loop{Drivers: []drivers.Driver{&fixed{kind: spec.KindDataset}, &fixed{kind: spec.KindSchedule}}}
	looked := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		done Outcomes
		at   time.Time
		want bool
	}{
		"one":              {Outcomes{took}, looked, true},
		"two":              {Outcomes{took, took}, looked.Add(time.Minute), true},
		"one failed":       {Outcomes{took, failed}, looked, false},
		"one not apart":    {Outcomes{other, took}, looked, false},
		"after a minute":   {Outcomes{took}, looked.Add(61 * time.Second), false},
		"a clock set back": {Outcomes{took}, looked.Add(-time.Second), false},
	} {
		by, enough := l.apart(&Step{Outcomes: c.done, Observed: state.NewObserved(looked, "")}, c.at)
		if enough != c.want || enough && (len(by) != 1 || by[0].Kind() != spec.KindSchedule) {
			t.Errorf("%s: %v, %v", name, by, enough)
		}
	}
}
