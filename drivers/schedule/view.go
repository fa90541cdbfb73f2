package schedule

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/retention"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// covered is a dataset that a schedule covers, and that may be snapshotted here.
type covered struct {
	*state.Dataset
	spec.Cover
	policy    *retention.Policy
	retention string
	known     bool         // something is remembered of it
	mem       *state.Taken // never nil
	list      []state.Snapshot
	isListed  bool
}

// view is one look at all that is covered.
type view struct {
	Want    *spec.Spec
	Have    *state.Observed
	now     time.Time
	sets    []*covered // by name
	byName  map[string]*covered
	notices []string
}

func newView(want *spec.Spec, obs *state.Observed, taken map[string]*state.Taken, now time.Time) *view {
	v := &view{Want: want, Have: obs, now: now, byName: map[string]*covered{}}
	policies := map[string]*retention.Policy{}
	for name, s := range want.Schedules {
		p, err := retention.NewPolicy(s, want.Node.Timezone)
		if err != nil {
			v.notices = append(v.notices, fmt.Sprintf("schedule %s (%s): nothing is taken or pruned: %v", name, s.Pos.At(), err))
			continue
		}
		policies[name] = p
	}
	recorded := map[spec.Ref]string{}
	for _, r := range obs.Recorded {
		recorded[spec.Ref{Kind: spec.Kind(r.Kind), Name: r.Name}] = r.GUID
	}
	foreign := func(kind spec.Kind, name, guid string) bool {
		r := recorded[spec.Ref{Kind: kind, Name: name}]
		return r != "" && r != guid
	}
	refused := map[string]bool{}
	for name, p := range obs.Pools {
		refused[name] = obs.UnseenPool(name) != "" || p.Properties["readonly"].Value == "on" || foreign(spec.KindPool, name, p.GUID)
	}
	for _, name := range slices.Sorted(maps.Keys(obs.Datasets)) {
		n, d := spec.DatasetName(name), obs.Datasets[name]
		pool := string(n.Pool())
		if r, seen := refused[pool]; !seen || r || n.InTrash() || d.ResumeToken != "" || d.GUID == "" {
			continue
		}
		if leaves(want, n) {
			continue
		}
		c := &covered{Dataset: d, Cover: want.Covering(n)}
		if c.Schedule == nil || policies[c.Schedule.Name] == nil || want.ReceivedOnly(n, obs.Role) != "" ||
			want.Datasets[n] != nil && foreign(spec.KindDataset, name, d.GUID) { // what is not declared is covered whoever made it

			continue
		}
		c.policy, c.retention = policies[c.Schedule.Name], c.Schedule.Retention(want.Node.Timezone)
		if c.mem, c.known = taken[d.GUID]; !c.known {
			c.mem = &state.Taken{}
		}
		v.sets, v.byName[name] = append(v.sets, c), c
	}
	return v
}

// leaves tells whether the files have a dataset, or one above it, go to the trash or take another name: it may not be
// called so any more when its turn comes.
func leaves(want *spec.Spec, name spec.DatasetName) bool {
	for n := name; n != ""; n = n.Parent() {
		if d := want.Datasets[n]; d != nil && d.Absent {
			return true
		}
	}
	return slices.ContainsFunc(want.DatasetNames(), func(n spec.DatasetName) bool {
		old := want.Datasets[n].Renamed
		return old != "" && name.Under(old)
	})
}

func (c *covered) pool() string { return string(spec.DatasetName(c.Name).Pool()) }

// needed are the datasets, by pool, whose snapshots must be listed. clean are memories of which it is known that nothing
// is left to be pruned.
func (v *view) needed(clean map[string]*state.Taken) map[string][]string {
	need := map[string][]string{}
	for _, c := range v.sets {
		due := c.due(v.now)
		switch {
		case !c.known, c.mem.Policy != c.retention, c.mem.Before != c.retention, c.pending(), !due.IsZero() && !due.After(v.now), c.expired(v.now):
		case clean[c.GUID] == c.mem:
			continue
		case !c.leftover(v.now):
			clean[c.GUID] = c.mem
			continue
		}
		need[c.pool()] = append(need[c.pool()], c.Name)
	}
	return need
}

// fresh is when the dataset was last taken, or found to be unwritten when it was due; a time to come does not count.
func (c *covered) fresh(now time.Time) (at time.Time) {
	for _, s := range c.mem.Snapshots {
		if s.Gone.IsZero() && s.Expires.IsZero() && s.Creation.After(at) && !s.Creation.After(now) {
			at = s.Creation
		}
	}
	if s := c.mem.Skipped; s.After(at) && !s.After(now) {
		at = s
	}
	return at
}

