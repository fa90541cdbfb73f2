package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
)

// Consent is what may be done without asking again.
type Consent struct {
	Risk       spec.Risk         // the highest risk that is carried out; Destructive is never covered by it
	Allow      map[string]bool   // ids of actions that a person named
	Unattended bool              // the daemon asks
	Cut        string            // a file that may be cut off, so that nothing in it is sure; "": none
	Limits     *spec.Limits      // what is changed at once at most; nil: a person lifted them (--allow-limits)
	Wipe       map[string]string // disks that a person named to be cleared: drivers.Input.Wipe
	Restore    map[string]bool   // datasets that a person wants back from the trash: drivers.Input.Restore
	Send       map[string]bool   // replications that a person wants to run now: drivers.Input.Send
	Select     Selection         // the part that is meant
	Pause      string            // why nothing at all is done now
	Trying     bool              // what is done is taken back unless it is confirmed: no time for scheduled work
	Taken      *Try              // what was taken back the last time it was tried: not done unasked; nil: nothing
	Patience   *Patience         // of the loop with what fails and what is fought over; nil: a person's
	Secrets    bool              // somebody at a terminal can be asked for a secret
}

// ByHand is the consent of a person who said yes: everything but what destroys data, within the limits.
// The actions of allow were named one by one, and are not bound.
func ByHand(limits *spec.Limits, allow map[string]bool) Consent {
	return Consent{Risk: spec.Irreversible, Allow: allow, Limits: limits}
}

// Daemon is the consent that the files give to the loop.
func Daemon(want *spec.Spec) Consent {
	return Consent{Risk: want.Daemon.Apply, Unattended: true, Limits: &want.Daemon.Limits, Cut: cutOff(want.Files)}
}

// cutOff is the first file whose last line has no end. An editor may leave it so, and so does a copy that was
// interrupted: then its last value may be half of one.
func cutOff(files map[string][]byte) string {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := files[name]; len(text) > 0 && text[len(text)-1] != '\n' {
			return name
		}
	}
	return ""
}

// spent is what is left of a consent once it was used: an id or a disk that was named holds for one action, once, and
// what is due waits for no try that is over.
func (c Consent) spent() Consent {
	c.Allow, c.Wipe, c.Restore, c.Send, c.Trying = nil, nil, nil, nil, false
	return c
}

// gate fills in why each action of the plan waits. verdict says by id why what waits for an action can't run, as
// far as it is known before; declared is the number of declared objects.
func (c Consent) gate(p *Plan, verdict map[string]string, declared int) {
	for i := range p.Actions {
		if a := &p.Actions[i]; a.Held == "" {
			a.Held = c.hold(a.Action, p.ObservedAt)
		}
	}
	p.follow(verdict) // what waits anyway does not count
	if c.Limits != nil {
		c.limit(p, declared)
		p.follow(verdict)
	}
	p.spare(verdict)
}

// names tells whether a person named the action, or what it destroys.
func (c Consent) names(a drivers.Action) bool { return a.Named || c.Allow[a.ID] }

func (c Consent) hold(a drivers.Action, now time.Time) string {
	switch {
	case a.Verb == drivers.Blocked:
		return ""
	case c.Pause != "":
		return c.Pause
	case !c.Secrets && prompt(a) != "":
		return "asks for the " + prompt(a) + ": dplane apply at a terminal"
	case c.Trying && a.Scheduled:
		return "is not done while something is tried"
	case c.names(a):
		return ""
	case a.Hold != "":
		return fmt.Sprintf("%s: dplane apply --allow %s approves it", a.Hold, a.ID)
	case c.Unattended && now.Before(a.Settles):
		return fmt.Sprintf("is due only because less is to be kept than before: done at %s if it is still so, or by dplane apply", a.Settles.UTC().Format(time.RFC3339))
	case a.Risk == spec.Destructive:
		return fmt.Sprintf("destroys data: only --allow %s approves it", a.ID)
	case a.Risk > c.Risk && c.Unattended:
		return fmt.Sprintf("is %s and daemon.apply is %s: dplane apply approves it", a.Risk, c.Risk)
	case a.Risk > c.Risk:
		return fmt.Sprintf("is %s", a.Risk)
	case c.Unattended && c.shrank(a) != "":
		return c.shrank(a) + ": dplane apply approves it"
	case c.Taken != nil && slices.Contains(c.Taken.Actions, a.ID):
		return fmt.Sprintf("%s tried it and it was taken back, for nobody confirmed it: dplane apply does it", c.Taken.By)
	}
	return c.Patience.hold(a, now)
}

// shrank says why an action may be due only because the files lost something by accident, "" where it can't be: the
// loop does not do it by itself then, whatever it may do (PRODUCT.md section 4, promise 8).
func (c Consent) shrank(a drivers.Action) string {
	switch {
	case a.Risk > spec.Safe && (a.Reason.Code == drivers.Removed || a.Reason.Code == drivers.Trashed):
		return fmt.Sprintf("is %s, and due only because the files say less than before", a.Risk)
	case c.Cut != "" && (a.Risk > spec.Safe || a.Object.Kind == spec.KindPool || !a.Settles.IsZero()): // 30 may have become 3
		return fmt.Sprintf("is %s, and the last line of %s has no end, so that it may be cut off", a.Risk, c.Cut)
	}
	return ""
}

// prompt is the secret that an action asks for, "" where it asks for none.
func prompt(a drivers.Action) string {
	for _, c := range a.Steps {
		if c.Prompt != "" {
			return c.Prompt
		}
	}
	return ""
}

// fewChanges never trip the limit on changes (PRODUCT.md section 4, promise 8).
const fewChanges = 5

// limit holds the whole plan where more would be destroyed or changed than was agreed: a configuration that
// shrank or changed by accident then waits for a person.
func (c Consent) limit(p *Plan, declared int) {
	destroys, changed := c.counted(p)
	switch {
	case c.Unattended && destroys > c.Limits.Destroys: // by hand each that loses data is named, or it does not run
		p.Limit = fmt.Sprintf("%d destroys are more than daemon.limits.destroys (%d)", destroys, c.Limits.Destroys)
	case changed >= fewChanges && changed*100 > c.Limits.Changes*declared:
		p.Limit = fmt.Sprintf("changes to %d of %d declared objects are more than daemon.limits.changes (%d%%)", changed, declared, c.Limits.Changes)
	default:
		return
	}
	for i := range p.Actions {
		if a := &p.Actions[i]; a.Runnable() && (!a.Scheduled || a.Verb == drivers.Destroy) && !c.names(a.Action) {
			a.Held = p.Limit + ": dplane apply --allow-limits approves it"
		}
	}
}

// counted are the destroys and the changed objects that the limits bind: creates, what waits anyway, and what
// a person named don't count.
func (c Consent) counted(p *Plan) (destroys, changed int) {
	objects := map[spec.Ref]bool{}
	for _, a := range p.Actions {
		switch {
		case !a.Runnable() || a.Scheduled || c.names(a.Action): // what a schedule prunes are its own snapshots
		case a.Verb == drivers.Destroy:
			destroys++
			objects[a.Object] = true
		case a.Verb == drivers.Update:
			objects[a.Object] = true
		}
	}
	return destroys, len(objects)
}
