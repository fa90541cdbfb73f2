// Package gate is what other processes of this node know of its role: the commands, and the forced command by which other
// nodes send, which may run as a user who can't read the database.
//
// The daemon writes it after the database and before it acts, and holds it for as long as it lives (an open file description's
// lock, which no reader can take from it). Where nothing is written, or nobody holds it, nothing is let in. Whoever receives
// holds a shared lock from before it reads until its receive has ended: so Quiet, after the gate was shut, tells that
// nobody is on the way in. The lock's file is that user's alone, to whom other nodes log in: whoever else could open it could
// keep every promotion waiting, and the other nodes out.
//
// It must never decide, nor hold more than what Admit asks for.
package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

const (
	file = "role.json"
	lock = "receive.lock"
)

// Dir is where it lies beside the runtime directory, which is root's alone: an ordinary user receives too.
func Dir(runtime string) string { return strings.TrimRight(runtime, "/") + "-ha" }

// shown is what is written.
type shown struct {
	Version int        `json:"version"`
	Node    string     `json:"node"`
	Role    state.Role `json:"role"`
	Term    uint64     `json:"term"`
	Holder  string     `json:"holder,omitempty"`
	Dirty   bool       `json:"dirty,omitempty"`
	Frozen  string     `json:"frozen,omitempty"`
}

// Keeper makes the role known for as long as its process lives: it keeps what it wrote last open, and locked. Whoever reads
// asks whether it is. Of a daemon that was killed nothing is believed: nobody would tell of a higher term.
type Keeper struct {
	mu   sync.Mutex
	kept *os.File
}

// Write makes it known, whole and on disk. Where that fails what it made known before is taken back: it is so no more. receiver is
// the user who may come in, beside root.
func (k *Keeper) Write(dir string, s *state.HA, receiver int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := write(dir, s, receiver)
	k.close()
	k.kept = f
	return err
}

// write gives what stands by it.
func write(dir string, s *state.HA, receiver int) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := lockOf(filepath.Join(dir, lock), receiver); err != nil {
		return nil, err
	}
	text, err := json.Marshal(shown{1, s.Node, s.Role, s.Term, s.Holder, s.Dirty, s.Frozen})
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, ".role-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name()) // where it was not renamed
	_, err = f.Write(append(text, '\n'))
	mine := unix.Flock_t{Type: unix.F_WRLCK}
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &mine))
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, file))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close takes back what was made known: it is believed no more.
func (k *Keeper) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.close()
}

func (k *Keeper) close() {
	if k.kept != nil {
		k.kept.Close()
		k.kept = nil
	}
}

// ErrGone: nobody stands by what is written.
var ErrGone = errors.New("the daemon of this node does not run, so that it has no role: systemctl start dplaned")

// lockOf makes the lock, and gives it to the receiver. It stays the same file: who is on the way in holds it.
func lockOf(path string, receiver int) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok && int(sys.Uid) != receiver {
		err = f.Chown(receiver, -1)
	}
	return errors.Join(err, f.Chmod(0o600))
}

// Read gives what is known: the fields that Admit asks for, and the node. A node of which nothing is written is at its boot, and
// so is one whose daemon is gone, which ErrGone tells.
func Read(dir string) (*state.HA, error) {
	none, path := &state.HA{Role: state.RoleBoot}, filepath.Join(dir, file)
	for range 100 { // what was opened may have been replaced, and let go of, by the time that it is asked for
		s, held, replaced, err := readOnce(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return none, nil
		case err != nil:
			return nil, fmt.Errorf("the role of this node can't be read from %s: %w", path, err)
		case held:
			return s, nil
		case !replaced:
			return none, ErrGone
		}
	}
	return none, ErrGone
}

// readOnce reads it, and tells whether somebody stands by it, and where nobody does, whether there is a newer one.
func readOnce(path string) (s *state.HA, held, replaced bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, false, err
	}
	defer f.Close()
	ask := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &ask); err != nil {
		return nil, false, false, err
	}
	if ask.Type == unix.F_UNLCK {
		this, err := f.Stat()
		now, gone := os.Stat(path)
		return nil, false, errors.Join(err, gone) == nil && !os.SameFile(this, now), nil
	}
	var x shown
	if err = json.NewDecoder(f).Decode(&x); err == nil && x.Version != 1 {
		err = fmt.Errorf("version %d of another release", x.Version)
	}
	return &state.HA{Node: x.Node, Role: x.Role, Term: x.Term, Holder: x.Holder, Dirty: x.Dirty, Frozen: x.Frozen}, true, false, err
}

// Pass is the way in of one stream.
type Pass struct {
	dir, sender string
	term        uint64
	lock        *os.File
}

// Enter lets what a node sends in its term in, or says why not (I7). Leave has to follow.
func Enter(dir, sender string, term uint64) (*Pass, error) {
	l, err := os.Open(filepath.Join(dir, lock))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("this node has no role in a group: its daemon did not run since it booted")
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("the gate of this node is open to root and to the user of its own entry in remotes (the one that ha.peers names for it), and this is the user with the id %d: declare that there", os.Geteuid())
	}
	if err == nil {
		err = unix.Flock(int(l.Fd()), unix.LOCK_SH)
	}
	if err != nil {
		return nil, fmt.Errorf("the gate of this node: %w", err)
	}
	p := &Pass{dir, sender, term, l}
	if err := p.admit(); err != nil {
		l.Close()
		return nil, err
	}
	return p, nil
}

// Leave ends it, and says why what came must not be built upon, where the gate was shut meanwhile.
func (p *Pass) Leave() error { return errors.Join(p.admit(), p.lock.Close()) }

func (p *Pass) admit() error {
	s, err := Read(p.dir)
	if err != nil {
		return err
	}
	if why := ha.Admit(s, p.sender, p.term); why != "" {
		return errors.New(why)
	}
	return nil
}

// Quiet tells whether nobody is on the way in. The gate has to be shut before.
func Quiet(dir string) (bool, error) {
	l, err := os.Open(filepath.Join(dir, lock))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer l.Close()
	err = unix.Flock(int(l.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
