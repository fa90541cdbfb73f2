package state

// Verified is what a comparison of both ends of one dataset found.
type Verified struct {
	Source  string        `json:"source"`
	Target  string        `json:"target"`
	Common  int           `json:"common"`  // snapshots that both have, by guid
	Missing []string      `json:"missing"` // those that are sent, and the target has not
	Renamed []Renamed     `json:"renamed"`
	Faults  []string      `json:"faults"`
	Deep    *VerifiedDeep `json:"deep,omitempty"`
}

// Renamed is a snapshot that the two ends call differently.
type Renamed struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// VerifiedDeep is a snapshot that was read on both ends.
type VerifiedDeep struct {
	Snapshot string `json:"snapshot"` // by the source's name
	Equal    bool   `json:"equal"`
	Bytes    int64  `json:"bytes"` // that were read of the source
	Error    string `json:"error,omitempty"`
}

// OK tells whether what the target has is what the source has. That it has not all yet is no fault.
func (v Verified) OK() bool { return len(v.Faults) == 0 && (v.Deep == nil || v.Deep.Equal) }
