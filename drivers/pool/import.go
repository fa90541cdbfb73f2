package pool

import (
	"fmt"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// offered is what the search for pools says of a declared one that is not imported: its import, or why that is left
// to a person. Nil where the search does not show it.
func offered(in drivers.Input, want *spec.Pool) []drivers.Action {
	found, stranger := searched(in.Have, want)
	switch {
	case len(found) == 0 || stranger != "" && len(found) > 1:
		return nil // the blocked action of missing lists what is known
	case stranger != "":
		return []drivers.Action{notImported(want, found[0], stranger)}
	case len(found) > 1:
		return nil
	}
	i := found[0]
	switch {
	case i.Name != string(want.Name):
		return []drivers.Action{notImported(want, i, fmt.Sprintf("it goes by the name %s there: if it is to be called %s again, import it under that name: %s", i.Name, want.Name, importCommand(want, i.GUID, i.From)+" "+string(want.Name)))}
	case i.Ready && idle(in, want.Name):
		return nil
	case i.Ready:
		return []drivers.Action{importPool(in.Have, want, i)}
	case strings.Contains(i.Status, "another system"):
		return []drivers.Action{notImported(want, i, "zpool import says: "+i.Status+" Two machines that have it imported at once destroy it: make sure that the other one exported it, or is off, and then: "+forced(want, i.GUID))}
	}
	why := "zpool import says: " + i.Status
	if i.Status == "" {
		why = "zpool import shows it " + i.State
	}
	return []drivers.Action{notImported(want, i, why+" Attach what is missing: it is imported when it can be")}
}

// idle tells whether there is nothing to be done with a removable pool: replications send to it, it has all, and none sends on
// from it. It was exported then, and may be taken away.
func idle(in drivers.Input, pool spec.PoolName) bool {
	if _, known := in.Have.RecordedAs(string(spec.KindPool), string(pool)); !in.Want.Pools[pool].Removable || !known {
		return false
	}
	into := 0
	for name, r := range in.Want.Replications {
		seen := in.Have.Replications[name]
		switch {
		case r.Source.Remote == "" && r.Source.Dataset.Pool() == pool:
			return false
		case r.Target.Standby || r.Target.Remote != "" || r.Target.Dataset.Pool() != pool:
		case seen == nil || seen.Running || seen.Ahead || !seen.Away:
			return false
		default:
			into++
		}
	}
	return into > 0
}

// searched are the pools of the search that may be the declared one: by the recorded guid, whatever their name, else by
// name; stranger says why those of that name are not.
func searched(obs *state.Observed, want *spec.Pool) (found []state.Importable, stranger string) {
	r, recorded := obs.RecordedAs(string(spec.KindPool), string(want.Name))
	var named []state.Importable
	for _, i := range obs.Importable {
		switch {
		case i.State == "": // a label on a device, and no more
		case recorded && i.GUID == r.GUID:
			found = append(found, i)
		case i.Name == string(want.Name):
			named = append(named, i)
		}
	}
	switch {
	case len(found) > 0:
		return found, ""
	case recorded && len(named) > 0:
		return named, fmt.Sprintf("its guid is not that of the pool known by this name (%s), so it is left alone: if it is the right one: dplane forget %s, and apply again", r.GUID, want.Name)
	}
	return named, ""
}

// importPool brings a pool back by its guid, from the folders of its declared devices; never every pool there is (-a), one that
// another machine may use (-f), or one that was destroyed (-D). The command is its own guard: with the guid gone, the name taken, or the
// pool used by another machine meanwhile it refuses.
func importPool(obs *state.Observed, want *spec.Pool, i state.Importable) drivers.Action {
	name := string(want.Name)
	_, known := obs.RecordedAs(string(spec.KindPool), name)
	a := drivers.Action{
		Object: ref(want.Name), GUID: i.GUID, Verb: drivers.Run, Risk: spec.Disruptive,
		Reason: drivers.Reason{Code: drivers.Missing, At: want.Pos.At(), Observed: fmt.Sprintf("%s is not imported, and zpool import shows it %s with the guid %s", name, i.State, i.GUID)},
		Fields: []drivers.Field{{Name: "import", To: i.GUID}},
		Undo:   host.Write("zpool", "export", name).String(),
		Steps:  []host.Command{zfs.ImportPool(folders([]*spec.Pool{want}), i.GUID)},
		Guard:  []host.Expect{zfs.ExpectMissingPool(name)},
		Notes:  []string{"its file systems are mounted as their mountpoint and canmount say, declared or not, as at boot; no key is loaded; what differs on it is planned once it is here"},
	}
	switch {
	case !want.Removable:
	case known:
		a.Risk = spec.Safe
	default:
		a.Notes = append(a.Notes, "it was not seen here before: any disk may carry a pool of this name, so a person imports it the first time")
	}
	if i.State != "ONLINE" {
		a.Notes = append(a.Notes, "zpool import says: "+i.Status)
	}
	return a
}

func notImported(want *spec.Pool, i state.Importable, note string) drivers.Action {
	a := block(want, drivers.Missing, fmt.Sprintf("%s is not imported, and zpool import shows %s %s with the guid %s", want.Name, i.Name, i.State, i.GUID), note)
	a.GUID, a.Fields = i.GUID, []drivers.Field{{Name: "import", To: i.GUID}}
	return a
}

// forced is what a person types, and dplane never does.
func forced(want *spec.Pool, guid string) string {
	return strings.Replace(importCommand(want, guid, ""), "zpool import", "zpool import -f", 1)
}
