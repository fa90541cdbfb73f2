package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state/sqlite"
)

// exitUnknown is the status of a machine of which there is no record to read.
const exitUnknown = 3

func (a *app) status() *cobra.Command {
	var watching bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show whether all is as declared, by the last record",
		Long: `Tells what the daemon's last pass, or the last apply, recorded. Exit status: 0 well, 1 degraded, 2 critical,
3 unknown (no record, or one older than three intervals).`,
		Example: "  dplane status\n  dplane status --watch\n  dplane status --json",
		Args:    args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if watching {
				return a.watchStatus(c.Context())
			}
			st, err := a.currentStatus(c.Context())
			if err != nil {
				return err
			}
			return errors.Join(a.showStatus(st), exit(render.ExitCode(st.State)))
		},
	}
	c.Flags().BoolVar(&watching, "watch", false, "show it again every two seconds, until interrupted")
	return c
}

func (a *app) showStatus(st *render.Status) error {
	if a.json {
		return a.print(render.StatusJSON(st))
	}
	return render.StatusText(a.stdout, st, render.TextOptions{Color: a.colorOn(a.stdout)})
}

func (a *app) watchStatus(ctx context.Context) error {
	clock := reconcile.Wall{}
	for {
		st, err := a.currentStatus(ctx)
		if err != nil {
			return err
		}
		if a.colorOn(a.stdout) {
			a.print([]byte("\x1b[H\x1b[2J"), nil)
		}
		if err := a.showStatus(st); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return exit(render.ExitCode(st.State))
		case <-clock.After(2 * time.Second):
		}
	}
}

// currentStatus reads the last record. No database is no record.
func (a *app) currentStatus(ctx context.Context) (*render.Status, error) {
	now := reconcile.Wall{}.Now()
	db, err := a.journal()
	switch {
	case errors.Is(err, sqlite.ErrNoDatabase):
		return render.NewStatus(nil, now), nil
	case errors.Is(err, os.ErrPermission):
		return nil, &exitError{code: exitUnknown, err: fmt.Errorf("read the record: %w", err), hint: "run dplane status as root"}
	case err != nil:
		return nil, &exitError{code: exitUnknown, err: fmt.Errorf("read the record: %w", err), hint: hintOf(err, "dplane daemon tells in its log what is wrong with it")}
	}
	defer db.Close()
	rec, err := db.Record(ctx)
	if err != nil {
		return nil, &exitError{code: exitUnknown, err: err, hint: sqlite.Hint(err)}
	}
	return render.NewStatus(rec, now), nil
}
