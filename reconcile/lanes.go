package reconcile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Lanes carry out long work beside the loop, so that a transfer of an hour keeps nothing else from being done: one action
// of an object at a time, on the whole machine.
type Lanes struct {
	Dir   string // daemon.runtime
	Ended func() // hears when one has ended; may be nil

	mu   sync.Mutex
	done Outcomes
	all  sync.WaitGroup
}

// begin hands an action over. Where its lane is busy it is left to the next plan.
func (l *Loop) begin(ctx context.Context, a Planned, generation, by string, allowed bool) {
	w := l.Lanes
	lock, err := acquireLane(w.Dir, a.Object, by)
	var held *LockedError
	if errors.As(err, &held) {
		return
	}
	w.all.Go(func() {
		o := Outcome{a, state.Failed, err}
		if err == nil {
			o = l.one(ctx, a, generation, by, allowed, "")
			lock.Close()
		}
		if l.Progress != nil {
			l.Progress(o)
		}
		w.mu.Lock()
		w.done = append(w.done, o)
		w.mu.Unlock()
		if w.Ended != nil {
			w.Ended()
		}
	})
}

// take gives what has ended since it was called last.
func (w *Lanes) take() Outcomes {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	done := w.done
	w.done = nil
	return done
}

// Wait blocks until nothing runs any more, and gives what ended.
func (w *Lanes) Wait() Outcomes {
	w.all.Wait()
	return w.take()
}

// lanePath is the lock of an object's lane.
func lanePath(dir string, of spec.Ref) string {
	return filepath.Join(dir, "lock", string(of.Kind)+"-"+strings.ReplaceAll(of.Name, "/", ":"))
}

// acquireLane takes the lock of a lane, which dies with its process.
func acquireLane(dir string, of spec.Ref, who string) (*os.File, error) {
	path := lanePath(dir, of)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the locks: %w", err)
	}
	return sign(path, who)
}

// running are the objects whose lanes are busy, by whatever process.
func running(dir string) []state.Lane {
	files, err := os.ReadDir(filepath.Join(dir, "lock"))
	if err != nil {
		return nil // none was ever made
	}
	var all []state.Lane
	for _, f := range files {
		kind, name, ok := strings.Cut(f.Name(), "-")
		if who, busy := laneOf(filepath.Join(dir, "lock", f.Name())); ok && busy {
			all = append(all, state.Lane{Kind: kind, Name: strings.ReplaceAll(name, ":", "/"), By: who})
		}
	}
	return all
}

// laneOf tells whether a lane is busy, and who has it.
func laneOf(path string) (who string, busy bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		return "", false
	}
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b)), true
}

// busy tells whether the lane of an object is.
func busy(all []state.Lane, kind, name string) bool {
	return slices.ContainsFunc(all, func(r state.Lane) bool { return r.Kind == kind && r.Name == name })
}
