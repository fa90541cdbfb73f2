package dataset

import (
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

// mounting gives the actions that mount and unmount what is not as declared, once properties and keys are. `zfs set
// mountpoint` mounts by itself what may be mounted, so that such a file system needs no action of its own; setting
// canmount=on does not.
func (v *view) mounting(name spec.DatasetName) []drivers.Action {
	have := v.have(name)
	if have.Type != "filesystem" || have.Properties["zoned"].Value == "on" || v.locked(have) {
		return nil
	}
	at := v.comingMountpoint(name)
	canmount := v.comingCanmount(name)
	switch {
	case !path.IsAbs(at): // legacy and none are the operator's own
	case have.Mounted && canmount == "off" && have.Properties["canmount"].Value == "off":
		return []drivers.Action{v.unmount(name)}
	case v.misplaced(name):
		return v.remount(name)
	case !have.Mounted && canmount == "on" && !v.mountsItself(name) && !v.mountedAlong(name):
		return v.mount(name, at)
	}
	return nil
}

// locked tells whether the key of a dataset is not loaded, and will not be.
func (v *view) locked(d *state.Dataset) bool {
	return d.KeyStatus == "unavailable" && v.loads[d.EncryptionRoot] == ""
}

// comingCanmount is the value of canmount once the plan is carried out. Given back it is on, its default: a received one
// that returns instead is caught by the guard of the mount.
func (v *view) comingCanmount(name spec.DatasetName) string {
	switch c := v.changes[string(name)]["canmount"]; {
	case c == nil || c.deed == refuse || c.deed == forget:
		return v.have(name).Properties["canmount"].Value
	case c.deed == giveBack:
		return "on"
	default:
		return c.to
	}
}

// comingMountpoint is the value of mountpoint of an observed dataset once the plan is carried out.
func (v *view) comingMountpoint(name spec.DatasetName) string {
	have := v.have(name)
	if have == nil {
		return ""
	}
	p := have.Properties["mountpoint"]
	given := false
	if c := v.changes[string(name)]["mountpoint"]; c != nil {
		switch c.deed {
		case set:
			return absolute(v.altroot(name), c.to)
		case giveBack:
			given = true
		}
	}
	inherited := p.Source == "default" || strings.HasPrefix(p.Source, "inherited from ")
	switch {
	case !given && !inherited:
		return p.Value
	case name.IsRoot():
		return absolute(v.altroot(name), "/"+string(name))
	}
	above := v.comingMountpoint(name.Parent())
	if !path.IsAbs(above) {
		return above
	}
	return path.Join(above, name.Base())
}

// mountsItself tells whether a change of mountpoint, here or above, mounts the file system on its way.
func (v *view) mountsItself(name spec.DatasetName) bool {
	c := v.changes[string(name)]["canmount"]
	if c != nil && (c.deed == refuse || c.deed == forget) {
		c = nil
	}
	return slices.ContainsFunc(v.moving(name), func(moved *change) bool {
		if v.Have.ZFS.Is21() { // it looks at what was before: a mount, or a place that was none, and canmount=on
			return !path.IsAbs(moved.from.Value) && !v.allowsMounts(name, moved.action)
		}
		return c == nil || moved.action == c.action // canmount comes before mountpoint
	})
}

// allowsMounts tells whether the action also changes canmount, of the dataset or above it.
func (v *view) allowsMounts(name spec.DatasetName, action string) bool {
	for ; name != ""; name = name.Parent() {
		if c := v.changes[string(name)]["canmount"]; c != nil && c.action == action {
			return true
		}
	}
	return false
}

// moving are the planned changes of the mountpoint that the dataset has, of its own or from above.
func (v *view) moving(name spec.DatasetName) []*change {
	if c := v.changes[string(name)]["mountpoint"]; c != nil && (c.deed == set || c.deed == giveBack) {
		return []*change{c}
	}
	p := v.have(name).Properties["mountpoint"]
	if p.Source != "default" && !strings.HasPrefix(p.Source, "inherited from ") {
		return nil
	}
	return v.changingAbove(name, "mountpoint")
}

// mount mounts one file system where nothing is hidden by it, after those above it.
func (v *view) mount(name spec.DatasetName, at string) []drivers.Action {
	want, have := v.Want.Datasets[name], v.have(name)
	a := drivers.Action{
		Object: ref(name), GUID: have.GUID, Verb: drivers.Run, Risk: spec.Safe,
		Reason: drivers.Reason{Code: drivers.Drift, At: want.Pos.At(), Observed: have.Name + " is not mounted"},
		Fields: []drivers.Field{{Name: "mounted", From: "no", To: at}},
		Undo:   zfs.Unmount(have.Name).String(),
		Steps:  []host.Command{zfs.Mount(have.Name)},
		Guard:  []host.Expect{v.stillToMount(name), expectFree(at)},
	}
	if note := v.unmountable(name, at); note != "" {
		a = block(want, have.GUID, drivers.Drift, a.Reason.At, a.Reason.Observed, note)
		a.Fields = []drivers.Field{{Name: "mounted", From: "no", To: at}}
	}
	a.After = v.beforeMount(name)
	a.Identify()
	v.mounters[string(name)] = a.ID
	return []drivers.Action{a}
}

// unmountable says what keeps a file system from being mounted, "" where nothing does.
func (v *view) unmountable(name spec.DatasetName, at string) string {
	have := v.have(name)
	if up := v.strangerAbove(name, at); up != "" && v.Have.Datasets[up].Mounted {
		return fmt.Sprintf("%s, above it, is mounted at %s, not at its mountpoint, and not declared: zfs unmount %[1]s, zfs mount %[1]s, and apply again", up, v.Have.Datasets[up].MountedAt)
	} else if up != "" {
		return fmt.Sprintf("%s, above it, is not mounted either, and not declared: zfs mount %s, and apply again", up, up)
	}
	if other := v.mounted[at]; other != "" && other != have.Name {
		return fmt.Sprintf("%s, where it would be mounted, is the mountpoint of %s: declare another mountpoint", at, other)
	}
	if below := v.mountedUnder(at); len(below) > 0 {
		return fmt.Sprintf("mounting it at %s would hide what is mounted below: %s; by hand: zfs unmount those, zfs mount %s, and mount them again", at, listed(below), name)
	}
	if v.occupied[at] {
		return at + ", where it would be mounted, holds files, and mounting would hide them: move them away, or declare another mountpoint"
	}
	return ""
}

// strangerAbove is an unmounted file system that nobody declared and that would hide what is mounted at this place.
func (v *view) strangerAbove(name spec.DatasetName, at string) string {
	for up := name.Parent(); up != ""; up = up.Parent() {
		d := v.have(up)
		if d == nil || d.Mounted && d.MountedAt == "" || v.ours(up) || d.Properties["canmount"].Value != "on" {
			continue
		}
		if place := v.comingMountpoint(up); path.IsAbs(place) && strings.HasPrefix(at, strings.TrimSuffix(place, "/")+"/") {
			return string(up)
		}
	}
	return ""
}

// mountedUnder are the file systems that are mounted below a place.
func (v *view) mountedUnder(at string) []string {
	var out []string
	for place, name := range v.mounted {
		if strings.HasPrefix(place, strings.TrimSuffix(at, "/")+"/") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// beforeMount are the ids of what has to be done first: the properties, the key, and the mounts above.
func (v *view) beforeMount(name spec.DatasetName) []string {
	ids := map[string]bool{}
	if c := v.changes[string(name)]["canmount"]; c != nil && c.action != "" {
		ids[c.action] = true
	}
	for _, c := range v.moving(name) {
		ids[c.action] = true
	}
	if id := v.loads[v.have(name).EncryptionRoot]; id != "" {
		ids[id] = true
	}
	for up := name.Parent(); up != ""; up = up.Parent() {
		if id := v.mounters[string(up)]; id != "" {
			ids[id] = true
		}
		if id := v.remounts[string(up)]; id != "" {
			ids[id] = true
		}
	}
	delete(ids, "")
	return sortedKeys(ids)
}

// stillToMount holds while the file system is the same one, unmounted, and to be mounted where the plan says.
func (v *view) stillToMount(name spec.DatasetName) host.Expect {
	have := v.have(name)
	props := map[string]state.Property{
		"guid": {Value: have.GUID, Source: "-"}, "mounted": {Value: "no", Source: "-"}, "canmount": have.Properties["canmount"],
	}
	if c := v.changes[string(name)]["canmount"]; c != nil {
		switch c.deed {
		case set:
			props["canmount"] = state.Property{Value: c.to, Source: "local"}
		case giveBack:
			props["canmount"] = state.Property{Value: "on", Source: "default"}
		}
	}
	if len(v.moving(name)) == 0 {
		props["mountpoint"] = have.Properties["mountpoint"]
	}
	return zfs.ExpectProps(have.Name, props)
}

// unmount takes away a file system that is declared not to be mounted, and is: by hand, with mount(8).
func (v *view) unmount(name spec.DatasetName) drivers.Action {
	want, have := v.Want.Datasets[name], v.have(name)
	fields := []drivers.Field{{Name: "mounted", From: "yes", To: "no"}}
	observed := have.Name + " is mounted, and its canmount is off"
	var below []string
	for _, n := range v.below(have.Name) {
		if v.Have.Datasets[n].Mounted {
			below = append(below, n)
		}
	}
	if len(below) > 0 { // zfs unmount takes them along
		a := block(want, have.GUID, drivers.Drift, want.Pos.At(), observed,
			fmt.Sprintf("unmounting it would unmount what is below: %s; by hand: zfs unmount %s, and zfs mount what shall stay", listed(below), name))
		a.Fields = fields
		return a
	}
	return drivers.Action{
		Object: ref(name), GUID: have.GUID, Verb: drivers.Run, Risk: spec.Disruptive,
		Reason: drivers.Reason{Code: drivers.Drift, At: want.Pos.At(), Observed: observed},
		Fields: fields, Undo: "mount -t zfs -o zfsutil " + have.Name + " " + place(have) + ", by hand",
		Notes: []string{"is refused while somebody uses it"},
		Steps: []host.Command{zfs.Unmount(have.Name)},
		Guard: []host.Expect{zfs.ExpectProps(have.Name, map[string]state.Property{
			"guid": {Value: have.GUID, Source: "-"}, "mounted": {Value: "yes", Source: "-"}, "canmount": have.Properties["canmount"],
		})},
	}
}

// createAfterMounts lets a new dataset wait for the mounts above it: it would be mounted below what is then hidden.
func (v *view) createAfterMounts(actions map[spec.DatasetName][]drivers.Action) {
	for name, all := range actions {
		for i := range all {
			for up := name.Parent(); up != "" && all[i].Verb == drivers.Create; up = up.Parent() {
				if id := v.mounters[string(up)]; id != "" {
					all[i].After = append(all[i].After, id)
				}
			}
		}
	}
}

// untangle lets a create go before a mount above it where the mount waits for it, over whatever stands between: a rename
// into what is created comes before what changes above it.
func (v *view) untangle(all []drivers.Action) {
	mount, before, makes := map[string]bool{}, map[string][]string{}, map[spec.Ref]string{}
	for _, id := range v.mounters {
		mount[id] = true
	}
	for i := range all {
		if all[i].Identify(); all[i].Verb == drivers.Create {
			makes[all[i].Object] = all[i].ID
		}
	}
	for _, a := range all {
		before[a.ID] = slices.Clone(a.After)
		for _, ref := range a.Waits {
			before[a.ID] = append(before[a.ID], makes[ref])
		}
	}
	var waits func(id, on string, seen map[string]bool) bool
	waits = func(id, on string, seen map[string]bool) bool {
		if seen[id] {
			return false
		}
		seen[id] = true
		return id == on || slices.ContainsFunc(before[id], func(next string) bool { return waits(next, on, seen) })
	}
	for i, a := range all {
		if a.Verb == drivers.Create {
			all[i].After = slices.DeleteFunc(a.After, func(id string) bool { return mount[id] && waits(id, a.ID, map[string]bool{}) })
		}
	}
}
