package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3"
)

// ErrNoDatabase is a database that was never made here, or was deleted.
var ErrNoDatabase = errors.New("no database yet: run `dplane apply` or start the daemon")

// LibraryVersion is that of the SQLite that is built in.
func LibraryVersion() string {
	v, _, _ := sqlite3.Version()
	return v
}

// Store is the open database. Every writing method is durable when it returns; reading never waits for
// a writer.
type Store struct {
	r *sql.DB // several connections that can only read
	w *sql.DB // the one that writes; r where the database was opened for reading

	// HistoryLost says that the file was corrupt, and where it was put aside; "" where it was well.
	HistoryLost string
	// Created tells that there was no database before.
	Created bool

	tidied time.Time // when housekeeping was last done, by this process
}

// Open opens the database for reading and writing, and makes it (0600, its directory 0700) where there
// is none. A corrupt file is put aside and a fresh one begun: history is worth less than a daemon that
// runs. A database of a newer release is an error.
func Open(path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	created, err := makeFile(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	s, err := openFile(path)
	lost := ""
	if corrupt(err) {
		lost, err = putAside(path, err)
		if err == nil {
			_, err = makeFile(path)
		}
		if err == nil {
			s, err = openFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	s.HistoryLost, s.Created = lost, created
	return s, nil
}

// OpenReadOnly opens an existing database; the writing methods of what it gives are errors. It never
// makes one: ErrNoDatabase says that there is none, os.ErrPermission that it is not the caller's to read.
func OpenReadOnly(path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if err := readable(path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db := readers(path)
	if err := checkVersion(db); err != nil {
		_ = db.Close() // the first error is the one that tells
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return &Store{r: db, w: db}, nil
}

// readable tells what SQLite's own error doesn't: no file, no right, or no content yet.
func readable(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoDatabase
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		return ErrNoDatabase
	}
	return err
}

// Close folds the write-ahead log into the file and closes it.
func (s *Store) Close() error {
	if s.r == s.w {
		return s.r.Close()
	}
	err := s.checkpoint(context.Background())
	return errors.Join(err, s.r.Close(), s.w.Close())
}

// checkpoint keeps the log short: one pass over thousands of objects can leave megabytes of it. A reader
// that is in the way only means that it happens the next time.
func (s *Store) checkpoint(ctx context.Context) error {
	if _, err := s.w.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return fmt.Errorf("fold the write-ahead log: %w", err)
	}
	return nil
}

// patient is how long a database that others hold is waited for.
const patient = 5 * time.Second

// openFile tries again for a while where others hold the file: SQLite does not wait (_busy_timeout) where two processes
// turn a new file to write-ahead logging at once.
func openFile(path string) (*Store, error) {
	over := time.After(patient)
	for {
		s, err := openOnce(path)
		var e sqlite3.Error
		if !errors.As(err, &e) || e.Code != sqlite3.ErrBusy && e.Code != sqlite3.ErrLocked {
			return s, err
		}
		select {
		case <-over:
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func openOnce(path string) (*Store, error) {
	w := sql.OpenDB(connector{dsn: dsn(path, "_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_foreign_keys=on&_txlock=immediate")})
	w.SetMaxOpenConns(1)
	if err := quickCheck(w); err != nil {
		_ = w.Close() // the first error is the one that tells
		return nil, err
	}
	if err := migrate(w); err != nil {
		_ = w.Close()
		return nil, err
	}
	return &Store{r: readers(path), w: w}, nil
}

// readers are a few connections that can only read; the driver's own cache is 2 MB for each.
func readers(path string) *sql.DB {
	db := sql.OpenDB(connector{dsn: dsn(path, "mode=ro&_query_only=on&_busy_timeout=5000")})
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(1)
	return db
}

func dsn(path, options string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + options
}

// connector opens connections without a driver registered under a global name, and sets what the
// driver knows no option for.
type connector struct{ dsn string }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }

func (c connector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		_, err := conn.Exec("PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -1024", nil)
		return err
	}}
}

// makeFile creates directory and file for the owner alone, and takes a file's rights away from others.
func makeFile(path string) (created bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("it is no regular file")
	}
	return info.Size() == 0, f.Chmod(0o600)
}

// quickCheck finds a file that is damaged, or no database at all.
func quickCheck(db *sql.DB) error {
	rows, err := db.Query("PRAGMA quick_check(1)")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var says string
		if err := rows.Scan(&says); err != nil {
			return err
		}
		if says != "ok" {
			return &damage{says}
		}
	}
	return rows.Err()
}

// damage is what quick_check found.
type damage struct{ says string }

func (d *damage) Error() string { return "quick_check: " + d.says }

// corrupt tells a damaged file from one that is merely busy, unreadable or newer.
func corrupt(err error) bool {
	var d *damage
	var e sqlite3.Error
	return errors.As(err, &d) || errors.As(err, &e) && (e.Code == sqlite3.ErrCorrupt || e.Code == sqlite3.ErrNotADB)
}

// putAside renames the damaged file and its log, so that a person can look at them. The name carries
// the time of the last write.
func putAside(path string, cause error) (lost string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	base := path + ".corrupt-" + info.ModTime().UTC().Format("20060102T150405Z")
	to := base
	for n := 2; ; n++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		}
		to = fmt.Sprintf("%s-%d", base, n)
	}
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(path+suffix, to+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return fmt.Sprintf("the database was damaged (%v) and put aside as %s: history and events begin anew", cause, to), nil
}
