package beat

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

// memory is a store; it can be slow, or broken.
type memory struct {
	mu     sync.Mutex
	rec    *state.HARecord
	events []string
	slow   time.Duration
	broken bool
}

func (m *memory) HA(context.Context) (*state.HARecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rec, nil
}

func (m *memory) SaveHA(_ context.Context, r *state.HARecord) error {
	time.Sleep(m.slow)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken {
		return errors.New("disk full")
	}
	m.rec = r
	return nil
}

func (m *memory) Decide(ctx context.Context, r *state.HARecord, _ *state.Decision) error {
	return m.SaveHA(ctx, r)
}

func (m *memory) Log(_ context.Context, e state.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e.Message)
	return nil
}

func (m *memory) saved() *state.HARecord {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rec
}

func (m *memory) told() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.events, "\n")
}

// clock is the machine's, or one that is ahead of it.
type clock struct{ ahead time.Duration }

func (c clock) Now() time.Time                         { return time.Now().Add(c.ahead) }
func (c clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// mesh is a network without wires: from's beats reach to unless that way is cut.
type mesh struct {
	mu  sync.Mutex
	all map[string]*Watch
	cut map[[2]string]bool
}

func (m *mesh) set(from, to string, cut bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut[[2]string{from, to}] = cut
}

type port struct {
	*mesh
	from string
}

func (p port) Beat(ctx context.Context, _ *Key, to Peer, b state.Beat) (state.Beat, error) {
	p.mu.Lock()
	cut, w := p.cut[[2]string{p.from, to.Name}], p.all[to.Name]
	p.mu.Unlock()
	if cut || w == nil {
		<-ctx.Done()
		return state.Beat{}, errors.New("no answer in time")
	}
	w.hear(ctx, p.from, &b)
	return w.speak(p.from), nil
}

func (p port) Health(ctx context.Context, to Peer) (string, error) {
	p.mu.Lock()
	cut := p.cut[[2]string{p.from, to.Name}]
	p.mu.Unlock()
	if cut {
		<-ctx.Done()
		return "", errors.New("no answer in time")
	}
	return "", nil
}

func (p port) Order(ctx context.Context, _ *Key, to Peer, c ha.Command) error {
	_, err := (&handler{w: p.all[to.Name]}).order(ctx, p.from, &asked{Order: c})
	return err
}

func (p port) Missing(ctx context.Context, _ *Key, to Peer, guids map[string]string) ([]string, error) {
	got, err := (&handler{w: p.all[to.Name]}).missing(ctx, p.from, &asked{GUIDs: guids})
	return got.Missing, err
}

const every = 15 * time.Second

// node begins to watch; its listener is not begun, since there are no wires.
func (m *mesh) node(name string, store *memory, local ha.Local, others ...string) *Watch {
	w := &Watch{Line: port{m, name}, Clock: clock{}, Log: slog.New(slog.DiscardHandler), Health: http.NotFoundHandler(), Local: func(time.Time) ha.Local { return local }}
	w.Use(store)
	if err := w.Load(context.Background()); err != nil {
		panic(err)
	}
	m.mu.Lock()
	m.all[name] = w
	m.mu.Unlock()
	cfg := &Config{Node: name, TLS: true, Key: &Key{}, Every: every, Misses: 2, Active: "a"}
	for _, o := range others {
		cfg.Peers = append(cfg.Peers, Peer{Name: o, Pinned: true})
	}
	w.configure(cfg)
	w.writer = run(nil, w.write)
	for _, o := range others {
		w.peers[o] = run(nil, func(ctx context.Context) { w.watch(ctx, o) })
	}
	return w
}

func (m *mesh) end(names ...string) {
	for _, n := range names {
		m.mu.Lock()
		w := m.all[n]
		delete(m.all, n)
		m.mu.Unlock()
		w.Stop()
	}
}

func newMesh() *mesh { return &mesh{all: map[string]*Watch{}, cut: map[[2]string]bool{}} }

func (w *Watch) of(name string) state.PeerHealth {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.s.Peers[name]
}

func (w *Watch) quorum() state.Quorum {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count()
	return w.s.Quorum
}

func want(t *testing.T, what string, p state.PeerHealth, as, reason string) {
	t.Helper()
	if p.State != as || !strings.Contains(p.Reason, reason) {
		t.Errorf("%s: %s (%s), want %s (%s)", what, p.State, p.Reason, as, reason)
	}
}

// A peer that dies is degraded at the first miss, unreachable at the second, and healthy after two good beats, not one.
func TestAPeerDiesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMesh(), &memory{}
		a := m.node("a", store, ha.Local{Shared: "h"}, "b")
		want(t, "before", a.of("b"), state.PeerUnknown, "")
		m.node("b", &memory{}, ha.Local{Shared: "h"}, "a")
		time.Sleep(20 * time.Second)
		want(t, "both up", a.of("b"), state.PeerHealthy, "")
		if q := a.quorum(); q.Fresh != 2 || q.Possible || !strings.Contains(q.Why, "no decision is possible") {
			t.Errorf("%+v", q)
		}
		m.end("b")
		time.Sleep(every + time.Second)
		want(t, "the first miss", a.of("b"), state.PeerDegraded, "missed 1 of 2")
		time.Sleep(every)
		want(t, "the second", a.of("b"), state.PeerUnreachable, "missed 2")
		if q := a.quorum(); q.Fresh != 1 {
			t.Errorf("%+v", q)
		}
		m.set("b", "a", true) // so that the beats are counted
		m.node("b", &memory{}, ha.Local{Shared: "h"}, "a")
		time.Sleep(every)
		want(t, "one good beat", a.of("b"), state.PeerDegraded, "1 of 2 good beats")
		time.Sleep(every)
		want(t, "two", a.of("b"), state.PeerHealthy, "")
		m.end("a", "b")
		for _, line := range []string{"peer b is degraded: missed 1 of 2 beats", "peer b is unreachable: missed 2 beats", "peer b is degraded: answers again", "peer b is healthy"} {
			if !strings.Contains(store.told(), line) {
				t.Errorf("the journal lacks %q:\n%s", line, store.told())
			}
		}
	})
}

