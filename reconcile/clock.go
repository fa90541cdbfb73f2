package reconcile

import (
	"os"
	"syscall"
	"time"

	"github.com/dplaneos/dplane/state"
)

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

// timeServices are what a time service has while it runs: systemd-timesyncd, chrony, ntpsec, ntpd, openntpd.
var timeServices = []string{"/run/systemd/timesync", "/run/chrony/chronyd.pid", "/run/ntpd.pid", "/run/ntpd/ntpd.pid", "/run/openntpd.pid"}

// unsynced is STA_UNSYNC of adjtimex(2).
const unsynced = 0x40

// Synchronised is what the kernel says of the clock, one of state's words. A clock that no service keeps is never
// synchronised, which tells nothing.
func (Wall) Synchronised() string {
	var t syscall.Timex
	if _, err := syscall.Adjtimex(&t); err != nil {
		return ""
	}
	if t.Status&unsynced == 0 {
		return state.Synchronised
	}
	for _, path := range timeServices {
		if _, err := os.Stat(path); err == nil {
			return state.Unsynchronised
		}
	}
	return ""
}
