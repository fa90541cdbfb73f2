package retention

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
	"pgregory.net/rapid"
)

// keeper takes and prunes as a schedule does at each tick. Creations are what its clock shows.
type keeper struct {
	p     *Policy
	own   []state.Snapshot
	taken int
}

func (k *keeper) take(now time.Time) bool {
	if due := k.p.Due(k.own, now); due.IsZero() || due.After(now) {
		return false
	}
	k.own = append(k.own, state.Snapshot{Name: fmt.Sprintf("s%04d", k.taken), Creation: now})
	k.taken++
	return true
}

func (k *keeper) prune(now time.Time) { k.own = survivors(k.p.Retain(k.own, now)) }

// newest is the latest creation that is not after now.
func (k *keeper) newest(now time.Time) (at time.Time) {
	for _, s := range k.own {
		if !s.Creation.After(now) && s.Creation.After(at) {
			at = s.Creation
		}
	}
	return at
}

// after are the names of those dated after now.
func (k *keeper) after(now time.Time) []string {
	list, n := ordered(k.own, now)
	return names(list[n:])
}

// names are those of the snapshots.
func names(list []state.Snapshot) (all []string) {
	for _, s := range list {
		all = append(all, s.Name)
	}
	return all
}

// clocks are the walls of the zones over two years, which many runs look at.
var clocks = sync.OnceValue(func() map[string]*wallClock {
	all := map[string]*wallClock{}
	for _, zone := range zones {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			panic(err)
		}
		all[zone] = newWallClock(year2026.AddDate(0, 0, -3), 700, loc)
	}
	return all
})

// anyStretch is a stretch of 150 days of the two years. What begins in its first days is not to be relied on.
func anyStretch(t *rapid.T, zone string) *wallClock {
	all, from := clocks()[zone], 1440*rapid.IntRange(0, 500).Draw(t, "day")
	return &wallClock{all.at(from), all.shown[from : from+150*1440], all.offset[from : from+150*1440]}
}

// anyTicks are minutes of a stretch, one to sixty apart, with up to 27 days without any now and then.
func anyTicks(t *rapid.T) (minutes []int) {
	at := 3*1440 + rapid.IntRange(0, 1440).Draw(t, "from")
	for range rapid.IntRange(1, 5).Draw(t, "runs") {
		step := rapid.SampledFrom([]int{1, 5, 7, 60}).Draw(t, "minutes between ticks")
		for range rapid.IntRange(1, 30).Draw(t, "ticks") {
			at += step
			minutes = append(minutes, at)
		}
		at += rapid.IntRange(0, 27*1440).Draw(t, "minutes without a tick")
	}
	return minutes
}

// TestTicks: whatever ticks are left out, at each one a snapshot is taken where the clock on the wall says that a
// period began since the last one, and one for all that was slept over. How often it is pruned, and in which order
// what exists is listed, changes neither that nor what is left; with higher counts, nothing less is left.
func TestTicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := anyPolicy(t)
		wall := anyStretch(t, s.Timezone)
		begins := wall.begins(t, s)
		more := *s
		more.Keep = map[string]int{}
		for _, name := range s.Counted() {
			more.Keep[name] = s.Keep[name] + rapid.IntRange(0, 2).Draw(t, "more "+name)
		}
		always, seldom, larger := &keeper{p: p}, &keeper{p: p}, &keeper{p: mustPolicy(t, &more)}
		last := -1
		var now time.Time
		for _, minute := range anyTicks(t) {
			now = wall.at(minute)
			want := len(p.periods) > 0 && (last < 0 || slices.ContainsFunc(begins[last+1:minute+1], p.counts))
			for _, k := range []*keeper{always, seldom, larger} {
				if got := k.take(now); got != want {
					t.Fatalf("%s: taken %v, want %v; the last one is of minute %d", now.In(p.zone), got, want, last)
				}
			}
			always.prune(now)
			if want {
				last = minute
				larger.prune(now)
				if always.take(now) {
					t.Fatalf("%s: a second one at one instant", now.In(p.zone))
				}
			}
			if rapid.IntRange(0, 9).Draw(t, "prune") == 0 {
				slices.Reverse(seldom.own)
				seldom.prune(now)
			}
			left := names(larger.own)
			for _, name := range names(always.own) {
				if !slices.Contains(left, name) {
					t.Fatalf("%s: %s is left, but not with higher counts", now, name)
				}
			}
		}
		seldom.prune(now)
		if a, b := names(always.own), names(seldom.own); !slices.Equal(a, b) {
			t.Fatalf("pruned at each tick: %v, now and then: %v", a, b)
		}
	})
}

