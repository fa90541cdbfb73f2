package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/dplaneos/dplane/state"
)

// Begin writes an action's intent before anything is done, and gives its id.
func (s *Store) Begin(ctx context.Context, e state.Event) (int64, error) {
	if e.Action == nil {
		return 0, fmt.Errorf("write intent: the event %q has no action", e.Message)
	}
	a := *e.Action
	a.Outcome, e.Action = state.Started, &a
	id, err := s.insert(ctx, e)
	if err != nil {
		return 0, fmt.Errorf("write intent to %s %s %s: %w", a.Verb, a.Kind, a.Name, err)
	}
	return id, nil
}

// Log writes an event: one that is no action, or an action that ended without being begun.
func (s *Store) Log(ctx context.Context, e state.Event) error {
	if _, err := s.insert(ctx, e); err != nil {
		return fmt.Errorf("write event %q: %w", e.Message, err)
	}
	return nil
}

// Finish completes an intent, once. A bad outcome raises the event's level.
func (s *Store) Finish(ctx context.Context, id int64, outcome, errText string, at time.Time) error {
	res, err := s.w.ExecContext(ctx, `UPDATE event SET outcome = ?, error = ?, ended = ?, level = CASE WHEN ? = 'info' THEN level ELSE ? END
		WHERE id = ? AND outcome = 'started'`, outcome, errText, nanos(at), levelOf(outcome), levelOf(outcome), id)
	if err != nil {
		return fmt.Errorf("write outcome of event %d: %w", id, err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("write outcome of event %d: it is no open intent", id)
	}
	return nil
}

// Acted tells whether an action was ever begun.
func (s *Store) Acted(ctx context.Context) (acted bool, err error) {
	if err = s.r.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM event WHERE outcome IS NOT NULL)").Scan(&acted); err != nil {
		return false, fmt.Errorf("look for actions in the journal: %w", err)
	}
	return acted, nil
}

// Unsettled are intents that were never finished, oldest first.
func (s *Store) Unsettled(ctx context.Context) ([]state.Event, error) {
	return s.events(ctx, "unsettled intents", "FROM event WHERE outcome = 'started' ORDER BY id")
}

// Events are the newest events, newest first; with a search, those that hold each of its words, or
// words that begin so, in the message, the object's name, the verb or the error.
func (s *Store) Events(ctx context.Context, search string, limit int) ([]state.Event, error) {
	if strings.TrimSpace(search) == "" {
		return s.events(ctx, "events", "FROM event ORDER BY id DESC LIMIT ?", limit)
	}
	match := matchAll(search)
	if match == "" {
		return []state.Event{}, nil
	}
	return s.events(ctx, "events", `FROM event WHERE id IN (SELECT rowid FROM event_text WHERE event_text MATCH ?)
		ORDER BY id DESC LIMIT ?`, match, limit)
}

// Outcomes counts all actions that ever ended, by outcome; pruning does not lower it.
func (s *Store) Outcomes(ctx context.Context) (map[string]int64, error) {
	rows, err := s.r.QueryContext(ctx, "SELECT outcome, n FROM outcome_total")
	if err != nil {
		return nil, fmt.Errorf("read outcomes: %w", err)
	}
	defer rows.Close()
	total := map[string]int64{}
	for rows.Next() {
		var outcome string
		var n int64
		if err := rows.Scan(&outcome, &n); err != nil {
			return nil, fmt.Errorf("read outcomes: %w", err)
		}
		total[outcome] = n
	}
	return total, rows.Err()
}

// matchAll makes a full-text query of what a person typed: each word quoted, so that no sign in it is
// syntax, and each a prefix. Words without a letter or digit hold nothing that is indexed.
func matchAll(search string) string {
	var terms []string
	for _, w := range strings.Fields(strings.ToValidUTF8(strings.ReplaceAll(search, "\x00", " "), " ")) {
		if strings.IndexFunc(w, indexed) >= 0 {
			terms = append(terms, `"`+strings.ReplaceAll(w, `"`, `""`)+`"*`)
		}
	}
	return strings.Join(terms, " ")
}

// indexed tells what the unicode61 tokenizer keeps: letters, digits and private-use characters.
func indexed(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.Co) }

const eventColumns = `id, at, type, level, generation, message,
	action, kind, name, verb, risk, reason, commands, outcome, error, started, ended, by, allowed`

func (s *Store) insert(ctx context.Context, e state.Event) (int64, error) {
	a := state.Action{}
	var outcome, started any
	if e.Action != nil {
		a = *e.Action
		outcome, started = a.Outcome, nanos(a.Started)
		if a.Started.IsZero() {
			started = nanos(e.At)
		}
	}
	if e.Level == "" {
		e.Level = state.Info
	}
	commands, err := json.Marshal(append([][]string{}, a.Commands...))
	if err != nil {
		return 0, err
	}
	res, err := s.w.ExecContext(ctx, `INSERT INTO event (`+eventColumns+`)
		VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		nanos(e.At), e.Type, e.Level, e.Generation, e.Message,
		a.ID, a.Kind, a.Name, a.Verb, a.Risk, a.Reason, string(commands), outcome, a.Error, started, nullNanos(a.Ended), a.By, a.Allowed)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

func (s *Store) events(ctx context.Context, what, from string, args ...any) ([]state.Event, error) {
	rows, err := s.r.QueryContext(ctx, "SELECT "+eventColumns+" "+from, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	defer rows.Close()
	list := []state.Event{}
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", what, err)
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return list, nil
}

func scanEvent(rows *sql.Rows) (state.Event, error) {
	var e state.Event
	var a state.Action
	var at int64
	var outcome sql.NullString
	var started, ended sql.NullInt64
	var commands string
	err := rows.Scan(&e.ID, &at, &e.Type, &e.Level, &e.Generation, &e.Message,
		&a.ID, &a.Kind, &a.Name, &a.Verb, &a.Risk, &a.Reason, &commands, &outcome, &a.Error, &started, &ended, &a.By, &a.Allowed)
	if err != nil {
		return e, err
	}
	e.At = fromNanos(at)
	if !outcome.Valid {
		return e, nil
	}
	a.Outcome, a.Started = outcome.String, fromNanos(started.Int64)
	if ended.Valid {
		a.Ended = fromNanos(ended.Int64)
	}
	if err := json.Unmarshal([]byte(commands), &a.Commands); err != nil {
		return e, err
	}
	e.Action = &a
	return e, nil
}

// levelOf is how loud an outcome is.
func levelOf(outcome string) string {
	switch outcome {
	case state.Failed:
		return state.Error
	case state.Refused, state.Skipped, state.Interrupted:
		return state.Warn
	}
	return state.Info
}

func nanos(t time.Time) int64 { return t.UnixNano() }

func nullNanos(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return nanos(t)
}

func fromNanos(n int64) time.Time { return time.Unix(0, n).UTC() }
