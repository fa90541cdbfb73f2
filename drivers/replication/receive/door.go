package receive

import (
	"context"
	"errors"
	"io"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/stream"
)

// Door is where the requests of one key come in.
type Door struct {
	Rules  Rules
	Runner host.Runner                 // asks what a request depends on; it only reads
	Head   func(n int) ([]byte, error) // the first bytes of the stream, which stay in it
	Become func(argv []string) error   // runs the command in the place of this process
	// Enter lets in what a node of the HA group changes in its term, or says why not. leave has to be called when that has ended,
	// and says why it must not be built upon.
	Enter  func(peer string, term uint64) (leave func() error, err error)
	Attend func(argv []string) error // runs the command, and comes back when it has ended
	// Feed runs the command, and gives it of the stream what sift lets through. An error of sift's own, that is no *Refused,
	// is for the command to tell.
	Feed func(argv []string, sift func(in io.Reader, out io.Writer) error) error
}

// Open judges a request, and carries it out. What is refused is a *Refused.
func (d *Door) Open(ctx context.Context, line string) error {
	if line == "" {
		return &Refused{Line: line, Why: "this key opens no shell, only the requests of a dplane"}
	}
	q, err := d.Rules.Judge(line)
	if err != nil {
		return err
	}
	if q.Token != "" {
		if err := d.Rules.tokenOf(ctx, host.ReadOnly{Runner: d.Runner}, q.Token, q.Plain); err != nil {
			return &Refused{Line: line, Why: err.Error()}
		}
	}
	if q.Plain && q.Send != "" {
		if err := d.Rules.plainly(ctx, host.ReadOnly{Runner: d.Runner}, q.Send); err != nil {
			return &Refused{Line: line, Why: err.Error()}
		}
	}
	if q.Receive != "" {
		first, err := d.Head(stream.HeadSize)
		if err == nil {
			err = q.stream(ctx, host.ReadOnly{Runner: d.Runner}, first)
		}
		if err != nil {
			return &Refused{Line: line, Why: err.Error()}
		}
	}
	if q.Peer == "" {
		return d.run(q, line, d.Become)
	}
	if d.Enter == nil || d.Attend == nil {
		return &Refused{Line: line, Why: "nobody tells the role of this node"}
	}
	leave, err := d.Enter(q.Peer, q.Term)
	if err != nil {
		return &Refused{Line: line, Why: err.Error()}
	}
	ran := d.run(q, line, d.Attend)
	if err := leave(); err != nil {
		return &Refused{Line: line, Why: err.Error(), Late: true}
	}
	return ran
}

func (d *Door) run(q *Request, line string, whole func([]string) error) error {
	switch {
	case whole == nil, d.Feed == nil && q.Row:
		return errors.New("nothing can be run")
	case q.Row:
		return d.Feed(q.Argv, func(in io.Reader, out io.Writer) error {
			err := stream.Row(in, out, q.Volume)
			var odd *host.Unfit
			if errors.As(err, &odd) {
				return &Refused{Line: line, Why: odd.Why, Late: true}
			}
			return err
		})
	}
	return whole(q.Argv)
}
