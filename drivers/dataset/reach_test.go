package dataset

import (
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
)

// A change on a dataset whose undeclared children inherit it is at least disruptive, and names them.
func TestReach(t *testing.T) {
	for name, c := range map[string]struct {
		want, have []string
		risk       spec.Risk
		reached    string // "" for none
	}{
		"a child that inherits": {[]string{"tank/a compression=zstd"}, []string{"tank", "tank/a", "tank/a/x"},
			spec.Disruptive, "compression reaches 1 below that dplane does not manage: tank/a/x"},
		"a child with its own value, and what is below it": {[]string{"tank/a compression=zstd"}, []string{"tank", "tank/a", "tank/a/x compression=lz4", "tank/a/x/y"},
			spec.Safe, ""},
		"a declared child": {[]string{"tank/a compression=zstd", "tank/a/x"}, []string{"tank", "tank/a", "tank/a/x"}, spec.Safe, ""},
		"below a declared child": {[]string{"tank/a compression=zstd", "tank/a/x"}, []string{"tank", "tank/a", "tank/a/x", "tank/a/x/y"},
			spec.Disruptive, "compression reaches 1 below that dplane does not manage: tank/a/x/y"},
		"a neighbour with the same beginning": {[]string{"tank/a compression=zstd"}, []string{"tank", "tank/a", "tank/ab", "tank/a-b"}, spec.Safe, ""},
		"a property that is not inherited":    {[]string{"tank/a quota=none"}, []string{"tank", "tank/a quota=5", "tank/a/x"}, spec.Safe, ""},
		"a user property":                     {[]string{"tank/a com.example:a=b"}, []string{"tank", "tank/a", "tank/a/x", "tank/a/y com.example:a=c"}, spec.Disruptive, "com.example:a reaches 1 below that dplane does not manage: tank/a/x"},
		"given back": {[]string{"tank/a"}, []string{"tank", "tank/a atime=off dplane:applied=atime", "tank/a/x"},
			spec.Disruptive, "atime reaches 1 below that dplane does not manage: tank/a/x"},
		"mounts below": {[]string{"tank/a canmount=off"}, []string{"tank", "tank/a", "tank/a/x"},
			spec.Disruptive, "canmount reaches 1 below that dplane does not manage: tank/a/x"},
		"many": {[]string{"tank compression=zstd"}, slices.Concat([]string{"tank"}, numbered(12)),
			spec.Disruptive, "compression reaches 12 below that dplane does not manage: " + strings.Join(slices.Sorted(slices.Values(numbered(12)))[:10], ", ") + ", ..."},
	} {
		t.Run(name, func(t *testing.T) {
			actions, text := plan(declare(t, c.want...), machine(c.have...))
			if len(actions) != 1 {
				t.Fatalf("not one action:\n%s", strings.Join(text, "\n"))
			}
			a := actions[0]
			if a.Risk != c.risk {
				t.Errorf("risk %s, want %s", a.Risk, c.risk)
			}
			said := slices.Contains(a.Notes, c.reached)
			says := slices.ContainsFunc(a.Notes, func(n string) bool { return strings.Contains(n, "reaches") })
			if says != (c.reached != "") || c.reached != "" && !said {
				t.Errorf("notes %q, want %q", a.Notes, c.reached)
			}
		})
	}
}

func numbered(n int) []string {
	var names []string
	for i := range n {
		names = append(names, "tank/n"+string(rune('a'+i)))
	}
	return names
}

