package retention

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Unasked is how long a retention that became smaller must stand before the loop prunes by it.
const Unasked = 10 * time.Minute

// FarApart is a stretch without a snapshot that a schedule does not have, and a machine that is switched off hardly:
// rather the clock was set.
func FarApart(s *spec.Schedule) time.Duration {
	if s.Keep[spec.Yearly] > 0 {
		return 400 * 24 * time.Hour
	}
	return 180 * 24 * time.Hour
}

// settled is how long the clock must have stood by its time before such a stretch is believed.
const settled = 30 * 24 * time.Hour

// Doubt says why the clock by which something goes may be wrong, so that nothing is pruned without a person's word; ""
// where nothing tells so. clock is what is known of it, list are all snapshots of the dataset that were dated by it, own
// those that are pruned by their age.
func Doubt(clock string, list, own []state.Snapshot, far time.Duration, now time.Time) string {
	if clock == state.Unsynchronised {
		return "the clock of this machine is not synchronised, so that what is old is not sure"
	}
	if a, b, back := Backwards(list, now); back {
		return fmt.Sprintf("the clock was set back: %s was taken after %s and is dated before it (zfs destroy of the one that is dated wrong ends this)", b, a)
	}
	if a, b := Leap(own, far, now); clock != state.Synchronised && !b.IsZero() {
		return fmt.Sprintf("the clock of this machine went from %s to %s with no snapshot between, and nothing tells that it is right", Moment(a), Moment(b))
	}
	return ""
}

// Backwards finds two snapshots of which the later one is dated before the other; what is dated in the future is told
// of as such.
func Backwards(list []state.Snapshot, now time.Time) (earlier, later string, found bool) {
	list = slices.SortedFunc(slices.Values(list), func(a, b state.Snapshot) int { return cmp.Compare(a.TXG, b.TXG) })
	var last state.Snapshot
	for _, s := range list {
		if s.Creation.After(now) {
			continue
		}
		if s.Creation.Before(last.Creation) {
			return last.Name, s.Name, true
		}
		last = s
	}
	return "", "", false
}

// Leap finds a stretch without a snapshot that is too long, as long as what comes after it is young.
func Leap(own []state.Snapshot, far time.Duration, now time.Time) (from, to time.Time) {
	list, n := ordered(own, now)
	times := []time.Time{}
	for _, s := range list[:n] {
		times = append(times, s.Creation)
	}
	times = append(times, now)
	for i := len(times) - 1; i > 0 && now.Sub(times[i]) < settled; i-- {
		if times[i].Sub(times[i-1]) > far {
			return times[i-1], times[i]
		}
	}
	return time.Time{}, time.Time{}
}

// Moment is a time in a sentence.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// Excess are those of what goes that stayed by the retention of before, of which this is the text; where that is none,
// all.
func Excess(before string, goes, then []state.Snapshot, now time.Time) []state.Snapshot {
	old := map[string]bool{}
	if s, err := spec.ParseRetention(before); err == nil {
		if p, err := NewPolicy(s, "UTC"); err == nil {
			for _, verdict := range p.Retain(then, now) {
				old[verdict.GUID] = !verdict.Keep
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(goes), func(s state.Snapshot) bool { return old[s.GUID] })
}

// Protects says what keeps a snapshot whatever the policy says, "" where nothing does. newest is the guid of the newest.
func Protects(s state.Snapshot, newest string) string {
	switch {
	case s.Holds > 0:
		return "it is held"
	case len(s.Clones) > 0:
		return "it has the clone " + strings.Join(s.Clones, ", ")
	case s.GUID == newest:
		return "the newest snapshot of a dataset is never pruned"
	}
	return ""
}
