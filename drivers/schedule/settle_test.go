package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/retention"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// listOf reads "name,guid,txg" of snapshots, with a * behind those that carry the mark themselves. They were taken an
// hour apart, the first at midnight.
func listOf(text string) (list []state.Snapshot) {
	for i, word := range strings.Fields(text) {
		f := strings.Split(strings.TrimSuffix(word, "*"), ",")
		s := state.Snapshot{Dataset: "tank/a", Name: f[0], GUID: f[1], Creation: time.Date(2026, 11, 24, i, 0, 0, 0, time.UTC), Marked: strings.HasSuffix(word, "*")}
		fmt.Sscan(f[2], &s.TXG)
		if s.Marked {
			s.Mark = "standard"
		}
		list = append(list, s)
	}
	return list
}

// rowsOf reads "name,guid,txg" of what is remembered, with a + behind what was taken and not seen yet.
func rowsOf(text string) (rows []state.TakenSnapshot) {
	for i, s := range listOf(text) {
		taken := strings.HasSuffix(strings.Fields(text)[i], "+")
		rows = append(rows, state.TakenSnapshot{Name: s.Name, GUID: s.GUID, TXG: s.TXG, Creation: s.Creation, Pending: s.TXG == 0 && !taken})
	}
	return rows
}

// Which of the snapshots of a dataset are dplane's.
func TestSettle(t *testing.T) {
	at := func(hour int) string { return fmt.Sprintf("dplane-20261124T%02d0000Z", hour) }
	for _, c := range []struct {
		name, list, remembered, elsewhere string
		received                          bool
		want                              string
	}{
		{name: "what is remembered", list: "x,1,10 y,2,20", remembered: "x,1,10", want: "x"},
		{name: "a name alone proves nothing", list: at(0) + ",1,10 " + at(1) + ",2,20", remembered: at(0) + ",1,10", want: at(0)},
		{name: "nothing is remembered: the mark tells", list: "x,1,10* y,2,20", want: "x"},
		{name: "nor does the mark where it came with a stream", list: "x,1,10* y,2,20", received: true},
		{name: "an older memory: mark and name", list: at(0) + ",1,10* " + at(1) + ",2,20*", remembered: at(0) + ",1,10", want: at(0) + " " + at(1)},
		{name: "somebody set a mark", list: at(0) + ",1,10* mine,2,20*", remembered: at(0) + ",1,10", want: at(0)},
		{name: "somebody set a mark, and the name of another time", list: at(0) + ",1,10* " + at(5) + ",2,20*", remembered: at(0) + ",1,10", want: at(0)},
		{name: "older than what is remembered", list: at(0) + ",1,10* " + at(1) + ",2,20*", remembered: at(1) + ",2,20", want: at(1)},
		{name: "a copy has the guid", list: "x,1,50", remembered: "", elsewhere: "x,1,10", want: ""},
		{name: "a promoted clone has both", list: "x,1,10", elsewhere: "x,1,10", want: "x"},
		{name: "it was written down, and taken", list: "x,1,10*", remembered: "x,,0", want: "x"},
		{name: "it was written down, and another has the name", list: "x,1,10", remembered: "x,,0"},
		{name: "it was taken", list: "x,1,10", remembered: "x,,0+", want: "x"},
		{name: "it was written down, and never taken", list: "y,1,10", remembered: "x,,0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &covered{Dataset: &state.Dataset{Name: "tank/a", GUID: "g"}, Cover: spec.Cover{Schedule: &spec.Schedule{}}, list: listOf(c.list), mem: &state.Taken{Snapshots: rowsOf(c.remembered)}}
			if c.received {
				d.Properties = map[string]state.Property{"atime": {Value: "off", Source: "received"}}
			}
			own := index(map[string]*state.Taken{"g": d.mem, "h": {Snapshots: rowsOf(c.elsewhere)}})
			now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
			next := d.settle(own, now)
			var got []string
			for _, s := range next.Snapshots {
				if s.Gone.IsZero() {
					got = append(got, s.Name)
				}
				if s.Pending || s.TXG == 0 {
					t.Errorf("%s is not settled", s.Name)
				}
			}
			if slices.Sort(got); strings.Join(got, " ") != c.want {
				t.Errorf("ours are %v, want %q", got, c.want)
			}
		})
	}
}

// What is gone is remembered for a while: a clone that was promoted takes it along, and may bring it back.
func TestGoneComesBack(t *testing.T) {
	d := &covered{Dataset: &state.Dataset{Name: "tank/a", GUID: "g"}, Cover: spec.Cover{Schedule: &spec.Schedule{}}, mem: &state.Taken{Snapshots: rowsOf("x,1,10")}}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	settle := func(list string) *state.Taken {
		d.list = listOf(list)
		d.mem = d.settle(index(map[string]*state.Taken{"g": d.mem}), now)
		return d.mem
	}
	if m := settle(""); len(m.Snapshots) != 1 || !m.Snapshots[0].Gone.Equal(now) {
		t.Fatalf("gone: %+v", m.Snapshots)
	}
	now = now.Add(24 * time.Hour)
	if m := settle("x,1,10"); len(m.Snapshots) != 1 || !m.Snapshots[0].Gone.IsZero() {
		t.Fatalf("back: %+v", m.Snapshots)
	}
	settle("")
	now = now.Add(keptGone)
	if m := settle(""); len(m.Snapshots) != 0 {
		t.Errorf("for ever: %+v", m.Snapshots)
	}
}

