package reconcile

import (
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
)

// follow holds what waits for an action that can't run, through the chain: nothing stands before what it waits for.
// verdict says by id why what waits for an action can't run.
func (p *Plan) follow(verdict map[string]string) {
	for i := range p.Actions {
		a := &p.Actions[i]
		for _, id := range a.After {
			if why := verdict[id]; why != "" && a.Runnable() {
				a.Held = "waits for " + why
			}
		}
		switch {
		case a.Verb == drivers.Blocked:
			verdict[a.ID] = a.Object.String() + ", which is blocked"
		case a.Held != "":
			verdict[a.ID] = a.Object.String() + ", which is held"
		}
	}
}

// spare holds a disk's wipe where nothing that takes the disk would run: it is wiped for that alone.
func (p *Plan) spare(verdict map[string]string) {
	for i := range p.Actions {
		a := &p.Actions[i]
		if !a.Named || !a.Runnable() || p.wanted(*a, nil) {
			continue
		}
		a.Held = "goes only for what is left out of the plan"
		if j := slices.IndexFunc(p.Actions, func(t Planned) bool { return slices.Contains(t.After, a.ID) }); j >= 0 {
			a.Held = "goes only for " + verdict[p.Actions[j].ID]
		}
	}
}

// wanted tells whether an action that waits for a would run, when what failed, by id, did not.
func (p *Plan) wanted(a Planned, failed map[string]string) bool {
	return slices.ContainsFunc(p.Actions, func(t Planned) bool {
		return slices.Contains(t.After, a.ID) && t.Runnable() &&
			!slices.ContainsFunc(t.After, func(id string) bool { return failed[id] != "" })
	})
}

// vain says why an action would come to nothing, now that others failed or were not carried out; "" where it would not.
func (p *Plan) vain(a Planned, failed map[string]string) string {
	var awaited []string
	for _, id := range a.After {
		if what := failed[id]; what != "" && !slices.Contains(awaited, what) {
			awaited = append(awaited, what)
		}
	}
	switch {
	case len(awaited) > 0:
		return "it waited for " + strings.Join(awaited, ", ")
	case a.Named && !p.wanted(a, failed):
		return "what would take it can't run"
	}
	return ""
}
