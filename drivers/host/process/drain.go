package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

// drain runs a command and hands on what it prints, as it comes and no faster than its rate allows. As a pipe it ends when
// ctx does or nothing moves, whatever it runs on: it reads.
func (r *Runner) drain(ctx context.Context, c host.Command) (host.Result, error) {
	argv, program, err := r.resolve(c)
	if err != nil {
		return host.Result{}, err
	}
	f := &flow{to: c.Into}
	if c.Pipe.Rate > 0 {
		f.pace = newBucket(c.Pipe.Rate, time.Now())
	}
	p := &running{command: c, lane: r.lane(c), stderr: bounded{max: maxStderr}, ended: make(chan error, 1)}
	p.cmd = exec.Cmd{
		Path: program, Args: argv, Env: r.env, Dir: "/", Stdout: f, Stderr: &p.stderr, WaitDelay: r.grace,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if err := p.cmd.Start(); err != nil {
		return host.Result{}, startError(c, err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	res, err := r.attendFlow(ctx, p, f)
	return res, r.answered(err)
}

// attendFlow waits for the end, and brings it about where nothing moves or nobody wants it any more.
func (r *Runner) attendFlow(ctx context.Context, p *running, f *flow) (host.Result, error) {
	c := p.command
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last, since := int64(-1), time.Now()
	began := since
	for {
		select {
		case err := <-p.ended:
			if f.err != nil { // the process ended for that
				return host.Result{}, fmt.Errorf("read what %s prints: %w", c, f.err)
			}
			if errors.Is(err, exec.ErrWaitDelay) { // what it printed did not wholly come
				return host.Result{}, fmt.Errorf("run %s: %w", c, err)
			}
			return p.result(err)
		case <-ctx.Done():
			r.stop(p)
			return host.Result{}, fmt.Errorf("run %s: %w", c, ctx.Err())
		case now := <-tick.C:
			if n := f.moved.Load(); n != last {
				last, since = n, now
			}
			if c.Timeout > 0 && now.Sub(began) > c.Timeout {
				r.stop(p)
				return host.Result{}, fmt.Errorf("run %s: no end after %s: %w", c, c.Timeout, host.ErrTimeout)
			}
			if c.Pipe.Stall > 0 && now.Sub(since) > c.Pipe.Stall {
				r.stop(p)
				return host.Result{}, fmt.Errorf("run %s: no byte for %s, after %d: %w", c, c.Pipe.Stall, last, host.ErrStalled)
			}
		}
	}
}

// flow is what a process prints, on its way.
type flow struct {
	to    io.Writer
	pace  *bucket // nil: no limit
	moved atomic.Int64
	err   error // of to
}

func (f *flow) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		some := p[n:]
		if f.pace != nil {
			some = some[:min(int64(len(some)), f.pace.most)]
			time.Sleep(f.pace.take(int64(len(some)), time.Now()))
		}
		var k int
		k, err = f.to.Write(some)
		n += k
		f.moved.Add(int64(k))
	}
	f.err = err
	return n, err
}
