package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
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
				return a.endMemory(c.Context(), db, args[0], "forgotten")
			})
		},
	}
}

func (a *app) adopt() *cobra.Command {
	return &cobra.Command{
		Use:   "adopt NAME",
		Short: "Accept a pool or dataset that took the name of one seen before",
		Long: `A pool whose guid is not the recorded one is left alone as a whole: it may be a stranger's disk. adopt ends the
memory of the old one; the next pass records the one that is there now. Nothing on the machine is changed.`,
		Example: "  dplane adopt usb",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.named(c.Context(), args[0], "dplane adopt", func(_ *spec.Spec, db *sqlite.Store) error {
				return a.endMemory(c.Context(), db, args[0], "adopted")
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

func (a *app) endMemory(ctx context.Context, db *sqlite.Store, name, did string) error {
	n, err := db.Forget(ctx, name)
	if err != nil {
		return fmt.Errorf("forget %s: %w", name, err)
	}
	if n == 0 {
		return failf("dplane status lists what is known", "%s is not recorded", name)
	}
	msg := fmt.Sprintf("%s: %d recorded object(s) %s", name, n, did)
	doc := []byte(msg + "\n")
	if a.json {
		if doc, err = json.Marshal(map[string]any{"version": 1, "name": name, did: n}); err != nil {
			return err
		}
		doc = append(doc, '\n')
	}
	if err := a.print(doc, nil); err != nil {
		return err
	}
	return db.Log(ctx, state.Event{At: reconcile.Wall{}.Now(), Type: "approval", Level: "info", Message: msg + " by " + who()})
}
