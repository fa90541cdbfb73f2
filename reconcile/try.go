package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
)

// Try is an apply that is taken back unless somebody confirms it in time: plain data, which stands in a file of its
// own before the first command runs, so that whoever comes after a crash can take it back.
type Try struct {
	Version    int         `json:"version"` // 1
	Deadline   time.Time   `json:"deadline"`
	By         string      `json:"by"`
	Generation string      `json:"generation"`
	Actions    []string    `json:"actions"` // ids of what was tried
	Undo       []host.Undo `json:"undo"`    // in the order in which things were changed
}

// LongestTry bounds how long an apply holds the lock and waits: nothing else is done meanwhile.
const LongestTry = time.Hour

// Reverse tells how to take back one command, nil where it can't be: zfs.Reverse.
type Reverse func(host.Command) []host.Reversal

// UntriableError is an action that could not be taken back.
type UntriableError struct {
	Action drivers.Action
	Why    string
}

func (e *UntriableError) Error() string {
	return fmt.Sprintf("%s %s can't be tried: %s", e.Action.Verb, e.Action.Object, e.Why)
}

// NewTry asks what all that the plan would change is now. Only properties, mounts and renames can be tried.
func NewTry(ctx context.Context, r host.Runner, reverse Reverse, p *Plan) (*Try, error) {
	t := &Try{Version: 1, Generation: p.Generation}
	seen := map[string]bool{}
	for _, a := range p.Actions {
		if !a.Runnable() {
			continue
		}
		undo, err := undoOf(ctx, r, reverse, a.Action)
		if err != nil {
			return nil, err
		}
		t.Actions = append(t.Actions, a.ID)
		for _, u := range undo {
			if !seen[u.Read.String()] { // the first answer is that from before
				t.Undo = append(t.Undo, u)
			}
			seen[u.Read.String()] = true
		}
	}
	return t, nil
}

func undoOf(ctx context.Context, r host.Runner, reverse Reverse, a drivers.Action) ([]host.Undo, error) {
	if a.Risk > spec.Disruptive || a.Verb != drivers.Update && a.Verb != drivers.Run || len(a.Steps) == 0 {
		return nil, &UntriableError{a, "only changes of properties, mounts and names can be taken back"}
	}
	var out []host.Undo
	for _, c := range a.Steps {
		reversals := reverse(c)
		if reversals == nil {
			return nil, &UntriableError{a, fmt.Sprintf("%s can't be taken back", c)}
		}
		for _, v := range reversals {
			u, err := v.Bind(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("look at what is to be tried: %w", err)
			}
			switch {
			case u.Was == "" && len(a.After) > 0: // a rename, as a rule
				return nil, &UntriableError{a, "it has that name only once another action of the plan is done: try the rename first, and declare the other changes when it is confirmed"}
			case u.Back == nil:
				return nil, &UntriableError{a, fmt.Sprintf("%s does not tell what to go back to", v.Read)}
			}
			out = append(out, u)
		}
	}
	return out, nil
}

// Note asks what the machine says now that it is changed: what says something else later was changed by somebody
// else, and is left alone.
func (t *Try) Note(ctx context.Context, r host.Runner) error {
	for i := range t.Undo {
		if err := t.Undo[i].Note(ctx, r); err != nil {
			return fmt.Errorf("look at what was tried: %w", err)
		}
	}
	return nil
}

// Revert takes everything back, the last change first. left is what somebody else changed since; an error is what
// has to be tried again.
func (t *Try) Revert(ctx context.Context, r host.Runner) (left []string, err error) {
	var failed []error
	for i := len(t.Undo) - 1; i >= 0; i-- {
		switch err := t.Undo[i].Revert(ctx, r); {
		case errors.Is(err, host.ErrChangedSince):
			left = append(left, err.Error())
		case err != nil:
			failed = append(failed, err)
		}
	}
	return left, errors.Join(failed...)
}
