package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
)

// Selection is the part of a plan that a person asked for (--only, --except); the zero value is all of it.
// Only means just the objects that fit; what their actions wait for comes with them. Except leaves out what fits
// with all that is below it, and wins over Only: what waits for something that is left out is held.
type Selection struct {
	Only   []spec.Pattern `json:"only,omitempty"`
	Except []spec.Pattern `json:"except,omitempty"`
}

// All tells whether nothing is left out.
func (s Selection) All() bool { return len(s.Only) == 0 && len(s.Except) == 0 }

func (s Selection) excepts(name string) bool {
	return slices.ContainsFunc(s.Except, func(p spec.Pattern) bool { return p.Covers(name) })
}

func (s Selection) names(name string) bool {
	return len(s.Only) == 0 || slices.ContainsFunc(s.Only, func(p spec.Pattern) bool { return p.Match(name) })
}

// strangers are the patterns that fit no name: a slip of the pen, and nothing is to be done then.
func (s Selection) strangers(names []string) []string {
	var out []string
	for _, p := range slices.Concat(s.Only, s.Except) {
		if !slices.ContainsFunc(names, p.Match) {
			out = append(out, string(p))
		}
	}
	return out
}

// pick parts the actions, which keep their order, and says of those that are left out why what waits for them
// can't run.
func (s Selection) pick(actions []drivers.Action) (kept []drivers.Action, left map[string]string) {
	byID := make(map[string]*drivers.Action, len(actions))
	for i := range actions {
		byID[actions[i].ID] = &actions[i]
	}
	in := map[string]bool{}
	var take func(id string)
	take = func(id string) {
		a := byID[id]
		if a == nil || in[id] || s.excepts(a.Object.Name) {
			return
		}
		in[id] = true
		for _, before := range a.After {
			take(before)
		}
	}
	for _, a := range actions {
		if s.names(a.Object.Name) {
			take(a.ID)
		}
	}
	left = map[string]string{}
	for _, a := range actions {
		if in[a.ID] {
			kept = append(kept, a)
		} else {
			left[a.ID] = a.Object.String() + ", which is left out"
		}
	}
	return kept, left
}

// carries says which object that is left out an action would take along with its own: to rename or destroy a
// dataset is to do so to what is below it. "": none.
func (s Selection) carries(a drivers.Action, names []string) string {
	if len(s.Except) == 0 || !moves(a) {
		return ""
	}
	for _, n := range names {
		if strings.HasPrefix(n, a.Object.Name+"/") && s.excepts(n) {
			return fmt.Sprintf("would take %s along, which is left out", n)
		}
	}
	return ""
}

// moves tells whether what is below the object shares its fate.
func moves(a drivers.Action) bool {
	if a.Verb == drivers.Destroy {
		return true
	}
	for _, c := range a.Steps {
		if len(c.Argv) > 1 && (c.Argv[1] == "rename" || c.Argv[1] == "destroy" || c.Argv[1] == "export") {
			return true
		}
	}
	return false
}

// known are all names that a pattern may mean: what is declared, and what the plan is about.
func known(want *spec.Spec, actions []drivers.Action) []string {
	names := map[string]bool{}
	for n := range want.Pools {
		names[string(n)] = true
	}
	for n := range want.Datasets {
		names[string(n)] = true
	}
	for _, a := range actions {
		names[a.Object.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
