package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dplaneos/dplane/state"
)

// keptDecisions is how many are kept. Each has all that it was made from, which is some kilobytes.
const keptDecisions = 2000

// Decide remembers what is known of the group and the decision that led to it (nil: none) in one transaction. A record whose
// term is lower than the one that is remembered is an error here: what can't be persisted must not be done.
func (s *Store) Decide(ctx context.Context, r *state.HARecord, d *state.Decision) error {
	if err := s.decide(ctx, r, d); err != nil {
		return fmt.Errorf("remember what was decided in the HA group: %w", err)
	}
	return nil
}

func (s *Store) decide(ctx context.Context, r *state.HARecord, d *state.Decision) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing, after a commit
	res, err := tx.ExecContext(ctx, saveHA, int64(r.HA.Term), string(body))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("a term above %d is remembered", r.HA.Term))
	}
	if d != nil {
		if err := addDecision(ctx, tx, d); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func addDecision(ctx context.Context, tx *sql.Tx, d *state.Decision) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx, "INSERT INTO decision (body) VALUES (?)", string(body))
	if err != nil {
		return err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM decision WHERE id <= ?", id-keptDecisions)
	return err
}

// Decisions are the newest ones, the newest first; of one id that one alone.
func (s *Store) Decisions(ctx context.Context, id int64, limit int) (all []state.Decision, err error) {
	rows, err := s.r.QueryContext(ctx, "SELECT id, body FROM decision WHERE ?1 = 0 OR id = ?1 ORDER BY id DESC LIMIT ?2", id, limit)
	if err != nil {
		return nil, fmt.Errorf("read the decisions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d state.Decision
		var of int64
		var body []byte
		if err := rows.Scan(&of, &body); err != nil {
			return nil, fmt.Errorf("read a decision: %w", err)
		}
		if err := json.Unmarshal(body, &d); err != nil {
			return nil, fmt.Errorf("read the decision %d: %w", of, err)
		}
		d.ID = of
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the decisions: %w", err)
	}
	return all, nil
}
