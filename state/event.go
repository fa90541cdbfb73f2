package state

import "time"

// Event is one line of the journal: something that happened, or an action with its intent and outcome.
type Event struct {
	ID         int64     `json:"id"`
	At         time.Time `json:"at"`
	Type       string    `json:"type"`  // action, configuration, daemon, zfs, drift, approval, memory, ha
	Level      string    `json:"level"` // info, warn or error; "" is info
	Generation string    `json:"generation,omitempty"`
	Message    string    `json:"message"`
	Action     *Action   `json:"action,omitempty"`
}

// Action is what the journal keeps of an action: the intent is written before, the outcome after.
type Action struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Name     string     `json:"name"`
	Verb     string     `json:"verb"`
	Risk     string     `json:"risk"`
	Reason   string     `json:"reason,omitempty"`
	Commands [][]string `json:"commands,omitempty"`
	Outcome  string     `json:"outcome"` // started, done, failed, refused, skipped, interrupted
	Error    string     `json:"error,omitempty"`
	Started  time.Time  `json:"started"`
	Ended    time.Time  `json:"ended,omitzero"`
	By       string     `json:"by"` // daemon, or the user who ran apply
	Allowed  bool       `json:"allowed,omitempty"`
}

// MemoryLost is the type of an event that tells why what was recorded is no longer known.
const MemoryLost = "memory"

// The levels of an event.
const (
	Info  = "info"
	Warn  = "warn"
	Error = "error"
)

// The outcomes of an action.
const (
	Started     = "started"
	Done        = "done"
	Failed      = "failed"
	Refused     = "refused" // a precondition no longer held
	Skipped     = "skipped" // it waited for something that failed
	Interrupted = "interrupted"
)

// Generation is a configuration that was accepted.
type Generation struct {
	Number int64             `json:"number"`
	Hash   string            `json:"hash"`
	At     time.Time         `json:"at"`
	Who    string            `json:"who"`
	Commit string            `json:"commit,omitempty"` // of the git work tree it came from
	Dirty  bool              `json:"dirty,omitempty"`
	Files  map[string]string `json:"files,omitempty"` // the files, by name
}

// SavedPlan is a plan as it was made: what /api/plan serves, and what apply p.json is checked against.
type SavedPlan struct {
	Hash       string    `json:"hash"`
	Generation string    `json:"generation"`
	At         time.Time `json:"at"`
	Body       []byte    `json:"body"` // the JSON document
	Used       bool      `json:"used,omitempty"`
}

// Record is the result of one reconcile: what status reads.
type Record struct {
	At         time.Time     `json:"at"`
	Generation string        `json:"generation"`
	Interval   time.Duration `json:"interval"` // of the daemon; 0: a single apply
	Observed   *Observed     `json:"observed"`
	Declared   *Declared     `json:"declared,omitempty"` // Declare(the configuration in force)
	Plan       []byte        `json:"plan"`               // JSON document, as /api/plan serves it
	Errors     []string      `json:"errors,omitempty"`   // configuration, ZFS, failed actions
	Invalid    string        `json:"invalid,omitempty"`  // why the newest files are not in force
	Lost       []string      `json:"lost,omitempty"`     // what became of the memory from before, as the journal tells; read, never written
	HA         *HARecord     `json:"ha,omitempty"`       // what is known of the HA group; read, never written with it
	Ended      []string      `json:"-"`                  // guids of datasets that were destroyed on purpose: they are not missed
}
