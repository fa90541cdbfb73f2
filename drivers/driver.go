// Package drivers is the contract between one kind of object and the loop: how it is seen, what its
// difference from the desired state costs, and how a change is carried out.
//
// It must never know a concrete kind, a database, or a real process.
package drivers

import (
	"context"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Driver reconciles one kind. Each fact in state.Observed has exactly one driver that fills it in.
type Driver interface {
	Kind() spec.Kind
	// Observe fills in what this kind knows of the machine; it reads only. What can't be seen is
	// marked (Observed.Unseen, ZFS.Error) and is no error.
	Observe(ctx context.Context, want *spec.Spec, obs *state.Observed) error
	// Diff says what must be done, what can't be, and what an operator should know. It is pure.
	Diff(in Input) Result
	// Apply carries one action out: mostly drivers.Apply with the driver's runner.
	Apply(ctx context.Context, a Action) error
}

// Input is all that a decision may depend on.
type Input struct {
	Want *spec.Spec
	Have *state.Observed
	Now  time.Time
	// Wipe are the disks that a person named to be cleared (--wipe DISK=POOL), with the pool whose label
	// may go; "" where none may.
	Wipe map[string]string
	// Send are the names of replications that a person wants to run now.
	Send map[string]bool
	// Patient tells that the loop asks, which leaves what failed lately alone for a while; a person does not.
	Patient bool
	// Restore are the names of datasets that a person wants back from the trash (dplane restore).
	Restore map[string]bool
}

// Result is what one kind has to say of the difference.
type Result struct {
	Actions []Action
	Notices []string // what changes nothing and an operator should know
}
