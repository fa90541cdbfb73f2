package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dplaneos/dplane/state"
)

const (
	keptEvents = 100_000
	keptFor    = 90 * 24 * time.Hour
	tidyEvery  = time.Hour
)

// SaveRecord keeps the result of a reconcile for status, and remembers what was observed. Only what
// changed is written. A record without Observed (nothing was looked at) leaves the memory as it is.
func (s *Store) SaveRecord(ctx context.Context, r state.Record) error {
	if err := s.saveRecord(ctx, r); err != nil {
		return fmt.Errorf("save record of reconcile: %w", err)
	}
	if !s.tidied.IsZero() && r.At.Sub(s.tidied) < tidyEvery {
		return nil
	}
	s.tidied = r.At
	return s.tidy(ctx, r.At)
}

func (s *Store) saveRecord(ctx context.Context, r state.Record) error {
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	errs, err := json.Marshal(append([]string{}, r.Errors...))
	if err != nil {
		return err
	}
	var seen any
	if r.Observed != nil {
		seen = nanos(r.Observed.At)
		if err := saveObserved(ctx, tx, r.Observed); err != nil {
			return err
		}
	}
	if err := endMemories(ctx, tx, r.Ended); err != nil {
		return err
	}
	if err := saveParts(ctx, tx, r); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO record VALUES (1, ?, ?, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET
		at = excluded.at, generation = excluded.generation, interval = excluded.interval, observed = excluded.observed,
		errors = excluded.errors, invalid = excluded.invalid`,
		nanos(r.At), r.Generation, int64(r.Interval), seen, string(errs), r.Invalid)
	if err != nil {
		return err
	}
	return tx.Commit()
}

// saveParts writes the long parts of a record, each where it changed. Objects and what schedules took have rows of
// their own, and what was recorded before is known already: none of them is in the part "observed".
func saveParts(ctx context.Context, tx *sql.Tx, r state.Record) error {
	parts := map[string]any{"declared": r.Declared, "plan": json.RawMessage(r.Plan)}
	if len(r.Plan) == 0 {
		parts["plan"] = nil
	}
	if r.Observed != nil {
		rest := *r.Observed
		rest.At, rest.Pools, rest.Datasets, rest.Recorded, rest.Listed, rest.Taken = time.Time{}, nil, nil, nil, nil, nil
		parts["observed"] = rest
	}
	for name, part := range parts {
		body, err := json.Marshal(part)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO record_part VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE
			SET hash = excluded.hash, body = excluded.body WHERE hash <> excluded.hash`, name, hashOf(body), string(body))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// tidy bounds the journal and the log of the database. An open intent is never pruned.
func (s *Store) tidy(ctx context.Context, now time.Time) error {
	_, err := s.w.ExecContext(ctx, `DELETE FROM event WHERE outcome IS NOT 'started' AND
		(at < ? OR id <= (SELECT id FROM event ORDER BY id DESC LIMIT 1 OFFSET ?))`, nanos(now.Add(-keptFor)), keptEvents)
	if err != nil {
		return fmt.Errorf("prune events: %w", err)
	}
	return s.checkpoint(ctx)
}

// Record is the result of the latest reconcile, its datasets without their properties; nil where there
// was none.
func (s *Store) Record(ctx context.Context) (*state.Record, error) {
	rec, err := s.record(ctx)
	if err != nil {
		return nil, fmt.Errorf("read record of reconcile: %w", err)
	}
	return rec, nil
}

// record reads in one transaction, so that all of it is of the same reconcile.
func (s *Store) record(ctx context.Context) (*state.Record, error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	var rec state.Record
	var at, interval int64
	var seen sql.NullInt64
	var errs string
	err = tx.QueryRowContext(ctx, "SELECT at, generation, interval, observed, errors, invalid FROM record").
		Scan(&at, &rec.Generation, &interval, &seen, &errs, &rec.Invalid)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rec.At, rec.Interval = fromNanos(at), time.Duration(interval)
	if err := json.Unmarshal([]byte(errs), &rec.Errors); err != nil {
		return nil, err
	}
	if err := readParts(ctx, tx, &rec, seen.Valid); err != nil {
		return nil, err
	}
	if err := readLost(ctx, tx, &rec); err != nil {
		return nil, err
	}
	if rec.HA, err = readHA(ctx, tx); err != nil {
		rec.Errors = append(rec.Errors, err.Error())
	}
	if !seen.Valid {
		return &rec, nil
	}
	rec.Observed.At = fromNanos(seen.Int64)
	return &rec, readObserved(ctx, tx, rec.Observed)
}

// lostTold is how long status tells that the memory was lost.
const lostTold = 7 * 24 * time.Hour

func readLost(ctx context.Context, tx *sql.Tx, rec *state.Record) error {
	rows, err := tx.QueryContext(ctx, "SELECT at, message FROM event WHERE at > ? AND type = ? ORDER BY id", nanos(rec.At.Add(-lostTold)), state.MemoryLost)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var at int64
		var message string
		if err := rows.Scan(&at, &message); err != nil {
			return err
		}
		rec.Lost = append(rec.Lost, fromNanos(at).Format("2006-01-02 15:04 MST")+": "+message)
	}
	return rows.Err()
}

func readParts(ctx context.Context, tx *sql.Tx, rec *state.Record, seen bool) error {
	rows, err := tx.QueryContext(ctx, "SELECT name, body FROM record_part")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, body string
		if err := rows.Scan(&name, &body); err != nil {
			return err
		}
		switch {
		case body == "null" || name == "observed" && !seen:
		case name == "plan":
			rec.Plan = []byte(body)
		case name == "declared":
			err = json.Unmarshal([]byte(body), &rec.Declared)
		case name == "observed":
			err = json.Unmarshal([]byte(body), &rec.Observed)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return rows.Err()
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
