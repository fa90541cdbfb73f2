package pool

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func TestImport(t *testing.T) {
	const found = "run disruptive missing: zpool import -d /d 31"
	recorded := func(guid string) []state.Recorded {
		return []state.Recorded{{Kind: "pool", Name: "tank", GUID: guid, Seen: time.Unix(0, 0)}}
	}
	ready := state.Importable{Name: "tank", GUID: "31", From: "zpool import (ONLINE)", State: "ONLINE", Ready: true}
	with := func(i state.Importable, change func(*state.Importable)) state.Importable {
		change(&i)
		return i
	}
	foreign := with(ready, func(i *state.Importable) { i.Ready, i.Status = false, "The pool was last accessed by another system." })
	for name, c := range map[string]struct {
		recorded   []state.Recorded
		removable  bool
		importable []state.Importable
		plan       string // its beginning
		says       string // somewhere in it
	}{
		"exported":              {recorded("31"), false, []state.Importable{ready}, found, ""},
		"never seen":            {nil, false, []state.Importable{ready}, found, ""},
		"degraded":              {recorded("31"), false, []state.Importable{with(ready, func(i *state.Importable) { i.State, i.Status = "DEGRADED", "One or more devices are missing." })}, found, ""},
		"removable":             {recorded("31"), true, []state.Importable{ready}, "run safe missing: zpool import -d /d 31", ""},
		"removable, never seen": {nil, true, []state.Importable{ready}, found, ""},
		"removable, and away":   {recorded("31"), true, nil, "", ""},
		"removable, elsewhere":  {recorded("31"), true, []state.Importable{foreign}, "blocked missing:", "zpool import -f -d /d 31"},
		"used by another host":  {recorded("31"), false, []state.Importable{foreign}, "blocked missing:", "zpool import -f -d /d 31"},
		"not whole": {recorded("31"), false, []state.Importable{with(ready, func(i *state.Importable) {
			i.State, i.Ready, i.Status = "UNAVAIL", false, "One or more devices are missing from the system."
		})}, "blocked missing:", "One or more devices are missing from the system. Attach what is missing"},
		"another name":      {recorded("31"), false, []state.Importable{with(ready, func(i *state.Importable) { i.Name = "tonk" })}, "blocked missing:", "zpool import -d /d 31 tank"},
		"another guid":      {recorded("32"), false, []state.Importable{ready}, "blocked missing:", "dplane forget tank"},
		"both guids":        {recorded("31"), false, []state.Importable{with(ready, func(i *state.Importable) { i.GUID = "32" }), ready}, found, ""},
		"two of that name":  {nil, false, []state.Importable{with(ready, func(i *state.Importable) { i.GUID = "32" }), ready}, "blocked missing:", "zpool import -d /d 32"},
		"a label, no more":  {nil, false, []state.Importable{{Name: "tank", GUID: "31", From: "the label (destroyed) on /d/a"}}, "blocked missing:", "zpool import -D -d /d 31"},
		"another pool":      {nil, false, []state.Importable{with(ready, func(i *state.Importable) { i.Name = "other" })}, "create irreversible", ""},
		"recorded, no sign": {recorded("31"), false, nil, "blocked missing:", "what is missing is not what never was"},
	} {
		want, have := tank()
		want.Pools["tank"].Removable = c.removable
		have.Recorded, have.Importable = c.recorded, c.importable
		actions, text := plan(want, have)
		if !strings.HasPrefix(text, c.plan) || c.plan == "" && text != "" || !strings.Contains(text, c.says) {
			t.Errorf("%s:\n%s", name, text)
		}
		for _, a := range actions {
			for _, s := range a.Steps {
				if a.Verb == drivers.Run && strings.ContainsAny(strings.Join(flags(s), ""), "afDFX") {
					t.Errorf("%s: %s", name, s)
				}
			}
		}
	}
}

// flags are the letters after a - in a command.
func flags(c host.Command) []string {
	var out []string
	for _, w := range c.Argv {
		if strings.HasPrefix(w, "-") {
			out = append(out, w[1:])
		}
	}
	return out
}

// An exported pool comes back, and what is planned then is nothing; one that changed hands meanwhile stays away.
func TestImportOnTheMachine(t *testing.T) {
	want := declared(&spec.Pool{Name: "tank", Vdevs: []spec.Vdev{vdev("mirror", "/dev/a /dev/b")}})
	f := machine("/dev/a", "/dev/b", "/dev/c")
	for _, line := range []string{"zpool create tank mirror /dev/a /dev/b", "zfs create tank/x", "zpool export tank"} {
		if _, err := f.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	actions, text := plan(want, look(t, f, want))
	if len(actions) != 1 || actions[0].Verb != drivers.Run {
		t.Fatalf("plan: %s", text)
	}
	if err := f.Control("foreign tank"); err != nil {
		t.Fatal(err)
	}
	if err := (&Driver{Runner: f}).Apply(t.Context(), actions[0]); err == nil || !strings.Contains(err.Error(), "previously in use from another system") {
		t.Errorf("used by another machine meanwhile: %v", err)
	}
	for _, p := range f.Model.Away {
		p.Foreign = false
	}
	if err := (&Driver{Runner: f}).Apply(t.Context(), actions[0]); err != nil {
		t.Fatal(err)
	}
	if _, text := plan(want, look(t, f, want)); text != "" || !f.Model.Pools["tank"].Datasets["tank/x"].Mounted {
		t.Errorf("afterwards: %s", text)
	}
}
