package host

import (
	"strings"
	"testing"
	"time"
)

// A write that is killed can leave a tree unmounted, so it gets more time than a read.
func TestLimit(t *testing.T) {
	own := Read("find")
	own.Timeout = time.Second
	for _, c := range []struct {
		command Command
		want    time.Duration
	}{{Read("zfs"), DefaultTimeout}, {Write("zfs"), WriteTimeout}, {own, time.Second}} {
		if got := c.command.Limit(); got != c.want {
			t.Errorf("%v: %s, want %s", c.command, got, c.want)
		}
	}
}

// An answer of pages is not told whole.
func TestUnexpectedIsShort(t *testing.T) {
	u := &Unexpected{Expect: Expect{Command: Read("zfs", "get"), Means: "all is well"}, Got: Result{Code: 2, Stderr: []byte(strings.Repeat("usage ", 1000))}}
	if len(u.Error()) > 500 || !strings.Contains(u.Error(), "usage usage") {
		t.Errorf("%d bytes: %.600s", len(u.Error()), u.Error())
	}
}

func TestPipeString(t *testing.T) {
	send := Read("zfs", "send", "tank/my home@a")
	recv := Write("zfs", "receive", "backup/home")
	recv.Host, recv.Stdin = "nas-b", &send
	if got, want := recv.String(), "zfs send 'tank/my home@a' | nas-b: zfs receive backup/home"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
