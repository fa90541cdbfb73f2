package replication

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dplaneos/dplane/state"
	"pgregory.net/rapid"
)

// arrive is what zfs does with a leg, in a few lines: it needs what the leg begins with, and brings all that is between.
func arrive(t *rapid.T, source, target *state.End, l leg) *state.End {
	to := slices.IndexFunc(source.Snapshots, func(p state.Point) bool { return p.Name == l.To.Name })
	if l.From == "" {
		if target != nil {
			t.Fatalf("a full stream on top of %+v", target)
		}
		return &state.End{Snapshots: []state.Point{source.Snapshots[to]}}
	}
	list, kind := source.Snapshots, l.From[:1]
	if kind == "#" {
		list = source.Bookmarks
	}
	from := slices.IndexFunc(list, func(p state.Point) bool { return p.Name == l.From[1:] })
	if from < 0 {
		t.Fatalf("there is no %s", l.From)
	}
	if !slices.ContainsFunc(target.Snapshots, func(p state.Point) bool { return p.GUID == list[from].GUID }) {
		t.Fatalf("the target has not %s", l.From)
	}
	first := to
	if l.Between > 0 {
		if kind == "#" {
			t.Fatal("-I from a bookmark")
		}
		first = from + 1
		if to-from != l.Between+1 {
			t.Fatalf("%+v from %d to %d", l, from, to)
		}
	}
	next := &state.End{Snapshots: slices.Clone(target.Snapshots)}
	for _, p := range source.Snapshots[first : to+1] {
		p.TXG = uint64(len(next.Snapshots) + 1)
		next.Snapshots = append(next.Snapshots, p)
	}
	return next
}

// Whatever both ends have: the legs bring exactly what is wanted and newer than what is common, in order, and then nothing
// is left to do; where a leg breaks off, the rest is what was left.
func TestLegsLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := &state.End{}
		for i := range rapid.IntRange(0, 8).Draw(t, "points") {
			p := state.Point{Name: fmt.Sprint("s", i), GUID: fmt.Sprint(i), TXG: uint64(i*10 + 10)}
			kinds := rapid.IntRange(0, 2).Draw(t, "kind")
			if kinds != 1 {
				source.Snapshots = append(source.Snapshots, p)
			}
			if kinds != 0 {
				p.Name = fmt.Sprint("b", i)
				source.Bookmarks = append(source.Bookmarks, p)
			}
		}
		skip := rapid.SliceOfDistinct(rapid.IntRange(0, 8), rapid.ID[int]).Draw(t, "not wanted")
		wanted := func(p state.Point) bool {
			return !slices.ContainsFunc(skip, func(i int) bool { return p.GUID == fmt.Sprint(i) })
		}
		var target *state.End
		if n := rapid.IntRange(-1, 8).Draw(t, "already there"); n >= 0 {
			target = &state.End{Snapshots: []state.Point{{Name: "x", GUID: fmt.Sprint(n), TXG: 1}}}
		}
		j := judge(source, target, wanted, rapid.Bool().Draw(t, "raw"))
		if j.Diverged != nil {
			if common(source, target) != nil {
				t.Fatalf("diverged: %+v", j.Diverged)
			}
			return
		}
		var want []string
		for _, p := range source.Snapshots {
			if wanted(p) && (target == nil || p.TXG > j.Basis.TXG) {
				want = append(want, p.GUID)
			}
		}
		had := 0
		if target != nil {
			had = 1
		}
		for i, l := range j.Legs {
			target = arrive(t, source, target, l)
			if rest := judge(source, target, wanted, true); len(rest.Legs) != len(j.Legs)-i-1 || rest.Diverged != nil {
				t.Fatalf("after leg %d of %v: %v", i, j, rest)
			}
		}
		var got []string
		if target != nil {
			for _, p := range target.Snapshots[had:] {
				got = append(got, p.GUID)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v brought %v, want %v", j, got, want)
		}
	})
}
