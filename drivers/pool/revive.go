package pool

import (
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// revive brings back what is declared and does not work: what was taken offline, what could not be opened and is here
// again, and a place in which a blank disk has the path of the old one.
func (p *planner) revive() {
	for _, d := range p.want.Devices() {
		l := p.layout.find(d.Path)
		if l == nil || p.named[l] || l.top.Class == "cache" || l.top.Class == "spare" {
			continue
		}
		switch observed := nameOf(l.Vdev) + " is " + l.State; {
		case l.State == "OFFLINE":
			p.online(l, d, observed)
		case !lost(l.Vdev):
		case p.carries(l, d):
			p.online(l, d, observed+", and a device with its label is here again")
		case !p.sharesPlace(l):
			p.renew(l, d, observed)
		}
	}
}

// lost tells whether ZFS can't open a device.
func lost(v state.Vdev) bool { return v.State == "UNAVAIL" || v.State == "REMOVED" }

// carries tells whether the device at the declared path, or at the pool's, has the label of the vdev.
func (p *planner) carries(l *leaf, d spec.Device) bool {
	return slices.ContainsFunc([]string{d.Path, l.Path}, func(path string) bool {
		dev := p.in.Have.Devices[path]
		return dev != nil && dev.Vdev != "" && dev.Vdev == l.GUID
	})
}

// sharesPlace tells whether the device is being replaced already.
func (p *planner) sharesPlace(l *leaf) bool { return kind(l.slot.vdev) == "replacing" }

func (p *planner) online(l *leaf, d spec.Device, observed string) {
	notes := []string{"a resilver copies to it what was written meanwhile"}
	if l.State == "OFFLINE" {
		notes = append(notes, "somebody took it offline: where it is to stay so, take it out of the files, and it is released")
	}
	p.plan(step{
		at: d.Pos.At(), field: drivers.Field{Name: nameOf(l.Vdev), From: l.State, To: "ONLINE"}, observed: observed, risk: spec.Safe, old: l.Vdev, adds: true,
		undo: zfs.OfflineVdev(p.have.Name, l.Name).String(), command: zfs.OnlineVdev(p.have.Name, l.Name), notes: notes,
	})
}

// renew replaces a device that is gone by another one that came to its path, as in the same bay: nothing is declared
// anew then. Where there is no device, status says all there is to say.
func (p *planner) renew(l *leaf, d spec.Device, observed string) {
	if dev := p.in.Have.Devices[d.Path]; dev == nil || !dev.Exists {
		return
	}
	id := p.plan(step{
		at: d.Pos.At(), field: fieldOf(l.top, nameOf(l.Vdev)+" ("+l.GUID+")", d.Path), observed: observed + ", and another device is at its path",
		risk: spec.Disruptive, old: l.Vdev, new: []string{d.Path}, undo: "nothing takes it back: the old device is not here",
		command: zfs.ReplaceVdev(p.have.Name, l.Name, d.Path), notes: []string{"a resilver writes the data of the vdev to it"},
	}, p.unfit(l.top, d.Path)...)
	p.replaced[l.top] = id != "" || p.replaced[l.top]
}
