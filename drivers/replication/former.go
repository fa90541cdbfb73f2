package replication

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Names in the files are a person's: a replication or a remote that is called otherwise now is what it was. Its memory is
// found by what stands at both ends: the guid of the source, and the name of the target.

// sameRemote tells whether a machine may be the one that was known by another name: one that the files still name is not.
func sameRemote(want *spec.Spec, now, was string) bool {
	return now == was || now != "" && was != "" && want.Remotes[was] == nil
}

// sameEnds tells whether a replication goes the way it went, whatever its machines were called then.
func sameEnds(want *spec.Spec, r *spec.Replication, w state.Way) bool {
	return string(r.Source.Dataset) == w.Source && string(r.Target.Dataset) == w.Target &&
		sameRemote(want, r.Source.Remote, w.From) && sameRemote(want, r.Target.Remote, w.To)
}

// follow names the place of a replication as the files do now, where they call its machine otherwise. It tells whether that
// changed anything.
func follow(want *spec.Spec, r *spec.Replication, known *state.Replicated) (changed bool) {
	if known == nil || unreached(r) != "" {
		return false
	}
	here := place(r.Target.Remote, string(r.Target.Dataset))
	renamed := func(place string) bool {
		remote, dataset, ok := strings.Cut(place, ":")
		return ok && place != here && dataset == string(r.Target.Dataset) && sameRemote(want, r.Target.Remote, remote)
	}
	for guid, c := range known.Common {
		if renamed(c.Place) {
			c.Was = calledThen(c, here)
			c.Place, changed = here, true
			known.Common[guid] = c
		}
	}
	for guid, s := range known.Sent {
		if renamed(s.Place) {
			s.Place, changed = here, true
			known.Sent[guid] = s
		}
	}
	for _, was := range slices.Sorted(maps.Keys(known.Elsewhere)) {
		if renamed(was) {
			changed = true
			for guid, k := range all(&state.Replicated{Elsewhere: map[string]*state.Elsewhere{was: known.Elsewhere[was]}}) {
				take(known, here, guid, k)
			}
			delete(known.Elsewhere, was)
		}
	}
	if w := known.Way; changed && w != nil && sameEnds(want, r, *w) {
		w.From, w.To = r.Source.Remote, r.Target.Remote
	}
	return changed
}

// calledThen is what the machine of a place was called when something was sent there, "" where it is called so still.
func calledThen(c state.Common, here string) string {
	was, _, _ := strings.Cut(c.Place, ":")
	if now, _, _ := strings.Cut(here, ":"); was == now {
		return c.Was
	}
	return was
}

// follow keeps that of all.
func (d *Driver) follow(ctx context.Context, want *spec.Spec, obs *state.Observed, known map[string]*state.Replicated) error {
	for _, name := range slices.Sorted(maps.Keys(want.Replications)) {
		busy := slices.ContainsFunc(obs.Running, func(l state.Lane) bool { return l.Kind == string(spec.KindReplication) && l.Name == name })
		if !follow(want, want.Replications[name], known[name]) || !d.Learns || busy {
			continue
		}
		if err := d.Memory.SaveReplicated(ctx, name, known[name]); err != nil {
			return err
		}
	}
	return nil
}

// knowing is what is known of one source and one target.
type knowing struct {
	common state.Common
	sent   state.Sent // without a place where that is not known
}

// all is what is known of each source with each of its targets, newest last.
func all(r *state.Replicated) func(yield func(guid string, k knowing) bool) {
	return func(yield func(string, knowing) bool) {
		each := func(common map[string]state.Common, sent map[string]state.Sent) bool {
			for guid, c := range common {
				k := knowing{common: c}
				if s := sent[guid]; s.Place == c.Place {
					k.sent = s
				}
				if !yield(guid, k) {
					return false
				}
			}
			return true
		}
		for _, e := range r.Elsewhere {
			if !each(e.Common, e.Sent) {
				return
			}
		}
		each(r.Common, r.Sent)
	}
}

