package pool

import (
	"fmt"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// step is a change of the vdevs that one zpool command makes.
type step struct {
	at       string // file:line
	field    drivers.Field
	observed string
	risk     spec.Risk
	undo     string
	notes    []string
	command  host.Command
	new      []string   // devices that it takes
	old      state.Vdev // the vdev that it names; none where it has no name
	after    []string   // ids of what comes first
	adds     bool       // it only adds: neither a checkpoint nor a resilver stands in its way
}

// plan makes the action and gives its id, or says what stands in its way and gives "".
func (p *planner) plan(s step, obstacles ...string) (id string) {
	obstacles = append(obstacles, p.wait(s)...)
	guard := []host.Expect{zfs.ExpectPoolProps(p.have.Name, p.identity(s))}
	if s.old.GUID != "" && s.old.Class != "cache" && s.old.Class != "spare" && zfs.HasJSON(p.in.Have.ZFS.Userland) {
		guard = append(guard, zfs.ExpectVdev(p.have.Name, s.old.Name, s.old.GUID)) // vdevs have properties since 2.2
	}
	var fresh []string
	for _, dev := range s.new {
		if l := p.layout.find(dev); l == nil || lost(l.Vdev) {
			fresh = append(fresh, dev) // else a spare of this pool, or a device that stands elsewhere in it, which is an obstacle
		}
	}
	wipes, used := claim(p.in, s.at, fresh...)
	if obstacles = append(obstacles, used...); len(obstacles) > 0 {
		p.blocked(s.at, s.field, s.observed, obstacles...)
		return ""
	}
	for _, dev := range fresh {
		guard = append(guard, expectBlank(p.in.Have.Devices[dev])...)
	}
	a := drivers.Action{
		Object: ref(p.want.Name), GUID: p.have.GUID, Verb: drivers.Update, Risk: s.risk,
		Reason: drivers.Reason{Code: drivers.Drift, At: s.at, Observed: s.observed},
		Fields: []drivers.Field{s.field}, Undo: s.undo, Notes: s.notes, Steps: []host.Command{s.command}, Guard: guard, After: append(ids(wipes), s.after...),
	}
	a.Identify()
	p.actions = append(append(p.actions, wipes...), a)
	return a.ID
}

// identity are the values of the pool that must still hold.
func (p *planner) identity(s step) map[string]state.Property {
	same := map[string]state.Property{"guid": {Value: p.have.GUID, Source: "-"}}
	if _, known := p.have.Properties["checkpoint"]; known && !s.adds {
		same["checkpoint"] = state.Property{Value: "-", Source: "-"}
	}
	return same
}

func (p *planner) blocked(at string, field drivers.Field, observed string, notes ...string) {
	a := block(p.want, drivers.Drift, observed, notes...)
	a.GUID, a.Reason.At, a.Fields = p.have.GUID, at, []drivers.Field{field}
	p.actions = append(p.actions, a)
}

// wait says what must be over before: ZFS refuses some of it, and the rest would leave less redundancy than
// there is while data is being copied.
func (p *planner) wait(s step) []string {
	var why []string
	if p.have.Properties["readonly"].Value == "on" {
		why = append(why, "the pool is imported read-only: export it, and import it without readonly=on")
	}
	if s.adds {
		return why
	}
	if p.have.Checkpoint != nil {
		why = append(why, "the pool has a checkpoint, and while it exists ZFS neither attaches, detaches, removes nor replaces a device: `zpool checkpoint -d "+p.have.Name+"` discards it, and with it the way back to it")
	}
	if w := p.busy(); w != nil {
		why = append(why, fmt.Sprintf("a %s runs: it waits until that is over (dplane status shows the progress)", w.Kind))
	}
	return why
}

// busy is the copying that runs, nil where none does. A scrub is none: a resilver takes its place.
func (p *planner) busy() *state.Work {
	for _, w := range []*state.Work{p.have.Scanned, p.have.Removal, p.have.Expansion} {
		if w.Runs() && w.Kind != "scrub" {
			return w
		}
	}
	return nil
}

// missingFeature says why the pool can't do what needs a feature, "" where it can.
func (p *planner) missingFeature(name, purpose string) []string {
	switch v, known := p.have.Properties["feature@"+name]; {
	case !known:
		return []string{"this release of ZFS can't " + purpose + ", for it has no feature " + name + ": upgrade ZFS, or make another pool and copy (zfs send)"}
	case v.Value != "enabled" && v.Value != "active":
		return []string{"to " + purpose + " the pool needs the feature " + name + ", which is " + v.Value + ": zpool set feature@" + name + "=enabled " + p.have.Name + " (releases of ZFS without it can't import the pool then)"}
	}
	return nil
}
