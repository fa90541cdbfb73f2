package exec

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/carry"
	"github.com/dplaneos/dplane/drivers/ha/rejoin"
	"github.com/dplaneos/dplane/state"
)

// task is a goroutine for one step.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (t *task) running() bool {
	if t == nil {
		return false
	}
	select {
	case <-t.done:
		return false
	default:
		return true
	}
}

func (t *task) stop() {
	if t != nil {
		t.cancel()
		<-t.done
	}
}

// Start begins to carry out what was decided.
func (x *Exec) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	x.cancel, x.began = cancel, x.Clock.Now()
	x.all.Go(func() { x.work(ctx) })
}

// Stop ends the step that goes on, and waits for it. What the journal says of it is what the next start begins with.
func (x *Exec) Stop() {
	if x.cancel != nil {
		x.cancel()
		x.all.Wait()
	}
	x.conceal() // nobody here listens for a higher term any more
}

var errNoGroup = errors.New("no group is declared here any more")

const (
	tick    = 5 * time.Second  // how soon it is noticed that time went by
	looking = 20 * time.Second // between two looks at the group
	again   = 2 * time.Second  // between two tries at what has to be done
)

func (x *Exec) work(ctx context.Context) {
	defer func() { x.step.stop() }()
	if !x.first(ctx) {
		return
	}
	looked := x.Clock.Now()
	for {
		for a, ok := x.pop(); ok && ctx.Err() == nil; a, ok = x.pop() {
			x.do(ctx, a)
		}
		select {
		case <-ctx.Done():
			return
		case <-x.more:
		case <-x.Clock.After(tick):
			x.tell(ha.Event{Kind: ha.Ticked})
			if alone := x.now().StartAlone; alone > 0 && x.Clock.Now().Sub(x.began) > alone {
				x.tell(ha.Event{Kind: ha.Alone})
			}
			if x.Clock.Now().Sub(looked) >= looking && !x.step.running() {
				x.look(ctx)
				looked = x.Clock.Now()
			}
		}
	}
}

// tell is for what comes again by itself where it can't be taken in.
func (x *Exec) tell(e ha.Event) {
	if !x.Watch.TakesPart() {
		return
	}
	if err := x.Watch.Do(e); err != nil {
		x.Log.Error("an event is not taken in", "kind", "ha", "event", e.Kind, "err", err)
	}
}

// insist is for what is not told a second time: the result of a step.
func (x *Exec) insist(ctx context.Context, e ha.Event) {
	for ctx.Err() == nil {
		err := x.Watch.Do(e)
		if err == nil {
			return
		}
		x.Log.Error("an event is not taken in yet", "kind", "ha", "event", e.Kind, "err", err)
		select {
		case <-ctx.Done():
		case <-x.Clock.After(again):
		}
	}
}

// first looks for a term on the group that the memory does not know: nothing is begun before.
func (x *Exec) first(ctx context.Context) bool {
	said := ""
	for ctx.Err() == nil {
		n := x.now().Node
		if n != nil {
			_, term, err := n.Look(ctx)
			if err == nil && term > x.Watch.State().Term {
				err = x.Watch.Reboot(term)
			}
			if err == nil {
				return true
			}
			if ctx.Err() == nil && said != err.Error() {
				said = err.Error()
				x.Watch.Alarm(state.Error, "this node stays at its boot, and read-only, until it can be seen which term its datasets name: "+said)
			}
		}
		select {
		case <-ctx.Done():
		case <-x.Clock.After(again):
		}
	}
	return false
}

// look tells the machine whether the group can be written here, and keeps what beats say of it.
func (x *Exec) look(ctx context.Context) {
	n := x.now().Node
	before := x.Watch.State()
	if n == nil {
		return
	}
	group, err := n.Published(ctx)
	if err == nil {
		x.mu.Lock()
		x.group, x.looked = group, x.Clock.Now()
		x.mu.Unlock()
	}
	seen, _, err := n.Look(ctx)
	if err != nil {
		x.Log.Warn("the group's datasets can't be looked at", "kind", "ha", "err", err)
	}
	if s := x.Watch.State(); before.Job != nil || s.Job != nil || s.Jobs != before.Jobs {
		return // it was changed meanwhile
	}
	if seen != before.Writable || seen != state.WritableNo && seen != state.WritableYes {
		x.tell(ha.Event{Kind: ha.Looked, Seen: seen})
	}
}

