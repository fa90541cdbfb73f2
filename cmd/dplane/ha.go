package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/beat"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

func (a *app) ha() *cobra.Command {
	c := &cobra.Command{
		Use:     "ha",
		Short:   "The nodes of the HA group: who is active, who stands by, and how that changes",
		Example: "  dplane ha status\n  dplane ha switchover --to nas-b\n  dplane ha failover --plan",
		Args:    args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return usagef("no command given; `dplane ha --help` lists them")
		},
	}
	c.AddCommand(a.haID(), a.haStatus(), a.haSwitchover(), a.haFailover(), a.haRejoin(), a.haExplain(),
		a.haPause(ha.Pause, "Do nothing unasked on this node, until resume"), a.haPause(ha.Resume, "End the pause"))
	return c
}

// identity is the document of `dplane ha id`.
type identity struct {
	Version  int    `json:"version"`
	Node     string `json:"node"` // "": the files are not valid yet
	Identity string `json:"identity"`
	File     string `json:"file"`
	Made     bool   `json:"made"`
	Pinned   string `json:"pinned"` // what the files say; "": nothing
}

func (a *app) haID() *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Print what identifies this node to its peers; the key is made where there is none",
		Long: `Makes this node's key (ed25519, 0600, beside the database) where there is none, and prints its identity: what
ha.peers.NAME.identity of this node has to be in the files of every node. One that is there is never overwritten, and never
shown. Valid files are not needed yet.`,
		Example: "  dplane ha id\n  dplane ha id --json",
		Args:    args(0, 0),
		RunE:    func(*cobra.Command, []string) error { return a.showID() },
	}
}

func (a *app) showID() error {
	path, want := a.databasePath()
	doc := identity{Version: 1, File: beat.KeyFile(path)}
	key, made, err := beat.EnsureKey(doc.File)
	if err != nil {
		return failf("run it as root; a file that is no key, or that others could read, is taken away by hand: dplane ha id makes a new one then, which every node has to know", "%w", err)
	}
	doc.Identity, doc.Made = key.Pin().String(), made
	if want != nil {
		doc.Node = want.Node.Name
		doc.pinned(a, want, key)
	}
	if a.json {
		text, err := json.MarshalIndent(doc, "", "  ")
		return a.print(append(text, '\n'), err)
	}
	return a.print([]byte(doc.Identity+"\n"), nil)
}

// pinned notes what the files say of this node, and warns where they mean another key.
func (doc *identity) pinned(a *app, want *spec.Spec, key *beat.Key) {
	if want.HA == nil || want.HA.Peers[doc.Node] == nil {
		return
	}
	own := want.HA.Peers[doc.Node]
	doc.Pinned = own.Identity
	if pin, ok := own.Pin(); ok && pin != key.Pin() {
		fmt.Fprintf(a.stderr, "dplane: the files (%s) have another identity for %s: its peers refuse this node until every node's files have the one below\n", own.Pos.At(), doc.Node)
	}
}

func (a *app) haStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the peers, this node's role, and what it could decide by what it sees",
		Long: `Tells what the daemon knows of the nodes of the group: it watches them apart from its loop, so that this is newer than
what dplane status tells of pools. Exit status: 0 well, 1 degraded, 2 critical, 3 unknown (no group, no record, or one older
than three heartbeats).`,
		Example: "  dplane ha status\n  dplane ha status --json",
		Args:    args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			rec, err := a.recordedGroup(c)
			if err != nil {
				return err
			}
			s := render.NewHAStatus(rec, reconcile.Wall{}.Now())
			if a.json {
				err = a.print(render.HAStatusJSON(s))
			} else {
				err = render.HAStatusText(a.stdout, s, render.TextOptions{Color: a.colorOn(a.stdout)})
			}
			return errors.Join(err, exit(render.ExitCode(s.State)))
		},
	}
}

func (a *app) recordedGroup(c *cobra.Command) (*state.HARecord, error) {
	unknown := func(err error, hint string) error {
		return &exitError{code: exitUnknown, err: fmt.Errorf("read the record: %w", err), hint: hintOf(err, hint)}
	}
	db, err := a.journal()
	switch {
	case errors.Is(err, sqlite.ErrNoDatabase):
		return nil, nil
	case errors.Is(err, os.ErrPermission):
		return nil, unknown(err, "run dplane ha status as root")
	case err != nil:
		return nil, unknown(err, "dplane daemon tells in its log what is wrong with it")
	}
	defer db.Close()
	rec, err := db.HA(c.Context())
	if err != nil {
		return nil, unknown(err, "dplane daemon tells in its log what is wrong with it")
	}
	return rec, nil
}
