package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

type restoreFlags struct {
	wish replication.Wish
	to   string
	yes  bool
}

func (a *app) restoreReplication() *cobra.Command {
	var f restoreFlags
	c := &cobra.Command{
		Use:   "restore NAME --to DATASET",
		Short: "Bring a replica back from the target, into a new dataset here",
		Long: `Receives the replica of a replication, with all its snapshots up to the one that is named, into a dataset here that is not
there yet. Nothing is ever received over a dataset that exists, unless it is an earlier restore that broke off: the same
command goes on with it then. What comes back is neither read-only nor mounted. It has the guids of what was sent, so
that under the old name the replication goes on from it without a full stream.

It shows the plan, and asks.`,
		Example: `  dplane replication restore offsite --to tank/home-restored
  dplane replication restore offsite --dataset tank/home/anna --snapshot monday --to tank/anna --yes`,
		Args: args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			to, err := spec.ParseDatasetName(f.to)
			if err != nil {
				return usagef("--to names the dataset that is to be made: %v", err)
			}
			f.wish.To = to
			return a.bringBack(c.Context(), args[0], f)
		},
	}
	c.Flags().StringVar(&f.to, "to", "", "the `dataset` that is made; an empty one that is there is kept aside")
	c.Flags().StringVar(&f.wish.Dataset, "dataset", "", "only this `dataset` of the replication, and what is below it")
	c.Flags().StringVar(&f.wish.Snapshot, "snapshot", "", "up to the snapshot of this `name`; default the newest")
	c.Flags().BoolVar(&f.yes, "yes", false, "do it without asking")
	return c
}

func (a *app) bringBack(ctx context.Context, name string, f restoreFlags) error {
	want, err := a.declared(name)
	if err != nil {
		return err
	}
	consent := reconcile.ByHand(&want.Daemon.Limits, nil)
	return a.longWork(ctx, want, consent, "dplane replication restore", func(w *longWork) error { return w.bringBack(ctx, name, f) })
}

func (w *longWork) bringBack(ctx context.Context, name string, f restoreFlags) error {
	p, obs, err := w.loop.Plan(ctx, w.want, w.consent)
	if err != nil {
		return err
	}
	act, next, err := replicationDriver(w.loop).PlanRestore(ctx, w.want, obs, name, f.wish)
	var cause *replication.Cause
	switch {
	case errors.As(err, &cause):
		return failf(cause.Hint, "%w; nothing was done", err)
	case err != nil:
		return err
	}
	p.Actions, p.Notices = []reconcile.Planned{{Action: act}}, nil
	if approved, err := w.ask(ctx, p, f.yes); !approved {
		var refused *exitError
		if errors.As(err, &refused) && refused.hint != "" {
			refused.hint = "the same command with --yes carries it out"
		}
		return err
	}
	s, err := w.carry(ctx, p, obs, "nothing was restored")
	if err != nil {
		return err
	}
	s.Remaining = &reconcile.Plan{}
	err = w.finish(s, false)
	if !w.json && s.Outcomes.Count(state.Done) == len(s.Outcomes) {
		fmt.Fprintln(w.stdout, "What is left to you:")
		for _, n := range next {
			fmt.Fprintln(w.stdout, "  "+n)
		}
	}
	return err
}

// restores tells whether a plan is that of a restore, which is shown with its commands.
func restores(p *reconcile.Plan) bool {
	return len(p.Actions) == 1 && p.Actions[0].Sending != nil && p.Actions[0].Sending.Restore
}
