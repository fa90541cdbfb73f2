package dataset

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

// grant is what one user or group, or everyone, is to get or to lose on one dataset.
type grant struct {
	who     string   // as the files say it; as the mark says it where they no longer do
	name    string   // as zfs shows it
	has     []string // here, below, or both
	missing []string
	extra   []string
}

// allowing gives the actions that make the delegations of a dataset as declared. A user or group that is declared is managed
// whole; one that is not is left alone, unless the mark dplane:allowed says that dplane granted what it has. create is
// the action that makes the dataset, nil where it is there.
func (v *view) allowing(want *spec.Dataset, create *drivers.Action) []drivers.Action {
	have := v.have(want.Name)
	if want.Allow == nil || have == nil && create == nil || have != nil && have.Delegations == nil {
		return nil
	}
	if have != nil && have.Delegations.Error != "" {
		v.notices = append(v.notices, fmt.Sprintf("the delegations of %s could not be read: %s", want.Name, have.Delegations.Error))
		return nil
	}
	d := delegation{view: v, want: want, have: have, marked: allowedTo(have)}
	if create != nil {
		d.after = []string{create.ID}
	}
	return d.actions()
}

// allowAll adds the delegations of what is there, and of what is made by this plan.
func (v *view) allowAll(actions map[spec.DatasetName][]drivers.Action, present []spec.DatasetName) {
	for _, name := range present {
		actions[name] = append(actions[name], v.allowing(v.Want.Datasets[name], nil)...)
	}
	for _, name := range v.Want.DatasetNames() {
		if all := actions[name]; v.have(name) == nil && len(all) > 0 && all[len(all)-1].Verb == drivers.Create {
			create := &all[len(all)-1]
			create.Identify()
			actions[name] = append(all, v.allowing(v.Want.Datasets[name], create)...)
		}
	}
}

// allowedTo are the names in the mark; only a local one counts, since a child inherits its parent's.
func allowedTo(have *state.Dataset) map[string]bool {
	names := map[string]bool{}
	if have == nil || !have.Properties[state.AllowedProperty].Local() {
		return names
	}
	for _, n := range strings.Split(have.Properties[state.AllowedProperty].Value, ",") {
		if n != "" {
			names[n] = true
		}
	}
	return names
}

// delegation is the difference of one dataset as its actions are made.
type delegation struct {
	*view
	want   *spec.Dataset
	have   *state.Dataset // nil: it is yet to be made
	marked map[string]bool
	after  []string
}

func (d *delegation) actions() []drivers.Action {
	var out []drivers.Action
	var give, take []grant
	for _, g := range d.grants() {
		if _, declared := d.want.Allow[g.who]; declared && g.name == "" && len(g.missing) > 0 {
			out = append(out, d.nobody(g))
			continue
		}
		if len(g.missing) > 0 {
			give = append(give, g)
		}
		if _, declared := d.want.Allow[g.who]; len(g.extra) > 0 || !declared {
			take = append(take, g)
		}
	}
	if len(give) > 0 {
		out = append(out, d.give(give))
	}
	if len(take) > 0 {
		out = append(out, d.take(take))
	}
	return out
}

// grants compares everybody who is declared or marked, in the order of their names.
func (d *delegation) grants() []grant {
	everybody := maps.Clone(d.marked)
	for who := range d.want.Allow {
		everybody[who] = true
	}
	var out []grant
	for _, who := range sortedKeys(everybody) {
		g := grant{who: who, name: d.called(who)}
		var is state.Grant
		if d.have != nil {
			is = d.have.Delegations.Grants[g.name]
		}
		g.has = union(is.Here, is.Below)
		for _, p := range d.want.Allow[who] {
			if !slices.Contains(is.Here, p) || !slices.Contains(is.Below, p) {
				g.missing = append(g.missing, p)
			}
		}
		for _, p := range g.has {
			if !slices.Contains(d.want.Allow[who], p) {
				g.extra = append(g.extra, p)
			}
		}
		out = append(out, g)
	}
	return out
}

// called is how zfs shows somebody, "" where this machine knows nobody of that name.
func (d *delegation) called(who string) string {
	if name, asked := d.Have.Accounts[who]; asked {
		return name
	}
	return who
}

