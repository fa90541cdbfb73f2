package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// database is the file that the daemon has open.
type database struct {
	path   string
	info   os.FileInfo
	broken bool // it was found damaged
}

// same tells whether the path still leads to that file.
func (f database) same() bool {
	now, err := os.Stat(f.path)
	return err == nil && f.info != nil && os.SameFile(now, f.info)
}

// well tells whether the file begins as a database does: one that was emptied or overwritten would go on for hours
// from what is in memory, while every command finds it broken.
func (f database) well() bool {
	if f.broken {
		return false
	}
	file, err := os.Open(f.path)
	if err != nil {
		return false
	}
	defer file.Close()
	head := make([]byte, len(magic))
	_, err = io.ReadFull(file, head)
	return err == nil && string(head) == magic
}

// magic is how every SQLite database begins (www.sqlite.org/fileformat.html).
const magic = "SQLite format 3\x00"

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
	if d.pulse == nil {
		d.pulse = &pulse{}
	}
	d.db, d.file, d.loop, d.web = db, database{path: path, info: info}, d.app.loop(db, true), newEndpoint(db, d.log, d.pulse, d.live)
	return nil
}

// follow opens the database that the commands would open: what is written into a deleted file is lost, and
// nothing may be done that is not written down.
func (d *daemon) follow(ctx context.Context) error {
	path := d.file.path
	if d.want != nil {
		path = d.want.Daemon.Database
	}
	here := path == d.file.path && d.file.same()
	if here && d.file.well() {
		return nil
	}
	old, web := d.db, d.web
	if here { // who has it open keeps another one from being begun in its place
		web.stop()
		old.Close()
		d.file.broken = true
	}
	if err := d.use(path); err != nil {
		return fmt.Errorf("the database was moved, deleted or broken, and %s can't be begun: nothing is done: %w", path, err)
	}
	web.stop()
	old.Close()
	d.files, d.invalid, d.seen = nil, "", "" // the new one knows no generation yet
	const msg = "another database is in use from now on: the one before was deleted, moved or broken, or daemon.database changed"
	d.log.Warn(msg, "database", path)
	d.event(ctx, "daemon", "warn", msg)
	return nil
}
