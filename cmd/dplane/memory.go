package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state/sqlite"
)

func (a *app) forget() *cobra.Command {
	return &cobra.Command{
		Use:   "forget NAME",
		Short: "End the memory of a pool or dataset that was destroyed on purpose",
		Long: `dplane does not create again what it saw before and now misses: it may be away, or exported. After a deliberate
destroy, forget ends the memory of the name and of what was below it. Nothing on the machine is changed.`,
		Example: "  dplane forget tank/scratch",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.named(c.Context(), args[0], "dplane forget", func(_ *spec.Spec, db *sqlite.Store) error {
				return a.endMemory(c.Context(), db, args[0])
			})
		},
	}
}

// named runs what a person asks for one name, under the lock. That somebody else holds it is an error like any other:
// only apply has an exit status for it.
func (a *app) named(ctx context.Context, name, who string, do func(want *spec.Spec, db *sqlite.Store) error) error {
	if _, err := spec.ParseDatasetName(name); err != nil {
		return usagef("%v", err)
	}
	want, err := a.load()
	if err != nil {
		return err
	}
	lock, err := a.lock(ctx, want, who, exitFailed)
	if err != nil {
		return err
	}
	defer lock.Release()
	db, err := a.openStore(want.Daemon.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(want, db)
}

func (a *app) endMemory(ctx context.Context, db *sqlite.Store, name string) error {
	n, err := db.Forget(ctx, name)
	if err != nil {
		return fmt.Errorf("forget %s: %w", name, err)
	}
	if n == 0 {
		return failf("dplane status lists what is known", "%s is not recorded", name)
	}
	return a.told(ctx, db, fmt.Sprintf("%s: %d recorded object(s) forgotten", name, n), map[string]any{"version": 1, "name": name, "forgotten": n})
}
