package reconcile

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Lock is held over a step, so that two never change the machine at once. The kernel lets go of it
// when its process ends, however that happens. The directory itself is locked, not only a file in it: a file
// that somebody removes while it is held would let a second one in.
type Lock struct {
	Last   string // who held it before, "" where nobody did
	mark   string // of this time that it is held, and of no other
	before string // that of the time before, "" where there was none
	dir, f *os.File
}

// LockedError says who holds the lock; Holder is "" where he did not sign.
type LockedError struct{ Path, Holder string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("the lock %s is held by %s", e.Path, e.By())
}

// By names the holder.
func (e *LockedError) By() string { return cmp.Or(e.Holder, "another program") }

// Acquire takes the apply lock in dir (daemon.runtime), which is made where it is missing; who is
// written into it for others to read. It does not wait: a lock that is held is a *LockedError.
func Acquire(dir, who string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the runtime directory: %w", err)
	}
	path := filepath.Join(dir, "apply.lock")
	d, err := lockDir(dir)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, heldBy(path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	last, _ := os.ReadFile(path) // unreadable is as if nobody had
	mark := rand.Text()          // a pid is used again
	f, err := sign(path, who, mark)
	if err != nil {
		d.Close()
		return nil, err
	}
	l := &Lock{mark: mark, dir: d, f: f}
	l.Last, l.before = signed(last)
	return l, nil
}

// Follows tells whether nobody held the lock between that time and this.
func (l *Lock) Follows(earlier *Lock) bool { return l.before == earlier.mark }

// signed reads what sign wrote: who it was, and the mark.
func signed(b []byte) (who, mark string) {
	who, mark, _ = strings.Cut(strings.TrimSpace(string(b)), markedBy)
	return who, mark
}

// markedBy stands before the mark, in the same line: whoever reads the file looks for the first words of it.
const markedBy = ", mark "

// lockDir locks the directory that stands at the path once the lock is held: it may have been removed and made
// anew between the two.
func lockDir(dir string) (*os.File, error) {
	for {
		d, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			d.Close()
			return nil, err
		}
		held, err := d.Stat()
		if err != nil {
			d.Close()
			return nil, err
		}
		if now, err := os.Stat(dir); err == nil && os.SameFile(held, now) {
			return d, nil
		}
		d.Close()
	}
}

// sign locks the file too, for scripts that hold it with flock(1), and writes into it who holds it.
func sign(path, who, mark string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, heldBy(path)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, signature(who)+markedBy+mark)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("write the lock %s: %w", path, err)
	}
	return f, nil
}

// signature is how a process names itself to those whom it locks out.
func signature(who string) string { return fmt.Sprintf("process %d (%s)", os.Getpid(), who) }

func heldBy(path string) error {
	b, _ := os.ReadFile(path)
	holder, _ := signed(b)
	return &LockedError{Path: path, Holder: holder}
}

// Release lets go.
func (l *Lock) Release() {
	l.f.Close()
	l.dir.Close()
}
