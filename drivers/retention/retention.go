// Package retention decides which snapshots stay, of those that a schedule took or a target received, and what keeps one
// whatever is counted.
//
// It is pure, and must never look at whose a snapshot is: who asks gives it only what it may let go.
package retention

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Policy is what a schedule keeps, with its periods in their zone.
type Policy struct {
	periods []period // those that are counted, shortest first
	zone    *time.Location
}

type period struct {
	name  string
	count int
	*spec.Calendar
}

// NewPolicy is the schedule's in its own zone, or in this one where it names none.
func NewPolicy(s *spec.Schedule, zone string) (*Policy, error) {
	calendar, err := s.Calendar(zone)
	if err != nil {
		return nil, err
	}
	p := &Policy{zone: calendar.Zone()}
	for _, name := range s.Counted() {
		p.periods = append(p.periods, period{name, s.Keep[name], calendar})
	}
	return p, nil
}

// Zone is the zone of its periods.
func (p *Policy) Zone() *time.Location { return p.zone }

func (p period) start(t time.Time) time.Time { return p.Start(p.name, t) }
func (p period) next(t time.Time) time.Time  { return p.Next(p.name, t) }

// Verdict is what becomes of a snapshot, and why.
type Verdict struct {
	state.Snapshot
	Keep    bool
	Reasons []string  // in the words of the operator
	Goes    time.Time // when it is pruned if all that is due is taken; zero where nothing tells
}

// bucket is one period that has any snapshot. Its first one fills it.
type bucket struct {
	start time.Time
	first int // of the list
}

// Retain decides about the snapshots of one dataset that dplane took. Of each period the newest buckets that have
// any snapshot are kept, as many as are counted, each by its first snapshot: what was decided when a snapshot was
// taken stays so, and how often it is decided changes nothing. A snapshot dated after now is kept and fills no
// bucket. The verdicts are in the order of creation, then name; when something goes they leave open.
func (p *Policy) Retain(own []state.Snapshot, now time.Time) []Verdict {
	return p.verdicts(own, now, false)
}

// Foresee is Retain, and tells of what is kept when it goes, if a snapshot is taken whenever one is due from now on.
func (p *Policy) Foresee(own []state.Snapshot, now time.Time) []Verdict {
	all := p.verdicts(own, now, true)
	for i := range all {
		if all[i].Goes.Equal(forever) {
			all[i].Goes = time.Time{}
		}
	}
	return all
}

func (p *Policy) verdicts(own []state.Snapshot, now time.Time, ahead bool) []Verdict {
	list, past := ordered(own, now)
	out := make([]Verdict, len(list))
	for i, s := range list {
		out[i].Snapshot = s
		if i >= past {
			out[i].Keep, out[i].Reasons = true, []string{"dated in the future: kept, and fills no bucket"}
		}
	}
	for _, per := range p.periods {
		per.retain(out[:past], now, p.zone, ahead)
	}
	if past > 0 {
		if last := &out[past-1]; !last.Keep {
			last.Keep, last.Reasons = true, []string{"the newest snapshot is never pruned"}
			if ahead {
				last.Goes = p.Due(own, now)
			}
		}
	}
	return out
}

// ordered sorts by creation, then name, and tells how many are not dated after now.
func ordered(own []state.Snapshot, now time.Time) ([]state.Snapshot, int) {
	list := slices.SortedFunc(slices.Values(own), func(a, b state.Snapshot) int {
		return cmp.Or(a.Creation.Compare(b.Creation), cmp.Compare(a.Name, b.Name))
	})
	n := slices.IndexFunc(list, func(s state.Snapshot) bool { return s.Creation.After(now) })
	if n < 0 {
		n = len(list)
	}
	return list, n
}

// retain adds what this period says of the snapshots, none of which is dated in the future.
func (p period) retain(list []Verdict, now time.Time, zone *time.Location, ahead bool) {
	buckets := p.buckets(list)
	goes := make([]time.Time, min(p.count, len(buckets)))
	if ahead {
		goes = p.following(buckets, now)
	}
	gone := max(0, len(buckets)-p.count)
	for n, b := range buckets {
		end := len(list)
		if n+1 < len(buckets) {
			end = buckets[n+1].first
		}
		when := b.start.In(zone).Format("2006-01-02 15:04 -0700")
		for i := b.first; i < end; i++ {
			v := &list[i]
			switch {
			case n < gone:
				v.reason(fmt.Sprintf("%s %s: older than the newest %d", p.name, when, p.count))
			case i > b.first:
				v.reason(fmt.Sprintf("%s %s: %s came first", p.name, when, list[b.first].Name))
			default:
				v.keep(fmt.Sprintf("%s %s (%d of %d)", p.name, when, len(buckets)-n, p.count), goes[n-gone])
			}
		}
	}
}

// keep makes it kept until then; why others would let it go is of no interest any more.
func (v *Verdict) keep(why string, until time.Time) {
	if !v.Keep {
		v.Keep, v.Reasons = true, nil
	}
	v.Reasons = append(v.Reasons, why)
	if until.After(v.Goes) {
		v.Goes = until
	}
}

// reason is why it goes.
func (v *Verdict) reason(why string) {
	if !v.Keep {
		v.Reasons = append(v.Reasons, why)
	}
}

// buckets are those that have any of these snapshots, oldest first.
func (p period) buckets(list []Verdict) (all []bucket) {
	var end time.Time
	for i, v := range list {
		if i == 0 || !v.Creation.Before(end) {
			all = append(all, bucket{p.start(v.Creation), i})
			end = p.next(v.Creation)
		}
	}
	return all
}

// forever is later than any time that is told: so far ahead nobody looks, and no document can say it.
var forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// farthest is how many periods are looked ahead.
const farthest = 100_000

// following tells for each of the buckets that are kept when it will be one too old, if a snapshot is taken
// whenever one is due from now on.
func (p period) following(buckets []bucket, now time.Time) []time.Time {
	kept := min(p.count, len(buckets))
	if kept == 0 {
		return nil
	}
	out := slices.Repeat([]time.Time{forever}, kept)
	at := p.due(buckets[len(buckets)-1].start, now)
	for n := range p.count {
		if n == farthest || !at.Before(forever) {
			break
		}
		if i := n - (p.count - kept); i >= 0 {
			out[i] = at
		}
		at = p.next(at)
	}
	return out
}

// due is when the next snapshot of the period is to be taken, where the newest one is of the bucket that began then.
func (p period) due(newest, now time.Time) time.Time {
	if p.start(now).After(newest) {
		return now
	}
	return p.next(now)
}

// Due is when the next snapshot is to be taken: now, where the bucket of now has none of any period that is counted.
// Zero where nothing is ever due.
func (p *Policy) Due(own []state.Snapshot, now time.Time) time.Time {
	var newest time.Time
	for _, s := range own {
		if !s.Creation.After(now) && s.Creation.After(newest) {
			newest = s.Creation
		}
	}
	return p.DueAfter(newest, now)
}

// DueAfter is Due where the newest snapshot that is not dated after now is of that time; zero: there is none.
func (p *Policy) DueAfter(newest, now time.Time) (next time.Time) {
	for _, per := range p.periods {
		var start time.Time
		if !newest.IsZero() {
			start = per.start(newest)
		}
		if due := per.due(start, now); next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return next
}

// Boundary is when the newest period of all that are counted began.
func (p *Policy) Boundary(now time.Time) (at time.Time) {
	for _, per := range p.periods {
		if s := per.start(now); s.After(at) {
			at = s
		}
	}
	return at
}
