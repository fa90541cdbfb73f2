package replication

import (
	"slices"

	"github.com/dplaneos/dplane/state"
)

// basis is where a stream begins: the newest snapshot or bookmark that both ends have, by guid. Names don't matter, and
// neither does the clock.
type basis struct {
	state.Point
	bookmark bool // the source has only a bookmark of it
}

// leg is one stream: to a snapshot, from the basis or from the leg before.
type leg struct {
	From    string // "@name" or "#name" of the source; "": it is full
	To      state.Point
	Between int // how many snapshots it brings along that lie between; they are all that do
}

// judgement is what one source needs so that its target has what the source has.
type judgement struct {
	Basis    *basis // nil: there is none
	Legs     []leg
	Sends    []state.Point // all that the legs bring, oldest first
	Diverged *divergence   // the target has what the source does not: nothing can be sent on top of it
}

// divergence is why nothing can be sent.
type divergence struct {
	Kind       conflict
	SourceOnly []state.Point // newer than the basis
	TargetOnly []state.Point // newer than the basis
	Written    uint64        // bytes that were written to the target since its newest snapshot
}

// conflict is a kind of divergence.
type conflict string

const (
	unrelated conflict = "unrelated" // both have snapshots, and none in common
	occupied  conflict = "occupied"  // the target is there, and has no snapshot
	branched  conflict = "branched"  // the target has snapshots, with data, that the source has not
	modified  conflict = "modified"  // the target was written to
)

// judge compares the two ends of one dataset. wanted tells which snapshots of the source are to be sent. raw is how they
// are: on a target that receives raw streams not even an empty snapshot may stand on the basis (dmu_recv.c,
// recv_begin_check_existing_impl). target is nil where there is none.
func judge(source, target *state.End, wanted func(state.Point) bool, raw bool) judgement {
	if target == nil {
		return full(source, wanted)
	}
	j := judgement{Basis: common(source, target)}
	if j.Basis == nil {
		kind := unrelated
		if len(target.Snapshots) == 0 {
			kind = occupied
		}
		j.Diverged = &divergence{Kind: kind, SourceOnly: source.Snapshots, TargetOnly: target.Snapshots, Written: target.Written}
		return j
	}
	newer := after(source.Snapshots, j.Basis.TXG)
	if j.Diverged = apart(target, j.Basis.GUID, raw); j.Diverged != nil {
		j.Diverged.SourceOnly = newer
		return j
	}
	j.Legs = legs(j.Basis, newer, wanted)
	j.Sends = chosen(newer, wanted)
	return j
}

// full is what an empty target needs: the oldest snapshot whole, and the others on top of it.
func full(source *state.End, wanted func(state.Point) bool) judgement {
	sends := chosen(source.Snapshots, wanted)
	if len(sends) == 0 {
		return judgement{}
	}
	first := sends[0]
	return judgement{
		Legs:  append([]leg{{To: first}}, legs(&basis{Point: first}, after(source.Snapshots, first.TXG), wanted)...),
		Sends: sends,
	}
}

// common is the newest snapshot of the target that the source has as a snapshot or a bookmark.
func common(source, target *state.End) *basis {
	have := map[string]basis{}
	for _, p := range source.Bookmarks {
		have[p.GUID] = basis{p, true}
	}
	for _, p := range source.Snapshots { // better than a bookmark: all that is between can go in one stream
		have[p.GUID] = basis{p, false}
	}
	for _, p := range slices.Backward(target.Snapshots) {
		if b, ok := have[p.GUID]; ok {
			return &b
		}
	}
	return nil
}

// apart tells what a target has beyond the snapshot of this guid that keeps a stream from being received on it: a stream
// that is not raw goes on top of snapshots that nothing was written for.
func apart(target *state.End, guid string, raw bool) *divergence {
	i := slices.IndexFunc(target.Snapshots, func(p state.Point) bool { return p.GUID == guid })
	beyond := target.Snapshots[i+1:]
	written := slices.ContainsFunc(beyond, func(p state.Point) bool { return p.Written > 0 })
	switch {
	case written, raw && len(beyond) > 0:
		return &divergence{Kind: branched, TargetOnly: beyond, Written: target.Written}
	case target.Written > 0:
		return &divergence{Kind: modified, TargetOnly: beyond, Written: target.Written}
	}
	return nil
}

// legs are the streams from a basis to the newest that is wanted of these, which are all that is newer. Snapshots that
// stand in one row go in one stream; zfs takes no bookmark as the begin of a row.
func legs(from *basis, newer []state.Point, wanted func(state.Point) bool) (all []leg) {
	at, row := "@"+from.Name, !from.bookmark
	if from.bookmark {
		at = "#" + from.Name
	}
	open := false // the last leg has all that is between its ends, and may go on
	for _, p := range newer {
		switch {
		case !wanted(p):
			row, open = false, false
			continue
		case open:
			all[len(all)-1].To = p
			all[len(all)-1].Between++
		default:
			all = append(all, leg{From: at, To: p})
			open = row
		}
		at, row = "@"+p.Name, true
	}
	return all
}

func after(list []state.Point, txg uint64) []state.Point {
	i := slices.IndexFunc(list, func(p state.Point) bool { return p.TXG > txg })
	if i < 0 {
		return nil
	}
	return list[i:]
}

func chosen(list []state.Point, wanted func(state.Point) bool) (out []state.Point) {
	for _, p := range list {
		if wanted(p) {
			out = append(out, p)
		}
	}
	return out
}
