package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// calendar is a rule of days and of times of day, by the clock on the wall: its times are in UTC whatever the zone.
type calendar struct {
	on    func(day time.Time) bool
	times []time.Duration // since midnight, sorted; all in whole minutes
}

// farthest is how many days a rule is looked for: a Sunday that is 29 February can be forty years away, around 2100.
const farthest = 41 * 366

func everyDay(at time.Duration) calendar {
	return calendar{on: func(time.Time) bool { return true }, times: []time.Duration{at}}
}

// before is the newest time at or before w, zero where none is near.
func (c calendar) before(w time.Time) time.Time {
	day := w.Truncate(24 * time.Hour)
	n, _ := slices.BinarySearch(c.times, w.Sub(day)+1)
	for range farthest {
		if n > 0 && c.on(day) {
			return day.Add(c.times[n-1])
		}
		day, n = day.AddDate(0, 0, -1), len(c.times)
	}
	return time.Time{}
}

// after is the first time after w, zero where none is near.
func (c calendar) after(w time.Time) time.Time {
	day := w.Truncate(24 * time.Hour)
	n, _ := slices.BinarySearch(c.times, w.Sub(day)+1)
	for range farthest {
		if n < len(c.times) && c.on(day) {
			return day.Add(c.times[n])
		}
		day, n = day.AddDate(0, 0, 1), 0
	}
	return time.Time{}
}

func (c calendar) has(w time.Time) bool { return c.before(w).Equal(w) }

// calendar reads the rule; hourly is a cron rule of any hour.
func (r *Recur) calendar() (c calendar, hourly bool, err error) {
	day, at, ok := strings.Cut(r.Weekly+r.Monthly, " ")
	switch {
	case r.Cron != "":
		return cronCalendar(r.Cron)
	case r.Daily != "":
		at = r.Daily
	case !ok:
		return calendar{}, false, fmt.Errorf("nothing says when it recurs")
	}
	clock, err := parseClock(at)
	if err != nil {
		return calendar{}, false, err
	}
	c = everyDay(clock)
	switch {
	case r.Weekly != "":
		weekday := slices.Index(weekdays, day)
		c.on = func(d time.Time) bool { return int(d.Weekday()) == weekday }
	case r.Monthly != "":
		n, err := strconv.Atoi(day)
		if err != nil {
			return calendar{}, false, fmt.Errorf("%q is no day of the month", day)
		}
		c.on = func(d time.Time) bool { return d.Day() == min(n, lastDay(d)) }
	}
	return c, false, nil
}

// lastDay is the length of the month of d. A rule of a day that a month does not have holds on its last: no month
// goes without.
func lastDay(d time.Time) int { return time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day() }

func parseClock(s string) (time.Duration, error) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, fmt.Errorf("%q is no time of day", s)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// cronCalendar reads the five fields. As in crontab(5) a day matches by either of day of month and day of week where
// both are restricted, and a * before a step is no restriction.
func cronCalendar(text string) (c calendar, hourly bool, err error) {
	if err := checkCron(text); err != nil {
		return calendar{}, false, err
	}
	parsed, err := cron.ParseStandard(sundays(text))
	if err != nil {
		return calendar{}, false, err
	}
	s, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return calendar{}, false, fmt.Errorf("%q has no fields", text)
	}
	fields := strings.Fields(text)
	open := func(i int) bool { return fields[i][0] == '*' } // the parser's own mark is not set beside a step
	for hour := range 24 {
		for minute := range 60 {
			if s.Hour>>hour&1 == 1 && s.Minute>>minute&1 == 1 {
				c.times = append(c.times, time.Duration(hour)*time.Hour+time.Duration(minute)*time.Minute)
			}
		}
	}
	c.on = func(d time.Time) bool {
		dom, dow := s.Dom>>d.Day()&1 == 1, s.Dow>>int(d.Weekday())&1 == 1
		day := dom || dow
		if open(2) || open(4) {
			day = dom && dow
		}
		return day && s.Month>>int(d.Month())&1 == 1
	}
	return c, open(1), nil
}

// sundays writes a day of week 7 as 0, which is all that the parser knows. The fields are valid.
func sundays(text string) string {
	fields := strings.Fields(text)
	var days []string
	for item := range strings.SplitSeq(fields[4], ",") {
		span, step, stepped := strings.Cut(item, "/")
		from, to, ranged := strings.Cut(span, "-")
		first, _ := cronFields[4].number(from)
		switch {
		case ranged && to == "7":
			every := 1
			if stepped {
				every, _ = strconv.Atoi(step)
			}
			for d := first; d <= 7; d += every {
				days = append(days, strconv.Itoa(d%7))
			}
		case from == "7":
			days = append(days, "0")
		default:
			days = append(days, item)
		}
	}
	fields[4] = strings.Join(days, ",")
	return strings.Join(fields, " ")
}
