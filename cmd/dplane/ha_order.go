package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/control"
	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// orders are the flags of the commands that change a role.
type orders struct {
	to     string
	plan   bool
	yes    bool
	accept bool
	off    []string
	reason string
	wait   time.Duration
	quiet  bool
}

func (a *app) haSwitchover() *cobra.Command {
	f := &orders{}
	c := &cobra.Command{
		Use:   "switchover --to NODE",
		Short: "Hand the group over to another node, both sides up, with nothing lost",
		Long: `The active node stops the services, makes the group read-only, takes the final snapshot, sends it, and gives its promise;
only then the other one is promoted. Whatever fails before the promise is taken back. It can be typed on either node.`,
		Example: "  dplane ha switchover --to nas-b\n  dplane ha switchover --to nas-b --yes",
		Args:    args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if f.to == "" {
				return usagef("--to NODE says who is to be active")
			}
			return a.switchover(c.Context(), f)
		},
	}
	c.Flags().StringVar(&f.to, "to", "", "the `NODE` that is to be active")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	c.Flags().DurationVar(&f.wait, "wait", 5*time.Minute, "how long to wait for the end; it goes on by itself after that")
	return c
}

func (a *app) haFailover() *cobra.Command {
	f := &orders{}
	c := &cobra.Command{
		Use:   "failover",
		Short: "Make this node active: shows the proof, the lag, what would be lost and each step, and then does it",
		Long: `For when the active node is gone; and for the first promotion of a group. Of every other node a proof is needed that it does
not write: its own promise (P1), a fence agent's off and status (P3), or the name and the reason that a person types who has
seen that it is off (P4). Unreachable is no proof. A false word lets two nodes write, and one of them loses what it wrote.`,
		Example: "  dplane ha failover --plan\n  dplane ha failover\n  dplane ha failover --yes --off nas-a --reason 'no power, seen in the rack' --accept-loss",
		Args:    args(0, 0),
		RunE:    func(c *cobra.Command, _ []string) error { return a.failover(c.Context(), f) },
	}
	c.Flags().BoolVar(&f.plan, "plan", false, "show it, and do nothing")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask; says nothing of a peer, and accepts no loss")
	c.Flags().BoolVar(&f.accept, "accept-loss", false, "what the plan says would be lost may be")
	c.Flags().StringSliceVar(&f.off, "off", nil, "a `PEER` that you have seen to be off (P4), with --reason")
	c.Flags().StringVar(&f.reason, "reason", "", "how you know that it is off; it is recorded with your name")
	c.Flags().DurationVar(&f.wait, "wait", 5*time.Minute, "how long to wait for the end; it goes on by itself after that")
	return c
}

func (a *app) haPause(name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: args(0, 0),
		Long: `Paused, this node does nothing unasked: it takes over from nobody, and resumes nothing after a restart. What keeps a
second writer away goes on, and so do beats and replication.`,
		Example: "  dplane ha " + name,
		RunE: func(c *cobra.Command, _ []string) error {
			var got ordered
			if _, err := a.askDaemon(c.Context(), verbOrder, order{Command: ha.Command{Name: name, By: who()}}, &got); err != nil {
				return err
			}
			return a.state(&got.State, fmt.Sprintf("paused: %t", got.State.Paused))
		},
	}
}

// askDaemon asks the daemon of this machine.
func (a *app) askDaemon(ctx context.Context, verb string, body, doc any) (*spec.Spec, error) {
	want, err := a.load()
	if err != nil {
		return nil, err
	}
	if want.HA == nil {
		return nil, failf("dplane ha --help", "no group is declared: there is no `ha` in the files")
	}
	err = control.Ask(ctx, want.Daemon.Runtime, verb, body, doc)
	if errors.Is(err, control.ErrNoDaemon) {
		return want, failf("systemctl start dplaned, as root; nothing was done", "%w", err)
	}
	if errors.Is(err, control.ErrLost) {
		return want, failf("systemctl status dplaned, and when it runs: dplane ha status", "%w: what became of it is not known", err)
	}
	if err != nil {
		return want, failf("dplane ha status; nothing was done", "%w", err)
	}
	return want, nil
}

func (a *app) switchover(ctx context.Context, f *orders) error {
	var s haState
	want, err := a.askDaemon(ctx, verbState, nil, &s)
	if err != nil {
		return err
	}
	if want.HA.Peers[f.to] == nil {
		return failf("dplane ha status lists them", "there is no node %q in the group", f.to)
	}
	from := s.Active
	if s.Role.Writes() {
		from = s.Node
	}
	if from == "" {
		from = "nobody"
	}
	if !a.json {
		fmt.Fprintf(a.stdout, "switchover: active is %s (term %d), and %s is to be\n  there: %s\n  here: %s\n", from, s.Term, f.to,
			strings.Join(ha.Steps(ha.JobHandover), ", "), strings.Join(ha.Steps(ha.JobPromote), ", "))
	}
	if err := a.approve(f, "Clients are cut off for some seconds. Begin?"); err != nil {
		return err
	}
	if err := a.settled(ctx, f.to, &s); err != nil {
		return err
	}
	var got ordered
	if _, err := a.askDaemon(ctx, verbOrder, order{Command: ha.Command{Name: ha.Switchover, To: f.to, By: who()}}, &got); err != nil {
		return err
	}
	if got.Refused {
		return failf("dplane ha status; dplane ha explain", "it is refused: %s", got.Why)
	}
	return a.follow(ctx, f, f.to, &got)
}

