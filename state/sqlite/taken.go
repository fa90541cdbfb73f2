package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/dplaneos/dplane/state"
)

// Taken is what was remembered of the datasets that schedules cover, by guid, and the version of that memory; nil
// where it is still the version that the caller knows (0: none).
func (s *Store) Taken(ctx context.Context, known int64) (version int64, all map[string]*state.Taken, err error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, nil, fmt.Errorf("read what schedules took: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if err := tx.QueryRowContext(ctx, "SELECT n FROM taken_version").Scan(&version); err != nil {
		return 0, nil, fmt.Errorf("read what schedules took: %w", err)
	}
	if version == known {
		return version, nil, nil
	}
	rows, err := tx.QueryContext(ctx, "SELECT dataset, body FROM taken")
	if err != nil {
		return 0, nil, fmt.Errorf("read what schedules took: %w", err)
	}
	defer rows.Close()
	all = map[string]*state.Taken{}
	for rows.Next() {
		var guid string
		var body []byte
		if err := rows.Scan(&guid, &body); err != nil {
			return 0, nil, fmt.Errorf("read what schedules took: %w", err)
		}
		t := new(state.Taken)
		if json.Unmarshal(body, t) == nil { // what can't be read is as good as lost: the marks tell, and no other dataset waits for it
			all[guid] = t
		}
	}
	return version, all, rows.Err()
}

// SaveTaken remembers these; nil ends the memory of a dataset. All or none is written.
func (s *Store) SaveTaken(ctx context.Context, changed map[string]*state.Taken) error {
	if len(changed) == 0 {
		return nil
	}
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("remember what schedules take: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	put, err := tx.PrepareContext(ctx, "INSERT INTO taken VALUES (?, ?) ON CONFLICT (dataset) DO UPDATE SET body = excluded.body")
	if err != nil {
		return fmt.Errorf("remember what schedules take: %w", err)
	}
	defer put.Close()
	for guid, t := range changed {
		if t == nil {
			_, err = tx.ExecContext(ctx, "DELETE FROM taken WHERE dataset = ?", guid)
		} else {
			var body []byte
			if body, err = json.Marshal(t); err == nil {
				_, err = put.ExecContext(ctx, guid, string(body))
			}
		}
		if err != nil {
			return fmt.Errorf("remember what schedules take of the dataset with the guid %s: %w", guid, err)
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE taken_version SET n = n + 1"); err != nil {
		return fmt.Errorf("remember what schedules take: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("remember what schedules take: %w", err)
	}
	return nil
}