// do is one action. What takes time has a goroutine of its own.
func (x *Exec) do(ctx context.Context, a ha.Action) {
	switch a.Do {
	case ha.Tell:
		x.Watch.Poke()
	case ha.CloseGate:
		x.begin(ctx, func(ctx context.Context) {
			n := x.now().Node
			if n == nil {
				return
			}
			if err := n.Promote(ctx, ha.StepGate, 0); err != nil && ctx.Err() == nil {
				x.Log.Error("what is being received does not end", "kind", "ha", "err", err)
			}
		})
	case ha.Promote, ha.UndoPromote, ha.Demote:
		x.step.stop()
		x.step = x.begin(ctx, func(ctx context.Context) { x.carry(ctx, a) })
	case ha.Fence:
		x.begin(ctx, func(ctx context.Context) { x.fence(ctx, a.Peer) })
	case ha.Forward:
		x.begin(ctx, func(ctx context.Context) { x.forward(ctx, a) })
	case ha.Compare:
		x.begin(ctx, x.comparing)
	case ha.KeepSnapshot:
		x.begin(ctx, x.keep)
	case ha.Rejoin:
		x.chosen.Add(1)
		x.coming.Add(1)
		x.begin(ctx, func(ctx context.Context) {
			tried := x.rejoin(ctx, a.Command)
			if x.coming.Add(-1); tried {
				x.comparing(ctx) // only that tells that it is well
			}
		})
	case ha.Freeze: // what was begun before it was known ends too
		x.begin(ctx, x.freeze)
	case ha.Alarm:
		x.Watch.Alarm(a.Level, a.Text)
	}
}

func (x *Exec) begin(ctx context.Context, do func(ctx context.Context)) *task {
	ctx, cancel := context.WithCancel(ctx)
	t := &task{cancel, make(chan struct{})}
	x.all.Go(func() {
		defer close(t.done)
		defer cancel()
		do(ctx)
	})
	return t
}

// longest is how long a step may take: a timeout is a failure. What is sent at the end of a switchover takes as long as it has.
func longest(step string) time.Duration {
	switch step {
	case ha.StepSend:
		return 30 * time.Minute
	case ha.StepHooks, ha.StepKeys, ha.StepAhead, ha.StepMount, ha.StepUnmount:
		return 5 * time.Minute
	}
	return 2 * time.Minute
}

// carry does a step, and tells how it ended.
func (x *Exec) carry(ctx context.Context, a ha.Action) {
	s := x.Watch.State()
	if s.Job == nil || s.Job.ID != a.Job || s.Job.Step != a.Step {
		return // another one took its place
	}
	limited, cancel := context.WithTimeout(ctx, longest(a.Step))
	defer cancel()
	err := x.once(limited, a, &s)
	if ctx.Err() != nil {
		return // whoever ended it does not wait for its result
	}
	e := ha.Event{Kind: ha.StepDone, Job: a.Job, Step: a.Step}
	if err != nil {
		e.Kind, e.Why = ha.StepFailed, err.Error()
	}
	x.insist(ctx, e)
}

func (x *Exec) once(ctx context.Context, a ha.Action, s *state.HA) error {
	n := x.now().Node
	if n == nil {
		return errNoGroup
	}
	switch a.Do {
	case ha.Promote:
		return n.Promote(ctx, a.Step, s.Job.Term)
	case ha.UndoPromote:
		return n.UndoPromote(ctx, a.Step, s.Job.Term)
	}
	if x.Drain != nil {
		if err := x.Drain(ctx); err != nil && s.Job.Kind == ha.JobHandover {
			return err
		} else if err != nil {
			x.Log.Error("something is done to the group still, and it is closed all the same", "kind", "ha", "err", err)
		}
	}
	tolerant := *n
	tolerant.Absent = true // what is not here can't be written here
	return tolerant.Demote(ctx, a.Step, s.Job.To, s.Job.Term)
}

// freeze ends what is being sent or pruned: what is asked for the role after this learns that it must not.
func (x *Exec) freeze(ctx context.Context) {
	if x.Drain == nil {
		return
	}
	if err := x.Drain(ctx); err != nil && ctx.Err() == nil {
		x.Log.Error("the group is to stand still, and something is being done to it yet", "kind", "ha", "err", err)
	}
}

