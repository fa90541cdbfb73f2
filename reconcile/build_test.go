package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"pgregory.net/rapid"
)

// act writes an action short: "create dataset tank/a safe <pool tank" (it waits for pool tank).
func act(s string) drivers.Action {
	f := strings.Fields(s)
	risk, err := spec.ParseRisk(f[3])
	if err != nil {
		panic(err)
	}
	a := drivers.Action{Verb: drivers.Verb(f[0]), Object: spec.Ref{Kind: spec.Kind(f[1]), Name: f[2]}, Risk: risk}
	a.Reason.Code = drivers.Missing
	for i := 4; i+1 < len(f); i += 2 {
		a.Waits = append(a.Waits, spec.Ref{Kind: spec.Kind(strings.TrimPrefix(f[i], "<")), Name: f[i+1]})
	}
	return a
}

type fixed struct {
	drivers.Driver
	kind    spec.Kind
	actions []drivers.Action
}

func (f fixed) Kind() spec.Kind { return f.kind }

func (f fixed) Diff(drivers.Input) drivers.Result {
	return drivers.Result{Actions: append([]drivers.Action(nil), f.actions...), Notices: []string{"a notice"}}
}

func build(consent Consent, declared int, lines ...string) *Plan {
	var f fixed
	for _, l := range lines {
		f.actions = append(f.actions, act(l))
	}
	want := &spec.Spec{Generation: "g", Datasets: map[spec.DatasetName]*spec.Dataset{}}
	for i := range declared {
		want.Datasets[spec.DatasetName(fmt.Sprintf("p/%d", i))] = &spec.Dataset{}
	}
	in := drivers.Input{Want: want, Have: state.NewObserved(time.Unix(0, 0), "h")}
	return Build(in, []drivers.Driver{f}, consent)
}

// show writes a plan short: "create tank" or "create tank (held)".
func show(p *Plan) string {
	var out []string
	for _, a := range p.Actions {
		s := string(a.Verb) + " " + a.Object.Name
		if a.Held != "" {
			s += " (" + a.Held + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}

// What a person named on the command line is not held, and limits don't bind it; what the drivers have to say
// stands in the plan.
func TestNamed(t *testing.T) {
	wipe := act("destroy pool t destructive")
	wipe.Named = true
	wipe.Identify()
	taker := act("create dataset t/x safe")
	taker.After = []string{wipe.ID}
	in := drivers.Input{Want: &spec.Spec{}, Have: state.NewObserved(time.Unix(0, 0), "h")}
	p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{wipe, taker}}}, ByHand(&spec.Limits{}, nil))
	if !p.Actions[0].Runnable() || p.Limit != "" {
		t.Errorf("held: %q, limit %q", p.Actions[0].Held, p.Limit)
	}
	if len(p.Notices) != 1 {
		t.Errorf("notices: %q", p.Notices)
	}
}

