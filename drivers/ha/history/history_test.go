package history

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	on := func(node string) Fact { return Fact{Node: node, Event: RWOn, Term: 2} }
	off := func(node string) Fact { return Fact{Node: node, Event: RWOff} }
	told := func(node string, at int64) Fact { return Fact{Mono: at, Node: node, Event: Term, Term: 2} }
	promoted := func(change func(*Fact)) Fact {
		f := Fact{Node: "b", Event: Promote, Term: 2, Proofs: map[string]string{"a": "P1"}, LagKnown: true}
		change(&f)
		return f
	}
	same := func(*Fact) {}
	lie := promoted(func(f *Fact) { f.Proofs, f.False = map[string]string{"a": "P4"}, []string{"a"} })
	healed := Fact{Event: Healed}
	for _, c := range []struct {
		name  string
		facts []Fact
		wrong string // the rules, in order
	}{
		{"one after the other", []Fact{on("a"), off("a"), promoted(same), on("b")}, ""},
		{"two", []Fact{on("a"), on("b")}, "I1"},
		{"an address is enough", []Fact{{Node: "a", Event: VIPOn, Term: 2}, on("b")}, "I1"},
		{"one has stopped in part", []Fact{on("a"), {Node: "a", Event: VIPOn, Term: 2}, off("a"), on("b")}, "I1"},
		{"a false word", []Fact{on("a"), lie, on("b")}, ""},
		{"a true word that was false all the same", []Fact{on("a"), promoted(func(f *Fact) { f.Proofs = map[string]string{"a": "P4"} })}, "I2"},
		{"a false word, and nobody finds it", []Fact{on("a"), lie, on("b"), healed}, "I1"},
		{"a false word, and it is found", []Fact{on("a"), lie, on("b"), healed, {Node: "b", Event: Found}}, ""},
		{"a false word, and it ends", []Fact{on("a"), lie, on("b"), healed, off("a")}, ""},
		{"a false word, which still is one after the other stopped for a while", []Fact{on("a"), lie, on("b"), off("b"), on("b")}, ""},
		{"a false word, and the one it was said of goes on without having heard", []Fact{on("a"), lie, on("b"), off("a"), on("a")}, ""},
		{"a false word, and the one it was said of heard, stopped, and begins again", []Fact{on("a"), lie, on("b"), told("a", 0), off("a"), on("a")}, "I1"},
		{"a false word, and the one it was said of stopped, heard, and begins again", []Fact{on("a"), lie, on("b"), off("a"), told("a", 0), {Mono: 3e9, Node: "a", Event: RWOn, Term: 2}}, "I1"},
		{"a false word, and it was heard as a step was on its way", []Fact{on("a"), lie, on("b"), off("a"), told("a", 0), {Mono: 1e9, Node: "a", Event: RWOn, Term: 2}}, ""},
		{"a false word, in a term that is known already", []Fact{on("a"), lie, on("b"), {Node: "a", Event: Hears, Term: 2, Peer: "b"}, off("a"), on("a")}, "I1"},
		{"a false word, and another one was heard", []Fact{on("a"), lie, on("b"), {Node: "a", Event: Hears, Term: 2, Peer: "c"}, off("a"), on("a")}, ""},
		{"started alone", []Fact{on("a"), {Node: "b", Event: Alone}, on("b")}, ""},
		{"in a term that is over", []Fact{promoted(same), {Node: "a", Event: RWOn, Term: 1}}, "I6"},
		{"no proof", []Fact{promoted(func(f *Fact) { f.Proofs = nil })}, "I2"},
		{"a proof of another kind", []Fact{promoted(func(f *Fact) { f.Proofs = map[string]string{"a": "unreachable"} })}, "I2"},
		{"a promise of one that writes", []Fact{on("a"), promoted(same)}, "I2"},
		{"fenced, and it writes", []Fact{on("a"), promoted(func(f *Fact) { f.Proofs = map[string]string{"a": "P3"} })}, "I2"},
		{"lag", []Fact{promoted(func(f *Fact) { f.LagKnown = false })}, "I5"},
		{"lag, accepted", []Fact{promoted(func(f *Fact) { f.LagKnown, f.Approved = false, true })}, ""},
		{"a term is left out", []Fact{promoted(func(f *Fact) { f.Term = 3 })}, "I6"},
		{"a term was promised, and not taken", []Fact{{Node: "a", Event: Promise, Term: 2, Peer: "b"}, promoted(func(f *Fact) { f.Term = 3 })}, ""},
		{"a term twice", []Fact{promoted(same), {Node: "a", Event: Promote, Term: 2, Proofs: map[string]string{"b": "P1"}, LagKnown: true}}, "I6"},
		{"a term twice, of one that was off", []Fact{promoted(same), {Node: "a", Event: Promote, Term: 2, Proofs: map[string]string{"b": "P3"}, LagKnown: true}}, ""},
		{"a term twice, an older database", []Fact{promoted(same), {Node: "a", Event: Restored}, {Node: "a", Event: Promote, Term: 2, Proofs: map[string]string{"b": "P1"}, LagKnown: true}}, ""},
		{"a stream", []Fact{{Node: "b", Event: RecvBegin, Term: 1, Peer: "a"}, {Node: "b", Event: RecvEnd, Term: 1, Peer: "a"}}, ""},
		{"a stream of an older term", []Fact{{Node: "b", Event: Term, Term: 2}, {Node: "b", Event: RecvBegin, Term: 1, Peer: "a"}}, "I7"},
		{"a stream that ends in a newer term", []Fact{{Node: "b", Event: RecvBegin, Term: 1, Peer: "a"}, {Node: "b", Event: Term, Term: 2}, {Node: "b", Event: RecvEnd, Term: 1, Peer: "a"}}, "I7"},
		{"a stream of one that does not hold the term", []Fact{promoted(same), {Node: "c", Event: RecvBegin, Term: 2, Peer: "a"}}, "I7"},
		{"a stream into what is written", []Fact{on("b"), {Node: "b", Event: RecvEnd, Term: 1, Peer: "a"}}, "I7"},
		{"a silent discard", []Fact{{Node: "b", Event: Destroy}}, "I8"},
		{"an approved one", []Fact{{Node: "b", Event: Destroy, Approved: true}}, ""},
		{"told out of order", []Fact{{Mono: 2, Node: "b", Event: RWOn, Term: 2}, {Mono: 1, Node: "a", Event: RWOff}, {Node: "a", Event: RWOn, Term: 2}}, ""},
	} {
		nodes := []string{"a", "b"}
		if strings.Contains(c.name, "does not hold") {
			nodes = append(nodes, "c")
			c.facts[0].Proofs["c"] = "P1"
		}
		var rules []string
		for _, w := range Check(nodes, c.facts) {
			rules = append(rules, w[:2])
		}
		if got := strings.Join(rules, " "); got != c.wrong {
			t.Errorf("%s: %q, want %q: %q", c.name, got, c.wrong, Check(nodes, c.facts))
		}
	}
}
