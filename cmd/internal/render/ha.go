package render

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dplaneos/dplane/state"
)

// HAStatus is the document of `dplane ha status` and /api/ha/status.
type HAStatus struct {
	Version    int          `json:"version"`
	State      string       `json:"state"` // as that of status, of the group alone
	Reasons    []string     `json:"reasons"`
	ObservedAt *time.Time   `json:"observedAt"` // null: never
	Age        int64        `json:"age"`        // of the record, in seconds
	Node       string       `json:"node"`
	Role       string       `json:"role"`     // "": this machine is in no group
	Term       uint64       `json:"term"`     // the highest known
	Active     string       `json:"active"`   // who is active in it; "": nobody was promoted yet
	Declared   string       `json:"declared"` // ha.active
	Job        string       `json:"job"`      // the promotion or demotion that goes on; "": none
	Step       string       `json:"step"`     // of it
	Paused     bool         `json:"paused"`
	Frozen     string       `json:"frozen"`
	Identity   string       `json:"identity"` // of this node's own key; "": none
	Listen     string       `json:"listen"`
	Quorum     QuorumStatus `json:"quorum"`
	Peers      []PeerStatus `json:"peers"`
	Notices    []string     `json:"notices"`
}

// QuorumStatus tells whether this node could decide by what it sees.
type QuorumStatus struct {
	Nodes    int    `json:"nodes"` // of the group, this one too
	Fresh    int    `json:"fresh"` // whose beats are fresh, this one too
	Third    bool   `json:"third"` // a vote beside the nodes'
	Possible bool   `json:"possible"`
	Why      string `json:"why"` // it is not
}

// PeerStatus is another node of the group.
type PeerStatus struct {
	Name      string     `json:"name"`
	State     string     `json:"state"` // healthy, degraded, unreachable, unknown
	Reason    string     `json:"reason"`
	Address   string     `json:"address"`
	Stale     bool       `json:"stale"`     // it is remembered, and no beat came since
	Known     string     `json:"known"`     // the state that is remembered then
	Monitored bool       `json:"monitored"` // it is only looked at: no beats, no vote, no role
	Since     *time.Time `json:"since"`
	Last      *time.Time `json:"last"` // beat, or answer
	Misses    int        `json:"misses"`
	Role      string     `json:"role"` // as its last beat has it
	Term      uint64     `json:"term"`
	Skew      float64    `json:"skew"`  // seconds that its clock was ahead at the last beat
	Error     string     `json:"error"` // why our own beats don't reach it
	// Fencing are its fence devices, as this node found them.
	Fencing []FenceStatus `json:"fencing"`
}

// FenceStatus is a fence device of a peer.
type FenceStatus struct {
	Level int       `json:"level"` // from 1
	Agent string    `json:"agent"`
	Power string    `json:"power"` // of the peer: on, off, unknown
	At    time.Time `json:"at"`    // when it was asked
	Error string    `json:"error"` // why it would not help; "": it is well
}

// watchedFor is how many intervals a record of the group tells something.
const watchedFor = 3

// NewHAStatus judges what was recorded of the group; nil is no record.
func NewHAStatus(rec *state.HARecord, now time.Time) *HAStatus {
	s := &HAStatus{Version: 1, State: OK, Reasons: []string{}, Peers: []PeerStatus{}, Notices: []string{}}
	if rec == nil || rec.Off {
		s.worsen(Unknown, "no group is watched here: the files in force declare none with this node in it, or the daemon did not run since")
		return s
	}
	at := rec.At.UTC()
	s.ObservedAt, s.Age = &at, int64(max(0, now.Sub(at))/time.Second)
	h := rec.HA
	s.Node, s.Role, s.Term, s.Active, s.Declared = h.Node, string(h.Shown()), h.Term, h.Holder, h.Declared
	s.Paused, s.Frozen, s.Identity, s.Listen = h.Paused, h.Frozen, rec.Identity, rec.Listen
	s.Quorum = QuorumStatus(h.Quorum)
	if h.Job != nil {
		s.Job, s.Step = h.Job.Kind, h.Job.Step
	}
	old := now.Sub(at).Abs() > watchedFor*rec.Every
	if old {
		s.worsen(Unknown, fmt.Sprintf("the peers were last watched %s ago: is the daemon running?", ageText(now.Sub(at))))
		s.Quorum.Fresh, s.Quorum.Possible, s.Quorum.Why = 0, false, "the peers are not watched"
	}
	for _, p := range rec.Peers {
		s.peer(p, h.Peers[p.Name], old)
	}
	for _, t := range rec.Trouble {
		s.worsen(Degraded, t)
	}
	if h.Frozen != "" {
		s.worsen(Critical, "replication and pruning of the group stand still: "+h.Frozen)
	}
	for _, d := range h.Degraded {
		s.worsen(Degraded, d)
	}
	s.own(&h)
	if h.Overruled != "" && h.Overruled == h.Declared && h.Declared != h.Holder {
		s.worsen(Degraded, fmt.Sprintf("%s was promoted by command in term %d, and ha.active (%s) says %s, which is not acted on until it is edited: write %s there, on every node, or: dplane ha switchover --to %s",
			cmp.Or(h.Holder, "another node"), h.Term, cmp.Or(rec.DeclaredAt, "in the files"), h.Declared, h.Holder, h.Declared))
	}
	if h.Role == state.RoleStandby && h.Term == 0 {
		s.Notices = append(s.Notices, "nobody was promoted yet: every node receives, whatever ha.active says; on the node that has the data: dplane ha failover --plan")
	}
	if h.Role == state.RoleStandby && h.Term > 0 && !old && s.nobody() {
		s.worsen(Degraded, "nobody is active, though every node answers: dplane ha failover --plan shows, on each, what would be lost")
	}
	if silent := s.silent(); h.Role == state.RoleStandby && h.Term > 0 && !old && len(silent) > 0 {
		s.Notices = append(s.Notices, "nobody is seen to be active, and "+strings.Join(silent, ", ")+
			" can't be asked: this node stays a standby, for it can't know what was promoted meanwhile; what it needs to become active: dplane ha failover --plan")
	}
	return s
}

