package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func recurrence(t interface{ Fatal(...any) }, r Recur, zone string) *Recurrence {
	out, err := r.In(zone)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func at(t interface{ Fatal(...any) }, s string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04"} {
		if v, err := time.Parse(layout, s); err == nil {
			return v.UTC()
		}
	}
	t.Fatal("no time: " + s)
	return time.Time{}
}

const shown = "2006-01-02 15:04"

// The instants after a time, in UTC; walking back from the last gives the same ones.
func TestInstants(t *testing.T) {
	for name, c := range map[string]struct {
		rule       Recur
		zone, from string
		want       string
	}{
		"daily, in the hour that is skipped":    {Recur{Daily: "02:30"}, "Europe/Berlin", "2026-03-28 00:00", "2026-03-28 01:30, 2026-03-29 01:00, 2026-03-30 00:30"},
		"daily, in the hour that comes twice":   {Recur{Daily: "02:30"}, "Europe/Berlin", "2026-10-24 00:00", "2026-10-24 00:30, 2026-10-25 00:30, 2026-10-26 01:30"},
		"each hour of the 23-hour day":          {Recur{Cron: "30 * * * *"}, "Europe/Berlin", "2026-03-28 23:45", "2026-03-29 00:30, 2026-03-29 01:30, 2026-03-29 02:30"},
		"each hour of the 25-hour day":          {Recur{Cron: "30 * * * *"}, "Europe/Berlin", "2026-10-24 23:45", "2026-10-25 00:30, 2026-10-25 01:30, 2026-10-25 02:30"},
		"named hours of the 25-hour day":        {Recur{Cron: "30 1-3 * * *"}, "Europe/Berlin", "2026-10-24 23:15", "2026-10-24 23:30, 2026-10-25 00:30, 2026-10-25 02:30"},
		"half an hour set forward":              {Recur{Daily: "02:15"}, "Australia/Lord_Howe", "2026-10-02 20:00", "2026-10-03 15:30, 2026-10-04 15:15, 2026-10-05 15:15"},
		"an offset of 5:45":                     {Recur{Daily: "00:00"}, "Asia/Kathmandu", "2026-01-01 00:00", "2026-01-01 18:15, 2026-01-02 18:15, 2026-01-03 18:15"},
		"a whole day skipped":                   {Recur{Daily: "12:00"}, "Pacific/Apia", "2011-12-29 00:00", "2011-12-29 22:00, 2011-12-30 10:00, 2011-12-30 22:00"},
		"midnight that is skipped":              {Recur{Daily: "00:00"}, "America/Sao_Paulo", "2018-11-03 12:00", "2018-11-04 03:00, 2018-11-05 02:00, 2018-11-06 02:00"},
		"the last day":                          {Recur{Monthly: "31 03:00"}, "UTC", "2028-01-31 04:00", "2028-02-29 03:00, 2028-03-31 03:00, 2028-04-30 03:00"},
		"a day that February has not":           {Recur{Monthly: "30 03:00"}, "UTC", "2026-01-30 04:00", "2026-02-28 03:00, 2026-03-30 03:00, 2026-04-30 03:00"},
		"29 February":                           {Recur{Cron: "0 0 29 2 *"}, "UTC", "2092-03-01 00:00", "2096-02-29 00:00, 2104-02-29 00:00, 2108-02-29 00:00"},
		"weekly":                                {Recur{Weekly: "sun 02:00"}, "UTC", "2026-11-24 00:00", "2026-11-29 02:00, 2026-12-06 02:00, 2026-12-13 02:00"},
		"either day of cron":                    {Recur{Cron: "0 3 1 * mon"}, "UTC", "2026-11-24 00:00", "2026-11-30 03:00, 2026-12-01 03:00, 2026-12-07 03:00"},
		"both days of cron":                     {Recur{Cron: "0 3 */10 * mon"}, "UTC", "2026-11-24 00:00", "2026-12-21 03:00, 2027-01-11 03:00, 2027-02-01 03:00"},
		"7 is Sunday":                           {Recur{Cron: "0 3 * * 6-7"}, "UTC", "2026-11-24 00:00", "2026-11-28 03:00, 2026-11-29 03:00, 2026-12-05 03:00"},
		"every quarter":                         {Recur{Every: Duration(15 * time.Minute)}, "Asia/Kathmandu", "2026-11-24 00:07", "2026-11-24 00:15, 2026-11-24 00:30, 2026-11-24 00:45"},
		"within a window":                       {Recur{Every: Duration(time.Hour), Window: "22:00-00:00"}, "UTC", "2026-11-24 12:30", "2026-11-24 22:00, 2026-11-24 23:00, 2026-11-25 22:00"},
		"put off to a window":                   {Recur{Daily: "12:00", Window: "22:00-06:00"}, "UTC", "2026-11-24 12:30", "2026-11-24 22:00, 2026-11-25 22:00, 2026-11-26 22:00"},
		"a window in the hour that comes twice": {Recur{Cron: "*/15 * * * *", Window: "02:30-03:00"}, "Europe/Berlin", "2026-10-25 00:15", "2026-10-25 00:30, 2026-10-25 00:45, 2026-10-25 01:00"},
		"a window that one day has not":         {Recur{Daily: "02:30", Window: "02:10-02:40"}, "Europe/Berlin", "2026-03-28 00:00", "2026-03-28 01:30, 2026-03-30 00:10, 2026-03-30 00:30"},
	} {
		r := recurrence(t, c.rule, c.zone)
		var got []time.Time
		for next := at(t, c.from); len(got) < 3; {
			next = r.Next(next)
			got = append(got, next)
		}
		var text []string
		for i, v := range got {
			text = append(text, v.Format(shown))
			if last := r.Last(v); !last.Equal(v) {
				t.Errorf("%s: the last at %s is %s", name, v, last)
			}
			if i > 0 {
				if last := r.Last(v.Add(-1)); !last.Equal(got[i-1]) {
					t.Errorf("%s: the last before %s is %s", name, v, last)
				}
			}
		}
		if s := strings.Join(text, ", "); s != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, s, c.want)
		}
	}
}

