package host

import (
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