// due is when the next is to be taken; zero: never.
func (c *covered) due(now time.Time) time.Time { return c.policy.DueAfter(c.fresh(now), now) }

func (c *covered) pending() bool {
	return slices.ContainsFunc(c.mem.Snapshots, func(s state.TakenSnapshot) bool { return s.Pending })
}

// expired tells whether one that was taken by hand is to go.
func (c *covered) expired(now time.Time) bool {
	return slices.ContainsFunc(c.mem.Snapshots, func(s state.TakenSnapshot) bool {
		return s.Gone.IsZero() && !s.Expires.IsZero() && !s.Expires.After(now) && !s.Stays
	})
}

// leftover tells whether, by what is remembered alone, something is to be pruned that could go.
func (c *covered) leftover(now time.Time) bool {
	var own []state.Snapshot
	stays := map[string]bool{}
	for _, s := range c.mem.Snapshots {
		if s.Gone.IsZero() && s.Expires.IsZero() {
			own = append(own, state.Snapshot{Name: s.Name, TXG: s.TXG, Creation: s.Creation})
			stays[s.Name] = s.Stays
		}
	}
	return slices.ContainsFunc(c.policy.Retain(own, now), func(x retention.Verdict) bool { return !x.Keep && !stays[x.Name] })
}

// pending tells whether it is not known of any of these whether a snapshot was taken.
func (v *view) pending(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return v.byName[n].pending() })
}

// key tells a snapshot from its copies, which have its guid.
type key struct {
	guid string
	txg  uint64
}

// keptGone is how long a snapshot is remembered that is gone: it may come back, with a promoted clone or a pool that was
// split.
const keptGone = 30 * 24 * time.Hour

// learn takes in what was listed, and gives the memories that changed.
func (v *view) learn(taken map[string]*state.Taken) map[string]*state.Taken {
	var own map[key]state.TakenSnapshot
	changed := map[string]*state.Taken{}
	for _, c := range v.sets {
		c.list, c.isListed = v.Have.Listed[c.Name]
		if !c.isListed {
			continue
		}
		if own == nil {
			own = index(taken)
		}
		before := c.mem
		next := c.settle(own, v.now)
		c.mem, c.known = next, true
		sure := v.sure(c)
		if sure && c.obeyed(v.now) {
			next.Before = next.Policy
		}
		x := v.decide(c)
		if sure && !x.less {
			next.Before = next.Policy
		}
		if x.unwritten {
			next.Skipped = v.now
		}
		if !same(before, next) {
			changed[c.GUID] = next
		} else {
			c.mem = before
		}
	}
	if own != nil {
		v.forget(taken, changed)
	}
	return changed
}

// sure tells whether the clock can be relied on, as far as the dataset's snapshots tell: while some are yet to come, what
// would go otherwise stays, which says nothing of the policy.
func (v *view) sure(c *covered) bool {
	var own []state.Snapshot
	rows := c.rows()
	for _, s := range c.list {
		if _, ours := rows[s.Name]; ours {
			own = append(own, s)
		}
	}
	_, _, back := retention.Backwards(c.list, v.now)
	_, to := retention.Leap(own, c.farApart(), v.now)
	return !back && v.Have.Clock != state.Unsynchronised && (to.IsZero() || v.Have.Clock == state.Synchronised) &&
		!slices.ContainsFunc(own, func(s state.Snapshot) bool { return s.Creation.After(v.now) })
}

// obeyed tells whether nothing of what is there goes by the policy as it is now, so that it is no smaller one.
func (c *covered) obeyed(now time.Time) bool {
	var own []state.Snapshot
	rows := c.rows()
	for _, s := range c.list {
		if row, ours := rows[s.Name]; ours && row.Expires.IsZero() {
			own = append(own, s)
		}
	}
	return !slices.ContainsFunc(c.policy.Retain(own, now), func(x retention.Verdict) bool { return !x.Keep })
}

// forgotten is how long a dataset is remembered that is not to be seen: it may be of a pool that is away.
const forgotten = 2 * 365 * 24 * time.Hour

