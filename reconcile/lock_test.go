package reconcile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	first, err := Acquire(dir+"/run", "dplane apply")
	if err != nil {
		t.Fatal(err)
	}
	var held *LockedError
	if _, err := Acquire(dir+"/run", "dplane daemon"); !errors.As(err, &held) {
		t.Fatalf("a second one got the lock: %v", err)
	}
	if want := fmt.Sprintf("process %d (dplane apply)", os.Getpid()); !strings.Contains(held.Error(), want) {
		t.Errorf("%q does not name the holder %q", held, want)
	}
	if err := os.Remove(dir + "/run/apply.lock"); err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(dir+"/run", "dplane daemon"); !errors.As(err, &held) {
		t.Fatalf("a second one got the lock when its file was removed: %v", err)
	}
	first.Release()
	second, err := Acquire(dir+"/run", "dplane daemon")
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	second.Release()
}

// Whether somebody else held the lock in between is not told by the pid: it is used again.
func TestLockFollows(t *testing.T) {
	dir := t.TempDir()
	take := func() *Lock {
		l, err := Acquire(dir, "dplane apply")
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
		return l
	}
	first, second, third := take(), take(), take()
	if !second.Follows(first) || !third.Follows(second) || third.Follows(first) || first.Follows(third) {
		t.Errorf("%+v %+v %+v", first, second, third)
	}
	if want := fmt.Sprintf("process %d (dplane apply)", os.Getpid()); third.Last != want || first.Last != "" {
		t.Errorf("the last was %q, want %q", third.Last, want)
	}
}

// A script may keep dplane away with flock(1).
func TestLockHeldByScript(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(dir + "/apply.lock")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	var held *LockedError
	if _, err := Acquire(dir, "dplane apply"); !errors.As(err, &held) {
		t.Fatalf("the lock was not respected: %v", err)
	}
}
