// Package control is the daemon's socket, in daemon.runtime: how commands of the same machine ask it for what it alone may do.
// One question and one answer for each connection, in JSON.
//
// It must never be reached from another machine, nor by anyone but root and the daemon's own user.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// File is the socket.
func File(runtime string) string { return filepath.Join(runtime, "control.sock") }

type question struct {
	Verb string          `json:"verb"`
	Body json.RawMessage `json:"body,omitempty"`
}

type answer struct {
	Error string          `json:"error,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
}

const (
	maxQuestion = 1 << 20
	asking      = 10 * time.Second // for a question to be written
	answering   = 2 * time.Minute
)

// Answer is who answers.
type Answer func(ctx context.Context, verb string, body json.RawMessage) (any, error)

// Server answers until Stop.
type Server struct {
	l      net.Listener
	cancel context.CancelFunc
	all    sync.WaitGroup
}

// Serve listens. A socket that a daemon left that died is taken away: two daemons can't run here, since each pass has the lock.
func Serve(runtime string, do Answer) (*Server, error) {
	if err := os.MkdirAll(runtime, 0o700); err != nil {
		return nil, fmt.Errorf("make the runtime directory: %w", err)
	}
	path := File(runtime)
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("another daemon answers at %s", path)
	}
	_ = os.Remove(path)
	l, err := (&net.ListenConfig{Control: closed}).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{l: l, cancel: cancel}
	s.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() { one(ctx, c, do) })
		}
	})
	return s, nil
}

// closed gives a socket its mode before it has a name (unix(7)): a umask would be that of every file that is made meanwhile.
func closed(_, _ string, c syscall.RawConn) error {
	var why error
	err := c.Control(func(fd uintptr) { why = syscall.Fchmod(int(fd), 0o600) })
	return errors.Join(err, why)
}

// Stop ends it, and waits; not for questions that are yet to come.
func (s *Server) Stop() {
	if s != nil {
		s.l.Close()
		s.cancel()
		s.all.Wait()
	}
}

func one(ctx context.Context, c net.Conn, do Answer) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(asking))
	defer context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })()
	var q question
	var a answer
	err := allowed(c)
	if err == nil {
		err = json.NewDecoder(io.LimitReader(c, maxQuestion)).Decode(&q)
	}
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(answering))
		var doc any
		if doc, err = do(ctx, q.Verb, q.Body); err == nil {
			a.Body, err = json.Marshal(doc)
		}
	}
	if err != nil {
		a.Error = err.Error()
	}
	_ = json.NewEncoder(c).Encode(a) // who went away is no concern of ours
}

// allowed: the mode of the socket says so already; this holds where somebody changed it.
func allowed(c net.Conn) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return errors.New("this is no socket of this machine")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var cred *syscall.Ucred
	var why error
	if err := raw.Control(func(fd uintptr) {
		cred, why = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if why != nil {
		return why
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("user %d may not ask the daemon: run it as root", cred.Uid)
	}
	return nil
}

// ErrNoDaemon: nobody answers. ErrLost: somebody was asked, and what became of that is not known.
var (
	ErrNoDaemon = errors.New("the daemon does not answer")
	ErrLost     = errors.New("the daemon was asked, and gave no answer")
)

// Ask asks the daemon. What it refuses comes back as an error.
func Ask(ctx context.Context, runtime, verb string, body, doc any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	c, err := (&net.Dialer{Timeout: asking}).DialContext(ctx, "unix", File(runtime))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	_ = c.SetDeadline(time.Now().Add(answering))
	unsent := json.NewEncoder(c).Encode(question{verb, text}) // who is refused may be told so before it has asked
	var a answer
	switch err := json.NewDecoder(c).Decode(&a); {
	case err != nil && unsent != nil:
		return fmt.Errorf("%w: %w", ErrNoDaemon, unsent)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	return json.Unmarshal(a.Body, doc)
}
