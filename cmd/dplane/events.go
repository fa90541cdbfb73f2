package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

func (a *app) events() *cobra.Command {
	var search string
	var limit int
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what happened, newest first",
		Example: `  dplane events
  dplane events --search "tank/home compression"`,
		Args: args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit %d is not a positive number", limit)
			}
			events := []state.Event{}
			db, err := a.journal()
			if err == nil {
				defer db.Close()
				events, err = db.Events(c.Context(), search, limit)
			}
			if err != nil && !errors.Is(err, sqlite.ErrNoDatabase) {
				return failf("run it as root", "read the events: %w", err)
			}
			if a.json {
				return a.print(render.EventsJSON(events))
			}
			return render.EventsText(a.stdout, events, render.TextOptions{Color: a.colorOn(a.stdout)})
		},
	}
	c.Flags().StringVar(&search, "search", "", "only events that hold all these words (full-text search)")
	c.Flags().IntVar(&limit, "limit", 100, "the number of events at most")
	return c
}
