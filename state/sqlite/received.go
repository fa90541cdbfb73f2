package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/dplaneos/dplane/state"
)

// Received is which snapshots replications received, by the name of the replication and the guid of the source, and the
// version of that memory; nil where it is still the version that the caller knows (0: none).
func (s *Store) Received(ctx context.Context, known int64) (version int64, all map[string]map[string]*state.Received, err error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, nil, fmt.Errorf("read what was received: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if err := tx.QueryRowContext(ctx, "SELECT n FROM received_version").Scan(&version); err != nil {
		return 0, nil, fmt.Errorf("read what was received: %w", err)
	}
	if version == known {
		return version, nil, nil
	}
	rows, err := tx.QueryContext(ctx, "SELECT replication, source, body FROM received")
	if err != nil {
		return 0, nil, fmt.Errorf("read what was received: %w", err)
	}
	defer rows.Close()
	all = map[string]map[string]*state.Received{}
	for rows.Next() {
		var name, source string
		var body []byte
		if err := rows.Scan(&name, &source, &body); err != nil {
			return 0, nil, fmt.Errorf("read what was received: %w", err)
		}
		if all[name] == nil {
			all[name] = map[string]*state.Received{}
		}
		r := new(state.Received)
		if json.Unmarshal(body, r) == nil { // what can't be read is as good as lost
			all[name][source] = r
		}
	}
	return version, all, rows.Err()
}

// SaveReceived remembers these of one replication, by the guids of the sources; nil ends the memory of one. All or none is
// written.
func (s *Store) SaveReceived(ctx context.Context, name string, changed map[string]*state.Received) error {
	if len(changed) == 0 {
		return nil
	}
	return s.receive(ctx, name, func(tx *sql.Tx) error {
		for source, r := range changed {
			if r == nil {
				if _, err := tx.ExecContext(ctx, "DELETE FROM received WHERE replication = ? AND source = ?", name, source); err != nil {
					return err
				}
				continue
			}
			body, err := json.Marshal(r)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO received VALUES (?, ?, ?) ON CONFLICT (replication, source) DO UPDATE SET body = excluded.body", name, source, string(body)); err != nil {
				return err
			}
		}
		return nil
	})
}

// ForgetReplication ends all memory of a replication.
func (s *Store) ForgetReplication(ctx context.Context, name string) error {
	return s.receive(ctx, name, func(tx *sql.Tx) error {
		for _, q := range []string{"DELETE FROM received WHERE replication = ?", "DELETE FROM kept WHERE replication = ?", "DELETE FROM replicated WHERE name = ?"} {
			if _, err := tx.ExecContext(ctx, q, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// receive is one change of what was received.
func (s *Store) receive(ctx context.Context, name string, do func(tx *sql.Tx) error) error {
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return ofReplication(err, name)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	if err := do(tx); err != nil {
		return ofReplication(err, name)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE received_version SET n = n + 1"); err != nil {
		return ofReplication(err, name)
	}
	return ofReplication(tx.Commit(), name)
}

// Kept is what a replication keeps on its target and kept before; nil: nothing is remembered.
func (s *Store) Kept(ctx context.Context, name string) (*state.Kept, error) {
	var body []byte
	err := s.r.QueryRowContext(ctx, "SELECT body FROM kept WHERE replication = ?", name).Scan(&body)
	if err == sql.ErrNoRows {
		return nil, nil
	}
	k := new(state.Kept)
	if err == nil && json.Unmarshal(body, k) != nil {
		return nil, nil
	}
	return k, ofReplication(err, name)
}

// SaveKept remembers it; nil ends the memory.
func (s *Store) SaveKept(ctx context.Context, name string, k *state.Kept) error {
	if k == nil {
		_, err := s.w.ExecContext(ctx, "DELETE FROM kept WHERE replication = ?", name)
		return ofReplication(err, name)
	}
	body, err := json.Marshal(k)
	if err == nil {
		_, err = s.w.ExecContext(ctx, "INSERT INTO kept VALUES (?, ?) ON CONFLICT (replication) DO UPDATE SET body = excluded.body", name, string(body))
	}
	return ofReplication(err, name)
}
