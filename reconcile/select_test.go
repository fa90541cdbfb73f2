package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"pgregory.net/rapid"
)

func selecting(only, except string) Consent {
	c := ByHand(nil, nil)
	for _, s := range strings.Fields(only) {
		c.Select.Only = append(c.Select.Only, spec.Pattern(s))
	}
	for _, s := range strings.Fields(except) {
		c.Select.Except = append(c.Select.Except, spec.Pattern(s))
	}
	return c
}

func TestSelect(t *testing.T) {
	tree := []string{"create pool t irreversible", "create dataset t/a safe <pool t", "create dataset t/a/b safe <dataset t/a",
		"create dataset t/c safe <pool t", "update dataset u/x safe"}
	for _, tc := range []struct{ name, only, except, want string }{
		{"what it waits for comes with it", "t/a/b", "", "create t\ncreate t/a\ncreate t/a/b"},
		{"and what is below does not", "t/a", "", "create t\ncreate t/a"},
		{"several", "t/c u/*", "", "create t\ncreate t/c\nupdate u/x"},
		{"all below", "t/**", "", "create t\ncreate t/a\ncreate t/a/b\ncreate t/c"},
		{"what waits for what is left out is held", "", "t/a", "create t\ncreate t/c\nupdate u/x"},
		{"a pool with all in it", "", "t", "update u/x"},
		{"the chain", "", "t/a/b", "create t\ncreate t/a\ncreate t/c\nupdate u/x"},
		{"left out wins", "t/a/b", "t/a", ""},
		{"what waits for another that is left out", "t/c", "u/x", "create t\ncreate t/c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := build(selecting(tc.only, tc.except), 9, tree...)
			if got := show(p); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
			if len(p.Unmatched) > 0 || len(p.Notices) != 2 {
				t.Errorf("unmatched %q, notices %q", p.Unmatched, p.Notices)
			}
		})
	}
}

// What waits for an object elsewhere that is left out can't run, and neither can what waits for that.
func TestSelectHolds(t *testing.T) {
	p := build(selecting("", "t/key"), 9, "create dataset t/key safe", "update dataset t/a safe <dataset t/key", "create dataset t/b safe <dataset t/a", "update dataset t/c safe")
	const want = "update t/a (waits for dataset t/key, which is left out)\ncreate t/b\nupdate t/c"
	if got := show(p); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The limits bind what was selected, not what was left out.
func TestSelectBeforeLimits(t *testing.T) {
	lines := make([]string, 8)
	for i := range lines {
		lines[i] = fmt.Sprintf("update dataset p/%d safe", i)
	}
	c := selecting("p/0 p/1", "")
	c.Limits = &spec.Limits{Changes: 50}
	if p := build(c, 8, lines...); p.Limit != "" || len(p.Actions) != 2 {
		t.Errorf("limit %q, %s", p.Limit, show(p))
	}
}

// To rename or destroy a dataset is to do so to what is below it.
func TestSelectCarries(t *testing.T) {
	old := act("update dataset t/old disruptive")
	old.Steps = []host.Command{host.Write("zfs", "rename", "-u", "t/old", "t/.dplane-trash/1")}
	live := act("update dataset t disruptive")
	live.Steps = []host.Command{host.Write("zfs", "set", "atime=off", "t")}
	f := fixed{actions: []drivers.Action{old, live, act("update dataset t/old/child safe")}}
	p := Build(drivers.Input{Want: &spec.Spec{}, Have: state.NewObserved(time.Unix(0, 0), "h")}, []drivers.Driver{f}, selecting("", "t/old/child"))
	const want = "update t/old (would take t/old/child along, which is left out)\nupdate t"
	if got := show(p); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSelectUnmatched(t *testing.T) {
	p := build(selecting("p/0 t/x nosuch", "other/** p/*"), 1, "create dataset t/x safe")
	if want := []string{"nosuch", "other/**"}; !slices.Equal(p.Unmatched, want) {
		t.Errorf("unmatched %q, want %q", p.Unmatched, want)
	}
}

// Whatever is selected: an object that fits neither only nor what those wait for is not in the plan, nothing left
// out is, and each action that can run has all it waits for before it.
func TestSelectLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		name := rapid.SampledFrom([]string{"t", "t/a", "t/a/b", "t/a/b/c", "t/d", "u", "u/e"})
		lines := make([]string, n)
		for i := range lines {
			lines[i] = fmt.Sprintf("create dataset %s/%d safe", name.Draw(t, "object"), i)
			if j := rapid.IntRange(-1, i-1).Draw(t, "edge"); j >= 0 {
				lines[i] += " <dataset " + strings.Fields(lines[j])[2]
			}
		}
		pattern := rapid.SampledFrom([]string{"t/**", "t/*", "t/a/*", "u/**", "**/3", "t/a/**", "t/d/4"})
		c := selecting(strings.Join(rapid.SliceOfN(pattern, 0, 2).Draw(t, "only"), " "), strings.Join(rapid.SliceOfN(pattern, 0, 2).Draw(t, "except"), " "))
		whole, p := build(ByHand(nil, nil), 0, lines...), build(c, 0, lines...)
		awaited, placed := map[string]bool{}, map[string]bool{}
		for _, a := range slices.Backward(p.Actions) {
			if c.Select.excepts(a.Object.Name) {
				t.Fatalf("%s was left out and is in the plan", a.Object)
			}
			if !c.Select.names(a.Object.Name) && !awaited[a.ID] {
				t.Fatalf("%s is in the plan, and nothing there waits for it", a.Object)
			}
			for _, id := range a.After {
				awaited[id] = true
			}
		}
		for _, a := range p.Actions {
			for _, id := range a.After {
				if a.Runnable() && !placed[id] {
					t.Fatalf("%s would run without what it waits for", a.Object)
				}
			}
			placed[a.ID] = a.Runnable()
		}
		for _, a := range whole.Actions {
			_, there := placed[a.ID]
			if !there && c.Select.names(a.Object.Name) && !c.Select.excepts(a.Object.Name) {
				t.Fatalf("%s was selected and is not in the plan", a.Object)
			}
		}
	})
}
