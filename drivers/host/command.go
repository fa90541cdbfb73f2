// Package host says what is run on a machine, as data: a Command can be printed in a plan, hashed,
// stored and carried out later. The interface Runner carries it out; drivers/host/process does so for
// real, drivers/zfs/zfsfake on a model.
//
// It must never start a process itself, and never build a shell line.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Effect tells whether a command can change the machine.
type Effect string

const (
	Reads  Effect = "reads"
	Writes Effect = "writes"
)

// Command is one process to run. Argv[0] is a program name looked up in PATH; no shell is involved.
type Command struct {
	Argv    []string      `json:"argv"`
	Effect  Effect        `json:"effect"`
	Timeout time.Duration `json:"timeout,omitempty"` // 0: the default of Limit
	// Prompt says which secret the process reads from standard input ("passphrase of tank/typed"); the secret
	// itself is Input, which Prompting fills in when the command runs. "": standard input is empty.
	Prompt string `json:"prompt,omitempty"`
	Input  []byte `json:"-"` // never printed, hashed or stored
	// NotYet is what it says on standard error while the machine is not ready for it: an action runs it again then, for
	// some seconds. "": it is run once.
	NotYet string `json:"notYet,omitempty"`
	// Host is the remote of that name, on which it runs; "": here.
	Host string `json:"host,omitempty"`
	// Apart runs it there over a connection of its own: what is shared was made before, and proves nothing of a key that is
	// no longer admitted.
	Apart bool `json:"apart,omitempty"`
	// Stdin is what it reads from, the other end of a pipe; nil: nothing. Both run at once and end together.
	Stdin *Command `json:"stdin,omitempty"`
	// Pipe is how they are joined.
	Pipe Pipe `json:"pipe,omitzero"`
	// Into takes what it prints, as it comes; nil: Result has it. Of Pipe, Rate and Stall count then, and Timeout alone limits
	// how long it may take. It has no Stdin.
	Into io.Writer `json:"-"`
}

// Pipe is how a command is joined to its Stdin: without a limit on its duration, but with one on how long nothing moves.
type Pipe struct {
	Rate  int64         `json:"rate,omitempty"`  // the most bytes per second; 0: no limit, and no byte is copied in dplane but for Sift
	Stall time.Duration `json:"stall,omitempty"` // how long no byte may move before both are ended; 0: for ever
	// Sift copies the stream, and ends it with an *Unfit where it is not what it should be; nil: it goes by unseen. What it
	// copies from in to out by io.Copy passes through the kernel alone where there is no Rate.
	Sift func(in io.Reader, out io.Writer) error `json:"-"`
	// Count gives the bytes that a line on the sender's standard error tells of; nil: none tells any.
	Count func(line string) (bytes int64, ok bool) `json:"-"`
	// Moved is told now and then how many bytes the sending end says it wrote; may be nil.
	Moved func(bytes int64) `json:"-"`
}

// The deadlines of commands that name none of their own. A write has much longer: to unmount a file system can
// mean to write gigabytes first, and `zfs set` that is killed between unmounting a tree and mounting it again
// leaves it unmounted.
const (
	DefaultTimeout = 60 * time.Second
	WriteTimeout   = 30 * time.Minute
)

// Limit is the longest the command may take.
func (c Command) Limit() time.Duration {
	switch {
	case c.Timeout > 0:
		return c.Timeout
	case c.Effect == Reads:
		return DefaultTimeout
	}
	return WriteTimeout
}

// Read is a command that changes nothing.
func Read(argv ...string) Command { return Command{Argv: argv, Effect: Reads} }

// Write is a command that may change the machine.
func Write(argv ...string) Command { return Command{Argv: argv, Effect: Writes} }

// Words are the words of the command, after those of the one that it reads from and a bar, and after the name of its host
// and a colon.
func (c Command) Words() []string {
	var words []string
	if c.Stdin != nil {
		words = append(c.Stdin.Words(), "|")
	}
	if c.Host != "" {
		words = append(words, c.Host+":")
	}
	return append(words, c.Argv...)
}

