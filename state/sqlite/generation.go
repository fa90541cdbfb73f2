package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dplaneos/dplane/state"
)

// ErrNoGeneration is a number that no recorded generation has.
var ErrNoGeneration = errors.New("no generation of that number is recorded")

// keptFiles is the number of generations whose files are kept; older ones keep their line in history.
const keptFiles = 200

// SaveGeneration records an accepted configuration and gives its number; the same hash as the newest
// one's gives that number and writes nothing.
func (s *Store) SaveGeneration(ctx context.Context, g state.Generation) (int64, error) {
	number, err := s.saveGeneration(ctx, g)
	if err != nil {
		return 0, fmt.Errorf("save generation %.12s: %w", g.Hash, err)
	}
	return number, nil
}

func (s *Store) saveGeneration(ctx context.Context, g state.Generation) (int64, error) {
	if g.Files == nil {
		g.Files = map[string]string{}
	}
	files, err := json.Marshal(g.Files)
	if err != nil {
		return 0, err
	}
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	var number int64
	var hash string
	err = tx.QueryRowContext(ctx, "SELECT number, hash FROM generation ORDER BY number DESC LIMIT 1").Scan(&number, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	if err == nil && hash == g.Hash {
		return number, nil
	}
	res, err := tx.ExecContext(ctx, "INSERT INTO generation (hash, at, who, commit_id, dirty, files) VALUES (?, ?, ?, ?, ?, ?)",
		g.Hash, nanos(g.At), g.Who, g.Commit, g.Dirty, string(files))
	if err != nil {
		return 0, err
	}
	if number, err = res.LastInsertId(); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE generation SET files = '{}' WHERE number = ?", number-keptFiles); err != nil {
		return 0, err
	}
	return number, tx.Commit()
}

// LastGeneration is the newest accepted configuration, with its files.
func (s *Store) LastGeneration(ctx context.Context) (g state.Generation, found bool, err error) {
	return s.generation(ctx, "ORDER BY number DESC LIMIT 1")
}

// Generation is an accepted configuration by its number, with its files (none where it is very old);
// ErrNoGeneration where there is none of that number.
func (s *Store) Generation(ctx context.Context, number int64) (state.Generation, error) {
	g, found, err := s.generation(ctx, "WHERE number = ?", number)
	if err == nil && !found {
		err = ErrNoGeneration
	}
	return g, err
}

// Generations are all accepted configurations, newest first, without their files.
func (s *Store) Generations(ctx context.Context) ([]state.Generation, error) {
	rows, err := s.r.QueryContext(ctx, "SELECT "+generationColumns+", '{}' FROM generation ORDER BY number DESC")
	if err != nil {
		return nil, fmt.Errorf("read generations: %w", err)
	}
	defer rows.Close()
	list := []state.Generation{}
	for rows.Next() {
		g, err := scanGeneration(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("read generations: %w", err)
		}
		list = append(list, g)
	}
	return list, rows.Err()
}

// UsePlan marks a saved plan as used; used tells whether it was already.
func (s *Store) UsePlan(ctx context.Context, hash string, at time.Time) (used bool, err error) {
	res, err := s.w.ExecContext(ctx, "INSERT INTO plan_used (hash, at) VALUES (?, ?) ON CONFLICT DO NOTHING", hash, nanos(at))
	if err != nil {
		return false, fmt.Errorf("mark plan %.12s as used: %w", hash, err)
	}
	n, err := res.RowsAffected()
	return n == 0, err
}

const generationColumns = "number, hash, at, who, commit_id, dirty"

func (s *Store) generation(ctx context.Context, where string, args ...any) (g state.Generation, found bool, err error) {
	g, err = scanGeneration(s.r.QueryRowContext(ctx, "SELECT "+generationColumns+", files FROM generation "+where, args...).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return state.Generation{}, false, nil
	}
	if err != nil {
		return state.Generation{}, false, fmt.Errorf("read generation: %w", err)
	}
	return g, true, nil
}

func scanGeneration(scan func(...any) error) (state.Generation, error) {
	var g state.Generation
	var at int64
	var files string
	if err := scan(&g.Number, &g.Hash, &at, &g.Who, &g.Commit, &g.Dirty, &files); err != nil {
		return g, err
	}
	g.At = fromNanos(at)
	return g, json.Unmarshal([]byte(files), &g.Files)
}
