package dataset

import (
	"context"
	"maps"
	"slices"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// houseProperties are the user properties that dplane itself keeps on datasets.
var houseProperties = append([]string{state.AppliedProperty, state.AllowedProperty}, state.TrashProperties...)

// list reads the datasets of one pool. Where replicas are, which are not mounted, zfs takes long to tell all of each: then
// that is asked of those alone that dplane may change, and of those above, which they inherit from.
func (d *Driver) list(ctx context.Context, want *spec.Spec, role, pool string) ([]*state.Dataset, error) {
	if !receives(want, role, pool) {
		res, err := d.Runner.Run(ctx, zfs.GetDatasets(pool))
		if err != nil {
			return nil, err
		}
		return zfs.ParseDatasets(pool, res.Stdout)
	}
	res, err := d.Runner.Run(ctx, zfs.GetUnopened(pool, houseProperties))
	if err != nil {
		return nil, err
	}
	all, err := zfs.ParseDatasets(pool, res.Stdout)
	if err != nil {
		return nil, err
	}
	whole := map[string]*state.Dataset{}
	for _, c := range zfs.GetWhole(toKnow(want, role, all)) {
		res, err := d.Runner.Run(ctx, c)
		if err != nil {
			return nil, err
		}
		some, err := zfs.ParseDatasets(pool, res.Stdout)
		if err != nil {
			return nil, err
		}
		for _, ds := range some {
			whole[ds.Name] = ds
		}
	}
	for i, ds := range all {
		if w := whole[ds.Name]; w != nil {
			all[i] = w
		}
	}
	return all, nil
}

// receives tells whether a pool has, or may have, datasets that are received only, or none that is declared.
func receives(want *spec.Spec, role, pool string) bool {
	declared := false
	for n := range want.Datasets {
		if string(n.Pool()) == pool {
			if want.ReceivedOnly(n, role) != "" {
				return true
			}
			declared = true
		}
	}
	for _, r := range want.Replications {
		if r.Target.Remote == "" && !r.Target.Standby && string(r.Target.Dataset.Pool()) == pool {
			return true
		}
	}
	return !declared
}

// toKnow are those of a pool's datasets that dplane may change, by the files or by the mark of what it set, with those above.
func toKnow(want *spec.Spec, role string, all []*state.Dataset) []string {
	changes := map[spec.DatasetName]bool{}
	for n, d := range want.Datasets {
		if want.ReceivedOnly(n, role) == "" {
			changes[n], changes[d.Renamed] = true, true
		}
	}
	there, names := map[string]bool{}, map[string]bool{}
	for _, ds := range all {
		there[ds.Name] = true
		if n := spec.DatasetName(ds.Name); ds.Properties[state.AppliedProperty].Local() && want.ReceivedOnly(n, role) == "" {
			changes[n] = true
		}
	}
	for n := range changes {
		for ; n != ""; n = n.Parent() {
			if there[string(n)] {
				names[string(n)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
