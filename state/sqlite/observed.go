package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dplaneos/dplane/state"
)

// object is one row to be: an observed pool or dataset.
type object struct{ kind, name, guid, hash, body string }

// saveObserved writes the objects that are new, changed or back, and marks those that went missing
// with the time of the pass that saw them last.
func saveObserved(ctx context.Context, tx *sql.Tx, o *state.Observed) error {
	objects, err := objectsOf(o)
	if err != nil {
		return err
	}
	known, err := knownHashes(ctx, tx)
	if err != nil {
		return err
	}
	// A guid stays as it was first known: another object under a known name is not taken for it
	// before the operator says so.
	put, err := tx.PrepareContext(ctx, `INSERT INTO observed VALUES (?, ?, ?, ?, ?, ?, NULL)
		ON CONFLICT (kind, name) DO UPDATE SET hash = excluded.hash, body = excluded.body, missing = NULL`)
	if err != nil {
		return err
	}
	defer put.Close()
	for _, x := range objects {
		key := [2]string{x.kind, x.name}
		if hash, ok := known[key]; !ok || hash != x.hash {
			if _, err := put.ExecContext(ctx, x.kind, x.name, x.guid, x.hash, x.body, nanos(o.At)); err != nil {
				return fmt.Errorf("%s %s: %w", x.kind, x.name, err)
			}
		}
		delete(known, key)
	}
	if err := forgetRenamed(ctx, tx, o.Renamed); err != nil {
		return err
	}
	if err := markMissing(ctx, tx, known); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO pass VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET at = excluded.at", nanos(o.At))
	return err
}

