package spec

import (
	"fmt"
	"strings"
	"time"
)

// Recurrence tells when what recurs is due. It is a pure function of time: nothing is remembered, so a machine that
// slept over many instants is due once.
//
// On a day on which the clock is set forward, an instant that does not exist is the moment of the change; on one on
// which it is set back, an instant that exists twice is the first of the two. A cron rule of any hour goes by real
// time instead: it runs in both of the hours that have one name.
//
// An instant outside the window is put off to its opening, and several of them to one.
type Recurrence struct {
	every  time.Duration // 0: calendar
	days   calendar
	hourly bool // a cron rule of any hour
	window *window
	loc    *time.Location
}

// window is a time of day within which things start; it may go over midnight. From and to are instants as those of
// a daily rule, so that it opens and closes once a day also where an hour comes twice or not at all.
type window struct{ from, to *Recurrence }

func (r *Recur) openings(loc *time.Location) (*window, error) {
	if r.Window == "" {
		return nil, nil
	}
	from, to, _ := strings.Cut(r.Window, "-")
	opens, err := parseClock(from)
	if err != nil {
		return nil, err
	}
	closes, err := parseClock(to)
	if err != nil {
		return nil, err
	}
	if opens == closes {
		return nil, fmt.Errorf("the window %q has no length", r.Window)
	}
	return &window{&Recurrence{days: everyDay(opens), loc: loc}, &Recurrence{days: everyDay(closes), loc: loc}}, nil
}

// Recurrence gives the rule in its zone, or in that of the node.
func (s *Spec) Recurrence(r *Recur) (*Recurrence, error) { return r.In(s.Node.Timezone) }

// In gives the rule in its own zone, or in this one where it names none.
func (r *Recur) In(zone string) (*Recurrence, error) {
	if r.Timezone != "" {
		zone = r.Timezone
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("zone of what recurs: %w", err)
	}
	out := &Recurrence{every: r.Every.Std(), loc: loc}
	if out.window, err = r.openings(loc); err != nil {
		return nil, err
	}
	if out.every == 0 {
		out.days, out.hourly, err = r.calendar()
	}
	return out, err
}

// Last is the newest instant at or before t; zero where there never was one.
func (r *Recurrence) Last(t time.Time) time.Time {
	for at := t; ; {
		last := r.before(at)
		if last.IsZero() || r.Open(last) {
			return last
		}
		if put := r.opening(last); !put.After(t) {
			return put
		}
		at = r.window.to.before(last).Add(-1) // what came since it closed waits for it to open
	}
}

// Next is the first instant after t; zero where there is none.
func (r *Recurrence) Next(t time.Time) time.Time {
	if last := r.before(t); !last.IsZero() && !r.Open(last) {
		if put := r.opening(last); put.After(t) {
			return put
		}
	}
	next := r.after(t)
	if next.IsZero() || r.Open(next) {
		return next
	}
	return r.opening(next)
}

// Due tells whether what was last done at this time is to be done now: an instant came since, and the window is open.
func (r *Recurrence) Due(last, now time.Time) bool { return r.Last(now).After(last) && r.Open(now) }

// When is the first moment from now on at which Due holds, if nothing is done meanwhile; zero where there is none.
func (r *Recurrence) When(last, now time.Time) time.Time {
	switch {
	case r.Due(last, now):
		return now
	case r.Last(now).After(last):
		return r.opening(now)
	}
	if last.After(now) {
		now = last
	}
	return r.Next(now)
}

// Open tells whether t is within the window, or there is none.
func (r *Recurrence) Open(t time.Time) bool {
	return r.window == nil || r.window.from.before(t).After(r.window.to.before(t))
}

// opening is the first moment after t at which the window opens. On a day that does not have its hours it does not.
func (r *Recurrence) opening(t time.Time) time.Time {
	for t = r.window.from.after(t); !r.Open(t); {
		t = r.window.from.after(t)
	}
	return t
}

// before is the newest instant at or before t, whatever the window.
func (r *Recurrence) before(t time.Time) time.Time {
	switch {
	case r.every > 0:
		return time.Unix(0, floor(t.UnixNano(), int64(r.every))).UTC()
	case r.hourly:
		return r.hourlyBefore(t)
	}
	for w := wall(t.In(r.loc)).Add(shift); ; w = w.Add(-1) {
		if w = r.days.before(w); w.IsZero() {
			return time.Time{}
		}
		if i := r.instant(w); !i.After(t) {
			return i
		}
	}
}

// after is the first instant after t, whatever the window.
func (r *Recurrence) after(t time.Time) time.Time {
	switch {
	case r.every > 0:
		return time.Unix(0, floor(t.UnixNano(), int64(r.every))+int64(r.every)).UTC()
	case r.hourly:
		return r.hourlyAfter(t)
	}
	for w := wall(t.In(r.loc)).Add(-shift); ; {
		if w = r.days.after(w); w.IsZero() {
			return time.Time{}
		}
		if i := r.instant(w); i.After(t) {
			return i
		}
	}
}

// floor is the greatest multiple of step that is not above n: what comes again after a time is due at its
// multiples since 1970, so that every machine agrees and nothing is remembered.
func floor(n, step int64) int64 {
	if rest := n % step; rest < 0 {
		return n - rest - step
	} else {
		return n - rest
	}
}

// hourlyBefore and hourlyAfter walk from one offset of the zone to the next: in between, clock and time go together.
func (r *Recurrence) hourlyBefore(t time.Time) time.Time {
	for {
		local := t.In(r.loc)
		last := r.days.before(wall(local))
		if last.IsZero() {
			return time.Time{}
		}
		found := t.Add(last.Sub(wall(local)))
		start, _ := local.ZoneBounds()
		if start.IsZero() || !found.Before(start) {
			return found.UTC()
		}
		t = start.Add(-1)
	}
}

func (r *Recurrence) hourlyAfter(t time.Time) time.Time {
	for {
		local := t.In(r.loc)
		next := r.days.after(wall(local))
		if next.IsZero() {
			return time.Time{}
		}
		found := t.Add(next.Sub(wall(local)))
		_, end := local.ZoneBounds()
		if end.IsZero() || found.Before(end) {
			return found.UTC()
		}
		if t = end; r.days.has(wall(end.In(r.loc))) {
			return end.UTC()
		}
	}
}

// shift is more than any zone's clock was ever set by: Samoa went over a whole day.
const shift = 25 * time.Hour

// wall is what the clock shows at t, as if it were UTC: arithmetic on it knows no zone.
func wall(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.Add(time.Duration(offset) * time.Second).UTC()
}

// instant is when the clock shows w: the first time it does, or the moment at which it is set over it. It never
// goes back when w goes forward.
func (r *Recurrence) instant(w time.Time) time.Time {
	near := time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), w.Nanosecond(), r.loc)
	start, end := near.ZoneBounds()
	switch shown := wall(near); {
	case shown.After(w): // the clock was set forward, over w, just before
		return start.UTC()
	case shown.Before(w): // or is about to be
		return end.UTC()
	}
	if start.IsZero() {
		return near.UTC()
	}
	_, offset := start.Add(-1).In(r.loc).Zone()
	if first := w.Add(-time.Duration(offset) * time.Second); first.Before(start) {
		return first // shown once already before the clock was set back
	}
	return near.UTC()
}
