package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// LaneDirs are where a lane is locked: in the runtime directory, and beside the database. Its lock is held for hours, and
// meanwhile the files may move one of the two: whoever comes then still finds the other.
func LaneDirs(d *spec.Daemon) []string {
	return []string{filepath.Join(d.Runtime, "lock"), d.Database + ".lock"}
}

// laneLock are the open files of a lane that is taken.
type laneLock []*os.File

func (l laneLock) release() {
	for _, f := range l {
		f.Close()
	}
}

// longestFile is how long the name of a file may be.
const longestFile = 255

// laneName is the file of a lane. The name of the object is in it so that it can be read back, and its hash where it is
// too long for that; a ~ is escaped in names, so that none looks like a hash.
func laneName(of spec.Ref) string {
	name := string(of.Kind) + "-" + strings.ReplaceAll(url.PathEscape(of.Name), "~", "%7E")
	if len(name) <= longestFile {
		return name
	}
	sum := sha256.Sum256([]byte(of.Name))
	return string(of.Kind) + "-~" + hex.EncodeToString(sum[:])
}

// acquireLane takes the lock of a lane, which dies with its process.
func acquireLane(dirs []string, of spec.Ref, who string) (l laneLock, err error) {
	for _, dir := range dirs {
		f, err := lockLane(dir, of, who)
		if err != nil {
			l.release()
			return nil, err
		}
		l = append(l, f)
	}
	return l, nil
}

func lockLane(dir string, of spec.Ref, who string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the locks: %w", err)
	}
	path := filepath.Join(dir, laneName(of))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := signLane(f, of, who); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// signLane locks the file. Its first line, the name, is there before it is locked and never changes: whoever finds it
// locked knows of what it is.
func signLane(f *os.File, of spec.Ref, who string) error {
	name := url.PathEscape(of.Name) + "\n"
	if _, err := f.WriteAt([]byte(name), 0); err != nil {
		return fmt.Errorf("write the lock %s: %w", f.Name(), err)
	}
	lock := wholeFile()
	err := syscall.FcntlFlock(f.Fd(), ofdSetLock, &lock)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		_, who := readLane(f.Name())
		return &LockedError{Path: f.Name(), Holder: who}
	}
	if err == nil {
		err = f.Truncate(int64(len(name)))
	}
	if err == nil {
		_, err = f.WriteAt([]byte(signature(who)+"\n"), int64(len(name)))
	}
	if err != nil {
		return fmt.Errorf("write the lock %s: %w", f.Name(), err)
	}
	return nil
}

// The locks of lanes are of open files (fcntl(2)), not those of flock(2): whether one of them is held can be asked without
// taking it, which would be in the way of another who takes it in that moment.
const (
	ofdGetLock = 36
	ofdSetLock = 37
)

func wholeFile() syscall.Flock_t { return syscall.Flock_t{Type: syscall.F_WRLCK} }

// readLane gives the name of the object in a lock file, and who signed it last.
func readLane(path string) (name, who string) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", ""
	}
	first, rest, _ := strings.Cut(string(b), "\n")
	if name, err = url.PathUnescape(first); err != nil {
		return "", ""
	}
	return name, strings.TrimSpace(rest)
}

// running are the objects whose lanes are busy, by whatever process.
func running(dirs []string) []state.Lane {
	var all []state.Lane
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			continue // none was ever made
		}
		for _, f := range files {
			path := filepath.Join(dir, f.Name())
			if !lockedLane(path) {
				continue
			}
			kind, _, _ := strings.Cut(f.Name(), "-")
			name, who := readLane(path)
			if of := (spec.Ref{Kind: spec.Kind(kind), Name: name}); laneName(of) == f.Name() {
				all = append(all, state.Lane{Kind: kind, Name: name, By: who})
			}
		}
	}
	return all
}

// lockedLane tells whether somebody holds the lock.
func lockedLane(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := wholeFile()
	return syscall.FcntlFlock(f.Fd(), ofdGetLock, &lock) == nil && lock.Type != syscall.F_UNLCK
}
