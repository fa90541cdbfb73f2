package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/schedule"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

// scheduleDriver is the loop's.
func scheduleDriver(l *reconcile.Loop) *schedule.Driver {
	for _, d := range l.Drivers {
		if s, ok := d.(*schedule.Driver); ok {
			return s
		}
	}
	panic("no driver of schedules") // kinds has one
}

// looking is a look at the machine that changes nothing.
func (a *app) looking(ctx context.Context) (*spec.Spec, *state.Observed, *schedule.Driver, func(), error) {
	want, err := a.load()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	store, done, err := memory(want.Daemon.Database)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	l := a.loop(store, false)
	obs, err := l.Observe(ctx, want)
	if err != nil {
		done()
		return nil, nil, nil, nil, err
	}
	return want, obs, scheduleDriver(l), done, nil
}

// hinted gives an error of the schedules its hint.
func hinted(err error) error {
	var c *schedule.Cause
	if errors.As(err, &c) {
		return failf(c.Hint, "%w", err)
	}
	return err
}

func (a *app) explainDataset(ctx context.Context, name string, x explaining) error {
	now, err := x.at()
	if err != nil {
		return err
	}
	want, obs, d, done, err := a.looking(ctx)
	if err != nil {
		return err
	}
	defer done()
	if x.now == "" {
		now = obs.At
	}
	e, err := d.Explain(ctx, want, obs, name, now)
	if err != nil {
		return hinted(err)
	}
	doc := render.Explained{Now: now, Zone: e.Zone, Next: e.Next, Notes: e.Notes}
	for _, v := range e.Verdicts {
		doc.Snapshots = append(doc.Snapshots, render.ExplainedSnapshot{Name: v.FullName(), Keep: v.Keep, Reasons: v.Reasons, Goes: v.Goes})
	}
	if a.json {
		return a.print(render.ExplainJSON(doc))
	}
	return render.ExplainText(a.stdout, doc, render.TextOptions{Color: a.colorOn(a.stdout)})
}

func (a *app) listSnapshots() *cobra.Command {
	return &cobra.Command{
		Use:     "list [DATASET...]",
		Short:   "List the snapshots of what schedules cover, with the space they use",
		Long:    "Lists the snapshots of these datasets, or of all that a schedule covers: whose they are, what each alone uses, and\nwhat would be free if all that dplane took, and that nothing holds, were gone.",
		Example: "  dplane snapshots list tank/home",
		Args:    args(0, 1000),
		RunE: func(c *cobra.Command, names []string) error {
			want, obs, d, done, err := a.looking(c.Context())
			if err != nil {
				return err
			}
			defer done()
			all, err := d.Show(c.Context(), want, obs, names)
			if err != nil {
				return hinted(err)
			}
			var docs []render.SnapshotsOf
			for _, s := range all {
				docs = append(docs, shown(s))
			}
			if a.json {
				return a.print(render.SnapshotsJSON(docs))
			}
			return render.SnapshotsText(a.stdout, docs, render.TextOptions{Color: a.colorOn(a.stdout)})
		},
	}
}

func shown(s schedule.Shown) render.SnapshotsOf {
	doc := render.SnapshotsOf{Name: s.Name, Schedule: s.Schedule, Reclaimable: s.Reclaimable, AtLeast: s.AtLeast, Snapshots: []render.SnapshotRow{}}
	for _, x := range s.Snapshots {
		own, ours := s.Own[x.Name]
		row := render.SnapshotRow{Name: x.Name, GUID: x.GUID, Creation: x.Creation, Used: x.Used, Own: ours, Holds: x.Holds, Clones: x.Clones}
		if !own.Expires.IsZero() {
			row.Expires = &own.Expires
		}
		doc.Snapshots = append(doc.Snapshots, row)
	}
	return doc
}

// takeFlags are those of `snapshots take`.
type takeFlags struct {
	name, label, keep string
	kept              time.Duration // what keep says
}

// check reads the flags, before anything else is.
func (f *takeFlags) check() error {
	if f.name != "" && f.label != "" {
		return usagef("--name and --label can't both be given")
	}
	if f.keep == "" {
		return nil
	}
	d, err := spec.ParseDuration(f.keep)
	if err != nil || d <= 0 {
		return usagef("--keep %q is no time such as 14d", f.keep)
	}
	f.kept = d.Std()
	return nil
}

func (a *app) takeSnapshot() *cobra.Command {
	var f takeFlags
	c := &cobra.Command{
		Use:   "take DATASET",
		Short: "Take one snapshot now",
		Long: `Takes one snapshot of a dataset that is declared or covered. With --keep dplane destroys it when that time is over, if
a schedule covers the dataset; without, it stays until somebody destroys it. It fills no period of a schedule.`,
		Example: "  dplane snapshots take tank/home --label before-upgrade --keep 14d",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.named(c.Context(), args[0], "dplane snapshots take", func(want *spec.Spec, db *sqlite.Store) error {
				return a.takeNow(c.Context(), want, db, args[0], f)
			})
		},
	}
	c.Flags().StringVar(&f.name, "name", "", "what stands after the @; default as the schedule names them")
	c.Flags().StringVar(&f.label, "label", "", "is added to the default name, which ends with -hand without")
	c.Flags().StringVar(&f.keep, "keep", "", "destroy it after this `time` (14d)")
	return c
}

