package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

func (a *app) restore() *cobra.Command {
	yes := false
	c := &cobra.Command{
		Use:   "restore NAME",
		Short: "Bring a dataset back from the trash",
		Long: `A dataset that was declared absent waits in the trash before anything of it is destroyed. restore gives it back
its name, with what was below it, its properties and its mounts. Where it is interrupted, restore goes on.

Declaring the name in the files, without absent, does the same with the next apply.

At a terminal it shows what it will do, and asks. Exit status: 0 it is back, 1 it is not.`,
		Example: "  dplane restore tank/old",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			outliveReaders()
			return a.named(c.Context(), args[0], "dplane restore", func(want *spec.Spec, db *sqlite.Store) error {
				return a.runRestore(c.Context(), want, db, args[0], yes)
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}

func (a *app) runRestore(ctx context.Context, want *spec.Spec, db *sqlite.Store, name string, yes bool) error {
	l := a.loop(db, true)
	l.Progress = a.progress
	if err := l.Settle(ctx, want, nil); err != nil {
		return err
	}
	if err := a.settleTry(ctx, l, want); err != nil {
		return failf("dplane confirm keeps it", "%w", err)
	}
	consent := reconcile.ByHand(nil, nil)
	consent.Restore = map[string]bool{name: true}
	p, obs, err := l.Plan(ctx, want, consent)
	if err != nil {
		return err
	}
	if p.ZFSError != "" {
		return failf(p.ZFSHint, "nothing can be done: %s", p.ZFSError)
	}
	only(p, name)
	if len(p.Actions) == 0 {
		return failf("dplane plan lists what is in the trash of the declared pools", "%s is not in the trash", name)
	}
	// Who types the name of one dataset in a script has said what he wants; at a terminal he sees the plan first.
	if approved, err := a.ask(ctx, p, yes || !isTerminal(a.stdin)); !approved {
		return err
	}
	s, err := l.Carry(ctx, want, p, obs, consent, who())
	if err != nil {
		return &exitError{code: exitFailed, err: err}
	}
	return a.restored(s, name)
}

// only leaves in the plan what brings the name back, and what that waits for.
func only(p *reconcile.Plan, name string) {
	needed := map[string]bool{}
	for _, a := range slices.Backward(p.Actions) {
		if needed[a.ID] || a.Object.Name == name && a.Reason.Code == drivers.Trashed {
			needed[a.ID] = true
			for _, id := range a.After {
				needed[id] = true
			}
		}
	}
	p.Actions = slices.DeleteFunc(p.Actions, func(a reconcile.Planned) bool { return !needed[a.ID] })
	p.Notices = nil
}

func (a *app) restored(s reconcile.Step, name string) error {
	blocked := slices.ContainsFunc(s.Plan.Actions, func(p reconcile.Planned) bool { return !p.Runnable() })
	code := 0
	if blocked || s.Outcomes.Count(state.Failed, state.Interrupted, state.Refused) > 0 {
		code = exitFailed
	}
	if a.json {
		return &exitError{code: code, err: a.print([]byte(`{"version": 1, "restored": `+map[bool]string{true: "true", false: "false"}[code == 0]+"}\n"), nil)}
	}
	if code == 0 {
		return a.print([]byte(name+" is back\n"), nil)
	}
	return &exitError{code: code, err: errors.New(name + " is not back")}
}
