package beat

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

// Store keeps what is known of the group.
type Store interface {
	HA(ctx context.Context) (*state.HARecord, error)
	SaveHA(ctx context.Context, r *state.HARecord) error
	// Decide writes a decision down with it, and fails where a higher term is known.
	Decide(ctx context.Context, r *state.HARecord, d *state.Decision) error
	Log(ctx context.Context, e state.Event) error
}

// Machine decides what this node becomes by an event (package exec). It is asked with the watch's lock held, so it waits for
// nothing but save, which persists; where that fails nothing was decided.
type Machine interface {
	Decide(s state.HA, e ha.Event, save func(state.HA, *state.Decision) error) (state.HA, error)
	// Missing are those of these snapshots (guids by dataset) that this node has not.
	Missing(ctx context.Context, guids map[string]string) ([]string, error)
}

// Clock is where time comes from.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Watch is how this node watches its peers, from Follow to Stop, in goroutines of its own: neither ZFS nor the database is
// waited for.
type Watch struct {
	Line   Line
	Clock  Clock
	Log    *slog.Logger
	Health http.Handler // answers load balancers: /health, /primary, /replica
	// Local is what this node says of itself. It must not wait for anything.
	Local func(now time.Time) ha.Local
	// Machine is who decides; nil: this node watches, and is a standby.
	Machine Machine

	started time.Time // the zero of this run's monotonic time

	// disk is held while the group is written down, so that nothing older comes after what the machine persists. It is taken with
	// mu held, and kept without: a slow disk costs a decision its time, and no beat.
	disk disk

	mu      sync.Mutex
	store   Store
	cfg     *Config // nil: no group
	s       state.HA
	fence   map[string][]state.FenceDevice
	trouble map[string]string // by peer: why it could not be reached the last time
	listens string            // why nobody can be listened to; "": well
	events  []state.Event     // yet to be written
	strange time.Time         // when a stranger was last told of
	saved   chan struct{}     // there is something to be written
	memory  state.HA          // as it was read, until the machine took it over
	booted  bool              // the machine knows that this run began
	pokes   map[string]chan struct{}

	peers  map[string]*runner // of Follow's goroutine, as are the next two
	ear    *runner
	writer *runner
}

// runner is a goroutine that is waited for.
type runner struct {
	what   any // it was begun for this
	cancel context.CancelFunc
	done   chan struct{}
}

func run(what any, do func(ctx context.Context)) *runner {
	ctx, cancel := context.WithCancel(context.Background())
	r := &runner{what, cancel, make(chan struct{})}
	go func() { defer close(r.done); do(ctx) }()
	return r
}

func (r *runner) stop() {
	if r != nil {
		r.cancel()
		<-r.done
	}
}

// Use changes the database; Load begins with what it remembers.
func (w *Watch) Use(store Store) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.store = store
}

// Load takes over what is remembered. A memory is no licence: the node is a standby whatever it was, and peers count as
// reached once they answered this run.
func (w *Watch) Load(ctx context.Context) error {
	w.started = w.Clock.Now()
	w.s = state.HA{Boot: bootName(), Peers: map[string]state.PeerHealth{}}
	w.trouble, w.peers, w.saved, w.pokes = map[string]string{}, map[string]*runner{}, make(chan struct{}, 1), map[string]chan struct{}{}
	r, err := w.store.HA(ctx)
	if err != nil || r == nil {
		w.s.Role = state.RoleStandby
		return err
	}
	boot := w.s.Boot
	w.s = r.HA
	w.s.Boot, w.s.Counter, w.s.Quorum = boot, 0, state.Quorum{}
	if w.Machine != nil {
		w.memory = w.s // it begins with what the machine makes of it
	}
	if w.s.Was == "" && w.s.Role != state.RoleStandby {
		w.s.Was = w.s.Role
	}
	w.s.Role = state.RoleStandby
	known := map[string]state.PeerHealth{}
	for name, p := range w.s.Peers {
		known[name] = ha.Reloaded(p)
	}
	w.s.Peers = known
	return nil
}

