package reconcile

import (
	"fmt"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
)

// Consent is what may be done without asking again.
type Consent struct {
	Risk        spec.Risk       // the highest risk that is carried out; Destructive is never covered by it
	Allow       map[string]bool // ids of actions that a person named
	Unattended  bool            // the daemon: the limits bind
	Limits      spec.Limits
	AllowLimits bool
}

// ByHand is the consent of a person who said yes: everything but what destroys data.
func ByHand(allow map[string]bool) Consent {
	return Consent{Risk: spec.Irreversible, Allow: allow}
}

// Daemon is the consent that the files give to the loop.
func Daemon(d spec.Daemon) Consent {
	return Consent{Risk: d.Apply, Unattended: true, Limits: d.Limits}
}

// gate fills in why each action of the plan waits. declared is the number of declared objects.
func (c Consent) gate(p *Plan, declared int) {
	verdict := map[string]string{} // id -> why what waits for it can't run
	for i := range p.Actions {
		a := &p.Actions[i]
		a.Held = c.hold(a.Action)
		for _, id := range a.After {
			if why := verdict[id]; why != "" && a.Held == "" && a.Verb != drivers.Blocked {
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
	if c.Unattended && !c.AllowLimits {
		c.limit(p, declared)
	}
}

func (c Consent) hold(a drivers.Action) string {
	switch {
	case a.Verb == drivers.Blocked, c.Allow[a.ID]:
		return ""
	case a.Risk == spec.Destructive:
		return fmt.Sprintf("destroys data: only --allow %s approves it", a.ID)
	case a.Risk > c.Risk && c.Unattended:
		return fmt.Sprintf("is %s and daemon.apply is %s: dplane apply approves it", a.Risk, c.Risk)
	case a.Risk > c.Risk:
		return fmt.Sprintf("is %s", a.Risk)
	}
	return ""
}

// fewChanges never trip the limit on changes (PRODUCT.md section 4, promise 8).
const fewChanges = 5

// limit holds the whole plan where an unattended apply would destroy or change more than was agreed:
// a configuration that shrank or changed by accident then waits for a person.
func (c Consent) limit(p *Plan, declared int) {
	var destroys, changes int
	for _, a := range p.Actions {
		if !a.Runnable() {
			continue
		}
		switch a.Verb {
		case drivers.Destroy:
			destroys++
		case drivers.Update:
			changes++
		}
	}
	switch {
	case destroys > c.Limits.Destroys:
		p.Limit = fmt.Sprintf("%d destroys are more than daemon.limits.destroys (%d)", destroys, c.Limits.Destroys)
	case changes >= fewChanges && changes*100 > c.Limits.Changes*declared:
		p.Limit = fmt.Sprintf("%d changes to %d declared objects are more than daemon.limits.changes (%d%%)", changes, declared, c.Limits.Changes)
	default:
		return
	}
	for i := range p.Actions {
		if a := &p.Actions[i]; a.Runnable() {
			a.Held = p.Limit + ": dplane apply carries it out"
		}
	}
}
