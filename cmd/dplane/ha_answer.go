package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/cmd/internal/control"
	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/beat"
	"github.com/dplaneos/dplane/drivers/ha/carry"
	"github.com/dplaneos/dplane/state"
)

// What the daemon answers to `dplane ha ...` on its socket.

const (
	verbPlan  = "ha.plan"
	verbOrder = "ha.order"
	verbState = "ha.state"
)

// failoverPlan is the document of `dplane ha failover --plan`.
type failoverPlan struct {
	Version int         `json:"version"`
	Node    string      `json:"node"`
	Role    string      `json:"role"`
	Term    uint64      `json:"term"`   // the highest known
	Active  string      `json:"active"` // who is held to be active; "": nobody
	Peers   []peerProof `json:"peers"`
	Lag     lagDoc      `json:"lag"`
	Set     string      `json:"set"`   // consistency: group: what is promoted as one; "": each dataset is promoted as it is
	Ahead   []aheadDoc  `json:"ahead"` // what is ahead of that, and put aside
	Loss    string      `json:"loss"`  // why it must be accepted; "": nothing beyond maxLag, and all of it known
	Steps   []string    `json:"steps"`
	Ready   bool        `json:"ready"` // it can be begun without a word (P4)
	Refused string      `json:"refused"`
	Hash    string      `json:"hash"` // of all that was shown: an order is of the plan that was seen
}

type peerProof struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Role  string `json:"role"`
	Proof string `json:"proof"` // P1, P3 or P4: the one that is to be had; "": none is, for it answers and writes
	Text  string `json:"text"`
}

type aheadDoc struct {
	Dataset   string   `json:"dataset"`
	Bytes     uint64   `json:"bytes"`     // beyond the set
	Snapshots []string `json:"snapshots"` // that hold them
	Kept      string   `json:"kept"`      // where they are found then
}

type lagDoc struct {
	Known    bool     `json:"known"`
	Set      string   `json:"set"`
	Seconds  int64    `json:"seconds"`
	Counted  bool     `json:"counted"`
	Bytes    uint64   `json:"bytes"`
	Complete bool     `json:"complete"`
	Missing  []string `json:"missing"`
}

// haState is what a command that waits looks at.
type haState struct {
	Node     string     `json:"node"`
	Role     state.Role `json:"role"`
	Term     uint64     `json:"term"`
	Holder   string     `json:"holder"`
	Job      string     `json:"job"`
	Step     string     `json:"step"`
	Paused   bool       `json:"paused"`
	Degraded []string   `json:"degraded"`
	Why      string     `json:"why"`    // nothing came of what was tried last; "": that is not so
	Active   string     `json:"active"` // a peer that says that it is; "": none
	// Settling are those of the nodes, this one too, that have just begun or see whether they are clean: standby in a moment.
	Settling []string `json:"settling"`
}

// order is what a command asks for.
type order struct {
	Command ha.Command `json:"command"`
	Hash    string     `json:"hash,omitempty"` // of the plan that was seen
}

// ordered is what became of it.
type ordered struct {
	Refused bool    `json:"refused"`
	Why     string  `json:"why"`
	State   haState `json:"state"`
}

// answer has the socket where the files want it.
func (d *daemon) answer() {
	g, at := d.group, d.want.Daemon.Runtime
	if g.control != nil && g.at == at {
		return
	}
	g.control.Stop()
	g.control = nil
	s, err := control.Serve(at, g.answer)
	if err != nil {
		d.log.Error("commands can't ask this daemon", "err", err)
		return
	}
	g.control, g.at = s, at
}

func (g *group) answer(ctx context.Context, verb string, body json.RawMessage) (any, error) {
	if !g.watch.TakesPart() {
		return nil, beat.ErrNoPart
	}
	switch verb {
	case verbPlan:
		p, _, err := g.plan(ctx)
		return p, err
	case verbOrder:
		var o order
		if err := json.Unmarshal(body, &o); err != nil {
			return nil, fmt.Errorf("the order can't be read: %w", err)
		}
		return g.follow(ctx, &o)
	case verbState:
		s := stateOf(g.watch.State())
		if d := g.exec.Last(); d != nil && d.Refused {
			s.Why = d.Why
		}
		return s, nil
	}
	return nil, fmt.Errorf("this daemon does not know %q: is it of another release?", verb)
}

func stateOf(s state.HA) haState {
	d := haState{Node: s.Node, Role: s.Role, Term: s.Term, Holder: s.Holder, Paused: s.Paused, Degraded: s.Degraded}
	if s.Job != nil {
		d.Job, d.Step = s.Job.Kind, s.Job.Step
	}
	if settles(s.Role) {
		d.Settling = append(d.Settling, s.Node)
	}
	for name, p := range s.Peers {
		if !p.Stale && p.Last != nil && p.Last.Role.Writes() && p.State != state.PeerUnreachable {
			d.Active = name
		}
		if !p.Stale && p.Last != nil && settles(p.Last.Role) {
			d.Settling = append(d.Settling, name)
		}
	}
	return d
}

func settles(r state.Role) bool { return r == state.RoleBoot || r == state.RoleRejoining }

