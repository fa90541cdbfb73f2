package dataset

import (
	"fmt"
	"maps"
	"strconv"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// missing is what a declared dataset needs that is not there.
func (v *view) missing(want *spec.Dataset) []drivers.Action {
	name := string(want.Name)
	if want.Absent || want.Name.IsRoot() { // a pool's root comes with the pool, its properties too
		return nil
	}
	if code, note := v.obstacle(want); note != "" {
		return []drivers.Action{block(want, "", code, want.Pos.At(), name+" does not exist", note)}
	}
	return []drivers.Action{v.create(want)}
}

// obstacle says what stands in the way of a create, with the reason's code; note is "" where nothing does.
func (v *view) obstacle(want *spec.Dataset) (code, note string) {
	name := string(want.Name)
	if r, known := v.recorded[ref(want.Name)]; known {
		if now := v.called(r.GUID); now != "" {
			return drivers.Missing, fmt.Sprintf("it was renamed by hand, and is %[1]s now (guid %[2]s): zfs rename %[1]s %[3]s brings it back; or declare %[1]s in its place, with renamedFrom: %[3]s", now, r.GUID, name)
		}
		return drivers.Missing, fmt.Sprintf("it was here before (guid %s, last seen %s): what is missing is not what never was. Bring it back, or, if it was destroyed on purpose: dplane forget %s",
			r.GUID, r.Seen.UTC().Format("2006-01-02 15:04 MST"), name)
	}
	if code, note := v.parentObstacle(want.Name.Parent()); note != "" {
		return code, note
	}
	if code, note := v.originObstacle(want); note != "" {
		return code, note
	}
	if prop := v.unknownProperty(want); prop != "" {
		return drivers.Conflict, prop + ": this release of ZFS does not know the property: take it out of the files, or upgrade ZFS"
	}
	if note := v.Have.KeyFault(want.Encryption); note != "" {
		return drivers.Conflict, note
	}
	for _, at := range v.mountpoints(want.Name) {
		if v.occupied[at] {
			return drivers.Conflict, fmt.Sprintf("%s, where it would be mounted, holds files, and mounting would hide them: move them away, or declare another mountpoint", at)
		}
		if other := v.mounted[at]; other != "" {
			return drivers.Conflict, fmt.Sprintf("%s, where it would be mounted, is the mountpoint of %s: declare another mountpoint", at, other)
		}
	}
	return "", ""
}

func (v *view) parentObstacle(parent spec.DatasetName) (code, note string) {
	if have := v.have(parent); have != nil {
		switch {
		case have.Type == "volume":
			return drivers.Conflict, string(parent) + " is a volume, and nothing can be below one"
		case v.locked(have):
			return drivers.Conflict, fmt.Sprintf("the key of %s is not loaded: zfs load-key %s", parent, have.EncryptionRoot)
		}
		return "", ""
	}
	if v.Have.Pools[string(parent)] == nil && parent.IsRoot() { // comes with its pool
		return "", ""
	}
	if v.ours(parent) && !v.Want.Datasets[parent].Absent {
		return "", "" // its own action says whether it will be there
	}
	return drivers.Missing, fmt.Sprintf("its parent %s is neither declared nor there, and dplane makes no parents: declare it too", parent)
}

// unknownProperty is a declared property that this release lacks: `zfs get all` of the pool's root lists
// every one that file systems have. Of a pool that is yet to be made nothing is known.
func (v *view) unknownProperty(want *spec.Dataset) string {
	root := v.have(spec.DatasetName(want.Name.Pool()))
	if root == nil {
		return ""
	}
	for _, name := range sortedKeys(want.Properties) {
		_, native := spec.LookupProperty(name, spec.Filesystems)
		if _, known := root.Properties[name]; native && !known && !spec.IsUserQuota(name) {
			return name
		}
	}
	return ""
}

// create makes a dataset with its properties and the mark in one transaction.
func (v *view) create(want *spec.Dataset) drivers.Action {
	name := string(want.Name)
	a := drivers.Action{
		Object: ref(want.Name), Verb: drivers.Create, Risk: spec.Safe,
		Reason: drivers.Reason{Code: drivers.Missing, At: want.Pos.At(), Observed: name + " does not exist"},
		Undo:   "zfs destroy " + host.Read(name).String() + ", by hand, while it holds nothing",
		Waits:  []spec.Ref{{Kind: spec.KindPool, Name: string(want.Name.Pool())}, ref(want.Name.Parent())},
		Guard:  []host.Expect{zfs.ExpectMissingDataset(name)},
	}
	if parent := v.have(want.Name.Parent()); parent != nil {
		if id := v.loads[parent.EncryptionRoot]; id != "" {
			a.After = append(a.After, id)
		}
	}
	if parent := v.have(want.Name.Parent()); parent != nil { // that of another pool which took the name has another guid
		a.Guard = append(a.Guard, zfs.ExpectProps(parent.Name, map[string]state.Property{"guid": {Value: parent.GUID, Source: "-"}}))
	}
	now, later := zfs.AtCreation(want.Properties)
	if want.Origin != "" {
		a.Steps = v.cloneSteps(want, now, later)
		a.Guard = append(a.Guard, v.guardOrigin(want))
	} else {
		a.Steps = []host.Command{v.createStep(want, now, &a)}
		if len(later) > 0 {
			a.Steps = append(a.Steps, zfs.Set(name, later))
		}
	}
	a.Fields = createFields(want)
	for _, at := range v.mountpoints(want.Name) {
		a.Guard = append(a.Guard, expectFree(at))
	}
	return a
}

// createStep is the command that makes a dataset which is no clone. A key is checked once more before it.
func (v *view) createStep(want *spec.Dataset, props map[string]string, a *drivers.Action) host.Command {
	c := createCommand(want, props)
	if e := want.Encryption; e != nil {
		a.Guard = append(a.Guard, zfs.ExpectKeyFile(e, v.Have)...)
		a.Notes = append(a.Notes, "keep a copy of the key elsewhere: nobody can read the data without it")
		c.Prompt = zfs.NewSecret(e, string(want.Name))
	}
	return c
}

// createCommand leaves refreservation=auto to zfs, which reserves for a volume that is not sparse, and would
// take the word for the largest number there is ("out of space").
func createCommand(want *spec.Dataset, props map[string]string) host.Command {
	if want.Encryption != nil {
		maps.Copy(props, zfs.EncryptionOptions(want.Encryption))
	}
	if want.Volume == nil {
		return zfs.CreateFilesystem(string(want.Name), props)
	}
	sparse := want.Volume.IsSparse()
	if props["refreservation"] == "auto" {
		delete(props, "refreservation")
		sparse = false
	}
	if b := want.Volume.BlockSize; b != 0 {
		props["volblocksize"] = strconv.FormatUint(uint64(b), 10)
	}
	return zfs.CreateVolume(string(want.Name), uint64(want.Volume.Size), sparse, props)
}

func createFields(want *spec.Dataset) []drivers.Field {
	fields := []drivers.Field{{Name: "type", To: want.Type().String()}}
	if want.Origin != "" {
		fields = append(fields, drivers.Field{Name: "origin", To: string(want.Origin)})
	}
	if vol := want.Volume; vol != nil {
		fields = append(fields, drivers.Field{Name: "volsize", To: strconv.FormatUint(uint64(vol.Size), 10)})
		if vol.BlockSize != 0 {
			fields = append(fields, drivers.Field{Name: "volblocksize", To: strconv.FormatUint(uint64(vol.BlockSize), 10)})
		}
		if vol.IsSparse() {
			fields = append(fields, drivers.Field{Name: "sparse", To: "on"})
		}
	}
	if e := want.Encryption; e != nil {
		fields = append(fields, drivers.Field{Name: "keyformat", To: e.Format}, drivers.Field{Name: "keylocation", To: zfs.KeyLocation(e.KeyFile)})
	}
	for _, n := range sortedKeys(want.Properties) {
		fields = append(fields, drivers.Field{Name: n, To: want.Properties[n].Value})
	}
	return fields
}
