// Package gate is what other processes of this node know of its role: the commands, and the forced command by which other
// nodes send, which may run as a user who can't read the database.
//
// The daemon writes it after the database and before it acts. Where nothing is written nothing is let in. Whoever receives
// holds a shared lock from before it reads until its receive has ended: so Quiet, after the gate was shut, tells that
// nobody is on the way in.
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

// Write makes it known, whole or not at all, and on disk.
func Write(dir string, s *state.HA) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	l, err := os.OpenFile(filepath.Join(dir, lock), os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	l.Close()
	text, err := json.Marshal(shown{1, s.Node, s.Role, s.Term, s.Holder, s.Dirty, s.Frozen})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".role-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // where it was not renamed
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, file))
}

// Read gives what is known: the fields that Admit asks for, and the node. A node of which nothing is written is at its boot.
func Read(dir string) (*state.HA, error) {
	text, err := os.ReadFile(filepath.Join(dir, file))
	if errors.Is(err, fs.ErrNotExist) {
		return &state.HA{Role: state.RoleBoot}, nil
	}
	var x shown
	if err == nil {
		err = json.Unmarshal(text, &x)
	}
	if err == nil && x.Version != 1 {
		err = fmt.Errorf("version %d of another release", x.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("the role of this node can't be read from %s: %w", filepath.Join(dir, file), err)
	}
	return &state.HA{Node: x.Node, Role: x.Role, Term: x.Term, Holder: x.Holder, Dirty: x.Dirty, Frozen: x.Frozen}, nil
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
