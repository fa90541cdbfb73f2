package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dplaneos/dplane/drivers/host"
)

const (
	lookEvery = time.Second // at whether bytes still move
	// finishing is how long a receiver may take after its sender has ended: it writes what it has, and frees what goes.
	finishing = time.Hour
)

// joined are two processes with a pipe between them, in one process group, whose leader is the sender.
type joined struct {
	c                 host.Command
	sender, receiver  exec.Cmd
	said              lines   // by the sender
	out, err          bounded // of the receiver
	sent, received    error
	between           *tap // what is copied through, or looked at; nil without
	unfit             atomic.Pointer[host.Unfit]
	moved             atomic.Int64
	deserted          bool // the receiver ended first
	senderDone, ended chan struct{}
	started           chan error
}

// pipe runs both ends of a pipe. It has no limit on its duration but Timeout, where that is set; cancelling ctx ends it,
// for what was received is kept and can be gone on with.
func (r *Runner) pipe(ctx context.Context, c host.Command) (host.Result, error) {
	if c.Stdin.Stdin != nil || len(c.Stdin.Argv) == 0 {
		return host.Result{}, fmt.Errorf("run %s: a pipe has two ends", c)
	}
	if err := r.stuck.free(r.lane(*c.Stdin), c); err != nil {
		return host.Result{}, err
	}
	j := &joined{c: c, said: lines{count: c.Pipe.Count, kept: bounded{max: maxStderr}}, out: bounded{max: r.maxStdout}, err: bounded{max: maxStderr},
		senderDone: make(chan struct{}), ended: make(chan struct{}), started: make(chan error, 1)}
	if c.Pipe.Rate == 0 {
		j.said.moved = &j.moved
	}
	if err := r.prepare(&j.sender, *c.Stdin, &j.said); err != nil {
		return host.Result{}, err
	}
	if err := r.prepare(&j.receiver, c, &j.err); err != nil {
		return host.Result{}, err
	}
	j.receiver.Stdout = &j.out
	go j.run()
	if err := <-j.started; err != nil {
		return host.Result{}, err
	}
	if err := r.attend(ctx, j); err != nil {
		return host.Result{}, err
	}
	return r.result(j)
}

func (r *Runner) prepare(cmd *exec.Cmd, c host.Command, stderr io.Writer) error {
	argv, program, err := r.resolve(c)
	if err != nil {
		return err
	}
	*cmd = exec.Cmd{
		Path: program, Args: argv, Env: r.env, Dir: "/", Stderr: stderr, WaitDelay: r.grace,
		// A transfer does not outlive who watches over it.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM},
	}
	return nil
}

// run starts both and waits for them, on one thread: it is the end of the thread that started a process which Pdeathsig
// takes for the end of its parent (prctl(2)).
func (j *joined) run() {
	runtime.LockOSThread() // not unlocked: the thread ends with the goroutine, after both processes
	err := j.start()
	j.started <- err
	if err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		j.sent = j.sender.Wait()
		close(j.senderDone)
	})
	j.deserted = hasEnded(j.receiver.Process.Pid, 0) && !hasEnded(j.sender.Process.Pid, unix.WNOHANG)
	j.received = j.receiver.Wait()
	if j.between != nil {
		j.between.Close() // the copying ends, and so the sender
	}
	both.Wait()
	close(j.ended)
}

// hasEnded waits for the end of a child, or with WNOHANG only looks, and leaves it to be waited for.
func hasEnded(pid, hang int) bool {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|hang, nil)
		if err != unix.EINTR {
			return err != nil || info.Signo != 0 // ECHILD: it was waited for
		}
	}
}

// start starts both; none is left where that fails.
func (j *joined) start() error {
	from, to, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("run %s: %w", j.c, err)
	}
	defer to.Close()
	j.sender.Stdout, j.receiver.Stdin = to, from
	if j.c.Pipe.Rate == 0 && j.c.Pipe.Sift == nil {
		defer from.Close()
		return j.startBoth()
	}
	paced, out, err := os.Pipe()
	if err != nil {
		from.Close()
		return fmt.Errorf("run %s: %w", j.c, err)
	}
	defer paced.Close()
	j.receiver.Stdin, j.between = paced, &tap{f: from}
	go j.copy(out, j.between)
	if err := j.startBoth(); err != nil {
		j.between.Close()
		return err
	}
	return nil
}

func (j *joined) startBoth() error {
	if err := j.sender.Start(); err != nil {
		return startError(*j.c.Stdin, err)
	}
	j.receiver.SysProcAttr.Pgid = j.sender.Process.Pid // it is there until it is waited for
	if err := j.receiver.Start(); err != nil {
		_ = syscall.Kill(-j.sender.Process.Pid, syscall.SIGKILL)
		_ = j.sender.Wait()
		return startError(j.c, err)
	}
	return nil
}

// copy moves the bytes as Sift lets them and no faster than the rate allows. What goes wrong with the pipes the processes tell.
func (j *joined) copy(to *os.File, from *tap) {
	defer from.f.Close()
	defer to.Close()
	var out io.Writer = &spout{to}
	if j.c.Pipe.Rate > 0 {
		out = &paced{to, newBucket(j.c.Pipe.Rate, time.Now()), &j.moved}
	}
	sift := j.c.Pipe.Sift
	if sift == nil {
		sift = func(in io.Reader, out io.Writer) error { _, err := io.Copy(out, in); return err }
	}
	var unfit *host.Unfit
	if errors.As(sift(from, out), &unfit) {
		j.unfit.Store(unfit)
	}
}

// tap is where the bytes of the sender come out. Closing it ends the copying, but for what the kernel does by itself, which ends
// with the pipe that it writes to.
type tap struct {
	f       *os.File
	mu      sync.Mutex
	spliced bool
}

