package retention

import (
	"fmt"
	"math/rand"
	"reflect"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"pgregory.net/rapid"
)

var zones = []string{"UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"}

func anyPolicy(t *rapid.T) (*spec.Schedule, *Policy) {
	s := &spec.Schedule{
		Keep:           map[string]int{"daily": 1},
		FrequentPeriod: spec.Duration(rapid.SampledFrom([]time.Duration{5 * time.Minute, 15 * time.Minute, 20 * time.Minute, 2 * time.Hour}).Draw(t, "frequentPeriod")),
		At:             rapid.SampledFrom([]string{"00:00", "02:30", "23:59"}).Draw(t, "at"),
		Weekday:        rapid.SampledFrom([]string{"sunday", "wednesday"}).Draw(t, "weekday"),
		Monthday:       rapid.IntRange(1, 31).Draw(t, "monthday"),
		Month:          rapid.SampledFrom([]string{"january", "february", "october"}).Draw(t, "month"),
		Timezone:       rapid.SampledFrom(zones).Draw(t, "zone"),
	}
	for _, name := range []string{"frequently", "hourly", "daily", "weekly", "monthly", "yearly"} {
		s.Keep[name] = rapid.IntRange(0, 5).Draw(t, name)
	}
	return s, mustPolicy(t, s)
}

func mustPolicy(t *rapid.T, s *spec.Schedule) *Policy {
	p, err := NewPolicy(s, "UTC")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var year2026 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// anySnapshots are of two years, some of them close together, some of the future.
func anySnapshots(t *rapid.T) (list []state.Snapshot) {
	for i := range rapid.IntRange(0, 40).Draw(t, "snapshots") {
		when := year2026.Add(time.Duration(rapid.IntRange(0, 2*365*24*60).Draw(t, "minute")) * time.Minute)
		if len(list) > 0 && rapid.Bool().Draw(t, "near") {
			when = list[len(list)-1].Creation.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes later")) * time.Minute)
		}
		list = append(list, state.Snapshot{Name: fmt.Sprintf("s%02d", i), Creation: when})
	}
	return list
}

func survivors(verdicts []Verdict) (list []state.Snapshot) {
	for _, v := range verdicts {
		if v.Keep {
			list = append(list, v.Snapshot)
		}
	}
	return list
}

// TestRetainLaws: pruning is idempotent, asks for no order, keeps the newest and all of the future, and keeps more
// where more is counted.
func TestRetainLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := anyPolicy(t)
		own := anySnapshots(t)
		now := year2026.Add(time.Duration(rapid.IntRange(0, 2*365*24*60).Draw(t, "now")) * time.Minute)
		once := p.Retain(own, now)

		shuffled := append([]state.Snapshot(nil), own...)
		rand.New(rand.NewSource(int64(len(own)))).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := p.Retain(shuffled, now); !reflect.DeepEqual(once, again) {
			t.Fatalf("the order of the list matters:\n%v\n%v", once, again)
		}
		left := survivors(once)
		if again := survivors(p.Retain(left, now)); !reflect.DeepEqual(left, again) {
			t.Fatalf("a second pruning took more: %v, then %v", left, again)
		}
		later := now.Add(time.Duration(rapid.IntRange(0, 365*24*60).Draw(t, "later")) * time.Minute)
		if all, some := survivors(p.Retain(own, later)), survivors(p.Retain(left, later)); !reflect.DeepEqual(all, some) {
			t.Fatalf("how often it ran matters: %v, and %v where it ran before", all, some)
		}
		newest := -1
		for i, v := range once {
			if v.Creation.After(now) {
				if !v.Keep {
					t.Fatalf("%s of the future goes", v.Name)
				}
			} else {
				newest = i
			}
		}
		if newest >= 0 && !once[newest].Keep {
			t.Fatal("the newest goes")
		}
		more := *s
		more.Keep = map[string]int{}
		for name, n := range s.Keep {
			more.Keep[name] = n + rapid.IntRange(0, 2).Draw(t, "more "+name)
		}
		for i, v := range mustPolicy(t, &more).Retain(own, now) {
			if once[i].Keep && !v.Keep {
				t.Fatalf("%s goes where more is kept", v.Name)
			}
		}
	})
}

// TestSimulateIsRetain: the simulation is what taking at each boundary and pruning by Retain does.
func TestSimulateIsRetain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := anyPolicy(t)
		from := year2026.Add(time.Duration(rapid.IntRange(0, 365*24*60).Draw(t, "from")) * time.Minute)
		length := time.Duration(rapid.IntRange(1, 50).Draw(t, "hours")) * time.Hour
		var own []state.Snapshot
		taken, most := map[string]int{}, 0
		for now := from; now.Before(from.Add(length)); now = now.Add(time.Minute) {
			due := false
			for _, per := range p.periods {
				if per.start(now).Equal(now) {
					taken[per.name]++
					due = true
				}
			}
			if due {
				own = append(own, state.Snapshot{Name: now.Format(time.RFC3339), Creation: now})
				most = max(most, len(own))
				own = survivors(p.Retain(own, now))
			}
		}
		got := p.Simulate(from, length)
		for _, name := range s.Counted() {
			if got.Periods[name].Taken != taken[name] {
				t.Fatalf("%s: %d taken, want %d", name, got.Periods[name].Taken, taken[name])
			}
		}
		if got.Exist != len(own) || got.Most != most {
			t.Fatalf("%d exist and %d at most, want %d and %d", got.Exist, got.Most, len(own), most)
		}
	})
}
