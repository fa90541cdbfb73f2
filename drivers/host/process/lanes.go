package process

import (
	"fmt"
	"sync"

	"github.com/dplaneos/dplane/drivers/host"
)

// lanes are the processes that were given up and are not gone, one for each thing that does not answer. The zero
// value is ready.
type lanes struct {
	mu   sync.Mutex
	left map[string]*abandoned
}

// abandoned is a process that nobody waits for.
type abandoned struct {
	pid     int
	command host.Command
}

// free tells whether a command may be begun in a lane.
func (l *lanes) free(lane string, c host.Command) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.left[lane]
	if a == nil || lane == "" {
		return nil
	}
	return fmt.Errorf("%s was not begun: %w: process %d (%s) still hangs on %s", c, host.ErrStuck, a.pid, a.command, lane)
}

// leave notes a process that did not end, until it does, which wait waits for.
func (l *lanes) leave(lane string, pid int, c host.Command, wait func()) {
	if lane == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == nil {
		l.left = map[string]*abandoned{}
	}
	a := &abandoned{pid, c}
	l.left[lane] = a
	go func() {
		wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.left[lane] == a {
			delete(l.left, lane)
		}
	}()
}
