package dataset

import (
	"cmp"
	"context"
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

// observeMounts looks where mounted file systems are: `zfs get mounted` says yes wherever that is, and `zfs set -u`, or
// mount(8), leaves one elsewhere than its mountpoint says. One read of the kernel's table for all of them.
func (d *Driver) observeMounts(ctx context.Context, obs *state.Observed) error {
	mounted := false
	for _, ds := range obs.Datasets {
		mounted = mounted || ds.Mounted
	}
	if !mounted {
		return nil
	}
	res, err := d.Runner.Run(ctx, host.Read("cat", "/proc/self/mounts"))
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("observe mounts: %w", err)
		}
		return nil // what can't be told is not told: the guards of what is mounted look again
	}
	places := map[string][]string{}
	for line := range strings.Lines(string(res.Stdout)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "zfs" {
			name := unescaped(f[0])
			places[name] = append(places[name], unescaped(f[1]))
		}
	}
	for name, ds := range obs.Datasets {
		if at := places[name]; ds.Mounted && len(at) > 0 && !slices.Contains(at, ds.Properties["mountpoint"].Value) {
			ds.MountedAt = at[0]
		}
	}
	return nil
}

// place is where a mounted file system is.
func place(d *state.Dataset) string {
	if d.MountedAt != "" {
		return d.MountedAt
	}
	return d.Properties["mountpoint"].Value
}

// misplaced tells whether a dataset is mounted where its mountpoint does not say, and no change of that mountpoint moves
// it. legacy and none are the operator's own.
func (v *view) misplaced(name spec.DatasetName) bool {
	return elsewhere(v.have(name)) && len(v.moving(name)) == 0
}

// elsewhere tells whether a dataset is mounted where its mountpoint does not say.
func elsewhere(d *state.Dataset) bool {
	return d.Mounted && d.MountedAt != "" && path.IsAbs(d.Properties["mountpoint"].Value)
}

// along are the mounted file systems that move with one whose mountpoint is set again, itself first: those below that
// inherit it.
func (v *view) along(name spec.DatasetName) []string {
	names := []string{string(name)}
	for _, n := range v.below(string(name)) {
		if d := v.Have.Datasets[n]; d.Mounted && follows(d, "mountpoint", name) {
			names = append(names, n)
		}
	}
	return names
}

// landings are the places that a remount takes.
func (v *view) landings(name spec.DatasetName) []string {
	var places []string
	for _, n := range v.along(name) {
		if d := v.Have.Datasets[n]; d.MountedAt != "" && path.IsAbs(d.Properties["mountpoint"].Value) {
			places = append(places, d.Properties["mountpoint"].Value)
		}
	}
	return places
}

// remount brings a file system to where its mountpoint says, with what follows it: setting the mountpoint that it has, or
// inheriting it anew, does both in one command (2.1, 2.3). It is nil where one above takes it along.
func (v *view) remount(name spec.DatasetName) []drivers.Action {
	want, have := v.Want.Datasets[name], v.have(name)
	for up := name.Parent(); up != ""; up = up.Parent() {
		d := v.have(up)
		if d == nil || !slices.Contains(v.along(up), string(name)) {
			continue
		}
		if v.ours(up) && !v.Want.Datasets[up].Absent && v.misplaced(up) {
			return nil
		}
	}
	at := have.Properties["mountpoint"].Value
	a := drivers.Action{
		Object: ref(name), GUID: have.GUID, Verb: drivers.Run, Risk: spec.Disruptive,
		Reason: drivers.Reason{Code: drivers.Drift, At: want.Pos.At(), Observed: fmt.Sprintf("%s is mounted at %s, and its mountpoint is %s", name, have.MountedAt, at)},
		Fields: []drivers.Field{{Name: "mounted", From: have.MountedAt, To: at}},
		Undo:   "zfs unmount " + host.Read(have.Name).String() + "; mount -t zfs -o zfsutil " + host.Read(have.Name, have.MountedAt).String() + ", by hand",
		Notes:  []string{"is refused while somebody uses it"},
		Steps:  []host.Command{v.mountpointAgain(name)},
		Guard: []host.Expect{zfs.ExpectProps(have.Name, map[string]state.Property{
			"guid": {Value: have.GUID, Source: "-"}, "mounted": {Value: "yes", Source: "-"}, "mountpoint": have.Properties["mountpoint"],
		})},
	}
	if more := v.along(name)[1:]; len(more) > 0 {
		a.Notes = append(a.Notes, fmt.Sprintf("%d below it move along: %s", len(more), listed(more)))
	}
	if note := cmp.Or(v.landsOn(name), v.heldBy(name)); note != "" {
		b := block(want, have.GUID, drivers.Drift, a.Reason.At, a.Reason.Observed, note)
		b.Fields = a.Fields
		b.Identify()
		v.mounters[string(name)] = b.ID // nothing is mounted below where it should be
		return []drivers.Action{b}
	}
	for _, at := range v.landings(name) {
		a.Guard = append(a.Guard, expectFree(at))
	}
	a.Identify()
	v.remounts[string(name)] = a.ID
	return []drivers.Action{a}
}

// mountedAlong tells whether a remount above mounts what is not mounted and follows it: OpenZFS 2.1 does not.
func (v *view) mountedAlong(name spec.DatasetName) bool {
	for up := name.Parent(); up != "" && !v.Have.ZFS.Is21(); up = up.Parent() {
		have := v.have(name)
		if v.remounts[string(up)] != "" && follows(have, "mountpoint", up) && have.Properties["canmount"].Value == "on" { // now: what this plan sets comes later
			return true
		}
	}
	return false
}

// heldBy says what is mounted inside what a remount unmounts, and does not go along, "" where nothing is.
func (v *view) heldBy(name spec.DatasetName) string {
	along := v.along(name)
	goes := map[string]bool{}
	for _, n := range along {
		goes[n] = true
	}
	top := "" // the place that was looked at last: what is below it was seen
	for _, n := range along {
		at := place(v.Have.Datasets[n])
		if top != "" && under(at, top) {
			continue
		}
		top = at
		for _, other := range v.mountedUnder(at) {
			if !goes[other] {
				return v.keeps(other)
			}
		}
	}
	return ""
}

// landsOn says what a remount would hide, "" where nothing is.
func (v *view) landsOn(name spec.DatasetName) string {
	for _, at := range v.landings(name) {
		switch other := v.mounted[at]; {
		case other != "":
			return fmt.Sprintf("%s is where %s is mounted, which would be hidden: declare another mountpoint", at, other)
		case v.occupied[at]:
			return at + " holds files, and mounting there would hide them: move them away, or declare another mountpoint"
		}
	}
	return ""
}

// mountpointAgain gives a dataset the mountpoint that it has, from where it has it.
func (v *view) mountpointAgain(name spec.DatasetName) host.Command {
	p := v.have(name).Properties["mountpoint"]
	if !p.Local() {
		return zfs.Inherit(string(name), "mountpoint", true)
	}
	at := p.Value
	if altroot := v.altroot(name); altroot != "" && altroot != "/" { // zfs puts it before what is set
		at = path.Join("/", strings.TrimPrefix(at, strings.TrimSuffix(altroot, "/")))
	}
	return zfs.Set(string(name), map[string]string{"mountpoint": at})
}
