package carry

import (
	"context"
	"errors"
	"slices"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// get reads the group's datasets of one pool. Where Absent allows it, those that are not there are passed over: a standby
// that received nothing yet has nothing that could be written. A pool that is not there is no such thing: it may be away.
func (n *Node) get(ctx context.Context, pool string, roots []string) (all []*state.Dataset, err error) {
	res, err := n.Runner.Run(ctx, zfs.GetGroup(roots))
	if err == nil {
		return zfs.ParseDatasets(pool, res.Stdout)
	}
	if !n.Absent || !errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
		return nil, err
	}
	if _, err := n.Runner.Run(ctx, host.Read("zpool", "list", "-H", "-o", "name", pool)); err != nil {
		return nil, err
	}
	if len(roots) == 1 {
		return nil, nil
	}
	for _, root := range roots {
		some, err := n.get(ctx, pool, []string{root})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// here is the node as it may be: without what it never received.
func (n *Node) here() *Node {
	as := *n
	as.Absent = true
	return &as
}

// Points are the snapshots of each of the group's datasets here, oldest first.
func (n *Node) Points(ctx context.Context) (map[string][]state.Point, error) {
	as := n.here()
	list, err := as.list(ctx)
	if err != nil {
		return nil, err
	}
	there := *as.HA
	there.Datasets = slices.DeleteFunc(slices.Clone(there.Datasets), func(d spec.DatasetName) bool {
		return !slices.ContainsFunc(list, func(x *state.Dataset) bool { return x.Name == string(d) })
	})
	as.HA = &there
	own, _, err := as.points(ctx, list)
	return own, err
}

// Lag is what this node lacks of what the active one last said that it had.
func (n *Node) Lag(ctx context.Context, published map[string]state.Published) (ha.Lag, error) {
	own, err := n.Points(ctx)
	if err != nil {
		return ha.Lag{}, err
	}
	names := sortedKeys(own)
	for name := range published {
		if _, ok := own[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return ha.Measure(names, published, own, n.Now()), nil
}

// Published is the newest snapshot of each of the group's datasets here, and what was written since.
func (n *Node) Published(ctx context.Context) (map[string]state.Published, error) {
	as := n.here()
	list, err := as.list(ctx)
	if err != nil {
		return nil, err
	}
	own, err := n.Points(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]state.Published{}
	for _, d := range list {
		p := state.Published{Written: d.Written}
		if points := own[d.Name]; len(points) > 0 {
			last := points[len(points)-1]
			p.GUID, p.TXG, p.Creation = last.GUID, last.TXG, last.Creation
		}
		all[d.Name] = p
	}
	return all, nil
}

// Missing are those of these snapshots (guids by dataset) that are not here, by dataset, sorted.
func (n *Node) Missing(ctx context.Context, guids map[string]string) (lacks []string, err error) {
	own, err := n.Points(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(guids) {
		if !slices.ContainsFunc(own[name], func(p state.Point) bool { return p.GUID == guids[name] }) {
			lacks = append(lacks, name)
		}
	}
	return lacks, nil
}
