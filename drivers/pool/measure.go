package pool

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func fileSize(file string) host.Command { return host.Read("stat", "-L", "-c", "%s", file) }

// diskSize prints bytes, the size of a logical sector, and whether it is a whole disk.
func diskSize(device string) host.Command {
	return host.Read("lsblk", "-n", "-r", "-b", "-d", "-o", "SIZE,LOG-SEC,TYPE", device)
}

// measure fills in how large a device is. What can't be told stays 0, and then nothing is said of it.
func (p *prober) measure(ctx context.Context, device string) {
	ask := diskSize(device)
	if p.seen.File {
		ask = fileSize(device)
	}
	res, err := p.Runner.Run(ctx, ask) // no answer that a wipe must find again
	words := strings.Fields(string(res.Stdout))
	if err != nil || len(words) == 0 {
		return
	}
	p.seen.Size, _ = strconv.ParseUint(words[0], 10, 64)
	if len(words) == 3 {
		p.seen.Sector, _ = strconv.ParseUint(words[1], 10, 64)
		p.seen.Whole = words[2] == "disk"
	}
}

// observeSpace asks how large the top-level vdevs of a pool are, where a device may come to them or one is to leave, and
// for their sector sizes where these may matter. It gives why that can't be told, "" where it can.
func (d *Driver) observeSpace(ctx context.Context, want *spec.Pool, obs *state.Observed) (unseen string) {
	p := obs.Pools[string(want.Name)]
	y := newLayout(obs, p)
	fresh := func(dev spec.Device) bool { seen := obs.Devices[dev.Path]; return seen != nil && seen.Exists }
	leaves := func(dev spec.Device) bool { return y.find(dev.Path) != nil }
	removal := slices.ContainsFunc(want.Remove, leaves)
	if !removal && !slices.ContainsFunc(want.Devices(), fresh) {
		return ""
	}
	res, err := d.Runner.Run(ctx, zfs.ListVdevs(p.Name))
	if err != nil {
		return why("zpool list", err)
	}
	space, err := zfs.ParseSpace(p.Name, res.Stdout)
	if err != nil {
		return err.Error()
	}
	var names []string
	for i := range p.Vdevs {
		v := &p.Vdevs[i]
		if v.Space = space[v.Name]; v.Class != "cache" && v.Class != "spare" {
			names = append(names, v.Name)
		}
	}
	large := func(dev spec.Device) bool { seen := obs.Devices[dev.Path]; return seen != nil && seen.Sector > 512 }
	if !zfs.HasJSON(obs.ZFS.Userland) || !removal && !slices.ContainsFunc(want.Devices(), large) {
		return ""
	}
	res, err = d.Runner.Run(ctx, zfs.GetAshift(p.Name, names))
	var exit *host.ExitError
	if err != nil && !errors.As(err, &exit) {
		return why("zpool get ashift", err)
	}
	// Where zpool does not tell, as of a vdev that it can't open, it has the last word.
	shifts := zfs.ParseAshift(res.Stdout)
	for i := range p.Vdevs {
		p.Vdevs[i].Ashift = shifts[p.Vdevs[i].Name]
	}
	return ""
}
