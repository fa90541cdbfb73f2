package schedule

import (
	"fmt"
	"slices"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Bounds of how late a snapshot may be before it counts as late: half of the shortest period, within these.
const (
	leastGrace = 5 * time.Minute
	mostGrace  = 4 * time.Hour
)

// health is how each schedule stands that covers anything, by name.
func (v *view) health() (all []state.ScheduleHealth) {
	index := map[string]int{}
	for _, c := range v.sets {
		name := c.Schedule.Name
		if _, ok := index[name]; !ok {
			index[name] = len(all)
			all = append(all, state.ScheduleHealth{Name: name})
		}
		c.addTo(&all[index[name]], v)
	}
	slices.SortFunc(all, func(a, b state.ScheduleHealth) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}

func (c *covered) addTo(h *state.ScheduleHealth, v *view) {
	h.Datasets++
	at := c.fresh(v.now)
	if at.After(h.Newest) {
		h.Newest = at
	}
	if !at.IsZero() && (h.Oldest.IsZero() || at.Before(h.Oldest)) {
		h.Oldest = at
	}
	if due := c.due(v.now); !due.IsZero() && (h.Due.IsZero() || due.Before(h.Due)) {
		h.Due = due
	}
	for _, s := range c.mem.Snapshots {
		if s.Gone.IsZero() && s.Creation.After(v.now) {
			h.Future = append(h.Future, c.Name+"@"+s.Name)
		}
	}
	if !c.mem.Failed.IsZero() {
		h.Failed = append(h.Failed, fmt.Sprintf("%s: %s", c.Name, c.mem.Why))
	}
	if c.late(at, v) {
		h.Late = append(h.Late, c.Name)
	}
}

// late tells whether the newest snapshot is older than the schedule allows: the next was due, and some time went by.
func (c *covered) late(at time.Time, v *view) bool {
	if at.IsZero() {
		r, known := v.Have.RecordedAs(string(spec.KindDataset), c.Name)
		if !known || r.First.IsZero() {
			return false
		}
		at = r.First
	}
	due := c.policy.DueAfter(at, at)
	if due.IsZero() {
		return false
	}
	grace := min(max(c.Schedule.Period().Std()/2, leastGrace), mostGrace)
	return v.now.After(due.Add(grace))
}
