package main

import (
	"errors"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state/sqlite"
)

// load reads the configuration; an invalid one is shown whole and ends the run with status 1.
func (a *app) load() (*spec.Spec, error) {
	s, err := spec.LoadDir(a.config, spec.LoadOptions{Hostname: hostname()})
	if err == nil {
		a.inForce.Store(s)
		return s, nil
	}
	if a.json {
		a.print(render.InvalidJSON(err))
	} else {
		render.ValidateText(a.stderr, nil, err)
	}
	return nil, exit(exitFailed)
}

// memory opens the database for reading; a machine without one has no memory.
func memory(path string) (store, func(), error) {
	db, err := sqlite.OpenReadOnly(path)
	switch {
	case errors.Is(err, sqlite.ErrNoDatabase), errors.Is(err, os.ErrPermission):
		return forgetful{}, func() {}, nil
	case err != nil:
		return nil, nil, failf(hintOf(err, "is it a database of dplane, and its disk well?"), "open the database: %w", err)
	}
	return db, func() { db.Close() }, nil
}

// hintOf is what an error of the database means, or else something more general.
func hintOf(err error, general string) string {
	if hint := sqlite.Hint(err); hint != "" {
		return hint
	}
	return general
}

// journal opens the database of the configuration for reading.
func (a *app) journal() (*sqlite.Store, error) {
	path, _ := a.databasePath()
	return sqlite.OpenReadOnly(path)
}

// databasePath is where the database is, with the configuration where that is valid. An invalid one is no reason not to
// tell what was recorded, so only the one key that is needed is read then.
func (a *app) databasePath() (string, *spec.Spec) {
	if s, err := spec.LoadDir(a.config, spec.LoadOptions{Hostname: hostname()}); err == nil {
		return s.Daemon.Database, s
	} else if p := databaseKey(a.config); p != "" {
		return p, nil
	}
	return defaultDatabase, nil
}

const defaultDatabase = "/var/lib/dplaneos/dplaneos.db"

func databaseKey(dir string) string {
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || !info.Mode().IsRegular() {
				continue // a pipe would never end
			}
			b, err := os.ReadFile(f)
			if err != nil {
				continue
			}
			var doc struct{ Daemon struct{ Database string } }
			if yaml.Unmarshal(b, &doc) == nil && doc.Daemon.Database != "" {
				return doc.Daemon.Database
			}
		}
	}
	return ""
}
