package replication

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// sight is how the datasets of a replication stood when both its ends were seen.
type sight struct {
	at       time.Time
	datasets []state.DatasetLag
}

// health is how a replication stands. While an end is not to be seen, or it is being sent, it stands as it did in the last
// look, or at the end of the last run that is remembered.
func (d *Driver) health(want *spec.Replication, seen *state.Replication, now time.Time) state.ReplicationHealth {
	if d.last == nil {
		d.last = map[string]sight{}
	}
	key := want.Name + " " + place(want.Target.Remote, string(want.Target.Dataset))
	h := health(want, seen, d.last[key], now)
	if seen.Unseen == "" && !seen.Running {
		d.last[key] = sight{now, h.Datasets}
	}
	return h
}

func health(want *spec.Replication, seen *state.Replication, last sight, now time.Time) state.ReplicationHealth {
	b := &batch{want: want, seen: seen}
	h := state.ReplicationHealth{Name: want.Name, Objective: want.Objective.Std(), Running: seen.Running}
	var faults []string
	if seen.Away {
		h.Away = seen.Unseen
	} else if seen.Unseen != "" {
		faults = append(faults, seen.Unseen)
	}
	if r := seen.Remembered; r != nil && len(r.Runs) > 0 {
		h.Last = r.Runs[0].Ended
		if len(faults) == 0 && r.Runs[0].Outcome != state.Done && !r.Runs[0].Part {
			faults = append(faults, r.Runs[0].Error)
		}
	}
	if open := b.writable(); len(open) > 0 {
		what, how := b.mayBeWritten(open)
		faults = append(faults, what+" ("+how+")")
	}
	all, more := b.datasets(now)
	more = append(more, b.failures()...)
	if seen.Unseen != "" || seen.Running {
		all = b.older(last, now)
		h.Unknown = len(all) == 0 && !seen.Elsewhere
	}
	for _, d := range all {
		h.Add(d)
	}
	h.Error = strings.Join(append(faults, firstOf(more)...), "; ")
	return h
}

// firstOf is the first of some faults, with the number of the others.
func firstOf(faults []string) []string {
	if len(faults) > 1 {
		return []string{fmt.Sprintf("%s (and %d more datasets)", faults[0], len(faults)-1)}
	}
	return faults
}

// datasets are how far each target is behind, and what is wrong with some.
func (b *batch) datasets(now time.Time) (all []state.DatasetLag, faults []string) {
	for _, p := range b.seen.Pairs {
		o, moved := b.moved(p)
		d := state.DatasetLag{Source: p.Source.Name, Lost: b.lost(p) && !moved}
		d.Lag, d.Never = lag(b, p, now)
		all = append(all, d)
		if moved {
			faults = append(faults, fmt.Sprintf("%s: its replica has another name, %s, and waits to be named %s: dplane plan", p.Source.Name, o.Name, p.To))
		}
		if d.Lost {
			faults = append(faults, fmt.Sprintf("%s: %s had it once, and is gone", p.Source.Name, p.To))
		}
		if p.Target == nil || p.Target.Partial {
			continue
		}
		f, _, refused := b.flags(p)
		switch j := judge(&p.Source, p.Target, b.wanted, f.raw); {
		case j.Diverged != nil:
			faults = append(faults, p.Source.Name+": "+b.what(p, j))
		case refused != "" && len(j.Legs) > 0:
			faults = append(faults, refused)
		}
	}
	return all, faults
}

// older is how the datasets stand at most, if nothing was sent since they were seen.
func (b *batch) older(last sight, now time.Time) (all []state.DatasetLag) {
	for _, d := range last.datasets {
		d.Lag += max(0, now.Sub(last.at))
		all = append(all, d)
	}
	if len(all) > 0 || b.seen.Remembered == nil {
		return all
	}
	for _, guid := range slices.Sorted(maps.Keys(b.seen.Remembered.Common)) {
		c := b.seen.Remembered.Common[guid]
		since := c.Creation
		if c.Whole {
			since = c.At
		}
		if !c.Left && (c.Place == "" || c.Place == b.place()) {
			all = append(all, state.DatasetLag{Source: c.Source, Lag: max(0, now.Sub(since))})
		}
	}
	slices.SortFunc(all, func(a, b state.DatasetLag) int { return strings.Compare(a.Source, b.Source) })
	return all
}

// lag is the age of the newest snapshot of a source that its target has, nothing where nothing was written since. Of a
// source of which the target has nothing it is the age of the oldest snapshot that is wanted there.
func lag(b *batch, p state.Pair, now time.Time) (age time.Duration, never bool) {
	if base := basisOf(p); base != nil {
		if whole(p.Source, base.TXG) {
			return 0, false
		}
		return max(0, now.Sub(base.Creation)), false
	}
	missing := chosen(p.Source.Snapshots, b.wanted)
	if len(missing) == 0 {
		return 0, false
	}
	return max(0, now.Sub(missing[0].Creation)), true
}

// whole tells whether nothing was written to a source since its snapshot of this createtxg.
func whole(source state.End, txg uint64) bool {
	newer := after(source.Snapshots, txg)
	return source.Written == 0 && !slices.ContainsFunc(newer, func(p state.Point) bool { return p.Written > 0 })
}
