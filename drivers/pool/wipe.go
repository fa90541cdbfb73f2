package pool

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// listSignatures prints every signature on a device or file; without -a or -o wipefs changes nothing.
func listSignatures(path string) host.Command { return host.Read("wipefs", "-J", path) }

// clearSignatures takes all of them off. Without --force wipefs opens a device exclusively, so that one in use
// stays as it is; a file has no such protection, and keeps its partition table without --force.
func clearSignatures(path string, file bool) host.Command {
	if file {
		return host.Write("wipefs", "--force", "-a", path)
	}
	return host.Write("wipefs", "-a", path)
}

// claim tells what must be wiped of the devices that an action takes, in the order of the devices, or what stands
// in the way of taking them. at is the line that declares them.
func claim(in drivers.Input, at string, devices ...string) (wipes []drivers.Action, obstacles []string) {
	for _, path := range devices {
		seen := in.Have.Devices[path]
		pool, named := in.Wipe[path]
		if seen != nil && tooSmall(seen) != "" {
			obstacles = append(obstacles, tooSmall(seen))
			continue
		}
		if seen == nil || seen.Blank() || !seen.Exists || seen.Error != "" || !named {
			if note := notBlank(path, seen); note != "" {
				obstacles = append(obstacles, note)
			}
			continue
		}
		if why := unwipeable(in.Have, seen, pool); why != "" {
			obstacles = append(obstacles, why)
			continue
		}
		wipes = append(wipes, wipe(seen, at))
	}
	if len(obstacles) > 0 {
		return nil, obstacles // nothing is wiped for what can't be done
	}
	return wipes, nil
}

// ids are those of actions that come first.
func ids(actions []drivers.Action) []string {
	var all []string
	for i := range actions {
		actions[i].Identify()
		all = append(all, actions[i].ID)
	}
	return all
}

// notBlank says why a device can't be taken as it is, and which command clears it; "" where it is blank.
func notBlank(device string, seen *state.Device) string {
	switch {
	case seen == nil:
		return device + " was not looked at"
	case seen.Error != "":
		return device + " could not be looked at, so it counts as used: " + seen.Error
	case !seen.Exists:
		return device + " does not exist"
	case len(seen.Used) == 0:
		return ""
	}
	return fmt.Sprintf("%s is used: %s. dplane takes blank devices only; %s", device, strings.Join(seen.Used, "; "), wayOut(seen))
}

// wayOut is what the operator does with a used device.
func wayOut(seen *state.Device) string {
	flag := "dplane apply --wipe " + quoted(wipeArgument(seen))
	switch {
	case len(seen.Held) > 0:
		return fmt.Sprintf("it is in use: if it is not needed there, end that first (%s), then clear it with %s", strings.Join(seen.Held, "; "), flag)
	case len(poolsOn(seen)) > 1:
		return "it carries labels of several pools: clear it by hand (zpool labelclear)"
	}
	return "if nothing on it is needed: " + flag
}

func quoted(word string) string { return host.Read(word).String() }

// wipeArgument is what --wipe wants for a device: DISK, or DISK=POOL.
func wipeArgument(seen *state.Device) string {
	if pools := poolsOn(seen); len(pools) == 1 {
		return seen.Path + "=" + pools[0]
	}
	return seen.Path
}

// poolsOn are the pools that a person must name: those of labels that are neither destroyed nor of a spare or
// cache, which name none.
func poolsOn(seen *state.Device) []string {
	var pools []string
	for _, l := range seen.Labels() {
		if l.Pool != "" && l.State != "destroyed" && !slices.Contains(pools, l.Pool) {
			pools = append(pools, l.Pool)
		}
	}
	return pools
}

// unwipeable says why a device that a person named is not wiped all the same, "" where it may be.
func unwipeable(obs *state.Observed, seen *state.Device, pool string) string {
	for _, l := range seen.Labels() {
		if p := memberOf(obs, l); p != "" {
			return fmt.Sprintf("%s is a device of the pool %s, which is imported here, and is never wiped: take it out of the pool first, or export the pool (zpool export %s)", seen.Path, p, p)
		}
	}
	if p := mayServe(obs, seen); p != "" {
		return fmt.Sprintf("%s is a spare or cache device, and may be one of the pool %s, which is imported here and not declared: on a file zpool does not refuse to clear it. See zpool status %s, and clear it by hand (zpool labelclear)", seen.Path, p, p)
	}
	switch {
	case len(seen.Held) > 0:
		return notBlank(seen.Path, seen)
	case wrongPool(seen, pool) != "":
		return wrongPool(seen, pool)
	case len(clearing(seen)) == 0:
		return fmt.Sprintf("%s is used (%s), and nothing is written there that could be cleared: if its partitions are no longer in its table, run: blockdev --rereadpt %s", seen.Path, strings.Join(seen.Used, "; "), seen.Path)
	}
	return ""
}

