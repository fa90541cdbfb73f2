package host

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnreachable is a host that was not reached, or was lost while its command ran.
var ErrUnreachable = errors.New("can't be reached")

// UnreachableError is a command of another host of whose end nothing is known, for the way there failed. It is no
// ExitError: what ssh says is no answer of the program.
type UnreachableError struct {
	Command Command
	Stderr  string // of ssh, and of what ran there until then
	Why     string // what happened, and what to do about it
	Stage   Stage  // how far it came; "": not known
}

// Stage is a step of the way to another machine, at which it ended.
type Stage string

// The steps, in their order.
const (
	Resolve Stage = "resolve"
	Connect Stage = "connect"
	HostKey Stage = "host-key"
	OwnKey  Stage = "key-file"
	Login   Stage = "authentication"
)

func (e *UnreachableError) Error() string {
	msg := fmt.Sprintf("%s: %s %v: %s", e.Command, e.Command.Host, ErrUnreachable, e.Why)
	if last := lastLine(e.Stderr); last != "" {
		msg += " (" + last + ")"
	}
	return msg
}

// Unwrap gives ErrUnreachable.
func (e *UnreachableError) Unwrap() error { return ErrUnreachable }

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
