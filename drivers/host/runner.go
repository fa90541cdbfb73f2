package host

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// ReadOnly refuses every command that writes: observing and planning run behind it.
type ReadOnly struct{ Runner Runner }

// Run passes reads on.
func (r ReadOnly) Run(ctx context.Context, c Command) (Result, error) {
	if c.Effect != Reads {
		return Result{}, fmt.Errorf("refused to run %s: only reads are allowed here", c)
	}
	return r.Runner.Run(ctx, c)
}

// Hurried gives no read longer than Limit: a loop has other pools to look at, and a next round.
type Hurried struct {
	Runner Runner
	Limit  time.Duration
}

// Run passes the command on, a read with the shorter of its deadline and the limit.
func (h Hurried) Run(ctx context.Context, c Command) (Result, error) {
	if c.Effect == Reads {
		c.Timeout = min(c.Limit(), h.Limit)
	}
	return h.Runner.Run(ctx, c)
}

// Fault is what Faulty does to a write.
type Fault int

const (
	FailBefore Fault = iota // the command fails and has no effect
	DieBefore               // the process dies before the command
	DieAfter                // the command takes effect, then the process dies
)

// Died is the panic value of a simulated kill -9; a test recovers it and starts anew.
type Died struct{ Command Command }

// Faulty lets the Nth write (1 is the first) meet a fault; all else passes. It is not safe for
// concurrent use.
type Faulty struct {
	Runner Runner
	N      int
	Fault  Fault
	Writes int // seen so far
}

// Run passes the command on, unless it is the Nth write.
func (f *Faulty) Run(ctx context.Context, c Command) (Result, error) {
	if c.Effect != Writes {
		return f.Runner.Run(ctx, c)
	}
	f.Writes++
	if f.Writes != f.N {
		return f.Runner.Run(ctx, c)
	}
	switch f.Fault {
	case FailBefore:
		res := Result{Code: 1, Stderr: []byte("injected fault\n")}
		return res, &ExitError{Command: c, Code: 1, Stderr: "injected fault"}
	case DieAfter:
		if _, err := f.Runner.Run(ctx, c); err != nil {
			return Result{}, err
		}
	}
	panic(Died{c})
}

// Counter counts what passes by program name: the cost of a reconcile is a number of processes.
type Counter struct {
	Runner Runner
	Count  map[string]int

	mu sync.Mutex
}

// Run counts and passes the command on.
func (n *Counter) Run(ctx context.Context, c Command) (Result, error) {
	n.mu.Lock()
	if n.Count == nil {
		n.Count = map[string]int{}
	}
	n.Count[c.Argv[0]]++
	n.mu.Unlock()
	return n.Runner.Run(ctx, c)
}
