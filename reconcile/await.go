package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

const (
	// TheDaemon is who the loop is, for those whom it locks out.
	TheDaemon = "dplane daemon"
	// passTime is how long a person waits for a pass of the loop. Most are over in a moment; one that carries out
	// long work is not worth to be waited for unasked.
	passTime = 30 * time.Second
	// lookEvery is how often it is looked whether the pass is over.
	lookEvery = 100 * time.Millisecond
)

// Await takes the lock like Acquire, and waits where the loop has it: a pass is soon over, and is nothing that the
// person began. Whoever else has it is a *LockedError at once, and so is the loop after passTime; tell hears once
// who is waited for. That ctx ends is an error of its own.
func Await(ctx context.Context, clock Clock, dir, who string, tell func(holder string)) (*Lock, error) {
	begun, told := clock.Now(), false
	for {
		lock, err := Acquire(dir, who)
		var held *LockedError
		if !errors.As(err, &held) || !held.passing() || clock.Now().Sub(begun) >= passTime {
			return lock, err
		}
		if !told {
			tell(held.By())
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", held.By(), ctx.Err())
		case <-clock.After(lookEvery):
		}
	}
}

// passing tells whether the holder lets go by itself in a while: the loop, or one who has not signed yet, so that
// the lock still names a process that ended.
func (e *LockedError) passing() bool {
	if strings.HasSuffix(e.Holder, "("+TheDaemon+")") {
		return true
	}
	var pid int
	if _, err := fmt.Sscanf(e.Holder, "process %d ", &pid); err != nil {
		return e.Holder == ""
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