// own is what a person has to do something about on this node.
func (s *HAStatus) own(h *state.HA) {
	switch {
	case h.Job != nil && h.Job.Failed != "":
		s.worsen(Critical, "it can't be shown that this node stopped writing, and it is tried again: "+h.Job.Failed)
	case h.Role == state.RoleDiverged:
		s.worsen(Degraded, fmt.Sprintf("this node has what %s lacks, and receives nothing until a person decides: dplane ha rejoin", cmp.Or(h.Holder, "the active node")))
	}
}

// nobody tells whether every peer is reached, and none is active or on its way to be.
func (s *HAStatus) nobody() bool {
	for _, p := range s.Peers {
		reached := p.State == state.PeerHealthy || p.State == state.PeerDegraded
		if role := state.Role(p.Role); !reached || role != state.RoleStandby && role != state.RoleDiverged {
			return false
		}
	}
	return len(s.Peers) > 0
}

// silent are the peers that are not reached, where none is seen to be active.
func (s *HAStatus) silent() (names []string) {
	for _, p := range s.Peers {
		reached := p.State == state.PeerHealthy || p.State == state.PeerDegraded
		if reached && (state.Role(p.Role).Writes() || state.Role(p.Role) == state.RolePromoting) {
			return nil
		}
		if !reached {
			names = append(names, p.Name)
		}
	}
	return names
}

func (s *HAStatus) peer(p state.HAPeer, h state.PeerHealth, old bool) {
	x := PeerStatus{
		Name: p.Name, State: cmp.Or(h.State, state.PeerUnknown), Reason: h.Reason, Address: p.Address, Stale: h.Stale || old, Monitored: p.Monitored,
		Since: optional(h.Since), Last: optional(h.LastAt), Misses: h.Misses, Error: p.Trouble,
		Fencing: fencing(p, h),
	}
	if h.Last != nil {
		x.Role, x.Term, x.Skew = string(h.Last.Role), h.Last.Term, h.Last.At.Sub(h.LastAt).Round(time.Millisecond).Seconds()
	}
	switch {
	case x.Stale && x.State != state.PeerUnknown && (old || x.State != state.PeerUnreachable):
		x.State, x.Known, x.Reason = state.PeerUnknown, x.State, "stale("+x.State+"): no beat since"
	case x.State == state.PeerUnknown:
		x.Reason = "no beat yet"
	}
	s.Peers = append(s.Peers, x)
	for _, d := range x.Fencing {
		if d.Error != "" {
			s.worsen(Degraded, fmt.Sprintf("fencing of %s, level %d: %s", x.Name, d.Level, d.Error))
		}
	}
	why := x.Reason
	switch {
	case old: // that is said already
	case x.State != state.PeerHealthy:
		if x.Error != "" {
			why += " (" + x.Error + ")"
		}
		s.worsen(Degraded, fmt.Sprintf("peer %s is %s: %s", x.Name, x.State, strings.TrimPrefix(why, ": ")))
	case x.Role == string(state.RoleDiverged):
		s.worsen(Degraded, fmt.Sprintf("peer %s has diverged, and receives nothing until a person decides: dplane ha rejoin, there", x.Name))
	case x.Error != "":
		s.worsen(Degraded, fmt.Sprintf("peer %s can't be reached from here (%s), though its own beats come", x.Name, x.Error))
	}
}

