package process

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

// refusing takes so many bytes.
type refusing struct{ left int }

func (r *refusing) Write(p []byte) (int, error) {
	if len(p) > r.left {
		return 0, errors.New("no more")
	}
	r.left -= len(p)
	return len(p), nil
}

func TestDrain(t *testing.T) {
	sh := func(script string) host.Command { return host.Read("sh", "-c", script) }
	var got bytes.Buffer
	c := sh("head -c 300000 /dev/zero")
	c.Into = &got
	if res, err := New().Run(t.Context(), c); err != nil || got.Len() != 300000 || len(res.Stdout) > 0 {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}

	var exit *host.ExitError
	c = sh("echo some; echo why >&2; exit 3")
	c.Into = &got
	if _, err := New().Run(t.Context(), c); !errors.As(err, &exit) || exit.Code != 3 || exit.Stderr != "why\n" {
		t.Errorf("%v", err)
	}

	c = sh("cat /dev/zero")
	c.Into = &refusing{100000}
	if _, err := New().Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("who reads has enough: %v", err)
	}

	c = sh("sleep 100")
	c.Into, c.Pipe = &got, host.Pipe{Stall: time.Second}
	if _, err := New().Run(t.Context(), c); !errors.Is(err, host.ErrStalled) {
		t.Errorf("nothing moves: %v", err)
	}

	c = sh("head -c 30000 /dev/zero")
	c.Into, c.Pipe = &got, host.Pipe{Rate: 100000}
	began := time.Now()
	if _, err := New().Run(t.Context(), c); err != nil || time.Since(began) < 150*time.Millisecond {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

// A connection of its own shares no socket.
func TestApart(t *testing.T) {
	r := knowing(t, nas(t), `printf '%s\n' "$@"`)
	c := there("zfs", "version")
	for _, apart := range []bool{false, true} {
		c.Apart = apart
		res, err := r.Run(t.Context(), c)
		if err != nil || strings.Contains(string(res.Stdout), "ControlPath=none\n") != apart {
			t.Errorf("%t: %s, %v", apart, res.Stdout, err)
		}
	}
}
