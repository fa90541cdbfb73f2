package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

const (
	// quiet is how long nothing more may arrive before what receives is taken for left behind. A network that is away for
	// longer than a minute ends the ssh here, and nothing tells the sshd there: zfs receive waits for the rest for hours.
	quiet = 15 * time.Second
	// endings is how often it is looked whether it has ended, a second apart.
	endings = 30
)

// takeOver ends what was left waiting at the far end for the rest of a stream that nobody sends any more, and goes on with
// what it has. What still gets something is left alone.
func (t *transfer) takeOver(ctx context.Context, plan drivers.SendingPair, p state.Pair) error {
	if err := t.sleep(ctx, quiet); err != nil {
		return err
	}
	q, err := t.again(ctx, plan)
	switch {
	case err != nil:
		return err
	case q.Target == nil || q.Target.GUID != p.Target.GUID || q.Target.Token != p.Target.Token:
		return fmt.Errorf("another stream is being received into %s on %s: two replications send to one target, or somebody receives by hand", p.To, t.To)
	}
	end := zfs.EndReceive(p.To)
	end.Host = t.To
	for range endings {
		var none *host.ExitError
		if _, err := t.Runner.Run(ctx, end); errors.As(err, &none) && none.Code == 1 && none.Stderr == "" { // it has ended
			break
		} else if err != nil {
			return fmt.Errorf("something is being received into %s on %s that gets nothing any more, and it can't be ended (%w): there, end the zfs receive that names it", p.To, t.To, err)
		}
		if err := t.sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	if q, err = t.again(ctx, plan); err != nil {
		return err
	}
	if q.Target == nil || q.Target.Token == "" && !q.Target.Partial { // it had all, or none that is kept
		return nil
	}
	return t.goOn(ctx, plan, q)
}

func (t *transfer) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.After(d):
		return nil
	}
}
