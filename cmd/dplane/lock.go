package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// lock takes the lock for what a person asks for. A pass of the daemon is waited for; whoever else holds it ends the
// command with the code locked.
func (a *app) lock(ctx context.Context, want *spec.Spec, who string, locked int) (*reconcile.Lock, error) {
	lock, err := reconcile.Await(ctx, reconcile.Wall{}, want.Daemon.Runtime, who, func(holder string) {
		fmt.Fprintf(a.stderr, "waiting for the pass of %s to end\n", holder)
	})
	var held *reconcile.LockedError
	switch {
	case errors.As(err, &held):
		return nil, &exitError{code: locked, err: fmt.Errorf("%w; nothing was done", err), hint: "wait for it to end, or look at it with: ps -p PID"}
	case ctx.Err() != nil:
		return nil, failf("", "interrupted; nothing was done")
	case err != nil:
		return nil, failf("run it as root", "%w", err)
	}
	return lock, nil
}
