// Package exec joins the role machine to this node: it puts to it what happens, has persisted what it decides, makes the role
// known to other processes, and carries the steps out, one at a time, in goroutines of its own: a slow zfs never costs a beat.
//
// The order is what keeps a second writer away. The gate is shut, the decision is on disk, the role is made known, and only
// then something is done. What can't be persisted is not done. A restart begins with closing whatever may be open, and
// resumes or undoes by what the journal says (ha.Decide on Boot).
//
// Before a step that takes something away, what other parts of the daemon do on the group's datasets is ended (Drain): they ask
// for the role again before each of their actions, and by then it is no longer theirs.
//
// It must never decide, wait for ZFS where a beat waits for it, or tell a step done that was not seen to be.
package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/carry"
	"github.com/dplaneos/dplane/drivers/ha/rejoin"
	"github.com/dplaneos/dplane/state"
)

// Watch is how peers are spoken to, and where the state stands: beat.Watch.
type Watch interface {
	Do(e ha.Event) error
	Reboot(term uint64) error
	State() state.HA
	// TakesPart: else nothing is decided.
	TakesPart() bool
	Alarm(level, msg string)
	Poke()
	Forward(ctx context.Context, peer string, c ha.Command) error
	Missing(ctx context.Context, peer string, guids map[string]string) ([]string, error)
}

// Clock is where time comes from.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Settings are what the files in force say.
type Settings struct {
	Config     ha.Config
	StartAlone time.Duration // 0: never
	// Node does the steps; it is this node's part of the group.
	Node *carry.Node
	// Back is how this node comes back behind the active one of a term; nil, and of no result, where that one's ZFS is not reached.
	Back func(active string, term uint64) *rejoin.Node
}

// back is how this node comes back behind the active one, nil where that one's ZFS is not reached.
func (s Settings) back(ha *state.HA) *rejoin.Node {
	if s.Back == nil || ha.Holder == "" || ha.Holder == ha.Node {
		return nil
	}
	return s.Back(ha.Holder, ha.Term)
}

// Exec is the executor. Its fields are set before Start.
type Exec struct {
	Watch Watch
	Clock Clock
	Log   *slog.Logger
	// Show makes the role known to other processes.
	Show func(*state.HA) error
	// Fence is a fence agent's off, and its status after it: nil only where that said that the peer is off. It gives what was
	// seen. A nil func: no agent is declared.
	Fence func(ctx context.Context, peer string) (string, error)
	// Drain ends what else is being done to the group's datasets, and waits for it.
	Drain func(ctx context.Context) error

	gate  sync.Mutex
	shown *role // nil: it is not known what others are told
	over  bool  // nobody is told anything any more

	mu       sync.Mutex
	settings Settings
	queue    []ha.Action
	last     *state.Decision
	group    map[string]state.Published
	looked   time.Time // when it was so
	more     chan struct{}

	step    *task // that goes on, of the worker's goroutine
	compare chan struct{}
	chosen  atomic.Int64 // ways back that a person chose: what was compared before is of a node that is not like that any more
	coming  atomic.Int64 // those that are not over yet: what is compared now is of a node that is about to be another
	all     sync.WaitGroup
	began   time.Time
	cancel  context.CancelFunc
}

// New makes one that does nothing yet.
func New() *Exec { return &Exec{more: make(chan struct{}, 1), compare: make(chan struct{}, 1)} }

// Use puts what the files say in force.
func (x *Exec) Use(s Settings) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.settings = s
}

// Settings are what the files say.
func (x *Exec) Settings() Settings { return x.now() }

// Last is the decision that was persisted last; nil: none since the start.
func (x *Exec) Last() *state.Decision {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.last
}

func (x *Exec) now() Settings {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.settings
}

// Group is what the datasets were like at the last look; it does not wait.
func (x *Exec) Group() map[string]state.Published {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.group
}

// Looked is when the datasets were like that; zero: never.
func (x *Exec) Looked() time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.looked
}

