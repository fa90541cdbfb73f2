package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/state/sqlite"
)

// version and revision are set by the build (-X main.version=...).
var (
	version  = "dev"
	revision = "unknown"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of dplane and of what is built into it",
		Example: "  dplane version --json",
		Args:    args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := map[string]any{"version": 1, "dplane": version, "commit": revision, "go": runtime.Version(), "sqlite": sqlite.LibraryVersion()}
			if a.json {
				b, err := json.Marshal(v)
				return a.print(append(b, '\n'), err)
			}
			_, err := fmt.Fprintf(a.stdout, "dplane %s (commit %s, %s, SQLite %s)\n", version, revision, runtime.Version(), sqlite.LibraryVersion())
			return err
		},
	}
}
