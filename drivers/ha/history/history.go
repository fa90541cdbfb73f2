// Package history decides whether what the nodes of a group did was safe: from the facts that each of them noted, and not
// from what they believed. Simulations and end-to-end runs are judged by it.
//
// It must never read a role, a beat or a log line: who is wrong about himself writes those wrongly too.
package history

import (
	"fmt"
	"math"
	"sort"
)

// Fact is something that happened on one node. Mono is a clock that all nodes of the run share, in nanoseconds.
type Fact struct {
	Mono  int64  `json:"mono"`
	Node  string `json:"node"`
	Term  uint64 `json:"term,omitempty"`
	Event string `json:"event"`

	Peer string `json:"peer,omitempty"` // RecvBegin, RecvEnd: who sends
	// Of Promote: its proofs by peer (P1 to P4), those peers of which a person's word was false, and whether what it lacks
	// was known and within its bounds, or accepted.
	Proofs   map[string]string `json:"proofs,omitempty"`
	False    []string          `json:"false,omitempty"`
	LagKnown bool              `json:"lagKnown,omitempty"`
	Approved bool              `json:"approved,omitempty"` // also of Destroy
}

// The events.
const (
	RWOn      = "rw_on" // a dataset of the group can be written
	RWOff     = "rw_off"
	VIPOn     = "vip_on"
	VIPOff    = "vip_off"
	Promote   = "promote"    // the term is persisted as the node's own
	Promise   = "promise"    // of Term, to Peer: persisted, before it is said
	Term      = "term"       // the highest term that the node knows is persisted
	Hears     = "hears"      // it takes in that Peer is active in Term
	RecvBegin = "recv_begin" // a stream was let in
	RecvEnd   = "recv_end"   // what it brought is there
	Destroy   = "destroy"    // of what another node lacks
	Alone     = "alone"      // it started without its peers (ha.startAlone)
	Restored  = "restored"   // an older database was put in the place of its own
	Found     = "found"      // an event of the highest severity tells of two that write
	Healed    = "healed"     // from here on every node runs and hears every other one
)

// checker goes through the facts once.
type checker struct {
	nodes   []string
	open    map[string]map[string]bool // what is writable, by node: rw, vip
	known   map[string]uint64
	holder  map[uint64]string
	highest uint64
	used    map[uint64]bool               // terms that were promoted or promised
	excused map[string]map[string]*excuse // by a false word or startAlone a node may write beside another
	ever    map[string]bool               // they, and those whose database was restored: what terms say of them proves nothing any more
	healed  bool
	pending bool // two write after Healed, and it was not found yet
	wrong   []string
}

// excuse is why a node may write beside another: until that one has heard of it, and stopped. Who has not heard may stop
// and go on in its own term as often as it likes (a switchover that fails does).
type excuse struct {
	term  uint64
	heard bool
	at    int64 // when it heard
}

// onItsWay is how long a step that was begun before its node heard may take to come to its end.
const onItsWay = int64(2e9)

// Check returns what was against the invariants, "" being none. nodes are all of the group.
func Check(nodes []string, facts []Fact) []string {
	c := &checker{nodes: nodes, open: map[string]map[string]bool{}, known: map[string]uint64{}, holder: map[uint64]string{},
		used: map[uint64]bool{1: true}, excused: map[string]map[string]*excuse{}, ever: map[string]bool{}}
	for _, n := range nodes {
		c.open[n], c.excused[n] = map[string]bool{}, map[string]*excuse{}
	}
	sorted := append([]Fact(nil), facts...)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].Mono < sorted[j].Mono })
	for _, f := range sorted {
		c.take(f)
	}
	if c.pending {
		c.fail(Fact{}, "I1", "two nodes could write after all was well again, and nobody said so")
	}
	return c.wrong
}

func (c *checker) fail(f Fact, rule, format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf("%s: %s %s: %s (at %.3fs, term %d)", rule, f.Node, f.Event, fmt.Sprintf(format, args...), float64(f.Mono)/1e9, f.Term))
}

func (c *checker) take(f Fact) {
	switch f.Event {
	case RWOn, VIPOn:
		c.expire(f.Node, func(x *excuse) bool { return f.Mono-x.at > onItsWay })
		c.open[f.Node][f.Event[:2]] = true
		c.writers(f)
	case RWOff, VIPOff:
		delete(c.open[f.Node], f.Event[:2])
		c.expire(f.Node, func(*excuse) bool { return true })
		if c.writing() < 2 {
			c.pending = false
		}
	case Promote:
		c.promote(f)
	case Promise:
		c.used[f.Term] = true
	case Term:
		c.known[f.Node] = max(c.known[f.Node], f.Term)
		c.hears(f)
	case Hears:
		c.hears(f)
	case RecvBegin, RecvEnd:
		c.received(f)
	case Destroy:
		if !f.Approved {
			c.fail(f, "I8", "what another node lacks went without approval")
		}
	case Alone:
		c.ever[f.Node] = true
		for _, n := range c.nodes {
			c.excused[f.Node][n] = &excuse{heard: true, at: math.MaxInt64} // whenever that one begins
		}
	case Restored:
		c.ever[f.Node], c.known[f.Node] = true, 0
	case Found:
		c.pending = false
	case Healed:
		c.healed, c.pending = true, c.writing() > 1
	}
}

