//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestScheduleKilled: kill -9 at each write of a tick that takes and prunes, before and after it took effect. The next
// tick leaves one snapshot of the hour on each dataset, and nothing that should have been pruned.
func TestScheduleKilled(t *testing.T) {
	set := machineClock(t)
	b := newBox(t)
	pool := b.pool("tank")
	b.write("tank.yaml", fmt.Sprintf("pools: {%s: {vdevs: [{stripe: [%s]}]}}\ndatasets:\n  %[1]s/a: {snapshots: s}\n  %[1]s/b: {snapshots: s}\nschedules: {s: {keep: {hourly: 2}}}\n", pool, b.disk("a")))
	b.expect(0, "apply", "--yes")
	hour := time.Date(2031, 5, 1, 0, 0, 0, 0, time.UTC)
	next := func() {
		hour = hour.Add(time.Hour)
		set(hour)
	}
	for range 3 {
		next()
		b.expect(0, "apply", "--yes")
	}
	const writes = 3 // one takes, and each dataset has one to prune
	for _, how := range []string{"before", "after"} {
		for at := 1; at <= writes; at++ {
			next()
			if r := b.cutting(at, how, "apply", "--yes"); r.Code != -1 {
				t.Fatalf("%s write %d it was not killed: exit status %d\n%s%s", how, at, r.Code, r.Stdout, r.Stderr)
			}
			b.expect(0, "apply", "--yes")
			want := []string{hour.Add(-time.Hour).Format("2006-01-02T15"), hour.Format("2006-01-02T15")}
			for _, d := range []string{"a", "b"} {
				var got []string
				for _, line := range strings.Fields(must(t, "zfs", "list", "-Hp", "-t", "snapshot", "-o", "creation", "-s", "createtxg", pool+"/"+d)) {
					var seconds int64
					fmt.Sscan(line, &seconds)
					got = append(got, time.Unix(seconds, 0).UTC().Format("2006-01-02T15"))
				}
				if !slices.Equal(got, want) {
					t.Errorf("killed %s write %d: %s has %v, want %v", how, at, d, got, want)
				}
			}
		}
	}
}
