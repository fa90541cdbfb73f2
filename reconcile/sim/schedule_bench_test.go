package sim

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
)

// timed adds up what the model itself takes: a real zfs would take another time.
type timed struct {
	host.Runner
	model time.Duration
	n     int
}

func (r *timed) Run(ctx context.Context, c host.Command) (host.Result, error) {
	began := time.Now()
	defer func() { r.model += time.Since(began) }()
	r.n++
	return r.Runner.Run(ctx, c)
}

// BenchmarkScheduleTick is a tick of the loop with 1,000 datasets that have 30 snapshots each: what dplane itself takes,
// without the model of zfs, and the processes it would start. `make bench` runs it.
func BenchmarkScheduleTick(b *testing.B) {
	if os.Getenv("DPLANE_BIN") == "" {
		b.Skip("`make bench` runs it")
	}
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("d%04d", i))
	}
	x := newTicking(b, strings.NewReplacer("tank/a: {snapshots: standard}", "", "tank/a/b: {}", "", "tank/c: {snapshots: standard}", "", "tank/d: {}", "",
		"tank: {}\n  ", "tank: {snapshots: standard}\n  ", "hourly: 3, daily: 2", "hourly: 30").Replace(covered), names...)
	r := &timed{Runner: x.ZFS}
	l := x.Loop(r)
	tick := func(at time.Time) {
		x.Clock.now = at
		x.ZFS.SetClock(at)
		p, obs, err := l.Plan(b.Context(), x.want, reconcile.Daemon(x.want))
		if err == nil {
			_, err = l.Carry(b.Context(), x.want, p, obs, reconcile.Daemon(x.want), reconcile.ByDaemon)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	now := x.Clock.now
	for range 29 {
		tick(now)
		now = now.Add(time.Hour)
	}
	measure := func(name string, step func()) {
		b.Run(name, func(b *testing.B) {
			r.model, r.n = 0, 0
			began := time.Now()
			step()
			b.ReportMetric(float64(time.Since(began)-r.model)/1e6, "own-ms")
			b.ReportMetric(float64(r.model)/1e6, "model-ms")
			b.ReportMetric(float64(r.n), "processes")
			b.ReportMetric(0, "ns/op")
		})
	}
	measure("nothing-due", func() { tick(now.Add(-time.Minute)) })
	measure("all-due", func() { tick(now) })
	measure("all-due-and-a-prune-each", func() { tick(now.Add(time.Hour)) })
}
