package dataset

import (
	"errors"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// diffOf is the plan in one line per action, after an edit of what was seen.
func diffOf(t *testing.T, want, have []string, edit func(*spec.Spec, *state.Observed)) []string {
	t.Helper()
	s, obs := declare(t, want...), machine(have...)
	if edit != nil {
		edit(s, obs)
	}
	_, text := plan(s, obs)
	return text
}

// same compares a plan with the lines expected, each a part of one.
func expectPlan(t *testing.T, name string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		return
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("%s: line %d is\n%s\nwant\n%s", name, i+1, got[i], want[i])
		}
	}
}

func remember(obs *state.Observed, name, guid string) {
	obs.Recorded = append(obs.Recorded, state.Recorded{Kind: "dataset", Name: name, GUID: guid, Seen: time.Unix(1000, 0)})
}

func TestRename(t *testing.T) {
	for name, c := range map[string]struct {
		want, have, plan []string
		edit             func(*spec.Spec, *state.Observed)
	}{
		"a rename and nothing else": {
			want: []string{"tank/new renamed:tank/old compression=lz4"},
			have: []string{"tank", "tank/old compression=lz4 dplane:applied=compression", "tank/old/child"},
			plan: []string{"update disruptive drift: zfs rename tank/old tank/new"},
		},
		"what it inherits there is right or set afterwards": {
			want: []string{"tank/p/new renamed:tank/old compression=lz4 atime=off"},
			have: []string{"tank", "tank/old", "tank/p compression=lz4"},
			plan: []string{
				"update disruptive drift: zfs rename tank/old tank/p/new",
				"update safe drift: zfs set atime=off dplane:applied=atime tank/p/new",
			},
		},
		"a quota below what moves in": {
			want: []string{"tank/p quota=10M", "tank/p/new renamed:tank/old"},
			have: []string{"tank", "tank/old", "tank/p"},
			edit: func(_ *spec.Spec, obs *state.Observed) { obs.Datasets["tank/old"].Used = 20 << 20 },
			plan: []string{
				"blocked drift tank/p: 10M is below the 20971520 bytes that are used: free space first, or declare more",
				"update disruptive drift: zfs rename tank/old tank/p/new",
			},
		},
		"done": {
			want: []string{"tank/new renamed:tank/old"}, have: []string{"tank", "tank/new"},
		},
		"both there": {
			want: []string{"tank/new renamed:tank/old atime=off"}, have: []string{"tank", "tank/new", "tank/old"},
			plan: []string{"blocked conflict tank/new: a rename replaces nothing"},
		},
		"neither there": {
			want: []string{"tank/new renamed:tank/old", "tank/new/x"}, have: []string{"tank"},
			plan: []string{"blocked missing tank/new: there is nothing to rename"},
		},
		"below a parent that is made first": {
			want: []string{"tank/p", "tank/p/new renamed:tank/old"}, have: []string{"tank", "tank/old"},
			plan: []string{"create safe missing: zfs create tank/p", "update disruptive drift: zfs rename tank/old tank/p/new"},
		},
		"below a parent that nobody makes": {
			want: []string{"tank/p/new renamed:tank/old"}, have: []string{"tank", "tank/old"},
			plan: []string{"blocked missing tank/p/new: its parent tank/p is neither declared nor there"},
		},
		"a parent and its child": {
			want: []string{"tank/new renamed:tank/old", "tank/new/b renamed:tank/old/a"}, have: []string{"tank", "tank/old", "tank/old/a"},
			plan: []string{"zfs rename tank/old tank/new", "zfs rename tank/new/a tank/new/b"},
		},
		"the child, once the parent is done": {
			want: []string{"tank/new renamed:tank/old", "tank/new/b renamed:tank/old/a"}, have: []string{"tank", "tank/new", "tank/new/a"},
			plan: []string{"zfs rename tank/new/a tank/new/b"},
		},
		"a name below the old one": {
			want: []string{"tank/new renamed:tank/old", "tank/old/x"}, have: []string{"tank", "tank/old", "tank/old/x"},
			plan: []string{"blocked conflict tank/new: tank/old/x is declared below the old name (d.yaml:2)"},
		},
		"a replication names it": {
			want: []string{"tank/new renamed:tank/old"}, have: []string{"tank", "tank/old"},
			edit: func(s *spec.Spec, _ *state.Observed) {
				s.Replications["r"] = &spec.Replication{Source: spec.End{Dataset: "tank/old"}, Target: spec.End{Remote: "b", Dataset: "x/y"}}
			},
			plan: []string{"blocked conflict tank/new: the replication r names tank/old"},
		},
		"too long": {
			want: []string{"tank/" + strings.Repeat("n", 240) + " renamed:tank/o"}, have: []string{"tank", "tank/o", "tank/o/" + strings.Repeat("c", 20)},
			plan: []string{"would have a name of 266 bytes"},
		},
		"an encrypted child leaves its root": {
			want: []string{"tank/new renamed:tank/enc/c"}, have: []string{"tank", "tank/enc", "tank/enc/c"},
			edit: func(_ *spec.Spec, obs *state.Observed) {
				obs.Datasets["tank/enc"].EncryptionRoot, obs.Datasets["tank/enc/c"].EncryptionRoot = "tank/enc", "tank/enc"
			},
			plan: []string{"blocked conflict tank/new: tank/enc/c has its key from tank/enc"},
		},
		"files at the new mountpoint": {
			want: []string{"tank/new renamed:tank/old"}, have: []string{"tank", "tank/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) { obs.Occupied = []string{"/tank/new"} },
			plan: []string{"blocked conflict tank/new: /tank/new, where it would be mounted then, holds files"},
		},
		"another's mountpoint": {
			want: []string{"tank/new renamed:tank/old"}, have: []string{"tank", "tank/old", "tank/x mountpoint=/tank/new"},
			plan: []string{"blocked conflict tank/new: /tank/new, where it would be mounted then, is the mountpoint of tank/x"},
		},
		"another was known by the name": {
			want: []string{"tank/new renamed:tank/old"}, have: []string{"tank", "tank/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) { remember(obs, "tank/new", "9") },
			plan: []string{"dplane forget tank/new"},
		},
		"another took the old name": {
			want: []string{"tank/new renamed:tank/old"}, have: []string{"tank", "tank/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) { remember(obs, "tank/old", "9") },
			plan: []string{"dplane adopt tank/old"},
		},
		"renamed by hand": {
			want: []string{"tank/home"}, have: []string{"tank", "tank/house"},
			edit: func(_ *spec.Spec, obs *state.Observed) { remember(obs, "tank/home", obs.Datasets["tank/house"].GUID) },
			plan: []string{"blocked missing tank/home: it was renamed by hand, and is tank/house now"},
		},
		"a clone follows its origin": {
			want: []string{"tank/gold renamed:tank/golden", "tank/web origin:tank/gold@v3"}, have: []string{"tank", "tank/golden", "tank/web"},
			edit: func(_ *spec.Spec, obs *state.Observed) { obs.Datasets["tank/web"].Origin = "tank/golden@v3" },
			plan: []string{"zfs rename tank/golden tank/gold"},
		},
	} {
		expectPlan(t, name, diffOf(t, c.want, c.have, c.edit), c.plan)
	}
}

// What comes after a rename waits for it.
func TestRenameFirst(t *testing.T) {
	actions, text := plan(declare(t, "tank/new renamed:tank/old atime=off", "tank/new/x", "tank/new/y"), machine("tank", "tank/old", "tank/old/y"))
	if len(actions) != 3 || actions[0].Fields[0] != (drivers.Field{Name: "name", From: "tank/old", To: "tank/new"}) {
		t.Fatalf("%s", strings.Join(text, "\n"))
	}
	for _, a := range actions[1:] {
		if !slices.Contains(a.After, actions[0].ID) {
			t.Errorf("%s %v does not wait for the rename", a.Verb, a.Fields)
		}
	}
	_, text = plan(declare(t, "tank/new renamed:tank/old"), machine("tank", "tank/old", "tank/old/y"))
	a := plan1(t, declare(t, "tank/new renamed:tank/old"), machine("tank", "tank/old", "tank/old/y"))
	if notes := strings.Join(a.Notes, "\n"); !strings.Contains(notes, "1 below it that dplane does not manage go along: tank/old/y") || !strings.Contains(notes, "mounted at /tank/new") {
		t.Errorf("%s\n%s", notes, text)
	}
}

func plan1(t *testing.T, want *spec.Spec, have *state.Observed) drivers.Action {
	t.Helper()
	actions, text := plan(want, have)
	if len(actions) != 1 {
		t.Fatalf("%s", strings.Join(text, "\n"))
	}
	return actions[0]
}

// The memory of a former name ends where the guid proves that it is the same dataset.
func TestRenamed(t *testing.T) {
	want, obs := declare(t, "tank/new renamed:tank/old", "tank/b renamed:tank/a"), machine("tank", "tank/new", "tank/b")
	remember(obs, "tank/old", obs.Datasets["tank/new"].GUID)
	remember(obs, "tank/a", "9")
	if got := renamed(want, obs); len(got) != 1 || got["tank/old"] != "tank/new" {
		t.Errorf("%v", got)
	}
}

func TestOrigin(t *testing.T) {
	snap := func(_ *spec.Spec, obs *state.Observed) {
		obs.Snapshots = []state.Snapshot{{Dataset: "tank/golden", Name: "v3", GUID: "77"}}
	}
	for name, c := range map[string]struct {
		want, have, plan []string
		edit             func(*spec.Spec, *state.Observed)
	}{
		"made": {
			want: []string{"tank/web origin:tank/golden@v3 compression=lz4"}, have: []string{"tank", "tank/golden"}, edit: snap,
			plan: []string{"create safe missing: zfs clone -o compression=lz4 -o dplane:applied=compression tank/golden@v3 tank/web"},
		},
		"a larger volume": {
			want: []string{"tank/web origin:tank/golden@v3 volume:2G"}, have: []string{"tank", "tank/golden volume volsize=1073741824"}, edit: snap,
			plan: []string{"zfs clone tank/golden@v3 tank/web; zfs set volsize=2147483648 tank/web"},
		},
		"a smaller volume": {
			want: []string{"tank/web origin:tank/golden@v3 volume:1M"}, have: []string{"tank", "tank/golden volume volsize=1073741824"}, edit: snap,
			plan: []string{"blocked conflict tank/web: it would be made with the 1G of its origin"},
		},
		"other blocks": {
			want: []string{"tank/web origin:tank/golden@v3 volume:1G block:32K"}, have: []string{"tank", "tank/golden volume volsize=1073741824"}, edit: snap,
			plan: []string{"blocked conflict tank/web: its origin has blocks of 16K"},
		},
		"another type": {
			want: []string{"tank/web origin:tank/golden@v3"}, have: []string{"tank", "tank/golden volume"}, edit: snap,
			plan: []string{"blocked conflict tank/web: its origin is a snapshot of a volume"},
		},
		"chosen at creation": {
			want: []string{"tank/web origin:tank/golden@v3 casesensitivity=mixed", "tank/x origin:tank/golden@v3 casesensitivity=sensitive"}, have: []string{"tank", "tank/golden"}, edit: snap,
			plan: []string{"blocked conflict tank/web: casesensitivity is sensitive in its origin", "zfs clone tank/golden@v3 tank/x"},
		},
		"no such snapshot": {
			want: []string{"tank/web origin:tank/golden@v4"}, have: []string{"tank", "tank/golden"}, edit: snap,
			plan: []string{"blocked missing tank/web: its origin tank/golden@v4 does not exist"},
		},
		"a locked origin": {
			want: []string{"tank/web origin:tank/golden@v3"}, have: []string{"tank", "tank/golden locked"}, edit: snap,
			plan: []string{"blocked conflict tank/web: the key of its origin is not loaded"},
		},
		"is one": {
			want: []string{"tank/web origin:tank/golden@v3"}, have: []string{"tank", "tank/golden", "tank/web"},
			edit: func(_ *spec.Spec, obs *state.Observed) { obs.Datasets["tank/web"].Origin = "tank/golden@v3" },
		},
		"of another": {
			want: []string{"tank/web origin:tank/golden@v3"}, have: []string{"tank", "tank/golden", "tank/web"},
			edit: func(_ *spec.Spec, obs *state.Observed) { obs.Datasets["tank/web"].Origin = "tank/golden@v2" },
			plan: []string{"blocked drift tank/web: it is a clone of tank/golden@v2"},
		},
		"is none": {
			want: []string{"tank/web origin:tank/golden@v3 atime=off"}, have: []string{"tank", "tank/golden", "tank/web"},
			plan: []string{"zfs set atime=off", "blocked drift tank/web: it is no clone"},
		},
		"was promoted": {
			want: []string{"tank/web origin:tank/golden@v3"}, have: []string{"tank", "tank/golden", "tank/web"},
			edit: func(_ *spec.Spec, obs *state.Observed) { obs.Datasets["tank/golden"].Origin = "tank/web@v3" },
			plan: []string{"blocked drift tank/web: tank/web was promoted: now tank/golden is its clone. `zfs promote tank/golden`"},
		},
	} {
		expectPlan(t, name, diffOf(t, c.want, c.have, c.edit), c.plan)
	}
}

// TestProject: what is planned with is what the machine is after the move, to the source of each value.
func TestProject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := randomMachine(t)
		want := &spec.Spec{Pools: map[spec.PoolName]*spec.Pool{"tank": {Name: "tank"}}, Datasets: map[spec.DatasetName]*spec.Dataset{"tank": {Name: "tank"}}}
		before := look(t, f, want)
		names := slices.DeleteFunc(sortedKeys(before.Datasets), func(n string) bool { return n == "tank" })
		if len(names) == 0 {
			t.Skip("nothing to rename")
		}
		from := rapid.SampledFrom(names).Draw(t, "from")
		to := rapid.SampledFrom([]string{"tank/z", "tank/a/z", "tank/a/b/z", "tank/e/z"}).Draw(t, "to")
		if up := before.Datasets[string(spec.DatasetName(to).Parent())]; up == nil || under(to, from) {
			t.Skip("no place for it")
		}
		do(t, f, "zfs", "rename", from, to)
		projected, after := project(before, from, to), look(t, f, want)
		if len(projected.Datasets) != len(after.Datasets) {
			t.Fatalf("%v, projected %v", sortedKeys(after.Datasets), sortedKeys(projected.Datasets))
		}
		for n, d := range after.Datasets {
			p := projected.Datasets[n]
			for _, prop := range sortedKeys(d.Properties) {
				if p.Properties[prop] != d.Properties[prop] {
					t.Fatalf("%s of %s is %+v, projected %+v", prop, n, d.Properties[prop], p.Properties[prop])
				}
			}
			if len(p.Properties) != len(d.Properties) {
				t.Fatalf("%s has %v, projected %v", n, sortedKeys(d.Properties), sortedKeys(p.Properties))
			}
		}
	})
}

// What a dataset gets from the parent that is made first, in the same plan, is no change by somebody else; another value is.
func TestRenameBelowWhatIsMade(t *testing.T) {
	for _, theirs := range []bool{false, true} {
		f := zfsfake.New()
		f.AddFile("/pool/a", 1<<30)
		do(t, f, "zpool", "create", "tank", "/pool/a")
		do(t, f, "zfs", "create", "tank/old")
		want := declare(t, "tank/p com.example:a=x", "tank/p/new renamed:tank/old com.example:a=x")
		obs := look(t, f, want)
		actions, text := plan(want, obs)
		for i, a := range actions {
			if theirs && i == len(actions)-1 {
				do(t, f, "zfs", "set", "com.example:a=theirs", "tank/p/new")
			}
			err := drivers.Apply(t.Context(), f, a)
			var changed *host.Unexpected
			if refused := errors.As(err, &changed); err != nil && !refused || refused != (theirs && i == len(actions)-1) {
				t.Errorf("somebody else sets it: %t: %s: %v", theirs, text[i], err)
			}
		}
		if len(actions) < 3 {
			t.Errorf("%v", text)
		}
	}
}