// One way is cut: who can't be reached reaches out, and is not missed.
func TestOneWayIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMesh(), &memory{}
		m.set("a", "b", true)
		a := m.node("a", store, ha.Local{}, "b")
		time.Sleep(7 * time.Second) // the two are out of step
		b := m.node("b", &memory{}, ha.Local{}, "a")
		time.Sleep(10 * time.Minute)
		want(t, "a of b", a.of("b"), state.PeerHealthy, "")
		want(t, "b of a", b.of("a"), state.PeerHealthy, "")
		if q := a.quorum(); q.Fresh != 2 {
			t.Errorf("%+v", q)
		}
		if p := store.saved().Peers[0]; p.Trouble != "no answer in time" {
			t.Errorf("nothing is said of the way that is cut: %+v", p)
		}
		if n := strings.Count(store.told(), "unreachable"); n > 1 {
			t.Errorf("it was missed:\n%s", store.told())
		}
		m.set("b", "a", true)
		time.Sleep(3 * every)
		want(t, "both ways cut", a.of("b"), state.PeerUnreachable, "missed 2")
		m.end("a", "b")
	})
}

// Three nodes: what each sees is enough to decide while it sees a second one.
func TestQuorumOfThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		a := m.node("a", &memory{}, ha.Local{}, "b", "c")
		m.node("b", &memory{}, ha.Local{}, "a", "c")
		m.node("c", &memory{}, ha.Local{}, "a", "b")
		time.Sleep(every)
		if q := a.quorum(); q.Fresh != 3 || !q.Possible {
			t.Errorf("%+v", q)
		}
		m.end("b")
		time.Sleep(3 * every)
		if q := a.quorum(); q.Fresh != 2 || !q.Possible {
			t.Errorf("%+v", q)
		}
		m.end("c")
		time.Sleep(3 * every)
		if q := a.quorum(); q.Fresh != 1 || q.Possible {
			t.Errorf("%+v", q)
		}
		m.end("a")
	})
}

