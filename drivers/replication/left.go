package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// leftAt is a way that a replication went; declared: it goes another one.
type leftAt struct {
	name     string
	way      state.Way
	declared bool
}

// left is what was seen there.
type left struct {
	at   time.Time
	seen state.Left
}

// leftFor is how long a look at it holds: it waits for a person, and the loop looks each minute.
const leftFor = time.Hour

// observeLeft looks at what replications left behind that are remembered and not declared, or that go another way now. One that
// left nothing is forgotten.
func (d *Driver) observeLeft(ctx context.Context, want *spec.Spec, obs *state.Observed, known map[string]*state.Replicated) error {
	obs.Left = nil
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if slices.ContainsFunc(obs.Running, func(l state.Lane) bool { return l.Kind == string(spec.KindReplication) && l.Name == name }) {
			continue
		}
		r, m := want.Replications[name], known[name]
		ways := formerWays(want, r, m)
		maps.DeleteFunc(d.left, func(k leftAt, _ left) bool { // it went another way since, and may go this one again
			return k.name == name && (k.declared != (r != nil) || !slices.Contains(ways, k.way))
		})
		var still []state.Way // something is left there
		for i, w := range ways {
			x, err := d.leftThere(ctx, want, obs, leaving{name: name, way: w, now: r, before: ways[:i], known: m})
			if err != nil {
				return err
			}
			if len(x.Holds)+len(x.Sources)+len(x.Bookmarks)+len(x.Unseen) > 0 {
				obs.Left, still = append(obs.Left, x), append(still, w)
			}
		}
		if d.Learns {
			if err := d.forgetLeft(ctx, want, known, name, still); err != nil {
				return err
			}
		}
	}
	return nil
}

// formerWays are the ways that a replication went and goes no more; r is nil where it is not declared at all.
func formerWays(want *spec.Spec, r *spec.Replication, m *state.Replicated) (ways []state.Way) {
	if m.Way != nil {
		ways = append(ways, *m.Way)
	}
	ways = append(ways, m.Former...)
	if r == nil {
		return ways
	}
	return slices.DeleteFunc(ways, func(w state.Way) bool { return sameEnds(want, r, w) })
}

// forgetLeft ends the memory of the ways on which nothing is left.
func (d *Driver) forgetLeft(ctx context.Context, want *spec.Spec, known map[string]*state.Replicated, name string, still []state.Way) error {
	m := known[name]
	if want.Replications[name] == nil {
		if m.Way == nil || len(still) > 0 || owed(want, known, name) {
			return nil
		}
		maps.DeleteFunc(d.left, func(k leftAt, _ left) bool { return k.name == name })
		return d.Memory.ForgetReplication(ctx, name)
	}
	n := len(m.Former)
	m.Former = slices.DeleteFunc(m.Former, func(w state.Way) bool { return !slices.Contains(still, w) })
	if len(m.Former) == n {
		return nil
	}
	return d.Memory.SaveReplicated(ctx, name, m)
}

// leaving is one way that a replication went.
type leaving struct {
	name   string
	way    state.Way
	now    *spec.Replication // as it is declared; nil: not any more
	before []state.Way       // what is looked at before it, so that nothing is told twice
	known  *state.Replicated
}

// leftThere is what was seen there lately, else what is to be seen.
func (d *Driver) leftThere(ctx context.Context, want *spec.Spec, obs *state.Observed, l leaving) (state.Left, error) {
	key := leftAt{l.name, l.way, l.now != nil}
	was, ok := d.left[key]
	if age := obs.At.Sub(was.at); ok && age >= 0 && age <= leftFor {
		return was.seen, nil
	}
	seen, err := d.lookLeft(ctx, want, obs, l)
	if err != nil {
		return seen, err
	}
	if d.left == nil {
		d.left = map[leftAt]left{}
	}
	d.left[key] = left{obs.At, seen}
	return seen, nil
}

