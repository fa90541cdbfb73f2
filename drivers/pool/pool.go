// Package pool sees pools, creates those that are declared and were never here, imports those that are away, sets
// their properties, changes their vdevs to what is declared, and begins the scrubs and trims that are due. What a
// device would be taken for is probed first, by reads of its own: that zpool does not object proves nothing.
//
// It must never wipe a disk that no person named, or that is in use; create a pool over anything but blank devices,
// or over one that was here before; take a device out of a pool that `remove` does not name and nothing replaces;
// import one by force, or one that was destroyed; stop a scrub or a trim; export or destroy a pool.
package pool

import (
	"context"
	"fmt"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Driver is the driver of pools.
type Driver struct{ Runner host.Runner }

var _ drivers.Driver = (*Driver)(nil)

// Kind is pool.
func (d *Driver) Kind() spec.Kind { return spec.KindPool }

// Apply carries one action out.
func (d *Driver) Apply(ctx context.Context, a drivers.Action) error {
	return drivers.Apply(ctx, d.Runner, a)
}

// Observe asks which ZFS is here and which pools are imported, then for the details of those that are
// declared; of declared ones that are not imported it probes the devices and searches for what could be
// imported. Where ZFS itself does not answer, nothing else is asked.
func (d *Driver) Observe(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	if err := d.observeZFS(ctx, obs); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("observe pools: %w", err)
		}
		obs.ZFS.Error, obs.ZFS.Hint = err.Error(), zfs.Hint(err)
		return nil
	}
	for _, name := range want.PoolNames() {
		p := obs.Pools[string(name)]
		if p == nil {
			continue
		}
		p.Managed = true
		why := d.observePool(ctx, obs, p)
		if why == "" {
			why = d.observeCare(ctx, want.Pools[name], p)
		}
		if why != "" {
			obs.Unseen = append(obs.Unseen, state.Unseen{Pool: p.Name, Why: why})
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("observe pool %s: %w", name, err)
		}
	}
	for _, p := range obs.Pools {
		remember(obs, p) // also where it can't be seen now: what is not recorded again is forgotten
	}
	if err := d.observeNew(ctx, want, obs); err != nil {
		return err
	}
	if err := d.observeMissing(ctx, want, obs); err != nil {
		return err
	}
	return d.observeNeeds(ctx, want, obs)
}

// observeZFS fills in the releases and the list of pools.
func (d *Driver) observeZFS(ctx context.Context, obs *state.Observed) error {
	res, err := d.Runner.Run(ctx, zfs.Version())
	version, parseErr := zfs.ParseVersion(res.Stdout)
	obs.ZFS = version // the tools' release is known even where the module is not there
	switch {
	case err != nil:
		return zfs.Classify(err)
	case parseErr != nil:
		return parseErr
	}
	res, err = d.Runner.Run(ctx, zfs.ListPools())
	if err != nil {
		return zfs.Classify(err)
	}
	pools, err := zfs.ParsePools(res.Stdout)
	if err != nil {
		return err
	}
	for _, p := range pools {
		obs.Pools[p.Name] = p
	}
	return nil
}

// observePool fills in a declared pool, and says why it can't be seen, "" where it can. What answers is kept
// all the same: a suspended pool still tells its status, but a zfs command on it may hang for ever.
func (d *Driver) observePool(ctx context.Context, obs *state.Observed, p *state.Pool) (unseen string) {
	suspended := p.Health == "SUSPENDED"
	unseen = d.observeStatus(ctx, obs, p)
	if suspended || p.Health == "SUSPENDED" {
		return "the pool is suspended: bring its devices back, then `zpool clear " + p.Name + "`"
	}
	if unseen != "" {
		return unseen
	}
	res, err := d.Runner.Run(ctx, zfs.GetPool(p.Name))
	if err != nil {
		return why("zpool get", err)
	}
	if p.Properties, err = zfs.ParsePoolProperties(p.Name, res.Stdout); err != nil {
		return err.Error()
	}
	return ""
}

// observeStatus fills in what zpool status tells, in one process, or in two where the release has no JSON.
func (d *Driver) observeStatus(ctx context.Context, obs *state.Observed, p *state.Pool) (unseen string) {
	json := zfs.HasJSON(obs.ZFS.Userland)
	ask := zfs.PoolStatus(p.Name)
	if json {
		ask = zfs.PoolStatusJSON(p.Name)
	}
	res, err := d.Runner.Run(ctx, ask)
	switch {
	case err != nil:
		return why("zpool status", err)
	case json:
		err = zfs.ParsePoolStatusJSON(res.Stdout, obs.At, p)
	default:
		err = zfs.ParsePoolStatus(res.Stdout, p)
	}
	if err != nil {
		return err.Error()
	}
	if json || p.Health == "SUSPENDED" {
		return ""
	}
	if res, err = d.Runner.Run(ctx, zfs.PoolGUIDs(p.Name)); err != nil {
		return why("zpool status -g", err)
	}
	if err := zfs.ParsePoolGUIDs(res.Stdout, p); err != nil {
		return err.Error()
	}
	return ""
}

func why(what string, err error) string {
	s := fmt.Sprintf("%s: %v", what, err)
	if hint := zfs.Hint(err); hint != "" {
		s += " (" + hint + ")"
	}
	return s
}
