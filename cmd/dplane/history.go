package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

func (a *app) history() *cobra.Command {
	c := &cobra.Command{
		Use:   "history",
		Short: "Show the configurations that were in force: when, who, which commit",
		Example: `  dplane history
  dplane history diff 3 4`,
		Args: args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			gens := []state.Generation{}
			db, err := a.journal()
			if err == nil {
				defer db.Close()
				gens, err = db.Generations(c.Context())
			}
			if err != nil && !errors.Is(err, sqlite.ErrNoDatabase) {
				return failf("run it as root", "read the history: %w", err)
			}
			if a.json {
				return a.print(render.HistoryJSON(gens))
			}
			return render.HistoryText(a.stdout, gens, render.TextOptions{Color: a.colorOn(a.stdout)})
		},
	}
	c.AddCommand(a.historyDiff())
	return c
}

func (a *app) historyDiff() *cobra.Command {
	return &cobra.Command{
		Use:     "diff A B",
		Short:   "Show what changed from generation A to generation B",
		Example: "  dplane history diff 3 4",
		Args:    args(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			db, err := a.journal()
			if err != nil {
				return failf("generations are recorded by dplane apply and the daemon", "read the history: %w", err)
			}
			defer db.Close()
			var sides [2]*spec.Spec
			for i, arg := range args {
				n, err := strconv.ParseInt(arg, 10, 64)
				if err != nil {
					return usagef("%q is no generation's number; dplane history lists them", arg)
				}
				g, err := db.Generation(c.Context(), n)
				if err != nil {
					return failf("dplane history lists them", "generation %d: %w", n, err)
				}
				if sides[i], err = reload(g); err != nil {
					return fmt.Errorf("read the files of generation %d: %w", n, err)
				}
			}
			diff, err := render.DiffSpecs(sides[0], sides[1])
			if err != nil {
				return err
			}
			if a.json {
				return a.print(render.DiffJSON(diff))
			}
			return render.DiffText(a.stdout, diff, render.TextOptions{Color: a.colorOn(a.stdout)})
		},
	}
}
