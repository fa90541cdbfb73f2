package state

import (
	"encoding/json"
	"time"
)

// In this file a Duration named Mono is a reading of this node's monotonic clock, of this run of the daemon: it means
// nothing after a restart nor on another node. All durations are nanoseconds in JSON. Wall clocks are for people, and for
// lag and skew.

// TermProperty is set on the group's topmost datasets by whoever is promoted: the term. It is not sent.
const TermProperty = "dplane:term"

// Role is what a node is in its HA group (HA.md section 2).
type Role string

// The roles. Paused is what status shows of a node with HA.Paused: what it is beside that stays its Role.
const (
	RoleBoot           Role = "boot"      // the daemon has begun: nothing is known to be read-only yet
	RoleStandby        Role = "standby"   // read-only, no address
	RoleCandidate      Role = "candidate" // asks every peer for its promise
	RoleFencing        Role = "fencing"   // waits for the proof of a peer that does not answer
	RolePromoting      Role = "promoting"
	RoleActive         Role = "active"
	RoleDemoting       Role = "demoting"
	RoleSuperseded     Role = "superseded" // saw a higher term: stops writing
	RoleRejoining      Role = "rejoining"  // read-only; finds out whether it has what the active node lacks
	RoleDiverged       Role = "diverged"   // it has: a person decides
	RolePaused         Role = "paused"
	RoleSplitBrain     Role = "split_brain"     // active, and saw another one that is
	RoleActiveFailsafe Role = "active_failsafe" // active without etcd, since every peer promised
	RoleSelfFenced     Role = "self_fenced"     // could not prove that it stopped writing: reset
)

// Quiet tells whether a node in this role is read-only, and verified that it is.
func (r Role) Quiet() bool {
	switch r {
	case RoleStandby, RoleCandidate, RoleFencing, RoleRejoining, RoleDiverged:
		return true
	}
	return false
}

// Writes tells whether the group's datasets are this node's to write, snapshot and send.
func (r Role) Writes() bool {
	return r == RoleActive || r == RoleActiveFailsafe || r == RoleSplitBrain
}

// Promise is what a node said of itself, and persisted before: it is read-only, that was verified, and it will never write
// in Term nor below it. To one node it promises a term once. This is proof P1.
type Promise struct {
	Term uint64 `json:"term"`
	To   string `json:"to"`
	// Gave is the term in which it was active, and demoted itself for this; 0: it was not active.
	Gave uint64 `json:"gave,omitempty"`
	// Handover: a switchover asked for it, so the other node is to promote itself unasked.
	Handover bool `json:"handover,omitempty"`
}

// Heard names a beat: whoever sends one says which of the addressee's it took in last.
type Heard struct {
	Boot    string `json:"boot,omitempty"`
	Counter uint64 `json:"counter,omitempty"`
}

// Beat is what a node tells one peer, every 15 s by default, and as the answer to one.
type Beat struct {
	Version int    `json:"version"` // of this format: 1
	Node    string `json:"node"`
	// Boot names this run of the sender's daemon, at random. Counter grows by one with every beat of it.
	Boot    string `json:"boot"`
	Counter uint64 `json:"counter"`
	// Heard is the last beat of the addressee that the sender took in: without it, an old one could be sent again.
	Heard Heard `json:"heard,omitzero"`

	Role   Role   `json:"role"`
	Term   uint64 `json:"term"`             // the highest in which a promotion is known to have begun
	Active string `json:"active,omitempty"` // who is held to be active: whose Term is
	// Want is the term that a candidate asks the addressee's promise for; 0: none.
	Want    uint64   `json:"want,omitempty"`
	Promise *Promise `json:"promise,omitempty"`
	Paused  bool     `json:"paused,omitempty"`
	Frozen  string   `json:"frozen,omitempty"` // why replication and pruning in the group stand still

	At     time.Time `json:"at"`               // the sender's wall clock
	Shared string    `json:"shared,omitempty"` // hash of the shared part of its files
	Sick   []string  `json:"sick,omitempty"`   // pools that are not ONLINE, sorted
	// Unlooked: Sick are pools of which the sender does not know how they are, since it had no look lately.
	Unlooked bool     `json:"unlooked,omitempty"`
	Late     []string `json:"late,omitempty"` // replications past their objective, sorted

	// Group is what the sender's datasets of the group were like when it sent this, by name.
	Group map[string]Published `json:"group,omitempty"`
}

// Published is the newest snapshot of a dataset of the group on one node, and what was written since.
type Published struct {
	GUID     string    `json:"guid,omitempty"` // of the newest snapshot; "": there is none
	TXG      uint64    `json:"createtxg,omitempty"`
	Creation time.Time `json:"creation,omitzero"`
	Written  uint64    `json:"written"` // bytes since it
}

