package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state"
)

// saved is the file that `plan --out` writes: the plan's JSON document, and beside it, under `bound`,
// what it is bound to.
type saved struct {
	Bound bound `json:"bound"`
}

// bound holds the configuration and the observed values that a plan relies on: each action's guards
// repeat the reads it was made from, with their answers.
type bound struct {
	Generation string              `json:"generation"`
	ObservedAt string              `json:"observedAt"`
	Select     reconcile.Selection `json:"select,omitzero"` // the part of the plan that it is
	Actions    []drivers.Action    `json:"actions"`
	Hash       string              `json:"hash"` // of all above
}

func bind(p *reconcile.Plan, part reconcile.Selection) (bound, error) {
	b := bound{Generation: p.Generation, Select: part, ObservedAt: p.ObservedAt.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")}
	for _, a := range p.Actions {
		b.Actions = append(b.Actions, a.Action)
	}
	var err error
	b.Hash, err = b.sum()
	return b, err
}

func (b bound) sum() (string, error) {
	b.Hash = ""
	doc, err := json.Marshal(b)
	if err != nil {
		return "", fmt.Errorf("hash the plan: %w", err)
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:]), nil
}

func savePlan(path string, p *reconcile.Plan, part reconcile.Selection) error {
	doc, err := render.PlanJSON(p)
	if err != nil {
		return err
	}
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(doc, &whole); err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	b, err := bind(p, part)
	if err != nil {
		return err
	}
	if whole["bound"], err = json.Marshal(b); err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	if doc, err = json.MarshalIndent(whole, "", "  "); err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	if err := os.WriteFile(path, append(doc, '\n'), 0o600); err != nil {
		return failf("choose a file that can be written", "save the plan: %w", err)
	}
	return nil
}

func readPlan(path string) (bound, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return bound{}, failf("dplane plan --out "+path+" makes one", "read the saved plan: %w", err)
	}
	var s saved
	if err := json.Unmarshal(doc, &s); err != nil {
		return bound{}, failf("dplane plan --out makes one", "%s is no saved plan: %w", path, err)
	}
	if sum, err := s.Bound.sum(); err != nil || sum != s.Bound.Hash {
		return bound{}, failf("dplane plan --out makes a new one", "%s is no saved plan, or was changed after it was saved", path)
	}
	return s.Bound, nil
}

// fits compares a saved plan with one made now, and says what changed; "" where nothing did.
func (b bound) fits(now *reconcile.Plan) string {
	if now.Generation != b.Generation {
		return fmt.Sprintf("the configuration changed: the plan is for generation %.12s, the files are %.12s", b.Generation, now.Generation)
	}
	fresh := map[string]drivers.Action{}
	for _, a := range now.Actions {
		fresh[a.ID] = a.Action
	}
	for _, old := range b.Actions {
		a, ok := fresh[old.ID]
		if !ok && old.Scheduled {
			continue // done meanwhile
		}
		if !ok {
			return fmt.Sprintf("%s %s (%s) is no longer what is to be done", old.Verb, old.Object, old.ID)
		}
		if old.Taking != nil {
			delete(fresh, old.ID) // its names are those of the moment
			continue
		}
		if !same(old.Guard, a.Guard) || !same(undated(old.Steps), undated(a.Steps)) {
			return fmt.Sprintf("what %s %s relies on has changed on the machine", old.Verb, old.Object)
		}
		delete(fresh, old.ID)
	}
	for _, a := range now.Actions {
		if _, extra := fresh[a.ID]; extra && !a.Scheduled {
			return fmt.Sprintf("%s %s (%s) has become due since", a.Verb, a.Object, a.ID)
		}
	}
	return ""
}

// leaveOut takes the scheduled work out of a plan made now that became due since, and what was decided with it: the
// saved one is carried out exactly.
func (b bound) leaveOut(now *reconcile.Plan) {
	known := map[string]bool{}
	for _, a := range b.Actions {
		known[a.ID] = true
	}
	left := map[string]bool{}
	now.Actions = slices.DeleteFunc(now.Actions, func(a reconcile.Planned) bool { // what waits stands after what it waits for
		out := a.Scheduled && (!known[a.ID] || slices.ContainsFunc(a.After, func(id string) bool { return left[id] }))
		left[a.ID] = out
		return out
	})
}

// undated are commands without the moment that act one of a destroy marks a dataset with: it is that of the apply.
func undated(steps []host.Command) [][]string {
	all := make([][]string, len(steps))
	for i, c := range steps {
		all[i] = slices.DeleteFunc(c.Words(), func(w string) bool { return strings.HasPrefix(w, state.TrashTime+"=") })
	}
	return all
}

func same(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}
