package dataset

import (
	"fmt"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// compareSparse looks at the reservation of a volume whose files say whether it is sparse. Where they declare
// refreservation too, that property decides; where they say nothing, a volume stays as it is. size is what the
// volume has or will have, the larger.
func (v *view) compareSparse(want *spec.Dataset, have *state.Dataset, size uint64, changes map[string]*change) {
	vol := want.Volume
	_, declared := want.Properties["refreservation"]
	if vol.Sparse == nil || declared || appliedTo(have)["refreservation"] { // or taken back with its mark
		return
	}
	from := have.Properties["refreservation"]
	c := &change{name: "refreservation", deed: set, from: from, at: vol.Pos.At(), risk: spec.Safe}
	switch {
	case *vol.Sparse && bytesOf(from.Value) > 0:
		c.to, c.sparse = "none", unreserve
		c.note = "its space is kept no more: once the pool is full, writes to the volume fail"
	case !*vol.Sparse && !autoReserved(have):
		c.to, c.sparse = "auto", reserve
		c.note = "what it may ever take is kept from the pool's other datasets"
		if note := noRoom(have, size); note != "" {
			c.deed, c.note = refuse, note
		}
	default:
		return
	}
	changes[c.name] = c
}

// noRoom says why so much can't be reserved, "" where it may fit: dsl_dataset_set_refreservation_sync_impl counts what is
// beyond the reservation that there is and what the volume holds by itself, which is at most what it references; and ZFS
// reserves more than the size, for its own blocks.
func noRoom(have *state.Dataset, size uint64) string {
	had := max(have.Referenced, bytesOf(have.Properties["refreservation"].Value))
	if size <= had || size-had <= have.Available {
		return ""
	}
	return fmt.Sprintf("to reserve the %s of the volume takes %s more, and %s are available to it: free space first, or declare sparse: true", about(size), about(size-had), about(have.Available))
}
