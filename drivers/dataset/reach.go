package dataset

import (
	"path"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// reached are the datasets below one that are not dplane's to change and whose value of a property changes
// with it: those that inherit it from there, or would. With canmount it is what is mounted below, for it
// goes with the mount above it.
func (v *view) reached(name spec.DatasetName, prop string) []string {
	inherits := spec.Inheritable(prop)
	if !inherits && prop != "canmount" {
		return nil
	}
	var out []string
	for _, n := range v.below(string(name)) {
		d := v.Have.Datasets[n]
		if v.ours(spec.DatasetName(n)) {
			continue
		}
		if inherits && follows(d, prop, name) || !inherits && d.Mounted {
			out = append(out, n)
		}
	}
	return out
}

// follows tells whether a dataset below name takes the property from it once it is set there: nothing nearer
// has it. An undefined user property and a default come from nowhere, so they follow too.
func follows(d *state.Dataset, prop string, name spec.DatasetName) bool {
	p, ok := d.Properties[prop]
	if !ok {
		return spec.IsUserProperty(prop)
	}
	from, inherited := strings.CutPrefix(p.Source, "inherited from ")
	if inherited {
		return name.Under(spec.DatasetName(from))
	}
	return p.Source == "default"
}

// pin sets locally what a change further up would alter: a declared value that is right only because it is
// inherited stays right, and the next plan is empty. It also notes on each change that inherits from a
// changing ancestor that its old value is no precondition.
func (v *view) pin(present []spec.DatasetName) {
	for _, name := range present {
		want, have := v.Want.Datasets[name], v.have(name)
		for _, prop := range sortedKeys(want.Properties) {
			p := have.Properties[prop]
			if !spec.Inheritable(prop) || p.Local() || p.Source == "received" {
				continue
			}
			changing := v.changingAbove(name, prop)
			if len(changing) == 0 {
				continue
			}
			if c := v.changes[string(name)][prop]; c != nil {
				c.moved = true
				continue
			}
			if v.staysRight(name, prop) {
				continue
			}
			declared := want.Properties[prop]
			v.changes[string(name)][prop] = &change{
				name: prop, deed: set, from: p, to: declared.Value, at: declared.Pos.At(), risk: spec.Safe, moved: true,
				note: prop + " has the declared value only by inheritance, which changes above: it is set here",
			}
			for _, c := range changing {
				c.pins = append(c.pins, name)
			}
		}
		for prop, c := range v.changes[string(name)] { // what is given back or only in the mark
			if c.deed == forget && len(v.changingAbove(name, prop)) > 0 {
				c.moved = true
			}
		}
	}
}

// changingAbove are the planned changes of a property on the datasets above, as far as they reach: not beyond one
// with a value of its own.
func (v *view) changingAbove(name spec.DatasetName, prop string) []*change {
	var out []*change
	for a := name.Parent(); a != ""; a = a.Parent() {
		switch c := v.changes[string(a)][prop]; {
		case c != nil && c.deed == set:
			return append(out, c)
		case c != nil && c.deed == giveBack:
			out = append(out, c)
		case v.decides(a, prop):
			return out
		}
	}
	return out
}

// decides tells whether an observed dataset has a value of its own.
func (v *view) decides(name spec.DatasetName, prop string) bool {
	d := v.have(name)
	if d == nil {
		return false
	}
	p := d.Properties[prop]
	return p.Local() || p.Source == "received"
}

// staysRight tells whether the value inherited after the plan is still the declared one. A value that is
// given back further up is not known beforehand, so it is not relied on.
func (v *view) staysRight(name spec.DatasetName, prop string) bool {
	want := v.Want.Datasets[name]
	for a := name.Parent(); a != ""; a = a.Parent() {
		value := ""
		if c := v.changes[string(a)][prop]; c != nil && c.deed != refuse && c.deed != forget {
			if c.deed == giveBack {
				return false
			}
			value = c.to
		} else if v.decides(a, prop) {
			value = v.have(a).Properties[prop].Value
		} else {
			continue
		}
		if prop == "mountpoint" && path.IsAbs(value) {
			value = path.Join(value, strings.TrimPrefix(string(name), string(a)+"/"))
		}
		return spec.SameValue(prop, want.Properties[prop].Value, value, want.Type())
	}
	return false
}

// listed names the first ten and counts the rest.
func listed(names []string) string {
	const most = 10
	names = slices.Clone(names)
	slices.Sort(names)
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", ..."
}