// lookLeft looks at both ends.
func (d *Driver) lookLeft(ctx context.Context, want *spec.Spec, obs *state.Observed, l leaving) (x state.Left, err error) {
	name, w := l.name, l.way
	x.Name, x.Way = name, w
	if l.now != nil {
		x.Now = place(l.now.Target.Remote, string(l.now.Target.Dataset))
	}
	for _, side := range []struct {
		remote, dataset string
		holds           *[]string
		tag             string
		byHand          string
		told            bool
	}{
		{w.From, w.Source, &x.Sources, sourceTag(name), l.bookmarksByHand(), slices.ContainsFunc(l.before, func(b state.Way) bool { return b.From == w.From && b.Source == w.Source })},
		{w.To, w.Target, &x.Holds, Tag(name), "", slices.ContainsFunc(l.before, func(b state.Way) bool { return b.To == w.To && b.Target == w.Target })},
	} {
		if side.told {
			continue
		}
		why := ""
		side.byHand += releaseByHand(side.dataset, side.tag)
		end := spec.End{Remote: side.remote, Dataset: spec.DatasetName(side.dataset)}
		if side.remote == "" {
			why = away(&spec.Replication{Source: end, Target: end}, obs)
		} else if want.Remotes[side.remote] == nil {
			why = fmt.Sprintf("the machine %s is not declared any more", side.remote)
		}
		if why == "" {
			var list []state.End
			if list, err = d.list(ctx, side.remote, w.Recursive, side.dataset); err == nil {
				if side.holds == &x.Sources {
					x.Bookmarks = l.bookmarks(list)
				}
				list = slices.DeleteFunc(list, func(e state.End) bool { return l.inUse(side.remote, e.Name) })
				*side.holds, err = d.heldBy(ctx, side.remote, side.tag, list)
			}
			switch {
			case ctx.Err() != nil:
				return x, ctx.Err()
			case errors.Is(zfs.Classify(err), zfs.ErrNotExist): // then nothing is left there
			case err != nil:
				why = err.Error()
			}
		}
		if why != "" && !l.inUse(side.remote, side.dataset) {
			x.Unseen = append(x.Unseen, fmt.Sprintf("%s: %s; by hand, there: %s", side.dataset, why, side.byHand))
		}
	}
	return x, nil
}

// inUse tells whether a dataset is at an end of the replication as it is declared: what is held there is not left.
func (l leaving) inUse(remote, dataset string) bool {
	at := func(e spec.End) bool {
		return e.Dataset != "" && e.Remote == remote && spec.DatasetName(dataset).Under(e.Dataset)
	}
	return l.now != nil && (at(l.now.Source) || at(l.now.Target))
}

// bookmarks are those at the source that were made on the way: all, or of a source that is sent still those that nothing but
// the way back needs.
func (l leaving) bookmarks(list []state.End) (names []string) {
	for _, e := range list {
		there := map[string]bool{}
		if l.inUse(l.way.From, e.Name) {
			there = neededBy(l.known, place(l.now.Target.Remote, string(l.now.Target.Dataset)), e.GUID)
		}
		for _, m := range e.Bookmarks {
			if m.Name == bookmarkOf(l.name, m.GUID) && nameable(e.Name+"#"+m.Name) && (there[m.GUID] || !l.inUse(l.way.From, e.Name)) {
				names = append(names, e.Name+"#"+m.Name)
			}
		}
	}
	return names
}

// bookmarksByHand is what a person types to destroy those of a source that can't be seen.
func (l leaving) bookmarksByHand() string {
	return fmt.Sprintf("zfs list -Hr -t bookmark -o name %s | grep -E '#%s[0-9]+$' | xargs -d '\\n' -n 1 zfs destroy; ", l.way.Source, bookmarkOf(l.name, ""))
}

// releaseByHand is what a person types to let go of all that is held by a tag.
func releaseByHand(dataset, tag string) string {
	return fmt.Sprintf("zfs list -Hr -t snapshot -o name %s | xargs -d '\\n' zfs release %s", dataset, tag)
}

// heldBy are the snapshots that are held by a tag, by whole name.
func (d *Driver) heldBy(ctx context.Context, remote, tag string, list []state.End) (held []string, err error) {
	var ask []string
	for _, e := range list {
		for _, s := range e.Snapshots {
			if s.Holds > 0 {
				ask = append(ask, e.Name+"@"+s.Name)
			}
		}
	}
	for _, c := range zfs.ListHolds(ask) {
		c.Host = remote
		res, err := d.Runner.Run(ctx, c)
		if err != nil {
			return nil, err
		}
		tags := zfs.ParseHolds(res.Stdout)
		for _, name := range ask {
			if slices.Contains(tags[name], tag) {
				held = append(held, name)
			}
		}
	}
	return held, nil
}

// diffLeft lets go of what replications left behind that a person took out of the files. It may have been by accident:
// never unasked, not where the files say nothing at all any more, and not while another replication of the same ends needs it.
func diffLeft(in drivers.Input, r *drivers.Result) {
	for _, x := range in.Have.Left {
		if x.Now != "" {
			r.Notices = append(r.Notices, stays(x)...)
			continue
		}
		for _, why := range x.Unseen {
			r.Notices = append(r.Notices, fmt.Sprintf("replication %s is not declared any more, and what it left there stays: %s", x.Name, why))
		}
		n := len(x.Holds) + len(x.Sources) + len(x.Bookmarks)
		heir := heirOfAny(in, x.Name)
		switch {
		case n == 0:
		case len(in.Want.Pools)+len(in.Want.Datasets)+len(in.Want.Replications) == 0:
			r.Notices = append(r.Notices, fmt.Sprintf("replication %s is not declared any more, and neither is anything else: its %d holds and bookmarks stay", x.Name, n))
		case heir != "":
			r.Notices = append(r.Notices, fmt.Sprintf("replication %s is not declared any more: its %d holds and bookmarks stay until the replication %s, which sends the same or a part of it, has its own", x.Name, n, heir))
		default:
			r.Actions = append(r.Actions, letGo(x))
		}
	}
}

