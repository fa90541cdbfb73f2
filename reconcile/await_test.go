package reconcile

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patient is a clock that goes on as it is waited for; then is called before each of its ticks.
type patient struct {
	now  time.Time
	then func(waited time.Duration)
}

func (p *patient) Now() time.Time { return p.now }

func (p *patient) After(d time.Duration) <-chan time.Time {
	p.now = p.now.Add(d)
	if p.then != nil {
		p.then(p.now.Sub(epoch))
	}
	ch := make(chan time.Time, 1)
	ch <- p.now
	return ch
}

// A pass of the loop is waited for, and who it is told once; the wait ends after a while, and with the person's
// patience.
func TestAwaitThePass(t *testing.T) {
	dir := t.TempDir()
	var told []string
	tell := func(holder string) { told = append(told, holder) }
	pass, err := Acquire(dir, TheDaemon)
	if err != nil {
		t.Fatal(err)
	}
	clock := &patient{now: epoch, then: func(waited time.Duration) {
		if waited == 5*time.Second {
			pass.Release()
		}
	}}
	lock, err := Await(t.Context(), clock, dir, "dplane apply", tell)
	if err != nil || len(told) != 1 || !strings.Contains(told[0], TheDaemon) || clock.now.Sub(epoch) != 5*time.Second {
		t.Fatalf("after %s: %v, told %q", clock.now.Sub(epoch), err, told)
	}
	lock.Release()

	if pass, err = Acquire(dir, TheDaemon); err != nil {
		t.Fatal(err)
	}
	defer pass.Release()
	clock = &patient{now: epoch}
	var held *LockedError
	if _, err := Await(t.Context(), clock, dir, "dplane apply", tell); !errors.As(err, &held) || clock.now.Sub(epoch) != passTime {
		t.Errorf("a long pass: after %s %v", clock.now.Sub(epoch), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	clock = &patient{now: epoch, then: func(time.Duration) { cancel() }}
	if _, err := Await(ctx, clock, dir, "dplane apply", tell); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: after %s %v", clock.now.Sub(epoch), err)
	}
}

// Another apply is not waited for, whoever had the lock before it; one that has not signed yet is.
func TestAwaitNobodyElse(t *testing.T) {
	dir := t.TempDir()
	other, err := Acquire(dir, "dplane apply")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	clock := &patient{now: epoch}
	var held *LockedError
	if _, err := Await(t.Context(), clock, dir, "dplane restore", func(string) {}); !errors.As(err, &held) || clock.now != epoch {
		t.Errorf("after %s: %v", clock.now.Sub(epoch), err)
	}
	ended := exec.Command(os.Args[0], "-test.run=^$")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for holder, passing := range map[string]bool{
		"":                          true,
		"a script's own word":       false,
		"process 1 (dplane apply)":  false,
		"process 1 (dplane daemon)": true,
		"process " + strconv.Itoa(ended.Process.Pid) + " (dplane apply)": true,
	} {
		if got := (&LockedError{Holder: holder}).passing(); got != passing {
			t.Errorf("%q: %v", holder, got)
		}
	}
}
