package sqlite

import (
	"errors"

	"github.com/mattn/go-sqlite3"
)

// Corrupt tells whether an error means that the file is damaged: to open it anew puts it aside, and begins another.
func Corrupt(err error) bool { return corrupt(err) }

// Hint says what an error of the database means to an operator and what can be done, "" where nothing is known.
// Whatever it is: what can't be written down first is not done, and what was seen is seen again.
func Hint(err error) string {
	var e sqlite3.Error
	switch {
	case Corrupt(err):
		return "dplane daemon and dplane apply put a damaged database aside and begin a new one: history and the memory of what was seen begin anew"
	case !errors.As(err, &e):
		return ""
	case e.Code == sqlite3.ErrFull:
		return "the disk with the database is full: free space there; what can't be written down first is not done"
	case e.Code == sqlite3.ErrBusy, e.Code == sqlite3.ErrLocked:
		return "another program holds the database: `fuser -v` on the file tells which; nothing is done until it lets go"
	case e.Code == sqlite3.ErrReadonly, e.Code == sqlite3.ErrPerm, e.Code == sqlite3.ErrCantOpen, e.Code == sqlite3.ErrIoErr:
		return "the database can't be written: is its disk well, mounted writable, and are you root? daemon.database names another file"
	}
	return ""
}
