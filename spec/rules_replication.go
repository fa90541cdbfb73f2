package spec

import (
	"fmt"
	"sort"
	"strings"
)

// maxReplications bounds the comparison of each with each.
const maxReplications = 5000

func (l *loader) replicationRules() {
	names := sortedKeys(l.spec.Replications)
	if len(names) > maxReplications {
		r := l.spec.Replications[names[maxReplications]]
		l.rule(r.Pos, "replications", "%d replications", len(names)).Expected = fmt.Sprintf("at most %d; a recursive one sends a whole tree", maxReplications)
		return
	}
	writers := l.writers(names)
	for _, name := range names {
		r := l.spec.Replications[name]
		path := join("replications", name)
		l.endRules(r.Source, join(path, "source"))
		l.endRules(r.Target, join(path, "target"))
		l.pairRules(r, path)
		l.oneWriter(r, path, writers)
	}
	l.cycles(names)
	l.pairNames()
}

func (l *loader) endRules(e End, path string) {
	if e.Remote != "" {
		l.refer(e.Pos, join(path, "remote"), "remote", "remotes", e.Remote)
	} else if e.Dataset != "" {
		l.refer(e.Pos, path, "pool", "pools", string(e.Dataset.Pool()))
	}
}

func (l *loader) pairRules(r *Replication, path string) {
	s, t := r.Source, r.Target
	switch {
	case s.Remote != "" && (t.Remote != "" || t.Standby):
		l.rule(t.Pos, join(path, "target"), "both ends are remote").Expected = "one end here: run it on one of the two machines"
	case t.Standby && l.spec.HA == nil && !l.part:
		l.rule(t.Pos, join(path, "target"), "standby without ha: there are no peers").Expected = "a section ha, or a dataset"
	case s.Remote != t.Remote || s.Dataset == "" || t.Dataset == "":
	case t.Dataset.Under(s.Dataset):
		l.rule(t.Pos, join(path, "target"), "the target %s is inside its own source %s", t.Dataset, s.Dataset).Expected = "a dataset outside of the source"
	case s.Dataset.Under(t.Dataset):
		l.rule(t.Pos, join(path, "target"), "the source %s is inside its own target %s, and what is there is only received", s.Dataset, t.Dataset).Expected = "a dataset that does not hold the source"
	}
}

// site is a dataset of some machine.
type site struct {
	machine string
	dataset DatasetName
}

// sites are where a replication makes its topmost target: on the peers, for the standby, whichever node reads the files.
// Two remotes of one address are one machine.
func (l *loader) sites(r *Replication) (all []site) {
	if !r.Target.Standby {
		return []site{{l.machine(r.Target.Remote), r.Target.Dataset}}
	}
	all = []site{{standby, r.Source.Dataset}}
	if l.spec.HA == nil {
		return all
	}
	for _, name := range sortedKeys(l.spec.HA.Peers) {
		if p := l.spec.HA.Peers[name]; p.Remote != "" {
			all = append(all, site{l.machine(p.Remote), r.Source.Dataset})
		}
	}
	return all
}

func (l *loader) machine(remote string) string {
	r := l.spec.Remotes[remote]
	if r == nil || r.Host == "" {
		return remote
	}
	return fmt.Sprintf("%s:%d", strings.ToLower(r.Host), r.Port)
}

// writers are the replications by what they make; of two that make the same the first.
func (l *loader) writers(names []string) map[site]*Replication {
	all := map[site]*Replication{}
	for _, name := range names {
		for _, at := range l.sites(l.spec.Replications[name]) {
			if all[at] == nil && at.dataset != "" {
				all[at] = l.spec.Replications[name]
			}
		}
	}
	return all
}

