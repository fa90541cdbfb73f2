package replication

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// listOf is what is listed of one end of a replication.
type listOf struct {
	remote, dataset string
	below           bool
}

// listed is the last whole list of one end.
type listed struct {
	at    time.Time // before it was asked for
	ends  []state.End
	marks map[string]string // by guid; nil: they were not asked for
	since time.Time         // of the first look that saw these marks
	none  bool              // the release there knows none
}

const (
	// believed is how long a whole list is taken to be true while its marks are the same: holds and bookmarks leave none.
	believed = 10 * time.Minute
	// settled is how much younger than its marks a list has to be: they are of whole seconds, and a second change in one second
	// leaves no other mark.
	settled = 2 * time.Second
)

// glance lists ends with what the last whole list of each knew of its snapshots, where they are the same still.
type glance struct {
	*Driver
	whole   bool            // all is listed whole
	glanced map[listOf]bool // what was not
}

// list is a lister.
func (g *glance) list(ctx context.Context, remote string, below bool, dataset string) ([]state.End, error) {
	at, key := g.Now(), listOf{remote, dataset, below}
	g.mu.Lock()
	known := g.listed[key]
	g.mu.Unlock()
	now := &listed{at: at, since: at}
	var changed []zfs.Changed
	if known != nil && !known.none {
		changed, now.none = g.changed(ctx, remote, below, dataset)
	}
	if changed != nil {
		if now.marks = marksOf(changed); sameMarks(known, changed) {
			now.since = known.since
			if !g.whole && at.Sub(known.at) < believed && !at.Before(known.at) && known.at.Sub(known.since) >= settled {
				g.glanced[key] = true
				return known.with(changed), nil
			}
		}
	}
	ends, err := g.Driver.list(ctx, remote, below, dataset)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		delete(g.listed, key)
		return nil, err
	}
	now.ends, now.none = copiedEnds(ends), now.none || known != nil && known.none
	if g.listed == nil {
		g.listed = map[listOf]*listed{}
	}
	g.listed[key] = now
	return ends, nil
}

// changed asks for the marks of one end; none where they can't be had there at all.
func (g *glance) changed(ctx context.Context, remote string, below bool, dataset string) (all []zfs.Changed, none bool) {
	c := zfs.ListChanged(remote != "", below, dataset)
	c.Host = remote
	res, err := g.Runner.Run(ctx, c)
	if err != nil {
		var exit *host.ExitError
		return nil, errors.As(err, &exit) && (exit.Code == noSuchProperty || exit.Code == notLetIn)
	}
	if all, err = zfs.ParseChanged(res.Stdout, remote != "", below, dataset); err != nil {
		return nil, true
	}
	return all, false
}

// What says that no marks can be had there: the zfs of 2.1, and the forced command of an older dplane.
const noSuchProperty, notLetIn = 2, 77

// forgetLists drops what was listed for replications that are not declared any more.
func (d *Driver) forgetLists(want *spec.Spec) {
	ends := map[listOf]bool{}
	for _, r := range want.Replications {
		w := way(r)
		ends[listOf{w.From, w.Source, w.Recursive}], ends[listOf{w.To, w.Target, w.Recursive}] = true, true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.listed, func(e listOf, _ *listed) bool { return !ends[e] })
}

func marksOf(all []zfs.Changed) map[string]string {
	marks := map[string]string{}
	for _, c := range all {
		marks[c.GUID] = c.Name + " " + c.Mark
	}
	return marks
}

// sameMarks tells whether these are the datasets of a list, by their names, with the marks that were seen with it.
func sameMarks(known *listed, all []zfs.Changed) bool {
	if known.marks == nil || len(all) != len(known.ends) || len(all) != len(known.marks) {
		return false
	}
	for i, c := range all {
		if known.ends[i].Name != c.Name || known.ends[i].GUID != c.GUID || known.marks[c.GUID] != c.Name+" "+c.Mark {
			return false
		}
	}
	return true
}

// with is the list, with all else as it is now.
func (l *listed) with(now []zfs.Changed) []state.End {
	ends := copiedEnds(l.ends)
	for i, c := range now {
		c.End.Snapshots, c.End.Bookmarks = ends[i].Snapshots, ends[i].Bookmarks
		ends[i] = c.End
	}
	return ends
}

// copiedEnds are ends of which each snapshot can be changed: the lists of a look belong to it.
func copiedEnds(ends []state.End) []state.End {
	all := slices.Clone(ends)
	for i := range all {
		all[i].Snapshots, all[i].Bookmarks = slices.Clone(all[i].Snapshots), slices.Clone(all[i].Bookmarks)
	}
	return all
}
