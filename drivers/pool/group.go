package pool

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// group plans one vdev of the pool: its devices are matched by what they are, those that are new with the places
// that became free, in the order of both; then a mirror takes or releases devices, and a raidz grows.
func (p *planner) group(g *group) {
	single := g.Type == "stripe" && kind(g.top.Vdev) == "mirror" || g.Type == "mirror" && len(g.top.slots) == 1
	if !single && !sameType(g.Vdev, g.top) {
		p.blocked(g.Pos.At(), drivers.Field{Name: nameOf(g.top.Vdev), From: p.typeOf(g.top), To: typeName(g.Vdev)}, nameOf(g.top.Vdev)+" is a "+p.typeOf(g.top),
			"ZFS does not make a "+typeName(g.Vdev)+" of a "+p.typeOf(g.top)+": make another pool with that layout and copy (zfs send), or declare it as it is")
		return
	}
	pairs, fresh, free := p.match(g)
	for i, m := range pairs {
		later := ""
		if i > 0 {
			later = pairs[0].device.Path
		}
		p.replace(g, m, later)
	}
	for _, d := range fresh {
		p.attach(g, d)
	}
	p.shrink(g, free)
	p.settle(g)
}

func (p *planner) typeOf(t *top) string {
	if len(t.slots) == 1 {
		return "single device"
	}
	return kind(t.Vdev)
}

func typeName(v spec.Vdev) string {
	if v.Type == "stripe" {
		return "single device"
	}
	return string(v.Type)
}

// pair is a new device and the place that it takes.
type pair struct {
	device spec.Device
	place  *slot
}

// match pairs the declared devices that are not in the vdev with the places whose devices are not declared: with
// the place at the same position of the list where that is free, else in their order. The rest comes back.
func (p *planner) match(g *group) (pairs []pair, fresh []spec.Device, free []*slot) {
	taken := map[*slot]bool{}
	position := map[*slot]int{}
	for i, d := range g.Devices {
		if l := p.layout.find(d.Path); l != nil && l.top == g.top {
			taken[l.slot] = true
			continue
		}
		fresh = append(fresh, d)
		if i < len(g.top.slots) {
			position[g.top.slots[i]] = len(fresh) - 1
		}
	}
	placed := map[int]bool{}
	for _, s := range g.top.slots {
		if taken[s] || p.goes(g, s) {
			continue
		}
		if i, ok := position[s]; ok {
			pairs, placed[i] = append(pairs, pair{fresh[i], s}), true
		} else {
			free = append(free, s)
		}
	}
	var rest []spec.Device
	for i, d := range fresh {
		switch {
		case placed[i]:
		case len(free) > 0:
			pairs, free = append(pairs, pair{d, free[0]}), free[1:]
		default:
			rest = append(rest, d)
		}
	}
	return pairs, rest, free
}

// goes tells whether remove takes the device of this place out, which only a mirror lets it.
func (p *planner) goes(g *group, s *slot) bool {
	return kind(g.top.Vdev) == "mirror" && slices.ContainsFunc(s.leaves, func(l *leaf) bool { return p.named[l] })
}

// fieldOf names the vdev that changes: by its own name, or by its class where it is a single device.
func fieldOf(t *top, from, to string) drivers.Field {
	if len(t.slots) == 1 {
		return field(t.Class, from, to)
	}
	return drivers.Field{Name: t.Name, From: from, To: to}
}

// replace puts another device in a place: one at a time in a vdev, since each costs redundancy while it runs.
func (p *planner) replace(g *group, m pair, later string) {
	old, dev := p.original(m.place), m.device.Path
	var obstacles []string
	if later != "" {
		obstacles = append(obstacles, "one device of a vdev is replaced at a time: it comes after "+later)
	}
	s := step{
		at: m.device.Pos.At(), field: fieldOf(g.top, nameOf(old), dev), risk: spec.Disruptive, new: []string{dev}, old: old,
		observed: fmt.Sprintf("%s (%s) is there where %s is declared", nameOf(old), old.State, dev),
		undo:     "until the resilver is over: " + zfs.DetachVdev(p.have.Name, dev).String() + "; after it: a replace the other way round",
		command:  zfs.ReplaceVdev(p.have.Name, old.Name, dev),
		notes:    []string{"a resilver copies the data of the vdev to " + dev + "; " + nameOf(old) + " stays in the pool until that is over, and keeps a stale ZFS label"},
	}
	obstacles = append(obstacles, p.unfit(g.top, dev)...)
	if spare := p.layout.find(dev); spare != nil && spare.top.Class == "spare" {
		s.notes = append(s.notes, dev+" is a spare of the pool: after the resilver the next plan detaches "+nameOf(old)+", and it is a spare no more")
		if spare.State != "AVAIL" {
			obstacles = append(obstacles, dev+" is a spare that stands in for another device")
		}
		if p.in.Have.ZFS.Is21() && !strings.HasPrefix(dev, "/dev/") {
			obstacles = append(obstacles, "OpenZFS 2.1 puts a spare that is a file in no place: name it in remove, and declare it here when it is out")
		}
	}
	p.replaced[g.top] = p.plan(s, obstacles...) != "" || p.replaced[g.top]
}

// original is the device of a place: not the spare that stands in for it.
func (p *planner) original(s *slot) state.Vdev {
	for _, l := range s.leaves {
		if !p.standsIn(l) {
			return l.Vdev
		}
	}
	return s.vdev
}