// memberOf is the imported pool that holds the device of a label. A device that was detached, or was away when it
// was replaced, keeps a label of the pool and is none of its devices; where these are not known it counts as one.
func memberOf(obs *state.Observed, l state.Label) string {
	for _, name := range slices.Sorted(maps.Keys(obs.Pools)) {
		p := obs.Pools[name]
		switch {
		case hasVdev(p.Vdevs, l.Vdev):
			return name
		case l.GUID != "" && l.GUID == p.GUID && (len(p.Vdevs) == 0 || unnamed(p.Vdevs)):
			return name
		}
	}
	return ""
}

// mayServe is an imported pool whose devices are not known here and of which a file with the label of a spare or cache
// device, which names no pool, may be one; "" where there is none. Of disks ZFS itself knows.
func mayServe(obs *state.Observed, seen *state.Device) string {
	if !seen.File || !slices.ContainsFunc(seen.Labels(), func(l state.Label) bool { return l.Pool == "" }) {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(obs.Pools)) {
		if len(obs.Pools[name].Vdevs) == 0 {
			return name
		}
	}
	return ""
}

// unnamed tells whether the guid of a device is not known: `zpool status -g` can show another tree than `zpool status`
// did a moment before, where the pool changed between the two.
func unnamed(vdevs []state.Vdev) bool {
	return slices.ContainsFunc(vdevs, func(v state.Vdev) bool { return v.GUID == "" && v.Path != "" || unnamed(v.Children) })
}

func hasVdev(vdevs []state.Vdev, guid string) bool {
	return guid != "" && slices.ContainsFunc(vdevs, func(v state.Vdev) bool { return v.GUID == guid || hasVdev(v.Children, guid) })
}

// wrongPool says why the named pool is not the one whose label is on the device.
func wrongPool(seen *state.Device, pool string) string {
	on := poolsOn(seen)
	switch {
	case len(on) > 1:
		return fmt.Sprintf("%s carries labels of the pools %s: clear it by hand (zpool labelclear)", seen.Path, strings.Join(on, " and "))
	case len(on) == 1 && pool == "":
		return fmt.Sprintf("%s carries a label of the pool %s: a pool that may still be wanted is named as well: --wipe %s", seen.Path, on[0], quoted(wipeArgument(seen)))
	case len(on) == 1 && pool != on[0]:
		return fmt.Sprintf("%s carries a label of the pool %s, not of %s", seen.Path, on[0], pool)
	case len(on) == 0 && pool != "" && !slices.ContainsFunc(seen.Labels(), func(l state.Label) bool { return l.Pool == pool }):
		return fmt.Sprintf("%s carries no label of the pool %s: it has %s", seen.Path, pool, strings.Join(seen.Used, "; "))
	}
	return ""
}

// wipe clears one device. It runs only where every read of the probe still gives the same answer.
func wipe(seen *state.Device, at string) drivers.Action {
	a := drivers.Action{
		Object: spec.Ref{Kind: spec.KindDisk, Name: seen.Path}, Verb: drivers.Destroy, Risk: spec.Destructive, Named: true,
		Reason: drivers.Reason{Code: drivers.Conflict, At: at, Observed: strings.Join(seen.Used, "; ")},
		Undo:   "nothing brings it back",
		Notes:  []string{"named with --wipe: what is written there can't be read again"},
		Steps:  clearing(seen),
	}
	for _, t := range seen.Traces {
		for _, l := range t.Labels {
			a.Fields = append(a.Fields, drivers.Field{Name: "label on " + t.Path, From: labelText(l), To: "cleared"})
		}
		for _, s := range t.Signatures {
			a.Fields = append(a.Fields, drivers.Field{Name: "signature on " + t.Path, From: s, To: "cleared"})
		}
	}
	for _, answer := range seen.Answers {
		a.Guard = append(a.Guard, host.Expect{
			Command: host.Read(answer.Argv...), Code: answer.Code, Output: answer.Output,
			Means: "on " + seen.Path + " is what the plan saw there",
		})
	}
	return a
}