// settling is how long a node is waited for that has just given the group up: it compares what it has first.
const settling = time.Minute

// settled waits for a node that is about to be standby again. How it ends is the machine's to judge.
func (a *app) settled(ctx context.Context, to string, s *haState) error {
	clock := reconcile.Wall{}
	for began := clock.Now(); slices.Contains(s.Settling, to) && clock.Now().Sub(began) < settling; {
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
		*s = haState{}
		if _, err := a.askDaemon(ctx, verbState, nil, s); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) failover(ctx context.Context, f *orders) error {
	var p failoverPlan
	for began := (reconcile.Wall{}).Now(); ; { // a daemon that has just begun closes the group first
		if _, err := a.askDaemon(ctx, verbPlan, nil, &p); err != nil {
			return err
		}
		if p.Role != string(state.RoleBoot) || (reconcile.Wall{}).Now().Sub(began) > f.wait {
			break
		}
		if err := sleep(ctx, 300*time.Millisecond); err != nil {
			return err
		}
		p = failoverPlan{}
	}
	if !a.json {
		failoverText(a.stdout, &p)
	} else if f.plan {
		text, err := json.MarshalIndent(&p, "", "  ")
		return a.print(append(text, '\n'), err)
	}
	if f.plan {
		return nil
	}
	if p.Refused != "" {
		return failf("dplane ha status", "nothing is done: %s", p.Refused)
	}
	c := ha.Command{Name: ha.Failover, By: who(), Words: map[string]string{}, Accept: f.accept}
	if err := a.words(f, &p, &c); err != nil {
		return err
	}
	if p.Loss != "" && !c.Accept {
		if !isTerminal(a.stdin) {
			return &exitError{code: exitHeld, err: fmt.Errorf("nothing is done: %s", p.Loss), hint: "--accept-loss accepts that"}
		}
		if got := a.line("Type LOSE to accept that: "); got != "LOSE" {
			return &exitError{code: exitHeld, err: errors.New("nothing is done")}
		}
		c.Accept = true
	}
	if err := a.approve(f, "Promote "+p.Node+"?"); err != nil {
		return err
	}
	var got ordered
	if _, err := a.askDaemon(ctx, verbOrder, order{Command: c, Hash: p.Hash}, &got); err != nil {
		return err
	}
	if got.Refused {
		return failf("dplane ha failover --plan; dplane ha explain", "it is refused: %s", got.Why)
	}
	return a.follow(ctx, f, p.Node, &got)
}

// words are what the person says of peers of which there is no other proof: by name, with a reason.
func (a *app) words(f *orders, p *failoverPlan, c *ha.Command) error {
	for _, x := range p.Peers {
		if x.Proof == "" {
			return &exitError{code: exitHeld, err: fmt.Errorf("nothing is done: %s: %s", x.Name, x.Text)}
		}
		if x.Proof != state.ProofWord {
			continue
		}
		for _, name := range f.off {
			if name == x.Name {
				c.Words[x.Name] = strings.TrimSpace(f.reason)
			}
		}
		if c.Words[x.Name] == "" && isTerminal(a.stdin) {
			if a.line("You have seen that "+x.Name+" is off, and stays off? Type its name: ") == x.Name {
				c.Words[x.Name] = a.line("How do you know? ")
			}
		}
		if c.Words[x.Name] == "" {
			return &exitError{code: exitHeld, err: fmt.Errorf("nothing is done: there is no proof that %s does not write", x.Name), hint: "where you have seen that it is off: --off " + x.Name + " --reason TEXT"}
		}
	}
	return nil
}

func (a *app) approve(f *orders, question string) error {
	if f.yes {
		return nil
	}
	if !isTerminal(a.stdin) {
		return &exitError{code: exitHeld, err: errors.New("nothing is done: there is no terminal to ask at"), hint: "--yes"}
	}
	if got := a.line(question + " [y/N] "); got != "y" && got != "yes" {
		return &exitError{code: exitHeld, err: errors.New("nothing is done")}
	}
	return nil
}

func (a *app) line(question string) string {
	fmt.Fprint(a.stderr, question)
	var text strings.Builder
	in := bufio.NewReaderSize(oneByte{a.stdin}, 1)
	for {
		b, err := in.ReadByte()
		if err != nil || b == '\n' {
			return strings.TrimSpace(text.String())
		}
		text.WriteByte(b)
	}
}

// oneByte reads no further than it is asked for: the next question has its own line.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// handOver is what an approved edit of ha.active does: `dplane ha switchover --to NODE`, asked of the daemon, also by itself.
func (a *app) handOver(ctx context.Context, to string) error {
	var got ordered
	if _, err := a.askDaemon(ctx, verbOrder, order{Command: ha.Command{Name: ha.Switchover, To: to, By: "ha.active in the files, approved by " + who()}}, &got); err != nil {
		return err
	}
	if got.Refused {
		return failf("dplane ha status; dplane ha explain", "it is refused: %s", got.Why)
	}
	_, err := a.await(ctx, &orders{wait: handing, quiet: a.hurry > 0}, to, &got) // the loop has nobody to tell
	return err
}

// handing is how long it is waited for the end of what the files asked for: as long as its last step may take.
const handing = 35 * time.Minute

// follow waits until the node is active, and says so.
func (a *app) follow(ctx context.Context, f *orders, to string, got *ordered) error {
	s, err := a.await(ctx, f, to, got)
	if err != nil {
		return err
	}
	return a.state(s, fmt.Sprintf("%s is active, in term %d", to, s.Term))
}

// await waits until the node is active, or it is clear that it will not be.
func (a *app) await(ctx context.Context, f *orders, to string, got *ordered) (*haState, error) {
	clock := reconcile.Wall{}
	began, moved, said := clock.Now(), got.State.Job != "", "" // it may be over before it is looked for
	idle := clock.Now()
	for {
		var s haState
		if _, err := a.askDaemon(ctx, verbState, nil, &s); err != nil {
			return nil, failf("systemctl status dplaned, and when it runs: dplane ha status", "the order was given, and how it ends is not known: %w", err)
		}
		if at := strings.TrimSpace(fmt.Sprintf("%s %s", s.Role, s.Step)); at != said && !a.json && !f.quiet {
			said = at
			fmt.Fprintf(a.stderr, "%5.1fs  %s: %s\n", clock.Now().Sub(began).Seconds(), s.Node, at)
		}
		if done := s.Node == to && s.Role == state.RoleActive && s.Job == "" || s.Active == to && s.Job == ""; done {
			return &s, nil
		}
		if s.Job != "" {
			moved, idle = true, clock.Now()
		}
		if still := clock.Now().Sub(idle); moved && still > 90*time.Second || s.Node != to && s.Role == state.RoleActive && moved && s.Job == "" {
			return nil, failf("dplane events --search ha; dplane ha explain", "%s did not become active: this node is %s in term %d", to, s.Role, s.Term)
		}
		if s.Node == to && moved && s.Job == "" && !s.Role.Writes() {
			return nil, failf("dplane events; dplane ha explain", "%s did not become active: it is %s in term %d%s", to, s.Role, s.Term, because(s.Why))
		}
		if clock.Now().Sub(began) > f.wait {
			return nil, failf("dplane ha status", "it goes on, and is not over after %s", f.wait)
		}
		if err := sleep(ctx, 300*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func (a *app) state(s *haState, text string) error {
	if a.json {
		doc, err := json.MarshalIndent(struct {
			Version int `json:"version"`
			*haState
		}{1, s}, "", "  ")
		return a.print(append(doc, '\n'), err)
	}
	for _, d := range s.Degraded {
		text += "\n  degraded: " + d
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}

func failoverText(w io.Writer, p *failoverPlan) {
	active := p.Active
	if active == "" {
		active = "nobody was promoted yet"
	}
	fmt.Fprintf(w, "failover to %s, which is %s; term %d is known, active in it: %s\n", p.Node, p.Role, p.Term, active)
	for _, x := range p.Peers {
		proof := x.Proof
		if proof == "" {
			proof = "no proof"
		}
		fmt.Fprintf(w, "  %s is %s: %s: %s\n", x.Name, x.State, proof, x.Text)
	}
	switch {
	case !p.Lag.Known:
		fmt.Fprintln(w, "  lag: no complete set of snapshots is known here")
	default:
		fmt.Fprintf(w, "  lag: the newest complete set @%s is %d s old\n", p.Lag.Set, p.Lag.Seconds)
	}
	if p.Lag.Counted {
		fmt.Fprintf(w, "  written since, as the active node last said: %d bytes\n", p.Lag.Bytes)
	}
	for _, m := range p.Lag.Missing {
		fmt.Fprintf(w, "  missing: %s\n", m)
	}
	if p.Set != "" {
		fmt.Fprintf(w, "  promoted as one set: @%s (ha.consistency: group)\n", p.Set)
	}
	for _, x := range p.Ahead {
		fmt.Fprintf(w, "  ahead of it is %s, by %s, %s: not promoted; kept as %s, and held there\n", x.Dataset, spec.Size(x.Bytes), strings.Join(x.Snapshots, " "), x.Kept)
	}
	if p.Loss != "" {
		fmt.Fprintf(w, "  LOST would be: %s\n", p.Loss)
	}
	fmt.Fprintf(w, "  steps: %s\n", strings.Join(p.Steps, ", "))
	if p.Refused != "" {
		fmt.Fprintf(w, "  not possible: %s\n", p.Refused)
	}
}