// TestTicksOfASetClock: where the clock is set forward and back between ticks, at most one snapshot is taken at a
// tick, only where a period began since the newest that is not of the future, and pruning takes neither the newest
// nor one of the future, and nothing more when it is done again.
func TestTicksOfASetClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := anyPolicy(t)
		wall := anyStretch(t, s.Timezone)
		begins := wall.begins(t, s)
		k := &keeper{p: p}
		at := 70*1440 + rapid.IntRange(0, 1440).Draw(t, "from")
		for range rapid.IntRange(1, 60).Draw(t, "ticks") {
			at += rapid.IntRange(1, 20).Draw(t, "minutes")
			if rapid.IntRange(0, 9).Draw(t, "set") == 0 {
				at += rapid.IntRange(-20*1440, 20*1440).Draw(t, "by")
				at = min(max(4*1440, at), 140*1440)
			}
			now := wall.at(at)
			newest := k.newest(now)
			want := len(p.periods) > 0 && (newest.IsZero() || slices.ContainsFunc(begins[wall.minute(newest)+1:at+1], p.counts))
			if got := k.take(now); got != want {
				t.Fatalf("%s: taken %v, want %v; the newest is of %s", now, got, want, newest)
			}
			future := k.after(now)
			newest = k.newest(now)
			k.prune(now)
			if !k.newest(now).Equal(newest) || !slices.Equal(k.after(now), future) {
				t.Fatalf("%s: the newest of %s, or one of %v, is gone: %v", now, newest, future, k.own)
			}
			left := names(k.own)
			if k.prune(now); !slices.Equal(names(k.own), left) {
				t.Fatalf("%s: pruned twice: %v, then %v", now, left, names(k.own))
			}
		}
	})
}

// TestFutureIsAside: what a day with the clock far ahead took changes nothing about the true snapshots, once the clock
// is right: neither which are kept nor when the next is due. And a clock that is ahead makes nothing go by itself.
func TestFutureIsAside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, p := anyPolicy(t)
		now := year2026.AddDate(3, 0, 0)
		own := anySnapshots(t)
		kept := names(survivors(p.Retain(own, now)))
		wrong := now.AddDate(10, 0, rapid.IntRange(0, 400).Draw(t, "days ahead"))
		if ahead := names(survivors(p.Retain(own, wrong))); !slices.Equal(kept, ahead) {
			t.Fatalf("a clock that is ahead prunes: %v are left, of %v", ahead, kept)
		}
		all := slices.Clone(own)
		for i := range rapid.IntRange(1, 30).Draw(t, "taken ahead") {
			all = append(all, state.Snapshot{Name: fmt.Sprintf("w%02d", i), Creation: wrong.Add(time.Duration(i) * 50 * time.Minute)})
		}
		left := names(survivors(p.Retain(all, now)))
		if n := len(kept); !slices.Equal(left[:n], kept) || len(left) != n+len(all)-len(own) {
			t.Fatalf("with those of the future %v are left, want first %v", left, kept)
		}
		if with, without := p.Due(all, now), p.Due(own, now); !with.Equal(without) {
			t.Fatalf("due at %s, but for those of the future at %s", with, without)
		}
	})
}
