package dataset

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// project is the machine as it will be once the dataset from, with what is below it, is called to: names,
// origins, and what is inherited from the new place. have is not changed.
func project(have *state.Observed, from, to string) *state.Observed {
	after := *have
	after.Datasets = maps.Clone(have.Datasets)
	var tree []string
	for n := range have.Datasets {
		if spec.DatasetName(n).Under(spec.DatasetName(from)) {
			tree = append(tree, n)
			delete(after.Datasets, n)
		}
	}
	slices.Sort(tree) // parents first
	for n, d := range after.Datasets {
		if origin := state.Follow(d.Origin, from, to); origin != d.Origin {
			d := *d
			d.Origin = origin
			after.Datasets[n] = &d
		}
	}
	for _, n := range tree {
		d := *have.Datasets[n]
		d.Name = state.Follow(n, from, to)
		d.Origin, d.EncryptionRoot = state.Follow(d.Origin, from, to), state.Follow(d.EncryptionRoot, from, to)
		d.Properties = replanted(&d, above(&after, spec.DatasetName(d.Name)), from, to)
		after.Datasets[d.Name] = &d
	}
	if d := have.Datasets[from]; d != nil {
		moveIn(&after, spec.DatasetName(from).Parent(), spec.DatasetName(to).Parent(), d.Used)
	}
	after.Snapshots = slices.Clone(have.Snapshots)
	for i, s := range after.Snapshots {
		after.Snapshots[i].Dataset = state.Follow(s.Dataset, from, to)
		after.Snapshots[i].Clones = slices.Clone(s.Clones)
		for j, c := range s.Clones {
			after.Snapshots[i].Clones[j] = state.Follow(c, from, to)
		}
	}
	return &after
}

// moveIn counts what moved in, so that no quota is planned below it. What moved out counts on: a value may be set before
// the rename.
func moveIn(after *state.Observed, old, parent spec.DatasetName, used uint64) {
	for up := parent; up != ""; up = up.Parent() {
		if d := after.Datasets[string(up)]; d != nil && !old.Under(up) {
			d := *d
			d.Used += used
			after.Datasets[string(up)] = &d
		}
	}
}

// above is the nearest dataset that is there above a name; a parent that is yet to be made passes on what it
// inherits itself.
func above(have *state.Observed, name spec.DatasetName) *state.Dataset {
	for up := name.Parent(); up != ""; up = up.Parent() {
		if d := have.Datasets[string(up)]; d != nil {
			return d
		}
	}
	return nil
}

// replanted are the properties of a dataset below another parent: its own stay, what it inherited within the
// tree keeps its value, and the rest comes from the new place.
func replanted(d, parent *state.Dataset, from, to string) map[string]state.Property {
	props := make(map[string]state.Property, len(d.Properties))
	for name, p := range d.Properties {
		giver, inherited := strings.CutPrefix(p.Source, "inherited from ")
		switch {
		case inherited && spec.DatasetName(giver).Under(spec.DatasetName(from)):
			p.Source = "inherited from " + state.Follow(giver, from, to)
		case inherited || p.Source == "default" && spec.Inheritable(name):
			q, ok := handedDown(name, d, parent)
			if !ok {
				continue
			}
			p = q
		}
		props[name] = p
	}
	if parent == nil {
		return props
	}
	for name := range parent.Properties {
		if _, has := props[name]; !has && spec.IsUserProperty(name) {
			if p, ok := handedDown(name, d, parent); ok {
				props[name] = p
			}
		}
	}
	return props
}

// handedDown is a property as a child without a value of its own has it; ok is false where it has none.
func handedDown(name string, d, parent *state.Dataset) (state.Property, bool) {
	if parent == nil {
		return d.Properties[name], !spec.IsUserProperty(name)
	}
	p, ok := parent.Properties[name]
	switch {
	case !ok && spec.IsUserProperty(name):
		return p, false
	case !ok: // file systems have no such property
		return d.Properties[name], true
	case p.Local() || p.Source == "received":
		p.Source = "inherited from " + parent.Name
	}
	if name == "mountpoint" && path.IsAbs(p.Value) {
		rest := strings.TrimPrefix(d.Name, parent.Name+"/")
		p.Value = path.Join(p.Value, rest)
	}
	return p, true
}
