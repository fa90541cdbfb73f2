package replication

import (
	"context"
	"fmt"
	"slices"

	"github.com/dplaneos/dplane/state"
)

// recall takes up what was received, where that changed.
func (d *Driver) recall(ctx context.Context) error {
	version, all, err := d.Memory.Received(ctx, d.version)
	if err == nil && all != nil {
		d.version, d.received = version, all
	}
	return err
}

// claim are the guids of what the replication is known to have brought to the target of a pair, sorted. Where nothing is
// remembered of that target its hold there tells that it was at work: then that is what the source still has.
func claim(row *state.Received, p state.Pair) (guids []string) {
	switch {
	case p.Target == nil:
		return nil
	case row != nil && (row.Target == "" || row.Target == p.Target.GUID):
		return row.GUIDs
	case !slices.ContainsFunc(p.Target.Snapshots, func(s state.Point) bool { return s.Ours }):
		return nil
	}
	held := uint64(0) // what is newer came otherwise: by a restore, the other way round
	for _, s := range p.Target.Snapshots {
		if s.Ours {
			held = max(held, s.TXG)
		}
	}
	source := map[string]bool{}
	for _, s := range slices.Concat(p.Source.Snapshots, p.Source.Bookmarks) {
		source[s.GUID] = true
	}
	for _, s := range p.Target.Snapshots {
		if source[s.GUID] && s.TXG <= held {
			guids = append(guids, s.GUID)
		}
	}
	slices.Sort(guids)
	return guids
}

// markReceived tells of the snapshots of the targets which the replication brought.
func markReceived(rows map[string]*state.Received, pairs []state.Pair) {
	for _, p := range pairs {
		guids := claim(rows[p.Source.GUID], p)
		if p.Target == nil {
			continue
		}
		for i := range p.Target.Snapshots {
			s := &p.Target.Snapshots[i]
			_, s.Received = slices.BinarySearch(guids, s.GUID)
		}
	}
}

func guidsOf(list []state.Point) []string {
	guids := make([]string, len(list))
	for i, p := range list {
		guids[i] = p.GUID
	}
	return guids
}

// recallReceived takes up what this replication received.
func (t *transfer) recallReceived(ctx context.Context) error {
	_, all, err := t.Memory.Received(ctx, 0)
	t.got = map[string]*state.Received{}
	for source, row := range all[t.Replication] {
		t.got[source] = row
	}
	return err
}

// expect writes down what is about to come, before it comes: one that died then is known as received all the same.
func (t *transfer) expect(ctx context.Context, p state.Pair, guids []string) error {
	if t.Restore { // what comes back is nobody's to prune
		return nil
	}
	had := claim(t.gotOf(p), p)
	row := &state.Received{GUIDs: slices.Compact(slices.Sorted(slices.Values(slices.Concat(had, guids))))}
	if p.Target != nil {
		row.Target = p.Target.GUID
	}
	return t.saveReceived(ctx, map[string]*state.Received{p.Source.GUID: row})
}

func (t *transfer) gotOf(p state.Pair) *state.Received {
	t.noting.Lock()
	defer t.noting.Unlock()
	return t.got[p.Source.GUID]
}

// settleReceived forgets what its target does not have any more, but for what may still come.
func (t *transfer) settleReceived(ctx context.Context, pairs []state.Pair) error {
	changed := map[string]*state.Received{}
	for _, p := range pairs {
		if p.Target == nil || p.Target.Token != "" || p.Target.Partial {
			continue
		}
		had := claim(t.gotOf(p), p)
		row := &state.Received{Target: p.Target.GUID, GUIDs: []string{}}
		for _, s := range p.Target.Snapshots {
			if _, ours := slices.BinarySearch(had, s.GUID); ours {
				row.GUIDs = append(row.GUIDs, s.GUID)
			}
		}
		slices.Sort(row.GUIDs)
		changed[p.Source.GUID] = row
	}
	return t.saveReceived(ctx, changed)
}

func (t *transfer) saveReceived(ctx context.Context, rows map[string]*state.Received) error {
	t.noting.Lock()
	defer t.noting.Unlock()
	changed := map[string]*state.Received{}
	for source, row := range rows {
		if had := t.got[source]; had == nil || had.Target != row.Target || !slices.Equal(had.GUIDs, row.GUIDs) {
			changed[source] = row
		}
	}
	if err := t.Memory.SaveReceived(context.WithoutCancel(ctx), t.Replication, changed); err != nil {
		return fmt.Errorf("write down what is received: %w", err)
	}
	for source, row := range changed {
		t.got[source] = row
	}
	return nil
}
