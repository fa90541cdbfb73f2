package replication

import (
	"context"
	"fmt"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// letTurned lets go, at the source of a pair of HA nodes, of what it held as the target while the other node was the active one:
// what is older than what both have now is no way back to anything.
func (t *transfer) letTurned(ctx context.Context, pairs []state.Pair) error {
	if t.Back == "" {
		return nil
	}
	var older []state.End
	for _, p := range pairs {
		b := basisOf(p)
		if b == nil {
			continue
		}
		e := state.End{Name: p.Source.Name}
		for _, s := range p.Source.Snapshots {
			if s.TXG < b.TXG {
				e.Snapshots = append(e.Snapshots, s)
			}
		}
		older = append(older, e)
	}
	held, err := t.heldBy(ctx, t.From, Tag(t.Back), older)
	if err != nil {
		return fmt.Errorf("see what is held of the other way: %w", err)
	}
	return t.each(ctx, t.From, zfs.Release(Tag(t.Back), held), zfs.AllReleased)
}