// counts tells whether what is known of a source was sent to where a replication sends, under whatever name.
func counts(want *spec.Spec, r *spec.Replication, c state.Common) bool {
	remote, dataset, ok := strings.Cut(c.Place, ":")
	return ok && r.Target.Dataset != "" && sameRemote(want, r.Target.Remote, remote) &&
		spec.DatasetName(cmp.Or(c.To, dataset)).Under(r.Target.Dataset)
}

// knows tells whether something is remembered of a source and the target of this place.
func knows(r *state.Replicated, here, guid string) bool {
	if r == nil {
		return false
	}
	if c, ok := r.Common[guid]; ok && (c.Place == "" || c.Place == here) {
		return true
	}
	was := r.Elsewhere[here]
	if was == nil {
		return false
	}
	_, ok := was.Common[guid]
	return ok
}

// take adds what is known of a source and the target of this place, unless something newer is.
func take(r *state.Replicated, here, guid string, k knowing) {
	k.common.Was = calledThen(k.common, here)
	k.common.Place = here
	common, sent := &r.Common, &r.Sent
	if was, ok := r.Common[guid]; ok && was.Place != "" && was.Place != here { // it is what is sent to since; this stands beside it
		e := elsewhere(r, here)
		common, sent = &e.Common, &e.Sent
	}
	if was, ok := (*common)[guid]; ok && !was.At.Before(k.common.At) {
		return
	}
	if *common == nil {
		*common = map[string]state.Common{}
	}
	(*common)[guid] = k.common
	if k.sent.Place == "" {
		return
	}
	if *sent == nil {
		*sent = map[string]state.Sent{}
	}
	k.sent.Place = here
	(*sent)[guid] = k.sent
}

// remembered is what is known of a replication, with what is known of its sources and targets by other names. What is known
// itself stays as it is.
func remembered(want *spec.Spec, r *spec.Replication, known map[string]*state.Replicated) *state.Replicated {
	own, here := known[r.Name], place(r.Target.Remote, string(r.Target.Dataset))
	var out *state.Replicated
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if name == r.Name {
			continue
		}
		for guid, k := range all(known[name]) {
			if !counts(want, r, k.common) || knows(own, here, guid) {
				continue
			}
			if out == nil {
				out = copied(own)
			}
			take(out, here, guid, k)
		}
	}
	if out == nil {
		return own
	}
	return out
}

// copied is a memory whose maps of sources may be added to.
func copied(r *state.Replicated) *state.Replicated {
	if r == nil {
		return &state.Replicated{}
	}
	out := *r
	out.Common, out.Sent, out.Elsewhere = maps.Clone(r.Common), maps.Clone(r.Sent), maps.Clone(r.Elsewhere)
	for place, e := range out.Elsewhere {
		out.Elsewhere[place] = &state.Elsewhere{Common: maps.Clone(e.Common), Sent: maps.Clone(e.Sent)}
	}
	return &out
}

// owed tells whether something is known by this name alone that a declared replication goes on with under another one.
func owed(want *spec.Spec, known map[string]*state.Replicated, name string) bool {
	for guid, k := range all(known[name]) {
		for other, r := range want.Replications {
			if other != name && counts(want, r, k.common) && !knows(known[other], place(r.Target.Remote, string(r.Target.Dataset)), guid) {
				return true
			}
		}
	}
	return false
}

// needed are the snapshots, by guid, that other targets of a source have than the one of this place: the way back to them begins
// there. target is the guid of that one: it may have been renamed, and the files with it.
func needed(r *state.Replicated, here, source, target string) map[string]bool {
	need := map[string]bool{}
	if r == nil {
		return need
	}
	other := func(place string, c state.Common) bool {
		return place != "" && place != here && (c.Target == "" || c.Target != target)
	}
	if c, ok := r.Common[source]; ok && other(c.Place, c) {
		need[c.GUID] = true
	}
	for was, e := range r.Elsewhere {
		if c, ok := e.Common[source]; ok && other(was, c) {
			need[c.GUID] = true
		}
	}
	return need
}

// neededBy are those of a source whose target is not looked at: it is the one that was sent to last.
func neededBy(r *state.Replicated, here, source string) map[string]bool {
	target := ""
	if c := r.Common[source]; c.Place == here {
		target = c.Target
	}
	return needed(r, here, source, target)
}
