package pool

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// observeNew looks at declared devices of pools that are here and don't hold them by that name. Links are
// resolved, all in one process, for a disk has many names; what is in no pool even so is probed. Where every
// device stands in its pool as it is declared, nothing is run.
func (d *Driver) observeNew(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	managed := seen(want, obs)
	if err := d.resolve(ctx, managed, obs); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("resolve devices: %w", err)
		}
		for _, p := range managed {
			obs.Unseen = append(obs.Unseen, state.Unseen{Pool: string(p.Name), Why: why("the links of its devices could not be resolved", err)})
		}
		return nil
	}
	for _, p := range managed {
		for _, path := range newLayout(obs, obs.Pools[string(p.Name)]).doubtful(p) {
			if obs.Devices[path] != nil {
				continue
			}
			seen, _ := d.probe(ctx, path)
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("probe %s: %w", path, err)
			}
			obs.Devices[path] = seen
		}
		if why := d.observeSpace(ctx, p, obs); why != "" {
			obs.Unseen = append(obs.Unseen, state.Unseen{Pool: string(p.Name), Why: why})
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("observe pool %s: %w", p.Name, err)
		}
	}
	return nil
}

// doubtful are the declared devices that the pool lacks, and those that it can't open: they may be here again, or
// others in their stead.
func (y *layout) doubtful(p *spec.Pool) []string {
	var paths []string
	for _, dev := range p.Devices() {
		switch l := y.find(dev.Path); {
		case l == nil:
			paths = append(paths, dev.Path)
		case lost(l.Vdev):
			paths = append(paths, l.Path, dev.Path)
		}
	}
	return paths
}

// seen are the pools whose vdevs are declared and were observed.
func seen(want *spec.Spec, obs *state.Observed) []*spec.Pool {
	var all []*spec.Pool
	for _, name := range want.PoolNames() {
		p, have := want.Pools[name], obs.Pools[string(name)]
		if len(p.Vdevs) > 0 && have != nil && len(have.Vdevs) > 0 && obs.UnseenPool(string(name)) == "" {
			all = append(all, p)
		}
	}
	return all
}

// resolve fills in the real paths of devices, where a declared one is in its pool by no name that is known.
func (d *Driver) resolve(ctx context.Context, managed []*spec.Pool, obs *state.Observed) error {
	paths := map[string]bool{}
	for _, p := range managed {
		t := newLayout(obs, obs.Pools[string(p.Name)])
		for _, dev := range slices.Concat(p.Devices(), p.Remove) {
			if t.lacks(dev.Path) {
				paths[dev.Path] = true
				maps.Copy(paths, t.paths())
			}
		}
	}
	if len(paths) == 0 {
		return nil
	}
	list := slices.Sorted(maps.Keys(paths))
	res, err := d.Runner.Run(ctx, realPaths(list))
	if err != nil {
		return err
	}
	real := strings.Split(strings.TrimSuffix(string(res.Stdout), "\x00"), "\x00")
	if len(real) != len(list) {
		return fmt.Errorf("readlink tells %d paths of %d", len(real), len(list))
	}
	obs.Links = map[string]string{}
	for i, path := range list {
		obs.Links[path] = real[i]
	}
	return nil
}

// realPaths tells where links lead; what does not exist leads to itself.
func realPaths(paths []string) host.Command {
	return host.Read(append([]string{"readlink", "-m", "-z", "--"}, paths...)...)
}
