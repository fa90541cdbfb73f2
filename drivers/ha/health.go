package ha

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/dplaneos/dplane/state"
)

// Limits are how peers are judged: ha.heartbeat, and what is fixed.
type Limits struct {
	Every  time.Duration `json:"every"`  // between two beats
	Misses int           `json:"misses"` // one after the other, until a peer is unreachable
	Skew   time.Duration `json:"skew"`   // between its wall clock and ours
}

// MaxSkew is the skew from which a peer's clock is called wrong.
const MaxSkew = 5 * time.Second

// goodBeats lead back to healthy.
const goodBeats = 2

// Sighting is what happened on the way to or from a peer: a beat, or a miss (Beat is nil).
type Sighting struct {
	Beat   *state.Beat
	Wall   time.Time   // our own clock as it came
	Shared string      // hash of our own shared part
	Own    state.Heard // this run of our daemon, and the beats it sent so far
}

// Stale says why a beat must not be taken in; "" where it may. Its run has to be the one that was seen last, it has to
// answer what we sent since that run was first seen, and to be newer than the last one: else a beat of before a restart, of
// either side, that came late would be taken for the word of now.
func Stale(prev state.PeerHealth, b *state.Beat, own state.Heard) string {
	switch {
	case b.Version != 1:
		return fmt.Sprintf("its format is %d, and this release reads 1", b.Version)
	case b.Heard.Boot != own.Boot:
		return "it has not heard this run of our daemon yet"
	case b.Boot != prev.Seen.Boot:
		return "it is of another run of its daemon, which has to answer us first"
	case b.Heard.Counter <= prev.Asked:
		return "it answers nothing that we sent since this run of its daemon was seen"
	case prev.Last != nil && b.Boot == prev.Last.Boot && b.Counter <= prev.Last.Counter:
		return fmt.Sprintf("its number is %d, and %d was heard before", b.Counter, prev.Last.Counter)
	}
	return ""
}

// Health is what is known of a peer after a sighting. now is monotonic.
func Health(prev state.PeerHealth, see Sighting, lim Limits, now time.Duration) state.PeerHealth {
	return health(Stale, prev, see, lim, now)
}

func health(stale func(state.PeerHealth, *state.Beat, state.Heard) string, prev state.PeerHealth, see Sighting, lim Limits, now time.Duration) state.PeerHealth {
	next := prev
	if see.Beat == nil {
		return missed(next, lim, see.Wall)
	}
	b := *see.Beat
	if b.Boot != prev.Seen.Boot {
		next.Asked = see.Own.Counter
		next.Last = unpromised(next.Last)
	}
	if b.Boot != prev.Seen.Boot || b.Counter > prev.Seen.Counter {
		next.Seen = state.Heard{Boot: b.Boot, Counter: b.Counter}
	}
	if stale(prev, &b, see.Own) != "" {
		return next
	}
	next.Stale, next.Misses, next.Last = false, 0, &b
	next.LastAt, next.Mono = see.Wall, now
	again := prev.Last != nil && now-prev.Mono < lim.Every/2
	return recovering(prev, next, ails(&b, see, lim), again, see.Wall)
}

// recovering judges a peer that answered: why ails it, "" where nothing does. The way back takes several good answers, of
// which one that came close upon the last (again: the peer's own beat, and its answer to ours) is none.
func recovering(prev, next state.PeerHealth, why string, again bool, wall time.Time) state.PeerHealth {
	if why != "" {
		next.Good = 0
		return judged(next, state.PeerDegraded, why, wall)
	}
	if !again || next.Good == 0 {
		next.Good = min(next.Good+1, goodBeats)
	}
	first := prev.State == "" || prev.State == state.PeerUnknown
	if first || prev.State == state.PeerHealthy || next.Good >= goodBeats {
		next.Good = goodBeats
		return judged(next, state.PeerHealthy, "", wall)
	}
	return judged(next, state.PeerDegraded, fmt.Sprintf("answers again: %d of %d good beats", next.Good, goodBeats), wall)
}

