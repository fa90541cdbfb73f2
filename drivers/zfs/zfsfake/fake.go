// Package zfsfake is a model of a machine with OpenZFS, held in memory, behind host.Runner: zfs and zpool as
// far as dplane uses them, and the probes of disks and directories (blkid, zdb, lsblk, wipefs, losetup, stat, find). It answers
// with the texts and exit statuses of release 2.3.9; drivers/zfs/conformance_test.go runs one suite against it
// and the real one, and where they differ the model follows.
//
// It must never touch the machine it runs on, and never be more forgiving than the real one.
package zfsfake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

// Fake is the machine. It is safe for concurrent use; fields of Model are changed by hand only while no
// command runs.
type Fake struct {
	mu    sync.Mutex
	Model *Model
	// Remotes are other machines, by the names under which commands run there.
	Remotes map[string]*Fake
}

var _ host.Runner = (*Fake)(nil)

// New is a machine with ZFS and no pools and no disks.
func New() *Fake { return &Fake{Model: newModel()} }

// programs are the commands that the machine knows.
var programs = map[string]func(*call) int{
	"zfs": (*call).zfs, "zpool": (*call).zpool,
	"blkid": (*call).blkid, "zdb": (*call).zdb, "lsblk": (*call).lsblk, "find": (*call).find, "stat": (*call).stat, "readlink": (*call).readlink,
	"cat": (*call).cat, "head": (*call).head, "ps": (*call).ps, "mount": (*call).mountAt, "umount": (*call).unmountAt, "pkill": (*call).pkill,
	"wipefs": (*call).wipefs, "losetup": (*call).losetup,
	"grep": (*call).grep, "getent": (*call).getent, "date": (*call).date,
}

// call is one running command.
type call struct {
	*Model
	argv        []string // with the program's name
	stdin       io.Reader
	out, err    bytes.Buffer
	wrote       bool   // it changed the model
	hung        bool   // it waits for a suspended pool
	stalled     bool   // it has not begun yet, and takes its time
	spent       bool   // it used one of Model.Cuts
	sent        uint64 // bytes of a stream
	historyPool string
}

// Run implements host.Runner. A command that is declared to read and changes the model is an error, for the
// real one would have changed the machine behind a plan's back.
func (f *Fake) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if err := ctx.Err(); err != nil {
		return host.Result{}, fmt.Errorf("run %s: %w", c.Argv[0], err)
	}
	if tooLong(c.Argv) {
		return host.Result{}, fmt.Errorf("run %s: argument list too long", c.Argv[0])
	}
	if c.Stdin != nil {
		return f.pipe(ctx, c)
	}
	k, code, err := f.end(ctx, c, c.Input)
	if err != nil {
		return host.Result{}, err
	}
	res := host.Result{Stdout: k.out.Bytes(), Stderr: k.err.Bytes(), Code: code}
	if c.Into != nil {
		res.Stdout = nil
		if _, err := c.Into.Write(k.out.Bytes()); err != nil {
			return host.Result{}, fmt.Errorf("read what %s prints: %w", c, err)
		}
	}
	if code != 0 {
		return res, &host.ExitError{Command: c, Code: code, Stderr: k.err.String()}
	}
	return res, nil
}

// tooLong tells whether Linux starts no process with these arguments: 128 KiB is the limit of one, 2 MiB that of all and
// the environment, with a pointer to each (execve(2)).
func tooLong(argv []string) bool {
	const environment = 4096
	size := environment
	for _, w := range argv {
		size += len(w) + 9
		if len(w) >= 128<<10 {
			return true
		}
	}
	return size > 2<<20
}

// call runs one command on the model.
func (f *Fake) call(argv []string, stdin io.Reader) (*call, int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	program, ok := programs[argv[0]]
	if !ok || slices.Contains(f.Model.Missing, argv[0]) {
		return nil, 0, fmt.Errorf("run %s: %w", argv[0], host.ErrNotFound)
	}
	k := &call{Model: f.Model, argv: argv, stdin: stdin}
	if s := f.Model.Stalled; s != "" && strings.HasPrefix(strings.Join(argv, " "), s) {
		k.stalled = true
		return k, 0, nil
	}
	code := program(k)
	if k.wrote {
		f.Model.TXG++
		if p := f.Model.Pools[k.historyPool]; p != nil {
			p.History = append(p.History, strings.Join(argv, " "))
		}
	}
	return k, code, nil
}

// hang waits as a process in the kernel does: for a read until ctx ends, in any case until the deadline.
func hang(ctx context.Context, c host.Command) error {
	limit := c.Limit()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	done := ctx.Done()
	if c.Effect != host.Reads {
		done = nil
	}
	select {
	case <-done:
		return fmt.Errorf("run %s: %w", c, ctx.Err())
	case <-timer.C:
		return fmt.Errorf("run %s: no end after %s: %w", c, limit, host.ErrTimeout)
	}
}

// Do runs a command line as a person would at the machine, behind dplane's back. Words are separated by
// spaces; 'single quotes' keep a word together. The error holds what was printed to standard error.
func (f *Fake) Do(line string) (stdout string, err error) {
	argv := split(line)
	k, code, err := f.call(argv, strings.NewReader(""))
	if err != nil {
		return "", err
	}
	if k.hung || k.stalled {
		return "", fmt.Errorf("%s: %w", line, host.ErrTimeout)
	}
	if code != 0 {
		return k.out.String(), &host.ExitError{Command: host.Write(argv...), Code: code, Stderr: k.err.String()}
	}
	return k.out.String(), nil
}

// split is enough of a shell for tests.
func split(line string) []string {
	var words []string
	word, quoted, any := "", false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, any = !quoted, true
		case r == ' ' && !quoted:
			if any {
				words = append(words, word)
			}
			word, any = "", false
		default:
			word, any = word+string(r), true
		}
	}
	if any {
		words = append(words, word)
	}
	return words
}

func (k *call) printf(format string, args ...any) { fmt.Fprintf(&k.out, format, args...) }

// fail prints to standard error and gives back the status.
func (k *call) fail(code int, format string, args ...any) int {
	fmt.Fprintf(&k.err, format+"\n", args...)
	return code
}

// refusal is a failure with its exit status: what a check gives back before anything is changed.
type refusal struct {
	code int
	text string
}

func refuse(code int, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

func (k *call) refused(r *refusal) int { return k.fail(r.code, "%s", r.text) }

// flush hands what was printed to the streams of a process.
func (k *call) flush(stdout, stderr io.Writer) error {
	if _, err := k.out.WriteTo(stdout); err != nil {
		return err
	}
	_, err := k.err.WriteTo(stderr)
	return err
}
