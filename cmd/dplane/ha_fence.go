package main

import (
	"context"
	"maps"
	"reflect"
	"time"

	"github.com/dplaneos/dplane/drivers/ha/fence"
	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// fenceWatch asks the fence devices of the peers how they are, hourly: one that does not answer would be found when it is
// needed.
type fenceWatch struct {
	levels map[string][]spec.FenceLevel
	cancel context.CancelFunc
	done   chan struct{}
}

// followFencing asks those that the files declare for the other nodes, and others where that changed.
func (g *group) followFencing(want *spec.Spec) {
	levels := fenceLevels(want)
	if g.fence != nil && reflect.DeepEqual(g.fence.levels, levels) || g.fence == nil && len(levels) == 0 {
		return
	}
	g.fence.stop()
	g.fence = nil
	g.watch.Unfenced()
	if len(levels) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &fenceWatch{levels, cancel, make(chan struct{})}
	g.fence = w
	go func() {
		defer close(w.done)
		newFencer(levels).Watch(ctx, g.watch.Fenced)
	}()
}

func (w *fenceWatch) stop() {
	if w != nil {
		w.cancel()
		<-w.done
	}
}

// fenceLevels are those of the other nodes, where this one is of the group.
func fenceLevels(want *spec.Spec) map[string][]spec.FenceLevel {
	if want.HA == nil || want.HA.Peers[want.Node.Name] == nil {
		return nil
	}
	others := maps.Clone(want.HA.Fencing)
	maps.DeleteFunc(others, func(peer string, levels []spec.FenceLevel) bool { return peer == want.Node.Name || len(levels) == 0 })
	return others
}

// newFencer speaks to fence agents on this machine.
func newFencer(levels map[string][]spec.FenceLevel) *fence.Fencer {
	clock := reconcile.Wall{}
	return &fence.Fencer{
		Runner: process.New(), Levels: levels, Now: clock.Now,
		Sleep: func(ctx context.Context, d time.Duration) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-clock.After(d):
				return nil
			}
		},
	}
}
