package dataset

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// source is the dataset of a declared origin.
func source(origin spec.SnapshotName) spec.DatasetName {
	of, _, _ := strings.Cut(string(origin), "@")
	return spec.DatasetName(of)
}

// originObstacle says why a clone can't be made of its declared origin, "" where it can.
func (v *view) originObstacle(want *spec.Dataset) (code, note string) {
	if want.Origin == "" {
		return "", ""
	}
	snap, of := v.snapshot(want.Origin), v.have(source(want.Origin))
	switch {
	case snap == nil || of == nil:
		return drivers.Missing, fmt.Sprintf("its origin %s does not exist: take that snapshot, or name another one (zfs list -t snapshot %s)", want.Origin, source(want.Origin))
	case ofType(of) != want.Type():
		return drivers.Conflict, fmt.Sprintf("its origin is a snapshot of a %s, declared is a %s: a clone is what its origin is", of.Type, want.Type())
	case of.KeyStatus == "unavailable":
		return drivers.Conflict, fmt.Sprintf("the key of its origin is not loaded: zfs load-key %s", of.EncryptionRoot)
	}
	for _, name := range sortedKeys(want.Properties) {
		info, native := spec.LookupProperty(name, want.Type())
		if native && info.Change == spec.AtCreation && !spec.SameValue(name, want.Properties[name].Value, of.Properties[name].Value, want.Type()) {
			return drivers.Conflict, fmt.Sprintf("%s is %s in its origin, and a clone has the same: declare that, or take it out", name, of.Properties[name].Value)
		}
	}
	return v.volumeObstacle(want, of)
}

// volumeObstacle: a clone starts with its origin's size and blocks.
func (v *view) volumeObstacle(want *spec.Dataset, of *state.Dataset) (code, note string) {
	if want.Volume == nil {
		return "", ""
	}
	size, block := bytesOf(of.Properties["volsize"].Value), bytesOf(of.Properties["volblocksize"].Value)
	switch {
	case want.Volume.BlockSize != 0 && uint64(want.Volume.BlockSize) != block:
		return drivers.Conflict, fmt.Sprintf("its origin has blocks of %s, and a clone has the same: declare blockSize: %[1]s, or leave it out", spec.Size(block))
	case roundUp(uint64(want.Volume.Size), block) < size:
		return drivers.Conflict, fmt.Sprintf("it would be made with the %s of its origin, and shrinking it cuts off data: declare size: %[1]s or more", spec.Size(size))
	}
	return "", ""
}

func (v *view) snapshot(name spec.SnapshotName) *state.Snapshot {
	for i := range v.Have.Snapshots {
		if s := &v.Have.Snapshots[i]; s.FullName() == string(name) {
			return s
		}
	}
	return nil
}

// cloneSteps make a dataset from its origin. What is chosen at creation comes with the origin; a larger volume
// grows right away, while nobody uses it.
func (v *view) cloneSteps(want *spec.Dataset, now, later map[string]string) []host.Command {
	inherent := map[string]bool{}
	for name := range want.Properties {
		if info, native := spec.LookupProperty(name, want.Type()); native && info.Change == spec.AtCreation {
			delete(now, name)
			inherent[name] = true
		}
	}
	for _, props := range []map[string]string{now, later} {
		unmark(props, inherent)
	}
	if size := v.sizeOfClone(want); size != "" {
		later["volsize"] = size
	}
	steps := []host.Command{zfs.Clone(string(want.Origin), string(want.Name), now)}
	if len(later) > 0 {
		steps = append(steps, zfs.Set(string(want.Name), later))
	}
	return steps
}

// unmark takes names out of the mark among props.
func unmark(props map[string]string, names map[string]bool) {
	d := state.Dataset{Properties: map[string]state.Property{state.AppliedProperty: {Value: props[state.AppliedProperty], Source: "local"}}}
	marked := d.Applied()
	for n := range names {
		delete(marked, n)
	}
	delete(props, state.AppliedProperty)
	if len(marked) > 0 {
		props[state.AppliedProperty] = state.EncodeApplied(marked)
	}
}

// sizeOfClone is the size that a new clone has to get, "" where it has that of its origin.
func (v *view) sizeOfClone(want *spec.Dataset) string {
	if want.Volume == nil {
		return ""
	}
	of := v.have(source(want.Origin))
	to := roundUp(uint64(want.Volume.Size), bytesOf(of.Properties["volblocksize"].Value))
	if to <= bytesOf(of.Properties["volsize"].Value) {
		return ""
	}
	return strconv.FormatUint(to, 10)
}

// guardOrigin holds while the snapshot is the one that was planned with.
func (v *view) guardOrigin(want *spec.Dataset) host.Expect {
	snap := v.snapshot(want.Origin)
	return zfs.ExpectProps(string(want.Origin), map[string]state.Property{"guid": {Value: snap.GUID, Source: "-"}})
}

// compareOrigin: what a dataset is a clone of is chosen at its creation, and turned round by a promotion.
func (v *view) compareOrigin(want *spec.Dataset, have *state.Dataset) *change {
	if want.Origin == "" || have.Origin == string(want.Origin) {
		return nil
	}
	c := &change{name: "origin", deed: refuse, from: state.Property{Value: have.Origin, Source: "-"}, to: string(want.Origin), at: want.Pos.At()}
	if have.Origin == "" {
		c.from.Value = "-"
	}
	clone := v.cloneOf(have.Name)
	switch {
	case clone != "" && strings.HasSuffix(string(want.Origin), "@"+snapshotPart(v.Have.Datasets[clone].Origin)):
		c.note = fmt.Sprintf("%s was promoted: now %s is its clone. `zfs promote %s`, by hand, turns that round again; or take origin out, since it holds its own data now", have.Name, clone, clone)
	case have.Origin == "":
		c.note = "it is no clone: a dataset becomes one only when it is made. Take origin out; or rename this one, and a clone is made under the name"
	default:
		c.note = fmt.Sprintf("it is a clone of %s: declare that as its origin, or rename this one, and a clone of the declared one is made under the name", have.Origin)
	}
	return c
}

// cloneOf is a dataset that is a clone of a snapshot of the named one, "" where there is none.
func (v *view) cloneOf(name string) string {
	for _, n := range v.names {
		if strings.HasPrefix(v.Have.Datasets[n].Origin, name+"@") {
			return n
		}
	}
	return ""
}

func snapshotPart(name string) string {
	_, snap, _ := strings.Cut(name, "@")
	return snap
}
