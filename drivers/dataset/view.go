package dataset

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// view is one pass with its indexes, and the plan as it grows.
type view struct {
	drivers.Input
	names    []string                      // of all observed datasets, sorted: those below one stand together
	mounted  map[string]string             // mountpoint -> the dataset mounted there
	occupied map[string]bool               // mountpoints that hold something
	recorded map[spec.Ref]state.Recorded   // pools and datasets that were here before
	changes  map[string]map[string]*change // dataset -> property -> what is planned
	made     map[string]drivers.Action     // datasets that hold the trash, and are yet to be made
	loads    map[string]string             // encryption root -> the action that loads its key
	mounters map[string]string             // dataset -> the action that mounts it, or says why it can't be
	remounts map[string]string             // dataset -> the action that mounts it where its mountpoint says

	notices    []string
	toldLocked map[string]bool // encryption roots of which a notice says that they are locked
}

func newView(in drivers.Input) *view {
	v := &view{
		Input: in, mounted: map[string]string{}, occupied: map[string]bool{},
		recorded: map[spec.Ref]state.Recorded{}, changes: map[string]map[string]*change{},
		loads: map[string]string{}, mounters: map[string]string{}, remounts: map[string]string{}, toldLocked: map[string]bool{},
		made: map[string]drivers.Action{},
	}
	for _, at := range in.Have.Occupied {
		v.occupied[at] = true
	}
	for _, r := range in.Have.Recorded {
		v.recorded[spec.Ref{Kind: spec.Kind(r.Kind), Name: r.Name}] = r
	}
	v.names = slices.Sorted(maps.Keys(in.Have.Datasets))
	for _, n := range v.names { // of two at one place it is always the same one
		if d := in.Have.Datasets[n]; d.Mounted && path.IsAbs(place(d)) {
			v.mounted[place(d)] = n
		}
	}
	return v
}

// have is the observed dataset, nil where there is none.
func (v *view) have(name spec.DatasetName) *state.Dataset { return v.Have.Datasets[string(name)] }

// called is the dataset with that guid, whatever its name, "" where there is none.
func (v *view) called(guid string) string {
	for _, n := range v.names {
		if guid != "" && v.Have.Datasets[n].GUID == guid {
			return n
		}
	}
	return ""
}

// altroot is where the pool is imported, "" for /.
func (v *view) altroot(name spec.DatasetName) string {
	if p := v.Have.Pools[string(name.Pool())]; p != nil {
		if at := p.Properties["altroot"].Value; path.IsAbs(at) {
			return at
		}
	}
	return ""
}

// below are the observed datasets under one, itself not among them.
func (v *view) below(name string) []string {
	from, _ := slices.BinarySearch(v.names, name+"/")
	to := from
	for to < len(v.names) && strings.HasPrefix(v.names[to], name+"/") {
		to++
	}
	return v.names[from:to]
}

// ours tells whether dplane may change the dataset: declared, and not received only.
func (v *view) ours(name spec.DatasetName) bool {
	return v.Want.Datasets[name] != nil && v.Want.ReceivedOnly(name, v.Have.Role) == ""
}

// foreign are the pools and datasets that took a known name: another guid than the recorded one. They are
// held until `dplane adopt NAME` (PRODUCT.md section 4, promise 7).
func (v *view) foreign(kind spec.Kind, name, guid string) bool {
	r, ok := v.recorded[spec.Ref{Kind: kind, Name: name}]
	return ok && guid != "" && r.GUID != "" && r.GUID != guid
}

// poolMayCome tells whether the pool driver, of the same facts, plans to create a missing pool. Where it does
// not, its own action says why, and the datasets plan nothing.
func (v *view) poolMayCome(name spec.PoolName) bool {
	p := v.Want.Pools[name]
	if p == nil || len(p.Vdevs) == 0 {
		return false
	}
	if _, known := v.recorded[spec.Ref{Kind: spec.KindPool, Name: string(name)}]; known {
		return false
	}
	wiped := map[string]bool{} // guids of pools on disks that a person named to be cleared
	for _, d := range p.Devices() {
		seen := v.Have.Devices[d.Path]
		_, named := v.Wipe[d.Path]
		if seen == nil || !seen.Blank() && !named {
			return false
		}
		for _, l := range seen.Labels() {
			wiped[l.GUID] = named
		}
	}
	for _, i := range v.Have.Importable {
		if i.Name == string(name) && !wiped[i.GUID] {
			return false
		}
	}
	return true
}
