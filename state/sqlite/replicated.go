package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/dplaneos/dplane/state"
)

// Replicated is what is remembered of replications, by name. What can't be read is as good as lost.
func (s *Store) Replicated(ctx context.Context) (map[string]*state.Replicated, error) {
	rows, err := s.r.QueryContext(ctx, "SELECT name, body FROM replicated")
	if err != nil {
		return nil, fmt.Errorf("read what replications did: %w", err)
	}
	defer rows.Close()
	all := map[string]*state.Replicated{}
	for rows.Next() {
		var name string
		var body []byte
		if err := rows.Scan(&name, &body); err != nil {
			return nil, fmt.Errorf("read what replications did: %w", err)
		}
		r := new(state.Replicated)
		if json.Unmarshal(body, r) == nil {
			all[name] = r
		}
	}
	return all, rows.Err()
}

// SaveReplicated remembers it of one replication; nil ends the memory.
func (s *Store) SaveReplicated(ctx context.Context, name string, r *state.Replicated) error {
	if r == nil {
		_, err := s.w.ExecContext(ctx, "DELETE FROM replicated WHERE name = ?", name)
		return ofReplication(err, name)
	}
	body, err := json.Marshal(r)
	if err == nil {
		_, err = s.w.ExecContext(ctx, "INSERT INTO replicated VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body", name, string(body))
	}
	return ofReplication(err, name)
}

func ofReplication(err error, name string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("remember what the replication %s did: %w", name, err)
}
