package state

import "time"

// Pool is an imported pool.
type Pool struct {
	Name   string `json:"name"`
	GUID   string `json:"guid"`   // decimal
	Health string `json:"health"` // ONLINE, DEGRADED, FAULTED, SUSPENDED, ...

	Size          uint64 `json:"size"` // bytes
	Allocated     uint64 `json:"allocated"`
	Free          uint64 `json:"free"`
	Capacity      int    `json:"capacity"`      // percent
	Fragmentation int    `json:"fragmentation"` // percent; -1 unknown

	// Managed is false for a pool that the files don't name: only the fields above are filled in.
	Managed bool `json:"managed"`

	Properties map[string]Property `json:"properties,omitempty"`
	Vdevs      []Vdev              `json:"vdevs,omitempty"`  // top level, with its class
	Status     string              `json:"status,omitempty"` // what zpool status says is wrong
	Errors     string              `json:"errors,omitempty"`

	DataErrors uint64      `json:"dataErrors,omitempty"` // blocks that are lost
	Scanned    *Work       `json:"scanned,omitempty"`    // the scrub or resilver that runs, or the last one
	Removal    *Work       `json:"removal,omitempty"`    // of a top-level vdev
	Expansion  *Work       `json:"expansion,omitempty"`  // of a raidz
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`

	// Compatibility is asked where features may be missing.
	Compatibility *Compatibility `json:"compatibility,omitempty"`

	Trimming *Work     `json:"trimming,omitempty"` // the trim that runs; releases without JSON don't tell its bytes
	Trimless bool      `json:"trimless,omitempty"` // none of its devices can be trimmed
	Scrubbed time.Time `json:"scrubbed,omitzero"`  // when the newest scrub ended, also where ZFS forgot it since
	Trimmed  time.Time `json:"trimmed,omitzero"`   // when the newest trim of a device did
}

// Compatibility are the features that the declared sets allow.
type Compatibility struct {
	Sets     string   `json:"sets"`              // as declared
	Features []string `json:"features"`          // which all of them name
	Missing  []string `json:"missing,omitempty"` // sets that this machine does not have
}

// The states of Work.
const (
	Running  = "running"
	Paused   = "paused"
	Finished = "finished"
	Canceled = "canceled"
)

// Work is what a pool does in the background for minutes or days.
type Work struct {
	Kind   string    `json:"kind"` // scrub, resilver, removal, expansion, trim
	State  string    `json:"state"`
	Start  time.Time `json:"start,omitzero"`
	End    time.Time `json:"end,omitzero"`
	Vdev   string    `json:"vdev,omitempty"`  // what is removed or expanded, where it is told
	Done   uint64    `json:"done,omitempty"`  // bytes; of what is finished some releases tell only these
	Total  uint64    `json:"total,omitempty"` // bytes
	Fixed  uint64    `json:"fixed,omitempty"` // bytes repaired by a scrub, or written by a resilver
	Errors uint64    `json:"errors,omitempty"`
	Left   int64     `json:"left,omitempty"` // seconds until it ends; 0 where that can't be told
}

// Runs tells whether it is not over, paused or not.
func (w *Work) Runs() bool { return w != nil && (w.State == Running || w.State == Paused) }

// Resilvering tells whether a resilver runs.
func (p *Pool) Resilvering() bool { return p.Scanned.Runs() && p.Scanned.Kind == "resilver" }

// Checkpoint is the state of a pool to which it can be taken back.
type Checkpoint struct {
	State string    `json:"state"` // exists, discarding
	Start time.Time `json:"start,omitzero"`
	Space uint64    `json:"space,omitempty"` // bytes it keeps from being freed
}

// Vdev is a node of the tree.
type Vdev struct {
	Name     string `json:"name"`            // mirror-0, or the device's path; its guid where it can't be opened
	GUID     string `json:"guid,omitempty"`  // decimal
	Path     string `json:"path,omitempty"`  // of a device, also where it can't be opened
	Class    string `json:"class,omitempty"` // of a top-level vdev: "" data; log, cache, special, dedup, spare
	State    string `json:"state"`
	Read     uint64 `json:"read"`
	Write    uint64 `json:"write"`
	Checksum uint64 `json:"checksum"`
	Grown    uint64 `json:"grown,omitempty"`  // bytes by which a device is larger than what the pool takes
	Space    uint64 `json:"space,omitempty"`  // bytes of a top-level vdev for data, where something may come to it or leave
	Ashift   int    `json:"ashift,omitempty"` // its sector size, as a power of two, where that may matter
	Note     string `json:"note,omitempty"`   // was /dev/sdx, too many errors, ...
	Children []Vdev `json:"children,omitempty"`
}

// Property is a value with its source, as zfs get and zpool get print them.
type Property struct {
	Value  string `json:"value"`
	Source string `json:"source"` // local, default, inherited from X, received, temporary, -
}

// Local tells whether the value was set on the object itself.
func (p Property) Local() bool { return p.Source == "local" }
