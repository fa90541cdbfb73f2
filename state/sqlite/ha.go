package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dplaneos/dplane/state"
)

// HA is what is remembered of the HA group, nil where nothing is. What can't be read is an error: a term must not be
// forgotten.
func (s *Store) HA(ctx context.Context) (*state.HARecord, error) { return readHA(ctx, s.r) }

func readHA(ctx context.Context, from interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (*state.HARecord, error) {
	var body []byte
	err := from.QueryRowContext(ctx, "SELECT body FROM ha").Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	r := new(state.HARecord)
	if err == nil {
		err = json.Unmarshal(body, r)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is known of the HA group: %w", err)
	}
	return r, nil
}

const saveHA = "INSERT INTO ha VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET term = excluded.term, body = excluded.body WHERE excluded.term >= ha.term"

// SaveHA remembers it. One with a lower term than what is remembered was made before that, and writes nothing.
func (s *Store) SaveHA(ctx context.Context, r *state.HARecord) error {
	body, err := json.Marshal(r)
	if err == nil {
		_, err = s.w.ExecContext(ctx, saveHA, int64(r.HA.Term), string(body))
	}
	if err != nil {
		return fmt.Errorf("remember what is known of the HA group: %w", err)
	}
	return nil
}
