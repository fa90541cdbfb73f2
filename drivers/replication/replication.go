package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Memory is what is remembered of replications, by name.
type Memory interface {
	Replicated(ctx context.Context) (map[string]*state.Replicated, error)
	SaveReplicated(ctx context.Context, name string, r *state.Replicated) error
	// Received is which snapshots each replication received, by the guids of the sources, and the version of that; nil where
	// it is the known one.
	Received(ctx context.Context, known int64) (version int64, all map[string]map[string]*state.Received, err error)
	// SaveReceived remembers these of one replication, all or none.
	SaveReceived(ctx context.Context, name string, changed map[string]*state.Received) error
	// Kept is what a replication keeps on its target.
	Kept(ctx context.Context, name string) (*state.Kept, error)
	SaveKept(ctx context.Context, name string, k *state.Kept) error
	// ForgetReplication ends all memory of one.
	ForgetReplication(ctx context.Context, name string) error
}

// Driver sends what a target has not yet. It is safe for concurrent use: a transfer goes on while the loop looks.
type Driver struct {
	Runner host.Runner
	Memory Memory                               // nil: a driver that only plans
	Now    func() time.Time                     // nil with it
	After  func(time.Duration) <-chan time.Time // nil with it
	Learns bool                                 // what a look tells is remembered
	Tell   func(Progress)                       // hears about once a second how far a stream is; may be nil
	// Room is for streams beside the one that each replication always has: as many as it holds, of all together. nil: one
	// dataset is sent after the other.
	Room chan struct{}

	rests map[string]rest // replications of which an end can't be seen
	mu    sync.Mutex
	last  map[string]sight            // how replications stood when both ends were last seen, by name and target
	holds map[holdsOf]map[string]hold // what is known of the holds of each dataset's snapshots; mu is for this
	// looked is the last look at both ends of each replication that no run has begun with; mu is for this too.
	looked map[string]looked

	listed map[listOf]*listed // whole lists, and what tells whether they are still true; mu is for this too

	version  int64 // of what was received
	received map[string]map[string]*state.Received
	left     map[leftAt]left      // of replications that are not declared any more, or go another way
	checked  map[string]time.Time // when what goes was listed, by replication
}

// rest is how long nobody looks again: a machine that does not answer costs each look its time, and all else that is due
// waits for it.
type rest struct {
	n     int // failures in a row
	until time.Time
	why   string
}

// looked is a look at both ends, and when it began: it may have taken long.
type looked struct {
	at    time.Time
	pairs []state.Pair
}

// lately is how old a look may be with which a run begins: it was planned from it. Then zfs itself compares: what is to be
// held has to be there, and a stream is received on nothing but what it is a stream for.
const lately = 5 * time.Second

// begins is the look with which a run begins, nil where there has to be another one. A look is good for one run.
func (d *Driver) begins(name string, now time.Time) []state.Pair {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.looked[name]
	delete(d.looked, name)
	if age := now.Sub(l.at); !ok || age < 0 || age > lately {
		return nil
	}
	return l.pairs
}

// longestRest is how long it takes at most to see that a machine is back.
const longestRest = 5 * time.Minute

// next is the rest after one more failure.
func (r rest) next(now time.Time, why string) rest {
	return rest{r.n + 1, now.Add(min(time.Minute<<min(r.n, 10), longestRest)), why}
}

// still tells whether it is not over. One that would last longer than any is of a clock that was set back since.
func (r rest) still(now time.Time) bool {
	left := r.until.Sub(now)
	return left > 0 && left <= longestRest
}

var _ drivers.Driver = (*Driver)(nil)

// Kind is spec.KindReplication.
func (*Driver) Kind() spec.Kind { return spec.KindReplication }

// Observe looks at both ends of each replication that this node runs.
func (d *Driver) Observe(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	if obs.ZFS.Error != "" || d.Memory == nil {
		return nil
	}
	known, err := d.Memory.Replicated(ctx)
	if err != nil {
		return err
	}
	if err := d.follow(ctx, want, obs, known); err != nil {
		return err
	}
	if err := d.observeLeft(ctx, want, obs, known); err != nil || len(want.Replications) == 0 {
		return err
	}
	if err := d.recall(ctx); err != nil {
		return err
	}
	d.forgetLists(want)
	obs.Replications, obs.ReplicationHealth = map[string]*state.Replication{}, nil
	for _, name := range slices.Sorted(maps.Keys(want.Replications)) {
		seen := &state.Replication{Remembered: remembered(want, want.Replications[name], known)}
		if err := d.one(ctx, want, want.Replications[name], obs, seen); err != nil {
			return err
		}
		if err := d.noteLoad(ctx, want, want.Replications[name], obs, known[name], seen); err != nil {
			return err
		}
		obs.Replications[name] = seen
		obs.ReplicationHealth = append(obs.ReplicationHealth, d.health(want.Replications[name], seen, obs.At))
	}
	return nil
}

