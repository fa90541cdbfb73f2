package receive

import (
	"github.com/dplaneos/dplane/spec"
)

// Rules are what one key may do. The person who writes authorized_keys declares them, and nobody else.
type Rules struct {
	Targets []Target
	Sources []Source
}

// Target is a dataset that is received into, with what is below it, and what else may be done there.
type Target struct {
	Dataset spec.DatasetName
	Prune   bool              // its snapshots may be destroyed, each by its name
	Repair  bool              // it may be rolled back or kept aside
	Set     map[string]string // properties with the one value that may be set beside harmless ones
	// Peer is the node of the HA group whose key it is, "" where the target is of no group. What is not only asked is let through
	// while this node is a standby, in the term that is known here, and where that node is its holder (HA.md, I7).
	Peer string
}

// Source is a dataset that is sent, with what is below it.
type Source struct {
	Dataset spec.DatasetName
	Plain   bool // also in plain where it is encrypted and its key is loaded
}

// target is the one that a dataset stands at or below, and of several the nearest: what is declared of the outer one does not
// count within an inner one. nil: it is in none.
func (r *Rules) target(name string) (nearest *Target) {
	for i := range r.Targets {
		t := &r.Targets[i]
		if spec.DatasetName(name).Under(t.Dataset) && (nearest == nil || len(t.Dataset) > len(nearest.Dataset)) {
			nearest = t
		}
	}
	return nearest
}

// source is the same of sources. What is declared of one of two that are the same is declared.
func (r *Rules) source(name string) (nearest *Source) {
	for i := range r.Sources {
		s := &r.Sources[i]
		if spec.DatasetName(name).Under(s.Dataset) && (nearest == nil || len(s.Dataset) > len(nearest.Dataset) || s.Dataset == nearest.Dataset && s.Plain) {
			nearest = s
		}
	}
	return nearest
}

func (r *Rules) targets() (all []spec.DatasetName) {
	for _, t := range r.Targets {
		all = append(all, t.Dataset)
	}
	return all
}

func (r *Rules) sources() (all []spec.DatasetName) {
	for _, s := range r.Sources {
		all = append(all, s.Dataset)
	}
	return all
}

func (r *Rules) ends() []spec.DatasetName { return append(r.targets(), r.sources()...) }