// String is the command as a person would type it; words with other than plain characters are quoted.
func (c Command) String() string {
	words := c.Words()
	for i, w := range words {
		if w != "|" {
			words[i] = quote(w)
		}
	}
	return strings.Join(words, " ")
}

func quote(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./=:,@%+#", r)
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// Result is what a process said and how it ended.
type Result struct {
	Stdout, Stderr []byte
	Code           int // exit status; -1 where a signal ended it
}

// Runner runs one command to its end. A process that ran and exited non-zero gives its Result and an
// *ExitError; one that could not be started, or outlived its deadline, another error.
type Runner interface {
	Run(ctx context.Context, c Command) (Result, error)
}

// ExitError is a process that ended with a status other than 0.
type ExitError struct {
	Command Command
	Code    int
	Stderr  string
}

func (e *ExitError) Error() string {
	msg := strings.TrimSpace(e.Stderr)
	if msg == "" {
		msg = "no message"
	}
	return fmt.Sprintf("%s: exit status %d: %s", e.Command, e.Code, msg)
}

// ErrNotFound is a program that is not installed.
var ErrNotFound = errors.New("program not found")

// ErrTimeout is a command that outlived its deadline; its process group was killed.
var ErrTimeout = errors.New("deadline exceeded")

// ErrStuck is a command that was not begun, or not waited for: what it works on does not answer, and a process
// that hangs on it lives on.
var ErrStuck = errors.New("it does not answer")

// Unfit is a stream that was not let through to its end: both processes were ended.
type Unfit struct{ Why string }

func (e *Unfit) Error() string { return "the stream is refused: " + e.Why }

// ErrStalled is a pipe through which nothing moved for too long; both its processes were ended.
var ErrStalled = errors.New("nothing moves any more")

// PipeError is a pipe of which one process, or both, ended badly. Cause is the one that the other failed for.
type PipeError struct {
	Cause *ExitError
	Other *ExitError // what the other one said; nil: it was well, or says only that its other end is gone
}

func (e *PipeError) Error() string {
	if e.Other == nil {
		return e.Cause.Error()
	}
	return fmt.Sprintf("%v (and then %v)", e.Cause, e.Other)
}

// Unwrap gives the cause.
func (e *PipeError) Unwrap() error { return e.Cause }

// Expect is a read whose answer must still be the same when an action is carried out (PRODUCT.md
// section 4, promise 4).
type Expect struct {
	Command Command `json:"command"`
	Code    int     `json:"code"`              // exit status it must have
	AnyCode bool    `json:"anyCode,omitempty"` // the exit status says nothing: find ends with 1 where a path is not there
	Output  string  `json:"output"`            // standard output it must print, to the byte
	Stderr  string  `json:"stderr,omitempty"`  // text that standard error must contain
	Means   string  `json:"means"`             // what it proves, for people: "tank/home does not exist"
}

// Check runs the read and compares. A mismatch is an *Unexpected; other errors are the runner's.
func (e Expect) Check(ctx context.Context, r Runner) error {
	res, err := r.Run(ctx, e.Command)
	var exit *ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("check that %s: %w", e.Means, err)
	}
	if (e.AnyCode || res.Code == e.Code) && string(res.Stdout) == e.Output && strings.Contains(string(res.Stderr), e.Stderr) {
		return nil
	}
	return &Unexpected{Expect: e, Got: res}
}

// Unexpected is a precondition that no longer holds: the world changed since the plan was made.
type Unexpected struct {
	Expect Expect
	Got    Result
}

// shown is how much of an unexpected answer an error tells, in bytes.
const shown = 300

func (u *Unexpected) Error() string {
	got := strings.TrimSpace(string(u.Got.Stdout))
	if got == "" {
		got = strings.TrimSpace(string(u.Got.Stderr))
	}
	if len(got) > shown { // a usage text has pages
		got = got[:shown] + "..."
	}
	return fmt.Sprintf("no longer true that %s: %s now says %q (status %d)", u.Expect.Means, u.Expect.Command, got, u.Got.Code)
}
