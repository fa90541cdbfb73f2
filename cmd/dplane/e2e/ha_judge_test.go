//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/history"
	"github.com/dplaneos/dplane/state"
)

// span is a time in which a node wrote again and again, or had the address. Nanoseconds of the clock here.
type span struct{ from, to int64 }

// notes are what a writer wrote down.
type notes struct {
	wrote, address []span
	acked          []int64 // what was written to the end, by its number
	at             map[int64]int64
}

// apart is how long nothing is written before a node is taken not to write any more.
const apart = int64(time.Second)

// read takes a writer's notes. behind is by how much its clock is ahead of the one here.
func readNotes(text string, ahead int64) *notes {
	n := &notes{at: map[int64]int64{}}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 4 || f[0] == "failed" {
			continue
		}
		from, _ := strconv.ParseInt(f[1], 10, 64)
		to, _ := strconv.ParseInt(f[2], 10, 64)
		s := span{from - ahead, to - ahead}
		if f[0] == "address" {
			n.address = longer(n.address, s)
			continue
		}
		n.wrote = longer(n.wrote, s)
		number, _ := strconv.ParseInt(f[3], 10, 64)
		n.acked = append(n.acked, number)
		n.at[number] = s.to
	}
	return n
}

// longer adds to the last one, where it goes on.
func longer(all []span, s span) []span {
	if n := len(all); n > 0 && s.from-all[n-1].to < apart {
		all[n-1].to = s.to
		return all
	}
	return append(all, s)
}

// facts are those of a node: what it did, from its writer, and what it decided, from its record.
func (n *notes) facts(node string, decided []history.Fact) []history.Fact {
	all := slices.Clone(decided)
	term := func(at int64) (t uint64) {
		for _, f := range decided {
			if f.Event == history.Promote && f.Mono <= at {
				t = f.Term
			}
		}
		return t
	}
	add := func(spans []span, on, off string) {
		for _, s := range spans {
			all = append(all, history.Fact{Mono: s.from, Node: node, Term: term(s.from), Event: on}, history.Fact{Mono: s.to, Node: node, Term: term(s.from), Event: off})
		}
	}
	add(n.wrote, history.RWOn, history.RWOff)
	add(n.address, history.VIPOn, history.VIPOff)
	return all
}

// decision is one that a node recorded.
type decision struct {
	node string
	d    state.Decision
	// of the part of the test in which it was made: what the person accepted, and of whom was said what is not so.
	accepted bool
	lied     []string
}

// decidedBy reads `dplane ha explain --json`.
func decidedBy(node, doc string) (all []decision, err error) {
	var list struct{ Decisions []state.Decision }
	if err := json.Unmarshal([]byte(doc), &list); err != nil {
		return nil, err
	}
	for _, d := range list.Decisions {
		all = append(all, decision{node: node, d: d})
	}
	return all, nil
}

// factsOf are what the decisions of a node changed: each is made once more from its inputs.
func factsOf(all []decision, ahead map[string]int64) (facts []history.Fact, err error) {
	slices.SortFunc(all, func(a, b decision) int {
		return cmp.Compare(a.d.At.UnixNano()-ahead[a.node], b.d.At.UnixNano()-ahead[b.node])
	})
	for _, x := range all {
		in, after, acts, err := ha.Replay(&x.d)
		if err != nil {
			return nil, err
		}
		f := history.Fact{Mono: x.d.At.UnixNano() - ahead[x.node], Node: x.node, Term: after.Term}
		add := func(event string) { f.Event = event; facts = append(facts, f) }
		if after.Term > in.State.Term {
			add(history.Term)
		}
		if after.Promise.Term > in.State.Promise.Term {
			p := f
			p.Event, p.Term, p.Peer = history.Promise, after.Promise.Term, after.Promise.To
			facts = append(facts, p)
		}
		if slices.ContainsFunc(acts, func(a ha.Action) bool { return a.Do == ha.Freeze }) {
			add(history.Found)
		}
		if after.Role != state.RolePromoting || in.State.Role == state.RolePromoting || after.Term == in.State.Term && after.Holder == in.State.Holder {
			continue
		}
		f.Proofs = map[string]string{}
		for _, p := range after.Proofs {
			f.Proofs[p.Peer] = p.Kind
			if p.Kind == state.ProofWord && slices.Contains(x.lied, p.Peer) {
				f.False = append(f.False, p.Peer)
			}
		}
		f.LagKnown = after.Taken == after.Term || in.State.Term == 0 || in.State.Holder == x.node
		f.Approved = x.accepted
		add(history.Promote)
	}
	return facts, nil
}