// After a restart a peer is what it was, and not reached: a memory is no beat. The term is there again.
func TestARestartRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMesh(), &memory{}
		m.node("a", store, ha.Local{}, "b")
		b := m.node("b", &memory{}, ha.Local{}, "a")
		b.mu.Lock()
		b.s.Term, b.s.Holder = 4, "b"
		b.mu.Unlock()
		time.Sleep(2 * every)
		m.end("a", "b")
		if r := store.saved(); r.HA.Term != 4 || r.HA.Holder != "b" || r.HA.Peers["b"].State != state.PeerHealthy {
			t.Fatalf("%+v", r)
		}
		store.saved().HA.Role = state.RoleActive // of a later release
		a := m.node("a", store, ha.Local{}, "b")
		if p := a.of("b"); !p.Stale || p.State != state.PeerHealthy {
			t.Errorf("%+v", p)
		}
		if q := a.quorum(); q.Fresh != 1 {
			t.Errorf("%+v", q)
		}
		if a.State().Role != state.RoleStandby || a.s.Was != state.RoleActive || a.s.Term != 4 {
			t.Errorf("%+v", a.s)
		}
		time.Sleep(3 * every)
		want(t, "nobody answered since", a.of("b"), state.PeerUnreachable, "missed 2")
		m.end("a")
	})
}

// A term that can't be written down is not known, and its beat not taken in.
func TestATermIsPersistedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMesh(), &memory{}
		a := m.node("a", store, ha.Local{}, "b")
		b := m.node("b", &memory{}, ha.Local{}, "a")
		time.Sleep(every + time.Second)
		store.mu.Lock()
		store.broken = true
		store.mu.Unlock()
		b.mu.Lock()
		b.s.Term, b.s.Holder = 9, "b"
		b.mu.Unlock()
		time.Sleep(every)
		a.mu.Lock()
		term, last := a.s.Term, a.s.Peers["b"].Last.Term
		a.mu.Unlock()
		if term != 0 || last != 0 {
			t.Errorf("term %d is said, and is nowhere written", term)
		}
		store.mu.Lock()
		store.broken = false
		store.mu.Unlock()
		time.Sleep(every)
		if a.mu.Lock(); a.s.Term != 9 || a.s.Holder != "b" {
			t.Errorf("%+v", a.s)
		}
		a.mu.Unlock()
		m.end("a", "b")
	})
}

// A database that takes minutes costs no beat.
func TestASlowDatabaseCostsNoBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMesh(), &memory{slow: 3 * time.Minute}
		a := m.node("a", store, ha.Local{}, "b")
		b := m.node("b", &memory{}, ha.Local{}, "a")
		for range 40 {
			time.Sleep(every)
			if p, q := a.of("b"), b.of("a"); p.State != state.PeerHealthy || q.State != state.PeerHealthy {
				t.Fatalf("%+v %+v", p, q)
			}
		}
		m.end("a", "b")
	})
}

// A peer that says what ails it is degraded: a sick pool, a late replication, other files.
func TestWhatAilsAPeer(t *testing.T) {
	for reason, local := range map[string]ha.Local{
		"not ONLINE there: tank": {Sick: []string{"tank"}}, "replication is late: pair": {Late: []string{"pair"}}, "the shared part of its files differs": {Shared: "x"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMesh()
			a := m.node("a", &memory{}, ha.Local{}, "b")
			m.node("b", &memory{}, local, "a")
			time.Sleep(2 * every)
			want(t, reason, a.of("b"), state.PeerDegraded, reason)
			if q := a.quorum(); q.Fresh != 2 {
				t.Errorf("%s: it is reached all the same: %+v", reason, q)
			}
			m.end("a", "b")
		})
	}
}

