package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// doing writes down what is done, and that it is done inside.
type doing struct {
	fixed
	tell func(string)
}

type inside struct{}

func (d doing) Apply(ctx context.Context, a drivers.Action) error {
	if ctx.Value(inside{}) == nil {
		d.tell("outside " + a.Object.Name)
	}
	d.tell("done " + a.Object.Name)
	return nil
}

// intents keeps what was written down before it was done.
type intents struct {
	Store
	tell func(string)
}

func (i intents) Log(_ context.Context, e state.Event) error { return nil }
func (i intents) Begin(_ context.Context, e state.Event) (int64, error) {
	i.tell("intent")
	return 1, nil
}
func (i intents) Finish(context.Context, int64, string, string, time.Time) error { return nil }

// Each action asks before it is written down, also one that is long; what is refused is not done, and what waited for it neither.
func TestEnter(t *testing.T) {
	for _, lanes := range []*Lanes{nil, {Dirs: []string{t.TempDir()}}} {
		said := make(chan string, 99)
		tell := func(what string) { said <- what }
		refused := errors.New("the role changed")
		l := &Loop{
			Drivers: []drivers.Driver{doing{fixed{kind: spec.KindReplication}, tell}}, Store: intents{tell: tell}, Clock: Wall{}, Log: slog.New(slog.DiscardHandler), Lanes: lanes,
			Enter: func(ctx context.Context, a Planned) (context.Context, func(), error) {
				tell("asks " + a.Object.Name)
				if a.Object.Name == "theirs" {
					return ctx, nil, refused
				}
				return context.WithValue(ctx, inside{}, true), func() { tell("leaves " + a.Object.Name) }, nil
			},
		}
		act := func(name string, after ...string) Planned {
			return Planned{Action: drivers.Action{ID: name, After: after, Object: ref(name), Long: lanes != nil}}
		}
		p := &Plan{Actions: []Planned{act("ours"), act("theirs")}}
		if lanes == nil {
			p.Actions = append(p.Actions, act("waits", "theirs"))
		}
		out := l.execute(t.Context(), p, "test", nil)
		if lanes != nil {
			out = append(out, lanes.Wait()...)
		}
		var got []string
		for len(said) > 0 {
			got = append(got, <-said)
		}
		if lanes != nil { // side by side
			slices.Sort(got)
		}
		want := []string{"asks ours", "intent", "done ours", "leaves ours", "asks theirs"}
		if lanes != nil {
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("lanes %t: %q", lanes != nil, got)
		}
		if i := slices.IndexFunc(out, func(o Outcome) bool { return o.Outcome == state.Refused }); i < 0 || !errors.Is(out[i].Err, refused) || out[i].Action.Object.Name != "theirs" || out.Count(state.Done) != 1 {
			t.Errorf("lanes %t: %+v", lanes != nil, out)
		}
		if lanes == nil && out.Count(state.Skipped) != 1 {
			t.Errorf("what waited for it: %+v", out)
		}
	}
}

// An action that is ended from inside is interrupted: nobody says that it failed.
func TestEnterEnds(t *testing.T) {
	var end context.CancelFunc
	w := &waiting{fixed: fixed{kind: spec.KindReplication}, begun: make(chan string, 1), let: make(chan error)}
	left := make(chan bool, 1)
	l := &Loop{
		Drivers: []drivers.Driver{w}, Store: outcomesOnly{ended: make(chan string, 9)}, Clock: Wall{}, Log: slog.New(slog.DiscardHandler), Lanes: &Lanes{Dirs: []string{t.TempDir()}},
		Enter: func(ctx context.Context, _ Planned) (context.Context, func(), error) {
			ctx, end = context.WithCancel(ctx)
			return ctx, func() { left <- true }, nil
		},
	}
	l.execute(t.Context(), &Plan{Actions: []Planned{{Action: drivers.Action{Object: ref("a"), Long: true}}}}, "test", nil)
	<-w.begun
	end()
	if done := l.Lanes.Wait(); len(done) != 1 || done[0].Outcome != state.Interrupted || len(left) != 1 {
		t.Errorf("%+v, left %d times", done, len(left))
	}
}
