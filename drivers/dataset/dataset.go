// Package dataset sees, creates and changes file systems and volumes. What is there is compared three ways
// (what the files declare, what dplane set before, what is actual and from which source), because a
// value that an operator set, or that came with a stream, is not dplane's to take back.
//
// It must never change a dataset that the files do not declare, destroy or rename one, or take a local value
// back that the mark dplane:applied does not name.
package dataset

import (
	"context"
	"errors"
	"fmt"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Driver is the driver of datasets.
type Driver struct {
	Runner host.Runner

	delegations delegations
	trees       map[string]*toTrash // what is declared absent, as it was observed last, by guid
}

var _ drivers.Driver = (*Driver)(nil)

// Kind is dataset.
func (d *Driver) Kind() spec.Kind { return spec.KindDataset }

// Apply carries one action out.
func (d *Driver) Apply(ctx context.Context, a drivers.Action) error {
	defer d.changed(a.Object.Name)
	if err := d.stillUnused(ctx, a); err != nil {
		return err
	}
	return drivers.Apply(ctx, d.Runner, a)
}

// Observe reads every dataset of every declared pool that can be seen, declared or not, in one process per
// pool (and one more where quotas of users are declared, and where replicas are), then where file systems are mounted, at declared key
// files, and in one process at the directories over which something would be mounted. A pool whose datasets can't be read becomes unseen.
func (d *Driver) Observe(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	if obs.ZFS.Error != "" {
		return nil
	}
	for _, pool := range want.PoolNames() {
		if obs.Pools[string(pool)] == nil || obs.UnseenPool(string(pool)) != "" {
			continue
		}
		if err := d.observePool(ctx, want, obs, string(pool)); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("observe datasets of %s: %w", pool, err)
			}
			obs.Unseen = append(obs.Unseen, state.Unseen{Pool: string(pool), Why: why("its datasets could not be read", err)})
		}
	}
	if err := d.observeMounts(ctx, obs); err != nil {
		return err
	}
	obs.Renamed = renamed(want, obs)
	for _, look := range []func(context.Context, *spec.Spec, *state.Observed) error{d.observeOrigins, d.observeExpired, d.observeBusy} {
		if err := look(ctx, want, obs); err != nil {
			return err
		}
	}
	if err := d.observeAllow(ctx, want, obs); err != nil {
		return err
	}
	if err := d.observeKeys(ctx, want, obs); err != nil {
		return err
	}
	return d.observeMountpoints(ctx, want, obs)
}

// observePool adds the datasets of one pool, all or none.
func (d *Driver) observePool(ctx context.Context, want *spec.Spec, obs *state.Observed, pool string) error {
	list, err := d.list(ctx, want, obs.Role, pool)
	if err != nil {
		return err
	}
	if err := d.observeQuotas(ctx, want, pool, list); err != nil {
		return err
	}
	for _, ds := range list {
		obs.Datasets[ds.Name] = ds
	}
	return nil
}

// observeQuotas adds the quotas of users that are declared or marked somewhere in the pool: `zfs get all`
// leaves them out. zfs exits 1 where a name is no user of this machine, and still prints the others; Diff then
// blocks what is declared and was not printed.
func (d *Driver) observeQuotas(ctx context.Context, want *spec.Spec, pool string, list []*state.Dataset) error {
	var out []byte
	for _, c := range zfs.GetQuotas(pool, quotaNames(want, pool, list)) {
		res, err := d.Runner.Run(ctx, c)
		var exit *host.ExitError
		if err != nil && !(errors.As(err, &exit) && exit.Code == 1) {
			return err
		}
		out = append(out, res.Stdout...)
	}
	quotas, err := zfs.ParseQuotas(pool, out)
	if err != nil {
		return err
	}
	for _, ds := range list {
		for name, p := range quotas[ds.Name] {
			if p.Value != "-" { // a name that this machine does not know
				ds.Properties[name] = p
			}
		}
	}
	return nil
}

// quotaNames are the quotas of users to ask for, sorted.
func quotaNames(want *spec.Spec, pool string, list []*state.Dataset) []string {
	names := map[string]bool{}
	for _, d := range want.Datasets {
		for name := range d.Properties {
			if string(d.Name.Pool()) == pool && spec.IsUserQuota(name) {
				names[name] = true
			}
		}
	}
	for _, ds := range list {
		for name := range appliedTo(ds) {
			if spec.IsUserQuota(name) {
				names[name] = true
			}
		}
	}
	return sortedKeys(names)
}

// why says in one line what went wrong and what an operator can do.
func why(what string, err error) string {
	s := fmt.Sprintf("%s: %v", what, err)
	if hint := zfs.Hint(err); hint != "" {
		s += " (" + hint + ")"
	}
	return s
}
