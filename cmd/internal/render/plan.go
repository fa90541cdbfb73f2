package render

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state"
)

// plan is the JSON document of a plan (PRODUCT.md section 3).
type plan struct {
	Version      int                  `json:"version"`
	Generation   string               `json:"generation"`
	ObservedAt   *time.Time           `json:"observedAt"` // null: never
	Actions      []action             `json:"actions"`
	Summary      map[string]int       `json:"summary"`
	ReceivedOnly []reconcile.Received `json:"receivedOnly"`
	Unseen       []state.Unseen       `json:"unseen"`
	Notices      []string             `json:"notices"`
	Limit        string               `json:"limit"`    // why the limits hold the whole plan
	ZFSError     string               `json:"zfsError"` // why nothing could be seen at all
	ZFSHint      string               `json:"zfsHint"`
}

type action struct {
	ID       string          `json:"id"`
	Object   object          `json:"object"`
	Verb     string          `json:"verb"`
	Risk     string          `json:"risk"`
	Reason   drivers.Reason  `json:"reason"`
	Fields   []drivers.Field `json:"fields"`
	Commands [][]string      `json:"commands"`
	Undo     string          `json:"undo"`
	After    []string        `json:"after"`
	Notes    []string        `json:"notes"`
	Held     string          `json:"held"`
}

type object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

func (o object) String() string { return o.Kind + " " + o.Name }

// PlanJSON is the document of a plan.
func PlanJSON(p *reconcile.Plan) ([]byte, error) { return document(newPlan(p)) }

func newPlan(p *reconcile.Plan) *plan {
	d := &plan{
		Version: 1, Generation: p.Generation, Actions: []action{}, Summary: map[string]int{},
		ReceivedOnly: list(p.ReceivedOnly), Unseen: list(p.Unseen), Notices: list(p.Notices),
		Limit: p.Limit, ZFSError: p.ZFSError, ZFSHint: p.ZFSHint,
	}
	if at := p.ObservedAt.UTC(); !at.IsZero() {
		d.ObservedAt = &at
	}
	for _, a := range p.Actions {
		d.Actions = append(d.Actions, newAction(a))
	}
	for verb, n := range p.Summary() {
		d.Summary[string(verb)] = n
	}
	return d
}

func newAction(a reconcile.Planned) action {
	commands := [][]string{}
	for _, c := range a.Steps {
		commands = append(commands, list(c.Words()))
	}
	return action{
		ID: a.ID, Object: object{string(a.Object.Kind), a.Object.Name}, Verb: string(a.Verb), Risk: a.Risk.String(), Reason: a.Reason,
		Fields: list(a.Fields), Commands: commands, Undo: a.Undo, After: list(a.After), Notes: list(a.Notes), Held: a.Held,
	}
}

// parsePlan reads a document that PlanJSON made, as a record keeps it.
func parsePlan(doc []byte) (*plan, error) {
	p := &plan{}
	if err := json.Unmarshal(doc, p); err != nil {
		return nil, fmt.Errorf("read recorded plan: %w", err)
	}
	return p, nil
}
