package replication

import (
	"fmt"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// health is how a replication stands at a time.
func health(want *spec.Replication, seen *state.Replication, now time.Time) state.ReplicationHealth {
	h := state.ReplicationHealth{Name: want.Name, Objective: want.Objective.Std(), Running: seen.Running, Error: seen.Unseen}
	if seen.Away {
		h.Error = ""
	}
	if r := seen.Remembered; r != nil && len(r.Runs) > 0 {
		h.Last = r.Runs[0].Ended
		if r.Runs[0].Outcome != state.Done && h.Error == "" {
			h.Error = r.Runs[0].Error
		}
	}
	if seen.Unseen != "" || seen.Running {
		if seen.Remembered != nil {
			for _, c := range seen.Remembered.Common {
				h.Add(max(0, now.Sub(c.Creation)), false)
			}
		}
		return h
	}
	b := &batch{want: want, seen: seen}
	for _, p := range seen.Pairs {
		h.Add(lag(b, p, now))
		if j := judge(&p.Source, p.Target, b.wanted, b.raw(p.Source)); p.Target != nil && !p.Target.Partial && j.Diverged != nil && h.Error == "" {
			h.Error = fmt.Sprintf("%s: %s", p.Source.Name, j.Diverged.what(p, j.Basis))
		}
	}
	return h
}

// lag is the age of the newest snapshot of a source that its target has. A source that was not written to since, and
// whose newest one the target has, does not get older.
func lag(b *batch, p state.Pair, now time.Time) (age time.Duration, none bool) {
	base := basisOf(p)
	if base == nil {
		if len(chosen(p.Source.Snapshots, b.wanted)) == 0 {
			return 0, false
		}
		return 0, true
	}
	if len(chosen(after(p.Source.Snapshots, base.TXG), b.wanted)) == 0 && p.Source.Written == 0 {
		return 0, false
	}
	return max(0, now.Sub(base.Creation)), false
}
