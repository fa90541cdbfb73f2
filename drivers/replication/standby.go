package replication

import (
	"context"
	"fmt"
	"slices"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// letTurned lets go, at the source of a pair of HA nodes, of what it held as the target while the other node was the active one:
// what is older than what both have now is no way back to anything. With more nodes it may be one to another of them, which
// has no more than what is known of it, nothing where nothing is.
func (t *transfer) letTurned(ctx context.Context, pairs []state.Pair) error {
	if t.Back == "" {
		return nil
	}
	known, err := t.Memory.Replicated(ctx)
	if err != nil {
		return err
	}
	var older []state.End
	for _, p := range pairs {
		b := basisOf(p)
		if b == nil {
			continue
		}
		upto := b.TXG
		for _, name := range t.Beside {
			upto = min(upto, reached(known[name], p.Source))
		}
		e := state.End{Name: p.Source.Name}
		for _, s := range p.Source.Snapshots {
			if s.TXG < upto {
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

// reached is the TXG of what is known to be the newest that a replication has brought of a source; 0: nothing is known.
func reached(r *state.Replicated, source state.End) uint64 {
	if r == nil {
		return 0
	}
	for _, s := range slices.Concat(source.Snapshots, source.Bookmarks) {
		if s.GUID == r.Common[source.GUID].GUID {
			return s.TXG
		}
	}
	return 0
}
