package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Shared is the hash of what is to be equal on all nodes of the HA group: ha, the group's datasets, their schedules, and the
// replications to the standby (PRODUCT.md section 2). "" without a group. It may be made of a password (fencing): it goes
// to peers, which have the same files, and is shown to nobody.
func (s *Spec) Shared() string {
	if s.HA == nil {
		return ""
	}
	var root, datasets, covers block
	schedules := map[string]*Schedule{}
	cover := func(name DatasetName) {
		c := s.Covering(name)
		if c.Schedule == nil {
			return
		}
		schedules[c.Schedule.Name] = c.Schedule
		covers.add(string(name), c.Snapshots.encode())
	}
	for _, name := range slices.Sorted(slices.Values(s.HA.Datasets)) {
		cover(name) // it may be declared above the group
	}
	for _, name := range s.DatasetNames() {
		if slices.ContainsFunc(s.HA.Datasets, name.Under) {
			datasets.add(string(name), s.Datasets[name].encode())
			cover(name)
		}
	}
	standbys := map[string]*Replication{}
	for name, r := range s.Replications {
		if r.Pair != "" { // as the files name it, which are equal on all nodes
			name = r.Pair
		}
		if r.Target.Standby {
			standbys[name] = r
		}
	}
	root.block("datasets", datasets)
	root.block("covers", covers)
	root.block("schedules", entries(schedules, (*Schedule).encode))
	root.block("replications", entries(standbys, (*Replication).encode))
	root.add("ha", s.HA.encode())
	sum := sha256.Sum256(root.yaml())
	return hex.EncodeToString(sum[:])
}