// What is known of a peer.
const (
	PeerUnknown     = "unknown" // no beat yet
	PeerHealthy     = "healthy"
	PeerDegraded    = "degraded" // a beat was missed, or it says what ails it
	PeerUnreachable = "unreachable"
)

// PeerHealth is what this node knows of a peer. Unreachable is not dead.
type PeerHealth struct {
	Node   string `json:"node"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"` // why it is not healthy
	// Stale: this was read from the database, and no beat came since. It is shown, and never counted as reachable.
	Stale bool `json:"stale,omitempty"`

	Since  time.Time     `json:"since,omitzero"` // of State; this node's wall clock
	LastAt time.Time     `json:"lastAt,omitzero"`
	Mono   time.Duration `json:"mono,omitempty"` // when the last beat came
	Last   *Beat         `json:"last,omitempty"` // the last beat that was taken in
	Misses int           `json:"misses,omitempty"`
	Good   int           `json:"good,omitempty"` // good beats one after the other

	// Seen is the newest beat that came, also one that is not taken in yet: it is what the next beat to this peer
	// says in Heard. Asked is how many beats this node had sent when the peer's run, as Seen has it, last changed.
	Seen  Heard  `json:"seen,omitzero"`
	Asked uint64 `json:"asked,omitempty"`
}

// The proofs that a peer does not write (HA.md, I2). Nothing else is one.
const (
	ProofPromise  = "P1" // it demoted itself, or was read-only, and promises the term
	ProofWatchdog = "P2" // the lease is ours, and its watchdog's time has passed on our own clock
	ProofFenced   = "P3" // the agent's off returned 0, and its status 2
	ProofWord     = "P4" // a person typed its name and a reason
)

// What a fence device says of the machine it is for.
const (
	PowerOn      = "on"
	PowerOff     = "off"
	PowerUnknown = "unknown"
)

// FenceDevice is what a fence device of a peer said when it was last asked how it is.
type FenceDevice struct {
	Level int       `json:"level"` // of the peer's fencing, from 1
	Agent string    `json:"agent"`
	At    time.Time `json:"at"`
	Power string    `json:"power"`           // of the peer
	Error string    `json:"error,omitempty"` // why it would not help; "": it is well
}

// Whether the group's datasets, or the address is held.
const (
	WritableYes     = "yes"
	WritableNo      = "no"
	WritableUnknown = "unknown"
)

// Proof is one proof for one peer, of one attempt to promote.
type Proof struct {
	Kind   string    `json:"kind"`
	Peer   string    `json:"peer"`
	Term   uint64    `json:"term"` // the one that it was obtained for
	At     time.Time `json:"at,omitzero"`
	Reason string    `json:"reason,omitempty"` // what the person typed
	By     string    `json:"by,omitempty"`

	Mono time.Duration `json:"mono,omitempty"` // when it was obtained
}

// Job is the promotion or demotion that goes on. It is persisted before each of its steps.
type Job struct {
	ID   uint64 `json:"id"` // grows by one with each job of this node: results of an older one are told by it
	Kind string `json:"kind"`
	Step string `json:"step"`           // the one that is being done
	Undo bool   `json:"undo,omitempty"` // it is being undone
	Term uint64 `json:"term"`
	To   string `json:"to,omitempty"` // of a switchover: who is to be active
	By   string `json:"by,omitempty"`
	// Began is the monotonic time of its begin.
	Began time.Duration `json:"began,omitempty"`
	// Failed is why a demotion could not be verified: it is begun again.
	Failed string `json:"failed,omitempty"`

	// Of an attempt to promote: what the person said of peers, whether peers may be fenced, and those that are.
	Words map[string]string `json:"words,omitempty"`
	Fence bool              `json:"fence,omitempty"`
	Sent  []string          `json:"sent,omitempty"`
}

