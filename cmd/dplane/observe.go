package main

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/state"
)

func (a *app) observe() *cobra.Command {
	return &cobra.Command{
		Use:   "observe",
		Short: "Print the observed state of the machine as JSON",
		Long:  "Looks at the machine and prints what `dplane plan --observed` reads. Changes nothing.",
		Example: `  dplane observe --json > observed.json
  dplane plan --config ./proposal --observed observed.json`,
		Args: args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			want, err := a.load()
			if err != nil {
				return err
			}
			store, done, err := memory(want.Daemon.Database)
			if err != nil {
				return err
			}
			defer done()
			obs, err := a.loop(store, false).Observe(c.Context(), want)
			if err != nil {
				return err
			}
			b, err := json.MarshalIndent(obs, "", "  ")
			return a.print(append(b, '\n'), err)
		},
	}
}

// readObserved reads a state that `dplane observe` printed.
func readObserved(path string) (*state.Observed, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, failf("dplane observe --json > "+path+" records one", "read the observed state: %w", err)
	}
	obs := &state.Observed{}
	if err := json.Unmarshal(b, obs); err != nil {
		return nil, failf("dplane observe --json records one", "%s is no observed state: %w", path, err)
	}
	if obs.Version != 1 {
		return nil, failf("record it again with dplane observe --json", "%s has version %d: this dplane reads version 1", path, obs.Version)
	}
	return obs, nil
}
