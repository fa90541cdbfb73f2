package web

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// What load balancers ask: 200 is yes, 503 is no. They read no database, and wait for no ZFS.

// role is that of this node now, "" where it has none.
func (h *Handler) role() (rec *state.HARecord, role state.Role) {
	if h.Live != nil {
		rec = h.Live()
	}
	if rec != nil {
		role = rec.HA.Role
	}
	return rec, role
}

// primary is yes on the active node. Of two that are active none is: whoever is sent to one of them may lose what it writes.
func (h *Handler) primary(w http.ResponseWriter) {
	rec, role := h.role()
	doc := map[string]any{"version": 1, "role": role, "term": 0}
	if rec != nil {
		doc["term"] = rec.HA.Term
	}
	yesNo(w, role == state.RoleActive || role == state.RoleActiveFailsafe, doc)
}

// replica is yes on a standby whose replica is no older than lag. Unknown is no.
func (h *Handler) replica(w http.ResponseWriter, r *http.Request) {
	limit, err := lagOf(r.URL.RawQuery)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error(), "/replica?lag=15m")
		return
	}
	rec, role := h.role()
	doc := map[string]any{"version": 1, "role": role, "lag": nil}
	within := limit == nil
	if rec != nil && rec.Lag != nil {
		doc["lag"] = int64(*rec.Lag / time.Second)
		within = within || *rec.Lag <= *limit
	}
	yesNo(w, role == state.RoleStandby && !rec.HA.Dirty && within, doc)
}

// lagOf is the bound that is asked for; nil: none is.
func lagOf(query string) (*time.Duration, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("the query can't be read: %w", err)
	}
	given, asked := q["lag"]
	if !asked {
		return nil, nil
	}
	d, err := spec.ParseDuration(given[0])
	if err == nil && len(given) > 1 {
		err = fmt.Errorf("it is given %d times", len(given))
	}
	if err != nil {
		return nil, fmt.Errorf("lag is a duration, such as 15m: %w", err)
	}
	limit := d.Std()
	return &limit, nil
}

func yesNo(w http.ResponseWriter, yes bool, doc map[string]any) {
	code := http.StatusServiceUnavailable
	if yes {
		code = http.StatusOK
	}
	answer(w, code, doc)
}