// What keeps a dataset from being pruned without a person's word.
func TestHold(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC)
	hours := func(txg int, all ...time.Time) (list []state.Snapshot) {
		for i, at := range all {
			list = append(list, state.Snapshot{Dataset: "tank/a", Name: fmt.Sprint("s", i), GUID: fmt.Sprint(i + 1), TXG: uint64(txg + i), Creation: at})
		}
		return list
	}
	h := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	for _, c := range []struct {
		name   string
		list   []state.Snapshot
		clock  string
		before string
		want   string
	}{
		{"as ever", hours(1, h(-3), h(-2), h(-1), h(0)), "", "", ""},
		{"the clock is not synchronised", hours(1, h(-3), h(-2), h(-1), h(0)), state.Unsynchronised, "", "not synchronised"},
		{"it was set back", hours(1, h(-3), h(-1), h(-2), h(0)), "", "", "set back"},
		{"it was set back, and what is wrong is yet to come", hours(1, h(-3), h(-2), h(5), h(-1), h(0)), "", "", ""},
		{"a leap", hours(1, h(-24*365*3), h(-24*365*3+1), h(-2), h(-1), h(0)), "", "", "nothing tells that it is right"},
		{"a leap that a time service tells of", hours(1, h(-24*365*3), h(-2), h(-1), h(0)), state.Synchronised, "", ""},
		{"a leap long ago", hours(1, h(-24*365*3), h(-24*60), h(-24*59), h(-2), h(-1), h(0)), "", "", ""},
		{"half of them", hours(1, h(-3), h(-2), h(-1), h(0)), "", `{"Keep":{"hourly":4},"FrequentPeriod":0,"At":"00:00","Weekday":"sunday","Monthday":1,"Month":"january","Timezone":"UTC"}`, ""},
		{"more than half", hours(1, h(-4), h(-3), h(-2), h(-1), h(0)), "", `{"Keep":{"hourly":5},"FrequentPeriod":0,"At":"00:00","Weekday":"sunday","Monthday":1,"Month":"january","Timezone":"UTC"}`, "more than maxPrune"},
		{"more than half, and kept too long already", hours(1, h(-4), h(-3), h(-2), h(-1), h(0)), "", `{"Keep":{"hourly":2},"FrequentPeriod":0,"At":"00:00","Weekday":"sunday","Monthday":1,"Month":"january","Timezone":"UTC"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &spec.Schedule{Name: "s", Keep: map[string]int{"hourly": 2}, At: "00:00", Weekday: "sunday", Monthday: 1, Month: "january", MaxPrune: 50}
			p, err := retention.NewPolicy(s, "UTC")
			if err != nil {
				t.Fatal(err)
			}
			d := &covered{Dataset: &state.Dataset{Name: "tank/a", GUID: "g"}, Cover: spec.Cover{Schedule: s}, policy: p, list: c.list, mem: &state.Taken{Policy: "now", Before: "now"}}
			for _, x := range c.list {
				d.mem.Snapshots = append(d.mem.Snapshots, state.TakenSnapshot{Name: x.Name, GUID: x.GUID, TXG: x.TXG, Creation: x.Creation})
			}
			if c.before != "" {
				d.mem.Before = c.before
			}
			v := &view{Want: &spec.Spec{}, Have: &state.Observed{Clock: c.clock}, now: now}
			x := v.decide(d)
			if len(x.goes) == 0 {
				t.Fatal("nothing goes")
			}
			if why := cmp.Or(x.hold, x.tooMany); why != "" && c.want == "" || !strings.Contains(why, c.want) {
				t.Errorf("held: %q, want %q", why, c.want)
			}
		})
	}
}

// One that is kept until a time that is over, and that can't go since it is the newest, is not listed again and again.
func TestExpiredNewest(t *testing.T) {
	list := listOf("a,1,1 b,2,2")
	c := &covered{Dataset: &state.Dataset{Name: "tank/a", GUID: "g"}, list: list, mem: &state.Taken{}}
	for _, s := range list {
		c.mem.Snapshots = append(c.mem.Snapshots, state.TakenSnapshot{Name: s.Name, GUID: s.GUID, TXG: s.TXG, Creation: s.Creation})
	}
	now := list[1].Creation.Add(time.Hour)
	for i, want := range []bool{true, false} {
		c.mem.Snapshots[i].Expires = now.Add(-time.Minute)
		if c.mem.Snapshots[i].Stays = false; !c.expired(now) {
			t.Fatal("not expired before it was listed")
		}
		c.mem = c.settle(index(map[string]*state.Taken{"g": c.mem}), now)
		if got := c.expired(now); got != want {
			t.Errorf("snapshot %d: listed again: %v, want %v", i, got, want)
		}
		c.mem.Snapshots[i].Expires = time.Time{}
	}
}
