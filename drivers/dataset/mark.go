package dataset

import (
	"maps"
	"slices"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// mark is the set of names in dplane:applied as a plan goes on: each action writes the mark that holds once
// it is done, and the next one starts from there.
type mark struct {
	names map[string]bool
	text  string // as ZFS has it, which is not in order where somebody edited it
	local bool   // set on the dataset itself; an inherited or received one is not dplane's word
}

func markOf(d *state.Dataset) *mark {
	p := d.Properties[state.AppliedProperty]
	return &mark{names: appliedTo(d), text: p.Value, local: p.Local()}
}

// value is the mark as ZFS has it, and as a guard compares it.
func (m *mark) value() string { return m.text }

// add gives the mark's new value, and whether it has to be written at all.
func (m *mark) add(names ...string) (value string, changed bool) {
	for _, n := range names {
		changed = changed || !m.names[n]
		m.names[n] = true
	}
	if changed {
		m.text, m.local = state.EncodeApplied(m.names), true
	}
	return m.text, changed
}

// drop takes names out; an empty mark is no longer local.
func (m *mark) drop(names ...string) {
	for _, n := range names {
		delete(m.names, n)
	}
	m.text, m.local = state.EncodeApplied(m.names), len(m.names) > 0
}

// appliedTo are the names in the mark that dplane can have written there. Anybody who may set user properties
// can write others, dplane's own properties and options of zfs among them: they count for nothing, and go when
// the mark is written next.
func appliedTo(d *state.Dataset) map[string]bool {
	names := d.Applied()
	maps.DeleteFunc(names, func(name string, _ bool) bool {
		if spec.IsUserProperty(name) {
			_, _, err := spec.CheckProperty(name, "", ofType(d))
			return err != nil
		}
		info, native := spec.LookupProperty(name, ofType(d))
		return !native || info.Change != spec.Anytime && info.Change != spec.AtCreation
	})
	return names
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