func TestDue(t *testing.T) {
	r := recurrence(t, Recur{Monthly: "1 03:00", Window: "22:00-06:00"}, "Europe/Berlin")
	for _, c := range []struct {
		last, now string
		due       bool
		when      string
	}{
		{"2026-11-01 12:00", "2026-11-24 12:00", false, "2026-12-01 02:00"},
		{"2026-10-01 12:00", "2026-11-01 02:00", true, "2026-11-01 02:00"},
		{"2026-10-01 12:00", "2026-11-01 04:59", true, "2026-11-01 04:59"},
		{"2026-10-01 12:00", "2026-11-01 05:00", false, "2026-11-01 21:00"}, // the machine was off at night
		{"2026-10-01 12:00", "2026-11-01 21:00", true, "2026-11-01 21:00"},
		{"2020-01-01 12:00", "2026-11-24 23:00", true, "2026-11-24 23:00"},  // once, for all that were missed
		{"2026-12-24 12:00", "2026-11-24 12:00", false, "2027-01-01 02:00"}, // the clock was set back
	} {
		last, now := at(t, c.last), at(t, c.now)
		if got := r.Due(last, now); got != c.due {
			t.Errorf("last done %s, at %s: due is %v", c.last, c.now, got)
		}
		if got := r.When(last, now).Format(shown); got != c.when {
			t.Errorf("last done %s, at %s: due at %s, want %s", c.last, c.now, got, c.when)
		}
	}
}

func TestRecurrenceRefuses(t *testing.T) {
	for _, r := range []Recur{
		{}, {Daily: "25:00"}, {Weekly: "02:00"}, {Monthly: "x 02:00"}, {Cron: "0 0 0 * *"}, {Cron: "@daily"},
		{Daily: "02:00", Window: "2-3"}, {Daily: "02:00", Window: "02:00-02:00"}, {Daily: "02:00", Timezone: "Mars/Olympus"},
	} {
		if _, err := r.In("UTC"); err == nil {
			t.Errorf("%+v: no error", r)
		}
	}
	if never := recurrence(t, Recur{Cron: "0 0 31 2-4/2 *"}, "UTC"); !never.Next(time.Unix(0, 0)).IsZero() || !never.Last(time.Unix(0, 0)).IsZero() {
		t.Error("a day that never comes comes")
	}
}

