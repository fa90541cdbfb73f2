package spec

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func scheduleIn(zone string) *Schedule {
	return &Schedule{Name: "s", Keep: map[string]int{Daily: 1}, FrequentPeriod: Duration(15 * time.Minute), At: "00:00", Weekday: "sunday", Monthday: 1, Month: "january", Timezone: zone}
}

func calendarOf(t interface{ Fatal(...any) }, s *Schedule) *Calendar {
	c, err := s.Calendar("UTC")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCalendar: where a period begins and the next one does, on the days on which a clock is set.
func TestCalendar(t *testing.T) {
	const form = "2006-01-02 15:04 -0700"
	for _, c := range []struct {
		name, zone        string
		change            func(*Schedule)
		period, at        string
		start, then, last string // last: the one after then; "": not looked at
	}{
		{"hour", "Europe/Berlin", nil, Hourly, "2026-10-25 02:59 +0200", "2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100", "2026-10-25 03:00 +0100"},
		{"hour that is skipped", "Europe/Berlin", nil, Hourly, "2026-03-29 01:30 +0100", "2026-03-29 01:00 +0100", "2026-03-29 03:00 +0200", "2026-03-29 04:00 +0200"},
		{"half an hour more", "Australia/Lord_Howe", nil, Hourly, "2026-04-05 01:59 +1100", "2026-04-05 01:00 +1100", "2026-04-05 01:30 +1030", "2026-04-05 02:00 +1030"},
		{"half an hour less", "Australia/Lord_Howe", nil, Hourly, "2026-10-04 01:59 +1030", "2026-10-04 01:00 +1030", "2026-10-04 02:30 +1100", "2026-10-04 03:00 +1100"},
		{"offset of three quarters", "Asia/Kathmandu", nil, Hourly, "2026-11-24 12:59 +0545", "2026-11-24 12:00 +0545", "2026-11-24 13:00 +0545", ""},
		{"quarter", "Asia/Kathmandu", nil, Frequently, "2026-11-24 12:59 +0545", "2026-11-24 12:45 +0545", "2026-11-24 13:00 +0545", ""},
		{"a long frequent one", "Europe/Berlin", func(s *Schedule) { s.FrequentPeriod = Duration(6 * time.Hour) }, Frequently, "2026-11-24 11:00 +0100", "2026-11-24 06:00 +0100", "2026-11-24 12:00 +0100", ""},
		{"day of 25 hours", "Europe/Berlin", nil, Daily, "2026-10-25 23:00 +0100", "2026-10-25 00:00 +0200", "2026-10-26 00:00 +0100", ""},
		{"day of 23 hours", "Europe/Berlin", nil, Daily, "2026-03-29 23:00 +0200", "2026-03-29 00:00 +0100", "2026-03-30 00:00 +0200", ""},
		{"a time that is skipped", "Europe/Berlin", func(s *Schedule) { s.At = "02:30" }, Daily, "2026-03-29 12:00 +0200", "2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200", ""},
		{"a time that comes twice", "Europe/Berlin", func(s *Schedule) { s.At = "02:30" }, Daily, "2026-10-25 02:30 +0100", "2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100", ""},
		{"week", "UTC", func(s *Schedule) { s.Weekday = "wednesday" }, Weekly, "2026-11-24 12:00 +0000", "2026-11-18 00:00 +0000", "2026-11-25 00:00 +0000", ""},
		{"last day of the month", "UTC", func(s *Schedule) { s.Monthday = 31 }, Monthly, "2028-02-29 12:00 +0000", "2028-02-29 00:00 +0000", "2028-03-31 00:00 +0000", "2028-04-30 00:00 +0000"},
		{"29 February", "UTC", func(s *Schedule) { s.Monthday, s.Month = 29, "february" }, Yearly, "2027-12-01 00:00 +0000", "2027-02-28 00:00 +0000", "2028-02-29 00:00 +0000", "2029-02-28 00:00 +0000"},
	} {
		s := scheduleIn(c.zone)
		if c.change != nil {
			c.change(s)
		}
		cal := calendarOf(t, s)
		at, err := time.Parse(form, c.at)
		if err != nil {
			t.Fatal(err)
		}
		show := func(u time.Time) string { return u.In(cal.Zone()).Format(form) }
		then := cal.Next(c.period, at)
		if show(cal.Start(c.period, at)) != c.start || show(then) != c.then || c.last != "" && show(cal.Next(c.period, then)) != c.last {
			t.Errorf("%s: from %s to %s, then %s; want %s to %s, then %s", c.name, show(cal.Start(c.period, at)), show(then), show(cal.Next(c.period, then)), c.start, c.then, c.last)
		}
	}
}

// TestCalendarLaws: periods follow one another without a gap, whatever the zone did, over all its history.
func TestCalendarLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := scheduleIn(rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Monrovia", "Europe/Lisbon"}).Draw(t, "zone"))
		s.At = rapid.SampledFrom([]string{"00:00", "00:30", "02:30", "23:59"}).Draw(t, "at")
		s.Monthday = rapid.IntRange(1, 31).Draw(t, "monthday")
		s.FrequentPeriod = Duration(time.Duration(rapid.IntRange(1, 600).Draw(t, "minutes")) * time.Minute)
		cal := calendarOf(t, s)
		period := rapid.SampledFrom([]string{Frequently, Hourly, Daily, Weekly, Monthly, Yearly}).Draw(t, "period")
		at := time.Unix(rapid.Int64Range(0, 80*365*86400).Draw(t, "time"), 0)
		start, next := cal.Start(period, at), cal.Next(period, at)
		if start.After(at) || !next.After(at) {
			t.Fatalf("%s is not from %s up to %s", at.UTC(), start, next)
		}
		for _, inside := range []time.Time{start, next.Add(-1)} {
			if !cal.Start(period, inside).Equal(start) || !cal.Next(period, inside).Equal(next) {
				t.Fatalf("%s is in another period than %s", inside, at.UTC())
			}
		}
		if !cal.Start(period, next).Equal(next) {
			t.Fatalf("at %s begins no period", next)
		}
	})
}
