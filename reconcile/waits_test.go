package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// taking is a disk that a person named to be wiped, and the pool that takes it.
func taking() (wipe, taker drivers.Action) {
	wipe = act("destroy disk /b destructive")
	wipe.Named = true
	wipe.Identify()
	taker = act("create pool two irreversible")
	taker.After = []string{wipe.ID}
	return wipe, taker
}

func planOf(c Consent, actions ...drivers.Action) *Plan {
	in := drivers.Input{Want: &spec.Spec{}, Have: state.NewObserved(time.Unix(0, 0), "h")}
	return Build(in, []drivers.Driver{fixed{actions: actions}}, c)
}

// changes are as many updates as trip a limit.
func changes() []drivers.Action {
	var all []drivers.Action
	for i := range fewChanges {
		all = append(all, act(fmt.Sprintf("update dataset t/%d safe", i)))
	}
	return all
}

// A disk is wiped for what takes it, and for nothing else.
func TestWipeWithItsTaker(t *testing.T) {
	wipe, taker := taking()
	asks := taker
	asks.Steps = []host.Command{{Prompt: "new passphrase"}}
	blocked := taker
	blocked.Verb = drivers.Blocked
	other := wipe
	other.Object.Name, other.Fields = "/c", []drivers.Field{{Name: "label"}}
	other.Identify()
	both := taker
	both.After = []string{wipe.ID, other.ID}
	paused := ByHand(nil, nil)
	paused.Pause = "paused"
	for _, tc := range []struct {
		name    string
		consent Consent
		actions []drivers.Action
		want    string
	}{
		{"it runs", ByHand(nil, nil), []drivers.Action{wipe, taker}, "destroy /b\ncreate two"},
		{"both", ByHand(nil, nil), []drivers.Action{wipe, other, both}, "destroy /b\ndestroy /c\ncreate two"},
		{"the limit holds the taker", ByHand(&spec.Limits{}, nil), append([]drivers.Action{wipe, taker}, changes()...), "destroy /b (goes only for pool two, which is held)\ncreate two (changes to "},
		{"it asks for a secret, and nobody is there", ByHand(nil, nil), []drivers.Action{wipe, asks}, "destroy /b (goes only for pool two, which is held)\ncreate two (asks for "},
		{"blocked", ByHand(nil, nil), []drivers.Action{wipe, blocked}, "destroy /b (goes only for pool two, which is blocked)\nblocked two"},
		{"left out", selecting("", "two"), []drivers.Action{wipe, taker}, "destroy /b (goes only for what is left out of the plan)"},
		{"of two disks one is left out", selecting("", "/c"), []drivers.Action{wipe, other, both}, "destroy /b (goes only for pool two, which is held)\ncreate two (waits for disk /c, which is left out)"},
		{"selected comes with it", selecting("two", ""), []drivers.Action{wipe, taker}, "destroy /b\ncreate two"},
		{"paused", paused, []drivers.Action{wipe, taker}, "destroy /b (paused)\ncreate two (paused)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := show(planOf(tc.consent, tc.actions...)); !strings.HasPrefix(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// What the limits hold, holds what waits for it, though that was allowed by its id.
func TestLimitsHoldWhatWaits(t *testing.T) {
	trash := act("create dataset t/.dplane-trash safe")
	act1 := act("update dataset t/gone disruptive <dataset t/.dplane-trash")
	act1.Identify()
	c := ByHand(&spec.Limits{}, map[string]bool{act1.ID: true})
	p := planOf(c, append([]drivers.Action{trash, act1}, changes()...)...)
	if want := "waits for dataset t/.dplane-trash, which is held"; p.Limit == "" || p.Actions[1].Held != want {
		t.Errorf("limit %q, held %q, want %q", p.Limit, p.Actions[1].Held, want)
	}
}

// journal is a store that takes what is written, and reads nothing.
type journal struct {
	Store
	logged []string
}

func (j *journal) Begin(context.Context, state.Event) (int64, error)              { return 1, nil }
func (j *journal) Finish(context.Context, int64, string, string, time.Time) error { return nil }
func (j *journal) Log(_ context.Context, e state.Event) error {
	j.logged = append(j.logged, e.Message)
	return nil
}

// failing carries out everything but the object that it names.
type failing struct {
	drivers.Driver
	kind spec.Kind
	name string
}

func (f failing) Kind() spec.Kind { return f.kind }

func (f failing) Apply(_ context.Context, a drivers.Action) error {
	if a.Object.Name == f.name {
		return errors.New("broken")
	}
	return nil
}

// carried is how each action of a plan ended where the named object fails.
func carried(p *Plan, fails string) string {
	l := Loop{Store: &journal{}, Clock: Wall{}, Log: slog.New(slog.DiscardHandler)}
	for _, k := range []spec.Kind{spec.KindPool, spec.KindDataset, spec.KindDisk} {
		l.Drivers = append(l.Drivers, failing{kind: k, name: fails})
	}
	var out []string
	for _, o := range l.execute(context.Background(), p, "root", nil) {
		s := o.Outcome + " " + o.Action.Object.Name
		if o.Outcome == state.Skipped {
			s += fmt.Sprintf(" (%v)", o.Err)
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}

// What waited for an action that failed, or was not carried out at all, is skipped; no disk is wiped for that.
func TestExecuteSkips(t *testing.T) {
	wipe, taker := taking()
	other := wipe
	other.Object.Name, other.Fields = "/c", []drivers.Field{{Name: "label"}}
	other.Identify()
	taker.After = []string{wipe.ID, other.ID}
	p := planOf(ByHand(nil, nil), wipe, other, taker)
	if got, want := carried(p, ""), "done /b\ndone /c\ndone two"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	const second = "failed /b\nskipped /c (destroy disk /c: skipped, what would take it can't run)\nskipped two (create pool two: skipped, it waited for disk /b, disk /c)"
	if got := carried(p, "/b"); got != second {
		t.Errorf("got\n%s\nwant\n%s", got, second)
	}
	p.Actions[0].Held = "held by somebody else"
	const held = "skipped /c (destroy disk /c: skipped, what would take it can't run)\nskipped two (create pool two: skipped, it waited for disk /b, disk /c)"
	if got := carried(p, ""); got != held {
		t.Errorf("got\n%s\nwant\n%s", got, held)
	}
}
