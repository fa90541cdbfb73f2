package render

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

// A dataset whose newest snapshot is too old, or that can't be snapshotted, degrades the machine; snapshots dated in the
// future are told of.
func TestStatusOfSchedules(t *testing.T) {
	now := time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		health state.ScheduleHealth
		state  string
		says   string
	}{
		{"well", state.ScheduleHealth{Name: "s", Datasets: 2, Newest: now}, OK, ""},
		{"late", state.ScheduleHealth{Name: "s", Datasets: 2, Late: []string{"tank/a"}}, Degraded, "schedule s: 1 dataset without a snapshot as new as it must be: tank/a"},
		{"failed", state.ScheduleHealth{Name: "s", Datasets: 2, Failed: []string{"tank/a: out of space"}}, Degraded, "tank/a: out of space"},
		{"future", state.ScheduleHealth{Name: "s", Datasets: 2, Future: []string{"tank/a@x"}}, OK, "dated in the future, kept, and filling no period: tank/a@x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := state.NewObserved(now, "nas")
			o.Schedules = []state.ScheduleHealth{c.health}
			s := NewStatus(&state.Record{At: now, Observed: o, Declared: &state.Declared{}}, now)
			if s.State != c.state || s.Schedules[0].State != c.state {
				t.Errorf("%s, %+v", s.State, s.Schedules)
			}
			if all := strings.Join(append(s.Reasons, s.Notices...), "\n"); !strings.Contains(all, c.says) {
				t.Errorf("says %q, want %q", all, c.says)
			}
		})
	}
}
