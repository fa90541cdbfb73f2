package state

import "time"

// Received is which snapshots a replication received of one source, written down before they come. What is there under
// another guid is not the replication's, whatever its name.
type Received struct {
	Target string   `json:"target,omitempty"` // guid of the dataset that has them; "": it was yet to be made
	GUIDs  []string `json:"guids"`            // sorted
	// Elsewhere is the same of datasets that were its target before, by their guids.
	Elsewhere map[string][]string `json:"elsewhere,omitempty"`
}

// Kept is what a replication keeps on its target: Policy as it was last seen, Before what it kept when last nothing more
// was left to prune than that. Less than Before is a retention that became smaller, at the time Since.
type Kept struct {
	Policy string    `json:"policy"`
	Before string    `json:"before,omitempty"`
	Since  time.Time `json:"since"`
}
