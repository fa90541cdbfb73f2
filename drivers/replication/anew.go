package replication

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// makes tells whether a batch makes this target.
func (b *batch) makes(target spec.DatasetName) bool {
	return b != nil && slices.ContainsFunc(b.sending.Pairs, func(p drivers.SendingPair) bool { return p.Target == string(target) })
}

// own are the bytes of a source without what is below it, which zfs counts in, as far as that is seen.
func (b *batch) own(p state.Pair) uint64 {
	n := p.Source.Used
	for _, q := range b.seen.Pairs {
		if spec.DatasetName(q.Source.Name).Parent() == spec.DatasetName(p.Source.Name) {
			n -= min(n, q.Source.Used)
		}
	}
	return n
}

// anew is the whole sending of what the target had once, with what is below: one action, for a parent goes before its
// children. Its id is of the datasets and where they go, not of their snapshots: a person who names it may have read it
// before the newest was taken.
func (b *batch) anew() drivers.Action {
	l := b.lostAll
	fields := make([]drivers.Field, 0, len(l.sending.Pairs))
	var notes, targets []string
	machines := ""
	for i, p := range l.sending.Pairs {
		at := slices.IndexFunc(b.seen.Pairs, func(q state.Pair) bool { return q.Source.GUID == p.GUID })
		pair := b.seen.Pairs[at]
		size := spec.Size(b.own(pair)).String()
		targets = append(targets, fmt.Sprintf("%s (about %s)", l.to(p.Target), size))
		notes = append(notes, fmt.Sprintf("%s is sent up to %s", p.Source, l.fields[i].To))
		if had := b.had(pair); had != nil && had.Was != "" && had.Was != b.want.Target.Remote {
			machines = fmt.Sprintf("%s is taken for the machine that was called %s, which the files no longer have: if it is another one, nothing was lost, and this is what it needs", b.want.Target.Remote, had.Was)
		}
		if o, ok := b.moved(pair); ok && b.renames(pair, o) {
			way := b.rename(pair, o)
			way.Identify()
			notes = append(notes, fmt.Sprintf("better: %s is the replica of it, under another name: dplane apply --allow %s names it %s, and it goes on from there", o.Name, way.ID, p.Target))
		}
		fields = append(fields, drivers.Field{Name: p.Source, To: "whole, to " + l.to(p.Target)})
	}
	if machines != "" {
		notes = append(notes, machines)
	}
	a := l.action("the target had it once, and it is not there")
	a.Fields, a.Notes = fields, append(a.Notes, notes...)
	if len(targets) == 1 {
		a.Hold = fmt.Sprintf("%s was replicated before and is gone: it would be sent whole; bring it back if it is only away", targets[0])
	} else {
		a.Hold = fmt.Sprintf("%s were replicated before, or are below what was, and are gone: all would be sent whole, about %s; bring them back if they are only away", strings.Join(targets, ", "), spec.Size(l.full))
	}
	return a
}

// to is a target with its machine.
func (b *batch) to(target string) string {
	if b.want.Target.Remote == "" {
		return target
	}
	return b.want.Target.Remote + ":" + target
}
