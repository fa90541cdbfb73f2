package replication

import (
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// anchors are the commands' objects that keep what both ends have in common: a bookmark at the source, which holds no
// data, and a hold at the target. While something is under way what is sent is held at the source, or a resume token
// would be worth nothing.
type anchors struct {
	Bookmark [2]string // snapshot and bookmark, whole names; "": there is one
	Drop     []string  // older bookmarks of this replication
	Release  []string  // holds at the source that nothing needs any more
	Hold     string    // at the target; "": it is held
	Let      []string  // holds at the target on older ones
}

// Tag is the hold of a replication at its target.
func Tag(replication string) string { return "dplane:" + replication }

// sourceTag is its hold at its source. It is another one: what one replication receives another machine's may send on, by
// the same name, and each lets go of its own alone. No replication's name has a colon.
func sourceTag(replication string) string { return Tag(replication) + ":source" }

// bookmarkOf is the name of a replication's bookmark of the snapshot of this guid.
func bookmarkOf(replication, guid string) string { return "dplane-" + replication + "-" + guid }

// longestName is how long a whole name may be (ZFS_MAX_DATASET_NAME_LEN, without its end).
const longestName = 255

// nameable tells whether zfs takes a whole name. A bookmark may have got a longer one since it was made: zfs-rename(8) looks at the
// names of snapshots alone. It can't be destroyed then, until its dataset has a shorter name again.
func nameable(whole string) bool { return len(whole) <= longestName }

// anchor says what is to be done so that a pair is held by its basis alone. Nothing is let go of where there is no
// basis: the target may be another disk, or empty for once, and come back. under are the guids of what is under way, back
// those of what other targets have.
func anchor(replication string, p state.Pair, b *basis, under, back map[string]bool) (a anchors) {
	if b == nil || p.Target == nil {
		return anchors{}
	}
	kept := false // by a bookmark
	marked := map[string]bool{}
	for _, m := range p.Source.Bookmarks {
		marked[m.GUID] = marked[m.GUID] || m.Name == bookmarkOf(replication, m.GUID)
		switch {
		case m.Name != bookmarkOf(replication, m.GUID): // whoever made it may drop it
		case m.GUID == b.GUID:
			kept = true
		case m.TXG < b.TXG && !back[m.GUID] && nameable(p.Source.Name+"#"+m.Name):
			a.Drop = append(a.Drop, p.Source.Name+"#"+m.Name)
		}
	}
	if name := p.Source.Name + "#" + bookmarkOf(replication, b.GUID); !kept && !b.bookmark && nameable(name) {
		a.Bookmark = [2]string{p.Source.Name + "@" + b.Name, name}
		kept = true
	}
	safe := kept || slices.ContainsFunc(p.Source.Snapshots, func(s state.Point) bool { return s.GUID == b.GUID && s.Ours })
	if !safe { // the base may go, and then an older one is what both still have
		a.Drop = nil
	}
	for _, s := range p.Source.Snapshots {
		if s.Ours && !under[s.GUID] && (s.GUID != b.GUID || kept) && (!back[s.GUID] || marked[s.GUID]) {
			a.Release = append(a.Release, p.Source.Name+"@"+s.Name)
		}
	}
	older := true
	for _, s := range p.Target.Snapshots {
		switch {
		case s.GUID == b.GUID:
			if older = false; !s.Ours {
				a.Hold = p.Target.Name + "@" + s.Name
			}
		case older && s.Ours && safe:
			a.Let = append(a.Let, p.Target.Name+"@"+s.Name)
		}
	}
	return a
}

// none tells whether nothing is to be done.
func (a anchors) none() bool {
	return a.Bookmark[0] == "" && a.Hold == "" && len(a.Drop)+len(a.Release)+len(a.Let) == 0
}

// inPlan tells which snapshots a plan sends of one dataset.
func inPlan(plan drivers.SendingPair) func(state.Point) bool {
	return func(s state.Point) bool { return slices.Contains(plan.Snapshots, s.GUID) }
}

// toHold are the snapshots that are held at the source while a run lasts: all that is sent, and what a resume token is of. What
// lies between the ends of a stream is too, though each hold is a write of its own: where the stream breaks off there, it is the
// newest that the target has. Pruned before both ends are seen again, it leaves the target with what the source has not,
// and nothing can be sent on top of that.
func toHold(w *drivers.Sending, pairs []state.Pair) (names []string) {
	for _, plan := range w.Pairs {
		p, err := now(plan, pairs)
		if err != nil {
			continue
		}
		need, target := map[string]bool{}, p.Target
		if target != nil {
			need = underWay(p)
			if target.Partial { // what is under way is its first, and the rest follows
				target = nil
			}
		}
		for _, s := range judge(&p.Source, target, inPlan(plan), plan.Raw).Sends {
			need[s.GUID] = true
		}
		for _, s := range p.Source.Snapshots {
			if need[s.GUID] && !s.Ours {
				names = append(names, p.Source.Name+"@"+s.Name)
			}
		}
	}
	return names
}
