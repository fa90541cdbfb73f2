package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// ScheduleStatus is how one schedule stands.
type ScheduleStatus struct {
	Name     string     `json:"name"`
	State    string     `json:"state"` // ok or degraded
	Reason   string     `json:"reason"`
	Datasets int        `json:"datasets"`
	Late     []string   `json:"late"`   // datasets whose newest snapshot is older than the schedule allows
	Newest   *time.Time `json:"newest"` // of all datasets
	Oldest   *time.Time `json:"oldest"` // the oldest of the newest ones
	Due      *time.Time `json:"due"`    // the next
}

// schedules judges each: late or failing ones degrade the machine, snapshots dated in the future are told of.
func (s *Status) schedules(all []state.ScheduleHealth) {
	for _, h := range all {
		x := ScheduleStatus{
			Name: h.Name, State: OK, Datasets: h.Datasets, Late: list(h.Late),
			Newest: optional(h.Newest), Oldest: optional(h.Oldest), Due: optional(h.Due),
		}
		var why []string
		if n := len(h.Late); n > 0 {
			why = append(why, fmt.Sprintf("%s without a snapshot as new as it must be: %s", count(n, "dataset"), drivers.Some(h.Late)))
		}
		if n := len(h.Failed); n > 0 {
			why = append(why, fmt.Sprintf("%s could not be snapshotted: %s", count(n, "dataset"), drivers.Some(h.Failed)))
		}
		if len(why) > 0 {
			x.State, x.Reason = Degraded, strings.Join(why, "; ")
			s.worsen(Degraded, "schedule "+h.Name+": "+x.Reason)
		}
		if n := len(h.Future); n > 0 {
			s.Notices = append(s.Notices, fmt.Sprintf("schedule %s: %s dated in the future, kept, and filling no period: %s", h.Name, count(n, "snapshot"), drivers.Some(h.Future)))
		}
		s.Schedules = append(s.Schedules, x)
	}
}

func (t *text) statusSchedules(all []ScheduleStatus) {
	if len(all) == 0 {
		return
	}
	t.printf("\nSchedules\n")
	var rows [][]string
	moment := func(at *time.Time) string {
		if at == nil {
			return "never"
		}
		return timeText(*at)
	}
	for _, s := range all {
		rows = append(rows, []string{clean(s.Name), s.State, count(s.Datasets, "dataset"), "newest " + moment(s.Newest), "next " + moment(s.Due), clean(firstLine(s.Reason))})
	}
	t.table("  ", rows, t.stateColumn)
}
