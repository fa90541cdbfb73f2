package replication

import (
	"context"
	"fmt"
	"maps"
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

// claim are the guids of what is known to have been brought to the target of a pair, sorted: by this replication, or by one of another
// name, which it was called then, for nothing but the same target of the same source counts. That a snapshot is at
// both ends, or held, is no proof: a person may have brought it there before.
func claim(rows map[string]map[string]*state.Received, name string, p state.Pair) (guids []string) {
	if p.Target == nil {
		return nil
	}
	for other, of := range rows {
		switch row := of[p.Source.GUID]; {
		case row == nil:
		case row.Target == p.Target.GUID, row.Target == "" && other == name:
			guids = append(guids, row.GUIDs...)
		default:
			guids = append(guids, row.Elsewhere[p.Target.GUID]...)
		}
	}
	slices.Sort(guids)
	return slices.Compact(guids)
}

// elsewhereThan is what is known of other targets of a source than this one; "": one that is yet to be made.
func elsewhereThan(row *state.Received, target string) map[string][]string {
	if row == nil {
		return nil
	}
	all := maps.Clone(row.Elsewhere)
	if row.Target != "" && row.Target != target {
		if all == nil {
			all = map[string][]string{}
		}
		all[row.Target] = row.GUIDs
	}
	delete(all, target)
	return all
}

// markReceived tells of the snapshots of the targets which the replication brought.
func (d *Driver) markReceived(name string, pairs []state.Pair) {
	for _, p := range pairs {
		guids := claim(d.received, name, p)
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

// recallReceived takes up what this replication and others received.
func (t *transfer) recallReceived(ctx context.Context) error {
	_, all, err := t.Memory.Received(ctx, 0)
	t.got = map[string]map[string]*state.Received{}
	for name, rows := range all {
		t.got[name] = maps.Clone(rows)
	}
	if t.got[t.Replication] == nil {
		t.got[t.Replication] = map[string]*state.Received{}
	}
	return err
}

// expect writes down what is about to come, before it comes: one that died then is known as received all the same.
func (t *transfer) expect(ctx context.Context, p state.Pair, guids []string) error {
	if t.Restore { // what comes back is nobody's to prune
		return nil
	}
	own, had := t.claim(p)
	row := &state.Received{GUIDs: slices.Compact(slices.Sorted(slices.Values(slices.Concat(had, guids))))}
	if p.Target != nil {
		row.Target = p.Target.GUID
	}
	row.Elsewhere = elsewhereThan(own, row.Target)
	return t.saveReceived(ctx, map[string]*state.Received{p.Source.GUID: row})
}

// claim is what is remembered of this replication and the source of a pair, and what is known to have come to its target.
func (t *transfer) claim(p state.Pair) (own *state.Received, guids []string) {
	t.noting.Lock()
	defer t.noting.Unlock()
	return t.got[t.Replication][p.Source.GUID], claim(t.got, t.Replication, p)
}

// settleReceived forgets what its target does not have any more, but for what may still come.
func (t *transfer) settleReceived(ctx context.Context, pairs []state.Pair) error {
	changed := map[string]*state.Received{}
	for _, p := range pairs {
		if p.Target == nil || p.Target.Token != "" || p.Target.Partial {
			continue
		}
		own, had := t.claim(p)
		row := &state.Received{Target: p.Target.GUID, GUIDs: []string{}, Elsewhere: elsewhereThan(own, p.Target.GUID)}
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
		if had := t.got[t.Replication][source]; had == nil || had.Target != row.Target || !slices.Equal(had.GUIDs, row.GUIDs) {
			changed[source] = row
		}
	}
	if err := t.Memory.SaveReceived(context.WithoutCancel(ctx), t.Replication, changed); err != nil {
		return fmt.Errorf("write down what is received: %w", err)
	}
	for source, row := range changed {
		t.got[t.Replication][source] = row
	}
	return nil
}
