package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/dplaneos/dplane/state"
)

// forgotten says that nothing is recorded though dplane was at work here before, as its marks on the pools show; ""
// where that is not so.
func forgotten(obs *state.Observed) string {
	if len(obs.Recorded) > 0 {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(obs.Datasets)) {
		if d := obs.Datasets[name]; len(d.Applied()) > 0 || d.InTrash() {
			return fmt.Sprintf("nothing was recorded of this machine, though dplane changed %s before: the database was deleted, moved or broken, or the pool comes from another machine. History, events and the memory of pools and datasets that are away begin anew: what is missing now can't be told from what never was", name)
		}
	}
	return ""
}

// tellForgotten notes in the journal, from which status has it, that the memory was lost (PRODUCT.md section 4, promise
// 10). The pass that follows records what there is, so it is said once.
func (l *Loop) tellForgotten(ctx context.Context, obs *state.Observed) error {
	why := forgotten(obs)
	if why == "" {
		return nil
	}
	if acted, err := l.Store.Acted(ctx); acted || err != nil {
		return err // a first apply that was killed before its pass was recorded
	}
	e := state.Event{At: obs.At, Type: state.MemoryLost, Level: state.Warn, Message: why}
	if err := l.Store.Log(ctx, e); err != nil {
		return fmt.Errorf("note that the memory was lost: %w", err)
	}
	return nil
}