// HA is all that a node remembers of its group: what Decide reads and gives back, and what is persisted before
// anything is done.
type HA struct {
	Node    string  `json:"node"`
	Boot    string  `json:"boot"`    // this run of the daemon
	Counter uint64  `json:"counter"` // beats sent in it
	Role    Role    `json:"role"`
	Was     Role    `json:"was,omitempty"` // the role before the restart, until it is settled what becomes of it
	Term    uint64  `json:"term"`          // the highest in which a promotion is known to have begun
	Holder  string  `json:"holder,omitempty"`
	Taken   uint64  `json:"taken,omitempty"` // the highest that a switchover gave it: it is tried unasked once
	Promise Promise `json:"promise,omitzero"`
	Job     *Job    `json:"job,omitempty"`
	Jobs    uint64  `json:"jobs,omitempty"` // the ID of the last job
	// Opened: the last promotion here came to readonly=off. Dirty: what is here may be in no snapshot that the active node
	// has; until they were compared, nothing is received.
	Opened bool `json:"opened,omitempty"`
	Dirty  bool `json:"dirty,omitempty"`
	// Proofs are those of the attempt that goes on, or of the promotion that Holder's term began with here.
	Proofs []Proof `json:"proofs,omitempty"`

	// Declared is ha.active as the files say it. Overruled is the value that a promotion by command was against: it is
	// not acted on until it is edited. Acted is the value that a switchover was begun for, which is done once.
	Declared  string   `json:"declared,omitempty"`
	Overruled string   `json:"overruled,omitempty"`
	Acted     string   `json:"acted,omitempty"`
	Paused    bool     `json:"paused,omitempty"`
	Frozen    string   `json:"frozen,omitempty"`
	Writable  string   `json:"writable,omitempty"` // the group here, as last seen: yes, no or unknown
	Degraded  []string `json:"degraded,omitempty"` // what a promotion could not do: hooks, the address
	// Mended is the monotonic time of the last try to do it all the same, of the Mends since it failed.
	Mended time.Duration `json:"mended,omitempty"`
	Mends  int           `json:"mends,omitempty"`

	Peers  map[string]PeerHealth `json:"peers"`
	Quorum Quorum                `json:"quorum"`
}

// Shown is the role as people see it.
func (h *HA) Shown() Role {
	if h.Paused {
		return RolePaused
	}
	return h.Role
}

// Quorum tells whether what this node sees is enough to decide alone.
type Quorum struct {
	Nodes    int    `json:"nodes"`           // of the group, this one too
	Fresh    int    `json:"fresh"`           // whose beats are fresh, this one too
	Third    bool   `json:"third,omitempty"` // a vote beside the nodes': etcd's lease
	Possible bool   `json:"possible"`
	Why      string `json:"why,omitempty"` // it is not
}

// Decision is one decision of the role machine, with all that it was made from: replaying Inputs gives the same.
type Decision struct {
	ID      int64           `json:"id,omitempty"`
	At      time.Time       `json:"at"`
	Event   string          `json:"event"`
	From    Role            `json:"from"`
	To      Role            `json:"to"`
	Term    uint64          `json:"term"`
	Why     string          `json:"why"`
	Refused bool            `json:"refused,omitempty"`
	Inputs  json.RawMessage `json:"inputs"` // drivers/ha reads it
}

// HARecord is what a node recorded of its group: what status reads, and what a restart begins from.
type HARecord struct {
	At     time.Time     `json:"at"`
	Every  time.Duration `json:"every"` // between two beats
	Misses int           `json:"misses"`
	// Off: the files in force declare no group, or this node is none of its peers. What is remembered of it stays.
	Off bool `json:"off,omitempty"`

	Identity string   `json:"identity,omitempty"` // of this node's own key
	Listen   string   `json:"listen,omitempty"`
	Trouble  []string `json:"trouble,omitempty"` // why this node can't be watched
	// DeclaredAt is where ha.active stands: file:line.
	DeclaredAt string   `json:"declaredAt,omitempty"`
	Peers      []HAPeer `json:"peers,omitempty"` // as the files have them, sorted
	HA         HA       `json:"ha"`
	// Lag is how old the replica here is; nil: unknown, or not asked for.
	Lag *time.Duration `json:"-"`
}

// HAPeer is what is known of a peer beside its health.
type HAPeer struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// Monitored: no beats are exchanged with it, since one of the two can't prove who it is.
	Monitored bool   `json:"monitored,omitempty"`
	Trouble   string `json:"trouble,omitempty"` // why it could not be reached the last time; it may reach us
	// Fence are its fence devices, as they were when they were last asked.
	Fence []FenceDevice `json:"fence,omitempty"`
}

// Group is what a plan asks of the HA group, as the daemon recorded it.
type Group struct {
	Node      string          `json:"node"`
	Role      Role            `json:"role"`
	Term      uint64          `json:"term"`
	Holder    string          `json:"holder,omitempty"`
	Overruled string          `json:"overruled,omitempty"`
	Acted     string          `json:"acted,omitempty"`
	Job       string          `json:"job,omitempty"`
	Paused    bool            `json:"paused,omitempty"`
	Frozen    string          `json:"frozen,omitempty"`
	Old       bool            `json:"old,omitempty"` // the record: nothing is known of now
	Peers     map[string]Mate `json:"peers,omitempty"`
}

// Mate is another node of the group. What it is, is known where it is reached.
type Mate struct {
	State   string `json:"state"`
	Reached bool   `json:"reached,omitempty"`
	Role    Role   `json:"role,omitempty"`
	Term    uint64 `json:"term,omitempty"`
	Same    bool   `json:"same,omitempty"` // the shared part of its files is that of ours
}
