package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

func longIntent(n int) state.Event {
	return state.Event{At: time.Unix(int64(n), 0), Type: "action", Level: "info", Message: strings.Repeat("x", 4000),
		Action: &state.Action{ID: "1", Kind: "dataset", Name: "tank/a", Verb: "update", Started: time.Unix(int64(n), 0)}}
}

// A database that can't grow refuses the intent, says so, and is whole: what was written before can be read, and
// once there is room it goes on.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var pages int
	if err := s.w.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := s.w.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages+8)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for err == nil && n < 1000 {
		n++
		_, err = s.Begin(t.Context(), longIntent(n))
	}
	if err == nil || !strings.Contains(Hint(err), "full") {
		t.Fatalf("after %d intents: %v, hint %q", n, err, Hint(err))
	}
	if open, err := s.Unsettled(t.Context()); err != nil || len(open) != n-1 {
		t.Errorf("%d of %d intents are there, %v", len(open), n-1, err)
	}
	if err := s.Finish(t.Context(), 1, state.Done, "", time.Unix(9, 0)); err != nil && !strings.Contains(Hint(err), "full") {
		t.Errorf("an outcome: %v", err)
	}
	if _, err := s.w.Exec("PRAGMA max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), longIntent(n)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// While another program holds the database nothing is written, and it is told which kind of trouble that is.
func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := s.w.Exec("PRAGMA busy_timeout = 10"); err != nil { // the real one is 5 s
		t.Fatal(err)
	}
	tx, err := other.w.BeginTx(t.Context(), nil) // _txlock=immediate: it is the writer now
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Begin(t.Context(), longIntent(1))
	if err == nil || !strings.Contains(Hint(err), "another program holds") {
		t.Errorf("%v, hint %q", err, Hint(err))
	}
	if _, err := s.Recorded(t.Context()); err != nil {
		t.Errorf("reading waits for a writer: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(context.Background(), longIntent(1)); err != nil {
		t.Errorf("once it let go: %v", err)
	}
}

// A file that breaks while it is open is told as such, and put aside when it is opened anew.
func TestBreaksWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), longIntent(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(b); i++ {
		b[i] = 0x5a
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := readers(path) // without cached pages
	defer fresh.Close()
	_, err = (&Store{r: fresh, w: fresh}).Unsettled(t.Context())
	if !Corrupt(err) || !strings.Contains(Hint(err), "begin anew") {
		t.Errorf("%v, hint %q", err, Hint(err))
	}
	s.Close()
	again, err := Open(path)
	if err != nil || again.HistoryLost == "" {
		t.Fatalf("%+v, %v", again, err)
	}
	again.Close()
}
