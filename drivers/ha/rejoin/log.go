package rejoin

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/dplaneos/dplane/drivers/zfs"
)

// logs is where a file system is mounted for a moment, read-only.
const logs = "/run/dplane-log"

// playBack has what a crash left in the log of a file system come into it: who wrote that was told that it is on disk, and a
// snapshot would not have it. That of a volume came when its pool was imported.
func (n *Node) playBack(ctx context.Context, d Dataset) (err error) {
	if d.volume || d.mounted {
		return nil
	}
	name := cmp.Or(d.At, d.Name)
	if d.locked {
		if _, err := n.Runner.Run(ctx, zfs.LoadKey(d.keyOf)); err != nil {
			return fmt.Errorf("what a crash may have left in the log of %s is in no snapshot: %w; zfs load-key %s", name, err, d.keyOf)
		}
		defer func() {
			_, failed := n.Runner.Run(context.WithoutCancel(ctx), zfs.UnloadKey(d.keyOf))
			err = errors.Join(err, failed)
		}()
	}
	for i, c := range zfs.PlayBack(name, d.legacy, logs) {
		if i > 0 {
			ctx = context.WithoutCancel(ctx) // what is mounted is not left so
		}
		if _, err := n.Runner.Run(ctx, c); err != nil {
			return fmt.Errorf("what a crash may have left in the log of %s is in no snapshot: %w", name, err)
		}
	}
	return nil
}
