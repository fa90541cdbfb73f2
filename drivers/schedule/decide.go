package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/retention"
	"github.com/dplaneos/dplane/state"
)

// decision is what is to be done with one dataset whose snapshots were listed.
type decision struct {
	due       time.Time // the next; now or before: one is to be taken
	take      string    // its name, "" where none is taken
	unwritten bool      // one is due, and left out since nothing was written
	own       []state.Snapshot
	verdicts  []retention.Verdict // of all that are there, and the one that is to be taken
	goes      []state.Snapshot    // oldest first
	hold      string              // why nothing is pruned without a person's word
	excess    []state.Snapshot    // of what goes those that would stay if less were not kept than before
	less      bool                // less is kept than before, of what goes or of what can't
	tooMany   string              // why these are not pruned without a person's word
	unknown   string              // why nothing goes since nobody knows what a target needs
}

// farApart is a stretch without a snapshot that the schedule does not have.
func (c *covered) farApart() time.Duration { return retention.FarApart(c.Schedule) }

// decide is pure: the policy, what is there and what is ours, and the time.
func (v *view) decide(c *covered) decision {
	x := decision{due: c.due(v.now)}
	ours := map[key]state.TakenSnapshot{}
	for _, s := range c.mem.Snapshots {
		if s.Gone.IsZero() && s.TXG > 0 {
			ours[key{s.GUID, s.TXG}] = s
		}
	}
	var bucketed, byHand []state.Snapshot
	for _, s := range c.list {
		row, ok := ours[key{s.GUID, s.TXG}]
		switch {
		case !ok:
		case row.Expires.IsZero():
			bucketed = append(bucketed, s)
		default:
			byHand = append(byHand, s)
			if !row.Expires.After(v.now) {
				x.goes = append(x.goes, s)
			}
		}
	}
	x.own = append(slices.Clone(bucketed), byHand...)
	isDue := !x.due.IsZero() && !x.due.After(v.now)
	if isDue && c.Schedule.SkipEmpty && !v.Have.Again && c.unwritten(bucketed) { // what was written since is not seen again
		isDue, x.unwritten = false, true
	}
	then, newest := bucketed, c.newest().GUID
	if isDue {
		x.take = c.freeName(c.Schedule.SnapshotName(v.now))
		if c.mem.Failed.IsZero() { // else it may fail again, and nothing goes for one that is not taken
			then = append(slices.Clone(bucketed), state.Snapshot{Dataset: c.Name, Name: x.take, Creation: v.now})
			newest = "" // that one is, and the others go only once it is there
		}
	}
	x.verdicts = c.policy.Retain(then, v.now)
	for _, verdict := range x.verdicts {
		if !verdict.Keep {
			x.goes = append(x.goes, verdict.Snapshot)
		}
	}
	x.less = len(c.excess(x.goes, then, v.now)) > 0
	need, unknown := retention.Needed(v.Want, v.Have, c.Name, c.GUID)
	x.goes = slices.DeleteFunc(x.goes, func(s state.Snapshot) bool { return need[s.GUID] != "" || retention.Protects(s, newest) != "" })
	if len(x.goes) > 0 && unknown != "" {
		x.goes, x.unknown = nil, unknown
	}
	slices.SortFunc(x.goes, func(a, b state.Snapshot) int { return cmp.Compare(a.TXG, b.TXG) })
	x.excess = c.excess(x.goes, then, v.now)
	if n := len(x.excess); n > 0 && n*100 > c.Schedule.MaxPrune*len(x.own) {
		x.tooMany = fmt.Sprintf("less is to be kept than before, and that would prune %d of %d at once, more than maxPrune (%d%%)", n, len(x.own), c.Schedule.MaxPrune)
	}
	x.hold = v.hold(c, x, slices.Concat(then, byHand))
	return x
}

// newest is the dataset's newest snapshot, whoever took it.
func (c *covered) newest() (last state.Snapshot) {
	for _, s := range c.list {
		if s.TXG >= last.TXG {
			last = s
		}
	}
	return last
}

// unwritten tells whether nothing was written since the newest of our own: what others took since may hold it.
func (c *covered) unwritten(own []state.Snapshot) bool {
	if len(own) == 0 || c.Written > 0 {
		return false
	}
	last := slices.MaxFunc(own, func(a, b state.Snapshot) int { return cmp.Compare(a.TXG, b.TXG) })
	for _, s := range c.list {
		if s.TXG > last.TXG && s.Written > 0 {
			return false
		}
	}
	return true
}

// freeName is the name, with a number where the dataset has a snapshot of that name.
func (c *covered) freeName(name string) string {
	has := func(n string) bool {
		return slices.ContainsFunc(c.list, func(s state.Snapshot) bool { return s.Name == n }) ||
			slices.ContainsFunc(c.mem.Snapshots, func(s state.TakenSnapshot) bool { return s.Name == n })
	}
	free := name
	for n := 2; has(free); n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free
}

// excess are those that go only because less is kept than when nothing was left to prune last.
func (c *covered) excess(goes, then []state.Snapshot, now time.Time) []state.Snapshot {
	if c.mem.Before == c.mem.Policy {
		return nil
	}
	return retention.Excess(c.mem.Before, goes, then, now)
}

// hold says why nothing of the dataset is pruned without a person's word, "" where it is.
func (v *view) hold(c *covered, x decision, then []state.Snapshot) string {
	if len(x.goes) == 0 {
		return ""
	}
	return retention.Doubt(v.Have.Clock, c.list, then, c.farApart(), v.now)
}

// byHand is the mark of a snapshot that a person had taken, with when it goes.
const byHand = "until:"

// Mark is the mark of a snapshot that is kept until then.
func Mark(until time.Time) string { return byHand + until.UTC().Format(time.RFC3339) }

// expiry is when a snapshot with this mark goes that was taken by hand; zero: a schedule took it.
func expiry(mark string) time.Time {
	text, ok := strings.CutPrefix(mark, byHand)
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case !ok:
		return time.Time{}
	case err != nil: // not ours to guess
		return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t.UTC()
}
