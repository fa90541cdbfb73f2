package pool

import (
	"context"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Disks carries out what is done to a disk before a pool takes it: a wipe that a person named. The driver of
// pools, which knows who takes the disk, sees it and plans it.
type Disks struct{ Runner host.Runner }

var _ drivers.Driver = (*Disks)(nil)

// Kind is disk.
func (d *Disks) Kind() spec.Kind { return spec.KindDisk }

// Observe has nothing to look at.
func (d *Disks) Observe(context.Context, *spec.Spec, *state.Observed) error { return nil }

// Diff has nothing to say.
func (d *Disks) Diff(drivers.Input) drivers.Result { return drivers.Result{} }

// Apply carries one action out.
func (d *Disks) Apply(ctx context.Context, a drivers.Action) error {
	return drivers.Apply(ctx, d.Runner, a)
}
