package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// observeOrigins looks for the declared origins of clones that are yet to be made, in one process per pool.
func (d *Driver) observeOrigins(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	names := map[string][]string{} // by pool
	for _, name := range want.DatasetNames() {
		ds, pool := want.Datasets[name], string(name.Pool())
		if ds.Origin == "" || ds.Absent || obs.Datasets[string(name)] != nil || obs.Pools[pool] == nil || obs.UnseenPool(pool) != "" {
			continue
		}
		names[pool] = append(names[pool], string(ds.Origin))
		for _, r := range want.DatasetNames() { // it may stand under its former name as yet
			if old := want.Datasets[r].Renamed; old != "" && source(ds.Origin).Under(r) {
				names[pool] = append(names[pool], state.Follow(string(ds.Origin), string(r), string(old)))
			}
		}
	}
	for _, pool := range sortedKeys(names) {
		slices.Sort(names[pool])
		if err := d.addSnapshots(ctx, obs, pool, zfs.ListSnapshots(slices.Compact(names[pool]))...); err != nil {
			return err
		}
	}
	return nil
}

// addSnapshots adds what lists print. zfs exits 1 where one of several is not there, and still prints the
// others.
func (d *Driver) addSnapshots(ctx context.Context, obs *state.Observed, pool string, lists ...host.Command) error {
	for _, c := range lists {
		res, err := d.Runner.Run(ctx, c)
		var exit *host.ExitError
		if errors.As(err, &exit) && exit.Code == 1 {
			err = nil
		}
		var list []state.Snapshot
		if err == nil {
			list, err = zfs.ParseSnapshots(res.Stdout)
		}
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("observe snapshots of %s: %w", pool, err)
			}
			obs.Unseen = append(obs.Unseen, state.Unseen{Pool: pool, Why: why("its snapshots could not be listed", err)})
			return nil
		}
		obs.Snapshots = append(obs.Snapshots, list...)
	}
	return nil
}

// renamed are the former names of datasets that are known, by guid, to have the name now that the files gave
// them.
func renamed(want *spec.Spec, obs *state.Observed) map[string]string {
	guids := map[string]string{}
	for _, r := range obs.Recorded {
		if spec.Kind(r.Kind) == spec.KindDataset {
			guids[r.Name] = r.GUID
		}
	}
	names := map[string]string{}
	for _, name := range want.DatasetNames() {
		old, now := string(want.Datasets[name].Renamed), obs.Datasets[string(name)]
		if old != "" && now != nil && obs.Datasets[old] == nil && guids[old] == now.GUID {
			names[old] = string(name)
		}
	}
	return names
}
