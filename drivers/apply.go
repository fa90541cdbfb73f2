package drivers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

// Apply carries an action out: first its guards, then its steps, each to its end. A *host.Unexpected
// means that the world changed and nothing was done. Cancelling ctx stops before the next step. Where a step fails
// those before it are taken back, if the action says how.
func Apply(ctx context.Context, r host.Runner, a Action) error {
	for _, g := range a.Guard {
		if err := g.Check(ctx, host.ReadOnly{Runner: r}); err != nil {
			return err
		}
	}
	for i, c := range a.Steps {
		if err := ctx.Err(); err != nil {
			err = fmt.Errorf("%s %s: stopped before step %d of %d: %w", a.Verb, a.Object, i+1, len(a.Steps), err)
			return errors.Join(err, goBack(ctx, r, a, i-1))
		}
		if err := run(ctx, r, c); err != nil {
			return errors.Join(fmt.Errorf("%s %s: %w", a.Verb, a.Object, err), goBack(ctx, r, a, i))
		}
	}
	return nil
}

// What a machine is not ready for is tried so often, with this pause.
const (
	tries = 50
	pause = 200 * time.Millisecond
)

// run runs a step, again while the machine is not ready for it.
func run(ctx context.Context, r host.Runner, c host.Command) error {
	for n := 1; ; n++ {
		_, err := r.Run(ctx, c)
		var exit *host.ExitError
		if c.NotYet == "" || n == tries || !errors.As(err, &exit) || !strings.Contains(exit.Stderr, c.NotYet) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// ErrMoot is what an action ends with that has become pointless, so that nothing was done.
var ErrMoot = errors.New("left out")

// Partial is an action of which the greater part was done: what waits for it can go on, and tells for itself whether
// its own part is there.
type Partial struct {
	Err   error
	Rests bool // what is left of it rests by itself, while the rest of it goes on
	// Nothing was done this time: all that had to be done failed, and the greater part was done before.
	Nothing bool
}

func (p *Partial) Error() string { return p.Err.Error() }
func (p *Partial) Unwrap() error { return p.Err }

// goBack takes back the step that failed, which may have done a part, and those before it, the last first, as
// far as there is a way back.
func goBack(ctx context.Context, r host.Runner, a Action, failed int) error {
	var all error
	for i := failed; i >= 0 && i < len(a.Back) && a.Back[i] != nil; i-- {
		for _, c := range a.Back[i] {
			if _, err := r.Run(context.WithoutCancel(ctx), c); err != nil && i < failed {
				all = errors.Join(all, fmt.Errorf("take back what was done: %w", err))
			}
		}
	}
	return all
}