// A declared value that is right only by inheritance is set before what it inherits changes.
func TestPin(t *testing.T) {
	for name, c := range map[string]struct{ want, have, plan []string }{
		"the parent gets another value": {
			want: []string{"tank compression=lz4", "tank/a compression=zstd"},
			have: []string{"tank compression=zstd dplane:applied=compression", "tank/a"},
			plan: []string{
				"update safe drift: zfs set compression=lz4 tank",
				"update safe drift: zfs set compression=zstd dplane:applied=compression tank/a",
			},
		},
		"the parent gets the same value": {
			want: []string{"tank compression=on", "tank/b compression=zstd", "tank/b/c compression=zstd"},
			have: []string{"tank compression=on", "tank/b compression=lz4 dplane:applied=compression", "tank/b/c compression=zstd"},
			plan: []string{"update safe drift: zfs set compression=zstd tank/b"},
		},
		"the parent's is given back": {
			want: []string{"tank", "tank/a compression=zstd"},
			have: []string{"tank compression=zstd dplane:applied=compression", "tank/a"},
			plan: []string{
				"update safe removed: zfs inherit -S compression tank; zfs inherit dplane:applied tank",
				"update safe drift: zfs set compression=zstd dplane:applied=compression tank/a",
			},
		},
		"a default": {
			want: []string{"tank atime=off", "tank/a atime=on", "tank/a/b atime=on"},
			have: []string{"tank", "tank/a", "tank/a/b"},
			plan: []string{
				"update safe drift: zfs set atime=off dplane:applied=atime tank",
				"update safe drift: zfs set atime=on dplane:applied=atime tank/a",
			},
		},
		"a mountpoint that stays where it is": {
			want: []string{"tank mountpoint=/srv", "tank/a mountpoint=/tank/a", "tank/b mountpoint=/srv/b"},
			have: []string{"tank", "tank/a", "tank/b mountpoint=/srv/b"},
			plan: []string{
				"update disruptive drift: zfs set dplane:applied=mountpoint mountpoint=/srv tank",
				"update safe drift: zfs set dplane:applied=mountpoint mountpoint=/tank/a tank/a",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := plan(declare(t, c.want...), machine(c.have...))
			if strings.Join(got, "\n") != strings.Join(c.plan, "\n") {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.plan, "\n  "))
			}
		})
	}
}

// The change above waits for the pin below, and does not take an inherited value for its precondition.
func TestPinOrder(t *testing.T) {
	actions, text := plan(declare(t, "tank compression=lz4 readonly=on", "tank/a compression=zstd", "tank/b compression=gzip"),
		machine("tank compression=zstd", "tank/a", "tank/b"))
	if len(actions) != 4 {
		t.Fatalf("plan:\n%s", strings.Join(text, "\n"))
	}
	safe, disruptive, pin, other := actions[0], actions[1], actions[2], actions[3]
	if !slices.Contains(safe.After, pin.ID) || slices.Contains(safe.After, other.ID) {
		t.Errorf("the change above waits for %v, not for the pin %s alone", safe.After, pin.ID)
	}
	if !slices.Equal(disruptive.After, []string{safe.ID}) {
		t.Errorf("the second action of a dataset waits for %v, not for its first", disruptive.After)
	}
	for _, a := range []drivers.Action{pin, other} {
		if got := a.Guard[0].Output; got != "guid\t"+a.GUID+"\t-\n" {
			t.Errorf("the guard of %s relies on %q", a.Object, got)
		}
	}
}

// A guard relies on the guid, the old values with their sources, and the mark as the action before left it.
func TestGuard(t *testing.T) {
	actions, _ := plan(declare(t, "tank/a compression=zstd readonly=on com.example:a=b"),
		machine("tank atime=off", "tank/a compression=lz4 dplane:applied=atime"))
	want := []string{
		"com.example:a\t-\t-\ncompression\tlz4\tlocal\ndplane:applied\tatime\tlocal\nguid\t101\t-\n",
		"atime\toff\tinherited from tank\ndplane:applied\tatime,com.example:a,compression\tlocal\nguid\t101\t-\n",
		"dplane:applied\tcom.example:a,compression\tlocal\nguid\t101\t-\nreadonly\toff\tdefault\n",
	}
	for i, a := range actions {
		if a.Guard[0].Output != want[i] {
			t.Errorf("%v: the guard relies on %q, want %q", a.Fields, a.Guard[0].Output, want[i])
		}
	}
}

// What undoes a change is typed by hand.
func TestUndo(t *testing.T) {
	actions, _ := plan(declare(t, "tank/a compression=zstd atime=off com.example:a=b"),
		machine("tank", "tank/a compression=lz4"))
	if got, want := actions[0].Undo, "zfs set compression=lz4 tank/a; zfs inherit -S atime tank/a; zfs inherit -S com.example:a tank/a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A change keeps its id as long as it is the same change.
func TestStableID(t *testing.T) {
	id := func(want, have []string) string {
		actions, _ := plan(declare(t, want...), machine(have...))
		for _, a := range actions {
			if a.Fields[0].Name == "readonly" {
				return a.ID
			}
		}
		t.Fatal("no such action")
		return ""
	}
	before := id([]string{"tank/a compression=zstd readonly=on"}, []string{"tank", "tank/a"})
	after := id([]string{"tank/a compression=zstd readonly=on"}, []string{"tank", "tank/a compression=zstd dplane:applied=compression"})
	if before != after {
		t.Error("the id changed when the other half of the change was carried out")
	}
	if before == id([]string{"tank/a readonly=on"}, []string{"tank", "tank/b", "tank/a"}) {
		t.Error("another dataset of that name has the same id")
	}
}
