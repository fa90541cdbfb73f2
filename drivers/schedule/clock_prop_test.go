package schedule

import (
	"fmt"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/retention"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"pgregory.net/rapid"
)

var year2026 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func anyPolicy(t *rapid.T) (*spec.Schedule, *retention.Policy) {
	s := &spec.Schedule{
		Keep:           map[string]int{"daily": 1},
		FrequentPeriod: spec.Duration(rapid.SampledFrom([]time.Duration{5 * time.Minute, 15 * time.Minute, 2 * time.Hour}).Draw(t, "frequentPeriod")),
		At:             rapid.SampledFrom([]string{"00:00", "02:30", "23:59"}).Draw(t, "at"),
		Weekday:        "sunday",
		Monthday:       rapid.IntRange(1, 31).Draw(t, "monthday"),
		Month:          "october",
		Timezone:       rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "Australia/Lord_Howe"}).Draw(t, "zone"),
	}
	for _, name := range []string{"frequently", "hourly", "daily", "weekly", "monthly", "yearly"} {
		s.Keep[name] = rapid.IntRange(0, 5).Draw(t, name)
	}
	p, err := retention.NewPolicy(s, "UTC")
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

// pretended is a dataset that is taken and pruned as it is decided, without zfs.
type pretended struct {
	v   *view
	c   *covered
	txg uint64
}

func pretend(s *spec.Schedule, p *retention.Policy) *pretended {
	c := &covered{Dataset: &state.Dataset{Name: "tank/a", GUID: "g"}, Cover: spec.Cover{Schedule: s}, policy: p, mem: &state.Taken{Policy: "p", Before: "p"}}
	return &pretended{v: &view{Want: &spec.Spec{}, Have: &state.Observed{}}, c: c}
}

// tick takes what is due at that time and prunes what goes, unless it is held.
func (x *pretended) tick(now time.Time) (pruned []state.Snapshot) {
	x.v.now = now
	d := x.v.decide(x.c)
	if d.hold == "" {
		pruned = d.goes
	}
	gone := map[string]bool{}
	for _, s := range pruned {
		gone[s.GUID] = true
	}
	if d.take != "" {
		x.txg++
		s := state.Snapshot{Dataset: "tank/a", Name: d.take, GUID: fmt.Sprint(x.txg), TXG: x.txg, Creation: now}
		x.c.list = append(x.c.list, s)
	}
	var list []state.Snapshot
	x.c.mem.Snapshots = nil
	for _, s := range x.c.list {
		if !gone[s.GUID] {
			list = append(list, s)
			x.c.mem.Snapshots = append(x.c.mem.Snapshots, state.TakenSnapshot{Name: s.Name, GUID: s.GUID, TXG: s.TXG, Creation: s.Creation})
		}
	}
	x.c.list = list
	return pruned
}

// TestClockInTheFuture: whatever the policy, a day with the clock years ahead costs no snapshot that is true; what it
// leaves is kept, and fills no bucket once the clock is right again.
func TestClockInTheFuture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := anyPolicy(t)
		if len(s.Counted()) == 0 {
			return
		}
		s.MaxPrune = 50
		x := pretend(s, p)
		now := year2026
		for range rapid.IntRange(1, 60).Draw(t, "ticks") {
			now = now.Add(time.Duration(rapid.IntRange(1, 40*60).Draw(t, "minutes")) * time.Minute)
			x.tick(now)
		}
		truth := map[string]bool{}
		for _, s := range x.c.list {
			truth[s.GUID] = true
		}
		wrong := time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 300*24*60).Draw(t, "minute of 2036")) * time.Minute)
		for i := range 24 * 4 {
			for _, s := range x.tick(wrong.Add(time.Duration(i) * 15 * time.Minute)) {
				if truth[s.GUID] {
					t.Fatalf("%s was true, and went in 2036", s.Name)
				}
			}
		}
		dated := 0
		for _, s := range x.c.list {
			if s.Creation.Year() == 2036 {
				dated++
			}
		}
		for range 10 {
			now = now.Add(time.Duration(rapid.IntRange(1, 40*60).Draw(t, "minutes later")) * time.Minute)
			x.tick(now)
		}
		for _, s := range x.c.list {
			if s.Creation.Year() == 2036 {
				dated--
			}
		}
		if dated != 0 {
			t.Fatalf("%d of 2036 went", dated)
		}
	})
}

// TestDecidedTicks: whatever the policy, the clock and the outages, the newest is never pruned, a second tick at the same time
// does nothing, and no bucket of a period that is counted has two that were taken for it.
func TestDecidedTicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := anyPolicy(t)
		s.MaxPrune = 50
		x := pretend(s, p)
		now := year2026
		for range rapid.IntRange(1, 50).Draw(t, "ticks") {
			now = now.Add(time.Duration(rapid.IntRange(-3*60, 30*60).Draw(t, "minutes")) * time.Minute)
			newest := x.c.newest()
			before := len(x.c.list)
			for _, s := range x.tick(now) {
				if s.GUID == newest.GUID && len(x.c.list) == 0 {
					t.Fatal("the newest went")
				}
				if s.Creation.After(now) {
					t.Fatalf("%s of the future went", s.Name)
				}
			}
			if before > 0 && len(x.c.list) == 0 {
				t.Fatal("nothing is left")
			}
			list := fmt.Sprint(x.c.list)
			if gone := x.tick(now); len(gone) > 0 || fmt.Sprint(x.c.list) != list {
				t.Fatalf("a second tick at %s pruned %v, and left %v of %v", now, gone, x.c.list, list)
			}
		}
	})
}
