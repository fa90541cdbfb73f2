package ha

import (
	"fmt"
	"strings"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Lag is what a node lacks of what the active one had, as far as it is known. What is not known is never zero (I5).
type Lag struct {
	Known    bool          `json:"known"`             // there is a complete set, and its age is known
	Set      string        `json:"set,omitempty"`     // the name of its snapshots
	Behind   time.Duration `json:"behind,omitempty"`  // its age
	Counted  bool          `json:"counted"`           // Bytes are all that was written since, as the active node last said
	Bytes    uint64        `json:"bytes,omitempty"`   // at least
	Complete bool          `json:"complete"`          // the newest snapshot of every dataset is of that set
	Missing  []string      `json:"missing,omitempty"` // what is missing, for people
	Overdue  bool          `json:"overdue,omitempty"` // its snapshots are dated in the future: Behind is no measure
}

// Exceeds says why so much must not be lost unasked; "" where it may. With no limit declared, that is nothing at all.
func (l Lag) Exceeds(m spec.Lag) string {
	var why []string
	switch {
	case !l.Known:
		why = append(why, "no complete set of snapshots is known here, so how much is missing is unknown")
	case l.Overdue:
		why = append(why, "the newest set is dated in the future: its age is unknown")
	case m.Time > 0 && l.Behind > m.Time.Std():
		why = append(why, fmt.Sprintf("the newest complete set is %s old, and maxLag.time is %s", l.Behind.Round(time.Second), m.Time))
	}
	switch {
	case !l.Counted:
		why = append(why, "how much was written since is unknown")
	case l.Bytes > 0 && m.Bytes == 0 && m.Time == 0:
		why = append(why, fmt.Sprintf("%d bytes were written since, and no maxLag is declared", l.Bytes))
	case m.Bytes > 0 && l.Bytes > uint64(m.Bytes):
		why = append(why, fmt.Sprintf("%d bytes were written since, and maxLag.bytes is %s", l.Bytes, m.Bytes))
	}
	if !l.Complete {
		why = append(why, "the set is not complete: "+strings.Join(l.Missing, ", "))
	}
	return strings.Join(why, "; ")
}

// Measure compares what is here (own: each dataset's snapshots, oldest first) with what the active node last said it had
// (published; nil: it never said). A set is the snapshots of one name: they were taken at one moment.
func Measure(datasets []string, published map[string]state.Published, own map[string][]state.Point, at time.Time) Lag {
	l := Lag{Counted: published != nil, Complete: true}
	if len(datasets) == 0 {
		return Lag{}
	}
	newest := CompleteSet(datasets, own)
	for _, d := range datasets {
		pub, said := published[d]
		held := own[d]
		if !said {
			l.Counted = false
		}
		l.Bytes += pub.Written
		if pub.GUID != "" && !hasGUID(held, pub.GUID) {
			l.Counted = false // what is in the snapshots between is not known
			l.Missing, l.Complete = append(l.Missing, d+" lacks its newest snapshot"), false
		}
		if n := len(held); newest == nil || n == 0 || held[n-1].Name != newest.Name {
			l.Missing, l.Complete = append(l.Missing, d+" is not at the set"), false
		}
	}
	if newest == nil {
		return l
	}
	l.Known, l.Set, l.Behind = true, newest.Name, at.Sub(newest.Creation)
	l.Overdue = l.Behind < -MaxSkew
	return l
}

// oneMoment is how far apart the snapshots of a set may be by their clocks: those of several pools, or of very many datasets, are
// taken by commands that follow each other.
const oneMoment = time.Minute

// CompleteSet is the newest snapshot of the first dataset of which every other one has one too that was taken at that moment,
// under the same name; nil: there is none.
func CompleteSet(datasets []string, own map[string][]state.Point) *state.Point {
	first := own[datasets[0]]
	for i := len(first) - 1; i >= 0; i-- {
		all := true
		for _, d := range datasets[1:] {
			all = all && hasMoment(own[d], first[i])
		}
		if all {
			return &first[i]
		}
	}
	return nil
}

// lookedAt is how long a look at the group tells something of it.
const lookedAt = 2 * time.Minute

// ReplicaLag is how old the oldest part of a standby's replica is, by its newest snapshots, and by the last word of the active
// node: what that has not written since is as new as that word. It is unknown where either was not heard, or something is
// missing here; unknown is never little.
func ReplicaLag(own Local, active state.PeerHealth, now time.Time) (lag time.Duration, known bool) {
	age := now.Sub(own.Looked)
	b := active.Last
	if len(own.Group) == 0 || age < 0 || age > lookedAt || active.Stale || b == nil || !b.Role.Writes() || len(b.Group) == 0 {
		return 0, false
	}
	for name, there := range b.Group {
		here, is := own.Group[name]
		old := now.Sub(here.Creation)
		if !is || here.GUID == "" || old < -MaxSkew {
			return 0, false
		}
		if here.GUID == there.GUID && there.Written == 0 {
			old = min(old, now.Sub(active.LastAt))
		}
		lag = max(lag, old)
	}
	return lag, true
}

func hasMoment(points []state.Point, of state.Point) bool {
	for _, p := range points {
		if p.Name == of.Name && p.Creation.Sub(of.Creation).Abs() <= oneMoment {
			return true
		}
	}
	return false
}

func hasGUID(points []state.Point, guid string) bool {
	for _, p := range points {
		if p.GUID == guid {
			return true
		}
	}
	return false
}
