package receive

import (
	"context"
	"errors"

	"github.com/dplaneos/dplane/drivers/host"
)

// Door is where the requests of one key come in.
type Door struct {
	Rules  Rules
	Runner host.Runner                 // asks what a request depends on; it only reads
	Head   func(n int) ([]byte, error) // the first bytes of the stream, which stay in it
	Become func(argv []string) error   // runs the command in the place of this process
}

// Open judges a request, and carries it out. What is refused is a *Refused.
func (d *Door) Open(ctx context.Context, line string) error {
	if line == "" {
		return &Refused{line, "this key opens no shell, only the requests of a dplane"}
	}
	q, err := d.Rules.Judge(line)
	if err != nil {
		return err
	}
	if q.Token != "" {
		if err := d.Rules.tokenOf(ctx, host.ReadOnly{Runner: d.Runner}, q.Token, q.Plain); err != nil {
			return &Refused{line, err.Error()}
		}
	}
	if q.Plain && q.Send != "" {
		if err := d.Rules.plainly(ctx, host.ReadOnly{Runner: d.Runner}, q.Send); err != nil {
			return &Refused{line, err.Error()}
		}
	}
	if q.Receive != "" {
		first, err := d.Head(headSize)
		if err == nil {
			err = q.stream(ctx, host.ReadOnly{Runner: d.Runner}, first)
		}
		if err != nil {
			return &Refused{line, err.Error()}
		}
	}
	if d.Become == nil {
		return errors.New("nothing can be run")
	}
	return d.Become(q.Argv)
}
