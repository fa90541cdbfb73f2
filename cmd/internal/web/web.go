// Package web is the read-only endpoint: status, plan and events as JSON, a page for people, metrics.
// It serves what the last reconcile recorded, with the time of that record.
//
// It must never run a command, change anything, or answer any method but GET and HEAD.
package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state"
)

// Reader is what the endpoint reads: the database, never a driver.
type Reader interface {
	Record(ctx context.Context) (*state.Record, error)
	Events(ctx context.Context, search string, limit int) ([]state.Event, error)
	Outcomes(ctx context.Context) (map[string]int64, error)
	HA(ctx context.Context) (*state.HARecord, error)
}

// Handler answers the requests.
type Handler struct {
	Version string // of dplane, for /metrics
	// Live is what is known of the HA group now: load balancers are answered by it. nil, also as its result: no role.
	Live func() *state.HARecord

	store   Reader
	loop    func() (last time.Time, interval time.Duration)
	clock   reconcile.Clock
	started time.Time
	busy    chan struct{} // bounds the requests that read the database at once
	paths   map[string]func(http.ResponseWriter, *http.Request)
	html    *template.Template
}

// atOnce is how many requests may read the database at the same time; others wait.
const atOnce = 8

// New makes the handler. loop tells when the last pass that was on time began (zero: none yet) and how
// often there should be one; it decides /health.
func New(store Reader, loop func() (last time.Time, interval time.Duration)) *Handler {
	return newAt(store, loop, reconcile.Wall{})
}

func newAt(store Reader, loop func() (time.Time, time.Duration), clock reconcile.Clock) *Handler {
	h := &Handler{store: store, loop: loop, clock: clock, started: clock.Now(), busy: make(chan struct{}, atOnce), html: pageTemplate()}
	h.paths = map[string]func(http.ResponseWriter, *http.Request){
		"/":                h.page,
		"/api/status":      h.status,
		"/api/plan":        h.plan,
		"/api/events":      h.events,
		"/api/replication": h.replication,
		"/api/ha/status":   h.group,
		"/metrics":         h.metrics,
	}
	return h
}

// ServeHTTP refuses what is not a read, whatever the path. Paths are compared whole: there is no tree
// of files behind them.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "the endpoint is read-only", "use GET or HEAD")
		return
	}
	switch r.URL.Path {
	case "/health":
		h.health(w)
		return
	case "/primary":
		h.primary(w)
		return
	case "/replica":
		h.replica(w, r)
		return
	}
	serve, ok := h.paths[r.URL.Path]
	if !ok {
		fail(w, http.StatusNotFound, "there is nothing here", "try /, /health, /primary, /replica?lag=15m, /metrics, /api/status, /api/plan, /api/events")
		return
	}
	select {
	case h.busy <- struct{}{}:
		defer func() { <-h.busy }()
		serve(w, r)
	case <-r.Context().Done(): // the client went away while it waited
	}
}

func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// lateAfter is the number of intervals without a pass after which the loop is not on time.
const lateAfter = 3

// healthy tells whether the loop runs on time; a daemon that just started has as long for its first pass.
func (h *Handler) healthy() (last time.Time, ok bool) {
	last, interval := h.loop()
	if interval <= 0 {
		interval = time.Minute
	}
	since := last
	if since.Before(h.started) {
		since = h.started
	}
	return last, h.clock.Now().Sub(since) <= lateAfter*interval
}

func (h *Handler) health(w http.ResponseWriter) {
	last, ok := h.healthy()
	doc := map[string]any{"version": 1, "healthy": ok, "last": nil}
	if !last.IsZero() {
		doc["last"] = last.UTC()
	}
	code := http.StatusOK
	if !ok {
		code = http.StatusServiceUnavailable
	}
	answer(w, code, doc)
}

// replication is what `replication list` shows, as it was recorded.
func (h *Handler) replication(w http.ResponseWriter, r *http.Request) {
	rec, err := h.store.Record(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error(), "look at the daemon's log")
		return
	}
	var obs *state.Observed
	if rec != nil {
		obs = rec.Observed
	}
	b, err := render.ReplicationsJSON(obs)
	send(w, b, err)
}

// group is what `dplane ha status` shows.
func (h *Handler) group(w http.ResponseWriter, r *http.Request) {
	rec, err := h.store.HA(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error(), "look at the daemon's log")
		return
	}
	b, err := render.HAStatusJSON(render.NewHAStatus(rec, h.clock.Now()))
	send(w, b, err)
}

// status is always answered: what can't be read is a state too.
func (h *Handler) status(w http.ResponseWriter, r *http.Request) {
	b, err := render.StatusJSON(h.readStatus(r.Context()))
	send(w, b, err)
}

func (h *Handler) readStatus(ctx context.Context) *render.Status {
	rec, err := h.store.Record(ctx)
	st := render.NewStatus(rec, h.clock.Now())
	if err != nil {
		st.Errors = append(st.Errors, render.StatusError{Message: err.Error()})
	}
	return st
}

func (h *Handler) plan(w http.ResponseWriter, r *http.Request) {
	rec, err := h.store.Record(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error(), "look at the daemon's log")
		return
	}
	if rec == nil || len(rec.Plan) == 0 {
		b, err := render.PlanJSON(&reconcile.Plan{Notices: []string{"no plan was recorded yet"}})
		send(w, b, err)
		return
	}
	send(w, rec.Plan, nil)
}

// defaultEvents and maxEvents bound an answer of /api/events.
const (
	defaultEvents = 100
	maxEvents     = 1000
)

func (h *Handler) events(w http.ResponseWriter, r *http.Request) {
	limit, err := limitOf(r.URL.Query().Get("limit"))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error(), "/api/events?q=tank/home&limit=50")
		return
	}
	events, err := h.store.Events(r.Context(), r.URL.Query().Get("q"), limit)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error(), "look at the daemon's log")
		return
	}
	b, err := render.EventsJSON(events)
	send(w, b, err)
}

func limitOf(s string) (int, error) {
	if s == "" {
		return defaultEvents, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxEvents {
		return 0, fmt.Errorf("limit %q is not a number from 1 to %d", s, maxEvents)
	}
	return n, nil
}
