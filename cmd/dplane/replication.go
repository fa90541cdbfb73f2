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
	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state/sqlite"
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
	want, err := a.load()
	if err != nil {
		return err
	}
	if want.Replications[name] == nil {
		return failf("dplane replication list shows what is declared", "there is no replication %s", name)
	}
	outliveReaders()
	lock, err := a.lock(ctx, want, "dplane replication run", exitFailed)
	if err != nil {
		return err
	}
	defer lock.Release()
	db, err := a.openStore(want.Daemon.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	return a.sendUnderLock(ctx, want, db, lock, name)
}

func (a *app) sendUnderLock(ctx context.Context, want *spec.Spec, db *sqlite.Store, lock *reconcile.Lock, name string) error {
	l := a.loop(db, true)
	l.Progress, l.Lanes = a.progress, &reconcile.Lanes{Dirs: reconcile.LaneDirs(&want.Daemon)}
	if err := l.Settle(ctx, want, nil); err != nil {
		return err
	}
	consent := reconcile.ByHand(&want.Daemon.Limits, nil)
	consent.Send = map[string]bool{name: true}
	p, obs, err := l.Plan(ctx, want, consent)
	switch seen := obs.Replications[name]; {
	case err != nil:
		return err
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
		Notices: replication.Waiting(want.Replications[name], obs.Replications[name]),
	}
	switch {
	case a.json || len(left.Actions) < len(p.Actions):
	case len(left.Actions)+len(left.Notices) == 0:
		_, err := fmt.Fprintf(a.stdout, "%s: the target has all that is to be sent.\n", name)
		return err
	default:
		return cmp.Or(render.NotSentText(a.stdout, name, left), exit(exitHeld))
	}
	s, err := l.Carry(ctx, want, p, obs, consent, who())
	if err != nil {
		return err
	}
	if err := a.awaitLanes(ctx, l, want, lock, &s); err != nil {
		return err
	}
	for _, o := range s.Outcomes {
		if errors.Is(o.Err, reconcile.ErrUnderWay) {
			return failf("dplane status tells when it is over", "nothing was sent: %w", o.Err)
		}
	}
	s.Remaining = left
	return a.sent(s, name)
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

// awaitLanes waits for the long work that was begun, without the lock: the loop and other people go on meanwhile. Then it
// looks again and records what is left.
func (a *app) awaitLanes(ctx context.Context, l *reconcile.Loop, want *spec.Spec, lock *reconcile.Lock, s *reconcile.Step) error {
	lock.Release()
	done := l.Lanes.Wait()
	if len(done) == 0 {
		return nil
	}
	s.Outcomes = append(s.Outcomes, done...)
	again, err := a.lock(context.WithoutCancel(ctx), want, "dplane: recording", exitFailed)
	if err != nil {
		return nil //nolint:nilerr // whoever has it records as well
	}
	defer again.Release()
	after, consent := context.WithoutCancel(ctx), reconcile.ByHand(&want.Daemon.Limits, nil)
	if again.Follows(lock) { // nobody else changed anything meanwhile
		err = l.LookOn(after, want, s, consent, who())
	} else {
		var now reconcile.Step
		now, err = l.Look(after, want, consent, who())
		s.Remaining, s.Observed = now.Remaining, now.Observed
	}
	if err != nil {
		return err
	}
	return a.letGo(after, l, want, s, consent)
}

// letGo exports the removable pools that have all: whoever waited for a run may take the disk away after it.
func (a *app) letGo(ctx context.Context, l *reconcile.Loop, want *spec.Spec, s *reconcile.Step, consent reconcile.Consent) error {
	p := *s.Remaining
	p.Actions = slices.DeleteFunc(slices.Clone(p.Actions), func(x reconcile.Planned) bool { return x.Reason.Code != drivers.Sent })
	if len(p.Actions) == 0 {
		return nil
	}
	done, err := l.Carry(ctx, want, &p, s.Observed, consent, who())
	s.Outcomes, s.Remaining, s.Observed = append(s.Outcomes, done.Outcomes...), done.Remaining, done.Observed
	return err
}
