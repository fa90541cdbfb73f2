package dataset

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
)

// randomNames declares some of the datasets absent, with what is declared below them, and others renamed from what
// is not declared.
func randomNames(t *rapid.T, want *spec.Spec) {
	for _, name := range want.DatasetNames() {
		d := want.Datasets[name]
		if up := want.Datasets[name.Parent()]; up != nil && up.Absent {
			d.Absent = true
		}
		if !name.IsRoot() && rapid.IntRange(0, 3).Draw(t, string(name)+" is absent") == 0 {
			d.Absent = true
		}
		if d.Absent {
			d.Properties, d.Volume = nil, nil
			for _, below := range want.DatasetNames() {
				if below.Under(name) {
					want.Datasets[below].Absent = true
				}
			}
		}
	}
	taken := map[string]bool{}
	for _, name := range want.DatasetNames() {
		d := want.Datasets[name]
		from := spec.DatasetName(rapid.SampledFrom(tree[1:]).Draw(t, string(name)+" was"))
		if d.Absent || name.IsRoot() || want.Datasets[from] != nil || name.Under(from) || from.Under(name) || taken[string(from)] || (from == "tank/v") != (d.Volume != nil) || rapid.Bool().Draw(t, "not renamed") {
			continue
		}
		taken[string(from)] = true
		d.Renamed = from
	}
}

// byGUID is all that is set on the datasets, whatever their names: nothing of it may be lost or made up.
func byGUID(f *zfsfake.Fake) map[string]string {
	all := map[string]string{}
	for _, d := range f.Model.Pools["tank"].Datasets {
		all[d.GUID] = fmt.Sprint(d.Local, d.Received, d.Quotas)
	}
	return all
}

// TestNameLaws: whatever is to be renamed, restored or put into the trash, no dataset is lost, none that is not
// declared has a value changed, no command has a flag that is forbidden, and the next plan is empty.
func TestNameLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, want := randomMachine(t), randomSpec(t)
		randomNames(t, want)
		before := byGUID(f)
		undeclared := map[string]bool{} // guids
		for n, d := range f.Model.Pools["tank"].Datasets {
			undeclared[d.GUID] = want.Datasets[spec.DatasetName(n)] == nil
		}
		for _, d := range want.Datasets {
			if old := f.Model.Pools["tank"].Datasets[string(d.Renamed)]; d.Renamed != "" && old != nil {
				undeclared[old.GUID] = false
			}
		}
		var text []string
		for range 3 { // what stood in the way of one moved away
			actions, said := plan(want, look(t, f, want))
			text = append(text, said...)
			for _, a := range actions {
				for _, c := range a.Steps {
					for _, w := range c.Argv[2:] {
						if slices.Contains([]string{"-f", "-r", "-R", "-F", "-a"}, w) {
							t.Fatalf("a command that is not allowed: %s", c)
						}
					}
				}
			}
			carryOut(t, f, actions)
		}
		again, rest := plan(want, look(t, f, want))
		if len(runnable(again)) > 0 {
			t.Fatalf("the next plan is not empty:\n%s\nafter\n%s", strings.Join(rest, "\n"), strings.Join(text, "\n"))
		}
		after := byGUID(f)
		for guid, was := range before {
			if now, there := after[guid]; !there || undeclared[guid] && now != was {
				t.Fatalf("%s has %s, had %s\nafter\n%s", guid, now, was, strings.Join(text, "\n"))
			}
		}
	})
}
