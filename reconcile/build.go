package reconcile

import (
	"fmt"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
)

// Build makes the plan: every driver's actions, in the order in which they can run, each with the
// gate's verdict. It is a pure function of what is wanted, what was seen, the clock and the consent.
func Build(in drivers.Input, ds []drivers.Driver, consent Consent) *Plan {
	p := &Plan{
		Generation:   in.Want.Generation,
		ObservedAt:   in.Have.At,
		ReceivedOnly: receivedOnly(in),
		ZFSError:     in.Have.ZFS.Error,
		ZFSHint:      in.Have.ZFS.Hint,
	}
	if p.ZFSError != "" {
		return p // unseen is not absent: nothing can be planned
	}
	p.Unseen = in.Have.Unseen
	var actions []drivers.Action
	for _, d := range ds {
		r := d.Diff(in)
		actions, p.Notices = append(actions, r.Actions...), append(p.Notices, r.Notices...)
	}
	actions = freeze(in, actions)
	for i := range actions {
		actions[i].Identify()
	}
	consent.gate(p, p.fill(in.Want, order(resolve(actions)), consent.Select), len(in.Want.Pools)+len(in.Want.Datasets))
	return p
}

// fill takes the selected actions into the plan. It gives what is known against each action that waits for
// something before the gate has looked: that the other one is left out.
func (p *Plan) fill(want *spec.Spec, actions []drivers.Action, s Selection) (verdict map[string]string) {
	if s.All() {
		for _, a := range actions {
			p.Actions = append(p.Actions, Planned{Action: a})
		}
		return map[string]string{}
	}
	names := known(want, actions)
	p.Unmatched = s.strangers(names)
	kept, left := s.pick(actions)
	for _, a := range kept {
		p.Actions = append(p.Actions, Planned{Action: a, Held: s.carries(a, names)})
	}
	if len(left) > 0 {
		p.Notices = append(p.Notices, fmt.Sprintf("%d other action(s) are left out by --only and --except", len(left)))
	}
	return left
}

func receivedOnly(in drivers.Input) []Received {
	var out []Received
	for _, n := range in.Want.DatasetNames() {
		if why := in.Want.ReceivedOnly(n, in.Have.Role); why != "" {
			out = append(out, Received{Name: string(n), Why: why})
		}
	}
	return out
}

// resolve turns the objects an action waits for into the ids of what makes those objects, or of what
// says that they can't be made.
func resolve(actions []drivers.Action) []drivers.Action {
	makers := map[spec.Ref][]string{}
	for _, a := range actions {
		blocks := a.Verb == drivers.Blocked && (a.Reason.Code == drivers.Missing || a.Reason.Code == drivers.Conflict)
		if a.Verb == drivers.Create || blocks {
			makers[a.Object] = append(makers[a.Object], a.ID)
		}
	}
	for i, a := range actions {
		for _, ref := range a.Waits {
			if ref != a.Object {
				actions[i].After = append(actions[i].After, makers[ref]...)
			}
		}
	}
	return actions
}

// order sorts so that nothing stands before what it waits for, and otherwise keeps the order given.
// A cycle, which no driver makes, is cut where it is entered.
func order(actions []drivers.Action) []drivers.Action {
	index := make(map[string]int, len(actions))
	for i, a := range actions {
		index[a.ID] = i
	}
	out := make([]drivers.Action, 0, len(actions))
	state := make([]byte, len(actions)) // 0 new, 1 being visited, 2 placed
	var visit func(i int)
	visit = func(i int) {
		if state[i] != 0 {
			return
		}
		state[i] = 1
		for _, id := range actions[i].After {
			if j, ok := index[id]; ok {
				visit(j)
			}
		}
		state[i] = 2
		out = append(out, actions[i])
	}
	for i := range actions {
		visit(i)
	}
	return out
}
