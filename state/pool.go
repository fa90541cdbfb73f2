package state

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
	Vdevs      []Vdev              `json:"vdevs,omitempty"` // top level, with its class
	Scan       string              `json:"scan,omitempty"`
	Status     string              `json:"status,omitempty"` // what zpool status says is wrong
	Errors     string              `json:"errors,omitempty"`
}

// Vdev is a node of the tree.
type Vdev struct {
	Name     string `json:"name"`            // mirror-0, or the device's path
	Class    string `json:"class,omitempty"` // "" data; log, cache, special, dedup, spare
	State    string `json:"state"`
	Read     uint64 `json:"read"`
	Write    uint64 `json:"write"`
	Checksum uint64 `json:"checksum"`
	Note     string `json:"note,omitempty"` // was /dev/sdx, too many errors, ...
	Children []Vdev `json:"children,omitempty"`
}

// Property is a value with its source, as zfs get and zpool get print them.
type Property struct {
	Value  string `json:"value"`
	Source string `json:"source"` // local, default, inherited from X, received, temporary, -
}

// Local tells whether the value was set on the object itself.
func (p Property) Local() bool { return p.Source == "local" }
