package pool

import (
	"fmt"
	"path"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Diff gives what must be done to the declared pools and what can't be, in the order of their names.
func (d *Driver) Diff(in drivers.Input) drivers.Result {
	if in.Have.ZFS.Error != "" {
		return drivers.Result{}
	}
	var all []drivers.Action
	var notices []string
	for _, name := range in.Want.PoolNames() {
		want, have := in.Want.Pools[name], in.Have.Pools[string(name)]
		switch {
		case in.Have.UnseenPool(string(name)) != "":
		case have == nil:
			all = append(all, missing(in, want)...)
		case foreign(in.Have, have):
			all = append(all, adopt(in.Have, want, have))
		default:
			props, vdevs := properties(in, want, have), topologyOf(in, want, have)
			due, said := scheduled(in, want, have)
			enabled, lacking := features(want, have)
			grown, larger := grow(want, have)
			all = append(append(all, props...), waitFor(props, "compatibility", enabled)...)
			all = append(append(append(all, waitFor(props, "ashift", vdevs.Actions)...), grown...), due...)
			notices = append(append(append(append(append(notices, checkpointNotice(want, have)...), lacking...), vdevs.Notices...), larger...), said...)
		}
	}
	return drivers.Result{Actions: all, Notices: notices}
}

// waitFor lets changes wait for that of a property which they rely on: those of vdevs for ashift, which they take from the
// pool, and features for compatibility, which allows them.
func waitFor(props []drivers.Action, name string, changes []drivers.Action) []drivers.Action {
	for _, a := range props {
		if a.Verb != drivers.Update || a.Fields[0].Name != name {
			continue
		}
		a.Identify()
		for i := range changes {
			changes[i].After = append(changes[i].After, a.ID)
		}
	}
	return changes
}

// foreign tells whether another pool took a known name: it is held whole (PRODUCT.md section 4, promise 7).
func foreign(obs *state.Observed, have *state.Pool) bool {
	r, known := obs.RecordedAs(string(spec.KindPool), have.Name)
	return known && r.GUID != "" && have.GUID != "" && r.GUID != have.GUID
}

func adopt(obs *state.Observed, want *spec.Pool, have *state.Pool) drivers.Action {
	r, _ := obs.RecordedAs(string(spec.KindPool), have.Name)
	a := block(want, drivers.Conflict, fmt.Sprintf("the pool %s has the guid %s; the one known by that name had %s", have.Name, have.GUID, r.GUID),
		"another pool took a known name: nothing of it is touched; if it is the right one: dplane adopt "+have.Name)
	a.GUID = have.GUID
	return a
}

func ref(name spec.PoolName) spec.Ref { return spec.Ref{Kind: spec.KindPool, Name: string(name)} }

// block is an action that says what can't be done and what the operator can do.
func block(want *spec.Pool, code, observed string, notes ...string) drivers.Action {
	return drivers.Action{
		Object: ref(want.Name), Verb: drivers.Blocked, Risk: spec.Safe,
		Reason: drivers.Reason{Code: code, At: want.Pos.At(), Observed: observed},
		Undo:   "nothing is done", Notes: notes,
	}
}

// missing is what a declared pool needs that is not imported: a create where everything shows that it never
// was and that its devices are blank, else what stands in the way.
func missing(in drivers.Input, want *spec.Pool) []drivers.Action {
	name := string(want.Name)
	if !toBeWiped(in, want) {
		if actions := offered(in, want); actions != nil {
			return actions
		}
	}
	if want.Removable && away(in, want) {
		return nil // no fault
	}
	observed := "no pool " + name + " is imported"
	if len(want.Vdevs) == 0 {
		return []drivers.Action{block(want, drivers.Missing, observed,
			"it is declared without vdevs, so it must exist: import it (zpool import "+name+"), or declare its vdevs")}
	}
	if notes := known(in, want); len(notes) > 0 {
		return []drivers.Action{block(want, drivers.Missing, observed, notes...)}
	}
	wipes, notes := claim(in, want.Pos.At(), paths(want.Devices())...)
	if notes = append(append(notes, obstacles(in, want)...), unmet(in, want)...); len(notes) > 0 {
		return []drivers.Action{block(want, drivers.Conflict, observed, notes...)}
	}
	return append(wipes, create(in, want, wipes))
}

// away tells whether a removable pool is merely not here: it is known, or a device of it is missing.
func away(in drivers.Input, want *spec.Pool) bool {
	if len(want.Vdevs) == 0 || len(known(in, want)) > 0 {
		return true
	}
	for _, d := range want.Devices() {
		if seen := in.Have.Devices[d.Path]; seen == nil || !seen.Exists {
			return true
		}
	}
	return false
}

// known are the reasons to believe that the pool was here before. Import is offered, never a create, but for a pool
// that a person gave up by name.
func known(in drivers.Input, want *spec.Pool) []string {
	obs := in.Have
	var notes []string
	name := string(want.Name)
	if r, ok := obs.RecordedAs(string(spec.KindPool), name); ok && calledNow(obs, r.GUID) != "" {
		notes = append(notes, fmt.Sprintf("it is imported under the name %[1]s (guid %[2]s): to have its name back, zpool export %[1]s, then %[3]s %[4]s; or declare it as %[1]s",
			calledNow(obs, r.GUID), r.GUID, importCommand(want, r.GUID, ""), name))
	} else if ok {
		notes = append(notes, fmt.Sprintf("it was here before (guid %s, last seen %s): what is missing is not what never was. Connect its devices and run: %s; or, if it was destroyed on purpose: dplane forget %s",
			r.GUID, r.Seen.UTC().Format("2006-01-02 15:04 MST"), importCommand(want, r.GUID, ""), name))
	}
	for _, i := range obs.Importable {
		if i.Name == name && !givenUp(in, want, i.GUID) {
			notes = append(notes, fmt.Sprintf("a pool of this name exists (%s, guid %s) and is not imported: %s%s", i.From, i.GUID, importCommand(want, i.GUID, i.From), givingUp(in, want, i.GUID)))
		}
	}
	return notes
}

// calledNow is the imported pool with that guid, "" where there is none.
func calledNow(obs *state.Observed, guid string) string {
	for _, name := range sortedKeys(obs.Pools) {
		if guid != "" && obs.Pools[name].GUID == guid {
			return name
		}
	}
	return ""
}

// importCommand is what a person would type.
func importCommand(want *spec.Pool, guid, from string) string {
	argv := []string{"zpool", "import"}
	if strings.Contains(from, "destroyed") {
		argv = append(argv, "-D")
	}
	for _, f := range folders([]*spec.Pool{want}) {
		argv = append(argv, "-d", f)
	}
	if guid == "" {
		guid = string(want.Name)
	}
	return host.Write(append(argv, guid)...).String()
}

// obstacles are a key that would not do, and a mountpoint that is not empty.
func obstacles(in drivers.Input, want *spec.Pool) []string {
	var notes []string
	root := in.Want.Datasets[spec.DatasetName(want.Name)]
	if root != nil && root.Encryption != nil {
		if why := in.Have.KeyFault(root.Encryption); why != "" {
			notes = append(notes, why)
		}
	}
	at := "/" + string(want.Name)
	if root != nil {
		if p, ok := root.Properties["mountpoint"]; ok {
			at = p.Value
		}
	}
	for _, o := range in.Have.Occupied {
		if path.IsAbs(at) && o == at {
			notes = append(notes, at+", where it would be mounted, holds files: move them away, or declare another mountpoint for "+string(want.Name))
		}
	}
	return notes
}

// properties are the declared properties that differ, one action for each: zpool set takes one at a time.
func properties(in drivers.Input, want *spec.Pool, have *state.Pool) []drivers.Action {
	var all []drivers.Action
	declared := declaredProperties(want)
	for _, name := range sortedKeys(declared) {
		p := declared[name]
		observed, known := have.Properties[name]
		switch {
		case known && same(name, p.Value, observed.Value):
		case have.Properties["readonly"].Value == "on":
			a := block(want, drivers.Drift, fmt.Sprintf("%s is %s", name, observed.Value), "the pool is imported read-only: export it, and import it without readonly=on")
			a.GUID, a.Reason.At, a.Fields = have.GUID, p.Pos.At(), []drivers.Field{{Name: name, From: observed.Value, To: p.Value}}
			all = append(all, a)
		case !known:
			a := block(want, drivers.Drift, "the pool has no property "+name, "this release of ZFS does not know the property: take it out of the files, or upgrade ZFS")
			a.GUID, a.Reason.At, a.Fields = have.GUID, p.Pos.At(), []drivers.Field{{Name: name, To: p.Value}}
			all = append(all, a)
		case in.Have.NoHostID && name == multihost && needsHostID(want, have):
			a := block(want, drivers.Drift, "multihost is "+observed.Value, noHostID)
			a.GUID, a.Reason.At, a.Fields = have.GUID, p.Pos.At(), []drivers.Field{{Name: name, From: observed.Value, To: p.Value}}
			all = append(all, a)
		case name == "compatibility" && noSuchSet(want, have) != nil:
			all = append(all, *noSuchSet(want, have))
		default:
			all = append(all, change(want, have, name, p))
		}
	}
	return all
}

func change(want *spec.Pool, have *state.Pool, name string, p spec.Property) drivers.Action {
	from := have.Properties[name]
	a := drivers.Action{
		Object: ref(want.Name), GUID: have.GUID, Verb: drivers.Update, Risk: riskOf(name),
		Reason: drivers.Reason{Code: drivers.Drift, At: p.Pos.At(), Observed: fmt.Sprintf("%s is %s (%s)", name, from.Value, from.Source)},
		Fields: []drivers.Field{{Name: name, From: from.Value, To: p.Value}},
		Undo:   zfs.SetPool(have.Name, name, zfs.PoolValue(from)).String(),
		Steps:  []host.Command{zfs.SetPool(have.Name, name, p.Value)},
		Guard:  []host.Expect{zfs.ExpectPoolProps(have.Name, map[string]state.Property{"guid": {Value: have.GUID, Source: "-"}, name: from})},
	}
	if note := notes[name]; note != "" {
		a.Notes = []string{note}
	}
	return a
}
