package retention

import "time"

// Simulation is what a policy did over a stretch of time.
type Simulation struct {
	Periods map[string]Tally
	Exist   int // snapshots at the end
	Most    int // snapshots that existed at once, the moment after one was taken
}

// Tally is what one period took and, at the end, keeps.
type Tally struct {
	Taken int // boundaries within the time
	Kept  int // buckets that are filled
}

// Simulate runs the policy from a time on, for this long, on a dataset that has no snapshot: at each boundary b,
// from <= b < from+length, one is taken, and then what is no longer kept is pruned. Nothing is caught up at the
// start. It counts as Retain does, without looking at all that exists each time.
func (p *Policy) Simulate(from time.Time, length time.Duration) Simulation {
	lines := make([]line, len(p.periods))
	for i, per := range p.periods {
		lines[i] = line{period: per, next: per.start(from)}
		if lines[i].next.Before(from) {
			lines[i].next = per.next(from)
		}
	}
	s := Simulation{Periods: map[string]Tally{}}
	alive := map[time.Time]int{} // by when it was taken: how many buckets it fills
	for end := from.Add(length); ; {
		at := earliest(lines)
		if at.IsZero() || !at.Before(end) {
			break
		}
		s.Most = max(s.Most, len(alive)+1)
		for i := range lines {
			lines[i].take(at, alive)
		}
	}
	for _, l := range lines {
		s.Periods[l.name] = Tally{l.taken, len(l.filled)}
	}
	s.Exist = len(alive)
	return s
}

// line is one period on its way through time.
type line struct {
	period
	next   time.Time // boundary
	taken  int
	filled []time.Time // when the snapshot was taken that fills a bucket, oldest first
}

// earliest is the next boundary of any; zero where there is none.
func earliest(lines []line) (at time.Time) {
	for _, l := range lines {
		if at.IsZero() || l.next.Before(at) {
			at = l.next
		}
	}
	return at
}

// take is what a snapshot of this time means for the period: it fills the bucket that begins with it, or the one that
// began before the time that is simulated.
func (l *line) take(at time.Time, alive map[time.Time]int) {
	boundary := at.Equal(l.next)
	if boundary {
		l.taken++
		l.next = l.period.next(at)
	}
	if !boundary && len(l.filled) > 0 {
		return
	}
	l.filled = append(l.filled, at)
	alive[at]++
	if len(l.filled) > l.count {
		oldest := l.filled[0]
		l.filled = l.filled[1:]
		if alive[oldest]--; alive[oldest] == 0 {
			delete(alive, oldest)
		}
	}
}
