package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

func (a *app) adopt() *cobra.Command {
	return &cobra.Command{
		Use:   "adopt NAME",
		Short: "Accept a pool or dataset that took the name of one seen before",
		Long: `A pool or dataset whose guid is not the recorded one is left alone: it may be a stranger's disk. adopt looks at what
has the name now, and remembers that in the place of the old one; a pool with what was known below it, where the new
pool does not have it. Where nothing took the name, nothing is adopted: to end a memory, forget it. Nothing on the
machine is changed.`,
		Example: "  dplane adopt usb",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.named(c.Context(), args[0], "dplane adopt", func(want *spec.Spec, db *sqlite.Store) error {
				return a.runAdopt(c.Context(), want, db, args[0])
			})
		},
	}
}

func (a *app) runAdopt(ctx context.Context, want *spec.Spec, db *sqlite.Store, name string) error {
	obs, err := a.loop(db, false).Observe(ctx, want)
	if err != nil {
		return err
	}
	old, err := adoption(obs, name)
	if err != nil {
		return err
	}
	if err := db.Adopt(ctx, obs, old); err != nil {
		return fmt.Errorf("adopt %s: %w", name, err)
	}
	adopted, forgotten := []string{}, []string{}
	for _, r := range old {
		if guidOf(obs, r) == "" {
			forgotten = append(forgotten, r.Kind+" "+r.Name)
		} else {
			adopted = append(adopted, r.Kind+" "+r.Name)
		}
	}
	msg := "adopted: " + strings.Join(adopted, ", ")
	if len(forgotten) > 0 {
		msg += "; not in the new pool, and forgotten: " + strings.Join(forgotten, ", ")
	}
	return a.told(ctx, db, msg, map[string]any{"version": 1, "name": name, "adopted": len(old), "objects": adopted, "forgotten": forgotten})
}

// adoption are the memories that give way to what took a name. They are those of the name alone: what is missing below
// it stays missing (PRODUCT.md section 4, promise 7). Only with a pool that is another one goes all that is not in it.
func adoption(obs *state.Observed, name string) ([]state.Recorded, error) {
	if err := unlooked(obs, name); err != nil {
		return nil, err
	}
	here := map[string]bool{}
	for _, d := range obs.Datasets {
		here[d.GUID] = true
	}
	pool, _ := obs.RecordedAs(string(spec.KindPool), name)
	now := guidOf(obs, pool)
	another := now != "" && now != pool.GUID
	var old []state.Recorded
	known, missing := false, false
	for _, r := range obs.Recorded {
		named := r.Name == name
		known = known || named
		switch guid := guidOf(obs, r); {
		case named && guid == "":
			missing = true
		case named && guid != r.GUID, another && strings.HasPrefix(r.Name, name+"/") && !here[r.GUID]:
			old = append(old, r)
		}
	}
	switch {
	case !known:
		return nil, failf("dplane status lists what is known", "%s is not recorded", name)
	case len(old) == 0 && missing:
		return nil, failf("bring it back; or, if it was destroyed on purpose: dplane forget "+name, "nothing took the name %s: it is missing, and there is nothing to adopt", name)
	case len(old) == 0:
		return nil, failf("dplane plan says what is to be done", "%s is the one that is recorded: there is nothing to adopt", name)
	}
	return old, nil
}

// unlooked says why nothing is known of what has a name now.
func unlooked(obs *state.Observed, name string) error {
	pool := string(spec.DatasetName(name).Pool())
	switch p, why := obs.Pools[pool], obs.UnseenPool(pool); {
	case obs.ZFS.Error != "":
		return failf(obs.ZFS.Hint, "nothing can be looked at: %s", obs.ZFS.Error)
	case why != "":
		return failf("dplane adopt "+name+" when it can be looked at", "pool %s could not be looked at: %s", pool, why)
	case p != nil && !p.Managed:
		return failf("declare the pool, or a dataset of it", "pool %s is not declared, and so not looked at", pool)
	}
	return nil
}

// guidOf is the guid of what has the name of a known object now, "" where nothing has.
func guidOf(obs *state.Observed, r state.Recorded) string {
	if p := obs.Pools[r.Name]; p != nil && r.Kind == string(spec.KindPool) {
		return p.GUID
	}
	if d := obs.Datasets[r.Name]; d != nil && r.Kind == string(spec.KindDataset) {
		return d.GUID
	}
	return ""
}

// told prints what became of a memory, and notes it in the journal.
func (a *app) told(ctx context.Context, db *sqlite.Store, msg string, doc map[string]any) error {
	out := []byte(msg + "\n")
	if a.json {
		var err error
		if out, err = json.Marshal(doc); err != nil {
			return err
		}
		out = append(out, '\n')
	}
	if err := a.print(out, nil); err != nil {
		return err
	}
	return db.Log(ctx, state.Event{At: reconcile.Wall{}.Now(), Type: "approval", Level: "info", Message: msg + " by " + who()})
}
