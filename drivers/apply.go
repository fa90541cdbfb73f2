package drivers

import (
	"context"
	"fmt"

	"github.com/dplaneos/dplane/drivers/host"
)

// Apply carries an action out: first its guards, then its steps, each to its end. A *host.Unexpected
// means that the world changed and nothing was done. Cancelling ctx stops before the next step.
func Apply(ctx context.Context, r host.Runner, a Action) error {
	for _, g := range a.Guard {
		if err := g.Check(ctx, host.ReadOnly{Runner: r}); err != nil {
			return err
		}
	}
	for i, c := range a.Steps {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s %s: stopped before step %d of %d: %w", a.Verb, a.Object, i+1, len(a.Steps), err)
		}
		if _, err := r.Run(ctx, c); err != nil {
			return fmt.Errorf("%s %s: %w", a.Verb, a.Object, err)
		}
	}
	return nil
}
