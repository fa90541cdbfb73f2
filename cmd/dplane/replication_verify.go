package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/state"
)

func (a *app) verifyReplication() *cobra.Command {
	var proof replication.Proof
	c := &cobra.Command{
		Use:   "verify NAME",
		Short: "Compare what the target has with what the source has",
		Long: `Lists both ends, and compares all snapshots that both have: by guid, name, time and order. With --deep one snapshot of each
dataset is read on both ends as well, by zfs send, and what it holds is compared: files, owners and times, or the bytes of
a volume. Nothing is mounted; what was sent raw needs no key; the replication's rateLimit applies. That the target has not
all yet is told, and is no fault. Changes nothing, and may run during a transfer.

Exit status: 0 all that was compared is equal, 1 it is not, or could not be compared.`,
		Example: "  dplane replication verify offsite\n  dplane replication verify offsite --deep --dataset tank/home/anna",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if proof.Snapshot != "" && !proof.Deep {
				return usagef("--snapshot names what --deep reads")
			}
			return a.verify(c.Context(), args[0], proof)
		},
	}
	c.Flags().BoolVar(&proof.Deep, "deep", false, "read one snapshot of each dataset on both ends")
	c.Flags().StringVar(&proof.Dataset, "dataset", "", "only this `dataset`")
	c.Flags().StringVar(&proof.Snapshot, "snapshot", "", "the `name` of the snapshot that is read; default the newest that both have")
	return c
}

func (a *app) verify(ctx context.Context, name string, proof replication.Proof) error {
	now, done, err := a.replicationNow(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	all, err := now.driver.Verify(ctx, now.want, now.obs, name, proof)
	var cause *replication.Cause
	switch {
	case errors.As(err, &cause):
		return failf(cause.Hint, "%w", err)
	case err != nil:
		return err
	case a.json:
		err = a.print(render.VerifiedJSON(name, all))
	default:
		err = render.VerifiedText(a.stdout, all, render.TextOptions{Color: a.colorOn(a.stdout)})
	}
	if err == nil && slices.ContainsFunc(all, func(v state.Verified) bool { return !v.OK() }) {
		err = exit(exitFailed)
	}
	return err
}
