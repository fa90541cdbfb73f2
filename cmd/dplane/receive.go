package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/drivers/ha/gate"
	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/drivers/replication/receive"
)

// exitRefused is a request that is not let through: EX_NOPERM of sysexits.h. ssh has 255 for itself, zfs 1, 2 and 255.
const exitRefused = 77

func (a *app) receive() *cobra.Command {
	f := &received{}
	c := &cobra.Command{
		Use:   "receive --target DATASET",
		Short: "Let a replication key do its work, and nothing else (the forced command of the key)",
		Long: `Stands as the forced command of a replication key in authorized_keys on the machine that receives, or that is fetched from.
dplane replication setup prints the whole line.

It reads what the far side asks for (SSH_ORIGINAL_COMMAND), and lets through only what a dplane asks for its replication:
to list, hold and receive into --target and what is below it; to list, hold and send --source and what is below it. No shell
reads any of it. A dataset is never destroyed, and nothing is forced. What is received is read-only, is not mounted, and
takes no mountpoint and no share from the stream; other properties than harmless ones are set only as --set says. What is
encrypted is sent raw, unless --plain says otherwise.

--prune, --repair, --peer and --set are of the --target before them, and --plain of the --source before it; before the first
one they are of all.

--peer is for a dataset of the HA group: the key is that node's. What it sends is received, and what it asks for done, only while
this node is a standby, in the term that is known here, and where that node is the active one; that is looked at before and after.

A request that is refused is told in one line, here and to the system's log. Exit status: that of zfs; 77 the request was
refused and nothing was run.`,
		Example: `  restrict,command="dplane receive --target backup/home" ssh-ed25519 AAAA...
  restrict,command="dplane receive --target backup/a --prune --target backup/b" ssh-ed25519 AAAA...
  restrict,command="dplane receive --source tank/home" ssh-ed25519 AAAA...`,
		Args: args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			rules, err := f.parsed()
			if err != nil {
				return err
			}
			return a.open(c.Context(), rules, gate.Dir(f.runtime), os.Getenv("SSH_ORIGINAL_COMMAND"))
		},
	}
	f.bind(c.Flags())
	return c
}

// open lets one request in, or not. It comes back where zfs was not begun, or was fed.
func (a *app) open(ctx context.Context, rules receive.Rules, gateDir, line string) error {
	run := process.New()
	door := receive.Door{
		Rules: rules, Runner: run, Become: run.Become,
		Head: func(n int) ([]byte, error) { return process.Peek(a.stdin, n) },
	}
	door.Enter = func(peer string, term uint64) (func() error, error) {
		pass, err := gate.Enter(gateDir, peer, term)
		if err != nil {
			return nil, err
		}
		return pass.Leave, nil
	}
	door.Attend = func(argv []string) error {
		code, err := run.Attend(argv)
		if err == nil && code != 0 { // zfs said why
			return exit(code)
		}
		return err
	}
	door.Feed = func(argv []string, sift func(io.Reader, io.Writer) error) error {
		code, err := run.Feed(argv, a.stdin, sift)
		var refused *receive.Refused
		switch {
		case errors.As(err, &refused):
			return refused
		case code != 0: // zfs said why
			return exit(code)
		}
		return err
	}
	err := door.Open(ctx, line)
	var refused *receive.Refused
	if !errors.As(err, &refused) {
		return err
	}
	logRefused(refused)
	return &exitError{code: exitRefused, err: fmt.Errorf("receive: %w", err)}
}

// logRefused tells the one who keeps this machine, who sees nothing of what the far side is told.
func logRefused(refused *receive.Refused) {
	w, err := syslog.New(syslog.LOG_AUTH|syslog.LOG_WARNING, "dplane")
	if err != nil {
		return // it is told on standard error
	}
	defer w.Close()
	_ = w.Warning(fmt.Sprintf("receive: %v (from %q)", refused, os.Getenv("SSH_CONNECTION")))
}
