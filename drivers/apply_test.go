package drivers_test

import (
	"context"
	"errors"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// unready fails a number of times with what it says, and then is well.
type unready struct {
	says  string
	times int
	runs  int
}

func (u *unready) Run(_ context.Context, c host.Command) (host.Result, error) {
	if u.runs++; u.runs <= u.times {
		return host.Result{Code: 255}, &host.ExitError{Command: c, Code: 255, Stderr: u.says}
	}
	return host.Result{}, nil
}

// TestApplyWaitsForTheDevice: the device of a volume comes a moment after the volume, and volthreading is asked of it.
func TestApplyWaitsForTheDevice(t *testing.T) {
	set := zfs.Set("tank/v", map[string]string{"volthreading": "on"})
	for name, c := range map[string]struct {
		step host.Command
		says string
		runs int
		well bool
	}{
		"not there yet":   {set, "cannot set property for 'tank/v': dataset does not exist\n", 3, true},
		"another failure": {set, "cannot set property for 'tank/v': permission denied\n", 1, false},
		"another command": {zfs.Set("tank/v", map[string]string{"compression": "on"}), "dataset does not exist", 1, false},
	} {
		u := &unready{says: c.says, times: 2}
		err := drivers.Apply(t.Context(), u, drivers.Action{Steps: []host.Command{c.step}})
		if (err == nil) != c.well || u.runs != c.runs {
			t.Errorf("%s: run %d times, %v; want %d times, well %v", name, u.runs, err, c.runs, c.well)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var exit *host.ExitError
	if err := drivers.Apply(ctx, &unready{times: 9}, drivers.Action{Steps: []host.Command{set}}); !errors.Is(err, context.Canceled) || errors.As(err, &exit) {
		t.Errorf("cancelled: %v", err)
	}
}