func union(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// nobody: `zfs allow` prints its usage for an unknown name, and exits 0.
func (d *delegation) nobody(g grant) drivers.Action {
	guid := ""
	if d.have != nil {
		guid = d.have.GUID
	}
	a := block(d.want, guid, drivers.Drift, d.want.Pos.At(), "this machine knows no "+strings.Replace(g.who, ":", " ", 1),
		"create it first, name it by its number, or take it out of allow")
	a.Fields = []drivers.Field{{Name: "allow " + g.who, To: strings.Join(d.want.Allow[g.who], ",")}}
	return a
}

func (d *delegation) action(risk spec.Risk, code, observed string) drivers.Action {
	a := drivers.Action{
		Object: ref(d.want.Name), Verb: drivers.Update, Risk: risk, After: slices.Clone(d.after),
		Reason: drivers.Reason{Code: code, At: d.want.Pos.At(), Observed: observed},
	}
	if d.have != nil {
		a.GUID = d.have.GUID
		a.Guard = []host.Expect{d.guard()}
	}
	return a
}

// guard holds while the dataset is the same one, with the mark as the action before this one leaves it.
func (d *delegation) guard() host.Expect {
	props := map[string]state.Property{"guid": {Value: d.have.GUID, Source: "-"}}
	if len(d.marked) > 0 {
		props[state.AllowedProperty] = state.Property{Value: state.EncodeApplied(d.marked), Source: "local"}
	}
	return zfs.ExpectProps(d.have.Name, props)
}

func observedGrants(gs []grant) string {
	parts := make([]string, len(gs))
	for i, g := range gs {
		parts[i] = g.who + " may " + strings.Join(g.has, ",")
		if len(g.has) == 0 {
			parts[i] = g.who + " may nothing"
		}
	}
	return strings.Join(parts, ", ")
}

// give grants what is missing. The mark comes first: it says too much where the grant is not made, and then the next
// plan makes it; without it a grant would be nobody's.
func (d *delegation) give(gs []grant) drivers.Action {
	name := string(d.want.Name)
	a := d.action(spec.Safe, drivers.Drift, observedGrants(gs))
	fresh := false
	var undo []string
	for _, g := range gs {
		fresh = fresh || !d.marked[g.who]
		d.marked[g.who] = true
		a.Fields = append(a.Fields, drivers.Field{Name: "allow " + g.who, From: strings.Join(g.has, ","), To: strings.Join(union(g.has, g.missing), ",")})
		undo = append(undo, zfs.Unallow(name, g.who, g.missing).String())
	}
	if fresh {
		a.Steps = append(a.Steps, zfs.Set(name, map[string]string{state.AllowedProperty: state.EncodeApplied(d.marked)}))
	}
	for _, g := range gs {
		a.Steps = append(a.Steps, zfs.Allow(name, g.who, g.missing))
	}
	a.Undo = strings.Join(undo, "; ")
	a.Identify()
	d.after = append(d.after, a.ID)
	return a
}

// take takes back what is no longer declared, then the mark of those who are not.
func (d *delegation) take(gs []grant) drivers.Action {
	name := string(d.want.Name)
	code := drivers.Drift
	a := d.action(spec.Disruptive, code, observedGrants(gs))
	dropped := false
	var undo []string
	for _, g := range gs {
		if _, declared := d.want.Allow[g.who]; !declared {
			delete(d.marked, g.who)
			dropped, a.Reason.Code = true, drivers.Removed
		}
		kept := slices.DeleteFunc(slices.Clone(g.has), func(p string) bool { return slices.Contains(g.extra, p) })
		a.Fields = append(a.Fields, drivers.Field{Name: "allow " + g.who, From: strings.Join(g.has, ","), To: strings.Join(kept, ",")})
		if len(g.extra) > 0 {
			a.Steps = append(a.Steps, zfs.Unallow(name, accountOf(g), g.extra))
			undo = append(undo, zfs.Allow(name, accountOf(g), g.extra).String())
		}
	}
	if dropped && len(d.marked) > 0 {
		a.Steps = append(a.Steps, zfs.Set(name, map[string]string{state.AllowedProperty: state.EncodeApplied(d.marked)}))
	} else if dropped {
		a.Steps = append(a.Steps, zfs.Inherit(name, state.AllowedProperty, false))
	}
	if len(undo) == 0 { // they have nothing any more
		a.Risk, a.Undo = spec.Safe, "nothing changes but the memory of what dplane granted"
		return a
	}
	a.Undo = strings.Join(undo, "; ")
	a.Notes = []string{"what runs with these permissions fails from then on"}
	return a
}

// accountOf is whom to name: the account as zfs shows it.
func accountOf(g grant) string {
	if g.name == "" {
		return g.who
	}
	return g.name
}
