package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// SavePatience keeps what the loop learned of what fails and what is fought over, a JSON document. The same one
// again writes nothing.
func (s *Store) SavePatience(ctx context.Context, doc []byte) error {
	_, err := s.w.ExecContext(ctx, "INSERT INTO patience VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET body = excluded.body WHERE body <> excluded.body", string(doc))
	if err != nil {
		return fmt.Errorf("save what the loop waits with: %w", err)
	}
	return nil
}

// Patience is the document that was kept last, nil where there is none.
func (s *Store) Patience(ctx context.Context) ([]byte, error) {
	var doc string
	err := s.r.QueryRowContext(ctx, "SELECT body FROM patience").Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what the loop waits with: %w", err)
	}
	return []byte(doc), nil
}
