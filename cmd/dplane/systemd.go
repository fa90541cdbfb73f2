package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
)

// supervisor tells systemd how the loop is (sd_notify(3)). Where nobody listens, nothing is told.
type supervisor struct {
	log   *slog.Logger
	clock reconcile.Clock
	tell  func(state string) error

	mu    sync.Mutex
	moved time.Time     // when a pass last began or ended
	every time.Duration // interval of the loop
}

func newSupervisor(log *slog.Logger, clock reconcile.Clock) *supervisor {
	return &supervisor{log: log, clock: clock, moved: clock.Now(), tell: func(state string) error {
		_, err := systemd.SdNotify(false, state)
		return err
	}}
}

func (s *supervisor) say(lines ...string) {
	if err := s.tell(strings.Join(lines, "\n")); err != nil {
		s.log.Debug("tell systemd", "err", err)
	}
}

// ready is told after each pass: after the first one the service counts as started, and after a reload as loaded.
func (s *supervisor) ready(status string) { s.say(systemd.SdNotifyReady, "STATUS="+status) }

// reloading is told when SIGHUP came; Type=notify-reload wants the time with it.
func (s *supervisor) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		s.log.Debug("read the monotonic clock", "err", err)
	}
	s.say(systemd.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// moves notes that the loop is not stuck.
func (s *supervisor) moves(interval time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved, s.every = s.clock.Now(), interval
}

// onTime tells whether the loop moved as it should. A pass may carry out a write of half an hour: that is slow, but
// to be killed in the middle of it is worse.
func (s *supervisor) onTime() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.Now().Sub(s.moved) <= 3*s.every+host.WriteTimeout
}

// watch keeps the watchdog quiet while the loop is on time and, once ctx is done, asks for more time as long as a
// running command needs it. It ends with over.
func (s *supervisor) watch(ctx context.Context, watchdog time.Duration, over <-chan struct{}) {
	var tick <-chan time.Time
	if watchdog > 0 {
		tick = s.clock.After(watchdog / 2)
	}
	stopping := ctx.Done()
	for {
		select {
		case <-over:
			return
		case <-stopping:
			stopping = nil
			s.say(systemd.SdNotifyStopping)
			watchdog = stopStep * 2
			tick = s.clock.After(0)
		case <-tick:
			tick = s.clock.After(watchdog / 2)
			switch {
			case ctx.Err() != nil:
				s.say(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (3*stopStep).Microseconds()), systemd.SdNotifyWatchdog)
			case s.onTime():
				s.say(systemd.SdNotifyWatchdog)
			}
		}
	}
}

// stopStep is how often more time is asked for while a command ends.
const stopStep = 5 * time.Second
