// Package watch tells when the files of a configuration changed, and reads them when they are at rest.
//
// Chosen: an event only starts a timer, and what is there is read anew; what a watch can miss (links
// turned, network file systems, a full queue) a slow poll finds. Refused: believing events, or watching
// files, whose watches die with the first save of an editor.
//
// It must never parse a configuration, and never change a file.
package watch

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/dplaneos/dplane/reconcile"
)

const (
	quiet   = 300 * time.Millisecond // without an event, before one counts
	atMost  = 3 * time.Second        // from the first event
	poll    = 30 * time.Second       // without any event
	pollNow = 5 * time.Second        // where nothing can be watched
)

// Dir pokes when the configuration in dir is no longer as it was at the last poke (or the start), until
// ctx ends; then done is closed. A poke says only that it is worth to look.
func Dir(ctx context.Context, dir string, log *slog.Logger) (poke <-chan struct{}, done <-chan struct{}) {
	return watchDir(ctx, dir, log, reconcile.Wall{})
}

func watchDir(ctx context.Context, dir string, log *slog.Logger, clock reconcile.Clock) (<-chan struct{}, <-chan struct{}) {
	w := &watcher{dir: dir, log: log, clock: clock, poke: make(chan struct{}, 1), set: map[string]inode{}}
	w.open()
	w.renew()
	w.seen = fingerprint(dir)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.close()
		w.run(ctx)
	}()
	return w.poke, done
}

type watcher struct {
	dir   string
	log   *slog.Logger
	clock reconcile.Clock
	poke  chan struct{}

	events <-chan fsnotify.Event // nil: nothing can be watched, and a receive waits for ever
	errors <-chan error
	fs     *fsnotify.Watcher
	places places
	set    map[string]inode // the watches, by path, with what they are on
	seen   string           // fingerprint at the last poke
	warned bool
}

// inode tells whether a path still leads to the same directory.
type inode struct{ dev, ino uint64 }

func (w *watcher) open() {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		w.warn(err)
		return
	}
	w.fs, w.events, w.errors = fs, fs.Events, fs.Errors
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close() // it ends with the process at the latest
	}
}

func (w *watcher) warn(err error) {
	if !w.warned {
		w.log.Warn("the configuration can't be watched, so it is looked at every few seconds", "dir", w.dir, "err", err)
	}
	w.warned = true
}

func (w *watcher) run(ctx context.Context) {
	var first, last, slow <-chan time.Time // since the first and the last event, and without any
	slow = w.clock.After(w.every())
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.events:
			if !ok {
				return
			}
			if !w.places.counts(e.Name) {
				continue
			}
		case err, ok := <-w.errors: // an overflow: events were lost
			if !ok {
				return
			}
			w.log.Debug("watch the configuration", "err", err)
		case <-first:
			first, last = nil, nil
			w.look()
			continue
		case <-last:
			first, last = nil, nil
			w.look()
			continue
		case <-slow:
			slow = w.clock.After(w.every())
			w.look()
			continue
		}
		if first == nil {
			first = w.clock.After(atMost)
		}
		last = w.clock.After(quiet)
	}
}

func (w *watcher) every() time.Duration {
	if w.warned {
		return pollNow
	}
	return poll
}

// look sets the watches first and reads then, so that no change falls between.
func (w *watcher) look() {
	w.renew()
	now := fingerprint(w.dir)
	if now == w.seen {
		return
	}
	w.seen = now
	select {
	case w.poke <- struct{}{}:
	default: // one is waiting already
	}
}

// renew brings the watches in line with where the links lead now.
func (w *watcher) renew() {
	w.places = placesOf(w.dir)
	if w.fs == nil {
		return
	}
	for path, was := range w.set {
		if now, err := inodeOf(path); err != nil || now != was || !w.places.dirs[path] {
			_ = w.fs.Remove(path) // it may have gone with its directory
			delete(w.set, path)
		}
	}
	alive := map[string]bool{}
	for _, path := range w.fs.WatchList() {
		alive[path] = true
	}
	for path := range w.places.dirs {
		id, err := inodeOf(path)
		if err != nil || alive[path] && w.set[path] == id {
			continue // what is not there is seen by a watch on its parent, when it comes
		}
		if err := w.fs.Add(path); err != nil {
			w.warn(fmt.Errorf("watch %s: %w", path, err))
			continue
		}
		w.set[path] = id
	}
}

func inodeOf(path string) (inode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return inode{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return inode{}, fmt.Errorf("%s is no directory", path)
	}
	return inode{uint64(stat.Dev), stat.Ino}, nil
}

// fingerprint is a hash of all that the loader and CheckOwner see: names, content, owners and modes, and
// what can't be read.
func fingerprint(dir string) string {
	h := sha256.New()
	list, err := names(dir)
	fmt.Fprintf(h, "%q %v\n", list, err)
	for _, n := range list {
		path := filepath.Join(dir, n)
		b, err := readFile(path)
		fmt.Fprintf(h, "%d %x %v\n", len(b), sha256.Sum256(b), err)
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(h, "%v", info.Mode())
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				fmt.Fprintf(h, " %d", stat.Uid)
			}
		}
	}
	return string(h.Sum(nil))
}
