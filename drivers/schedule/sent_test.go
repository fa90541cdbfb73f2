package schedule

import (
	"slices"
	"testing"

	"github.com/dplaneos/dplane/drivers/retention"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// What a replication excludes, and what is below that, is not sent, and so pruned as any other.
func TestSent(t *testing.T) {
	end := func(name string) spec.End { return spec.End{Dataset: spec.DatasetName(name)} }
	for _, c := range []struct {
		name string
		r    spec.Replication
		sent bool
	}{
		{"tank/home", spec.Replication{Source: end("tank/home")}, true},
		{"tank/home/anna", spec.Replication{Source: end("tank/home")}, false},
		{"tank/home/anna", spec.Replication{Source: end("tank/home"), Recursive: true}, true},
		{"tank/homes", spec.Replication{Source: end("tank/home"), Recursive: true}, false},
		{"tank/home/anna/cache", spec.Replication{Source: end("tank/home"), Recursive: true, Exclude: []string{"tank/home/*/cache"}}, false},
		{"tank/home/anna/cache/x", spec.Replication{Source: end("tank/home"), Recursive: true, Exclude: []string{"tank/home/*/cache"}}, false},
		{"tank/home/anna", spec.Replication{Source: end("tank/home"), Recursive: true, Exclude: []string{"tank/home/*/cache"}}, true},
		{"tank/home", spec.Replication{Source: end("tank/home"), Recursive: true, Exclude: []string{"tank/**"}}, false},
		{"tank/home", spec.Replication{Source: spec.End{Remote: "b", Dataset: "tank/home"}}, false},
	} {
		want := &spec.Spec{Replications: map[string]*spec.Replication{"r": &c.r}}
		if _, unknown := retention.Needed(want, &state.Observed{}, c.name, ""); (unknown != "") != c.sent {
			t.Errorf("%s with %+v: sent: %t", c.name, c.r, !c.sent)
		}
	}
}

// What a target needs survives pruning; where that can't be known nothing is pruned.
func TestNeededByTarget(t *testing.T) {
	had := &state.Replicated{Common: map[string]state.Common{"g": {GUID: "2"}}}
	pair := func(p state.Pair) []state.Pair {
		p.Source.GUID = "g"
		return []state.Pair{{Source: state.End{GUID: "other"}, Common: "1"}, p}
	}
	there := &state.End{}
	for name, c := range map[string]struct {
		seen *state.Replication
		goes []string
	}{
		"nothing is known":                  {nil, nil},
		"away, and nothing is remembered":   {&state.Replication{Unseen: "no route"}, nil},
		"away, and it is remembered":        {&state.Replication{Unseen: "no route", Remembered: had}, []string{"1"}},
		"under way for the first time":      {&state.Replication{Running: true}, nil},
		"under way":                         {&state.Replication{Running: true, Remembered: had}, []string{"1"}},
		"the target has one":                {&state.Replication{Pairs: pair(state.Pair{Target: there, Common: "1"})}, []string{"2"}},
		"the target has one with a mark":    {&state.Replication{Pairs: pair(state.Pair{Target: there, Common: "1", Marked: true}), Remembered: had}, []string{"1", "2"}},
		"it was never sent":                 {&state.Replication{Pairs: pair(state.Pair{})}, []string{"1", "2"}},
		"the target is gone, and had one":   {&state.Replication{Pairs: pair(state.Pair{}), Remembered: had}, []string{"1"}},
		"they have nothing in common now":   {&state.Replication{Pairs: pair(state.Pair{Target: there}), Remembered: had}, []string{"1"}},
		"a dataset that was made just now":  {&state.Replication{}, []string{"1", "2"}},
		"the target is ahead of what stays": {&state.Replication{Pairs: pair(state.Pair{Target: there, Common: "9"})}, []string{"1", "2"}},
	} {
		s := &spec.Schedule{Name: "s", Keep: map[string]int{"hourly": 1}, At: "00:00", Weekday: "sunday", Monthday: 1, Month: "january", MaxPrune: 100}
		p, err := retention.NewPolicy(s, "UTC")
		if err != nil {
			t.Fatal(err)
		}
		d := &covered{Dataset: &state.Dataset{Name: "tank/a", GUID: "g"}, Cover: spec.Cover{Schedule: s}, policy: p, list: listOf("a,1,1 b,2,2 c,3,3"), mem: &state.Taken{Policy: "p", Before: "p"}}
		for _, x := range d.list {
			d.mem.Snapshots = append(d.mem.Snapshots, state.TakenSnapshot{Name: x.Name, GUID: x.GUID, TXG: x.TXG, Creation: x.Creation})
		}
		v := &view{
			Want: &spec.Spec{Replications: map[string]*spec.Replication{"r": {Source: spec.End{Dataset: "tank"}, Recursive: true}}},
			Have: &state.Observed{Replications: map[string]*state.Replication{"r": c.seen}}, now: d.list[2].Creation,
		}
		var goes []string
		x := v.decide(d)
		for _, s := range x.goes {
			goes = append(goes, s.GUID)
		}
		if !slices.Equal(goes, c.goes) || (x.unknown != "") != (c.goes == nil) {
			t.Errorf("%s: %v go, want %v (%s)", name, goes, c.goes, x.unknown)
		}
	}
}