// anyRule draws a valid rule without a window, and the way to tell whether the clock matches it.
func anyRule(t *rapid.T) (Recur, func(time.Time) bool) {
	clock := fmt.Sprintf("%02d:%02d", rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute"))
	onClock := func(w time.Time) bool { return w.Format("15:04") == clock }
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return Recur{Daily: clock}, onClock
	case 1:
		day := rapid.SampledFrom(weekdays).Draw(t, "weekday")
		return Recur{Weekly: day + " " + clock}, func(w time.Time) bool { return onClock(w) && strings.ToLower(w.Format("Mon")) == day }
	case 2:
		n := rapid.IntRange(1, 31).Draw(t, "day")
		return Recur{Monthly: fmt.Sprintf("%d %s", n, clock)}, func(w time.Time) bool {
			return onClock(w) && (w.Day() == n || w.Day() < n && w.AddDate(0, 0, 1).Day() == 1)
		}
	}
	var fields []string
	for i, f := range cronFields {
		fields = append(fields, rapid.Custom(func(t *rapid.T) string { return anyField(t, f) }).Draw(t, cronFields[i].name))
	}
	text := strings.Join(fields, " ")
	if checkCron(text) != nil {
		fields[2] = "1"
		text = strings.Join(fields, " ")
	}
	return Recur{Cron: text}, func(w time.Time) bool { return cronMatches(fields, w) }
}

func anyField(t *rapid.T, f cronField) string {
	number := func(least int, what string) (int, string) {
		n := rapid.IntRange(least, f.max).Draw(t, what)
		if i := n - f.first; f.words != nil && i < len(f.words) && rapid.Bool().Draw(t, "as a word") {
			return n, f.words[i]
		}
		return n, strconv.Itoa(n)
	}
	if rapid.IntRange(0, 2).Draw(t, "any") == 0 {
		return "*"
	}
	var items []string
	for range rapid.IntRange(1, 3).Draw(t, "items") {
		item := "*"
		if n, from := number(f.min, "from"); rapid.IntRange(0, 3).Draw(t, "form") > 0 {
			item = from
			if rapid.Bool().Draw(t, "range") {
				_, to := number(n, "to")
				if _, isWord := slices.BinarySearch(f.words, to); f.words == nil || !isWord {
					item += "-" + to
				}
			}
		}
		if rapid.Bool().Draw(t, "step") && (item == "*" || strings.Contains(item, "-")) {
			item += "/" + strconv.Itoa(rapid.IntRange(1, f.max).Draw(t, "every"))
		}
		items = append(items, item)
	}
	return strings.Join(items, ",")
}

// cronMatches is crontab(5), said another way than the code does.
func cronMatches(fields []string, w time.Time) bool {
	values := []int{w.Minute(), w.Hour(), w.Day(), int(w.Month()), int(w.Weekday())}
	var hit [5]bool
	for i, f := range cronFields {
		for _, item := range strings.Split(fields[i], ",") {
			span, step, _ := strings.Cut(item, "/")
			every, err := strconv.Atoi(step)
			if err != nil {
				every = 1
			}
			from, to, ranged := strings.Cut(span, "-")
			a, ok := f.number(from)
			b := a
			switch {
			case !ok:
				a, b = f.min, f.max
			case ranged:
				b, _ = f.number(to)
			}
			for n := a; n <= b; n += every {
				hit[i] = hit[i] || n == values[i] || i == 4 && n == 7 && values[i] == 0
			}
		}
	}
	day := hit[2] || hit[4]
	if fields[2][0] == '*' || fields[4][0] == '*' {
		day = hit[2] && hit[4]
	}
	return hit[0] && hit[1] && hit[3] && day
}

var oddZones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/Sao_Paulo", "Africa/Casablanca", "Antarctica/Troll"}

// near draws a time, often one near a change of the clock.
func near(t *rapid.T, loc *time.Location) time.Time {
	v := time.Unix(rapid.Int64Range(1293840000, 1956528000).Draw(t, "at"), 0) // 2011 to 2031
	if _, end := v.In(loc).ZoneBounds(); !end.IsZero() && rapid.Bool().Draw(t, "near a change") {
		v = end.Add(time.Duration(rapid.Int64Range(-3*3600, 3*3600).Draw(t, "beside it")) * time.Second)
	}
	return v.UTC()
}

