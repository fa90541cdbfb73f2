package main

import (
	"context"
	"fmt"
	"github.com/dplaneos/dplane/spec"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
)

// edges are the streams of one run.
type edges struct {
	stdin          *os.File
	stdout, stderr io.Writer
}

// app is what every command shares.
type app struct {
	edges
	config   string // directory of the YAML files
	json     bool
	noColor  bool
	logLevel string
	hurry    time.Duration             // no read takes longer; 0: as long as it has to
	telling  sync.Mutex                // of what ends and how far it is, by several at once
	halfLine bool                      // a terminal shows how far a stream is, in a line that goes on
	streams  streams                   // that a terminal shows
	toldAt   map[string]time.Duration  // since when a stream ran when it was told last how far it is
	asksOnly bool                      // nothing is sent or changed elsewhere, so no term of the HA group is told
	work     groupWork                 // what is being done to the HA group's datasets
	inForce  atomic.Pointer[spec.Spec] // the files that were read last: what remotes they name
}

// run executes one command line and gives its exit code.
func run(ctx context.Context, args []string, e edges) int {
	a := &app{edges: e}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	return a.report(root.ExecuteContext(ctx))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "dplane",
		Short: "Desired state for OpenZFS: pools, datasets, snapshots and replication from a few YAML files",
		Long: `dplane reads the YAML files of a directory (/etc/dplaneos), shows how the machine differs from them as a
plan, and carries it out. Undeclared is unmanaged: what the files do not name is never touched.`,
		Example: `  dplane validate            check the files
  dplane plan                show what would be done
  dplane apply               do it, after asking
  dplane status              is everything as declared?`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no command given; `dplane --help` lists them")
			}
			return usagef("unknown command %q%s", args[0], suggest(c, args[0]))
		},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			_, err := level(a.logLevel)
			return err
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.config, "config", "/etc/dplaneos", "directory of the configuration files")
	f.BoolVar(&a.json, "json", false, "print JSON to standard output")
	f.BoolVar(&a.noColor, "no-color", os.Getenv("NO_COLOR") != "", "no colour, also on a terminal")
	f.StringVar(&a.logLevel, "log-level", "warn", "debug, info, warn or error")
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%v", err) })
	root.AddCommand(a.validate(), a.plan(), a.apply(), a.confirm(), a.observe(), a.daemon(), a.status(), a.events(), a.history(),
		a.restore(), a.adopt(), a.forget(), a.snapshots(), a.replication(), a.receive(), a.ha(), a.version())
	return root
}

func suggest(c *cobra.Command, word string) string {
	if s := c.SuggestionsFor(word); len(s) > 0 {
		return fmt.Sprintf(" (did you mean %q?)", s[0])
	}
	return "; `dplane --help` lists the commands"
}

// args checks the number of arguments: anything else is wrong usage.
func args(min, max int) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if len(given) < min || len(given) > max {
			return usagef("%s takes %s; see `%s --help`", c.CommandPath(), countOf(min, max), c.CommandPath())
		}
		return nil
	}
}

func countOf(min, max int) string {
	switch {
	case max == 0:
		return "no arguments"
	case min == max:
		return fmt.Sprintf("%d argument(s)", min)
	}
	return fmt.Sprintf("%d to %d arguments", min, max)
}

func level(name string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return l, usagef("--log-level %q is not one of debug, info, warn, error", name)
	}
	return l, nil
}

// logger writes to standard error; JSON goes to standard output alone.
func (a *app) logger() *slog.Logger {
	l, _ := level(a.logLevel) // checked before the command ran
	return slog.New(tint.NewTextHandler(a.stderr, &tint.Options{Level: l, NoColor: !a.colorOn(a.stderr)}))
}
