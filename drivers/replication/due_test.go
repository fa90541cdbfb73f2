package replication

import (
	"context"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// However often what failed is tried again, the last run of all is known.
func TestKeptRuns(t *testing.T) {
	runs := []state.TransferRun{{Bytes: 1, Outcome: state.Done, Began: time.Unix(7, 0)}}
	for range 2 * keptRuns {
		runs = kept(append([]state.TransferRun{{Again: true}}, runs...))
	}
	if len(runs) != keptRuns || lastOfAll(&state.Replicated{Runs: runs}) != time.Unix(7, 0) {
		t.Errorf("%d runs, the last %+v", len(runs), runs[len(runs)-1])
	}
	if runs = kept(append([]state.TransferRun{{Bytes: 2, Outcome: state.Failed}}, runs...)); len(runs) != keptRuns || runs[0].Bytes != 2 || !lastOfAll(&state.Replicated{Runs: runs}).IsZero() {
		t.Errorf("%d runs, the first %+v", len(runs), runs[0])
	}
}

// slow is a machine on which each command takes a while, and lists nothing.
type slow struct {
	now  time.Time
	took time.Duration
}

func (s *slow) Run(context.Context, host.Command) (host.Result, error) {
	s.now = s.now.Add(s.took)
	return host.Result{}, nil
}

// A run begins with a look only where all of it is fresh: what a slow one saw first is as old as its beginning.
func TestLookedIsAsOldAsItsBeginning(t *testing.T) {
	for _, c := range []struct {
		took  time.Duration
		fresh bool
	}{{time.Second, true}, {4 * time.Second, false}} {
		s := &slow{now: time.Unix(1000, 0), took: c.took}
		d := &Driver{Runner: s, Memory: nothing{}, Now: func() time.Time { return s.now }}
		want := &spec.Spec{Replications: map[string]*spec.Replication{"off": {
			Name: "off", Source: spec.End{Remote: "b", Dataset: "tank/a"}, Target: spec.End{Remote: "b", Dataset: "usb/a"},
		}}}
		if err := d.Observe(t.Context(), want, state.NewObserved(s.now, "")); err != nil {
			t.Fatal(err)
		}
		if l, ok := d.looked["off"]; !ok || (s.now.Sub(l.at) <= lately) != c.fresh {
			t.Errorf("it took %s for each of the two lists, and is known as of %s ago (%t)", c.took, s.now.Sub(l.at), ok)
		}
	}
}
