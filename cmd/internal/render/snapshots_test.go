package render

import (
	"strings"
	"testing"
)

// Where it is not known how much is reclaimable, it is said to be at least so much.
func TestReclaimableAtLeast(t *testing.T) {
	for want, d := range map[string]SnapshotsOf{
		"tank: schedule s, 0 snapshots, 3.00M reclaimable\n":          {Name: "tank", Schedule: "s", Reclaimable: 3 << 20},
		"tank: schedule s, 0 snapshots, at least 3.00M reclaimable\n": {Name: "tank", Schedule: "s", Reclaimable: 3 << 20, AtLeast: true},
	} {
		var b strings.Builder
		if err := SnapshotsText(&b, []SnapshotsOf{d}, TextOptions{}); err != nil || b.String() != want {
			t.Errorf("got %q, %v, want %q", b.String(), err, want)
		}
	}
}
