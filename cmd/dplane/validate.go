package main

import (
	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/spec"
)

func (a *app) validate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check the configuration files; needs neither root nor ZFS",
		Long: `Checks all *.yaml and *.yml files of the configuration directory and shows every error at once, each with its
place, what is expected, and an example. Exit status: 0 valid, 1 not.`,
		Example: "  dplane validate\n  dplane validate --config ./nas-a --json",
		Args:    args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			s, err := spec.LoadDir(a.config, spec.LoadOptions{Hostname: hostname()})
			if a.json {
				if perr := a.print(render.ValidateJSON(s, err)); perr != nil {
					return perr
				}
			} else if err != nil {
				render.ValidateText(a.stderr, s, err)
			} else {
				render.ValidateText(a.stdout, s, nil)
			}
			if err != nil {
				return exit(exitFailed)
			}
			return nil
		},
	}
}
