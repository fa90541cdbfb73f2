package main

import (
	"path"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/pool"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// wipeFlags are the disks that a person names to be cleared.
type wipeFlags struct{ disks []string }

func (f *wipeFlags) add(set *pflag.FlagSet) {
	set.StringArrayVar(&f.disks, "wipe", nil, "clear this used `disk`, as the files name it, for the pool that takes it; DISK=POOL where it\ncarries a label of a pool that may still be wanted")
}

// named gives the disks with the pools that were named beside them. What comes after the last = is a pool's name,
// unless the files declare a device whose path has it.
func (f *wipeFlags) named(want *spec.Spec) (map[string]string, error) {
	if len(f.disks) == 0 {
		return nil, nil
	}
	m := map[string]string{}
	for _, arg := range f.disks {
		disk, name := arg, ""
		if i := strings.LastIndexByte(arg, '='); i >= 0 && !declared(want, arg) {
			disk, name = arg[:i], arg[i+1:]
			if _, err := spec.ParsePoolName(name); err != nil {
				return nil, usagef("--wipe %s: %v", arg, err)
			}
		}
		if !path.IsAbs(disk) {
			return nil, usagef("--wipe %s: a disk is named by its path, as the files name it", arg)
		}
		disk = path.Clean(disk)
		if _, twice := m[disk]; twice {
			return nil, usagef("--wipe names %s twice", disk)
		}
		m[disk] = name
	}
	return m, nil
}

func declared(want *spec.Spec, device string) bool {
	for _, name := range want.PoolNames() {
		if slices.ContainsFunc(want.Pools[name].Devices(), func(d spec.Device) bool { return d.Path == path.Clean(device) }) {
			return true
		}
	}
	return false
}

// checkWipe refuses disks whose naming was a mistake, before anything is done.
func checkWipe(want *spec.Spec, obs *state.Observed, wipe map[string]string) error {
	if err := pool.CheckWipe(drivers.Input{Want: want, Have: obs, Wipe: wipe}); err != nil {
		return failf("dplane plan shows which disks are used, and what clears them", "%w; nothing was done", err)
	}
	return nil
}
