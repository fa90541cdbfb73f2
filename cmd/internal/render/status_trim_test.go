package render

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/state"
)

// A trim that runs is told, with its progress where the release tells it.
func TestTrimText(t *testing.T) {
	for want, w := range map[string]*state.Work{
		"tank: trim 25.0% done": {Kind: "trim", State: state.Running, Done: 1 << 30, Total: 4 << 30},
		"tank: trim runs":       {Kind: "trim", State: state.Running},
	} {
		var b strings.Builder
		tx := &text{}
		tx.poolDetails([]PoolStatus{newPoolStatus("tank", &state.Pool{Name: "tank", Trimming: w})})
		if err := tx.writeTo(&b); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%q, %v: want %q", b.String(), err, want)
		}
	}
}