// unpromised: what a run of the peer promised, the next one has to say again. It may have lost its memory.
func unpromised(b *state.Beat) *state.Beat {
	if b == nil || b.Promise == nil {
		return b
	}
	without := *b
	without.Promise = nil
	return &without
}

// missed: what is unknown or stale does not become degraded, which would count as reached.
func missed(p state.PeerHealth, lim Limits, wall time.Time) state.PeerHealth {
	p.Good = 0
	p.Misses++
	known := !p.Stale && (p.State == state.PeerHealthy || p.State == state.PeerDegraded)
	switch {
	case p.Misses >= lim.Misses:
		p.Misses = lim.Misses
		return judged(p, state.PeerUnreachable, fmt.Sprintf("missed %d beats", lim.Misses), wall)
	case known:
		return judged(p, state.PeerDegraded, fmt.Sprintf("missed %d of %d beats", p.Misses, lim.Misses), wall)
	}
	return p
}

func judged(p state.PeerHealth, as, why string, wall time.Time) state.PeerHealth {
	if p.State != as {
		p.Since = wall
	}
	p.State, p.Reason = as, why
	return p
}

// ails is why a peer that answers is not well.
func ails(b *state.Beat, see Sighting, lim Limits) string {
	var why []string
	switch {
	case len(b.Sick) > 0 && b.Unlooked:
		why = append(why, "not looked at there lately: "+strings.Join(b.Sick, ", "))
	case len(b.Sick) > 0:
		why = append(why, "not ONLINE there: "+strings.Join(b.Sick, ", "))
	}
	if len(b.Late) > 0 {
		why = append(why, "replication is late: "+strings.Join(b.Late, ", "))
	}
	if skew := see.Wall.Sub(b.At).Abs(); skew > lim.Skew {
		why = append(why, fmt.Sprintf("its clock differs by %s", skew.Round(time.Second)))
	}
	if b.Shared != see.Shared {
		why = append(why, "the shared part of its files differs from ours")
	}
	return strings.Join(why, "; ")
}

// Reloaded is what a restart leaves of a peer's health: a memory, which counts for nothing until a beat comes.
func Reloaded(p state.PeerHealth) state.PeerHealth {
	p.Stale, p.Mono, p.Misses, p.Good, p.Asked, p.Seen = true, 0, 0, 0, 0, state.Heard{}
	return p
}

// Reached tells whether a peer's last beat is fresh: of this run, and not older than the beats it may miss. A node that
// was stopped meanwhile has missed none, and must not believe what it knew before.
func Reached(p state.PeerHealth, lim Limits, now time.Duration) bool {
	if p.Stale || p.Last == nil || p.State != state.PeerHealthy && p.State != state.PeerDegraded {
		return false
	}
	return now-p.Mono <= lim.Every*time.Duration(lim.Misses)
}

// Count tells whether this node could decide by what it sees: the fresh nodes are more than half, and there are more than
// two. third is a vote that stands elsewhere (etcd's lease, which is ours).
func Count(peers map[string]state.PeerHealth, names []string, lim Limits, third bool, now time.Duration) state.Quorum {
	q := state.Quorum{Nodes: len(names) + 1, Fresh: 1, Third: third}
	var lost []string
	for _, n := range names {
		if Reached(peers[n], lim, now) {
			q.Fresh++
		} else {
			lost = append(lost, n)
		}
	}
	sort.Strings(lost)
	votes, all := q.Fresh, q.Nodes
	if third {
		votes, all = votes+1, all+1
	}
	switch q.Possible = all > 2 && votes > all/2; {
	case q.Possible:
	case all <= 2:
		q.Why = "two nodes and no third vote: neither can tell a dead peer from a cut line, so no decision is possible without a proof"
	default:
		q.Why = fmt.Sprintf("only %d of %d votes are here; no fresh beat of %s", votes, all, strings.Join(lost, ", "))
	}
	return q
}
