package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/dplaneos/dplane/cmd/internal/web"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

// endpoint is the read-only listener, which follows daemon.listen as the configuration changes.
type endpoint struct {
	db  *sqlite.Store
	log *slog.Logger
	// live is what is known of the HA group now; nil: nothing.
	live func() *state.HARecord

	listen string
	cancel context.CancelFunc
	done   chan struct{}

	*pulse
}

// pulse is when the loop moved.
type pulse struct {
	mu       sync.Mutex
	last     time.Time // when the last pass that was on time began
	interval time.Duration
}

// defaultListen is where the endpoint answers while no configuration says otherwise.
const defaultListen = "127.0.0.1:9000"

func newEndpoint(db *sqlite.Store, log *slog.Logger, p *pulse, live func() *state.HARecord) *endpoint {
	return &endpoint{db: db, log: log, pulse: p, live: live}
}

// serve listens where the configuration says; a listener that is there already stays.
func (e *endpoint) serve(want *spec.Spec) {
	listen := defaultListen
	if want != nil {
		listen = want.Daemon.Listen
	}
	if listen == e.listen && !e.ended() {
		return
	}
	e.stop()
	ctx, cancel := context.WithCancel(context.Background())
	e.listen, e.cancel, e.done = listen, cancel, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		h := web.New(e.db, e.loop)
		h.Version, h.Live = version, e.live
		if err := web.Serve(ctx, listen, h); err != nil {
			e.log.Error("the status endpoint does not answer", "listen", listen, "err", err)
		}
	}(e.done)
}

// ended tells that the listener gave up (a port that is taken): the next pass tries again.
func (e *endpoint) ended() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

func (e *endpoint) stop() {
	if e.cancel != nil {
		e.cancel()
		<-e.done
	}
	e.cancel, e.listen = nil, ""
}

// alive notes that a pass ended.
func (p *pulse) alive(at time.Time, interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.interval = at, interval
}

// loop tells the endpoint when the last pass was, and how often there should be one.
func (p *pulse) loop() (time.Time, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.interval
}

// live is what is known of the HA group now.
func (d *daemon) live() *state.HARecord { return d.group.live() }