func labelText(l state.Label) string {
	if l.Pool == "" {
		return "ZFS " + l.State
	}
	return fmt.Sprintf("ZFS pool %s, %s, guid %s", l.Pool, l.State, l.GUID)
}

// clearing are the commands that make a device blank: its partitions first, or the kernel would no longer show
// them; of each the labels, then what signature is left. The table of an extended partition goes with the disk's.
func clearing(seen *state.Device) []host.Command {
	var steps []host.Command
	for _, t := range seen.Traces {
		if len(t.Labels) > 0 {
			steps = append(steps, zfs.ClearLabel(t.Path))
		}
		nested := t.Path != seen.Path && len(t.Labels) == 0 && !slices.ContainsFunc(t.Signatures, func(s string) bool { return s != "dos" && s != "gpt" })
		if !nested {
			steps = append(steps, clearSignatures(t.Path, seen.File))
		}
	}
	return steps
}

// CheckWipe refuses disks that a person named and that no declared pool would take, or with the wrong pool: then
// something else was meant. What is in use, or of an imported pool, the plan itself says.
func CheckWipe(in drivers.Input) error {
	for _, path := range slices.Sorted(maps.Keys(in.Wipe)) {
		if why := misnamed(in, path); why != "" {
			return fmt.Errorf("--wipe %s: %s", path, why)
		}
	}
	return nil
}

func misnamed(in drivers.Input, path string) string {
	pool := declares(in.Want, path)
	seen := in.Have.Devices[path]
	switch {
	case pool == "":
		return "no file declares it as a device of a pool; a device is named as the files name it"
	case seen == nil && in.Have.UnseenPool(pool) != "":
		return "the pool " + pool + " could not be observed: " + in.Have.UnseenPool(pool)
	case seen == nil:
		return "nothing waits for it: it is a device of the pool " + pool + " already"
	case seen.Error != "":
		return "it could not be looked at: " + seen.Error
	case !seen.Exists:
		return "it does not exist"
	case len(seen.Used) == 0:
		return "it is blank: leave it out"
	case len(seen.Held) > 0:
		return ""
	}
	return wrongPool(seen, in.Wipe[path])
}

// declares is the pool that declares the device, "" where none does.
func declares(want *spec.Spec, path string) string {
	for _, name := range want.PoolNames() {
		if slices.ContainsFunc(want.Pools[name].Devices(), func(d spec.Device) bool { return d.Path == path }) {
			return string(name)
		}
	}
	return ""
}

// toBeWiped tells that a person named a device of the pool to be wiped: then it is not imported unasked.
func toBeWiped(in drivers.Input, want *spec.Pool) bool {
	return slices.ContainsFunc(want.Devices(), func(d spec.Device) bool { _, named := in.Wipe[d.Path]; return named })
}

// givingUp is how a person has the declared devices of a pool that is wanted no more; "" where none carries its label, or
// more than --wipe is needed.
func givingUp(in drivers.Input, want *spec.Pool, guid string) string {
	var words []string
	for _, d := range want.Devices() {
		seen := in.Have.Devices[d.Path]
		if seen == nil || !slices.ContainsFunc(seen.Labels(), func(l state.Label) bool { return l.GUID == guid }) {
			continue
		}
		if len(seen.Held) > 0 || len(poolsOn(seen)) > 1 {
			return ""
		}
		words = append(words, "--wipe "+quoted(wipeArgument(seen)))
	}
	if len(words) == 0 {
		return ""
	}
	return "; or, if nothing on it is needed: dplane apply " + strings.Join(words, " ")
}

// givenUp tells that each declared device which carries a label of the pool is named to be wiped, with the pool's
// name where that is asked for: then the pool is wanted no more.
func givenUp(in drivers.Input, want *spec.Pool, guid string) bool {
	found := false
	for _, d := range want.Devices() {
		seen := in.Have.Devices[d.Path]
		if seen == nil || !slices.ContainsFunc(seen.Labels(), func(l state.Label) bool { return l.GUID == guid }) {
			continue
		}
		pool, named := in.Wipe[d.Path]
		if !named || wrongPool(seen, pool) != "" {
			return false
		}
		found = true
	}
	return found
}
