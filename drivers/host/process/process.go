// Package process runs host.Commands as processes of this machine, or over ssh of another one: each in a process group
// of its own, with an almost empty environment, no input but a secret it asks for or the end of a pipe, bounded output
// and a deadline.
//
// It must never pass a command through a shell here, never run here what names another machine, and never kill a
// running write because somebody lost patience: only the command's own deadline does that. A pipe may be ended at any
// time: what was received is kept, and gone on with.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

const (
	maxStdout = 64 << 20 // bytes; `zfs get all` of 10,000 datasets prints some 30 MB
	maxStderr = 1 << 20  // bytes; what is beyond is cut off
	grace     = 2 * time.Second
	askEvery  = 10 * time.Second // whether what a command runs on is still there
)

// systemPath is searched after PATH: zfs and zpool stand in sbin, which a person's PATH often lacks.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Runner implements host.Runner on this machine. It is safe for concurrent use.
type Runner struct {
	path      string
	env       []string
	grace     time.Duration // between SIGTERM and SIGKILL, and between SIGKILL and giving up
	maxStdout int
	signal    func(pid int, sig syscall.Signal)

	on    func(host.Command) string                    // what a command may hang on; "": nothing
	gone  func(ctx context.Context, thing string) bool // tells that what a command runs on will not answer
	every time.Duration                                // between two questions of gone
	stuck lanes

	remotes   func(name string) (Remote, bool)
	remoteDir func() string
	term      func() uint64 // of the HA group
}

var _ host.Runner = (*Runner)(nil)

// Option changes a Runner that New makes.
type Option func(*Runner)

// WithPath searches programs in these directories, separated by colons, and not in PATH.
func WithPath(path string) Option { return func(r *Runner) { r.path = path } }

// WithLanes keeps commands from piling up on what does not answer: on names what a command works on, and while a
// process that was given up still lives there, no second one is begun. gone is asked now and then while a command
// runs; once it says that there will be no answer, nobody waits for it any longer.
func WithLanes(on func(host.Command) string, gone func(ctx context.Context, thing string) bool) Option {
	return func(r *Runner) { r.on, r.gone = on, gone }
}

// New makes a Runner. Of the environment it keeps what begins with DPLANE_; PATH is completed by the system
// directories. The rest is left out, for ZFS_* and ZPOOL_* variables change what zfs and zpool print.
func New(opts ...Option) *Runner {
	r := &Runner{
		path: os.Getenv("PATH") + ":" + systemPath, grace: grace, maxStdout: maxStdout, every: askEvery,
		signal: func(pid int, sig syscall.Signal) { _ = syscall.Kill(-pid, sig) }, // gone already: nothing to do
	}
	for _, o := range opts {
		o(r)
	}
	r.env = []string{"LC_ALL=C", "TZ=UTC", "TERM=dumb", "PATH=" + r.path}
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "DPLANE_") {
			r.env = append(r.env, kv)
		}
	}
	return r
}

// Run implements host.Runner. A done ctx starts nothing. Cancelling it ends a running read, while a running
// write goes on to its end or to its deadline. A process that survives SIGKILL (blocked in the kernel, on a
// suspended pool) is left behind, and Run returns.
func (r *Runner) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if len(c.Argv) == 0 {
		return host.Result{}, errors.New("run: no program named")
	}
	if err := ctx.Err(); err != nil {
		return host.Result{}, fmt.Errorf("run %s: %w", c.Argv[0], err)
	}
	if err := r.stuck.free(r.lane(c), c); err != nil {
		return host.Result{}, err
	}
	if c.Stdin != nil {
		return r.pipe(ctx, c)
	}
	if c.Into != nil {
		return r.drain(ctx, c)
	}
	argv, program, err := r.resolve(c)
	if err != nil {
		return host.Result{}, err
	}
	p := &running{command: c, lane: r.lane(c), stdout: bounded{max: r.maxStdout}, stderr: bounded{max: maxStderr}, ended: make(chan error, 1)}
	p.cmd = exec.Cmd{
		Path: program, Args: argv, Env: r.env, Dir: "/", Stdout: &p.stdout, Stderr: &p.stderr,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		WaitDelay:   r.grace, // for a grandchild that keeps the pipes open
	}
	if c.Input != nil {
		p.cmd.Stdin = bytes.NewReader(c.Input)
	}
	if err := p.cmd.Start(); err != nil {
		return host.Result{}, startError(c, err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	res, err := r.wait(ctx, p)
	return res, r.answered(err)
}

// resolve gives the words that are run here, and the file of their program.
func (r *Runner) resolve(c host.Command) (argv []string, program string, err error) {
	if argv, err = r.argv(c); err != nil {
		return nil, "", err
	}
	program, err = r.look(argv[0])
	return argv, program, err
}

func startError(c host.Command, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("run %s: %w", c.Argv[0], host.ErrNotFound)
	}
	return fmt.Errorf("run %s: %w", c.Argv[0], err)
}

