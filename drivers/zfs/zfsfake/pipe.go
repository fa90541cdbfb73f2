package zfsfake

import (
	"bytes"
	"context"
	"fmt"

	"github.com/dplaneos/dplane/drivers/host"
)

// on is the machine on which a command runs.
func (f *Fake) on(c host.Command) (*Fake, error) {
	if c.Host == "" {
		return f, nil
	}
	if n := len(c.String()); n >= 127<<10 { // ssh, and the shell there, have the whole line as one word
		return nil, fmt.Errorf("run %s on %s: argument list too long: a line of %d bytes", c.Argv[0], c.Host, n)
	}
	if r := f.Remotes[c.Host]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("run %s: no host is called %s", c, c.Host)
}

// pipe runs both ends, one after the other: what is between them is in memory. Where an end fails, so does the pipe, with
// what both said.
func (f *Fake) pipe(ctx context.Context, c host.Command) (host.Result, error) {
	if c.Stdin.Stdin != nil {
		return host.Result{}, fmt.Errorf("run %s: a pipe has two ends", c)
	}
	if _, err := f.on(c); err != nil { // both are begun, or none
		return host.Result{}, err
	}
	sender, sent, err := f.end(ctx, *c.Stdin, nil)
	if err != nil {
		return host.Result{}, err
	}
	if c.Pipe.Moved != nil {
		c.Pipe.Moved(int64(sender.sent))
	}
	last := c
	last.Stdin = nil
	receiver, received, err := f.end(ctx, last, sender.out.Bytes())
	if err != nil {
		return host.Result{}, err
	}
	res := host.Result{Stdout: receiver.out.Bytes(), Stderr: append(sender.err.Bytes(), receiver.err.Bytes()...), Code: received}
	if received == 0 {
		res.Code = sent
	}
	if res.Code != 0 {
		return res, &host.ExitError{Command: c, Code: res.Code, Stderr: string(res.Stderr)}
	}
	return res, nil
}

// end runs one command, or one end of a pipe, on the machine that it names.
func (f *Fake) end(ctx context.Context, c host.Command, stdin []byte) (*call, int, error) {
	f, err := f.on(c)
	if err != nil {
		return nil, 0, err
	}
	k, code, err := f.call(c.Argv, bytes.NewReader(stdin))
	switch {
	case err != nil:
		return nil, 0, err
	case k.hung, k.stalled:
		return nil, 0, hang(ctx, c)
	case k.wrote && c.Effect == host.Reads:
		return nil, 0, fmt.Errorf("run %s: it is said to read, and writes", c)
	}
	return k, code, nil
}
