package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

func TestOpenMakesPrivateFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lib", "deep", "x?y#z%20 .db") // signs that a URI would take for its own
	s := reopen(t, path)
	if !s.Created || s.HistoryLost != "" {
		t.Fatalf("created %v, lost %q", s.Created, s.HistoryLost)
	}
	begin(t, s, event("", intent("update", "tank")))
	for p, want := range map[string]os.FileMode{filepath.Dir(path): 0o700, path: 0o600, path + "-wal": 0o600} {
		info, err := os.Stat(p)
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", p, info.Mode().Perm())
		}
	}
	must(t, s.Close())
	must(t, os.Chmod(path, 0o644))
	s = reopen(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || s.Created {
		t.Error(info.Mode(), err, s.Created)
	}
}

func TestOpenReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "d.db")
	if _, err := OpenReadOnly(path); !errors.Is(err, ErrNoDatabase) {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("reading made a directory")
	}
	w := reopen(t, path)
	begin(t, w, event("beside a writer", intent("run", "tank")))
	for _, when := range []string{"beside a writer", "after it was closed"} {
		r, err := OpenReadOnly(path)
		must(t, err)
		if events, err := r.Events(ctx, "", 5); err != nil || len(events) != 1 {
			t.Fatal(when, events, err)
		}
		if err := r.Log(ctx, event("x", nil)); err == nil {
			t.Fatal("a database opened for reading was written")
		}
		must(t, r.Close())
		if when == "beside a writer" {
			must(t, w.Close())
		}
	}
	must(t, os.WriteFile(path, nil, 0o600))
	if _, err := OpenReadOnly(path); !errors.Is(err, ErrNoDatabase) {
		t.Fatal("an empty file:", err)
	}
}

func TestReadersDoNotWaitForAWriter(t *testing.T) {
	s := open(t)
	must(t, s.SaveRecord(ctx, state.Record{At: t0, Generation: "before"}))
	tx, err := s.w.Begin()
	must(t, err)
	defer tx.Rollback()
	_, err = tx.Exec("UPDATE record SET generation = 'after'")
	must(t, err)
	soon, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	rec, err := s.Record(soon)
	if err != nil || rec.Generation != "before" {
		t.Fatal(rec, err)
	}
}

func TestANewerDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.db")
	s := reopen(t, path)
	_, err := s.w.Exec("PRAGMA user_version = 99")
	must(t, err)
	must(t, s.Close())
	for name, open := range map[string]func(string) (*Store, error){"Open": Open, "OpenReadOnly": OpenReadOnly} {
		if _, err := open(path); err == nil || !strings.Contains(err.Error(), "newer release") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if found, _ := filepath.Glob(path + ".corrupt*"); len(found) > 0 {
		t.Error("it was put aside")
	}
}

func TestAnotherProgramsDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.db")
	db := sql.OpenDB(connector{dsn: dsn(path, "")})
	_, err := db.Exec("CREATE TABLE precious (x)")
	must(t, err)
	must(t, db.Close())
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Fatal(err)
	}
}

func TestACorruptDatabaseIsPutAside(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"no database": func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("junk ", 999)), 0o600))
		},
		"torn pages": func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			must(t, err)
			for i := 4096; i < len(b); i += 3 {
				b[i] ^= 0x5a
			}
			must(t, os.WriteFile(path, b, 0o600))
		},
		"cut short": func(t *testing.T, path string) { must(t, os.Truncate(path, 5000)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "d.db")
			s := reopen(t, path)
			begin(t, s, event("lost", intent("update", "tank")))
			must(t, s.Close())
			damage(t, path)
			must(t, os.Chtimes(path, t0, t0))
			s = reopen(t, path)
			aside := path + ".corrupt-20261124T070300Z"
			if !strings.Contains(s.HistoryLost, aside) {
				t.Fatalf("HistoryLost: %q", s.HistoryLost)
			}
			if _, err := os.Stat(aside); err != nil {
				t.Fatal(err)
			}
			if events, err := s.Events(ctx, "", 5); err != nil || len(events) != 0 {
				t.Fatal(events, err)
			}
			begin(t, s, event("anew", intent("update", "tank")))
			must(t, s.Close())
			damage(t, path)
			must(t, os.Chtimes(path, t0, t0))
			if s = reopen(t, path); !strings.Contains(s.HistoryLost, aside+"-2") {
				t.Fatalf("the first one was overwritten: %q", s.HistoryLost)
			}
		})
	}
}

func TestTwoProcessesStartTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.db")
	errs := make(chan error)
	for range 8 {
		go func() {
			s, err := Open(path)
			if err == nil {
				_, err = s.Begin(ctx, event("", intent("update", "tank")))
				err = errors.Join(err, s.Close())
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := countEvents(t, reopen(t, path)); n != 8 {
		t.Fatal(n)
	}
}
