package main

import (
	"context"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func (a *app) testReplication() *cobra.Command {
	return &cobra.Command{
		Use:   "test NAME",
		Short: "Check all of a replication that can be checked without a transfer",
		Long: `Goes the way of a replication without sending anything: the name, the connection, the host key, the own key, the login,
both releases of ZFS, both ends, the features of the target's pool, the rights of its user, the free space, the
clocks, and what is in the way. Each line is ok, or says what to do; what a check needs and did not get makes it
skipped, and so does a far side that does not tell. Changes nothing.

Exit status: 0 nothing failed, 1 something did.`,
		Example: "  dplane replication test offsite",
		Args:    args(1, 1),
		RunE:    func(c *cobra.Command, args []string) error { return a.check(c.Context(), args[0]) },
	}
}

func (a *app) check(ctx context.Context, name string) error {
	a.asksOnly = true
	now, done, err := a.replicationNow(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	all := now.driver.Check(ctx, now.want, now.obs, name, os.Geteuid())
	if a.json {
		err = a.print(render.ChecksJSON(name, all))
	} else {
		err = render.ChecksText(a.stdout, all, render.TextOptions{Color: a.colorOn(a.stdout)})
	}
	if err == nil && slices.ContainsFunc(all, func(c state.Check) bool { return c.State == state.CheckFailed }) {
		err = exit(exitFailed)
	}
	return err
}

// replicationLook is a look at the machine for the sake of one replication.
type replicationLook struct {
	want   *spec.Spec
	obs    *state.Observed
	driver *replication.Driver
}

// replicationNow looks, and changes nothing. done ends the use of what is given.
func (a *app) replicationNow(ctx context.Context, name string) (now replicationLook, done func(), err error) {
	if now.want, err = a.declared(name); err != nil {
		return now, nil, err
	}
	store, done, err := memory(now.want.Daemon.Database)
	if err != nil {
		return now, nil, err
	}
	l := a.loop(store, false)
	if now.obs, err = l.Observe(ctx, now.want); err != nil {
		done()
		return now, nil, err
	}
	now.driver = replicationDriver(l)
	return now, done, nil
}

// declared reads the files, which must name this replication.
func (a *app) declared(name string) (*spec.Spec, error) {
	want, err := a.load()
	if err == nil && want.Replications[name] == nil {
		err = failf("dplane replication list shows what is declared", "there is no replication %s", name)
	}
	return want, err
}

// replicationDriver is the loop's.
func replicationDriver(l *reconcile.Loop) *replication.Driver {
	for _, d := range l.Drivers {
		if r, ok := d.(*replication.Driver); ok {
			return r
		}
	}
	panic("no driver of replications") // kinds has one
}
