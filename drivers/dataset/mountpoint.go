package dataset

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// observeMountpoints looks at the directories over which file systems would be mounted, in one
// process: `zfs create` mounts over a directory that is not empty, exits 0 and hides what is in it.
func (d *Driver) observeMountpoints(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	places := wouldMount(want, obs)
	for _, some := range chunks(sortedKeys(places)) {
		c := occupied(some...)
		res, err := d.Runner.Run(ctx, c)
		var exit *host.ExitError
		if err != nil && !(errors.As(err, &exit) && exit.Code == 1) { // 1: some of them are not there
			if ctx.Err() != nil {
				return fmt.Errorf("observe mountpoints: %w", err)
			}
			unseen(obs, places, some, err)
			continue
		}
		for line := range strings.Lines(string(res.Stdout)) {
			obs.Occupied = append(obs.Occupied, strings.TrimSuffix(line, "\n"))
		}
	}
	return nil
}

// unseen marks the pools whose mountpoints could not be looked at: nothing is mounted blindly.
func unseen(obs *state.Observed, places map[string]spec.PoolName, some []string, err error) {
	marked := map[spec.PoolName]bool{}
	for _, at := range some {
		if pool := places[at]; !marked[pool] {
			marked[pool] = true
			obs.Unseen = append(obs.Unseen, state.Unseen{Pool: string(pool), Why: why("the mountpoints of its datasets could not be looked at", err)})
		}
	}
}

// wouldMount are the places where datasets may be mounted that are missing, not mounted, or mounted elsewhere, with the
// pool of each. The root of a missing pool is among them: `zpool create` refuses a mountpoint that is not empty, whatever
// canmount says.
func wouldMount(want *spec.Spec, obs *state.Observed) map[string]spec.PoolName {
	v, moves := newView(drivers.Input{Want: want, Have: obs}).moves()
	places := v.toMount(v.present(moves))
	for _, m := range moves {
		for _, at := range m.places {
			places[at] = spec.DatasetName(m.to).Pool()
		}
	}
	for _, name := range want.DatasetNames() {
		d := want.Datasets[name]
		if v.have(name) != nil || name.IsRoot() || d.Absent || !v.reachable(name) || stuck(moves, name) {
			continue
		}
		for _, at := range v.mountpoints(name) {
			places[at] = name.Pool()
		}
	}
	for _, pool := range want.PoolNames() {
		if obs.Pools[string(pool)] == nil && v.reachable(spec.DatasetName(pool)) {
			if at := v.mountpoint(spec.DatasetName(pool), true); path.IsAbs(at) {
				places[at] = pool
			}
		}
	}
	return places
}

// occupied prints those of the places where something is: a directory that is not empty, or what is no
// directory.
func occupied(places ...string) host.Command {
	argv := append([]string{"find", "-H"}, places...)
	return host.Read(append(argv, "-maxdepth", "0", "(", "!", "-type", "d", "-o", "!", "-empty", ")")...)
}

// expectFree holds while a mountpoint is absent or an empty directory.
func expectFree(at string) host.Expect {
	return host.Expect{Command: occupied(at), AnyCode: true, Means: "nothing is in " + at + ", where it will be mounted"}
}

// chunks keeps an argument vector well under the kernel's limit on one (2 MiB with the environment).
func chunks(places []string) [][]string {
	const most = 4096
	return slices.Collect(slices.Chunk(places, most))
}

// mountpoints are the places where a new file system may be mounted: the one that holds once the plan is
// carried out, and the one that holds while a change above it waits. None where it will not be mounted.
func (v *view) mountpoints(name spec.DatasetName) []string {
	d := v.Want.Datasets[name]
	if d.Volume != nil || d.Properties["canmount"].Value == "off" || d.Properties["canmount"].Value == "noauto" {
		return nil
	}
	var out []string
	for _, planned := range []bool{true, false} {
		at := v.mountpoint(name, planned)
		if path.IsAbs(at) && !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	return out
}

// mountpoint is the value of the property: of a dataset that is there as observed or, if planned, as
// declared; of one that is missing as declared, else by inheritance.
func (v *view) mountpoint(name spec.DatasetName, planned bool) string {
	have := v.have(name)
	if d := v.Want.Datasets[name]; d != nil && v.ours(name) && (have == nil || planned) {
		if p, ok := d.Properties["mountpoint"]; ok {
			return absolute(v.altroot(name), p.Value)
		}
	}
	if have != nil {
		p := have.Properties["mountpoint"]
		_, inherited := strings.CutPrefix(p.Source, "inherited from ")
		if !planned || !inherited {
			return p.Value
		}
	}
	if name.IsRoot() {
		return absolute(v.altroot(name), "/"+string(name))
	}
	above := v.mountpoint(name.Parent(), planned)
	if !path.IsAbs(above) {
		return above // none and legacy are inherited as they are
	}
	return path.Join(above, name.Base())
}

// absolute is where a mountpoint is on this machine: below altroot, or as it is where it is no path.
func absolute(altroot, at string) string {
	if !path.IsAbs(at) {
		return at
	}
	return path.Join("/", altroot, at)
}
