package beat

import (
	"fmt"

	"github.com/dplaneos/dplane/state"
)

// Fenced takes what the fence devices of a peer said when they were asked how they are, and tells of what changed.
func (w *Watch) Fenced(peer string, found []state.FenceDevice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, d := range found {
		was := ""
		if old := w.fence[peer]; i < len(old) && old[i].Level == d.Level && old[i].Agent == d.Agent {
			was = old[i].Error
		}
		switch what := fmt.Sprintf("the fence device %s of %s (level %d)", d.Agent, peer, d.Level); {
		case d.Error != "" && was == "":
			w.tell(state.Error, what+" would not help: "+d.Error)
		case d.Error == "" && was != "":
			w.tell(state.Info, what+" is well again")
		}
	}
	if w.fence == nil {
		w.fence = map[string][]state.FenceDevice{}
	}
	w.fence[peer] = found
	w.save()
}

// Unfenced forgets what fence devices said: others are declared.
func (w *Watch) Unfenced() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fence = nil
	w.save()
}
