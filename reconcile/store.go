package reconcile

import (
	"context"
	"time"

	"github.com/dplaneos/dplane/state"
)

// Store is the memory. Every method is durable when it returns; nothing in it is an authority on what
// the machine is.
type Store interface {
	// Begin writes an action's intent (outcome started) before anything is done, and gives its id.
	Begin(ctx context.Context, e state.Event) (int64, error)
	// Finish completes an intent.
	Finish(ctx context.Context, id int64, outcome, errText string, at time.Time) error
	// Log writes an event that is no action.
	Log(ctx context.Context, e state.Event) error
	// Acted tells whether an action was ever begun.
	Acted(ctx context.Context) (bool, error)
	// Unsettled are intents that were never finished: the process died; looking again settles them.
	Unsettled(ctx context.Context) ([]state.Event, error)

	// SaveGeneration records an accepted configuration and gives its number; the same hash as the
	// newest one's gives that number and writes nothing.
	SaveGeneration(ctx context.Context, g state.Generation) (int64, error)
	// LastGeneration is the newest accepted one.
	LastGeneration(ctx context.Context) (g state.Generation, found bool, err error)

	// Recorded are the pools and datasets seen before.
	Recorded(ctx context.Context) ([]state.Recorded, error)
	// SaveRecord keeps the result of a reconcile for status, and remembers what was observed.
	SaveRecord(ctx context.Context, r state.Record) error

	// SavePatience keeps a JSON document of what the loop learned of objects that fail; Patience gives it, nil where
	// there is none.
	SavePatience(ctx context.Context, doc []byte) error
	Patience(ctx context.Context) ([]byte, error)

	// Forget ends the memory of the pool or dataset of this name, and of what is below it; it gives the
	// number of memories that ended.
	Forget(ctx context.Context, name string) (int, error)

	// UsePlan marks a saved plan as used; used tells whether it was already.
	UsePlan(ctx context.Context, hash string, at time.Time) (used bool, err error)
}
