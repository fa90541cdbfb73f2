package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

type planFlags struct {
	observed, out string
	detailed      bool
	commands      bool
	part          selectFlags
	wipe          wipeFlags
}

func (a *app) plan() *cobra.Command {
	var f planFlags
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what would be done; changes nothing",
		Long: `Looks at the machine, compares it with the files, and shows the difference: each action with its reason, its
risk and what takes it back. Exit status: 0, 1 on an error; with --detailed-exitcode 2 where there is an action.

` + selectHelp,
		Example: `  dplane plan --commands
  dplane plan --only 'tank/vm/**'
  dplane plan --wipe /dev/disk/by-id/ata-A
  dplane plan --out p.json && dplane apply p.json
  dplane plan --observed observed.json --detailed-exitcode`,
		Args: args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return a.runPlan(c.Context(), f) },
	}
	c.Flags().StringVar(&f.observed, "observed", "", "plan against a state recorded by `dplane observe --json`; no ZFS is needed")
	c.Flags().StringVar(&f.out, "out", "", "save the plan to this `file`, for dplane apply")
	c.Flags().BoolVar(&f.detailed, "detailed-exitcode", false, "exit with 2 where there is an action")
	c.Flags().BoolVar(&f.commands, "commands", false, "show the exact command lines")
	f.part.add(c.Flags())
	f.wipe.add(c.Flags())
	return c
}

func (a *app) runPlan(ctx context.Context, f planFlags) error {
	want, err := a.load()
	if err != nil {
		return err
	}
	part, err := f.part.selection()
	if err != nil {
		return err
	}
	consent := reconcile.ByHand(&want.Daemon.Limits, nil)
	consent.Select, consent.Secrets = part, isTerminal(a.stdin)
	if consent.Wipe, err = f.wipe.named(want); err != nil {
		return err
	}
	p, obs, err := a.makePlan(ctx, want, f.observed, consent)
	if err != nil {
		return err
	}
	if p.ZFSError != "" {
		return failf(p.ZFSHint, "nothing can be planned: %s", p.ZFSError)
	}
	if err := checkWipe(want, obs, consent.Wipe); err != nil {
		return err
	}
	if err := fitsSomething(p); err != nil {
		return err
	}
	if f.out != "" {
		if err := savePlan(f.out, p, part); err != nil {
			return err
		}
	}
	if a.json {
		err = a.print(render.PlanJSON(p))
	} else {
		err = render.PlanText(a.stdout, p, render.TextOptions{Color: a.colorOn(a.stdout), Commands: f.commands})
	}
	if err == nil && f.detailed && p.Pending() > 0 {
		return exit(2)
	}
	return err
}

func (a *app) makePlan(ctx context.Context, want *spec.Spec, observed string, consent reconcile.Consent) (*reconcile.Plan, *state.Observed, error) {
	if observed != "" {
		obs, err := readObserved(observed)
		if err != nil {
			return nil, nil, err
		}
		in := drivers.Input{Want: want, Have: obs, Now: obs.At, Wipe: consent.Wipe}
		return reconcile.Build(in, kinds(nil, nil, reconcile.Wall{}, false), consent), obs, nil
	}
	store, done, err := memory(want.Daemon.Database)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	p, obs, err := a.loop(store, false).Plan(ctx, want, consent)
	if err != nil {
		return nil, nil, err
	}
	p.Notices = append(p.Notices, firstInGroup(want, obs)...)
	return p, obs, addReleased(ctx, store, want, p)
}
