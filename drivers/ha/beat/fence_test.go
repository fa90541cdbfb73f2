package beat

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

// A fence device that would not help is told of once, and once that it is well again; both are recorded.
func TestFenceDevicesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMesh(), &memory{}
		w := m.node("a", store, ha.Local{}, "b")
		defer m.end("a")
		for _, err := range []string{"", "no way", "no way", "still none", ""} {
			w.Fenced("b", []state.FenceDevice{{Level: 1, Agent: "fence_x", Power: state.PowerOn, Error: err}})
			synctest.Wait()
			if got := store.saved().Peers[0].Fence; len(got) != 1 || got[0].Error != err {
				t.Errorf("recorded: %+v, want %q", got, err)
			}
		}
		told := store.told()
		if strings.Count(told, "fence_x of b (level 1) would not help: no way") != 1 || strings.Count(told, "is well again") != 1 || strings.Contains(told, "still none") {
			t.Errorf("told: %s", told)
		}
		w.Unfenced()
		synctest.Wait()
		if got := store.saved().Peers[0].Fence; len(got) != 0 {
			t.Errorf("others are declared, and still: %+v", got)
		}
	})
}
