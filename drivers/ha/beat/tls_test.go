package beat

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

func keyFor(t *testing.T) *Key {
	t.Helper()
	k, _, err := EnsureKey(filepath.Join(t.TempDir(), "ha.key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func freeHost(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// real is a node on the loopback, with its own key.
type real struct {
	*Watch
	cfg   *Config
	store *memory
}

func realNode(t *testing.T, name string, c clock) *real {
	t.Helper()
	r := &real{store: &memory{}, cfg: &Config{Node: name, TLS: true, Key: keyFor(t), Host: freeHost(t), Every: time.Second, Misses: 2}}
	r.Watch = &Watch{Line: Net{}, Clock: c, Log: slog.New(slog.DiscardHandler), Local: func(time.Time) ha.Local { return ha.Local{} },
		Health: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
	r.Use(r.store)
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func (r *real) peer() Peer {
	return Peer{Name: r.cfg.Node, Host: r.cfg.Host, TLS: r.cfg.TLS, Pin: r.cfg.Key.Pin(), Pinned: true}
}

func (r *real) follow(peers ...Peer) {
	r.cfg.Peers = peers
	c := *r.cfg
	r.Follow(&c)
}

// soon waits until it is so; the real network has its own time.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 600 {
		if so() {
			return
		}
		select {
		case <-t.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Errorf("%s did not come about", what)
}

// Two nodes over TLS; the clock of one is ahead.
func TestPairOverTLS(t *testing.T) {
	a, b := realNode(t, "a", clock{}), realNode(t, "b", clock{})
	a.follow(b.peer())
	b.follow(a.peer())
	soon(t, "a sees b", func() bool { return a.of("b").State == state.PeerHealthy })
	soon(t, "b sees a", func() bool { return b.of("a").State == state.PeerHealthy })
	wrong := realNode(t, "wrong", clock{ahead: ha.MaxSkew + 2*time.Second})
	wrong.follow(a.peer())
	a.follow(b.peer(), wrong.peer())
	soon(t, "the clock that is wrong", func() bool {
		p := a.of("wrong")
		return p.State == state.PeerDegraded && strings.Contains(p.Reason, "its clock differs by 7s")
	})
	b.Stop()
	soon(t, "b is unreachable", func() bool { return a.of("b").State == state.PeerUnreachable })
}

// A node whose key is not the pinned one is refused, on both sides, and never registered.
func TestStrangers(t *testing.T) {
	a, b := realNode(t, "a", clock{}), realNode(t, "b", clock{})
	a.follow(b.peer())
	soon(t, "a listens", func() bool { c, err := net.Dial("tcp", a.cfg.Host); return err == nil && c.Close() == nil })
	stranger := realNode(t, "b", clock{}) // it says that it is b
	_, err := Net{}.Beat(t.Context(), stranger.cfg.Key, a.peer(), stranger.speak("a"))
	if err == nil || !strings.Contains(err.Error(), "does not know this node's key") || !strings.Contains(err.Error(), stranger.cfg.Key.Pin().String()) {
		t.Error(err)
	}
	if p := a.of("b"); p.State != state.PeerUnknown || p.Seen != (state.Heard{}) || len(a.s.Peers) != 1 {
		t.Errorf("a stranger left its mark: %+v", p)
	}
	soon(t, "the journal tells of it", func() bool { return strings.Contains(a.store.told(), stranger.cfg.Key.Pin().String()) })

	// A beat with the right key and another one's name.
	posing := b.speak("a")
	posing.Node = "c"
	if _, err := (Net{}).Beat(t.Context(), b.cfg.Key, a.peer(), posing); err == nil || !strings.Contains(err.Error(), "status 400") {
		t.Error(err)
	}
	// A server with another key than the pinned one is told nothing.
	pinned := a.peer()
	pinned.Pin = stranger.cfg.Key.Pin()
	if _, err := (Net{}).Beat(t.Context(), b.cfg.Key, pinned, b.speak("a")); err == nil || !strings.Contains(err.Error(), "it shows the key "+a.cfg.Key.Pin().String()) {
		t.Error(err)
	}
}

// What anyone may ask, and what nobody may.
func TestListener(t *testing.T) {
	a, b := realNode(t, "a", clock{}), realNode(t, "b", clock{})
	a.follow(b.peer())
	soon(t, "a listens", func() bool { c, err := net.Dial("tcp", a.cfg.Host); return err == nil && c.Close() == nil })
	b.configure(b.cfg)
	beat, _ := json.Marshal(b.speak("a"))
	big := []byte(`{"node":"` + strings.Repeat("b", 2<<20) + `"}`)
	list, _ := json.Marshal(state.Beat{Version: 1, Node: "b", Boot: "r", Counter: 1, Sick: make([]string, maxList+1)})
	for _, c := range []struct {
		name, method, path string
		key                *Key
		body               []byte
		code               int
	}{
		{"health", "GET", "/health", nil, nil, 200},
		{"health, with a stranger's key", "GET", "/health", keyFor(t), nil, 200},
		{"a post", "POST", "/health", nil, nil, 405},
		{"the primary?", "GET", "/primary", nil, nil, 200}, // whoever answers for health answers that too
		{"a replica?", "GET", "/replica?lag=15m", nil, nil, 200},
		{"a replica, posted", "POST", "/replica", nil, nil, 405},
		{"nothing", "GET", "/api/status", nil, nil, 404},
		{"a beat of nobody", "POST", "/beat", nil, beat, 403},
		{"a beat of a stranger", "POST", "/beat", keyFor(t), beat, 403},
		{"one of the peer", "POST", "/beat", b.cfg.Key, beat, 409}, // a hello
		{"fetched", "GET", "/beat", b.cfg.Key, nil, 405},
		{"no beat", "POST", "/beat", b.cfg.Key, []byte("{"), 400},
		{"an empty one", "POST", "/beat", b.cfg.Key, []byte("{}"), 400},
		{"two", "POST", "/beat", b.cfg.Key, append(append([]byte{}, beat...), beat...), 400},
		{"too much", "POST", "/beat", b.cfg.Key, big, 400},
		{"a long list", "POST", "/beat", b.cfg.Key, list, 400},
	} {
		tc := clientTLS(c.key, a.peer())
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: tc, DisableKeepAlives: true}}
		req, _ := http.NewRequestWithContext(t.Context(), c.method, "https://"+a.cfg.Host+c.path, bytes.NewReader(c.body))
		res, err := client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.code {
			t.Errorf("%s: %d %s, want %d", c.name, res.StatusCode, text, c.code)
		}
	}
	old := clientTLS(b.cfg.Key, a.peer())
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if c, err := tls.Dial("tcp", a.cfg.Host, old); err == nil {
		c.Close()
		t.Error("TLS 1.2 is spoken")
	}
	if p := a.of("b"); p.Last != nil {
		t.Errorf("it was taken in: %+v", p)
	}
}

// A stranger that holds connections open keeps no other address out, and not itself for long.
func TestBounded(t *testing.T) {
	b := &bounded{from: map[string]int{}}
	for i := range maxFrom {
		if !b.enter("stranger") {
			t.Fatal(i)
		}
	}
	if b.enter("stranger") || !b.enter("peer") {
		t.Error("one address may have all, or none")
	}
	b.left("stranger")
	if !b.enter("stranger") {
		t.Error("what was closed counts on")
	}
	for i := 0; b.all < maxConns; i++ {
		b.enter(fmt.Sprint("x", i))
	}
	if b.enter("last") {
		t.Error("there is no end")
	}
}

// A place that is taken is tried again, and the peer still reaches out.
func TestListenerComesLater(t *testing.T) {
	a, b := realNode(t, "a", clock{}), realNode(t, "b", clock{})
	taken, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", b.cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a.follow(b.peer())
	b.follow(a.peer())
	soon(t, "a hears b, which it can't reach", func() bool { return a.of("b").State == state.PeerHealthy })
	soon(t, "b says so", func() bool { return strings.Contains(b.store.told(), "nobody can reach this node at "+b.cfg.Host) })
	taken.Close()
	soon(t, "a reaches b", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.trouble["b"] == "" })
}