// Decide implements beat.Machine.
func (x *Exec) Decide(s state.HA, e ha.Event, save func(state.HA, *state.Decision) error) (state.HA, error) {
	c := x.now().Config
	next, acts := ha.Decide(s, e, c)
	if len(acts) == 0 || len(acts) == 1 && acts[0].Do == ha.Persist && seenOnly(s, next) {
		x.show(&s)       // where that failed before
		return next, nil // what is known of peers goes to disk when there is time
	}
	d, err := ha.Explain(ha.Inputs{State: s, Event: e, Config: c}, next, acts)
	if err != nil {
		return s, err
	}
	if err := x.shut(&next); err != nil {
		return s, err
	}
	if err := save(next, d); err != nil {
		if e.Kind != ha.Boot { // what it was before that is a memory
			x.show(&s)
		}
		return s, fmt.Errorf("%s: it can't be written down, so it is not done: %w", e.Kind, err)
	}
	x.show(&next)
	if d != nil {
		x.mu.Lock()
		x.last = d
		x.mu.Unlock()
	}
	x.push(acts)
	return next, nil
}

// seenOnly tells whether nothing but the health of peers changed.
func seenOnly(a, b state.HA) bool {
	a.Peers, b.Peers, a.Quorum, b.Quorum = nil, nil, state.Quorum{}, state.Quorum{}
	return reflect.DeepEqual(a, b)
}

// role is what other processes go by.
type role struct {
	node   string
	role   state.Role
	term   uint64
	holder string
	dirty  bool
	frozen string
}

func of(s *state.HA) role { return role{s.Node, s.Role, s.Term, s.Holder, s.Dirty, s.Frozen} }

func (r role) state() *state.HA {
	return &state.HA{Node: r.node, Role: r.role, Term: r.term, Holder: r.holder, Dirty: r.dirty, Frozen: r.frozen}
}

// shut shows a node without a role while another one is being written down. Where that can't be shown, nothing is promoted, and
// no peer is switched off for it.
func (x *Exec) shut(next *state.HA) error {
	x.gate.Lock()
	defer x.gate.Unlock()
	is := of(next)
	if x.shown != nil && *x.shown == is || x.Show == nil || x.over {
		return nil
	}
	closed := is
	closed.role = state.RoleBoot
	err := x.Show(closed.state())
	x.shown = nil
	if err != nil && slices.Contains(rising, next.Role) {
		return fmt.Errorf("what other processes know of the role can't be changed: %w", err)
	}
	if err != nil {
		x.Log.Error("the role is not made known", "kind", "ha", "err", err)
	}
	return nil
}

var rising = []state.Role{state.RoleCandidate, state.RoleFencing, state.RolePromoting}

// show makes a role known that is on disk. Where that fails nothing is received, nothing else than the machine's own steps
// touches the group, and it is tried again with the next event.
func (x *Exec) show(s *state.HA) {
	x.gate.Lock()
	defer x.gate.Unlock()
	is := of(s)
	if x.shown != nil && *x.shown == is || x.Show == nil || x.over {
		return
	}
	if err := x.Show(is.state()); err != nil {
		x.Log.Error("the role is not made known", "kind", "ha", "role", s.Role, "err", err)
		return
	}
	x.shown = &is
}

// conceal tells others that this node has no role, from now on.
func (x *Exec) conceal() {
	s := x.Watch.State()
	x.gate.Lock()
	defer x.gate.Unlock()
	if x.over = true; x.Show == nil {
		return
	}
	closed := of(&s)
	closed.role = state.RoleBoot
	if err := x.Show(closed.state()); err != nil {
		x.Log.Error("the role is not taken back", "kind", "ha", "err", err)
	}
}

func (x *Exec) push(acts []ha.Action) {
	x.mu.Lock()
	x.queue = append(x.queue, acts...)
	x.mu.Unlock()
	select {
	case x.more <- struct{}{}:
	default: // it will
	}
}

func (x *Exec) pop() (ha.Action, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.queue) == 0 {
		return ha.Action{}, false
	}
	a := x.queue[0]
	x.queue = x.queue[1:]
	return a, true
}

// Missing implements beat.Machine.
func (x *Exec) Missing(ctx context.Context, guids map[string]string) ([]string, error) {
	n := x.now().Node
	if n == nil {
		return nil, errors.New("no group is declared here")
	}
	return n.Missing(ctx, guids)
}
