package watch

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/dplaneos/dplane/reconcile"
)

const (
	apart     = 200 * time.Millisecond // between two reads that must be equal
	restless  = 3 * time.Second        // after which files that keep changing are an error
	gitWait   = 5 * time.Second        // for a git command to end
	confirmed = 10 * time.Second       // after which a file that disappeared is believed to be gone
)

// Stable reads the files of the configuration, by name, when they are at rest: two equal reads with a
// pause between, and no git command half way through its work. Where a file of the configuration in
// force is no longer there, a second look ten seconds later must agree, since a checkout shows that for
// a moment, and a missing file means that everything in it was removed.
func Stable(ctx context.Context, dir string, inForce map[string][]byte) (map[string][]byte, error) {
	return stable(ctx, dir, inForce, reconcile.Wall{})
}

func stable(ctx context.Context, dir string, inForce map[string][]byte, clock reconcile.Clock) (map[string][]byte, error) {
	files, err := rest(ctx, dir, clock)
	for err == nil && missing(files, inForce) {
		if err := pause(ctx, clock, confirmed); err != nil {
			return nil, err
		}
		var again map[string][]byte
		if again, err = rest(ctx, dir, clock); err == nil && equal(files, again) {
			return files, nil
		}
		files = again
	}
	return files, err
}

// rest gives the first of two equal reads. An error of a read counts as a difference until the time is
// up: links can appear before what they lead to.
func rest(ctx context.Context, dir string, clock reconcile.Clock) (map[string][]byte, error) {
	if err := gitDone(ctx, dir, clock); err != nil {
		return nil, err
	}
	last, lastErr := read(dir)
	for waited := time.Duration(0); waited < restless; waited += apart {
		if err := pause(ctx, clock, apart); err != nil {
			return nil, err
		}
		files, err := read(dir)
		if err == nil && lastErr == nil && equal(files, last) {
			return files, nil
		}
		last, lastErr = files, err
	}
	if lastErr != nil {
		return nil, lastErr
	}
	return nil, fmt.Errorf("read configuration: the files in %s kept changing for %s", dir, restless)
}

func gitDone(ctx context.Context, dir string, clock reconcile.Clock) error {
	for waited := time.Duration(0); ; waited += apart {
		sign := gitBusy(dir)
		if sign == "" {
			return nil
		}
		if waited >= gitWait {
			return fmt.Errorf("read configuration: git is at work in it (%s exists): it is read when that has ended", sign)
		}
		if err := pause(ctx, clock, apart); err != nil {
			return err
		}
	}
}

func missing(files, inForce map[string][]byte) bool {
	for name := range inForce {
		if _, ok := files[name]; !ok {
			return true
		}
	}
	return false
}

func equal(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }

func pause(ctx context.Context, clock reconcile.Clock, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-clock.After(d):
		return nil
	}
}
