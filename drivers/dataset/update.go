package dataset

import (
	"cmp"
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

// actionsFor turns the changes of one dataset into actions: one per risk and reason, so that what is safe
// goes on while the rest waits. Each writes the mark as the one before left it, so it waits for that one.
func (v *view) actionsFor(want *spec.Dataset, have *state.Dataset) []drivers.Action {
	var refused []drivers.Action
	groups := map[group][]*change{}
	for _, c := range byName(v.changes[string(want.Name)]) {
		if c.deed == refuse {
			refused = append(refused, v.refusalOf(want, have, c))
			continue
		}
		g := groupOf(c)
		groups[g] = append(groups[g], c)
	}
	b := builder{view: v, want: want, have: have, mark: markOf(have)}
	for _, g := range sortedGroups(groups) {
		b.add(g, groups[g])
	}
	return append(b.actions, refused...)
}

// group are changes that make one action.
type group struct {
	rank rank
	risk spec.Risk
	code string
}

// rank parts what is likely to be refused from the rest, and puts it last: zfs set takes all of a command or
// little of it, and what waits for an action that failed is skipped.
type rank int

const (
	live   rank = iota
	mounts      // somebody may have a file open: "pool or dataset is busy"
	// What follows has a key of its own in the files, and no mark. It comes in this order, whatever its risk.
	unreserve // before a volume grows into what it kept reserved
	size      // of a volume
	reserve   // what the size will need
)

func groupOf(c *change) group {
	g := group{risk: max(c.risk, spec.Safe), code: drivers.Drift}
	switch c.name {
	case "volsize":
		g.rank = size
	case "refreservation":
		g.rank = c.sparse
	case "mountpoint", "canmount", "readonly":
		g.rank = mounts
	}
	if c.deed != set {
		g.code = drivers.Removed
	}
	if c.deed == forget {
		g.rank = live
	}
	return g
}

func sortedGroups(groups map[group][]*change) []group {
	return slices.SortedFunc(maps.Keys(groups), func(a, b group) int {
		if a.rank > mounts || b.rank > mounts {
			return cmp.Compare(a.rank, b.rank)
		}
		return cmp.Or(cmp.Compare(a.risk, b.risk), cmp.Compare(a.rank, b.rank), cmp.Compare(a.code, b.code))
	})
}

func byName(changes map[string]*change) []*change {
	out := make([]*change, 0, len(changes))
	for _, n := range sortedKeys(changes) {
		out = append(out, changes[n])
	}
	return out
}

func (v *view) refusalOf(want *spec.Dataset, have *state.Dataset, c *change) drivers.Action {
	a := block(want, have.GUID, drivers.Drift, c.at, observed([]*change{c}), c.note)
	a.Fields = fields([]*change{c})
	return a
}

// builder makes the actions of one dataset in the order in which they run.
type builder struct {
	*view
	want    *spec.Dataset
	have    *state.Dataset
	mark    *mark
	actions []drivers.Action
}

func (b *builder) add(g group, cs []*change) {
	a := drivers.Action{
		Object: ref(b.want.Name), GUID: b.have.GUID, Verb: drivers.Update, Risk: g.risk,
		Reason: drivers.Reason{Code: g.code, At: first(cs).at, Observed: observed(cs)},
		Fields: fields(cs), Undo: undo(b.have.Name, cs), Notes: notes(cs),
		Guard: append([]host.Expect{b.guard(cs)}, b.expectLanding(cs)...),
	}
	switch {
	case g.rank == size:
		a.Steps, a.Undo = b.resize(cs[0])
		if p, ok := b.want.Properties["refreservation"]; ok && p.Value != "auto" {
			a.Fields = append(a.Fields, drivers.Field{Name: "refreservation", From: b.have.Properties["refreservation"].Value, To: p.Value})
		}
	case g.rank > mounts:
		a.Steps = []host.Command{zfs.Set(b.have.Name, map[string]string{cs[0].name: cs[0].to})}
	case g.code == drivers.Drift:
		a.Steps = b.set(cs)
	default:
		a.Steps = b.giveBack(cs)
	}
	a.Identify()
	if n := len(b.actions); n > 0 {
		a.After = append(a.After, b.actions[n-1].ID)
	}
	a.After = append(a.After, b.pins(cs)...)
	for _, c := range cs {
		c.action = a.ID
	}
	b.actions = append(b.actions, a)
}

// pins are the actions that set a value further down before it changes here.
func (b *builder) pins(cs []*change) []string {
	ids := map[string]bool{}
	for _, c := range cs {
		for _, name := range c.pins {
			ids[b.changes[string(name)][c.name].action] = true
		}
	}
	return sortedKeys(ids)
}

// guard reads again what the plan relies on: the same dataset, the old values with their sources, and the
// mark. An inherited value that changes in this very plan is not relied on.
func (b *builder) guard(cs []*change) host.Expect {
	props := map[string]state.Property{"guid": {Value: b.have.GUID, Source: "-"}}
	made := !b.want.Name.IsRoot() && b.view.have(b.want.Name.Parent()) == nil // renamed below what is yet to be created
	for _, c := range cs {
		switch {
		case c.moved, made && (c.from.Source == "default" || strings.HasPrefix(c.from.Source, "inherited from ")):
		case made && c.from == unset && spec.IsUserProperty(c.name):
			props[c.name] = b.view.comes(b.want.Name, c.name)
		default:
			props[c.name] = c.from
		}
	}
	if b.mark.local {
		props[state.AppliedProperty] = state.Property{Value: b.mark.value(), Source: "local"}
	}
	return zfs.ExpectProps(b.have.Name, props)
}

// comes is what a dataset has of a user property that is not its own, below a parent that is yet to be created.
func (v *view) comes(name spec.DatasetName, prop string) state.Property {
	for a := name.Parent(); a != ""; a = a.Parent() {
		if d, want := v.have(a), v.Want.Datasets[a]; d == nil && want != nil {
			if p, declared := want.Properties[prop]; declared {
				return state.Property{Value: p.Value, Source: "inherited from " + string(a)}
			}
		} else if d != nil && v.decides(a, prop) {
			return state.Property{Value: d.Properties[prop].Value, Source: "inherited from " + string(a)}
		}
	}
	return unset
}

// set is one command for all properties and the mark. zfs sets the mark also where it refuses a property beside
// it, so it comes after them, in a command of its own, where it would claim what an operator set: a refusal must
// not make his value one of dplane's, to be given back.
func (b *builder) set(cs []*change) []host.Command {
	props, theirs := map[string]string{}, false
	names := make([]string, len(cs))
	for i, c := range cs {
		props[c.name], names[i] = c.to, c.name
		theirs = theirs || b.theirs(c)
	}
	value, changed := b.mark.add(names...)
	switch mark := map[string]string{state.AppliedProperty: value}; {
	case changed && theirs:
		return []host.Command{zfs.Set(b.have.Name, props), zfs.Set(b.have.Name, mark)}
	case changed:
		maps.Copy(props, mark)
	}
	return []host.Command{zfs.Set(b.have.Name, props)}
}

// theirs tells whether a change replaces a local value that dplane did not set, and that zfs may refuse to.
func (b *builder) theirs(c *change) bool {
	nothing := spec.IsUserQuota(c.name) && unlimited(c.from.Value) // and yet local
	return c.from.Local() && !nothing && !b.mark.names[c.name] && !spec.IsUserProperty(c.name)
}

// giveBack inherits each property, then writes the mark without them. A user's quota can't be inherited:
// without one it is none.
func (b *builder) giveBack(cs []*change) []host.Command {
	var steps []host.Command
	none := map[string]string{}
	for _, c := range cs {
		b.mark.drop(c.name)
		switch {
		case c.deed == forget:
		case spec.IsUserQuota(c.name):
			none[c.name] = "none"
		case c.to == "auto":
			none[c.name] = c.to
		default:
			steps = append(steps, zfs.Inherit(b.have.Name, c.name, true))
		}
	}
	if b.mark.local {
		none[state.AppliedProperty] = b.mark.value()
	}
	if len(none) > 0 {
		steps = append(steps, zfs.Set(b.have.Name, none))
	}
	if !b.mark.local {
		steps = append(steps, zfs.Inherit(b.have.Name, state.AppliedProperty, false))
	}
	return steps
}

// resize changes the size of a volume. A declared reservation goes with it in the same command, or zfs moves
// it along with the size where the two belonged together.
func (b *builder) resize(c *change) (steps []host.Command, undo string) {
	props := map[string]string{c.name: c.to}
	if p, ok := b.want.Properties["refreservation"]; ok && p.Value != "auto" {
		props["refreservation"] = p.Value
	}
	undo = "nothing: shrinking the volume again would cut off what was written at its end"
	if c.risk == spec.Destructive {
		undo = "nothing: what stands beyond the new size is lost"
	}
	return []host.Command{zfs.Set(b.have.Name, props)}, undo
}

func first(cs []*change) *change {
	for _, c := range cs {
		if c.at != "" {
			return c
		}
	}
	return cs[0]
}

// observed says what the machine has: "compression is lz4 (local), atime is on (default)".
func observed(cs []*change) string {
	parts := make([]string, len(cs))
	for i, c := range cs {
		parts[i] = fmt.Sprintf("%s is %s (%s)", c.name, c.from.Value, c.from.Source)
		if c.from == unset {
			parts[i] = c.name + " is not set"
		}
	}
	return strings.Join(parts, ", ")
}

func fields(cs []*change) []drivers.Field {
	out := make([]drivers.Field, len(cs))
	for i, c := range cs {
		out[i] = drivers.Field{Name: c.name, From: c.from.Value, To: c.to}
		if c.from == unset {
			out[i].From = ""
		}
		switch c.deed {
		case giveBack:
			out[i].To = "inherit"
			if c.to == "auto" {
				out[i].To = c.to
			}
		case forget:
			out[i].To = "unmanaged"
		}
	}
	return out
}

// undo is the exact reverse, as a person would type it.
func undo(name string, cs []*change) string {
	back := map[string]string{}
	var lines []string
	for _, c := range cs {
		switch {
		case c.deed == forget:
		case c.from.Local():
			back[c.name] = c.from.Value
		default:
			lines = append(lines, zfs.Inherit(name, c.name, true).String())
		}
	}
	if len(back) > 0 {
		lines = append([]string{zfs.Set(name, back).String()}, lines...)
	}
	if len(lines) == 0 {
		return "nothing changes but the memory of what dplane set"
	}
	return strings.Join(lines, "; ")
}

// notes are what people expect otherwise, and whom the change reaches.
func notes(cs []*change) []string {
	var out []string
	for _, c := range cs {
		if c.note != "" {
			out = append(out, c.note)
		}
		if n := noteOf(c.name); n != "" && c.deed != forget && c.from.Value != c.to {
			out = append(out, n)
		}
		if len(c.below) > 0 {
			out = append(out, fmt.Sprintf("%s reaches %d below that dplane does not manage: %s", c.name, len(c.below), listed(c.below)))
		}
	}
	return slices.Compact(out)
}
