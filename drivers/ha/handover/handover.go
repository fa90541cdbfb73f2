// Package handover is what ha.active asks for, as a kind of the plan: an edit is a switchover, which waits for leave as whatever
// is disruptive does; what a command overruled is blocked until it is edited.
//
// It goes by what the daemon recorded of the group, and has the daemon do it, which judges all of it again. Of the nodes, whose
// files say the same, one acts: the active one, or where there is none, the one that is to be.
//
// It must never decide who may write, nor prove anything.
package handover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Memory is where the daemon recorded how the group is.
type Memory interface {
	HA(ctx context.Context) (*state.HARecord, error)
}

// Driver compares ha.active with who is active.
type Driver struct {
	Memory Memory // nil: a driver that only plans
	// Order has the daemon hand over, and waits for the end; nil: nothing may be changed.
	Order func(ctx context.Context, to string) error
}

var _ drivers.Driver = (*Driver)(nil)

// Kind is spec.KindHA.
func (*Driver) Kind() spec.Kind { return spec.KindHA }

// Observe reads what was recorded.
func (d *Driver) Observe(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	if want.HA == nil || d.Memory == nil {
		return nil
	}
	rec, err := d.Memory.HA(ctx)
	if err != nil {
		return err
	}
	obs.HA = Seen(rec, want.Shared(), obs.At)
	return nil
}

// fresh is how many intervals a record tells of now, and oldest is the least: a machine that is busy writes it later.
const (
	fresh  = 3
	oldest = 30 * time.Second
)

// Seen is what a record tells at a time; nil where it tells of no group.
func Seen(rec *state.HARecord, shared string, at time.Time) *state.Group {
	if rec == nil || rec.Off {
		return nil
	}
	h := rec.HA
	g := &state.Group{
		Node: h.Node, Role: h.Role, Term: h.Term, Holder: h.Holder, Overruled: h.Overruled, Acted: h.Acted, Paused: h.Paused, Frozen: h.Frozen,
		Old: at.Sub(rec.At).Abs() > max(fresh*rec.Every, oldest), Peers: map[string]state.Mate{},
	}
	if h.Job != nil {
		g.Job = h.Job.Kind
	}
	for _, p := range rec.Peers {
		x := h.Peers[p.Name]
		m := state.Mate{State: x.State}
		well := !x.Stale && x.Last != nil && (x.State == state.PeerHealthy || x.State == state.PeerDegraded)
		if well && !g.Old && rec.At.Sub(x.LastAt) <= rec.Every*time.Duration(rec.Misses) {
			m = state.Mate{State: x.State, Reached: true, Role: x.Last.Role, Term: x.Last.Term, Same: x.Last.Shared == shared}
		}
		g.Peers[p.Name] = m
	}
	return g
}

// Apply hands over. The daemon judges by what is so now.
func (d *Driver) Apply(ctx context.Context, a drivers.Action) error {
	to := ""
	for _, f := range a.Fields {
		if f.Name == field {
			to = f.To
		}
	}
	switch {
	case a.Verb != drivers.Update || to == "":
		return fmt.Errorf("%s %s: it is not known how", a.Verb, a.Object)
	case d.Order == nil:
		return errors.New("nothing may be changed here")
	}
	if err := d.Order(ctx, to); err != nil {
		return fmt.Errorf("hand the group over to %s: %w", to, err)
	}
	return nil
}

// Command is what the action does, as it is typed.
func Command(to string) []string { return []string{"dplane", "ha", ha.Switchover, "--to", to} }
