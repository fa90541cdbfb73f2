package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dplaneos/dplane/reconcile"
)

// told is what systemd was told, in order.
type told struct {
	mu   sync.Mutex
	said []string
}

func (t *told) tell(s string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said = append(t.said, s)
	return nil
}

// take gives what was said since the last time.
func (t *told) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.Join(t.said, "|")
	t.said = nil
	return s
}

// The watchdog is kept quiet while the loop is on time, also through a write of half an hour, and not while it is
// stuck; when it is to stop, systemd is told, and asked for time until it has.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard told
		s := newSupervisor(slog.New(slog.DiscardHandler), reconcile.Wall{})
		s.tell = heard.tell
		ctx, cancel := context.WithCancel(t.Context())
		over, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			s.watch(ctx, time.Minute, over)
		}()
		s.moves(time.Minute)
		time.Sleep(32 * time.Minute)
		synctest.Wait()
		if got := strings.Count(heard.take(), "WATCHDOG=1"); got < 60 {
			t.Errorf("%d signs of life in 32 minutes", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		heard.take()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := heard.take(); got != "" {
			t.Errorf("a loop that is stuck says %s", got)
		}
		s.moves(time.Minute)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := heard.take(); !strings.Contains(got, "WATCHDOG=1") {
			t.Errorf("a loop that moves again says %q", got)
		}
		cancel()
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if got := heard.take(); !strings.HasPrefix(got, "STOPPING=1|") || strings.Count(got, "EXTEND_TIMEOUT_USEC=15000000") < 2 {
			t.Errorf("while it stops it says %s", got)
		}
		close(over)
		<-ended
	})
}

// What is said arrives on the socket of sd_notify(3).
func TestNotifySocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	s := newSupervisor(slog.New(slog.DiscardHandler), reconcile.Wall{})
	for _, tc := range []struct {
		do   func()
		want string
	}{
		{func() { s.ready("generation 1; 0 to do") }, "READY=1\nSTATUS=generation 1; 0 to do"},
		{s.reloading, "RELOADING=1\nMONOTONIC_USEC="},
	} {
		tc.do()
		buf := make([]byte, 4096)
		n, err := l.Read(buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), tc.want) {
			t.Errorf("%q, %v; want %q", buf[:n], err, tc.want)
		}
	}
}