// one looks at one replication.
func (d *Driver) one(ctx context.Context, want *spec.Spec, r *spec.Replication, obs *state.Observed, seen *state.Replication) (err error) {
	lane := func(l state.Lane) bool { return l.Kind == string(spec.KindReplication) && l.Name == r.Name }
	switch {
	case unreached(r) != "":
		seen.Unseen = unreached(r)
	case r.Source.Remote == "" && passive(want, obs, r.Source.Dataset):
		seen.Unseen, seen.Away, seen.Elsewhere = "its source is in the HA group, whose role here is "+cmp.Or(obs.Role, spec.RoleStandby), true, true
	case slices.ContainsFunc(obs.Running, lane):
		seen.Running = true
	case away(r, obs) != "":
		seen.Unseen, seen.Away = away(r, obs), removable(r, want, obs)
		if pool := r.Target.Dataset.Pool(); seen.Away && r.Target.Remote == "" && obs.Pools[string(pool)] == nil {
			if seen.Ahead, err = d.ahead(ctx, r, obs, seen.Remembered); err != nil && ctx.Err() != nil {
				return err
			}
			seen.Ahead = seen.Ahead || err != nil
		}
	case d.rests[r.Name].still(obs.At):
		seen.Unseen = d.rests[r.Name].why
	default:
		if err = d.see(ctx, want, r, obs, seen); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		seen.Unseen = err.Error()
		if d.rests == nil {
			d.rests = map[string]rest{}
		}
		d.rests[r.Name] = d.rests[r.Name].next(obs.At, seen.Unseen)
	}
	return nil
}

// see looks at both ends. What would lead to an action is listed whole: only that all is well is told from what was listed before.
func (d *Driver) see(ctx context.Context, want *spec.Spec, r *spec.Replication, obs *state.Observed, seen *state.Replication) error {
	w := way(r)
	g := &glance{Driver: d, glanced: map[listOf]bool{}}
	for {
		at := d.Now()
		var err error
		seen.Unchecked = ""
		if seen.Pairs, seen.Orphans, err = d.lookBy(ctx, w, g.list); err != nil {
			return err
		}
		for i := range seen.Pairs {
			seen.Pairs[i].Believed = g.glanced[listOf{w.From, w.Source, w.Recursive}]
		}
		d.forgetHolds(w, seen.Pairs)
		delete(d.rests, r.Name)
		if err := d.keep(ctx, want, r, obs, seen); err != nil {
			return err
		}
		if len(g.glanced) > 0 {
			delete(d.checked, r.Name) // what goes was looked at, and not both ends: a prune looks again
		} else {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.looked == nil {
				d.looked = map[string]looked{}
			}
			d.looked[r.Name] = looked{at, seen.Pairs}
			return nil
		}
		var would drivers.Result
		if one(drivers.Input{Want: want, Have: obs, Now: obs.At}, r, seen, &would); len(would.Actions) == 0 {
			return nil
		}
		g.whole, g.glanced = true, map[listOf]bool{}
	}
}

// unreached says why there is no peer to send to, "" where there is, or it is no replication to the standby.
func unreached(r *spec.Replication) string {
	if r.Target.Standby && r.Target.Dataset == "" {
		return "this machine is none of ha.peers, so that it has no peer to send to"
	}
	return ""
}

// passive tells whether a dataset is one of the HA group, and this node not the active one: that one sends it.
func passive(want *spec.Spec, obs *state.Observed, name spec.DatasetName) bool {
	return want.HA != nil && obs.Role != spec.RoleActive && slices.ContainsFunc(want.HA.Datasets, name.Under)
}

// away says which pool of an end that is here is not to be seen.
func away(r *spec.Replication, obs *state.Observed) string {
	for _, e := range []spec.End{r.Source, r.Target} {
		pool := string(e.Dataset.Pool())
		switch {
		case e.Remote != "":
		case obs.UnseenPool(pool) != "":
			return fmt.Sprintf("pool %s: %s", pool, obs.UnseenPool(pool))
		case obs.Pools[pool] == nil:
			return fmt.Sprintf("pool %s is not imported", pool)
		case foreign(obs, pool):
			return fmt.Sprintf("pool %s is not the one that was known by this name: dplane adopt %[1]s", pool)
		}
	}
	return ""
}

// foreign tells whether another pool took a known name: it is held whole (PRODUCT.md section 4, promise 7).
func foreign(obs *state.Observed, pool string) bool {
	r, known := obs.RecordedAs(string(spec.KindPool), pool)
	return known && r.GUID != "" && r.GUID != obs.Pools[pool].GUID
}

// removable tells whether all that is away is meant to be away at times: that is no fault.
func removable(r *spec.Replication, want *spec.Spec, obs *state.Observed) (away bool) {
	for _, e := range []spec.End{r.Source, r.Target} {
		name := e.Dataset.Pool()
		switch p := want.Pools[name]; {
		case e.Remote != "":
		case obs.Pools[string(name)] != nil && obs.UnseenPool(string(name)) == "" && !foreign(obs, string(name)):
		case obs.Pools[string(name)] == nil && p != nil && p.Removable:
			away = true
		default:
			return false
		}
	}
	return away
}

