package replication

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// wait is a source that can't be sent before something else is done.
type wait struct{ source, target, cause string }

// Waiting says what of a replication can't be sent yet, and what has to be done first.
func Waiting(want *spec.Replication, seen *state.Replication) []string {
	b := &batch{want: want, seen: seen, sending: *way(want)}
	for _, p := range seen.Pairs {
		b.judge(p)
	}
	return b.waiting()
}

// waiting are the sources that wait, by what they wait for.
func (b *batch) waiting() (all []string) {
	var causes []string
	sources := map[string][]string{}
	for _, w := range b.waits {
		if sources[w.cause] == nil {
			causes = append(causes, w.cause)
		}
		sources[w.cause] = append(sources[w.cause], w.source)
	}
	for _, c := range causes {
		all = append(all, fmt.Sprintf("not sent before %s: %s", c, drivers.Some(sources[c])))
	}
	return all
}

// lacks says what has to be done before a dataset can be received that is not there: dplane makes no parents, and
// zfs-receive(8) makes none. It is "" where what is above it is there, or is made in the same run.
func (b *batch) lacks(p state.Pair) string {
	up := spec.DatasetName(p.To).Parent()
	i := slices.IndexFunc(b.seen.Pairs, func(q state.Pair) bool { return q.To == string(up) })
	switch {
	case p.Target != nil || p.To == string(b.want.Target.Dataset): // what is above that was looked for
		return ""
	case i >= 0 && b.seen.Pairs[i].Target != nil && !b.seen.Pairs[i].Target.Partial:
		return ""
	case b.makes(up), b.lostAll.makes(up), slices.ContainsFunc(b.seen.Orphans, func(o state.End) bool { return o.Name == string(up) }):
		return ""
	}
	if w := slices.IndexFunc(b.waits, func(w wait) bool { return w.target == string(up) }); w >= 0 {
		return b.waits[w].cause
	}
	if i < 0 {
		return fmt.Sprintf("%s, into which it would be received, is there", up)
	}
	q := b.seen.Pairs[i].Source
	if len(chosen(q.Snapshots, b.wanted)) > 0 {
		return fmt.Sprintf("%s is at the target", q.Name)
	}
	which, name := "", "NAME"
	if len(b.want.Snapshots) > 0 {
		which, name = " of those that are sent ("+strings.Join(b.want.Snapshots, ", ")+")", b.want.Snapshots[0]
	}
	return fmt.Sprintf("%s has a snapshot%s, for there is no %s to receive it into: zfs snapshot %[1]s@%[4]s, or exclude what is below", q.Name, which, up, name)
}
