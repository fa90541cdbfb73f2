package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

// watch is the life of one peer's goroutine: a round at each interval, however long the round before took.
func (w *Watch) watch(ctx context.Context, name string) {
	for ctx.Err() == nil {
		began := w.Clock.Now()
		cfg := w.config()
		if cfg == nil {
			return
		}
		if !w.reach(ctx, cfg, name) && w.wait(ctx, began.Add(cfg.timeout())) {
			w.missed(cfg, name)
		}
		if !w.rest(ctx, name, began.Add(cfg.Every)) {
			return
		}
	}
}

func (w *Watch) config() *Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cfg
}

func (w *Watch) wait(ctx context.Context, until time.Time) bool {
	if left := until.Sub(w.Clock.Now()); left > 0 {
		select {
		case <-ctx.Done():
		case <-w.Clock.After(left):
		}
	}
	return ctx.Err() == nil
}

// rest waits for the next round: until then, or a poke.
func (w *Watch) rest(ctx context.Context, name string, until time.Time) bool {
	w.mu.Lock()
	poke := w.pokes[name]
	w.mu.Unlock()
	if left := until.Sub(w.Clock.Now()); left > 0 {
		select {
		case <-ctx.Done():
		case <-poke:
		case <-w.Clock.After(left):
		}
	}
	return ctx.Err() == nil
}

// hellos are how many beats may go to and fro in one round until two runs that don't know each other yet do.
const hellos = 3

// reach is one round: it tells whether the peer answered, and its answer was taken in.
func (w *Watch) reach(ctx context.Context, cfg *Config, name string) bool {
	p, ok := cfg.peer(name)
	if !ok {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, cfg.timeout())
	defer cancel()
	if !cfg.beats(p) {
		ails, err := w.Line.Health(limited, p)
		w.monitored(ctx, cfg, name, ails, err)
		return err == nil
	}
	why := ""
	for range hellos {
		got, err := w.Line.Beat(limited, cfg.Key, p, w.speak(name))
		if err != nil {
			why = err.Error()
			break
		}
		if why = w.hear(ctx, name, &got); why == "" {
			break
		}
	}
	if ctx.Err() == nil {
		w.reached(name, why)
	}
	return why == ""
}

// reached notes why our own beats don't come through, where they don't: the peer may reach us all the same.
func (w *Watch) reached(name, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trouble[name] != why {
		w.trouble[name] = why
		w.save()
	}
}

// speak is the next beat to a peer.
func (w *Watch) speak(to string) state.Beat {
	now := w.Clock.Now()
	l := w.Local(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	return ha.Speak(&w.s, to, l, now)
}

// hear takes in a beat, of a peer that proved who it is, and says why it did not.
func (w *Watch) hear(ctx context.Context, name string, b *state.Beat) (refused string) {
	shared := w.Local(w.Clock.Now()).Shared
	w.mu.Lock()
	defer w.mu.Unlock()
	prev, ok := w.s.Peers[name]
	if !ok || w.cfg == nil {
		return "it is no peer any more"
	}
	own := state.Heard{Boot: w.s.Boot, Counter: w.s.Counter}
	see := ha.Sighting{Beat: b, Wall: w.Clock.Now(), Shared: shared, Own: own}
	if refused = ha.Stale(prev, b, own); refused == "" {
		refused = w.behind(prev, b)
	}
	if refused != "" {
		hello := *b
		hello.Heard = state.Heard{} // its run is noted, or it would never learn ours
		see.Beat = &hello
	} else if w.takesPart() {
		if err := w.event(ha.Event{Kind: ha.Heard, Peer: name, Beat: b}); err != nil {
			return err.Error()
		}
		w.told(prev, w.s.Peers[name])
		return ""
	} else if b.Term > w.s.Term {
		if err := w.raise(ctx, b); err != nil {
			return err.Error()
		}
	}
	w.judged(prev, ha.Health(prev, see, w.cfg.limits(), w.mono()))
	return refused
}

// behind: a term that was said is never taken back. Who forgot it learns it from the answer.
func (w *Watch) behind(prev state.PeerHealth, b *state.Beat) string {
	if prev.Last != nil && b.Term < prev.Last.Term {
		return fmt.Sprintf("its term is %d, and it said %d before", b.Term, prev.Last.Term)
	}
	return ""
}

// raise persists a higher term before anything is said or done with it.
func (w *Watch) raise(ctx context.Context, b *state.Beat) error {
	next := w.s
	next.Term, next.Holder = b.Term, b.Active
	r := w.record()
	r.HA = next
	if err := w.disk.take(ctx); err != nil {
		return err
	}
	defer w.disk.give()
	if err := w.store.SaveHA(ctx, r); err != nil {
		return fmt.Errorf("term %d can't be written down, and is not taken in: %w", b.Term, err)
	}
	w.tell(state.Info, fmt.Sprintf("term %d is known now: %s says that %s is active in it", b.Term, b.Node, b.Active))
	w.s = next
	return nil
}

// monitored takes in what a peer without beats answered.
func (w *Watch) monitored(ctx context.Context, cfg *Config, name, ails string, err error) {
	if err != nil {
		if ctx.Err() == nil {
			w.reached(name, err.Error())
		}
		return
	}
	w.reached(name, "")
	w.mu.Lock()
	defer w.mu.Unlock()
	if prev, ok := w.s.Peers[name]; ok && w.cfg != nil {
		w.judged(prev, ha.Monitored(prev, ails, w.Clock.Now()))
	}
}

// missed is called when a round is over in which the own beat got no answer: one that came from the peer since the round
// before counts as well.
func (w *Watch) missed(cfg *Config, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	prev, ok := w.s.Peers[name]
	if !ok || w.cfg == nil {
		return
	}
	lately := !prev.Stale && prev.Last != nil && w.mono()-prev.Mono < cfg.Every+cfg.timeout()/2
	if lately {
		return
	}
	if p, known := cfg.peer(name); known && cfg.beats(p) && w.takesPart() {
		if err := w.event(ha.Event{Kind: ha.Missed, Peer: name}); err != nil {
			w.Log.Error("a peer does not answer, and that can't be written down", "kind", "ha", "err", err)
		}
		w.told(prev, w.s.Peers[name])
		return
	}
	w.judged(prev, ha.Health(prev, ha.Sighting{Wall: w.Clock.Now()}, cfg.limits(), w.mono()))
}

// judged keeps what became of a peer, and tells of it where it changed. It is called with the lock.
func (w *Watch) judged(prev, next state.PeerHealth) {
	w.s.Peers[next.Node] = next
	w.count()
	w.told(prev, next)
}

// told tells of a peer where its state changed. It is called with the lock.
func (w *Watch) told(prev, next state.PeerHealth) {
	if prev.State != next.State {
		w.tell(levelOf(next.State), fmt.Sprintf("peer %s is %s%s", next.Node, next.State, because(next.Reason)))
	}
	w.save()
}

func levelOf(as string) string {
	switch as {
	case state.PeerUnreachable:
		return state.Error
	case state.PeerDegraded:
		return state.Warn
	}
	return state.Info
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}
