package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers/retention"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Explanation is what becomes of each snapshot of a dataset, and when the next is due.
type Explanation struct {
	Verdicts []retention.Verdict // in the order of creation; those that dplane did not take are kept
	Next     time.Time           // zero: never
	Zone     *time.Location
	Notes    []string // what keeps all of them from being pruned
}

// Shown is one dataset with all its snapshots.
type Shown struct {
	Name, Schedule string
	Snapshots      []state.Snapshot // in the order in which they were taken
	Own            map[string]state.TakenSnapshot
	Reclaimable    uint64 // bytes that were free if all that dplane took, and that nothing holds, were gone
	AtLeast        bool   // it may be more: they are too many to be asked for at once
}

// Cause is why a dataset can't be shown.
type Cause struct{ Why, Hint string }

func (c *Cause) Error() string { return c.Why }

// one lists a dataset and judges what is ours. A dataset that no schedule covers is an error.
func (d *Driver) one(ctx context.Context, want *spec.Spec, obs *state.Observed, name string) (*view, *covered, error) {
	if obs.ZFS.Error != "" {
		return nil, nil, errors.New(obs.ZFS.Error)
	}
	if err := d.recall(ctx); err != nil {
		return nil, nil, err
	}
	v := newView(want, obs, d.taken, obs.At)
	c := v.byName[name]
	if c == nil {
		return nil, nil, &Cause{name + " is covered by no schedule here, or is not there, received only, read-only or in the trash", "dplane status shows what is there, and `snapshots` of a dataset covers what is below it"}
	}
	list, missing, err := d.snapshots(ctx, []string{name})
	if err == nil && missing {
		err = fmt.Errorf("%s is gone", name)
	}
	if err == nil {
		err = d.mark(ctx, v, list)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list the snapshots of %s: %w", name, err)
	}
	c.list, c.isListed = list, true
	c.mem = c.settle(index(d.taken), v.now)
	return v, c, nil
}

// Explain tells what becomes of each snapshot of a dataset at the time of the look, or at another one.
func (d *Driver) Explain(ctx context.Context, want *spec.Spec, obs *state.Observed, name string, now time.Time) (Explanation, error) {
	v, c, err := d.one(ctx, want, obs, name)
	if err != nil {
		return Explanation{}, err
	}
	v.now = now
	return v.explain(c), nil
}

// explain is pure.
func (v *view) explain(c *covered) Explanation {
	rows, newest := c.rows(), c.newest().GUID
	need, _ := retention.Needed(v.Want, v.Have, c.Name, c.GUID)
	var own []state.Snapshot
	for _, s := range c.list {
		if row, ours := rows[s.Name]; ours && row.Expires.IsZero() {
			own = append(own, s)
		}
	}
	e := Explanation{Next: c.due(v.now), Zone: c.policy.Zone(), Verdicts: c.policy.Foresee(own, v.now)}
	for i := range e.Verdicts {
		x := &e.Verdicts[i]
		if why := cmp.Or(retention.Protects(x.Snapshot, newest), need[x.GUID]); why != "" && !x.Keep {
			x.Keep, x.Reasons, x.Goes = true, []string{why}, time.Time{}
		}
	}
	for _, s := range c.list {
		row, ours := rows[s.Name]
		switch {
		case !ours:
			e.Verdicts = append(e.Verdicts, retention.Verdict{Snapshot: s, Keep: true, Reasons: []string{"dplane did not take it: it is never pruned"}})
		case !row.Expires.IsZero():
			x := retention.Verdict{Snapshot: s, Keep: row.Expires.After(v.now), Goes: row.Expires, Reasons: []string{"taken by hand, kept until " + retention.Moment(row.Expires)}}
			if why := cmp.Or(retention.Protects(s, newest), need[s.GUID]); why != "" && !x.Keep {
				x.Keep, x.Reasons = true, append(x.Reasons, why)
			}
			e.Verdicts = append(e.Verdicts, x)
		}
	}
	slices.SortStableFunc(e.Verdicts, func(a, b retention.Verdict) int {
		return cmp.Or(a.Creation.Compare(b.Creation), cmp.Compare(a.Name, b.Name))
	})
	x := v.decide(c)
	if why := v.hold(c, x, own); why != "" {
		e.Notes = append(e.Notes, why+": nothing is pruned before a person allows it")
	}
	if x.tooMany != "" {
		e.Notes = append(e.Notes, x.tooMany+": those stay until a person allows it")
	}
	if x.unknown != "" {
		e.Notes = append(e.Notes, x.unknown)
	}
	return e
}

// rows are those of the listed snapshots that are ours, by name.
func (c *covered) rows() map[string]state.TakenSnapshot {
	listed := map[key]bool{}
	for _, s := range c.list {
		listed[key{s.GUID, s.TXG}] = true
	}
	rows := map[string]state.TakenSnapshot{}
	for _, s := range c.mem.Snapshots {
		if s.Gone.IsZero() && listed[key{s.GUID, s.TXG}] {
			rows[s.Name] = s
		}
	}
	return rows
}

// Show lists the snapshots of the datasets of these names, or of all that a schedule covers.
func (d *Driver) Show(ctx context.Context, want *spec.Spec, obs *state.Observed, names []string) ([]Shown, error) {
	if len(names) == 0 {
		for _, c := range newView(want, obs, nil, obs.At).sets {
			names = append(names, c.Name)
		}
	}
	var all []Shown
	for _, name := range names {
		_, c, err := d.one(ctx, want, obs, name)
		if err != nil {
			return nil, err
		}
		s := Shown{Name: name, Schedule: c.Schedule.Name, Snapshots: c.list, Own: c.rows()}
		var free []string
		for _, x := range c.list {
			if _, ours := s.Own[x.Name]; ours && x.Holds == 0 && len(x.Clones) == 0 {
				free = append(free, x.Name)
			}
		}
		asked := zfs.Reclaim(name, free)
		s.AtLeast = len(asked) > 1
		for _, c := range asked {
			res, err := d.Runner.Run(ctx, c)
			if err != nil {
				return nil, fmt.Errorf("ask what the snapshots of %s hold: %w", name, err)
			}
			n, err := zfs.ParseReclaim(res.Stdout)
			if err != nil {
				return nil, err
			}
			s.Reclaimable += n
		}
		all = append(all, s)
	}
	return all, nil
}
