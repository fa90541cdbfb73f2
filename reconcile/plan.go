// Package reconcile decides when, in what order and with whose leave the drivers' actions run: the
// plan, the gate, and the loop.
//
// It must never know a kind of object, SQL, or a real process; it reaches them through
// drivers.Driver and Store.
package reconcile

import (
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// Plan is what would be done, in order, and what would not, with the reason.
type Plan struct {
	Generation   string
	ObservedAt   time.Time
	Actions      []Planned
	ReceivedOnly []Received     // declared here, written by another machine
	Unseen       []state.Unseen // of which nothing could be planned
	ZFSError     string         // nothing could be seen at all
	ZFSHint      string         // what the operator can do about it
	Notices      []string       // what changed nothing and an operator should know
	Limit        string         // why the limits hold the whole plan, "" where they don't
	Unmatched    []string       // patterns of the selection that fit nothing declared or planned
}

// Planned is an action with the gate's verdict.
type Planned struct {
	drivers.Action
	Held string // why it waits, "" where it may run
}

// Received is a dataset that is received only.
type Received struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Runnable tells whether the action would be carried out.
func (p Planned) Runnable() bool { return p.Held == "" && p.Verb != drivers.Blocked }

// Pending is the number of actions that `plan --detailed-exitcode` counts: all but scheduled work.
func (p *Plan) Pending() int {
	n := 0
	for _, a := range p.Actions {
		if !a.Scheduled {
			n++
		}
	}
	return n
}

// Asked is the number of actions that wait for a person who names them, scheduled work included.
func (p *Plan) Asked() int {
	n := 0
	for _, a := range p.Actions {
		if a.Hold != "" && a.Held != "" {
			n++
		}
	}
	return n
}

// Summary counts the actions by verb.
func (p *Plan) Summary() map[drivers.Verb]int {
	n := map[drivers.Verb]int{}
	for _, a := range p.Actions {
		n[a.Verb]++
	}
	return n
}
