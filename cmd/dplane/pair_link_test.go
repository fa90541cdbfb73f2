package main

import (
	"errors"
	"fmt"
	"math/rand"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// space is a network namespace, in which a thread of its own starts processes and opens sockets. It lives as long as they do:
// nothing of it is left when the test ends, however that ends.
type space struct{ do chan func() }

func newSpace(t *testing.T) *space {
	t.Helper()
	s, made := &space{make(chan func())}, make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		made <- err
		for f := range s.do {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Skipf("no network namespace can be made here (root can): %v", err)
	}
	return s
}

// in runs something in the namespace. It must not take long.
func (s *space) in(f func() error) (err error) {
	done := make(chan struct{})
	s.do <- func() { defer close(done); err = f() }
	<-done
	return err
}

// link carries frames between two namespaces as a cable does, or a bad one: it may be cut, each way for itself, lose frames and
// hold them up. (What tc netem does; kernels without it, and without a firewall, are common where tests run.)
type link struct {
	ends [2]*os.File

	mu    sync.Mutex
	cuts  [2]bool // of what comes from this end
	loss  float64
	delay time.Duration
	rng   *rand.Rand
	taken net.IP // somebody else on the link has this address
}

// lan is the interface's name in both namespaces.
const lan = "lan0"

func newLink(t *testing.T, a, b *space) *link {
	t.Helper()
	l := &link{rng: rand.New(rand.NewSource(1))}
	for i, s := range []*space{a, b} {
		if err := s.in(func() (err error) { l.ends[i], err = tap(lan); return err }); err != nil {
			t.Skipf("no tap device can be made here: %v", err)
		}
	}
	var carries sync.WaitGroup
	for i := range l.ends {
		carries.Go(func() { l.carry(i) })
	}
	t.Cleanup(func() {
		l.ends[0].Close()
		l.ends[1].Close()
		carries.Wait()
	})
	return l
}

func tap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// carry takes what comes from an end to the other one.
func (l *link) carry(from int) {
	for {
		frame := make([]byte, 2048)
		n, err := l.ends[from].Read(frame)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // the interface is not up yet
			continue
		}
		frame = frame[:n]
		lost, delay := l.fate(from)
		if answer := l.stranger(frame); answer != nil {
			_, _ = l.ends[from].Write(answer)
		}
		switch {
		case lost:
		case delay > 0:
			time.AfterFunc(delay, func() { _, _ = l.ends[1-from].Write(frame) }) // one that is no longer there takes nothing
		default:
			_, _ = l.ends[1-from].Write(frame)
		}
	}
}

func (l *link) fate(from int) (lost bool, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cuts[from] || l.rng.Float64() < l.loss, l.delay
}

// stranger answers who asks for the address that somebody else has.
func (l *link) stranger(frame []byte) []byte {
	l.mu.Lock()
	taken := l.taken.To4()
	l.mu.Unlock()
	const arp = 14
	if taken == nil || len(frame) < arp+28 || frame[12] != 8 || frame[13] != 6 || frame[arp+7] != 1 || !net.IP(frame[arp+24:arp+28]).Equal(taken) {
		return nil
	}
	mac := []byte{2, 0, 0, 0, 0, 9}
	answer := append([]byte(nil), frame[:arp+28]...)
	copy(answer, frame[6:12])
	copy(answer[6:], mac)
	answer[arp+7] = 2
	copy(answer[arp+8:], mac)
	copy(answer[arp+14:], taken)
	copy(answer[arp+18:], frame[arp+8:arp+18])
	return answer
}

// cut cuts what comes from a, and from b. cut(false, false) mends it.
func (l *link) cut(a, b bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cuts = [2]bool{a, b}
}

// worsen loses a share of the frames, and holds up the rest.
func (l *link) worsen(loss float64, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loss, l.delay = loss, delay
}

// take lets somebody else have an address; nil: nobody.
func (l *link) take(ip net.IP) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = ip
}
