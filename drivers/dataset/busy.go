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
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// observeBusy looks who uses what is declared absent and still there: open files and working directories below
// its mountpoints, what is mounted there or by a container, and volumes that a process, a mount or a device above them
// holds open.
func (d *Driver) observeBusy(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	v := newView(drivers.Input{Want: want, Have: obs})
	d.trees = map[string]*toTrash{}
	for _, name := range want.DatasetNames() {
		have := v.have(name)
		if have == nil || !want.Datasets[name].Absent || name.IsRoot() || !v.reachable(name) {
			continue
		}
		t := v.newToTrash(have)
		d.trees[have.GUID] = t
		busy, err := d.users(ctx, t)
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("observe who uses %s: %w", name, err)
			}
			busy = []string{why("it could not be seen who uses it", err)}
		}
		for _, by := range busy {
			obs.Busy = append(obs.Busy, state.Busy{Dataset: string(name), By: by})
		}
	}
	return nil
}

// stillUnused looks once more who uses what act one is to take away: between a plan and a person's yes, a machine may
// have begun to use a volume, or a container a file system.
func (d *Driver) stillUnused(ctx context.Context, a drivers.Action) error {
	t := d.trees[a.GUID]
	if t == nil || a.Verb != drivers.Destroy || a.Risk == spec.Destructive {
		return nil
	}
	busy, err := d.users(ctx, t)
	if err != nil {
		return fmt.Errorf("see who uses %s: %w", a.Object.Name, err)
	}
	if len(busy) == 0 {
		return nil
	}
	return &host.Unexpected{
		Expect: host.Expect{Command: host.Read("cat", "/proc/self/mounts", "/proc/swaps"), Means: "nobody uses " + a.Object.Name},
		Got:    host.Result{Stdout: []byte(strings.Join(busy, "; "))},
	}
}

// users are those of one tree, one line each.
func (d *Driver) users(ctx context.Context, t *toTrash) ([]string, error) {
	devices, err := d.devices(ctx, t)
	if err != nil {
		return nil, err
	}
	busy, err := d.elsewhere(ctx, t)
	places := t.places()
	if err != nil || len(places)+len(devices) == 0 {
		return busy, err
	}
	mounts, err := d.Runner.Run(ctx, host.Read("cat", "/proc/self/mounts", "/proc/swaps"))
	if err != nil {
		return nil, err
	}
	busy = append(busy, mountedOn(string(mounts.Stdout), t, places, devices)...)
	served, err := d.served(ctx, places, devices)
	if err != nil {
		return nil, err
	}
	busy = append(busy, served...)
	found, err := d.find(ctx, zfs.FindUsers(places, devices))
	if err != nil || found == "" {
		return busy, err
	}
	return append(busy, d.processes(ctx, found, devices)...), nil
}

// find takes the status 1 for what it is: a process ended, or a path was not there.
func (d *Driver) find(ctx context.Context, c host.Command) (string, error) {
	res, err := d.Runner.Run(ctx, c)
	var exit *host.ExitError
	if errors.As(err, &exit) && exit.Code == 1 {
		err = nil
	}
	return string(res.Stdout), err
}

// devices are the block devices of the tree's volumes and of their partitions, with the volumes' names.
func (d *Driver) devices(ctx context.Context, t *toTrash) (map[string]string, error) {
	var volumes []string
	for _, ds := range t.list {
		if ds.Type == "volume" {
			volumes = append(volumes, ds.Name)
		}
	}
	if len(volumes) == 0 {
		return nil, nil
	}
	out, err := d.find(ctx, zfs.FindDevices(string(spec.DatasetName(t.name).Pool()), volumes))
	return zfs.ParseDevices([]byte(out)), err
}

// expectUnused holds while nobody has a file at or below the places open.
func expectUnused(name string, places []string) host.Expect {
	return host.Expect{Command: zfs.FindUsers(places, nil), AnyCode: true, Means: "nobody uses " + name}
}

// mountedOn are the mounts below the places that are not the tree's, and those of the devices.
func mountedOn(mounts string, t *toTrash, places []string, devices map[string]string) (busy []string) {
	tree := t.tree()
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		what, at := unescaped(f[0]), unescaped(f[1])
		vol, isDevice := devices[what]
		switch {
		case isDevice && f[1] == "partition": // /proc/swaps
			busy = append(busy, fmt.Sprintf("%s (%s) is swapped to", vol, what))
		case isDevice:
			busy = append(busy, fmt.Sprintf("%s (%s) is mounted at %s", vol, what, at))
		case slices.Contains(tree, what) && f[2] == "zfs" && !slices.Contains(places, at):
			busy = append(busy, fmt.Sprintf("%s is mounted at %s as well", what, at))
		case path.IsAbs(at) && !slices.Contains(tree, what) && slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(at, strings.TrimSuffix(p, "/")+"/") }):
			busy = append(busy, fmt.Sprintf("%s is mounted below it, at %s", what, at))
		}
	}
	return busy
}

// unescaped is a name as the kernel writes it in its tables.
func unescaped(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// processes tells of the first links that were found who they belong to.
func (d *Driver) processes(ctx context.Context, found string, devices map[string]string) (busy []string) {
	const most = 8
	targets := map[string]string{} // pid -> the first thing it uses
	var pids []string
	for line := range strings.Lines(found) {
		link, to, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if rest, ok := strings.CutPrefix(link, "/sys/class/block/"); ok {
			dev, _, _ := strings.Cut(rest, "/")
			busy = append(busy, fmt.Sprintf("%s holds %s (/dev/%s) open", path.Base(link), devices["/dev/"+dev], dev))
			continue
		}
		pid, _, _ := strings.Cut(strings.TrimPrefix(link, "/proc/"), "/")
		if _, known := targets[pid]; !known {
			targets[pid] = to
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	names := d.names(ctx, pids)
	for i, pid := range pids {
		if i == most {
			return append(busy, fmt.Sprintf("and %d more processes", len(pids)-most))
		}
		busy = append(busy, fmt.Sprintf("%s (%s) uses %s", names[pid], pid, targets[pid]))
	}
	return busy
}

// names are those of processes; one that ended meanwhile is "a process".
func (d *Driver) names(ctx context.Context, pids []string) map[string]string {
	names := map[string]string{}
	for _, pid := range pids {
		names[pid] = "a process"
	}
	if len(pids) == 0 {
		return names
	}
	res, err := d.Runner.Run(ctx, host.Read("ps", "-o", "pid=,comm=", "-p", strings.Join(pids, ",")))
	if err != nil && len(res.Stdout) == 0 {
		return names // the numbers have to do
	}
	for line := range strings.Lines(string(res.Stdout)) {
		if pid, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			names[pid] = name
		}
	}
	return names
}
