package process

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"

	"github.com/dplaneos/dplane/drivers/host"
)

// result tells what came of it, and whose fault it was.
func (r *Runner) result(j *joined) (host.Result, error) {
	res := host.Result{Stdout: j.out.data, Stderr: j.err.data, Code: j.receiver.ProcessState.ExitCode()}
	if unfit := j.unfit.Load(); unfit != nil {
		return res, fmt.Errorf("run %s: %w", j.c, unfit)
	}
	sender, err1 := exited(*j.c.Stdin, &j.sender, j.sent, j.said.text())
	receiver, err2 := exited(j.c, &j.receiver, j.received, j.err.data)
	if err := errors.Join(err1, err2); err != nil {
		return res, err
	}
	cause, other := blame(sender, receiver, j.alone(sender))
	switch {
	case cause == nil:
		return res, nil
	case r.lost(cause) != nil:
		return res, r.lost(cause)
	}
	return res, &host.PipeError{Cause: cause, Other: other}
}

// alone tells whether the sender was ended by its receiver's end: by the signal for that, or where it is elsewhere, ssh
// ending without a word after the receiver did.
func (j *joined) alone(sender *host.ExitError) bool {
	if signalled(&j.sender, syscall.SIGPIPE) {
		return true
	}
	return sender != nil && sender.Command.Host != "" && sender.Code == sshFailed && sender.Stderr == "" && j.deserted
}

// blame tells which of two ends, nil where it was well, is the cause, and what the other one has to say for itself.
func blame(sender, receiver *host.ExitError, alone bool) (cause, other *host.ExitError) {
	switch {
	case receiver == nil:
		return sender, nil
	case sender == nil || alone:
		return receiver, nil
	case strings.Contains(sender.Stderr, "Broken pipe") && sender.Code != sshFailed:
		return receiver, sender
	}
	return sender, receiver
}

// exited is how a process ended, nil where that was well.
func exited(c host.Command, cmd *exec.Cmd, err error, stderr []byte) (*host.ExitError, error) {
	c.Stdin = nil
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return &host.ExitError{Command: c, Code: cmd.ProcessState.ExitCode(), Stderr: string(stderr)}, nil
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return nil, fmt.Errorf("run %s: %w", c, err)
	}
	return nil, nil
}

func signalled(cmd *exec.Cmd, sig syscall.Signal) bool {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == sig
}
