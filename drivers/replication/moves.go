package replication

import (
	"fmt"
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// findMoves finds the replicas of the sources that are called otherwise now, by the names that they should have. A replica is told
// by the snapshots that it has in common with its source, never by its name: it is one that no source has by its name, or
// that has nothing in common with the one of its name. Of several it is the one that was sent to, else the one that has
// the newest.
func (b *batch) findMoves() {
	b.moves = map[string]state.End{}
	free := slices.Clone(b.seen.Orphans)
	for _, p := range b.seen.Pairs {
		if p.Target != nil && basisOf(p) == nil {
			free = append(free, *p.Target)
		}
	}
	for _, p := range b.seen.Pairs {
		if p.Target != nil {
			continue
		}
		had, best := b.had(p), uint64(0)
		for _, o := range free {
			base := common(&p.Source, &o)
			if base == nil || o.Partial || o.Token != "" || o.Name == asideName(p.To, o.GUID) { // that one a person kept aside
				continue
			}
			if was := had != nil && had.Target == o.GUID; was || base.TXG > best {
				if b.moves[p.To], best = o, base.TXG; was {
					break
				}
			}
		}
		free = slices.DeleteFunc(free, func(o state.End) bool { return o.GUID == b.moves[p.To].GUID })
	}
}

// moved gives the replica of a source under another name.
func (b *batch) moved(p state.Pair) (state.End, bool) {
	if b.moves == nil {
		b.findMoves()
	}
	o, ok := b.moves[p.To]
	return o, ok
}

// renames tells whether a replica can be named as its source is now: what is above it goes first, for it goes along or makes
// the place.
func (b *batch) renames(p state.Pair, o state.End) bool {
	up := string(spec.DatasetName(p.To).Parent())
	for _, x := range b.moves {
		if x.Name != o.Name && spec.DatasetName(o.Name).Under(spec.DatasetName(x.Name)) || x.Name == up {
			return false
		}
	}
	return slices.ContainsFunc(b.seen.Pairs, func(q state.Pair) bool { return q.To == up && q.Target != nil && !q.Target.Partial })
}

// goesAlong tells whether an orphan is one of those, or below one.
func (b *batch) goesAlong(name string) bool {
	for _, x := range b.moves {
		if spec.DatasetName(name).Under(spec.DatasetName(x.Name)) {
			return true
		}
	}
	return false
}

// rename names a replica as its source is called now, so that the next run goes on from what both have.
func (b *batch) rename(p state.Pair, o state.End) drivers.Action {
	argv := []string{"zfs", "rename", "-u", o.Name, p.To}
	if o.Type == "volume" {
		argv = zfs.Rename(o.Name, p.To).Argv
	}
	c := host.Write(argv...)
	c.Host = b.want.Target.Remote
	there := zfs.ExpectProps(o.Name, map[string]state.Property{"guid": {Value: o.GUID, Source: "-"}})
	there.Command.Host = b.want.Target.Remote
	source := zfs.ExpectProps(p.Source.Name, map[string]state.Property{"guid": {Value: p.Source.GUID, Source: "-"}})
	source.Command.Host = b.want.Source.Remote
	a := drivers.Action{
		Object: b.pairRef(p), GUID: o.GUID, Verb: drivers.Update, Risk: spec.Disruptive,
		Reason: drivers.Reason{Code: drivers.Conflict, At: b.want.Pos.At(), Observed: fmt.Sprintf("%s is the replica of %s, which had another name", o.Name, p.Source.Name)},
		Fields: []drivers.Field{{Name: "name", From: o.Name, To: p.To}},
		Undo:   fmt.Sprintf("zfs rename %s %s", p.To, o.Name),
		Hold:   fmt.Sprintf("%s is the replica of %s, which had another name: it is named %s, and goes on from what both have", o.Name, p.Source.Name, p.To),
		Guard:  []host.Expect{source, there},
		Steps:  []host.Command{c},
	}
	var below []string
	for _, x := range b.seen.Orphans {
		if x.Name != o.Name && spec.DatasetName(x.Name).Under(spec.DatasetName(o.Name)) {
			below = append(below, x.Name)
		}
	}
	if below != nil {
		a.Notes = append(a.Notes, "what is below it goes along: "+drivers.Some(below))
	}
	if c.Host != "" {
		a.Notes = append(a.Notes, fmt.Sprintf("a key that is for dplane receive alone may not do that: then type it on %s: %s", c.Host, c))
	}
	return a
}

// whose is the source that a target has something in common with that is another one's by its name, "" where there is none.
func (b *batch) whose(p state.Pair) string {
	for _, q := range b.seen.Pairs {
		if q.Source.GUID != p.Source.GUID && common(&q.Source, p.Target) != nil {
			return q.Source.Name
		}
	}
	return ""
}
