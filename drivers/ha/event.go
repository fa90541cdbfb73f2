package ha

import (
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Config is what the machine is told by the files, as it decides.
type Config struct {
	Peers      []string        `json:"peers"` // the other nodes of the group, sorted
	Limits     Limits          `json:"limits"`
	MaxLag     spec.Lag        `json:"maxLag"`
	Agents     map[string]bool `json:"agents,omitempty"` // peers that a fence agent is declared for
	Patience   time.Duration   `json:"patience"`         // how long a candidate waits for promises
	Shared     string          `json:"shared"`           // hash of the shared part of the files
	StartAlone bool            `json:"startAlone,omitempty"`
	Automatic  bool            `json:"automatic,omitempty"` // the lease makes it active, and nothing else
	Failsafe   bool            `json:"failsafe,omitempty"`
}

// Event is something that happened. Kind tells which of the fields have a meaning.
type Event struct {
	Kind string        `json:"kind"`
	Now  time.Duration `json:"now"` // monotonic, of this run of the daemon
	At   time.Time     `json:"at"`  // wall clock, for people and for skew

	Peer    string       `json:"peer,omitempty"`    // Heard, Missed, FenceFailed
	Beat    *state.Beat  `json:"beat,omitempty"`    // Heard
	Boot    string       `json:"boot,omitempty"`    // Boot: the new run's name
	Term    uint64       `json:"term,omitempty"`    // Boot: the highest dplane:term on the group; LeaseTaken: the term of the Txn
	Command *Command     `json:"command,omitempty"` // Commanded
	Proof   *state.Proof `json:"proof,omitempty"`   // Proved: P2 or P3
	Job     uint64       `json:"job,omitempty"`     // StepDone, StepFailed
	Step    string       `json:"step,omitempty"`    // the same
	Why     string       `json:"why,omitempty"`     // what failed, and how
	Active  string       `json:"active,omitempty"`  // Files: ha.active
	Seen    string       `json:"seen,omitempty"`    // Looked: yes, no or unknown; Compared: clean, diverged or unknown
	Lag     *Lag         `json:"lag,omitempty"`     // LeaseTaken: what would be lost
}

// The events.
const (
	Boot        = "boot"        // the daemon began
	Heard       = "heard"       // a beat came
	Missed      = "missed"      // a beat did not
	Ticked      = "ticked"      // time went by
	Files       = "files"       // the files were read: ha.active
	Commanded   = "commanded"   // by a person, or an approved action of the plan
	Proved      = "proved"      // the fence agent's off and status, or the watchdog's time
	FenceFailed = "fenceFailed" // or it timed out: that is the same
	StepDone    = "stepDone"
	StepFailed  = "stepFailed" // or it timed out: that is the same
	Looked      = "looked"     // at the group's datasets and the address here
	Compared    = "compared"   // with what the active node has
	Alone       = "alone"      // ha.startAlone has passed since the boot
	LeaseTaken  = "leaseTaken" // by a Txn that made the key
	LeaseLost   = "leaseLost"  // or its deadline (I4) is reached without a renewal
	LeaseAway   = "leaseAway"  // etcd does not answer, and every peer promised to wait
	LeaseBack   = "leaseBack"  // it was renewed again
)

// Answers of Compared.
const (
	Clean    = "clean"    // nothing here that the active node has not
	Diverged = "diverged" // there is
)

// Command is what a person ordered.
type Command struct {
	Name   string            `json:"name"`
	To     string            `json:"to,omitempty"` // Switchover
	By     string            `json:"by,omitempty"`
	Words  map[string]string `json:"words,omitempty"`  // Failover: peers that the person says are off, and the reason
	Lag    *Lag              `json:"lag,omitempty"`    // what this node lacks, as far as it is known
	Accept bool              `json:"accept,omitempty"` // the loss that was shown
	// Approval is what Keep and Discard need: the plan that was shown, which names what goes by guid, and its term.
	Approval string `json:"approval,omitempty"`
	Term     uint64 `json:"term,omitempty"`
}

// The commands.
const (
	Switchover = "switchover"
	Failover   = "failover"
	Pause      = "pause"
	Resume     = "resume"
	Keep       = "keep"
	Discard    = "discard"
)

// Action is something to do. They are done in their order, one at a time; a step's result comes back as an event.
type Action struct {
	Do   string `json:"do"`
	Job  uint64 `json:"job,omitempty"`
	Step string `json:"step,omitempty"`
	Peer string `json:"peer,omitempty"`
	// Level of an alarm: info, warn or error, which is the highest.
	Level   string   `json:"level,omitempty"`
	Text    string   `json:"text,omitempty"`
	Command *Command `json:"command,omitempty"`
}

// The actions. A new job ends the step of an older one first, and waits for its end.
const (
	Persist      = "persist"      // the new state; before anything else, and where it can't be done, nothing is
	CloseGate    = "closeGate"    // receive nothing, kill what is being received, wait for it
	OpenGate     = "openGate"     // receive what Admit admits
	Promote      = "promote"      // do a step
	UndoPromote  = "undoPromote"  // take it back
	Demote       = "demote"       // do a step
	Tell         = "tell"         // send a beat to every peer now
	Fence        = "fence"        // Peer: the agent's off, then its status
	Forward      = "forward"      // Command to Peer
	Alarm        = "alarm"        // an event of the journal
	Freeze       = "freeze"       // replication and pruning of the group
	Unfreeze     = "unfreeze"     // them
	Compare      = "compare"      // with the active node
	KeepSnapshot = "keepSnapshot" // take @dplane_diverged_t<term>
	Rejoin       = "rejoin"       // Step: keep or discard, as Command approved
	Release      = "release"      // the lease
	Reset        = "reset"        // stop kicking the watchdog and reset the machine
	Record       = "record"       // the decision with its inputs (Decided makes it)
)