// forget ends the memory of datasets that were not seen for very long.
func (v *view) forget(taken, changed map[string]*state.Taken) {
	there := map[string]bool{}
	for _, d := range v.Have.Datasets {
		there[d.GUID] = true
	}
	for guid, t := range taken {
		last := t.Since
		for _, s := range t.Snapshots {
			last = later(last, later(s.Creation, s.Gone))
		}
		if !there[guid] && v.now.Sub(last) > forgotten {
			changed[guid] = nil
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func index(taken map[string]*state.Taken) map[key]state.TakenSnapshot {
	own := map[key]state.TakenSnapshot{}
	for _, t := range taken {
		for _, s := range t.Snapshots {
			if s.TXG > 0 {
				own[key{s.GUID, s.TXG}] = s
			}
		}
	}
	return own
}

// settle is the memory of a dataset after a list of its snapshots. Ours are those that are remembered, by guid and
// createtxg, wherever they were then. Where none is remembered, the memory was lost, and the mark tells; of those that
// are newer than all that is remembered, which may be of an older copy of the database, the mark and a name that fits the
// time. On a dataset that was received with its properties the mark proves nothing, since it came along.
func (c *covered) settle(own map[key]state.TakenSnapshot, now time.Time) *state.Taken {
	next := *c.mem
	next.Snapshots = nil
	var newest uint64
	pending := map[string]state.TakenSnapshot{}
	left := map[key]state.TakenSnapshot{}
	for _, s := range c.mem.Snapshots {
		newest = max(newest, s.TXG)
		if s.TXG == 0 {
			pending[s.Name] = s
		} else {
			left[key{s.GUID, s.TXG}] = s
		}
	}
	received, last := c.received(), c.newest()
	for _, s := range c.list {
		k := key{s.GUID, s.TXG}
		row, ours := own[k]
		if p, ok := pending[s.Name]; !ours && ok && (s.Marked || !p.Pending && fits(p, s)) {
			row, ours = p, true
		}
		if _, here := left[k]; ours && !here && row.TXG > 0 { // it came from another dataset, with a clone that was promoted
			next.Before = ""
		}
		if !ours && s.Marked && !received && (newest == 0 || s.TXG > newest && c.named(s)) {
			row, ours = state.TakenSnapshot{Expires: expiry(s.Mark)}, true
		}
		if ours {
			next.Snapshots = append(next.Snapshots, state.TakenSnapshot{
				Name: s.Name, GUID: s.GUID, TXG: s.TXG, Creation: s.Creation, Expires: row.Expires, Stays: retention.Protects(s, last.GUID) != "",
			})
			delete(left, k)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(left), func(a, b key) int { return cmp.Or(cmp.Compare(a.txg, b.txg), cmp.Compare(a.guid, b.guid)) }) {
		s := left[k]
		if s.Gone.IsZero() || s.Gone.After(now) {
			s.Gone = now
		}
		if now.Sub(s.Gone) < keptGone {
			next.Snapshots = append(next.Snapshots, s)
		}
	}
	if next.Policy != c.retention || next.Since.After(now) { // the clock may have been set back
		next.Policy, next.Since = c.retention, now
	}
	return &next
}

// took tells whether a snapshot is one that dplane took, which no list has shown yet.
func (c *covered) took(s state.Snapshot) bool {
	return slices.ContainsFunc(c.mem.Snapshots, func(row state.TakenSnapshot) bool {
		return row.Name == s.Name && row.TXG == 0 && !row.Pending && fits(row, s)
	})
}

// fits tells whether a snapshot was taken when dplane took the one of its name: somebody may have destroyed that one, and
// taken his own.
func fits(row state.TakenSnapshot, s state.Snapshot) bool {
	off := s.Creation.Sub(row.Creation)
	return off > -3*time.Second && off < slowest*time.Second
}

// slowest is how much later than it was planned a snapshot may be taken: what quiesces takes its time.
const slowest = 15 * 60

// named tells whether a snapshot has the name that the schedule gave it shortly before it was taken.
func (c *covered) named(s state.Snapshot) bool {
	for off := -slowest; off <= 3; off++ {
		if strings.HasPrefix(s.Name, c.Schedule.SnapshotName(s.Creation.Add(time.Duration(off)*time.Second))) {
			return true
		}
	}
	return false
}

// received tells whether the dataset came with properties of a stream, and so perhaps the marks of its snapshots.
func (c *covered) received() bool {
	for _, p := range c.Properties {
		if p.Source == "received" {
			return true
		}
	}
	return false
}

func same(a, b *state.Taken) bool {
	x, y := *a, *b
	x.Snapshots, y.Snapshots, x.Quiesced, y.Quiesced = nil, nil, nil, nil
	return x.Policy == y.Policy && x.Before == y.Before && x.Since.Equal(y.Since) && x.Skipped.Equal(y.Skipped) &&
		x.Failed.Equal(y.Failed) && x.Why == y.Why && (a.Quiesced == nil) == (b.Quiesced == nil) &&
		slices.EqualFunc(a.Snapshots, b.Snapshots, func(p, q state.TakenSnapshot) bool {
			return p.Name == q.Name && p.GUID == q.GUID && p.TXG == q.TXG && p.Creation.Equal(q.Creation) && p.Pending == q.Pending &&
				p.Stays == q.Stays && p.Expires.Equal(q.Expires) && p.Gone.Equal(q.Gone)
		})
}
