package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/rejoin"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// rejoinOf is how this node comes back behind the active one, nil where that one's ZFS is not reached.
func rejoinOf(r host.Runner, want *spec.Spec, active string, term uint64) *rejoin.Node {
	p := want.HA.Peers[active]
	if p == nil || p.Remote == "" {
		return nil
	}
	return &rejoin.Node{Runner: r, Group: want.HA.Datasets, Remote: p.Remote, Term: term}
}

func (a *app) haRejoin() *cobra.Command {
	f := &orders{}
	keep, discard := false, false
	c := &cobra.Command{
		Use:   "rejoin [--keep | --discard]",
		Short: "Bring this node back, where it has what the active one lacks: keep that aside, or give it up",
		Long: `Shows what this node has alone, and what each way out does to it. With --keep that is put aside beside the group, under
NAME.diverged-tTERM, and nothing of it is lost; with --discard the datasets are rolled back to what both nodes have. Either way
the active node goes on from there, and sends nothing whole that has a snapshot in common. What is approved is exactly what
was shown.`,
		Example: "  dplane ha rejoin\n  dplane ha rejoin --keep\n  dplane ha rejoin --discard",
		Args:    args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case keep && discard:
				return usagef("--keep and --discard exclude each other")
			case keep:
				return a.rejoin(c.Context(), f, ha.Keep)
			case discard:
				return a.rejoin(c.Context(), f, ha.Discard)
			}
			return a.rejoin(c.Context(), f, "")
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "put aside what only this node has")
	c.Flags().BoolVar(&discard, "discard", false, "give up what only this node has")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	c.Flags().DurationVar(&f.wait, "wait", 5*time.Minute, "how long to wait for the end; it goes on by itself after that")
	return c
}

func (a *app) rejoin(ctx context.Context, f *orders, how string) error {
	var s haState
	want, err := a.askDaemon(ctx, verbState, nil, &s)
	if err != nil {
		return err
	}
	switch {
	case s.Role == state.RoleSplitBrain && how != "":
		return a.stopWriting(ctx, f, how, &s)
	case s.Role == state.RoleSplitBrain:
		return failf("dplane ha rejoin --keep, on the node that is to stop writing", "two nodes are active: nothing can be compared before one of them has stopped")
	case s.Role == state.RoleRejoining:
		return failf("dplane ha status; dplane events --search ha", "this node is being compared with %s still", s.Holder)
	case s.Role != state.RoleDiverged:
		_, err := fmt.Fprintf(a.stdout, "%s is %s: it has nothing that has to be decided\n", s.Node, s.Role)
		return err
	}
	plans, err := a.rejoinPlans(ctx, want, &s, how)
	if err != nil || how == "" {
		return err
	}
	p := plans[0]
	if err := a.approve(f, fmt.Sprintf("%s, as shown?", map[string]string{ha.Keep: "Put it aside", ha.Discard: "Give it up for good"}[how])); err != nil {
		return err
	}
	var got ordered
	if _, err := a.askDaemon(ctx, verbOrder, order{Command: ha.Command{Name: how, By: who(), Approval: p.ID, Term: p.Term}}, &got); err != nil {
		return err
	}
	if got.Refused {
		return failf("dplane ha rejoin", "it is refused: %s", got.Why)
	}
	return a.rejoined(ctx, f, how)
}

// rejoinPlans shows the ways out.
func (a *app) rejoinPlans(ctx context.Context, want *spec.Spec, s *haState, how string) (plans []*rejoin.Plan, err error) {
	a.inForce.Store(want)
	node := rejoinOf(a.loop(forgetful{}, false).Runner, want, s.Holder, s.Term)
	if node == nil {
		return nil, failf("declare it", "the ZFS of the active node is not reached: there is no ha.peers.%s.remote", s.Holder)
	}
	ways := []string{ha.Keep, ha.Discard}
	if how != "" {
		ways = []string{how}
	}
	for _, way := range ways {
		p, err := node.Plan(ctx, way)
		if err != nil {
			return nil, failf("dplane ha status", "rejoin --%s: %w; nothing was done", way, err)
		}
		plans = append(plans, p)
	}
	if a.json {
		doc, err := json.MarshalIndent(struct {
			Version int            `json:"version"`
			Node    string         `json:"node"`
			Active  string         `json:"active"`
			Plans   []*rejoin.Plan `json:"plans"`
		}{1, s.Node, s.Holder, plans}, "", "  ")
		return plans, a.print(append(doc, '\n'), err)
	}
	for _, p := range plans {
		rejoinText(a.stdout, s, p)
	}
	return plans, nil
}

func rejoinText(w io.Writer, s *haState, p *rejoin.Plan) {
	fmt.Fprintf(w, "rejoin --%s: %s comes back behind %s, active in term %d  id %s\n", p.How, s.Node, s.Holder, p.Term, p.ID)
	for _, d := range p.Datasets {
		fmt.Fprintf(w, "  %s is %s", d.Name, d.Stands)
		if d.Common != "" {
			fmt.Fprintf(w, "; the last that both have is @%s", d.Common)
		}
		if len(d.Own) > 0 || d.Bytes > 0 {
			fmt.Fprintf(w, "; only here: %s, %s", spec.Size(d.Bytes), strings.Join(d.Own, " "))
		}
		fmt.Fprintln(w)
	}
	for _, name := range p.Loses {
		fmt.Fprintf(w, "  LOST is %s\n", name)
	}
	for _, name := range p.Aside {
		fmt.Fprintf(w, "  kept as %s\n", name)
	}
	for _, name := range p.Anew {
		fmt.Fprintf(w, "  sent whole again: %s\n", name)
	}
	for _, c := range p.Steps {
		fmt.Fprintf(w, "  $ %s\n", c)
	}
	for i, c := range p.LetGo {
		if i == 0 {
			fmt.Fprintln(w, "  what is kept is held, and keeps its space and the snapshot it shares with what takes its place; to let it go for good, later:")
		}
		fmt.Fprintf(w, "    %s\n", c)
	}
}

// stopWriting is for two nodes that are active: what becomes of what is here is asked when it has stopped.
func (a *app) stopWriting(ctx context.Context, f *orders, how string, s *haState) error {
	if err := a.approve(f, fmt.Sprintf("%s stops writing, and the other node stays active?", s.Node)); err != nil {
		return err
	}
	var got ordered
	if _, err := a.askDaemon(ctx, verbOrder, order{Command: ha.Command{Name: how, By: who(), Term: s.Term}}, &got); err != nil {
		return err
	}
	if got.Refused {
		return failf("dplane ha status", "it is refused: %s", got.Why)
	}
	_, err := fmt.Fprintf(a.stdout, "%s stops writing; then: dplane ha rejoin\n", s.Node)
	return err
}

// rejoined waits until it is a standby again.
func (a *app) rejoined(ctx context.Context, f *orders, how string) error {
	clock := reconcile.Wall{}
	for began := clock.Now(); ; {
		var s haState
		if _, err := a.askDaemon(ctx, verbState, nil, &s); err != nil {
			return err
		}
		switch {
		case s.Role == state.RoleStandby:
			return a.state(&s, s.Node+" is a standby again")
		case s.Role == state.RoleDiverged:
			return failf("dplane events --search rejoin; dplane ha rejoin", "rejoin --%s did not come to its end", how)
		case clock.Now().Sub(began) > f.wait:
			return failf("dplane ha status", "it goes on, and is not over after %s", f.wait)
		}
		if err := sleep(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
}