func objectsOf(o *state.Observed) ([]object, error) {
	var list []object
	add := func(kind, name, guid string, body any) error {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", kind, name, err)
		}
		list = append(list, object{kind, name, guid, hashOf(b), string(b)})
		return nil
	}
	for name, p := range o.Pools {
		if err := add("pool", name, p.GUID, p); err != nil {
			return nil, err
		}
	}
	for name, d := range o.Datasets {
		if err := add("dataset", name, d.GUID, d); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// knownHashes are the bodies' hashes of all objects that are not already marked as missing; a missing
// one counts with no hash, so that it is written when it is back.
func knownHashes(ctx context.Context, tx *sql.Tx) (map[[2]string]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT kind, name, CASE WHEN missing IS NULL THEN hash ELSE '' END FROM observed")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	known := map[[2]string]string{}
	for rows.Next() {
		var kind, name, hash string
		if err := rows.Scan(&kind, &name, &hash); err != nil {
			return nil, err
		}
		known[[2]string{kind, name}] = hash
	}
	return known, rows.Err()
}

// forgetRenamed ends the memory of a former name, and of those below it whose datasets went along: they are
// known under their new names.
func forgetRenamed(ctx context.Context, tx *sql.Tx, renamed map[string]string) error {
	for old, now := range renamed {
		_, err := tx.ExecContext(ctx, `DELETE FROM observed WHERE kind = 'dataset' AND (name = ?1 OR substr(name, 1, length(?1) + 1) = ?1 || '/')
			AND EXISTS (SELECT 1 FROM observed n WHERE n.kind = 'dataset' AND n.guid = observed.guid AND n.name = ?2 || substr(observed.name, length(?1) + 1))`, old, now)
		if err != nil {
			return fmt.Errorf("dataset %s: %w", old, err)
		}
	}
	return nil
}

// endMemories ends what is remembered of datasets that are gone and were destroyed on purpose: nothing is missed, and
// their names are free.
func endMemories(ctx context.Context, tx *sql.Tx, guids []string) error {
	for _, guid := range guids {
		if _, err := tx.ExecContext(ctx, "DELETE FROM observed WHERE kind = 'dataset' AND guid = ? AND missing IS NOT NULL", guid); err != nil {
			return fmt.Errorf("dataset with the guid %s: %w", guid, err)
		}
	}
	return nil
}

func markMissing(ctx context.Context, tx *sql.Tx, gone map[[2]string]string) error {
	for key, hash := range gone {
		if hash == "" {
			continue // marked by an earlier pass
		}
		_, err := tx.ExecContext(ctx, "UPDATE observed SET missing = (SELECT at FROM pass) WHERE kind = ? AND name = ?", key[0], key[1])
		if err != nil {
			return fmt.Errorf("%s %s: %w", key[0], key[1], err)
		}
	}
	return nil
}

// Recorded are the pools and datasets seen before, by kind and name.
func (s *Store) Recorded(ctx context.Context) ([]state.Recorded, error) {
	rows, err := s.r.QueryContext(ctx, `SELECT kind, name, guid, coalesce(missing, (SELECT at FROM pass)), first,
		iif(kind = 'pool', body ->> '$.scrubbed', NULL), iif(kind = 'pool', body ->> '$.trimmed', NULL) FROM observed ORDER BY kind, name`)
	if err != nil {
		return nil, fmt.Errorf("read memory of objects: %w", err)
	}
	defer rows.Close()
	list := []state.Recorded{}
	for rows.Next() {
		var o state.Recorded
		var seen, first int64
		var scrubbed, trimmed sql.NullString
		if err := rows.Scan(&o.Kind, &o.Name, &o.GUID, &seen, &first, &scrubbed, &trimmed); err != nil {
			return nil, fmt.Errorf("read memory of objects: %w", err)
		}
		o.Seen, o.First, o.Scrubbed, o.Trimmed = fromNanos(seen), fromNanos(first), moment(scrubbed), moment(trimmed)
		list = append(list, o)
	}
	return list, rows.Err()
}

// moment is a time in a body, zero where there is none.
func moment(s sql.NullString) time.Time {
	t, err := time.Parse(time.RFC3339, s.String)
	if err != nil {
		return time.Time{}
	}
	return t
}

// Forget ends the memory of the pool or dataset of this name, and of what is below it; it gives the
// number of memories that ended.
func (s *Store) Forget(ctx context.Context, name string) (int, error) {
	res, err := s.w.ExecContext(ctx, "DELETE FROM observed WHERE name = ?1 OR substr(name, 1, length(?1) + 1) = ?1 || '/'", name)
	if err != nil {
		return 0, fmt.Errorf("forget %s: %w", name, err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// Adopt remembers what was observed in the place of these memories; one whose name nothing has ends. What else is
// remembered, of names below them too, stays as it is.
func (s *Store) Adopt(ctx context.Context, o *state.Observed, old []state.Recorded) error {
	objects, err := objectsOf(o)
	if err != nil {
		return err
	}
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	gives := map[[2]string]bool{}
	for _, r := range old {
		gives[[2]string{r.Kind, r.Name}] = true
		if _, err := tx.ExecContext(ctx, "DELETE FROM observed WHERE kind = ? AND name = ? AND guid = ?", r.Kind, r.Name, r.GUID); err != nil {
			return fmt.Errorf("end the memory of %s %s: %w", r.Kind, r.Name, err)
		}
	}
	for _, x := range objects {
		if !gives[[2]string{x.kind, x.name}] {
			continue
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO observed VALUES (?, ?, ?, ?, ?, ?, NULL)", x.kind, x.name, x.guid, x.hash, x.body, nanos(o.At)); err != nil {
			return fmt.Errorf("remember %s %s: %w", x.kind, x.name, err)
		}
	}
	return tx.Commit()
}

// readObserved fills in the objects that the last pass saw. Datasets come without their properties: they
// are nine tenths of the bytes, and what reads a record (status) has no use for them.
func readObserved(ctx context.Context, tx *sql.Tx, o *state.Observed) error {
	o.Pools, o.Datasets = map[string]*state.Pool{}, map[string]*state.Dataset{}
	rows, err := tx.QueryContext(ctx, "SELECT kind, name, iif(kind = 'dataset', json_remove(body, '$.properties'), body) FROM observed WHERE missing IS NULL")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var kind, name, body string
		if err := rows.Scan(&kind, &name, &body); err != nil {
			return err
		}
		if kind == "pool" {
			o.Pools[name] = new(state.Pool)
			err = json.Unmarshal([]byte(body), o.Pools[name])
		} else {
			o.Datasets[name] = new(state.Dataset)
			err = json.Unmarshal([]byte(body), o.Datasets[name])
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", kind, name, err)
		}
	}
	return rows.Err()
}
