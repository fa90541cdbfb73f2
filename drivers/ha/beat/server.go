package beat

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dplaneos/dplane/state"
)

// handler answers what comes to the own address: beats of peers, and what load balancers ask.
type handler struct {
	w      *Watch
	health http.Handler
}

func (h *handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	switch r.URL.Path {
	case "/beat":
		h.beat(rw, r)
		return
	case "/order":
		h.ask(rw, r, h.order)
		return
	case "/missing":
		h.ask(rw, r, h.missing)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		rw.Header().Set("Allow", "GET, HEAD")
		say(rw, http.StatusMethodNotAllowed, "only peers, by their keys, do more here than ask")
		return
	}
	switch r.URL.Path {
	case "/health", "/primary", "/replica":
		h.health.ServeHTTP(rw, r)
	default:
		say(rw, http.StatusNotFound, "there is nothing here; try /health, /primary, /replica?lag=15m")
	}
}

// beat takes one in. Who shows no key, or one that the files don't pin, is refused before a byte of it is read.
func (h *handler) beat(rw http.ResponseWriter, r *http.Request) {
	peer, stranger := h.w.whose(r.TLS)
	switch {
	case peer == "":
		h.w.refused(stranger, r.RemoteAddr)
		say(rw, http.StatusForbidden, "this key is no peer's")
		return
	case r.Method != http.MethodPost:
		rw.Header().Set("Allow", "POST")
		say(rw, http.StatusMethodNotAllowed, "beats are posted")
		return
	}
	var b state.Beat
	if err := read(r.Body, &b); err != nil {
		say(rw, http.StatusBadRequest, err.Error())
		return
	}
	if why := check(&b, peer); why != "" {
		say(rw, http.StatusBadRequest, why)
		return
	}
	code, own := http.StatusOK, answer{}
	if own.Refused = h.w.hear(r.Context(), peer, &b); own.Refused != "" {
		code = http.StatusConflict
	}
	own.Beat = h.w.speak(peer)
	document(rw, code, own)
}

func say(rw http.ResponseWriter, code int, message string) {
	document(rw, code, map[string]any{"version": 1, "error": map[string]string{"message": message, "hint": ""}})
}

func document(rw http.ResponseWriter, code int, doc any) {
	text, err := json.Marshal(doc)
	if err != nil {
		code, text = http.StatusInternalServerError, []byte(`{"version":1}`)
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(code)
	_, _ = rw.Write(append(text, '\n')) // a client that went away is no concern of ours
}

// serverTLS asks for a certificate and takes any: who has none may ask for /health, and whose key it is, is looked up for
// each beat, in the files that are in force then.
func serverTLS(key *Key) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{key.cert}, ClientAuth: tls.RequestClientCert,
		SessionTicketsDisabled: true, Time: anyTime, NextProtos: []string{"http/1.1"},
	}
}

// Bounds of connections: strangers must not keep peers out.
const (
	maxConns  = 256
	maxFrom   = 16 // of one address
	drainTime = time.Second
)

// serve answers on l until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: http.MaxBytesHandler(h, maxBody+1), ReadHeaderTimeout: most, ReadTimeout: most, WriteTimeout: 2 * most, IdleTimeout: 2 * most,
		MaxHeaderBytes: 8 << 10, ErrorLog: log.New(io.Discard, "", 0), DisableGeneralOptionsHandler: true,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	srv.SetKeepAlivesEnabled(false)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if srv.Shutdown(ending) != nil {
		_ = srv.Close() // what still runs is cut off
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// bounded is a listener that closes what is too much at once.
type bounded struct {
	net.Listener
	mu   sync.Mutex
	all  int
	from map[string]int
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		if b.enter(host) {
			return &counted{Conn: c, leave: sync.OnceFunc(func() { b.left(host) })}, nil
		}
		_ = c.Close()
	}
}

func (b *bounded) enter(host string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all >= maxConns || b.from[host] >= maxFrom {
		return false
	}
	b.all++
	b.from[host]++
	return true
}

func (b *bounded) left(host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all--
	if b.from[host]--; b.from[host] == 0 {
		delete(b.from, host)
	}
}

type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