// standsIn tells whether the device is one of the spares of the pool, or a distributed one.
func (p *planner) standsIn(l *leaf) bool {
	return l.top.Class != "spare" && slices.ContainsFunc(p.layout.leaves, func(o *leaf) bool {
		return o.top.Class == "spare" && (o.Path == l.Path && o.Name == l.Name || o.GUID != "" && o.GUID == l.GUID)
	})
}

// attach adds a device to a mirror, makes a mirror of a single device, or expands a raidz.
func (p *planner) attach(g *group, d spec.Device) {
	s := step{
		at: d.Pos.At(), field: fieldOf(g.top, "", d.Path), new: []string{d.Path}, risk: spec.Disruptive,
		observed: d.Path + " is declared in " + nameOf(g.top.Vdev) + " and not in the pool",
	}
	obstacles := p.unfit(g.top, d.Path)
	if l := p.layout.find(d.Path); l != nil {
		obstacles = append(obstacles, isSpare(d.Path))
	}
	if p.replaced[g.top] { // while it runs, ZFS expands no raidz, and makes no mirror of a single device
		obstacles = append(obstacles, p.afterReplaced(g.top))
	}
	switch how := kind(g.top.Vdev); {
	case strings.HasPrefix(how, "draid"):
		p.blocked(s.at, s.field, s.observed, "a draid never grows: add another vdev, or make another pool with that layout and copy (zfs send)")
		return
	case strings.HasPrefix(how, "raidz"):
		s.risk, s.old, s.command, s.undo = spec.Irreversible, g.top.Vdev, zfs.AttachVdev(p.have.Name, g.top.Name, d.Path), "nothing takes it back: a raidz never gets smaller"
		s.notes = []string{"the expansion rewrites the whole vdev, and redundancy stays as it is meanwhile; blocks that are there keep their ratio of data to parity until they are written again"}
		obstacles = append(obstacles, p.missingFeature("raidz_expansion", "expand a raidz")...)
		if p.expansion {
			obstacles = append(obstacles, "a pool expands by one device at a time: it comes after the one that is planned")
		}
		p.expansion = true
	default:
		with := g.top.slots[0].leaves[0]
		for _, o := range g.top.slots {
			if len(o.leaves) == 1 && o.leaves[0].State == "ONLINE" && !p.named[o.leaves[0]] {
				with = o.leaves[0]
				break
			}
		}
		s.old, s.command = with.Vdev, zfs.AttachVdev(p.have.Name, with.Name, d.Path)
		s.undo = zfs.DetachVdev(p.have.Name, d.Path).String()
		s.notes = []string{"a resilver copies the data of the vdev to it"}
		if stand(with.slot.vdev) {
			obstacles = append(obstacles, "a spare or a replacement stands in "+nameOf(with.slot.vdev)+": settle that first")
		}
		p.attached[g.top] = d.Path
	}
	if id := p.plan(s, obstacles...); id != "" {
		p.grows[g.top] = append(p.grows[g.top], id)
	}
}

// shrink tells of devices that are no longer declared: those of a mirror are released, a raidz can't be without.
func (p *planner) shrink(g *group, free []*slot) {
	for _, s := range free {
		if slices.ContainsFunc(s.leaves, func(l *leaf) bool { return p.named[l] }) {
			continue // told there
		}
		if kind(g.top.Vdev) == "mirror" || len(g.top.slots) == 1 {
			p.released(nameOf(s.vdev)+" of "+g.top.Name, nameOf(p.original(s)))
			continue
		}
		p.blocked(g.Pos.At(), fieldOf(g.top, nameOf(s.vdev), ""), nameOf(s.vdev)+" is in "+g.top.Name+" and no longer declared",
			"a raidz or draid never gets smaller: declare the device again or another one in its place, or make another pool and copy (zfs send)")
	}
}

// settle makes a spare that is declared in the place of another device its owner for good.
func (p *planner) settle(g *group) {
	for _, s := range g.top.slots {
		if kind(s.vdev) != "spare" {
			continue
		}
		var stays *leaf
		for _, l := range s.leaves {
			if p.standsIn(l) && p.declaredIn(g, l) {
				stays = l
			}
		}
		if stays == nil {
			continue
		}
		for _, l := range s.leaves {
			if l != stays && !p.declaredIn(g, l) {
				p.detach(l, p.used[stays], nameOf(stays.Vdev)+" is declared in the place of "+nameOf(l.Vdev)+", for which it stands in as a spare")
			}
		}
	}
}

func (p *planner) declaredIn(g *group, l *leaf) bool {
	return slices.ContainsFunc(g.Devices, func(d spec.Device) bool { return p.layout.is(l, d.Path) })
}

// detach takes one device out of a mirror, or out of a place that it shares with a spare.
func (p *planner) detach(l *leaf, at, observed string, obstacles ...string) {
	others := slices.ContainsFunc(p.layout.leaves, func(o *leaf) bool {
		return o != l && o.top == l.top && o.State == "ONLINE" && !p.named[o] && (kind(l.top.Vdev) == "mirror" || o.slot == l.slot)
	})
	if !others {
		obstacles = append(obstacles, "no other device of "+nameOf(l.top.Vdev)+" is online: it holds the only copy")
	}
	p.plan(step{
		at: at, field: fieldOf(l.top, nameOf(l.Vdev), ""), observed: observed, risk: spec.Irreversible, old: l.Vdev,
		undo:    "nothing takes it back: attached again, the device is written anew",
		command: zfs.DetachVdev(p.have.Name, l.Name), notes: []string{nameOf(l.Vdev) + " keeps a stale ZFS label, by which dplane takes it for used"},
	}, obstacles...)
}
