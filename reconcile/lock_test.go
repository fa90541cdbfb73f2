package reconcile

import (
	"errors"
	"fmt"
	"os"
	"strings"
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
	first.Release()
	second, err := Acquire(dir+"/run", "dplane daemon")
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	second.Release()
}
