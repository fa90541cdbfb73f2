package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

// idle is a daemon on a machine without ZFS, and its directory.
func idle(t *testing.T) (d *daemon, dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("PATH", dir) // no zfs: nothing is looked at
	conf := fmt.Sprintf("daemon: {listen: \"127.0.0.1:0\", runtime: %s/run, database: %[1]s/db/d.db}\n", dir)
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "etc", "d.yaml"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	a := &app{edges: edges{stdout: t.Output(), stderr: t.Output()}, config: filepath.Join(dir, "etc"), logLevel: "info"}
	return &daemon{app: a, log: a.logger(), cache: spec.NewCache()}, dir
}

// A database that is deleted under the daemon is begun anew, so that the commands and the daemon have one memory.
func TestDaemonFollowsTheDatabase(t *testing.T) {
	d, dir := idle(t)
	if err := d.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { d.db.Close(); d.web.stop() }()
	d.pass(t.Context())
	if err := os.RemoveAll(filepath.Join(dir, "db")); err != nil {
		t.Fatal(err)
	}
	d.pass(t.Context())
	db, err := sqlite.OpenReadOnly(filepath.Join(dir, "db", "d.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rec, err := db.Record(t.Context())
	if err != nil || rec == nil || rec.Generation == "" {
		t.Errorf("the new database has no record: %v, %v", rec, err)
	}
	if gens, err := db.Generations(t.Context()); err != nil || len(gens) != 1 {
		t.Errorf("the new database has the generations %v, %v", gens, err)
	}
}

// A database that is emptied or overwritten under the daemon is begun anew, and it is told that history is lost.
func TestDaemonDatabaseBreaks(t *testing.T) {
	for name, with := range map[string][]byte{"emptied": {}, "overwritten": bytes.Repeat([]byte("?"), 1<<18)} {
		t.Run(name, func(t *testing.T) {
			d, dir := idle(t)
			if err := d.open(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer func() { d.db.Close(); d.web.stop() }()
			d.pass(t.Context())
			path := filepath.Join(dir, "db", "d.db")
			if err := os.WriteFile(path, with, 0o600); err != nil {
				t.Fatal(err)
			}
			d.pass(t.Context())
			db, err := sqlite.OpenReadOnly(path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if rec, err := db.Record(t.Context()); err != nil || rec == nil || rec.Generation == "" {
				t.Errorf("no record: %v, %v", rec, err)
			}
			if events, err := db.Events(t.Context(), "another database", 10); err != nil || len(events) != 1 {
				t.Errorf("nobody is told: %+v, %v", events, err)
			}
		})
	}
}

// Where no database can be opened in place of the deleted one, nothing is done.
func TestDaemonWithoutDatabase(t *testing.T) {
	d, dir := idle(t)
	if err := d.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { d.db.Close(); d.web.stop() }()
	if err := os.RemoveAll(filepath.Join(dir, "db")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "db"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d.pass(t.Context())
	if last, _ := d.web.loop(); !last.IsZero() || d.want != nil {
		t.Error("a pass without a database counts as one")
	}
}

// An intent is unfinished where its process died, and also while an apply is at work: a daemon that starts
// meanwhile must not write into the journal that it was interrupted.
func TestDaemonSettlesUnderTheLock(t *testing.T) {
	d, dir := idle(t)
	db, err := d.openStore(filepath.Join(dir, "db", "d.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := reconcile.Acquire(filepath.Join(dir, "run"), "an apply")
	if err != nil {
		t.Fatal(err)
	}
	action := &state.Action{ID: "1", Kind: "dataset", Name: "tank/a", Verb: "create", Outcome: state.Started, Started: time.Unix(1, 0)}
	if _, err := db.Begin(t.Context(), state.Event{At: time.Unix(1, 0), Type: "action", Level: "info", Action: action}); err != nil {
		t.Fatal(err)
	}
	if err := d.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.db.Close()
	defer d.web.stop()
	open := func() int {
		events, err := db.Unsettled(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(events)
	}
	d.pass(t.Context())
	if open() != 1 {
		t.Error("the intent of an apply that is at work was settled")
	}
	lock.Release()
	d.pass(t.Context())
	if open() != 0 {
		t.Error("the intent of a dead process was not settled")
	}
}
