package main

import (
	"context"
	"fmt"
	"os"
)

// database is the file that the daemon has open.
type database struct {
	path string
	info os.FileInfo
}

// there tells whether the path still leads to that file.
func (f database) there() bool {
	now, err := os.Stat(f.path)
	return err == nil && f.info != nil && os.SameFile(now, f.info)
}

// use opens the database, and the endpoint that serves it.
func (d *daemon) use(path string) error {
	db, err := d.openStore(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		db.Close()
		return failf("start the daemon again", "look at the database: %w", err)
	}
	d.db, d.file, d.loop, d.web = db, database{path, info}, d.app.loop(db, true), newEndpoint(db, d.log)
	return nil
}

// follow opens the database that the commands would open: what is written into a deleted file is lost, and
// nothing may be done that is not written down.
func (d *daemon) follow(ctx context.Context) error {
	path := d.file.path
	if d.want != nil {
		path = d.want.Daemon.Database
	}
	if path == d.file.path && d.file.there() {
		return nil
	}
	old, web := d.db, d.web
	if err := d.use(path); err != nil {
		return fmt.Errorf("the database was moved or deleted, and %s can't be begun: nothing is done: %w", path, err)
	}
	web.stop()
	old.Close()
	d.files, d.invalid, d.seen = nil, "", "" // the new one knows no generation yet
	const msg = "another database is in use from now on: the one before was deleted or moved, or daemon.database changed"
	d.log.Warn(msg, "database", path)
	d.event(ctx, "daemon", "warn", msg)
	return nil
}