// fence has a peer switched off, for the attempt that asked for it and for no other end: one that was given up meanwhile has no
// right to.
func (x *Exec) fence(ctx context.Context, peer string) {
	s := x.Watch.State()
	if s.Job == nil || s.Job.Kind != ha.JobAttempt || !slices.Contains(s.Job.Sent, peer) {
		return
	}
	if x.Fence == nil {
		x.insist(ctx, ha.Event{Kind: ha.FenceFailed, Peer: peer, Why: "no fence agent can be run here"})
		return
	}
	seen, err := x.Fence(ctx, peer)
	if err != nil {
		x.insist(ctx, ha.Event{Kind: ha.FenceFailed, Peer: peer, Why: err.Error()})
		return
	}
	x.insist(ctx, ha.Event{Kind: ha.Proved, Proof: &state.Proof{Kind: state.ProofFenced, Peer: peer, Term: s.Job.Term, Reason: seen}})
}

func (x *Exec) forward(ctx context.Context, a ha.Action) {
	if err := x.Watch.Forward(ctx, a.Peer, *a.Command); err != nil {
		x.Watch.Alarm(state.Error, "the switchover to "+a.Command.To+" was not begun: "+err.Error())
	}
}

// comparing tells whether this node has what the active one lacks: it has written since its newest snapshot, or that one is
// not there. What can't be known is asked again when the active node answers the next time.
func (x *Exec) comparing(ctx context.Context) {
	select {
	case x.compare <- struct{}{}:
		defer func() { <-x.compare }()
	default:
		return // it is being done
	}
	n, s := x.now().Node, x.Watch.State()
	if n == nil || s.Holder == "" || s.Holder == s.Node {
		return
	}
	chosen := x.chosen.Load()
	if x.coming.Load() > 0 {
		return // it is, when that is over
	}
	seen, err := x.compared(ctx, n, &s)
	if err != nil {
		x.Log.Warn("it can't be compared with the active node", "kind", "ha", "peer", s.Holder, "err", err)
		return
	}
	if now := x.Watch.State(); now.Term == s.Term && now.Holder == s.Holder && x.chosen.Load() == chosen {
		x.insist(ctx, ha.Event{Kind: ha.Compared, Seen: seen})
	}
}

func (x *Exec) compared(ctx context.Context, n *carry.Node, s *state.HA) (string, error) {
	if back := x.now().back(s); back != nil {
		c, err := back.Compare(ctx)
		if err == nil {
			return c.Seen(), nil
		}
		if ctx.Err() != nil {
			return "", err
		}
		// Its ZFS is not reached, and it may still answer itself what it has.
	}
	own, err := n.Published(ctx)
	if err != nil {
		return "", err
	}
	guids := map[string]string{}
	for name, p := range own {
		if p.Written > 0 {
			return ha.Diverged, nil
		}
		if p.GUID != "" {
			guids[name] = p.GUID
		}
	}
	lacks, err := x.Watch.Missing(ctx, s.Holder, guids)
	switch {
	case err != nil:
		return "", err
	case len(lacks) > 0:
		return ha.Diverged, nil
	}
	return ha.Clean, nil
}

// keep takes the snapshot of what this node alone has. Once a person has chosen what becomes of that, one more would only be in
// the way of what is received.
func (x *Exec) keep(ctx context.Context) {
	said := ""
	for ctx.Err() == nil {
		s := x.Watch.State()
		if s.Role != state.RoleDiverged {
			return
		}
		err := x.keepOnce(ctx, &s)
		if err == nil {
			return
		}
		if text := "what this node alone has is not in a snapshot yet: " + err.Error(); text != said {
			x.Watch.Alarm(state.Error, text)
			said = text
		}
		select {
		case <-ctx.Done():
		case <-x.Clock.After(time.Minute):
		}
	}
}

func (x *Exec) keepOnce(ctx context.Context, s *state.HA) error {
	if back := x.now().back(s); back != nil {
		return back.KeepSnapshots(ctx)
	}
	n := x.now().Node
	if n == nil {
		return errNoGroup
	}
	return (&rejoin.Node{Runner: n.Runner, Group: n.HA.Datasets, Term: s.Term}).KeepSnapshots(ctx)
}

// rejoin carries out what a person approved, and tells whether it tried.
func (x *Exec) rejoin(ctx context.Context, c *ha.Command) bool {
	s := x.Watch.State()
	back := x.now().back(&s)
	if back == nil {
		x.Watch.Alarm(state.Error, "rejoin --"+c.Name+": the ZFS of the active node is not reached: ha.peers."+s.Holder+".remote is not declared; nothing was done")
		return false
	}
	select {
	case x.compare <- struct{}{}: // nothing is compared meanwhile
	case <-ctx.Done():
		return false
	}
	err := back.Carry(ctx, c.Name, c.Approval)
	<-x.compare
	if err != nil {
		x.Watch.Alarm(state.Error, "rejoin --"+c.Name+": "+err.Error())
	}
	return true
}
