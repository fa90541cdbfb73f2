package beat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

// How the machine takes part: what happens is put to it, and what it decides is this node's state from then on.

// takesPart tells whether this node has a role: there is a machine, and every peer can prove who it is. It is called with the
// lock.
func (w *Watch) takesPart() bool { return w.booted && w.cfg != nil && w.cfg.roles() }

// TakesPart tells whether this node has a role.
func (w *Watch) TakesPart() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.takesPart()
}

// roles tells whether anything in the group has a role: only what everybody can prove to everybody makes one.
func (c *Config) roles() bool {
	for _, p := range c.Peers {
		if !c.beats(p) {
			return false
		}
	}
	return len(c.Peers) > 0
}

// begin has the machine take over once the files say that there is something to take part in. It is called with the lock.
func (w *Watch) begin(cfg *Config) {
	if w.Machine == nil || !cfg.roles() {
		return
	}
	if !w.booted {
		old, peers := w.s, w.s.Peers
		if w.memory.Boot != "" {
			w.s = w.memory
			w.s.Peers, w.s.Node = peers, cfg.Node
		}
		w.booted = true
		if err := w.event(ha.Event{Kind: ha.Boot, Boot: old.Boot}); err != nil {
			w.s, w.booted = old, false
			w.Log.Error("this node takes no part in its HA group yet", "err", err)
			return
		}
	}
	if w.s.Declared != cfg.Active {
		if err := w.event(ha.Event{Kind: ha.Files, Active: cfg.Active}); err != nil {
			w.Log.Error("ha.active can't be written down", "err", err)
		}
	}
}

// atOnce is how long the database is waited for where a beat waits for it: less than a peer waits for its answer.
const atOnce = 3 * time.Second

// event puts one to the machine. It is called with the lock.
func (w *Watch) event(e ha.Event) error {
	e.Now, e.At = w.mono(), w.Clock.Now()
	next, err := w.Machine.Decide(w.s, e, func(s state.HA, d *state.Decision) error {
		r := w.record()
		r.HA = s
		ctx, cancel := context.WithTimeout(context.Background(), atOnce)
		defer cancel()
		if err := w.disk.take(ctx); err != nil {
			return err
		}
		defer w.disk.give()
		return w.store.Decide(ctx, r, d)
	})
	if err != nil {
		return err
	}
	w.s = next
	w.save()
	return nil
}

// ErrNoPart is why there is nothing to decide here.
var ErrNoPart = errors.New("this node has no role in a group: dplane ha status says why")

// Do puts an event to the machine: what it decided is persisted when Do comes back, and carried out then.
func (w *Watch) Do(e ha.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.takesPart() {
		return ErrNoPart
	}
	return w.event(e)
}

// Reboot begins anew under another name: a term came to light that the memory does not know.
func (w *Watch) Reboot(term uint64) error {
	return w.Do(ha.Event{Kind: ha.Boot, Boot: bootName(), Term: term})
}

// State is what this node is now. Its maps and lists are not to be changed.
func (w *Watch) State() state.HA {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.s
	s.Peers = maps.Clone(s.Peers)
	return s
}

// Alarm writes an event into the journal.
func (w *Watch) Alarm(level, msg string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tell(level, msg)
	w.save()
}

// Poke sends a beat to every peer now.
func (w *Watch) Poke() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.pokes {
		select {
		case c <- struct{}{}:
		default: // it will
		}
	}
}

// Forward asks a peer to follow an order that was given here.
func (w *Watch) Forward(ctx context.Context, peer string, c ha.Command) error {
	cfg, p, err := w.to(peer)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.timeout())
	defer cancel()
	return w.Line.Order(ctx, cfg.Key, p, c)
}

// Missing asks a peer which of these snapshots it has not.
func (w *Watch) Missing(ctx context.Context, peer string, guids map[string]string) ([]string, error) {
	cfg, p, err := w.to(peer)
	if err != nil {
		return nil, err
	}
	return w.Line.Missing(ctx, cfg.Key, p, guids)
}

func (w *Watch) to(peer string) (*Config, Peer, error) {
	cfg := w.config()
	if cfg == nil {
		return nil, Peer{}, ErrNoPart
	}
	p, ok := cfg.peer(peer)
	if !ok || !cfg.beats(p) {
		return nil, Peer{}, fmt.Errorf("%s is no peer that can prove who it is", peer)
	}
	return cfg, p, nil
}