// way is how a replication goes, without what goes.
func way(r *spec.Replication) *drivers.Sending {
	s := &drivers.Sending{
		Replication: r.Name, From: r.Source.Remote, To: r.Target.Remote, Source: string(r.Source.Dataset), Target: string(r.Target.Dataset),
		Recursive: r.Recursive, Exclude: r.Exclude, Snapshots: r.Patterns(), Rate: int64(r.RateLimit), Compressed: r.Send.Compressed, LargeBlocks: r.Send.LargeBlocks,
		Set: map[string]string{"readonly": "on", "canmount": "noauto"}, Without: r.Receive.Exclude, Back: r.Back, Beside: r.Beside,
	}
	for name, p := range r.Receive.Set {
		s.Set[name] = p.Value
	}
	return s
}

// look lists both ends, and joins them dataset by dataset.
func (d *Driver) look(ctx context.Context, w *drivers.Sending) (pairs []state.Pair, orphans []state.End, err error) {
	return d.lookBy(ctx, w, d.list)
}

// lister gives one end, whole or with what was known of it.
type lister func(ctx context.Context, remote string, below bool, dataset string) ([]state.End, error)

func (d *Driver) lookBy(ctx context.Context, w *drivers.Sending, list lister) (pairs []state.Pair, orphans []state.End, err error) {
	sources, err := list(ctx, w.From, w.Recursive, w.Source)
	if errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
		return nil, nil, fmt.Errorf("the source %s is not there", w.Source)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list the source %s: %w", w.Source, err)
	}
	targets, err := list(ctx, w.To, w.Recursive, w.Target)
	if errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
		err = d.parent(ctx, w)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list the target %s: %w", w.Target, err)
	}
	pairs, orphans = join(w, sources, targets)
	if err := d.tags(ctx, w, pairs); err != nil {
		return nil, nil, err
	}
	return pairs, orphans, d.tokens(ctx, w, pairs)
}

func (d *Driver) list(ctx context.Context, remote string, below bool, dataset string) ([]state.End, error) {
	c := zfs.ListEnds(below, dataset)[0] // one name needs no more
	c.Host = remote
	res, err := d.Runner.Run(ctx, c)
	if err != nil {
		return nil, err
	}
	return zfs.ParseEnds(res.Stdout, below, dataset)
}

// parent tells whether what the target would be received into is there: dplane makes no parents.
func (d *Driver) parent(ctx context.Context, w *drivers.Sending) error {
	up := spec.DatasetName(w.Target).Parent()
	if up == "" {
		return fmt.Errorf("pool %s is not there", w.Target)
	}
	c := zfs.ListName(string(up)) // a key of this replication may see no more of what is not its own
	c.Host = w.To
	_, err := d.Runner.Run(ctx, c)
	if errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
		return fmt.Errorf("%s, into which it would be received, is not there: dplane makes no parents", up)
	}
	return err
}

// join pairs sources with targets by what their names have below the ends.
func join(w *drivers.Sending, sources, targets []state.End) (pairs []state.Pair, orphans []state.End) {
	there := map[string]*state.End{}
	for i := range targets {
		there[targets[i].Name] = &targets[i]
	}
	for _, s := range sources {
		if excluded(w, s.Name) {
			continue
		}
		to := w.Target + strings.TrimPrefix(s.Name, w.Source)
		p := state.Pair{Source: s, To: to, Target: there[to]}
		if b := basisOf(p); b != nil {
			p.Common = b.GUID
			p.Marked = slices.ContainsFunc(s.Bookmarks, func(m state.Point) bool { return m.Name == bookmarkOf(w.Replication, b.GUID) })
		}
		pairs = append(pairs, p)
		delete(there, to)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if !excluded(w, w.Source+strings.TrimPrefix(name, w.Target)) {
			orphans = append(orphans, *there[name])
		}
	}
	slices.SortFunc(pairs, func(a, b state.Pair) int { return strings.Compare(a.Source.Name, b.Source.Name) })
	return pairs, orphans
}

// excluded tells whether a source is not sent: it or what is above it is excluded, or in the trash.
func excluded(w *drivers.Sending, name string) bool {
	if spec.DatasetName(name).InTrash() {
		return true
	}
	return slices.ContainsFunc(w.Exclude, func(p string) bool { return spec.Pattern(p).Covers(name) })
}

// tokens reads what a broken receive left. What can't be read is no error: it is discarded.
func (d *Driver) tokens(ctx context.Context, w *drivers.Sending, pairs []state.Pair) error {
	for i := range pairs {
		e := pairs[i].Target
		if e == nil || e.Token == "" {
			continue
		}
		c, err := zfs.DescribeToken(e.Token)
		if err != nil {
			continue
		}
		c.Host = w.From
		res, err := d.Runner.Run(ctx, c)
		var exit *host.ExitError
		if err != nil && !errors.As(err, &exit) {
			return fmt.Errorf("read the resume token of %s: %w", e.Name, err)
		}
		if t, err := zfs.ParseToken(res.Stdout); err == nil {
			e.Resume = &t
		}
	}
	return nil
}
