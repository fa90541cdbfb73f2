package replication

import (
	"testing"

	"github.com/dplaneos/dplane/state"
)

// What was remembered before the guids of targets were is needed for the way back, too.
func TestNeededWithoutTheGuidOfATarget(t *testing.T) {
	r := &state.Replicated{Common: map[string]state.Common{"7": {GUID: "9", Place: "old:usb/a"}}}
	if !neededBy(r, "new:usb/a", "7")["9"] {
		t.Error("the way back is let go of")
	}
}
