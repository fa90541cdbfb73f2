package retention

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse("2006-01-02 15:04 -0700", s)
	if err != nil {
		t.Fatal(err)
	}
	return v.UTC()
}

// policy is of a schedule with the defaults and these counts.
func policy(t testing.TB, zone string, keep map[string]int) *Policy {
	t.Helper()
	s := &spec.Schedule{Name: "test", Keep: keep, FrequentPeriod: spec.Duration(15 * time.Minute), At: "00:00", Weekday: "sunday", Monthday: 1, Month: "january"}
	p, err := NewPolicy(s, zone)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func snaps(t testing.TB, times ...string) (list []state.Snapshot) {
	for i, s := range times {
		list = append(list, state.Snapshot{Name: fmt.Sprintf("s%d", i), GUID: fmt.Sprint(i + 1), Creation: at(t, s)})
	}
	return list
}

// kept are the names that stay.
func kept(verdicts []Verdict) string {
	var names []string
	for _, v := range verdicts {
		if v.Keep {
			names = append(names, v.Name)
		}
	}
	return strings.Join(names, " ")
}

func TestRetain(t *testing.T) {
	const now = "2026-11-24 12:30 +0000"
	for _, c := range []struct {
		name, zone string
		keep       map[string]int
		times      []string
		want       string
	}{
		{"the first of each of the newest hours", "UTC", map[string]int{"hourly": 2},
			[]string{"2026-11-24 10:00 +0000", "2026-11-24 11:00 +0000", "2026-11-24 11:30 +0000", "2026-11-24 12:00 +0000"}, "s1 s3"},
		{"hours without any don't count", "UTC", map[string]int{"hourly": 2},
			[]string{"2026-11-20 10:00 +0000", "2026-11-20 11:00 +0000", "2026-11-24 12:00 +0000"}, "s1 s2"},
		{"one fills several periods", "UTC", map[string]int{"hourly": 1, "daily": 2},
			[]string{"2026-11-23 00:00 +0000", "2026-11-24 00:00 +0000", "2026-11-24 12:00 +0000"}, "s0 s1 s2"},
		{"the newest always stays", "UTC", map[string]int{"daily": 1},
			[]string{"2026-11-24 00:00 +0000", "2026-11-24 10:00 +0000", "2026-11-24 11:00 +0000"}, "s0 s2"},
		{"from the future", "UTC", map[string]int{"daily": 1},
			[]string{"2036-01-01 00:00 +0000", "2026-11-23 00:00 +0000", "2026-11-24 00:00 +0000"}, "s2 s0"},
		{"a day begins in the zone", "Asia/Kathmandu", map[string]int{"daily": 2},
			[]string{"2026-11-23 18:00 +0000", "2026-11-23 18:15 +0000", "2026-11-24 12:00 +0000"}, "s0 s1 s2"},
		{"an hour that comes twice is two", "Europe/Berlin", map[string]int{"hourly": 9},
			[]string{"2026-10-25 02:00 +0200", "2026-10-25 02:30 +0200", "2026-10-25 02:00 +0100", "2026-10-25 02:59 +0100"}, "s0 s2 s3"},
		{"a period that is counted as none", "UTC", map[string]int{"hourly": 0, "daily": 1},
			[]string{"2026-11-24 10:00 +0000", "2026-11-24 11:00 +0000", "2026-11-24 12:00 +0000"}, "s0 s2"},
		{"none", "UTC", map[string]int{"daily": 1}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := policy(t, c.zone, c.keep).Retain(snaps(t, c.times...), at(t, now))
			if kept(got) != c.want {
				t.Errorf("kept %q, want %q\n%+v", kept(got), c.want, got)
			}
			for _, v := range got {
				if len(v.Reasons) == 0 {
					t.Errorf("%s: no reason", v.Name)
				}
			}
		})
	}
}

func TestGoes(t *testing.T) {
	p := policy(t, "UTC", map[string]int{"hourly": 3, "daily": 1})
	got := p.Foresee(snaps(t, "2026-11-24 00:00 +0000", "2026-11-24 11:00 +0000", "2026-11-24 12:00 +0000"), at(t, "2026-11-24 12:30 +0000"))
	for i, want := range []string{"2026-11-25 00:00 +0000", "2026-11-24 14:00 +0000", "2026-11-24 15:00 +0000"} {
		if !got[i].Goes.Equal(at(t, want)) {
			t.Errorf("%s goes at %s, want %s", got[i].Name, got[i].Goes, want)
		}
	}
}

