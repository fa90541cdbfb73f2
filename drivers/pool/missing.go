package pool

import (
	"context"
	"fmt"
	"path"
	"slices"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// observeMissing looks at what declared pools that are not imported would be made of. One search finds what
// could be imported from the folders of their devices; a search that fails makes those pools unseen, for a
// pool that may be there must not be created.
func (d *Driver) observeMissing(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	var missing []*spec.Pool
	for _, name := range want.PoolNames() {
		if p := want.Pools[name]; obs.Pools[string(name)] == nil && len(p.Vdevs) > 0 {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	for _, p := range missing {
		for _, dev := range p.Devices() {
			if obs.Devices[dev.Path] != nil {
				continue
			}
			seen, labels := d.probe(ctx, dev.Path)
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("probe %s: %w", dev.Path, err)
			}
			obs.Devices[dev.Path] = seen
			for _, l := range labels {
				addImportable(obs, state.Importable{Name: l.Pool, GUID: l.GUID, From: "the label (" + l.State + ") on " + dev.Path})
			}
		}
	}
	if err := d.search(ctx, missing, obs); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("search for pools: %w", err)
		}
		for _, p := range missing {
			obs.Unseen = append(obs.Unseen, state.Unseen{Pool: string(p.Name), Why: why("the search for pools that could be imported failed", err)})
		}
	}
	return nil
}

// search lists what `zpool import` would offer.
func (d *Driver) search(ctx context.Context, missing []*spec.Pool, obs *state.Observed) error {
	res, err := d.Runner.Run(ctx, zfs.SearchPools(folders(missing)))
	if err != nil {
		return zfs.Classify(err)
	}
	found, err := zfs.ParseSearch(res.Stdout)
	if err != nil {
		return err
	}
	for _, f := range found {
		addImportable(obs, state.Importable{Name: f.Name, GUID: f.GUID, From: "zpool import (" + f.State + ")", State: f.State, Status: f.Status, Ready: f.Ready})
	}
	return nil
}

// addImportable keeps a pool once, with what showed it first and what the search says of it, unless it is imported
// already.
func addImportable(obs *state.Observed, i state.Importable) {
	if i.Name == "" {
		return
	}
	for _, p := range obs.Pools {
		if p.GUID == i.GUID {
			return
		}
	}
	same := func(o state.Importable) bool { return o.Name == i.Name && o.GUID == i.GUID }
	at := slices.IndexFunc(obs.Importable, same)
	switch {
	case at < 0:
		obs.Importable = append(obs.Importable, i)
	case i.State != "":
		known := &obs.Importable[at]
		known.State, known.Status, known.Ready = i.State, i.Status, i.Ready
	}
}

// folders are those of the declared devices, sorted.
func folders(pools []*spec.Pool) []string {
	var all []string
	for _, p := range pools {
		for _, dev := range p.Devices() {
			all = append(all, path.Dir(dev.Path))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