func TestBuild(t *testing.T) {
	person := ByHand(nil, nil)
	daemon := Consent{Risk: spec.Safe, Unattended: true, Limits: &spec.Limits{Changes: 50}}
	destroy := act("destroy dataset t/x destructive")
	destroy.Identify()
	for _, tc := range []struct {
		name     string
		consent  Consent
		declared int
		actions  []string
		want     string
	}{
		{"a parent comes first, whatever the order", person, 9,
			[]string{"create dataset t/a/b safe <dataset t/a", "create dataset t/a safe <pool t", "create pool t irreversible"},
			"create t\ncreate t/a\ncreate t/a/b"},
		{"the daemon leaves what can't be taken back, and what waits for it", daemon, 9,
			[]string{"create pool t irreversible", "create dataset t/a safe <pool t", "create dataset u/a safe"},
			"create t (is irreversible and daemon.apply is safe: dplane apply approves it)\ncreate t/a (waits for pool t, which is held)\ncreate u/a"},
		{"what is blocked holds what waits for it, through the chain", person, 9,
			[]string{"blocked pool t irreversible", "create dataset t/a safe <pool t", "create dataset t/a/b safe <dataset t/a"},
			"blocked t\ncreate t/a (waits for pool t, which is blocked)\ncreate t/a/b (waits for dataset t/a, which is held)"},
		{"yes never covers a destroy", person, 9,
			[]string{"destroy dataset t/x destructive"},
			"destroy t/x (destroys data: only --allow " + destroy.ID + " approves it)"},
		{"its id does", ByHand(nil, map[string]bool{destroy.ID: true}), 9,
			[]string{"destroy dataset t/x destructive"},
			"destroy t/x"},
		{"an id fits no other object", ByHand(nil, map[string]bool{destroy.ID: true}), 9,
			[]string{"destroy dataset t/y destructive"},
			"destroy t/y (destroys data: only --allow "},
		{"fewer than five changes never trip the limit", daemon, 2,
			[]string{"update dataset a safe", "update dataset b safe", "update dataset c safe", "update dataset d safe"},
			"update a\nupdate b\nupdate c\nupdate d"},
		{"five of eight do", daemon, 8,
			[]string{"update dataset a safe", "update dataset b safe", "update dataset c safe", "update dataset d safe", "update dataset e safe"},
			"update a (changes to 5 of 8 declared objects are more than daemon.limits.changes (50%): dplane apply --allow-limits approves it)"},
		{"by hand too", ByHand(&spec.Limits{Changes: 50}, nil), 8,
			[]string{"update dataset a safe", "update dataset b safe", "update dataset c safe", "update dataset d safe", "update dataset e safe", "create dataset f safe"},
			"update a (changes to 5 of 8 "},
		{"several changes of one object are one", daemon, 8,
			[]string{"update dataset a safe", "update dataset a safe <x 1", "update dataset b safe", "update dataset c safe", "update dataset d safe"},
			"update a\nupdate a\nupdate b"},
		{"five of ten do not", daemon, 10,
			[]string{"update dataset a safe", "update dataset b safe", "update dataset c safe", "update dataset d safe", "update dataset e safe"},
			"update a\nupdate b\nupdate c\nupdate d\nupdate e"},
		{"creates and what waits by its risk don't count", daemon, 8,
			[]string{"create dataset a safe", "update dataset b safe", "update dataset c safe", "update dataset d safe", "update dataset e safe", "update dataset f disruptive"},
			"create a\nupdate b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := show(build(tc.consent, tc.declared, tc.actions...)); !strings.HasPrefix(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// Whatever waits for whatever: nothing stands before what it waits for, and nothing is lost or doubled.
func TestOrderLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "n")
		lines := make([]string, n)
		for i := range lines {
			lines[i] = fmt.Sprintf("create dataset d%d safe", i)
			for j := range i {
				if rapid.IntRange(0, 9).Draw(t, "edge") == 0 {
					lines[i] += fmt.Sprintf(" <dataset d%d", j)
				}
			}
		}
		shuffled := rapid.Permutation(lines).Draw(t, "order")
		p := build(ByHand(nil, nil), 9, shuffled...)
		if len(p.Actions) != n {
			t.Fatalf("%d actions of %d", len(p.Actions), n)
		}
		placed := map[string]bool{}
		for _, a := range p.Actions {
			for _, id := range a.After {
				if !placed[id] {
					t.Fatalf("%s stands before what it waits for", a.Object)
				}
			}
			if placed[a.ID] {
				t.Fatalf("%s stands twice", a.Object)
			}
			placed[a.ID] = true
		}
	})
}

func TestZFSMissingPlansNothing(t *testing.T) {
	in := drivers.Input{Want: &spec.Spec{}, Have: state.NewObserved(time.Unix(0, 0), "h")}
	in.Have.ZFS = state.ZFS{Error: "no module", Hint: "modprobe zfs"}
	p := Build(in, []drivers.Driver{fixed{actions: []drivers.Action{act("create pool t irreversible")}}}, ByHand(nil, nil))
	if len(p.Actions) != 0 || p.ZFSError != "no module" || p.ZFSHint != "modprobe zfs" {
		t.Errorf("got %+v", p)
	}
}