// heirOfAny is one that goes on with what a replication left on any way.
func heirOfAny(in drivers.Input, name string) string {
	for _, x := range in.Have.Left {
		if x.Name == name {
			if heir := heirOf(in, x.Way); heir != "" {
				return heir
			}
		}
	}
	return ""
}

// heirOf is a declared replication that sends some of the same to the same place, and has not yet marked all that both have.
func heirOf(in drivers.Input, w state.Way) string {
	for _, name := range slices.Sorted(maps.Keys(in.Want.Replications)) {
		r, seen := in.Want.Replications[name], in.Have.Replications[name]
		if !inherits(in.Want, r, w) {
			continue
		}
		if seen == nil || seen.Unseen != "" || seen.Running || len(seen.Pairs) == 0 || slices.ContainsFunc(seen.Pairs, waitsForMark) {
			return name
		}
	}
	return ""
}

// waitsForMark tells whether what an earlier replication left may still be what this pair goes on from. One that holds what both
// have needs nothing else: the name of its bookmark would be too long. One whose ends have nothing
// in common as they stand does not; but where the target is not there it may come back, to a bookmark that waits for it.
func waitsForMark(p state.Pair) bool {
	held := slices.ContainsFunc(p.Source.Snapshots, func(s state.Point) bool { return s.GUID == p.Common && s.Ours })
	return !p.Marked && !held && (p.Common != "" || p.Target == nil && len(p.Source.Bookmarks) > 0)
}

// inherits tells whether a replication sends a dataset where another one sent it.
func inherits(want *spec.Spec, r *spec.Replication, w state.Way) bool {
	if !sameRemote(want, r.Source.Remote, w.From) || !sameRemote(want, r.Target.Remote, w.To) {
		return false
	}
	from, source := spec.DatasetName(w.Source), r.Source.Dataset
	below, was := "", "" // what the inner one of the two has below the ends of each
	switch {
	case source == from:
	case source.Under(from) && w.Recursive:
		was = strings.TrimPrefix(string(source), w.Source)
	case from.Under(source) && r.Recursive:
		below = strings.TrimPrefix(w.Source, string(source))
	default:
		return false
	}
	return string(r.Target.Dataset)+below == w.Target+was
}

// letGo is the action that releases the holds and destroys the bookmarks.
func letGo(x state.Left) drivers.Action {
	a := drivers.Action{
		Object: spec.Ref{Kind: spec.KindReplication, Name: x.Name}, Verb: drivers.Update, Risk: spec.Irreversible,
		Reason: drivers.Reason{Code: drivers.Removed, Observed: fmt.Sprintf("the replication of %s to %s is not declared any more", x.Way.Source, x.Way.Target)},
		Undo:   "nothing; no data is lost, and the replica stays: declared again, it may have to be sent whole",
	}
	for _, side := range []struct {
		remote, tag string
		names       []string
	}{{x.Way.From, sourceTag(x.Name), x.Sources}, {x.Way.To, Tag(x.Name), x.Holds}} {
		for _, n := range side.names {
			a.Fields = append(a.Fields, drivers.Field{Name: n, From: "held as " + side.tag, To: "released"})
		}
		for _, c := range zfs.Release(side.tag, side.names) {
			c.Host = side.remote
			a.Steps = append(a.Steps, c)
		}
	}
	for _, n := range x.Bookmarks {
		dataset, bookmark, _ := strings.Cut(n, "#")
		c := zfs.DestroyBookmark(dataset, bookmark)
		c.Host = x.Way.From
		a.Fields = append(a.Fields, drivers.Field{Name: n, From: "there", To: "destroyed"})
		a.Steps = append(a.Steps, c)
	}
	return a
}

// letGo carries it out: what is gone meanwhile is as good.
func (d *Driver) letGo(ctx context.Context, a drivers.Action) error {
	clear(d.left)
	var errs []error
	for _, c := range a.Steps {
		well := zfs.AllReleased
		if c.Argv[1] == "destroy" {
			well = is(zfs.ErrNotExist)
		}
		if _, err := d.Runner.Run(ctx, c); err != nil && !well(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// begin remembers the ends, before anything is held or marked there.
func (t *transfer) begin(ctx context.Context) error {
	known, err := t.Memory.Replicated(ctx)
	if err != nil {
		return err
	}
	r := known[t.Replication]
	if r == nil {
		r = &state.Replicated{}
	}
	w := state.Way{From: t.From, To: t.To, Source: t.Source, Target: t.Target, Recursive: t.Recursive}
	if r.Way != nil && *r.Way == w {
		return nil
	}
	r.Former = former(r, w)
	r.Way = &w
	return t.Memory.SaveReplicated(ctx, t.Replication, r)
}
