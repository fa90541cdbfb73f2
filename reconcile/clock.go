package reconcile

import "time"

// Clock is where time comes from: tests bring their own.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Wall is the machine's clock.
type Wall struct{}

// Now is the time, in UTC.
func (Wall) Now() time.Time { return time.Now().UTC() }

// After is time.After.
func (Wall) After(d time.Duration) <-chan time.Time { return time.After(d) }