// fencing judges the fence devices of a peer. A level that says that the peer is off, of which a beat came after that, is for
// another machine: it would switch that off, and prove nothing.
func fencing(p state.HAPeer, h state.PeerHealth) []FenceStatus {
	all, on := []FenceStatus{}, map[int]bool{}
	for _, d := range p.Fence {
		on[d.Level] = on[d.Level] || d.Power != state.PowerOff || d.Error != ""
	}
	for _, d := range p.Fence {
		f := FenceStatus{Level: d.Level, Agent: d.Agent, Power: d.Power, At: d.At.UTC(), Error: d.Error}
		if !on[d.Level] && h.State == state.PeerHealthy && h.LastAt.After(d.At) {
			f.Error = fmt.Sprintf("%s says that %s is off, and it answers: the device is for another machine", d.Agent, p.Name)
		}
		all = append(all, f)
	}
	return all
}

func (s *HAStatus) worsen(to, why string) {
	m := Status{State: s.State, Reasons: s.Reasons}
	m.worsen(to, why)
	s.State, s.Reasons = m.State, m.Reasons
}

// group takes over into the status of the machine how its peers are. That they are not watched at all is no state of the
// machine, of which the record tells enough.
func (s *Status) group(rec *state.HARecord, now time.Time) {
	if rec == nil || rec.Off {
		return
	}
	h := NewHAStatus(rec, now)
	s.Peers = h.Peers
	for _, why := range h.Reasons {
		to := h.State
		if to == Unknown {
			to = Degraded
		}
		s.worsen(to, why)
	}
}

// HAStatusJSON is the document.
func HAStatusJSON(s *HAStatus) ([]byte, error) { return document(s) }

// HAStatusText writes it for people.
func HAStatusText(w io.Writer, s *HAStatus, opt TextOptions) error {
	t := &text{opt: opt}
	host := ""
	if s.Node != "" {
		host = clean(s.Node) + ": "
	}
	t.printf("%s\n", t.in(bold+";"+stateColor[s.State], host+s.State))
	for _, r := range s.Reasons {
		t.lines("  ", "-", r)
	}
	if s.ObservedAt == nil {
		return t.writeTo(w)
	}
	t.printf("watched %s (%s ago)\n", timeText(*s.ObservedAt), ageText(time.Duration(s.Age)*time.Second))
	t.printf("role %s, term %d; active %s; ha.active says %s\n", clean(s.Role), s.Term, clean(cmp.Or(s.Active, "nobody")), clean(s.Declared))
	if s.Job != "" {
		t.printf("it goes on: %s, step %s\n", clean(s.Job), clean(cmp.Or(s.Step, "none: it waits for proofs")))
	}
	t.printf("identity %s\n", clean(cmp.Or(s.Identity, "none: dplane ha id makes the key")))
	q := fmt.Sprintf("%d of %d nodes are fresh", s.Quorum.Fresh, s.Quorum.Nodes)
	if s.Quorum.Why != "" {
		q += "; " + s.Quorum.Why
	}
	t.lines("", "quorum", q)
	t.statusPeers(s.Peers)
	for i, n := range s.Notices {
		if i == 0 {
			t.printf("\nTo know\n")
		}
		t.lines("  ", "-", n)
	}
	return t.writeTo(w)
}

func (t *text) statusPeers(all []PeerStatus) {
	if len(all) == 0 {
		return
	}
	t.printf("\nPeers\n")
	var rows [][]string
	for _, p := range all {
		shown, role, last := p.State, "no role", "never heard"
		if p.Known != "" {
			shown = "stale(" + p.Known + ")"
		}
		switch {
		case p.Monitored:
			role = "monitored alone"
		case p.Role != "":
			role = fmt.Sprintf("%s, term %d", p.Role, p.Term)
		}
		if p.Last != nil {
			last = "last " + timeText(*p.Last)
		}
		rows = append(rows, []string{clean(p.Name), shown, clean(role), last, clean(p.Address), clean(firstLine(cmp.Or(p.Reason, p.Error)))})
	}
	t.table("  ", rows, t.stateColumn)
	t.statusFencing(all)
}

func (t *text) statusFencing(all []PeerStatus) {
	var rows [][]string
	for _, p := range all {
		for _, d := range p.Fencing {
			shown := "well"
			if d.Error != "" {
				shown = d.Error
			}
			rows = append(rows, []string{clean(p.Name), fmt.Sprintf("level %d", d.Level), clean(d.Agent), d.Power, "asked " + timeText(d.At), clean(firstLine(shown))})
		}
	}
	if len(rows) > 0 {
		t.printf("\nFencing\n")
		t.table("  ", rows, nil)
	}
}
