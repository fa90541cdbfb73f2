package beat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
)

// What peers ask each other beside beats, by the same keys: to follow a switchover that was typed on the other side, and
// which snapshots are missing.

type asked struct {
	Order ha.Command        `json:"order,omitzero"`
	GUIDs map[string]string `json:"guids,omitempty"`
}

type answered struct {
	Refused string   `json:"refused,omitempty"`
	Missing []string `json:"missing,omitempty"`
}

// slow is how long a look at ZFS may take that a peer asked for.
const slow = 8 * time.Second

// ask takes a question of a peer.
func (h *handler) ask(rw http.ResponseWriter, r *http.Request, do func(ctx context.Context, peer string, q *asked) (answered, error)) {
	peer, stranger := h.w.whose(r.TLS)
	if peer == "" {
		h.w.refused(stranger, r.RemoteAddr)
		say(rw, http.StatusForbidden, "this key is no peer's")
		return
	}
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", "POST")
		say(rw, http.StatusMethodNotAllowed, "it is posted")
		return
	}
	var q asked
	if err := read(r.Body, &q); err != nil {
		say(rw, http.StatusBadRequest, err.Error())
		return
	}
	got, err := do(r.Context(), peer, &q)
	if err != nil {
		got.Refused = err.Error()
	}
	document(rw, http.StatusOK, got)
}

// order follows a switchover alone: whatever else decides is typed where it is done.
func (h *handler) order(_ context.Context, peer string, q *asked) (answered, error) {
	if q.Order.Name != ha.Switchover {
		return answered{}, fmt.Errorf("%.32q is no order that a peer may give", q.Order.Name)
	}
	before := h.w.State().Jobs
	c := ha.Command{Name: ha.Switchover, To: q.Order.To, By: fmt.Sprintf("%.128s on %s", q.Order.By, peer)}
	if err := h.w.Do(ha.Event{Kind: ha.Commanded, Command: &c}); err != nil {
		return answered{}, err
	}
	if h.w.State().Jobs == before {
		return answered{}, fmt.Errorf("it is not followed there: dplane ha explain, on %s", h.w.State().Node)
	}
	return answered{}, nil
}

func (h *handler) missing(ctx context.Context, _ string, q *asked) (answered, error) {
	if h.w.Machine == nil || len(q.GUIDs) > maxGroup {
		return answered{}, fmt.Errorf("this is not answered here")
	}
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	lacks, err := h.w.Machine.Missing(ctx, q.GUIDs)
	return answered{Missing: lacks}, err
}

// Order asks a peer to follow an order.
func (Net) Order(ctx context.Context, key *Key, to Peer, c ha.Command) error {
	_, err := put(ctx, key, to, "/order", asked{Order: c})
	return err
}

// Missing asks which of these snapshots a peer has not.
func (Net) Missing(ctx context.Context, key *Key, to Peer, guids map[string]string) ([]string, error) {
	got, err := put(ctx, key, to, "/missing", asked{GUIDs: guids})
	return got.Missing, err
}

func put(ctx context.Context, key *Key, to Peer, path string, q asked) (got answered, err error) {
	text, err := json.Marshal(q)
	if err != nil {
		return got, fmt.Errorf("ask %s: %w", to.Name, err)
	}
	err = call(ctx, key, to, http.MethodPost, path, text, func(code int, body io.Reader) error {
		if code != http.StatusOK {
			return fmt.Errorf("it answers with the status %d", code)
		}
		return read(body, &got)
	})
	if err == nil && got.Refused != "" {
		err = fmt.Errorf("%s says: %.300s", to.Name, got.Refused)
	}
	return got, err
}
