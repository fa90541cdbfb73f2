// Package schedule takes the snapshots that are due, and prunes those of its own that are no longer kept.
//
// It must never prune a snapshot that dplane did not take, nor the newest one of a dataset.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Memory is what is remembered of the datasets that schedules cover, by their guids.
type Memory interface {
	// Taken gives all of it and its version; nil where that is the known one.
	Taken(ctx context.Context, known int64) (version int64, all map[string]*state.Taken, err error)
	// SaveTaken remembers these, all or none.
	SaveTaken(ctx context.Context, changed map[string]*state.Taken) error
}

// Driver takes what is due and prunes what is no longer kept.
type Driver struct {
	Runner host.Runner
	Memory Memory           // nil: a driver that only plans
	Now    func() time.Time // nil with it
	Learns bool             // what a look tells is remembered

	version int64
	taken   map[string]*state.Taken
	clean   map[string]*state.Taken // memories of which it is known that nothing is left to prune
	listed  map[string]time.Time    // when, by pool
}

var _ drivers.Driver = (*Driver)(nil)

// Kind is spec.KindSchedule.
func (*Driver) Kind() spec.Kind { return spec.KindSchedule }

// Observe recalls what was taken of each dataset that is covered, and lists the snapshots of those where one is due, or
// where something is left to be pruned: a look in which neither is so starts no process.
func (d *Driver) Observe(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	if obs.ZFS.Error != "" {
		return nil
	}
	if err := d.recall(ctx); err != nil {
		return err
	}
	obs.Taken, obs.Listed, obs.Unlisted = map[string]*state.Taken{}, map[string][]state.Snapshot{}, map[string]string{}
	v := newView(want, obs, d.taken, obs.At)
	for pool, names := range v.needed(d.clean) {
		if err := d.list(ctx, v, pool, names); err != nil {
			return err
		}
	}
	changed := v.learn(d.taken)
	if d.Learns && len(changed) > 0 {
		if err := d.save(ctx, changed); err != nil {
			return err
		}
	}
	for _, ds := range obs.Datasets {
		if t := d.taken[ds.GUID]; t != nil {
			obs.Taken[ds.GUID] = t
		}
	}
	for _, c := range v.sets { // what was learned and is not remembered, by a plan
		if c.known {
			obs.Taken[c.GUID] = c.mem
		}
	}
	obs.Schedules = v.health()
	return nil
}

func (d *Driver) recall(ctx context.Context) error {
	version, all, err := d.Memory.Taken(ctx, d.version)
	if err != nil {
		return err
	}
	if all != nil {
		d.version, d.taken, d.clean = version, all, map[string]*state.Taken{}
	}
	if d.listed == nil {
		d.listed = map[string]time.Time{}
	}
	return nil
}

// save remembers these, and what is held in memory follows.
func (d *Driver) save(ctx context.Context, changed map[string]*state.Taken) error {
	if err := d.Memory.SaveTaken(context.WithoutCancel(ctx), changed); err != nil {
		return err
	}
	for guid, t := range changed {
		if d.taken[guid] = t; t == nil {
			delete(d.taken, guid)
		}
	}
	return nil
}

// list fills in the snapshots of these datasets of a pool. Where they can't be told, nothing is planned there.
func (d *Driver) list(ctx context.Context, v *view, pool string, names []string) error {
	if v.pending(names) && d.atWork(ctx) {
		v.Have.Unlisted[pool] = "a `zfs snapshot` that an earlier run of dplane began is still at work"
		return nil
	}
	at := d.Now()
	list, missing, err := d.snapshots(ctx, names)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("list the snapshots of %s: %w", pool, err)
		}
		v.Have.Unlisted[pool] = fmt.Sprintf("its snapshots could not be listed: %v", err)
		return nil
	}
	d.listed[pool] = at
	if err := d.mark(ctx, v, list); err != nil {
		v.Have.Unlisted[pool] = fmt.Sprintf("it could not be told which of its snapshots dplane took: %v", err)
		return nil //nolint:nilerr // told there
	}
	for _, s := range list {
		v.Have.Listed[s.Dataset] = append(v.Have.Listed[s.Dataset], s)
	}
	for _, n := range names {
		if v.Have.Listed[n] == nil && !missing { // else nobody knows whether it was there to be looked at
			v.Have.Listed[n] = []state.Snapshot{}
		}
	}
	return nil
}

// snapshots lists those of these datasets; missing tells that one of them is gone, of which zfs says so, and lists the
// others.
func (d *Driver) snapshots(ctx context.Context, names []string) (list []state.Snapshot, missing bool, err error) {
	var out []byte
	for _, c := range zfs.ListCovered(names) {
		res, err := d.Runner.Run(ctx, c)
		if errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
			missing, err = true, nil
		}
		if err != nil {
			return nil, missing, err
		}
		out = append(out, res.Stdout...)
	}
	list, err = zfs.ParseCovered(out)
	return list, missing, err
}

// Names are those of the snapshots of a dataset, after the @; none where they can't be told.
func (d *Driver) Names(ctx context.Context, dataset string) (names []string) {
	list, _, err := d.snapshots(ctx, []string{dataset})
	if err != nil {
		return nil
	}
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

// mark tells which snapshots carry the mark themselves, of those where that decides: what zfs shows may be inherited from
// the dataset, or have come with a stream, so it is asked what is local. What is known to be dplane's needs no mark.
func (d *Driver) mark(ctx context.Context, v *view, list []state.Snapshot) error {
	var unsure []string
	own := index(d.taken)
	for _, s := range list {
		c := v.byName[s.Dataset]
		if _, known := own[key{s.GUID, s.TXG}]; s.Mark != "" && c != nil && !known && !c.took(s) {
			unsure = append(unsure, s.Dataset)
		}
	}
	if len(unsure) == 0 {
		return nil
	}
	slices.Sort(unsure)
	var out []byte
	for _, c := range zfs.ListMarked(slices.Compact(unsure)) {
		res, err := d.Runner.Run(ctx, c)
		if err != nil {
			return err
		}
		out = append(out, res.Stdout...)
	}
	marked := zfs.ParseMarked(out)
	for i, s := range list {
		list[i].Marked = s.Mark != "" && marked[s.FullName()]
	}
	return nil
}

// atWork tells whether a `zfs snapshot` of a dplane that was killed still runs: what it takes is not to be seen yet,
// and would be taken twice. A machine that can't tell has none.
func (d *Driver) atWork(ctx context.Context) bool {
	_, err := d.Runner.Run(ctx, host.Read("pgrep", "-f", `^([^ ]*/)?zfs snapshot -o `+state.ScheduleProperty+`=`))
	return err == nil
}
