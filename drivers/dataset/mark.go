package dataset

import (
	"maps"
	"slices"

	"github.com/dplaneos/dplane/state"
)

// mark is the set of names in dplane:applied as a plan goes on: each action writes the mark that holds once
// it is done, and the next one starts from there.
type mark struct {
	names map[string]bool
	local bool // set on the dataset itself; an inherited or received one is not dplane's word
}

func markOf(d *state.Dataset) *mark {
	return &mark{names: d.Applied(), local: d.Properties[state.AppliedProperty].Local()}
}

// value is the mark as ZFS has it, and as a guard compares it.
func (m *mark) value() string { return state.EncodeApplied(m.names) }

// add gives the mark's new value, and whether it has to be written at all.
func (m *mark) add(names ...string) (value string, changed bool) {
	before := m.value()
	for _, n := range names {
		m.names[n] = true
	}
	changed = m.value() != before
	m.local = true
	return m.value(), changed
}

// drop takes names out; an empty mark is no longer local.
func (m *mark) drop(names ...string) {
	for _, n := range names {
		delete(m.names, n)
	}
	m.local = len(m.names) > 0
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
