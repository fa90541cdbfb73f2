package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

func (a *app) replication() *cobra.Command {
	c := &cobra.Command{
		Use:     "replication",
		Short:   "List, run, check and restore replications",
		Example: "  dplane replication list\n  dplane replication run offsite\n  dplane replication test offsite",
		Args:    args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return usagef("no command given; `dplane replication --help` lists them")
		},
	}
	c.AddCommand(a.listReplications(), a.runReplication(), a.testReplication(), a.setupReplication(), a.verifyReplication(), a.restoreReplication())
	return c
}

func (a *app) listReplications() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the replications with both their ends as they are now",
		Example: "  dplane replication list",
		Args:    args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			_, obs, _, done, err := a.looking(c.Context())
			if err != nil {
				return err
			}
			defer done()
			if obs.ZFS.Error != "" {
				return failf(obs.ZFS.Hint, "nothing can be listed: %s", obs.ZFS.Error)
			}
			if a.json {
				return a.print(render.ReplicationsJSON(obs))
			}
			return render.ReplicationsText(a.stdout, obs, render.TextOptions{Color: a.colorOn(a.stdout)})
		},
	}
}

func (a *app) runReplication() *cobra.Command {
	return &cobra.Command{
		Use:   "run NAME",
		Short: "Send now what a replication's target lacks",
		Long: `Sends what the target of this replication lacks, whenever it is due, and waits for the end. What would overwrite the
target, or send whole what was sent before, waits for dplane apply --allow ID as ever.`,
		Example: "  dplane replication run offsite",
		Args:    args(1, 1),
		RunE:    func(c *cobra.Command, args []string) error { return a.send(c.Context(), args[0]) },
	}
}

func (a *app) send(ctx context.Context, name string) error {
	want, err := a.declared(name)
	if err != nil {
		return err
	}
	consent := reconcile.ByHand(&want.Daemon.Limits, nil)
	consent.Send = map[string]bool{name: true}
	return a.longWork(ctx, want, consent, "dplane replication run", func(w *longWork) error { return w.send(ctx, name) })
}

func (w *longWork) send(ctx context.Context, name string) error {
	p, obs, err := w.loop.Plan(ctx, w.want, w.consent)
	if err != nil {
		return err
	}
	switch seen := obs.Replications[name]; {
	case p.ZFSError != "":
		return failf(p.ZFSHint, "nothing can be sent: %s", p.ZFSError)
	case seen.Running:
		return failf("dplane status shows how far it is", "the replication %s is under way already", name)
	case seen.Unseen != "":
		return failf("dplane replication list shows both ends", "nothing can be sent by %s: %s", name, seen.Unseen)
	}
	p.Actions = slices.DeleteFunc(p.Actions, func(x reconcile.Planned) bool {
		return x.Object.Kind != spec.KindReplication || x.Object.Name != name && !strings.HasPrefix(x.Object.Name, name+":")
	})
	left := &reconcile.Plan{
		Actions: slices.DeleteFunc(slices.Clone(p.Actions), func(x reconcile.Planned) bool { return x.Runnable() }),
		Notices: replication.Waiting(w.want.Replications[name], obs.Replications[name]),
	}
	switch {
	case w.json || len(left.Actions) < len(p.Actions):
	case len(left.Actions)+len(left.Notices) == 0:
		_, err := fmt.Fprintf(w.stdout, "%s: the target has all that is to be sent.\n", name)
		return err
	default:
		return cmp.Or(render.NotSentText(w.stdout, name, left), exit(exitHeld))
	}
	s, err := w.carry(ctx, p, obs, "nothing was sent")
	if err != nil {
		return err
	}
	s.Remaining = left
	return w.sent(s, name)
}

// sent tells how a run ended, and what it could not send.
func (a *app) sent(s reconcile.Step, name string) error {
	if !a.json && len(s.Remaining.Actions)+len(s.Remaining.Notices) > 0 {
		if err := render.NotSentText(a.stdout, name, s.Remaining); err != nil {
			return err
		}
	}
	err := a.finish(s, false)
	if e := (&exitError{}); errors.As(err, &e) && e.code == 0 && len(s.Remaining.Notices) > 0 {
		e.code = exitHeld
	}
	return err
}