// look finds a program as execvp does, along r.path.
func (r *Runner) look(name string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return name, nil
	}
	for _, dir := range filepath.SplitList(r.path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && filepath.IsAbs(dir) {
			return file, nil
		}
	}
	return "", fmt.Errorf("run %s: %w", name, host.ErrNotFound)
}

// running is a started process.
type running struct {
	command        host.Command
	lane           string
	cmd            exec.Cmd
	stdout, stderr bounded
	ended          chan error // the answer of Wait, once
}

// wait waits for the end, the deadline or, for a read, the end of ctx.
func (r *Runner) wait(ctx context.Context, p *running) (host.Result, error) {
	limit := p.command.Limit()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	cancelled := ctx.Done()
	if p.command.Effect != host.Reads {
		cancelled = nil
	}
	ask, over := r.asking(p)
	defer over()
	for {
		select {
		case err := <-p.ended:
			return p.result(err)
		case <-cancelled:
			r.stop(p)
			return host.Result{}, fmt.Errorf("run %s: %w", p.command, ctx.Err())
		case <-deadline.C:
			r.stop(p)
			return host.Result{}, fmt.Errorf("run %s: no end after %s: %w", p.command, limit, host.ErrTimeout)
		case <-ask:
			if r.gone(ctx, p.lane) {
				return host.Result{}, r.giveUp(p)
			}
		}
	}
}

// giveUp stops waiting for a process on what is gone. A write is left to itself: it goes on to its end when the
// thing comes back, and to kill it would leave its work half done.
func (r *Runner) giveUp(p *running) error {
	if p.command.Effect == host.Reads {
		r.stop(p)
	} else {
		r.leave(p)
	}
	return fmt.Errorf("run %s: %w: %s is suspended", p.command, host.ErrStuck, p.lane)
}

func (r *Runner) leave(p *running) {
	r.stuck.leave(p.lane, p.cmd.Process.Pid, p.command, func() { <-p.ended })
}

// asking ticks while it is worth to ask whether what the process works on is gone.
func (r *Runner) asking(p *running) (tick <-chan time.Time, over func()) {
	if r.gone == nil || p.lane == "" {
		return nil, func() {}
	}
	t := time.NewTicker(r.every)
	return t.C, t.Stop
}

// lane is what a command may hang on here; another machine's pool of that name is another one.
func (r *Runner) lane(c host.Command) string {
	if r.on == nil || c.Host != "" {
		return ""
	}
	return r.on(c)
}

// stop ends the process group, and waits for it no longer than twice the grace; what does not end then is left. A child that
// minds no SIGTERM must not go on where its parent did end: what it does is wanted by nobody any more.
func (r *Runner) stop(p *running) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		r.signal(p.cmd.Process.Pid, sig)
		timer := time.NewTimer(r.grace)
		select {
		case <-p.ended:
			timer.Stop()
			r.signal(p.cmd.Process.Pid, syscall.SIGKILL) // the number is the group's as long as one of it lives
			return
		case <-timer.C:
		}
	}
	r.leave(p)
}

// result makes the answer of a process that ended by itself.
func (p *running) result(err error) (host.Result, error) {
	res := host.Result{Stdout: p.stdout.data, Stderr: p.stderr.data, Code: p.cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return res, &host.ExitError{Command: p.command, Code: res.Code, Stderr: string(res.Stderr)}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return res, fmt.Errorf("run %s: %w", p.command, err)
	case p.stdout.over:
		return host.Result{}, fmt.Errorf("run %s: it printed more than %d bytes", p.command, p.stdout.max)
	}
	return res, nil
}

// bounded keeps the first max bytes and lets the rest go, so that the writer is not blocked.
type bounded struct {
	data []byte
	max  int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), b.max-len(b.data))
	b.data = append(b.data, p[:keep]...)
	b.over = b.over || keep < len(p)
	return len(p), nil
}