// hears: of a term that was promoted beside the node, whoever told it (Term), or of the very node (Hears).
func (c *checker) hears(f Fact) {
	for _, n := range c.nodes {
		if x := c.excused[n][f.Node]; x != nil && !x.heard && f.Term >= x.term && (f.Peer == "" || f.Peer == n) {
			x.heard, x.at = true, f.Mono
		}
	}
}

// expire ends what excused others of writing beside a node that has heard of it, if that one does not write.
func (c *checker) expire(node string, over func(*excuse) bool) {
	if len(c.open[node]) > 0 {
		return
	}
	for _, n := range c.nodes {
		if x := c.excused[n][node]; x != nil && x.heard && over(x) {
			delete(c.excused[n], node)
		}
	}
}

func (c *checker) writing() int {
	n := 0
	for _, is := range c.open {
		if len(is) > 0 {
			n++
		}
	}
	return n
}

// writers holds I1.
func (c *checker) writers(f Fact) {
	for _, other := range c.nodes {
		if other == f.Node || len(c.open[other]) == 0 {
			continue
		}
		if c.excused[f.Node][other] == nil && c.excused[other][f.Node] == nil {
			c.fail(f, "I1", "%s can write too", other)
		}
		c.pending = c.healed
	}
	if h := c.holder[c.highest]; f.Term < c.highest && !c.ever[f.Node] && !c.ever[h] {
		c.fail(f, "I6", "it writes in a term that is over: %s has term %d", h, c.highest)
	}
}

// promote holds I2, I5 and I6.
func (c *checker) promote(f Fact) {
	lied := map[string]bool{}
	for _, p := range f.False {
		lied[p] = true
	}
	for _, peer := range c.nodes {
		if peer == f.Node {
			continue
		}
		switch kind := f.Proofs[peer]; {
		case kind != "P1" && kind != "P2" && kind != "P3" && kind != "P4":
			c.fail(f, "I2", "there is no proof of %s", peer)
		case kind == "P4" && lied[peer]:
			c.excused[f.Node][peer], c.ever[f.Node] = &excuse{term: f.Term}, true
		case len(c.open[peer]) > 0 && !c.behindBack(peer, f):
			c.fail(f, "I2", "%s can write, though %s says that it can't", peer, kind)
		}
	}
	if !f.LagKnown && !f.Approved {
		c.fail(f, "I5", "what it lacks was unknown or too much, and nobody accepted that")
	}
	if f.Term > 1 && !c.used[f.Term-1] && len(c.ever) == 0 {
		c.fail(f, "I6", "term %d was never promoted nor promised", f.Term-1)
	}
	c.used[f.Term] = true
	c.sameTerm(f)
	c.holder[f.Term], c.highest = f.Node, max(c.highest, f.Term)
	c.known[f.Node] = max(c.known[f.Node], f.Term)
}

// behindBack: the peer took a higher term by a false word on this node, after it had given it the promise that it goes by now.
func (c *checker) behindBack(peer string, f Fact) bool {
	x := c.excused[peer][f.Node]
	return f.Proofs[peer] == "P1" && x != nil && !x.heard && x.term > f.Term
}

// sameTerm: no promotion takes a term that is not above every other one, unless it could not know: who took that one said
// nothing, since it was off.
func (c *checker) sameTerm(f Fact) {
	other := c.holder[c.highest]
	if f.Term > c.highest || other == f.Node {
		return
	}
	if f.Proofs[other] == "P1" && !c.ever[f.Node] && !c.ever[other] {
		c.fail(f, "I6", "%s has term %d, and gave its promise", other, c.highest)
	}
	c.ever[f.Node], c.ever[other] = true, true
}

// received holds I7.
func (c *checker) received(f Fact) {
	if len(c.open[f.Node]) > 0 {
		c.fail(f, "I7", "a stream of %s comes into what can be written", f.Peer)
	}
	if f.Term < c.known[f.Node] {
		c.fail(f, "I7", "a stream of %s, though term %d is known there", f.Peer, c.known[f.Node])
	}
	if h := c.holder[f.Term]; h != "" && h != f.Peer && !c.ever[h] && !c.ever[f.Peer] {
		c.fail(f, "I7", "a stream of %s in the term of %s", f.Peer, h)
	}
}
