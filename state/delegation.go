package state

import "time"

// Delegations are the permissions that `zfs allow` shows of one dataset, those above it left out.
type Delegations struct {
	At     time.Time        `json:"readAt"`
	Grants map[string]Grant `json:"grants"`          // by who has them: user:anna, group:it, everyone
	Error  string           `json:"error,omitempty"` // why they could not be read
}

// Grant are the permissions of one user or group, or of everyone; sorted.
type Grant struct {
	Here  []string `json:"here,omitempty"`  // on the dataset itself
	Below []string `json:"below,omitempty"` // on those under it
}

// AllowedProperty is the user property that remembers, on the dataset itself, to whom dplane granted something.
const AllowedProperty = "dplane:allowed"
