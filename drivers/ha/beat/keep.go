package beat

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

// save has the writer look; what changes meanwhile goes with it.
func (w *Watch) save() {
	select {
	case w.saved <- struct{}{}:
	default: // it will
	}
}

// patience is how long a database is waited for that others hold.
const patience = 10 * time.Second

// write is the life of the goroutine that writes into the database, so that no beat waits for it.
func (w *Watch) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			w.flush()
			return
		case <-w.saved:
			w.flush()
		}
	}
}

func (w *Watch) flush() {
	w.mu.Lock()
	store, events := w.store, w.events
	w.events = nil
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i, e := range events {
		if err := store.Log(ctx, e); err != nil {
			w.Log.Error("write an event", "kind", "ha", "err", err)
			w.mu.Lock()
			w.events = append(events[i:], w.events...)
			w.mu.Unlock()
			break
		}
	}
	if err := w.keep(ctx, store); err != nil {
		w.Log.Error("record the peers", "kind", "ha", "err", err)
	}
}

// disk is a lock that is waited for only as long as there is time.
type disk struct {
	once sync.Once
	held chan struct{}
}

func (d *disk) take(ctx context.Context) error {
	d.once.Do(func() { d.held = make(chan struct{}, 1) })
	select {
	case d.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the database is being written still: %w", ctx.Err())
	}
}

func (d *disk) give() { <-d.held }

// keep writes the record. What the machine persists meanwhile must not be overwritten with what was before it.
func (w *Watch) keep(ctx context.Context, store Store) error {
	ctx, cancel := context.WithTimeout(ctx, atOnce)
	defer cancel()
	w.mu.Lock()
	err := w.disk.take(ctx) // at once: who else takes it has the lock as well
	r := w.record()
	w.mu.Unlock()
	if err != nil {
		return err
	}
	defer w.disk.give()
	return store.SaveHA(ctx, r)
}

// record is what there is to be kept. It is called with the lock.
func (w *Watch) record() *state.HARecord {
	r := &state.HARecord{At: w.Clock.Now(), HA: w.s, Off: w.cfg == nil}
	r.HA.Peers = maps.Clone(w.s.Peers)
	if w.cfg == nil {
		return r
	}
	r.Every, r.Misses, r.Trouble = w.cfg.Every, w.cfg.Misses, append([]string{}, w.cfg.Trouble...)
	r.Listen, r.DeclaredAt = w.cfg.Host, w.cfg.ActiveAt
	if w.listens != "" {
		r.Trouble = append(r.Trouble, w.listens)
	}
	if w.cfg.Key != nil {
		r.Identity = w.cfg.Key.Pin().String()
	}
	for _, p := range w.cfg.Peers {
		r.Peers = append(r.Peers, state.HAPeer{Name: p.Name, Address: p.Host, Monitored: !w.cfg.beats(p), Trouble: w.trouble[p.Name], Fence: w.fence[p.Name]})
	}
	return r
}

// Record is what this node knows of the group now, and how old its replica is.
func (w *Watch) Record() *state.HARecord {
	now := w.Clock.Now()
	l := w.Local(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.record()
	if lag, known := ha.ReplicaLag(l, w.s.Peers[w.s.Holder], now); known {
		r.Lag = &lag
	}
	return r
}

// listen has the listener where the files want it: one that is there already stays. A place that is taken, or not there yet
// at boot, is tried again.
func (w *Watch) listen(want any, cfg *Config) {
	if w.ear != nil && w.ear.what == want {
		return
	}
	w.ear.stop()
	w.ear = nil
	w.heard("")
	if cfg == nil || cfg.TLS && cfg.Key == nil {
		return
	}
	w.ear = run(want, func(ctx context.Context) {
		for ctx.Err() == nil {
			if err := w.listenOnce(ctx, cfg); err != nil {
				w.heard(fmt.Sprintf("nobody can reach this node at %s: %v", cfg.Host, err))
			}
			w.wait(ctx, w.Clock.Now().Add(cfg.Every))
		}
	})
}

func (w *Watch) listenOnce(ctx context.Context, cfg *Config) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Host)
	if err != nil {
		return err
	}
	l = &bounded{Listener: l, from: map[string]int{}}
	if cfg.TLS {
		l = tls.NewListener(l, serverTLS(cfg.Key))
	}
	w.heard("")
	return serve(ctx, l, &handler{w: w, health: w.Health})
}

// heard notes why the listener does not answer, once for each reason.
func (w *Watch) heard(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listens == why {
		return
	}
	if w.listens = why; why != "" {
		w.tell(state.Error, why)
	}
	w.save()
}
