package replication

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// holdsOf names one dataset, as one end of a replication, whose tag it is, sees it. What is known of its holds is by the guids of the snapshots: only
// of those that had any when it was looked at last, so that what went is forgotten.
type holdsOf struct{ tag, remote, guid string }

// hold is what was seen of the holds of a snapshot.
type hold struct {
	n    int
	ours bool
}

// tags asks by whom snapshots are held, of those whose number of holds is not the one that was seen last.
func (d *Driver) tags(ctx context.Context, w *drivers.Sending, pairs []state.Pair) error {
	sources, targets := endsOf(pairs)
	err := d.tagsOf(ctx, sourceTag(w.Replication), w.From, sources)
	if err == nil {
		err = d.tagsOf(ctx, Tag(w.Replication), w.To, targets)
	}
	if err != nil {
		return fmt.Errorf("ask who holds snapshots: %w", err)
	}
	return nil
}

// endsOf are both ends of all pairs.
func endsOf(pairs []state.Pair) (sources, targets []*state.End) {
	for i := range pairs {
		sources = append(sources, &pairs[i].Source)
		if pairs[i].Target != nil {
			targets = append(targets, pairs[i].Target)
		}
	}
	return sources, targets
}

func (d *Driver) tagsOf(ctx context.Context, tag, remote string, all []*state.End) error {
	ask := d.recallHolds(tag, remote, all)
	open := map[string]bool{} // what was asked for and not answered: let go of in this moment
	for _, name := range ask {
		open[name] = true
	}
	for _, c := range zfs.ListHolds(ask) { // without the mutex: the far side may take its time, or never answer
		c.Host = remote
		res, err := d.Runner.Run(ctx, c)
		if err != nil {
			return err
		}
		tags := zfs.ParseHolds(res.Stdout)
		for _, e := range all {
			for i := range e.Snapshots {
				name := e.Name + "@" + e.Snapshots[i].Name
				if of, told := tags[name]; told {
					e.Snapshots[i].Ours = slices.Contains(of, tag)
					delete(open, name)
				}
			}
		}
	}
	d.noteHolds(tag, remote, all, open)
	return nil
}

// recallHolds fills in what is known, and gives the names of the snapshots of which it is not.
func (d *Driver) recallHolds(tag, remote string, all []*state.End) (ask []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range all {
		known := d.holds[holdsOf{tag, remote, e.GUID}]
		for i := range e.Snapshots {
			p := &e.Snapshots[i]
			if p.Holds == 0 {
				continue
			}
			h, ok := known[p.GUID]
			if ok && h.n == p.Holds {
				p.Ours = h.ours
			} else {
				ask = append(ask, e.Name+"@"+p.Name)
			}
		}
	}
	return ask
}

// noteHolds keeps what was seen of these datasets in place of what was known of them, but for what is open.
func (d *Driver) noteHolds(tag, remote string, all []*state.End, open map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holds == nil {
		d.holds = map[holdsOf]map[string]hold{}
	}
	for _, e := range all {
		now := map[string]hold{}
		for _, p := range e.Snapshots {
			if p.Holds > 0 && !open[e.Name+"@"+p.Name] {
				now[p.GUID] = hold{p.Holds, p.Ours}
			}
		}
		d.holds[holdsOf{tag, remote, e.GUID}] = now
	}
}

// noteHeld takes down what a command did that held snapshots (dataset@name) by a tag, or released them, and met none of which
// that was done already: what is known of them is right without asking.
func (d *Driver) noteHeld(tag, remote string, ends []*state.End, names []string, ours bool) {
	did := map[string]bool{}
	for _, name := range names {
		did[name] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range ends {
		known := d.holds[holdsOf{tag, remote, e.GUID}]
		for _, p := range e.Snapshots {
			switch {
			case known == nil || !did[e.Name+"@"+p.Name]:
			case ours:
				known[p.GUID] = hold{p.Holds + 1, true}
			case p.Holds > 0:
				known[p.GUID] = hold{p.Holds - 1, false}
			}
		}
	}
}

// forgetHolds drops what is known of datasets that a look at all of a replication did not see.
func (d *Driver) forgetHolds(w *drivers.Sending, pairs []state.Pair) {
	seen, source, target := map[holdsOf]bool{}, sourceTag(w.Replication), Tag(w.Replication)
	for _, p := range pairs {
		seen[holdsOf{source, w.From, p.Source.GUID}] = true
		if p.Target != nil {
			seen[holdsOf{target, w.To, p.Target.GUID}] = true
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.holds, func(e holdsOf, _ map[string]hold) bool { return (e.tag == source || e.tag == target) && !seen[e] })
}