// Beside a clock that is watched minute by minute: a rule fires once for each time that the clock shows for the first
// time, or is set over; one of any hour whenever the clock shows it.
func TestRecurrenceIsTheWatchedClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(oddZones).Draw(t, "zone")
		loc, _ := time.LoadLocation(zone)
		rule, matches := anyRule(t)
		r := recurrence(t, rule, zone)
		from := near(t, loc).Truncate(time.Minute)
		const hours = 60
		var fired []time.Time
		high := wall(from.Add(-26 * time.Hour).In(loc))
		for i := from.Add(-26 * time.Hour); i.Before(from.Add(hours * time.Hour)); i = i.Add(time.Minute) {
			shown := wall(i.In(loc))
			fires := r.hourly && matches(shown)
			for ; !r.hourly && high.Before(shown); fires = fires || matches(high) {
				high = high.Add(time.Minute)
			}
			if fires && !i.Before(from) {
				fired = append(fired, i)
			}
		}
		got := []time.Time{}
		for i := r.Next(from.Add(-1)); !i.IsZero() && i.Before(from.Add(hours*time.Hour)); i = r.Next(i) {
			got = append(got, i)
			if last := r.Last(i.Add(time.Second)); !last.Equal(i) {
				t.Fatalf("%+v in %s: the last at %s is %s", rule, zone, i, last)
			}
		}
		if !slices.EqualFunc(fired, got, time.Time.Equal) {
			t.Fatalf("%+v in %s from %s:\n got %v\nwant %v", rule, zone, from, got, fired)
		}
	})
}

// The laws that schedules rest on, with windows: the last is not after now, the next is, nothing is between them, both
// are open, neither ever goes back, and what was missed is made up for once.
func TestRecurrenceLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(oddZones).Draw(t, "zone")
		rule, _ := anyRule(t)
		if rapid.Bool().Draw(t, "every") {
			rule = Recur{Every: Duration(rapid.Int64Range(1, 40*24*3600).Draw(t, "seconds")) * Duration(time.Second)}
		}
		if rapid.Bool().Draw(t, "windowed") {
			from := rapid.IntRange(0, 47).Draw(t, "window from")
			to := (from + rapid.IntRange(1, 47).Draw(t, "window length")) % 48
			rule.Window = fmt.Sprintf("%02d:%02d-%02d:%02d", from/2, from%2*30, to/2, to%2*30)
		}
		r := recurrence(t, rule, zone)
		now := near(t, r.loc)
		last, next := r.Last(now), r.Next(now)
		if last.IsZero() || next.IsZero() {
			return // 31 April
		}
		switch {
		case last.After(now), !next.After(now):
			t.Fatalf("%+v in %s at %s: last %s, next %s", rule, zone, now, last, next)
		case !r.Next(last).Equal(next), !r.Last(next.Add(-1)).Equal(last), !r.Last(next).Equal(next), !r.Last(last).Equal(last):
			t.Fatalf("%+v in %s at %s: last %s (its next %s), next %s (its last %s)", rule, zone, now, last, r.Next(last), next, r.Last(next.Add(-1)))
		case !r.Open(last), !r.Open(next):
			t.Fatalf("%+v in %s: %s or %s is outside the window", rule, zone, last, next)
		}
		later := now.Add(time.Duration(rapid.Int64Range(0, 90*24*3600).Draw(t, "later")) * time.Second)
		if r.Last(later).Before(last) || r.Next(later).Before(next) {
			t.Fatalf("%+v in %s: goes back between %s and %s", rule, zone, now, later)
		}
		done := near(t, r.loc)
		when := r.When(done, now)
		if when.Before(now) || !r.Due(done, when) || r.Due(done, now) != when.Equal(now) || r.Due(when, when) {
			t.Fatalf("%+v in %s: done %s, now %s, due %s", rule, zone, done, now, when)
		}
	})
}

func BenchmarkRecurrence(b *testing.B) {
	for _, rule := range []Recur{{Monthly: "1 03:00"}, {Cron: "*/5 * * * *"}, {Cron: "0 0 29 2 *"}, {Every: Duration(time.Second), Window: "22:00-06:00"}} {
		r := recurrence(b, rule, "Europe/Berlin")
		now := time.Unix(1795500000, 0)
		b.Run(strings.ReplaceAll(fmt.Sprint(rule.Monthly, rule.Cron, rule.Window), " ", "_"), func(b *testing.B) {
			for range b.N {
				r.Due(now, now)
			}
		})
	}
}
