package dataset

import (
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
)

// What clears the way of a change of mountpoint comes first; what does not go away blocks it.
func TestClearTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		have  []string
		want  []string
		first string // what the change of tank/a waits for, "" where it is blocked
		note  string
	}{
		"the place another leaves": {
			[]string{"zfs create -o mountpoint=/srv/a tank/a", "zfs create -o mountpoint=/srv/b tank/b"},
			[]string{"tank/a mountpoint=/srv/b", "tank/b mountpoint=/srv/c"}, "tank/b", "",
		},
		"a swap": {
			[]string{"zfs create -o mountpoint=/srv/a tank/a", "zfs create -o mountpoint=/srv/b tank/b"},
			[]string{"tank/a mountpoint=/srv/b", "tank/b mountpoint=/srv/a"}, "", "would be hidden",
		},
		"an undeclared child with a place of its own inside": {
			[]string{"zfs create tank/a", "zfs create -o mountpoint=/tank/a/u tank/a/u"},
			[]string{"tank/a mountpoint=/srv"}, "", "tank/a/u is mounted inside it, at /tank/a/u",
		},
		"another one inside": {
			[]string{"zfs create tank/a", "zfs create -o mountpoint=/tank/a/in tank/other"},
			[]string{"tank/a mountpoint=/srv"}, "", "zfs unmount tank/other",
		},
		"another one inside, which goes away": {
			[]string{"zfs create tank/a", "zfs create -o mountpoint=/tank/a/in tank/other"},
			[]string{"tank/a mountpoint=/srv", "tank/other mountpoint=/elsewhere"}, "tank/other", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := tankOn(t)
			for _, line := range c.have {
				if _, err := f.Do(line); err != nil {
					t.Fatal(err)
				}
			}
			want := declare(t, c.want...)
			actions, text := plan(want, look(t, f, want))
			i := slices.IndexFunc(actions, func(a drivers.Action) bool { return a.Object.Name == "tank/a" })
			a := actions[i]
			if c.first == "" {
				if a.Verb != drivers.Blocked || !strings.Contains(strings.Join(a.Notes, "\n"), c.note) {
					t.Errorf("%s\n%s", strings.Join(text, "\n"), a.Notes)
				}
				return
			}
			j := slices.IndexFunc(actions, func(a drivers.Action) bool { return a.Object.Name == c.first })
			if a.Verb != drivers.Update || !slices.Contains(a.After, actions[j].ID) {
				t.Fatalf("%s\n%+v", strings.Join(text, "\n"), a)
			}
			for _, k := range []int{j, i} {
				if err := (&Driver{Runner: f}).Apply(t.Context(), actions[k]); err != nil {
					t.Fatal(err)
				}
			}
			if rest, text := plan(want, look(t, f, want)); len(rest) > 0 {
				t.Errorf("left: %s", strings.Join(text, "\n"))
			}
		})
	}
}