func (t *tap) Read(p []byte) (int, error) { return t.f.Read(p) }

func (t *tap) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spliced { // the number of the file must not be another one's while the kernel is told of it
		return nil
	}
	return t.f.Close()
}

// spout writes to the receiver, and what comes from the tap passes through the kernel alone.
type spout struct{ f *os.File }

func (s *spout) Write(p []byte) (int, error) { return s.f.Write(p) }

func (s *spout) ReadFrom(r io.Reader) (moved int64, err error) {
	t, ok := r.(*tap)
	if !ok {
		return io.Copy(struct{ io.Writer }{s.f}, r)
	}
	t.mu.Lock()
	t.spliced = true
	in, out := int(t.f.Fd()), int(s.f.Fd()) // from now on they block
	t.mu.Unlock()
	for {
		n, err := unix.Splice(in, nil, out, nil, 1<<20, unix.SPLICE_F_MOVE|unix.SPLICE_F_MORE)
		switch {
		case err == unix.EINTR:
		case err != nil || n == 0:
			return moved, err
		}
		moved += max(0, n)
	}
}

// paced writes no faster than the rate allows, and counts.
type paced struct {
	f     *os.File
	b     *bucket
	moved *atomic.Int64
}

func (p *paced) Write(data []byte) (written int, err error) {
	for len(data) > 0 && err == nil {
		some := data[:min(int64(len(data)), p.b.most)]
		time.Sleep(p.b.take(int64(len(some)), time.Now()))
		var n int
		n, err = p.f.Write(some)
		p.moved.Add(int64(n))
		written, data = written+n, data[n:]
	}
	return written, err
}

// bucket lets bytes through at a rate, and no more at once than a tenth of a second's.
type bucket struct {
	rate, most int64
	free       time.Time // when all that was taken has passed
}

func newBucket(rate int64, now time.Time) *bucket {
	return &bucket{rate: rate, most: max(1, rate/10), free: now}
}

// take tells how long to wait before n bytes, at most b.most, may pass.
func (b *bucket) take(n int64, now time.Time) time.Duration {
	if now.After(b.free) {
		b.free = now
	}
	wait := b.free.Sub(now)
	b.free = b.free.Add(time.Duration(float64(n) / float64(b.rate) * float64(time.Second)))
	return wait
}

// attend waits for the end, and brings it about where nothing moves, the deadline is over or nobody wants it any more.
func (r *Runner) attend(ctx context.Context, j *joined) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var deadline <-chan time.Time
	if j.c.Timeout > 0 {
		timer := time.NewTimer(j.c.Timeout)
		defer timer.Stop()
		deadline = timer.C
	}
	last, since := int64(-1), time.Now()
	sender := j.senderDone
	patience := j.c.Pipe.Stall
	for {
		select {
		case <-j.ended:
			j.tell()
			return nil
		case <-ctx.Done():
			r.end(j)
			return fmt.Errorf("run %s: %w", j.c, ctx.Err())
		case <-deadline:
			r.end(j)
			return fmt.Errorf("run %s: no end after %s: %w", j.c, j.c.Timeout, host.ErrTimeout)
		case <-sender:
			sender, since = nil, time.Now()
			patience = max(patience, finishing)
		case now := <-tick.C:
			j.tell()
			if n := j.moved.Load(); n != last {
				last, since = n, now
			}
			if j.c.Pipe.Stall > 0 && now.Sub(since) > patience {
				r.end(j)
				return fmt.Errorf("run %s: no byte for %s, after %d: %w", j.c, patience, last, host.ErrStalled)
			}
		}
	}
}

func (j *joined) tell() {
	if j.c.Pipe.Moved != nil {
		j.c.Pipe.Moved(j.moved.Load())
	}
}

// end ends both, which have the process group of the sender. What does not end, blocked in the kernel, is left.
func (r *Runner) end(j *joined) {
	defer j.tell()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		r.signal(j.sender.Process.Pid, sig)
		timer := time.NewTimer(r.grace)
		select {
		case <-j.ended:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
	left := func() { <-j.ended }
	r.stuck.leave(r.lane(*j.c.Stdin), j.sender.Process.Pid, *j.c.Stdin, left)
	r.stuck.leave(r.lane(j.c), j.receiver.Process.Pid, j.c, left)
}

// lines takes the lines of a sender: those that count bytes tell how many moved, the rest is kept.
type lines struct {
	count func(string) (int64, bool)
	moved *atomic.Int64 // nil: it is counted elsewhere
	kept  bounded
	begun []byte // of a line
	now   int64  // what the last line counted
	full  int64  // what was counted of the streams before: each begins at 0
}

// longestLine is how much of a line is waited for, in bytes.
const longestLine = 4096

func (l *lines) Write(p []byte) (int, error) {
	l.begun = append(l.begun, p...)
	for {
		i := bytes.IndexByte(l.begun, '\n') + 1
		if i == 0 && len(l.begun) < longestLine {
			return len(p), nil
		}
		if i == 0 {
			i = len(l.begun)
		}
		l.line(l.begun[:i])
		l.begun = l.begun[i:]
	}
}

func (l *lines) line(text []byte) {
	if l.count != nil {
		if n, ok := l.count(strings.TrimSuffix(string(text), "\n")); ok {
			l.counted(n)
			return
		}
	}
	_, _ = l.kept.Write(text)
}

func (l *lines) counted(n int64) {
	if n < l.now {
		l.full += l.now
	}
	if l.now = n; l.moved != nil {
		l.moved.Store(l.full + l.now)
	}
}

// text is all that was no count, once the sender has ended.
func (l *lines) text() []byte { return append(l.kept.data, l.begun...) }