func (a *app) takeNow(ctx context.Context, want *spec.Spec, db *sqlite.Store, dataset string, f takeFlags) error {
	l := a.loop(db, true)
	l.Progress = a.progress
	if err := l.Settle(ctx, want, nil); err != nil {
		return err
	}
	consent := reconcile.ByHand(&want.Daemon.Limits, nil)
	p, obs, err := l.Plan(ctx, want, consent)
	if err != nil {
		return err
	}
	act, err := f.action(want, obs, dataset, l.Clock.Now(), scheduleDriver(l).Names(ctx, dataset))
	if err != nil {
		return err
	}
	act.Identify()
	p.Actions = []reconcile.Planned{{Action: act}}
	s, err := l.Carry(ctx, want, p, obs, consent, who())
	if err != nil {
		return err
	}
	for _, o := range s.Outcomes {
		if o.Err != nil {
			return failf(zfs.Hint(o.Err), "%w", o.Err)
		}
	}
	name := act.Fields[0].To
	if a.json {
		return a.print(render.TakenJSON(name))
	}
	_, err = fmt.Fprintln(a.stdout, name)
	return err
}

// foreign is the name of the dataset's pool, or its own, if something else took that than what is recorded: it is held
// until it is adopted (PRODUCT.md section 4, promise 7). What is not declared is covered whoever made it.
func foreign(obs *state.Observed, want *spec.Spec, name spec.DatasetName) string {
	held := []spec.Ref{{Kind: spec.KindPool, Name: string(name.Pool())}}
	if want.Datasets[name] != nil {
		held = append(held, spec.Ref{Kind: spec.KindDataset, Name: string(name)})
	}
	for _, x := range held {
		r, known := obs.RecordedAs(string(x.Kind), x.Name)
		if now := guidOf(obs, r); known && r.GUID != "" && now != "" && now != r.GUID {
			return x.Name
		}
	}
	return ""
}

// action is the snapshot that is asked for; there are the names of those that the dataset has.
func (f takeFlags) action(want *spec.Spec, obs *state.Observed, dataset string, now time.Time, there []string) (drivers.Action, error) {
	var none drivers.Action
	name := spec.DatasetName(dataset)
	have, cover := obs.Datasets[dataset], want.Covering(name)
	took := foreign(obs, want, name)
	switch {
	case obs.ZFS.Error != "":
		return none, failf(obs.ZFS.Hint, "nothing can be taken: %s", obs.ZFS.Error)
	case obs.UnseenPool(string(name.Pool())) != "":
		return none, failf("dplane status tells more", "nothing can be taken: %s", obs.UnseenPool(string(name.Pool())))
	case took != "":
		return none, failf("if it is the right one: dplane adopt "+took, "another one took the known name %s: nothing of it is touched", took)
	case have == nil:
		return none, failf("dplane status lists what is there", "%s is not there", dataset)
	case want.Datasets[name] == nil && cover.Schedule == nil:
		return none, failf("declare it, or cover it by a schedule", "%s is neither declared nor covered: dplane does not touch it", dataset)
	case want.ReceivedOnly(name, obs.Role) != "" || name.InTrash():
		return none, failf("take it where the dataset is written", "%s is received only or in the trash", dataset)
	}
	snap := f.name
	if snap == "" {
		s := cover.Schedule
		if s == nil {
			s = &spec.Schedule{}
		}
		snap = s.SnapshotName(now) + "-" + cmp.Or(f.label, "hand") // the schedule may take one in this very second
		for base, n := snap, 2; slices.Contains(there, snap); n++ {
			snap = fmt.Sprintf("%s-%d", base, n)
		}
	}
	whole := dataset + "@" + snap
	if _, err := spec.ParseSnapshotName(whole); err != nil {
		return none, usagef("%v", err)
	}
	act := drivers.Action{
		Object: spec.Ref{Kind: spec.KindDataset, Name: dataset}, GUID: have.GUID, Verb: drivers.Run, Risk: spec.Safe, Scheduled: true,
		Reason: drivers.Reason{Code: drivers.Due, Observed: "a person asked for it"},
		Fields: []drivers.Field{{Name: "snapshot", To: whole}}, Undo: "zfs destroy " + whole,
		Steps: []host.Command{host.Write("zfs", "snapshot", whole)},
	}
	if f.keep == "" {
		return act, nil
	}
	if cover.Schedule == nil {
		return none, failf("take it without --keep, or cover the dataset by a schedule", "%s is in no schedule, so that nothing would end the snapshot", dataset)
	}
	until := now.Add(f.kept).Truncate(time.Second)
	act.Object.Kind, act.Taking = spec.KindSchedule, &drivers.Taking{Mark: schedule.Mark(until)}
	act.Taking.Of = []drivers.Taken{{Dataset: dataset, GUID: have.GUID, Name: snap, Expires: until}}
	act.Steps = zfs.TakeSnapshots(act.Taking.Mark, []string{whole})
	return act, nil
}
