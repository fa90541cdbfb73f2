package sqlite

import (
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks the file as dplane's: "dpln".
const applicationID = 0x64706c6e

// steps are the migrations in order; the number of those that ran is the file's user_version.
func steps() ([]string, error) { return fs.Glob(migrations, "migrations/*.sql") }

// migrate brings the file forward, in one transaction: two processes that start together don't meet,
// and a crash leaves the old version whole.
func migrate(db *sql.DB) error {
	all, err := steps()
	if err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	have, err := version(tx)
	if err != nil {
		return err
	}
	if have == len(all) {
		return nil
	}
	for _, name := range all[have:] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(string(text)); err != nil {
			return fmt.Errorf("migrate with %s: %w", name, err)
		}
	}
	if _, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", len(all), applicationID)); err != nil {
		return err
	}
	return tx.Commit()
}

// checkVersion refuses a database that this release can't read without changing it.
func checkVersion(db *sql.DB) error {
	all, err := steps()
	if err != nil {
		return err
	}
	have, err := version(db)
	if err != nil {
		return err
	}
	if have < len(all) {
		return fmt.Errorf("it is of an older release (version %d, this one reads %d): start the daemon or run `dplane apply`, which bring it forward", have, len(all))
	}
	return nil
}

// version is the number of migrations that the file has seen; more than this release knows is an error.
func version(q interface {
	QueryRow(string, ...any) *sql.Row
}) (int, error) {
	var have, app, tables int
	if err := q.QueryRow("SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version, pragma_application_id").Scan(&have, &app, &tables); err != nil {
		return 0, err
	}
	all, err := steps()
	switch {
	case err != nil:
		return 0, err
	case tables > 0 && app != applicationID:
		return 0, fmt.Errorf("it is an SQLite database of another program: daemon.database must name a file of dplane's own")
	case have > len(all):
		return 0, fmt.Errorf("it is of a newer release of dplane (version %d, this one knows %d): use that release, or another daemon.database", have, len(all))
	}
	return have, nil
}
