package zfs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
)

// Whatever is asked or done of many names stays within what Linux starts a process with (execve(2)), names each once and
// in its order, and takes no more commands than it needs.
func TestManyNames(t *testing.T) {
	var datasets, snaps, whole, quotas []string
	for i := range 30000 {
		datasets = append(datasets, fmt.Sprintf("tank/%s/a %05d", strings.Repeat("d", 60+i%100), i)) // the space wants quotes
		snaps = append(snaps, fmt.Sprintf("dplane-%016dZ", i))
		whole = append(whole, datasets[i]+"@"+snaps[i])
		quotas = append(quotas, fmt.Sprintf("userquota@student%05d", i))
	}
	for name, c := range map[string]struct {
		build func(names []string) []host.Command
		names []string
		word  int  // where in the arguments the names begin
		join  bool // they are one word
		most  int
		far   bool // they run on other machines too
	}{
		"take unmarked": {func(n []string) []host.Command { return TakeSnapshots("", n) }, whole, 2, false, 5, false},
		"take":          {func(n []string) []host.Command { return TakeSnapshots("standard", n) }, whole, 4, false, 5, false},
		"list":          {ListSnapshots, whole, 7, false, 40, true},
		"list ends":     {func(n []string) []host.Command { return ListEnds(true, n...) }, datasets, 8, false, 32, true},
		"holds":         {ListHolds, whole, 3, false, 40, true},
		"hold":          {func(n []string) []host.Command { return Hold("dplane:off", n) }, whole, 3, false, 40, true},
		"release":       {func(n []string) []host.Command { return Release("dplane:off", n) }, whole, 3, false, 40, true},
		"list below":    {func(n []string) []host.Command { return ListSnapshotsBelow(n...) }, datasets, 8, false, 4, false},
		"list covered":  {ListCovered, datasets, 9, false, 4, false},
		"list marked":   {ListMarked, datasets, 12, false, 4, false},
		"destroy":       {func(n []string) []host.Command { return DestroySnapshots("tank/a", n) }, snaps, 2, true, 7, true},
		"reclaim":       {func(n []string) []host.Command { return Reclaim("tank/a", n) }, snaps, 3, true, 7, false},
		"quotas":        {func(n []string) []host.Command { return GetQuotas("tank", n) }, quotas, 8, true, 7, false},
	} {
		all := c.build(c.names)
		if len(all) > c.most {
			t.Errorf("%s: %d commands", name, len(all))
		}
		var got []string
		for _, cmd := range all {
			size := 0
			for _, w := range cmd.Argv {
				if size += len(w) + 9; len(w) >= 128<<10 {
					t.Errorf("%s: a word of %d bytes", name, len(w))
				}
			}
			if line := cmd.String(); c.far && len(line) > 127<<10 { // the rest is for the environment there
				t.Errorf("%s: a line of %d bytes", name, len(line))
			}
			if size > 3<<19 { // the rest is for the environment
				t.Errorf("%s: %d bytes", name, size)
			}
			names := cmd.Argv[c.word:]
			if c.join {
				names = strings.Split(strings.TrimPrefix(cmd.Argv[c.word], "tank/a@"), ",")
			}
			got = append(got, names...)
		}
		if !slices.Equal(got, c.names) {
			t.Errorf("%s: %d names of %d, or not in their order", name, len(got), len(c.names))
		}
		if few := c.build(c.names[:100]); len(few) != 1 {
			t.Errorf("%s: %d commands of a hundred names", name, len(few))
		}
		if none := c.build(nil); len(none) != 0 {
			t.Errorf("%s: %v of no names", name, none)
		}
	}
}
