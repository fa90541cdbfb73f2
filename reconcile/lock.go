package reconcile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Lock is held over a step, so that two never change the machine at once. The kernel lets go of it
// when its process ends, however that happens.
type Lock struct{ f *os.File }

// LockedError says who holds the lock.
type LockedError struct{ Path, Holder string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("another apply holds the lock %s: %s", e.Path, e.Holder)
}

// Acquire takes the apply lock in dir (daemon.runtime), which is made where it is missing; who is
// written into it for others to read. It does not wait: a lock that is held is a *LockedError.
func Acquire(dir, who string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the runtime directory: %w", err)
	}
	path := filepath.Join(dir, "apply.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		b, _ := os.ReadFile(path)
		return nil, &LockedError{Path: path, Holder: strings.TrimSpace(string(b))}
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(fmt.Sprintf("process %d (%s)\n", os.Getpid(), who)), 0)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
	}
	return &Lock{f}, nil
}

// Release lets go.
func (l *Lock) Release() { l.f.Close() }
