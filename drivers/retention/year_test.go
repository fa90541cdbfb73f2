package retention

import (
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// wallClock is what the clock on the wall of a zone shows, minute by minute. It asks time for nothing but the offset
// of a minute: where periods begin is found by walking, as somebody would who looks at that clock all the time.
type wallClock struct {
	from   time.Time
	shown  []int // minutes since 1970 that it shows
	offset []int // minutes ahead of UTC
}

func newWallClock(from time.Time, days int, zone *time.Location) *wallClock {
	w := &wallClock{from: from}
	for i := range days * 24 * 60 {
		at := from.Add(time.Duration(i) * time.Minute)
		_, seconds := at.In(zone).Zone()
		w.offset = append(w.offset, seconds/60)
		w.shown = append(w.shown, int(at.Unix()/60)+seconds/60)
	}
	return w
}

func (w *wallClock) at(minute int) time.Time { return w.from.Add(time.Duration(minute) * time.Minute) }

func (w *wallClock) minute(t time.Time) int { return int(t.Sub(w.from) / time.Minute) }

// begun are the periods that begin with a minute, a bit for each.
type begun uint8

var bits = map[string]begun{spec.Frequently: 1, spec.Hourly: 2, spec.Daily: 4, spec.Weekly: 8, spec.Monthly: 16, spec.Yearly: 32}

// begins tells for each minute which periods begin with it. Those of the first day are not to be relied on.
func (w *wallClock) begins(t interface{ Fatal(...any) }, s *spec.Schedule) []begun {
	clock, err := time.Parse("15:04", s.At)
	if err != nil {
		t.Fatal(err)
	}
	dayAt, frequent := clock.Hour()*60+clock.Minute(), int(s.FrequentPeriod.Std()/time.Minute)
	out := make([]begun, len(w.shown))
	today := (w.shown[0] - dayAt) / 1440
	for i := 1; i < len(w.shown); i++ {
		was, is, set := w.shown[i-1], w.shown[i], w.offset[i] != w.offset[i-1]
		if set || was/frequent != is/frequent {
			out[i] |= bits[spec.Frequently]
		}
		if set || was/60 != is/60 {
			out[i] |= bits[spec.Hourly]
		}
		if day := (is - dayAt) / 1440; day > today { // a day that was, does not begin again
			today = day
			out[i] |= longer(s, time.Unix(int64(day)*86400, 0).UTC())
		}
	}
	return out
}

// longer are the periods that begin with this day of the calendar.
func longer(s *spec.Schedule, day time.Time) begun {
	weekdays := map[string]time.Weekday{"sunday": time.Sunday, "wednesday": time.Wednesday}
	months := map[string]time.Month{"january": time.January, "february": time.February, "october": time.October}
	last := time.Date(day.Year(), day.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	b := bits[spec.Daily]
	if day.Weekday() == weekdays[s.Weekday] {
		b |= bits[spec.Weekly]
	}
	if day.Day() == min(s.Monthday, last) {
		b |= bits[spec.Monthly]
		if day.Month() == months[s.Month] {
			b |= bits[spec.Yearly]
		}
	}
	return b
}

// counts tells whether one of these periods is counted.
func (p *Policy) counts(b begun) bool {
	var mine begun
	for _, per := range p.periods {
		mine |= bits[per.name]
	}
	return mine&b != 0
}

// TestYear: over a year, days of 23 and 25 hours and half an hour on Lord Howe among them, every period begins where
// the clock on the wall says, none is missing and none comes twice; and a tick each minute takes one snapshot at each
// such instant.
func TestYear(t *testing.T) {
	from, days := time.Date(2027, 12, 28, 0, 0, 0, 0, time.UTC), 366+8 // has a 29 February
	for _, c := range []struct {
		zone, at    string
		short, long int // minutes from one day's begin to the next, where the clock is set forward, and back
	}{
		{zone: "Europe/Berlin", at: "00:00", short: 23 * 60, long: 25 * 60},
		{zone: "Europe/Berlin", at: "02:15", short: 23*60 + 15, long: 25 * 60}, // after the day that begins at 03:00
		{zone: "America/St_Johns", at: "00:00", short: 23 * 60, long: 25 * 60},
		{zone: "Australia/Lord_Howe", at: "00:00", short: 23*60 + 30, long: 24*60 + 30},
		{zone: "Australia/Lord_Howe", at: "02:15", short: 24*60 - 15, long: 24*60 + 30},
		{zone: "Asia/Kathmandu", at: "00:00", short: 24 * 60, long: 24 * 60},
	} {
		t.Run(c.zone+" "+c.at, func(t *testing.T) {
			t.Parallel()
			s := &spec.Schedule{
				Name: "year", Timezone: c.zone, FrequentPeriod: spec.Duration(15 * time.Minute), At: c.at, Weekday: "sunday", Monthday: 31, Month: "february",
				Keep: map[string]int{"frequently": 2, "hourly": 2, "daily": 2, "weekly": 1, "monthly": 1, "yearly": 1},
			}
			all, err := NewPolicy(s, "UTC")
			if err != nil {
				t.Fatal(err)
			}
			wall := newWallClock(from, days, all.zone)
			begins := wall.begins(t, s)
			ticks := &Policy{zone: all.zone, periods: all.periods[:3]} // the others begin with a day
			y := year{t: t, all: all, p: ticks, wall: wall, began: map[string]int{}, counts: map[string]int{}}
			for i := 2 * 24 * 60; i < len(begins); i++ {
				y.minute(i, begins[i])
			}
			if got := [2]int{y.short, y.long}; got != [2]int{c.short, c.long} {
				t.Errorf("days are from %d to %d minutes, want %d and %d", got[0], got[1], c.short, c.long)
			}
			if y.counts["daily"] < 366 || y.counts["monthly"] < 12 || y.counts["yearly"] != 1 {
				t.Errorf("too little is tested: %v", y.counts)
			}
		})
	}
}

// year is one zone on its way through it.
type year struct {
	t           *testing.T
	all, p      *Policy // of all periods, and what snapshots are taken by
	wall        *wallClock
	own         []state.Snapshot
	due         time.Time      // when the policy wants the next one
	began       map[string]int // minute in which the period began last
	counts      map[string]int
	short, long int // of a day, in minutes
}

func (y *year) minute(i int, begun begun) {
	now := y.wall.at(i)
	for _, per := range y.all.periods {
		if begun&bits[per.name] != 0 {
			y.begin(per, i)
		}
	}
	switch wanted := y.own == nil || !y.due.After(now); {
	case y.own == nil:
	case wanted != y.p.counts(begun):
		y.t.Fatalf("%s: a snapshot is wanted: %v, what begins: %b", now.In(y.p.zone), wanted, begun)
	case !wanted && i%97 == 0: // nor is it if asked again
		if again := y.p.Due(y.own, now); !again.Equal(y.due) {
			y.t.Fatalf("%s: due at %s, asked before at %s", now, again, y.due)
		}
		return
	case !wanted:
		return
	case !y.p.Due(y.own, now).Equal(now):
		y.t.Fatalf("%s: due only at %s", now, y.p.Due(y.own, now))
	}
	y.own = append(y.own, state.Snapshot{Name: now.Format(time.RFC3339), Creation: now})
	if len(y.own) > 12 { // that pruning changes nothing about what is due is the business of TestTicks
		y.own = survivors(y.p.Retain(y.own, now))
	}
	y.due = y.p.Due(y.own, now)
}

// begin compares one period that begins in this minute with what the calendar says of it and of the one before.
func (y *year) begin(per period, i int) {
	now := y.wall.at(i)
	if got := per.start(now); !got.Equal(now) {
		y.t.Fatalf("%s: the %s period began at %s", now.In(y.p.zone), per.name, got.In(y.p.zone))
	}
	before, any := y.began[per.name]
	y.began[per.name] = i
	y.counts[per.name]++
	if !any {
		return
	}
	if got := per.next(y.wall.at(before)); !got.Equal(now) {
		y.t.Fatalf("after %s the next %s period begins at %s, want %s", y.wall.at(before), per.name, got, now)
	}
	if got := per.start(now.Add(-time.Minute)); !got.Equal(y.wall.at(before)) {
		y.t.Fatalf("a minute before %s the %s period is of %s, want %s", now, per.name, got, y.wall.at(before))
	}
	if per.name == spec.Daily {
		if length := i - before; y.short == 0 {
			y.short, y.long = length, length
		} else {
			y.short, y.long = min(y.short, length), max(y.long, length)
		}
	}
}
