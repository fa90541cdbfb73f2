package replication

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// gone is a machine that does not answer.
type gone struct{ asked int }

func (g *gone) Run(context.Context, host.Command) (host.Result, error) {
	g.asked++
	return host.Result{}, errors.New("no route to host")
}

type nothing struct{}

func (nothing) Replicated(context.Context) (map[string]*state.Replicated, error) { return nil, nil }
func (nothing) SaveReplicated(context.Context, string, *state.Replicated) error  { return nil }
func (nothing) Received(context.Context, int64) (int64, map[string]map[string]*state.Received, error) {
	return 0, nil, nil
}
func (nothing) SaveReceived(context.Context, string, map[string]*state.Received) error { return nil }
func (nothing) Kept(context.Context, string) (*state.Kept, error)                      { return nil, nil }
func (nothing) ForgetReplication(context.Context, string) error                        { return nil }
func (nothing) SaveKept(context.Context, string, *state.Kept) error                    { return nil }

// A machine that does not answer is not asked in each look, and the longer it is away the more seldom.
func TestRest(t *testing.T) {
	g := &gone{}
	d := &Driver{Runner: g, Memory: nothing{}, Now: time.Now}
	want := &spec.Spec{Replications: map[string]*spec.Replication{"off": {
		Name: "off", Source: spec.End{Remote: "b", Dataset: "x/a"}, Target: spec.End{Remote: "b", Dataset: "y/a"},
	}}}
	now := time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	var at []int
	for minute := range 21 {
		obs := state.NewObserved(now.Add(time.Duration(minute)*time.Minute), "")
		had := g.asked
		if err := d.Observe(t.Context(), want, obs); err != nil {
			t.Fatal(err)
		}
		if g.asked > had {
			at = append(at, minute)
		}
		if h := obs.ReplicationHealth; len(h) != 1 || h[0].Error == "" {
			t.Fatalf("in minute %d: %+v", minute, h)
		}
	}
	for i, want := range []int{0, 1, 3, 7, 12, 17} {
		if len(at) != 6 || at[i] != want {
			t.Fatalf("it was asked in the minutes %v", at)
		}
	}
}