func TestDue(t *testing.T) {
	p := policy(t, "Europe/Berlin", map[string]int{"daily": 1, "weekly": 1})
	now := at(t, "2026-11-24 12:30 +0100")
	for _, c := range []struct{ newest, want string }{
		{"", "2026-11-24 12:30 +0100"},
		{"2026-11-23 23:59 +0100", "2026-11-24 12:30 +0100"}, // one for all that the machine slept over
		{"2026-11-24 00:00 +0100", "2026-11-25 00:00 +0100"},
		{"2036-11-24 00:00 +0100", "2026-11-24 12:30 +0100"},
	} {
		var own []state.Snapshot
		if c.newest != "" {
			own = snaps(t, c.newest)
		}
		if got := p.Due(own, now); !got.Equal(at(t, c.want)) {
			t.Errorf("after %q due at %s, want %s", c.newest, got, c.want)
		}
	}
}

// TestSimulatedYear: no boundary is missing, and none doubled, whatever the zone's clock does.
func TestSimulatedYear(t *testing.T) {
	every := map[string]int{"frequently": 4, "hourly": 24, "daily": 30, "weekly": 8, "monthly": 12, "yearly": 2}
	for _, c := range []struct {
		zone, from string
		taken      map[string]int
	}{
		{"UTC", "2026-01-01 00:00 +0000", map[string]int{"frequently": 35040, "hourly": 8760, "daily": 365, "weekly": 52, "monthly": 12, "yearly": 1}},
		{"Europe/Berlin", "2026-01-01 00:00 +0100", map[string]int{"frequently": 35040, "hourly": 8760, "daily": 365, "weekly": 52, "monthly": 12, "yearly": 1}},
		{"America/St_Johns", "2026-01-01 00:00 -0330", map[string]int{"frequently": 35040, "hourly": 8760, "daily": 365, "weekly": 52, "monthly": 12, "yearly": 1}},
		// Half an hour of one hour and half an hour of another are buckets of their own, twice a year.
		{"Australia/Lord_Howe", "2026-01-01 00:00 +1100", map[string]int{"frequently": 35040, "hourly": 8761, "daily": 365, "weekly": 52, "monthly": 12, "yearly": 1}},
		{"Asia/Kathmandu", "2026-01-01 00:00 +0545", map[string]int{"frequently": 35040, "hourly": 8760, "daily": 365, "weekly": 52, "monthly": 12, "yearly": 1}},
	} {
		got := policy(t, c.zone, every).Simulate(at(t, c.from), 365*24*time.Hour)
		for name, want := range c.taken {
			if got.Periods[name].Taken != want {
				t.Errorf("%s: %d %s taken, want %d", c.zone, got.Periods[name].Taken, name, want)
			}
		}
		if len(got.Periods) != len(every) {
			t.Errorf("%s: periods %v", c.zone, slices.Sorted(maps.Keys(got.Periods)))
		}
		for _, name := range []string{"frequently", "hourly", "daily", "weekly", "monthly"} {
			if got.Periods[name].Kept != every[name] {
				t.Errorf("%s: %d %s kept, want %d", c.zone, got.Periods[name].Kept, name, every[name])
			}
		}
	}
}

// What a decision costs does not follow the count, and what goes in thousands of years has no time.
func TestGoesNever(t *testing.T) {
	one := snaps(t, "2026-11-24 11:00 +0000")
	for keep, never := range map[string]map[string]int{"hourly": {"hourly": 2_000_000_000}, "yearly": {"yearly": 10_000}} {
		got := policy(t, "UTC", never).Foresee(one, at(t, "2026-11-24 12:30 +0000"))
		if !got[0].Keep || !got[0].Goes.IsZero() {
			t.Errorf("%s: %+v", keep, got[0])
		}
	}
	if got := policy(t, "UTC", map[string]int{"yearly": 3}).Foresee(one, at(t, "2026-11-24 12:30 +0000")); got[0].Goes.Year() != 2029 {
		t.Errorf("three years: %s", got[0].Goes)
	}
}
