package spec

import (
	"fmt"
	"strings"
	"time"
)

// The periods of a schedule.
const (
	Frequently = "frequently"
	Hourly     = "hourly"
	Daily      = "daily"
	Weekly     = "weekly"
	Monthly    = "monthly"
	Yearly     = "yearly"
)

// periods are the periods of a schedule and the longest that one of them is, shortest first.
var periods = []struct {
	name string
	d    Duration
}{
	{Frequently, 0}, {Hourly, 3600 * second}, {Daily, 24 * 3600 * second},
	{Weekly, 7 * 24 * 3600 * second}, {Monthly, 31 * 24 * 3600 * second}, {Yearly, 366 * 24 * 3600 * second},
}

// Counted are the periods of which the schedule keeps any, shortest first.
func (s *Schedule) Counted() []string {
	var names []string
	for _, p := range periods {
		if s.Keep[p.name] > 0 {
			names = append(names, p.name)
		}
	}
	return names
}

// Period is the longest time between two snapshots of the schedule; 0 where it takes none.
func (s *Schedule) Period() Duration {
	for _, p := range periods {
		if s.Keep[p.name] > 0 {
			if p.name == Frequently {
				return s.FrequentPeriod
			}
			return p.d
		}
	}
	return 0
}

// Calendar tells where the periods of a schedule begin. It is a pure function of time, so that it is right whatever
// the clock did: nothing is counted on from an earlier answer.
//
// A day begins at the schedule's `at`, on a day on which the clock is set over it at that moment, and where it comes
// twice the first time; weeks, months and years begin with a day. Hours and what is shorter go by the clock on the
// wall at one offset from UTC: where the clock is set, one ends and the next begins.
type Calendar struct {
	frequent time.Duration
	days     map[string]*Recurrence
	loc      *time.Location
}

// Calendar gives the schedule's in its own zone, or in this one where it names none.
func (s *Schedule) Calendar(zone string) (*Calendar, error) {
	if s.Timezone != "" {
		zone = s.Timezone
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("zone of schedule %s: %w", s.Name, err)
	}
	at, err := parseClock(s.At)
	if err != nil {
		return nil, fmt.Errorf("at of schedule %s: %w", s.Name, err)
	}
	day := everyDay(at)
	on := func(is func(d time.Time) bool) *Recurrence {
		return &Recurrence{days: calendar{on: is, times: day.times}, loc: loc}
	}
	first := func(d time.Time) bool { return d.Day() == min(s.Monthday, lastDay(d)) }
	return &Calendar{frequent: s.FrequentPeriod.Std(), loc: loc, days: map[string]*Recurrence{
		Daily:   on(day.on),
		Weekly:  on(func(d time.Time) bool { return strings.EqualFold(d.Weekday().String(), s.Weekday) }),
		Monthly: on(first),
		Yearly:  on(func(d time.Time) bool { return strings.EqualFold(d.Month().String(), s.Month) && first(d) }),
	}}, nil
}

// Zone is the zone that the periods are of.
func (c *Calendar) Zone() *time.Location { return c.loc }

// Start is the first instant of the period of this name that t is in.
func (c *Calendar) Start(period string, t time.Time) time.Time {
	if r := c.days[period]; r != nil {
		return r.before(t)
	}
	start, _ := c.clock(period, t)
	return start
}

// Next is the first start of a period of this name after t.
func (c *Calendar) Next(period string, t time.Time) time.Time {
	if r := c.days[period]; r != nil {
		return r.after(t)
	}
	_, end := c.clock(period, t)
	return end
}

// clock is the stretch around t in which the clock on the wall goes from one multiple of the step to the next, cut
// where it is set.
func (c *Calendar) clock(period string, t time.Time) (start, end time.Time) {
	step := time.Hour
	if period == Frequently {
		step = c.frequent
	}
	shown := wall(t.In(c.loc)).UnixNano()
	into := time.Duration(shown - floor(shown, int64(step)))
	start, end = t.Add(-into).UTC(), t.Add(step-into).UTC()
	since, until := sameOffset(t.In(c.loc))
	if start.Before(since) {
		start = since.UTC()
	}
	if !until.IsZero() && end.After(until) {
		end = until.UTC()
	}
	return start, end
}

// sameOffset are the bounds within which the zone of t keeps its offset from UTC; zero is without end. A zone may
// change its name alone.
func sameOffset(t time.Time) (since, until time.Time) {
	_, offset := t.Zone()
	same := func(u time.Time) bool {
		_, o := u.Zone()
		return o == offset
	}
	since, until = t.ZoneBounds()
	for !since.IsZero() && same(since.Add(-1)) {
		since, _ = since.Add(-1).ZoneBounds()
	}
	for !until.IsZero() && same(until) {
		_, until = until.ZoneBounds()
	}
	return since, until
}