// oneWriter: two replications into one target would undo each other's work, also where one of them does not yet write there
// since its source has no such dataset so far.
func (l *loader) oneWriter(r *Replication, path string, writers map[site]*Replication) {
	for _, at := range l.sites(r) {
		for up := at.dataset; up != ""; up = up.Parent() {
			other := writers[site{at.machine, up}]
			switch {
			case other == nil || other == r:
			case up == at.dataset:
				l.rule(r.Target.Pos, join(path, "target"), "%s sends into the same target already (%s)", other.Name, other.Target.Pos).Expected = "a target of its own"
				return
			case other.Recursive && !other.Excludes(other.Source.Dataset+at.dataset[len(up):]):
				from := other.Source.Dataset + at.dataset[len(up):]
				into := string(up)
				if other.Target.Standby {
					into = "the standby"
				}
				l.rule(r.Target.Pos, join(path, "target"), "%s sends %s to %s already, with what is below, so that it writes to %s as well (%s)", other.Name, other.Source.Dataset, into, at.dataset, other.Target.Pos).
					Expected = fmt.Sprintf("a target outside of %s, or %s among what %s excludes", up, from, other.Name)
				return
			}
		}
	}
}

// feeds tells whether what a received is sent on by b.
func feeds(a, b *Replication) bool {
	t, s := a.Target, b.Source
	if t.Standby || t.Dataset == "" || s.Dataset == "" || t.Remote != s.Remote {
		return false
	}
	return t.Dataset == s.Dataset || a.Recursive && s.Dataset.Under(t.Dataset) || b.Recursive && t.Dataset.Under(s.Dataset)
}

// cycles finds replications that, followed along, come back to where they began.
func (l *loader) cycles(names []string) {
	next := map[string][]string{}
	bySource := map[string][]string{} // what could be fed, by machine and pool
	at := func(e End) string { return e.Remote + "\x00" + string(e.Dataset.Pool()) }
	for _, b := range names {
		k := at(l.spec.Replications[b].Source)
		bySource[k] = append(bySource[k], b)
	}
	for _, a := range names {
		for _, b := range bySource[at(l.spec.Replications[a].Target)] {
			if a != b && feeds(l.spec.Replications[a], l.spec.Replications[b]) {
				next[a] = append(next[a], b)
			}
		}
	}
	state := map[string]int{} // 1: on the way, 2: done
	for _, n := range names {
		l.follow(n, nil, next, state)
	}
}

func (l *loader) follow(n string, way []string, next map[string][]string, state map[string]int) {
	if state[n] == 2 {
		return
	}
	if state[n] == 1 {
		for way[0] != n {
			way = way[1:]
		}
		sort.Strings(way)
		r := l.spec.Replications[way[0]]
		l.rule(r.Pos, join("replications", way[0]), "goes round in a circle with %s", strings.Join(way[1:], ", ")).Expected = "a target that is sent on to none of its sources"
		return
	}
	state[n] = 1
	for _, b := range next[n] {
		l.follow(b, append(append([]string(nil), way...), n), next, state)
	}
	state[n] = 2
}

// warnings: a replication sends what is there, so its source needs a schedule that is quick enough.
func (l *loader) warnings() {
	for _, name := range sortedKeys(l.spec.Replications) {
		r := l.spec.Replications[name]
		path := join("replications", name)
		if r.Source.Remote != "" || r.Source.Dataset == "" {
			continue
		}
		switch s := l.spec.Covering(r.Source.Dataset).Schedule; {
		case s == nil:
			l.warn(r.Source.Pos, join(path, "source"), "no schedule covers %s: nothing takes the snapshots that are to be sent", r.Source.Dataset)
		case r.Objective != 0 && s.Period() > r.Objective:
			l.warn(r.Pos, join(path, "objective"), "the objective is %s, but schedule %s takes a snapshot every %s", r.Objective, s.Name, s.Period())
		case r.Objective != 0 && r.When.Recur != nil && r.When.Recur.Every > r.Objective:
			l.warn(r.Pos, join(path, "objective"), "the objective is %s, but it is sent every %s", r.Objective, r.When.Recur.Every)
		}
	}
	l.mountWarnings()
	l.targetWarnings()
	if h := l.spec.HA; h != nil && h.StartAlone != 0 {
		l.warn(h.Pos, "ha.startAlone", "a node that is cut off at its start becomes active after %s: two nodes may then write at once", h.StartAlone)
	}
}