// follow puts an order to the machine.
func (g *group) follow(ctx context.Context, o *order) (*ordered, error) {
	c := o.Command
	if c.Name == ha.Failover || c.Name == ha.Switchover {
		p, lag, err := g.plan(ctx)
		switch {
		case err != nil:
			return nil, err
		case c.Name == ha.Failover && o.Hash != p.Hash:
			return nil, errors.New("what would be done, or lost, is no longer what was shown: dplane ha failover --plan")
		}
		c.Lag = &lag
	}
	before := g.watch.State()
	if err := g.watch.Do(ha.Event{Kind: ha.Commanded, Command: &c}); err != nil {
		return nil, err
	}
	after := g.watch.State()
	got := &ordered{State: stateOf(after)}
	if d := g.exec.Last(); d != nil && d.Event == ha.Commanded {
		got.Refused, got.Why = d.Refused, d.Why
	}
	if c.Name == ha.Failover && after.Jobs == before.Jobs {
		got.Refused = true
	}
	return got, nil
}

// plan is what a failover to this node would do now. It changes nothing.
func (g *group) plan(ctx context.Context) (*failoverPlan, ha.Lag, error) {
	s, set := g.watch.State(), g.exec.Settings()
	p := &failoverPlan{Version: 1, Node: s.Node, Role: string(s.Role), Term: s.Term, Active: s.Holder, Peers: []peerProof{}, Ahead: []aheadDoc{}, Steps: ha.Steps(ha.JobPromote)}
	var published map[string]state.Published
	if h := s.Peers[s.Holder]; h.Last != nil {
		published = h.Last.Group
	}
	if set.Node == nil {
		return nil, ha.Lag{}, beat.ErrNoPart
	}
	lag, err := set.Node.Lag(ctx, published)
	if err != nil {
		return nil, lag, fmt.Errorf("what this node has can't be seen: %w", err)
	}
	p.Lag = lagDoc{lag.Known, lag.Set, int64(lag.Behind / time.Second), lag.Counted, lag.Bytes, lag.Complete, slices.Clone(lag.Missing)}
	if own := s.Term == 0 || s.Holder == s.Node; !own {
		p.Loss = lag.Exceeds(set.Config.MaxLag)
	}
	p.Ready = true
	for _, name := range set.Config.Peers {
		x := proofOf(s.Peers[name], name, set.Config)
		p.Ready = p.Ready && (x.Proof == state.ProofPromise || x.Proof == state.ProofFenced)
		p.Peers = append(p.Peers, x)
	}
	switch {
	case s.Role.Writes():
		p.Refused = s.Node + " is active already"
	case s.Role != state.RoleStandby && s.Role != state.RoleRejoining && s.Role != state.RoleDiverged:
		p.Refused = fmt.Sprintf("this node is %s", s.Role)
	}
	if p.Refused == "" {
		if err := p.beyond(ctx, set.Node); err != nil {
			p.Refused = err.Error()
		}
	}
	p.Hash = hashOf(p)
	return p, lag, nil
}

// beyond says what would be put aside, where the group is promoted as one set.
func (p *failoverPlan) beyond(ctx context.Context, n *carry.Node) error {
	a, err := n.Beyond(ctx, p.Term+1)
	if a == nil || err != nil {
		return err
	}
	p.Set = a.Set
	for _, d := range a.Datasets {
		own := aheadDoc{Dataset: d.Name, Bytes: d.Bytes, Snapshots: []string{}, Kept: a.Kept(d.Name)}
		for _, name := range d.Own {
			if strings.HasPrefix(name, "@") {
				own.Snapshots = append(own.Snapshots, name)
			}
		}
		p.Ahead = append(p.Ahead, own)
	}
	return nil
}

// hashOf leaves out what grows by itself, and what changes nothing of what would be done: a peer that is healthy or degraded
// gives the same proof.
func hashOf(p *failoverPlan) string {
	same := *p
	same.Peers = slices.Clone(p.Peers)
	for i := range same.Peers {
		same.Peers[i].State, same.Peers[i].Text = "", ""
	}
	same.Hash, same.Lag.Seconds, same.Loss = "", 0, fmt.Sprint(p.Loss != "")
	text, _ := json.Marshal(same) // plain data
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func proofOf(h state.PeerHealth, name string, c ha.Config) peerProof {
	agent := c.Agents[name]
	x := peerProof{Name: name, State: h.State, Proof: state.ProofWord}
	answers := !h.Stale && h.Last != nil && (h.State == state.PeerHealthy || h.State == state.PeerDegraded)
	if h.Last != nil {
		x.Role = string(h.Last.Role)
	}
	switch {
	case answers && h.Last.Role.Quiet() && h.Last.Shared != c.Shared:
		x.Proof, x.Text = "", "it answers, and the shared part of its files differs from that here: it promises nothing until they are the same"
	case answers && h.Last.Role.Quiet():
		x.Proof, x.Text = state.ProofPromise, "it answers, and is asked for its promise not to write"
	case answers && agent:
		x.Proof, x.Text = state.ProofFenced, "it answers, and is "+x.Role+": its fence agent switches it off. With both sides up: dplane ha switchover"
	case answers:
		x.Proof, x.Text = "", "it answers, and is "+x.Role+": no proof is to be had. With both sides up: dplane ha switchover"
	case agent:
		x.Proof, x.Text = state.ProofFenced, "it does not answer: its fence agent switches it off, and says so"
	default:
		x.Text = "it does not answer, which proves nothing, and no fence agent can be asked: somebody has to see that it is off, and say so"
	}
	return x
}
