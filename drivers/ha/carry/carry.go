// Package carry does on this node what the role machine has decided: the steps of promotions and demotions, with the group's
// datasets, its hooks and its address. A step can be done again, also where it was done in part; it says what it could not
// do, to which object, and what a person can type.
//
// A demotion is believed by three ways, not by one: the property and its source, the kernel's mounts, and a write that has
// to fail (openzfs #231 and #3351: readonly may be temporary; #18557: a mount option overrode it).
//
// It must never decide whether a step is done, touch a dataset that is not of the group but what it put aside of it, roll
// anything back, destroy anything but what a broken receive left in part and a clone in which nothing was written, or force an
// unmount.
package carry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Node is this node's part of a group.
type Node struct {
	Runner host.Runner
	HA     *spec.HA
	// Mountpoints are those that the files declare, by dataset: where clients look for it has to be there before they are let in,
	// and not by the next round of the loop.
	Mountpoints map[string]string
	Now         func() time.Time
	Sleep       func(context.Context, time.Duration) error // between two looks at what takes a while
	// Quiet tells whether nobody is on the way in whom the gate, which was shut before, let in; nil: nobody ever is.
	Quiet func() (bool, error)
	// Send sends the final increment of a switchover, and comes back when the other node has it.
	Send func(ctx context.Context, to string) error
	// Replaced is told of each dataset of which another one is about to take the place; may be nil.
	Replaced func(ctx context.Context, name string) error
	// Absent: datasets that are not here, of pools that are, are passed over.
	Absent bool
}

// move does a step, and takes it back.
type move struct{ do, undo func(context.Context) error }

func (m move) other() move { return move{do: m.undo, undo: m.do} }

// nothing is what the loop and the beats do by the role, what harms nobody where it stays (keys that are loaded, a set that
// is held), and in manual mode the lease.
func nothing(context.Context) error { return nil }

// upward are the steps that promotions and demotions have in common, in the direction of more.
func (n *Node) upward(term uint64) map[string]move {
	return map[string]move{
		ha.StepAddress:  {n.takeAddress, n.dropAddress},
		ha.StepHooks:    {n.startHooks, n.stopHooks},
		ha.StepMount:    {n.mount, n.unmount},
		ha.StepReadonly: {func(ctx context.Context) error { return n.open(ctx, term) }, n.close},
	}
}

func (n *Node) promotion(term uint64) map[string]move {
	all := n.upward(term)
	all[ha.StepMount] = move{n.mount, n.unmountAll} // its undo comes before readonly's: nothing is closed yet
	all[ha.StepGate] = move{n.quiet, nothing}
	all[ha.StepSet] = move{n.chooseSet, nothing}
	all[ha.StepKeys] = move{n.loadKeys, nothing}
	all[ha.StepAhead] = move{
		func(ctx context.Context) error { return n.ahead(ctx, term) }, func(ctx context.Context) error { return n.notAhead(ctx, term) },
	}
	all[ha.StepSchedule] = move{nothing, nothing}
	all[ha.StepPublish] = move{nothing, nothing}
	return all
}

func (n *Node) demotion(to string, term uint64) map[string]move {
	up := n.upward(term)
	return map[string]move{
		ha.StepAddress:  up[ha.StepAddress].other(),
		ha.StepHooks:    up[ha.StepHooks].other(),
		ha.StepReadonly: up[ha.StepReadonly].other(),
		ha.StepUnmount:  up[ha.StepMount].other(),
		ha.StepSnapshot: {func(ctx context.Context) error { return n.snapshot(ctx, term) }, nothing},
		ha.StepSend:     {func(ctx context.Context) error { return n.send(ctx, to) }, nothing},
		ha.StepVerify:   {n.Verify, nothing},
		ha.StepRelease:  {nothing, nothing},
	}
}

// Promote does a step of a promotion to a term.
func (n *Node) Promote(ctx context.Context, step string, term uint64) error {
	m, ok := n.promotion(term)[step]
	if !ok {
		return fmt.Errorf("there is no step %q in a promotion", step)
	}
	return m.do(ctx)
}

// UndoPromote takes a step of a promotion to a term back.
func (n *Node) UndoPromote(ctx context.Context, step string, term uint64) error {
	m, ok := n.promotion(term)[step]
	if !ok {
		return fmt.Errorf("there is no step %q in a promotion", step)
	}
	return m.undo(ctx)
}

// Demote does a step of a demotion in favour of a node, "" where nobody is known; term is the one that it was active in.
func (n *Node) Demote(ctx context.Context, step, to string, term uint64) error {
	m, ok := n.demotion(to, term)[step]
	if !ok {
		return fmt.Errorf("there is no step %q in a demotion", step)
	}
	return m.do(ctx)
}

// UndoDemote takes a step of a demotion back: the node stays active.
func (n *Node) UndoDemote(ctx context.Context, step string, term uint64) error {
	m, ok := n.demotion("", term)[step]
	if !ok {
		return fmt.Errorf("there is no step %q in a demotion", step)
	}
	return m.undo(ctx)
}

func (n *Node) send(ctx context.Context, to string) error {
	if n.Send == nil {
		return errors.New("no replication to the standby is declared: nothing sends the final increment")
	}
	return n.Send(ctx, to)
}

// Look tells whether the group can be written here (yes, no or unknown), and the highest term that its datasets name.
func (n *Node) Look(ctx context.Context) (writable string, term uint64, err error) {
	list, err := n.here().list(ctx)
	if err != nil {
		return state.WritableUnknown, 0, err
	}
	for _, d := range list {
		term = max(term, termOf(d))
		if d.Properties["readonly"].Value != "on" {
			writable = state.WritableYes
		}
	}
	if writable == "" {
		if why, err := n.writableMounts(ctx, list); err != nil {
			return state.WritableUnknown, term, err
		} else if len(why) > 0 {
			writable = state.WritableYes
		}
	}
	held, err := n.hasAddress(ctx)
	switch {
	case err != nil:
		return state.WritableUnknown, term, err
	case held:
		writable = state.WritableYes
	case writable == "":
		writable = state.WritableNo
	}
	return writable, term, nil
}

// list are the group's datasets here with all below them, those above first. One that the files name and that is not here
// is an error: a node without it can't be active.
func (n *Node) list(ctx context.Context) (all []*state.Dataset, err error) {
	pools := map[string][]string{}
	for _, d := range n.HA.Datasets {
		pools[string(d.Pool())] = append(pools[string(d.Pool())], string(d))
	}
	for _, pool := range sortedKeys(pools) {
		some, err := n.get(ctx, pool, pools[pool])
		if err != nil {
			return nil, fmt.Errorf("look at the group's datasets in %s: %w", pool, err)
		}
		all = append(all, some...)
	}
	all = slices.DeleteFunc(all, func(d *state.Dataset) bool { return spec.DatasetName(d.Name).InTrash() })
	slices.SortFunc(all, func(a, b *state.Dataset) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// each does something to each dataset and goes on where it fails.
func each(all []*state.Dataset, do func(*state.Dataset) error) error {
	var errs []error
	for _, d := range all {
		if err := do(d); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (n *Node) run(ctx context.Context, c host.Command) error {
	_, err := n.Runner.Run(ctx, c)
	return err
}

// until looks again and again, for as long as that.
func (n *Node) until(ctx context.Context, long time.Duration, is func() (bool, error)) (bool, error) {
	for end := n.Now().Add(long); ; {
		if ok, err := is(); ok || err != nil {
			return ok, err
		}
		if !n.Now().Before(end) {
			return false, nil
		}
		if err := n.Sleep(ctx, 200*time.Millisecond); err != nil {
			return false, err
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
