package reconcile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// TryFile is where a try stands. It is beside the database and not in daemon.runtime, which a reboot empties; and it
// is no row in the database, which may be deleted or broken when the previous values must come back. Its names are
// its state, and one rename moves it on, so that of a confirmation and a deadline just one wins:
//
//	.try              tried; confirm takes it away, the deadline makes it
//	.try.reverting    being taken back, over whatever crash
//	.try.unconfirmed  was taken back: the loop does not do it again unasked
type TryFile struct{ path string }

// TryFileOf is the file for a machine whose database stands there.
func TryFileOf(database string) TryFile { return TryFile{database + ".try"} }

// tried is what is known once the commands have run; a file beside the first, which a confirmation may just have
// taken away.
type tried struct {
	Begun    time.Time `json:"begun"` // the deadline that the try began with: says which one this belongs to
	Deadline time.Time `json:"deadline"`
	Answers  []string  `json:"answers"`
}

// Begin writes the try down, before anything is changed.
func (f TryFile) Begin(t *Try) error {
	_ = os.Remove(f.path + ".tried") // of another one
	return writeFile(f.path, t)
}

// Note adds what the machine said after the change, and the deadline that counts from then.
func (f TryFile) Note(t *Try, deadline time.Time) error {
	n := tried{Begun: t.Deadline, Deadline: deadline}
	for _, u := range t.Undo {
		n.Answers = append(n.Answers, u.Tried)
	}
	return writeFile(f.path+".tried", n)
}

// Pending is the try that waits for its confirmation, nil where there is none.
func (f TryFile) Pending() (*Try, error) { return f.read(f.path) }

// Reverting is the try that is being taken back, nil where there is none.
func (f TryFile) Reverting() (*Try, error) { return f.read(f.path + ".reverting") }

// Taken is the last try that was taken back, or that is still to be; nil where there is none.
func (f TryFile) Taken() (*Try, error) {
	if t, err := f.Reverting(); err != nil || t != nil {
		return t, err
	}
	return f.read(f.path + ".unconfirmed")
}

// Confirm keeps what was tried. kept is false where there was nothing to keep, or it was too late.
func (f TryFile) Confirm() (kept bool, err error) {
	kept, err = moved(os.Rename(f.path, f.path+".confirmed"))
	if kept {
		_ = os.Remove(f.path + ".confirmed")
		_ = os.Remove(f.path + ".tried")
	}
	return kept, err
}

// Overdue moves a try on to be taken back; false where somebody confirmed it before.
func (f TryFile) Overdue() (bool, error) { return moved(os.Rename(f.path, f.path+".reverting")) }

// Reverted notes that it was taken back.
func (f TryFile) Reverted() error {
	_ = os.Remove(f.path + ".tried")
	_, err := moved(os.Rename(f.path+".reverting", f.path+".unconfirmed"))
	return err
}

// Forget lets the loop do again what was taken back.
func (f TryFile) Forget() { _ = os.Remove(f.path + ".unconfirmed") }

// Abandon ends a try that could not be taken back, and the memory of one that was: a person applies.
func (f TryFile) Abandon() {
	f.Forget()
	_ = os.Remove(f.path + ".reverting")
}

func moved(err error) (bool, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (f TryFile) read(path string) (*Try, error) {
	t := &Try{}
	if there, err := readJSON(path, t); err != nil || !there {
		return nil, err
	}
	var n tried
	there, err := readJSON(f.path+".tried", &n)
	if err == nil && there && n.Begun.Equal(t.Deadline) && len(n.Answers) == len(t.Undo) {
		t.Deadline = n.Deadline
		for i := range t.Undo {
			t.Undo[i].Tried = n.Answers[i]
		}
	}
	return t, nil // what was tried is only known better with the second file
}

func readJSON(path string, v any) (there bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return false, fmt.Errorf("read the try in %s: %w", path, err)
	}
	return true, nil
}

// writeFile is whole and on the disk when it returns, or not there.
func writeFile(path string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write down the try: %w", err)
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("write down the try: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write down the try: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
