package exec

import (
	"context"
	"testing"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/carry"
	"github.com/dplaneos/dplane/drivers/ha/rejoin"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// behind is the watch of a node that is asked how it stands to the active one.
type behind struct {
	Watch
	asked chan ha.Event
}

func (b *behind) State() state.HA {
	return state.HA{Node: "nas-b", Holder: "nas-a", Term: 2, Role: state.RoleRejoining}
}

func (b *behind) Do(e ha.Event) error { b.asked <- e; return nil }

func (b *behind) Alarm(string, string) {}

func (b *behind) Missing(context.Context, string, map[string]string) ([]string, error) {
	return nil, nil
}

// TestComparedAfterRejoin: a beat of the active node asks for a comparison while a way back is about to be carried out. What it
// would see is what that takes away: it is the one after it that counts, and there is one.
func TestComparedAfterRejoin(t *testing.T) {
	x, w := New(), &behind{asked: make(chan ha.Event, 9)}
	x.Watch = w
	x.Use(Settings{Node: &carry.Node{}, Back: func(string, uint64) *rejoin.Node {
		t.Error("it was compared")
		return nil
	}})
	x.coming.Add(1)
	x.comparing(t.Context())
	x.coming.Add(-1)

	x.Use(Settings{Node: &carry.Node{HA: &spec.HA{}}, Back: func(string, uint64) *rejoin.Node { return &rejoin.Node{Runner: zfsfake.New()} }})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	x.do(ctx, ha.Action{Do: ha.Rejoin, Command: &ha.Command{Name: ha.Keep, Approval: "plan", Term: 2}})
	x.all.Wait()
	if e := <-w.asked; e.Kind != ha.Compared || e.Seen != ha.Clean || len(w.asked) > 0 {
		t.Errorf("%+v, and %d more", e, len(w.asked))
	}
}