// A beat that came before, an older one, and one of an older term are refused; the answer tells who forgot it the term.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		m.set("a", "b", true)
		a := m.node("a", &memory{}, ha.Local{}, "b")
		var n uint64
		beat := func(boot string, counter, term uint64) state.Beat {
			return state.Beat{Version: 1, Node: "b", Boot: boot, Counter: counter, Heard: a.own(), Term: term, Active: "b", At: time.Now(), Role: state.RoleStandby}
		}
		hear := func(what string, b state.Beat, refused string) {
			t.Helper()
			n = b.Counter
			if why := a.hear(t.Context(), "b", &b); (why == "") != (refused == "") || !strings.Contains(why, refused) {
				t.Errorf("%s: %q, want %q", what, why, refused)
			}
			a.speak("b")
		}
		hear("a hello", beat("r1", 1, 5), "another run")
		hear("the next", beat("r1", 2, 5), "")
		kept := beat("r1", 3, 5)
		hear("one more", kept, "")
		hear("the same again", kept, "was heard before")
		hear("an older one", beat("r1", 1, 5), "was heard before")
		hear("an older term", beat("r1", 4, 4), "it said 5 before")
		hear("a restart that forgot the term", beat("r2", 1, 0), "another run")
		hear("it still has not learnt it", beat("r2", 2, 0), "it said 5 before")
		if own := a.speak("b"); own.Term != 5 || own.Heard != (state.Heard{Boot: "r2", Counter: n}) {
			t.Errorf("the answer does not tell the term to the new run: %+v", own)
		}
		hear("it learnt it", beat("r2", 3, 5), "")
		hear("the old run", kept, "another run")
		if names := slices.Collect(maps.Keys(a.s.Peers)); len(names) != 1 {
			t.Errorf("registered: %v", names)
		}
		stranger := beat("r9", 1, 99)
		if why := a.hear(t.Context(), "x", &stranger); why == "" || len(a.s.Peers) != 1 || a.s.Term != 5 {
			t.Errorf("a stranger was registered: %q", why)
		}
		m.end("a")
	})
}

// A peer without a pinned key is looked at, and counts nowhere.
func TestMonitoredAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh()
		a := m.node("a", &memory{}, ha.Local{}, "b")
		a.mu.Lock()
		cfg := *a.cfg
		cfg.Peers = []Peer{{Name: "b"}}
		a.cfg = &cfg
		a.mu.Unlock()
		time.Sleep(2 * every)
		want(t, "it answers", a.of("b"), state.PeerHealthy, "")
		if q := a.quorum(); q.Fresh != 1 {
			t.Errorf("%+v", q)
		}
		m.set("a", "b", true)
		time.Sleep(3 * every)
		want(t, "it does not", a.of("b"), state.PeerUnreachable, "missed 2")
		m.end("a")
	})
}

// A file that was edited changes the peers without a restart; what is known of the others stays.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMesh(), &memory{}
		w := &Watch{Line: port{m, "a"}, Clock: clock{}, Log: slog.New(slog.DiscardHandler), Health: http.NotFoundHandler(), Local: func(time.Time) ha.Local { return ha.Local{} }}
		w.Use(store)
		if err := w.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		cfg := func(names ...string) *Config {
			c := &Config{Node: "a", TLS: true, Every: every, Misses: 2, Trouble: []string{"no key"}}
			for _, n := range names {
				c.Peers = append(c.Peers, Peer{Name: n})
			}
			return c
		}
		w.Follow(cfg("b", "c"))
		time.Sleep(2 * every)
		since := w.of("b").Since
		w.Follow(cfg("b", "d"))
		time.Sleep(2 * every)
		if b, c, d := w.of("b"), w.of("c"), w.of("d"); b.Since != since || b.State != state.PeerHealthy || c.State != "" || d.State != state.PeerHealthy {
			t.Errorf("%+v %+v %+v", b, c, d)
		}
		w.s.Term = 3
		w.Follow(nil)
		time.Sleep(every)
		w.Stop()
		if !store.saved().Off || store.saved().HA.Term != 3 {
			t.Errorf("%+v", store.saved())
		}
	})
}

func (w *Watch) own() state.Heard {
	w.mu.Lock()
	defer w.mu.Unlock()
	return state.Heard{Boot: w.s.Boot, Counter: w.s.Counter}
}