func bootName() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// Follow puts a configuration in force. What stays the same goes on: a peer that was edited begins anew, no other does.
func (w *Watch) Follow(cfg *Config) {
	w.configure(cfg)
	if w.writer == nil {
		w.writer = run(nil, w.write)
	}
	wanted := map[string]any{}
	var ear any
	if cfg != nil {
		for _, p := range cfg.Peers {
			wanted[p.Name] = line{p, cfg.beats(p), keyPin(cfg.Key), cfg.Every}
		}
		ear = hearing{cfg.Host, cfg.TLS, keyPin(cfg.Key)}
	}
	for name, r := range w.peers {
		if wanted[name] != r.what {
			r.stop()
			delete(w.peers, name)
		}
	}
	for name, what := range wanted {
		if w.peers[name] == nil {
			w.mu.Lock()
			w.pokes[name] = make(chan struct{}, 1)
			w.mu.Unlock()
			w.peers[name] = run(what, func(ctx context.Context) { w.watch(ctx, name) })
		}
	}
	w.listen(ear, cfg)
	w.save()
}

// line and hearing are what goroutines are begun for.
type line struct {
	Peer
	beats bool
	key   Pin
	every time.Duration
}

type hearing struct {
	host string
	tls  bool
	key  Pin
}

func keyPin(k *Key) Pin {
	if k == nil {
		return Pin{}
	}
	return k.pin
}

// configure keeps of the peers those that the files have; what else is remembered of the group stays.
func (w *Watch) configure(cfg *Config) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cfg = cfg
	if cfg == nil {
		return
	}
	w.s.Node = cfg.Node
	if w.Machine == nil {
		w.s.Declared = cfg.Active
	}
	known := map[string]state.PeerHealth{}
	for _, p := range cfg.Peers {
		h, ok := w.s.Peers[p.Name]
		if !ok {
			h = state.PeerHealth{Node: p.Name, State: state.PeerUnknown}
		}
		known[p.Name] = h
	}
	w.s.Peers = known
	maps.DeleteFunc(w.trouble, func(name, _ string) bool { _, ok := known[name]; return !ok })
	w.count()
	w.begin(cfg)
}

// Stop ends all of it, and writes what is yet to be written.
func (w *Watch) Stop() {
	for _, r := range w.peers {
		r.cancel()
	}
	for _, r := range w.peers {
		r.stop()
	}
	w.ear.stop()
	w.writer.stop()
	w.peers, w.ear, w.writer = map[string]*runner{}, nil, nil
}

// mono is this run's monotonic time (time.Time carries it).
func (w *Watch) mono() time.Duration { return w.Clock.Now().Sub(w.started) }

// count is called with the lock.
func (w *Watch) count() {
	w.s.Quorum = ha.Count(w.s.Peers, w.cfg.names(), w.cfg.limits(), false, w.mono())
}

// whose is the peer that a key is pinned for, or the key that is none's.
func (w *Watch) whose(s *tls.ConnectionState) (peer, stranger string) {
	if s == nil || len(s.PeerCertificates) == 0 {
		return "", "nobody: it shows no key"
	}
	pin := pinOf(s.PeerCertificates[0])
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cfg != nil {
		for _, p := range w.cfg.Peers {
			if p.Pinned && p.Pin == pin {
				return p.Name, ""
			}
		}
	}
	return "", pin.String()
}

// strangerEvery bounds what strangers can write into the journal.
const strangerEvery = time.Minute

func (w *Watch) refused(key, from string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.Clock.Now()
	if !w.strange.IsZero() && now.Sub(w.strange) < strangerEvery {
		return
	}
	w.strange = now
	w.tell(state.Warn, fmt.Sprintf("a beat from %s was refused: the key is that of no peer in the files (%s)", from, key))
	w.save()
}

// tell is called with the lock.
func (w *Watch) tell(level, msg string) {
	const most = 1000 // where the database can't be written
	if len(w.events) < most {
		w.events = append(w.events, state.Event{At: w.Clock.Now(), Type: "ha", Level: level, Message: msg})
	}
	l := map[string]slog.Level{state.Info: slog.LevelInfo, state.Warn: slog.LevelWarn, state.Error: slog.LevelError}[level]
	w.Log.Log(context.Background(), l, msg, "kind", "ha")
}
