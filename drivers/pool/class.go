package pool

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
)

// group is one declared top-level vdev: a stripe of several devices is as many.
type group struct {
	spec.Vdev
	top *top // what it is in the pool; nil: nothing of it is
}

func groups(vdevs []spec.Vdev) []*group {
	var all []*group
	for _, v := range vdevs {
		if v.Type != "stripe" {
			all = append(all, &group{Vdev: v})
			continue
		}
		for _, d := range v.Devices {
			all = append(all, &group{Vdev: spec.Vdev{Type: v.Type, Pos: d.Pos, Devices: []spec.Device{d}}})
		}
	}
	return all
}

// label is the group in words of zpool.
func (g *group) label() string {
	return strings.TrimSpace(typeWord(g.Vdev) + " " + strings.Join(paths(g.Devices), " "))
}

// class plans the top-level vdevs of one class: those of which a device is in the pool are changed, in their
// order those that are new take the place of those that left the list, and what remains is added or released.
func (p *planner) class(class string, declared []spec.Vdev) {
	all, tops := groups(declared), p.tops(class)
	claimed := map[*top]bool{}
	var fresh []*group
	for _, g := range all {
		if !p.locate(g, class) {
			continue // said why
		}
		switch {
		case g.top == nil:
			fresh = append(fresh, g)
		case claimed[g.top]:
			p.blocked(g.Pos.At(), field(class, "", g.label()), strings.Join(paths(g.Devices), ", ")+" stand in "+g.top.Name+", with devices that are declared in another vdev",
				"ZFS does not take a vdev apart: declare it as it is, or make another pool and copy (zfs send)")
		default:
			claimed[g.top] = true
			p.group(g)
		}
	}
	var left []*top
	for _, t := range tops {
		if !claimed[t] && !p.leaving(t) && !p.stray(t) {
			left = append(left, t)
		}
	}
	switch {
	case len(left) > 0 && len(fresh) > 0 && !pairs(fresh, left):
		for _, g := range fresh {
			p.blocked(g.Pos.At(), field(class, "", g.label()), "none of its devices is in the pool, while "+names(left)+" left the list",
				"is it to be added, or to take the place of what left? Declare "+names(left)+" again and add this below, or name what is to go in remove, or change one device of a vdev at a time")
		}
	case len(left) > 0 && len(fresh) > 0:
		for i, g := range fresh {
			g.top = left[i]
			p.group(g)
		}
		return
	default:
		for _, g := range fresh {
			p.adds = append(p.adds, addition{class, g})
		}
	}
	for _, t := range left {
		p.released(nameOf(t.Vdev), t.devices()...)
	}
}

// pairs tells whether the new groups are, one by one, of the kind and size of those that left.
func pairs(fresh []*group, left []*top) bool {
	if len(fresh) != len(left) {
		return false
	}
	for i, g := range fresh {
		if len(g.Devices) != len(left[i].slots) || !sameType(g.Vdev, left[i]) {
			return false
		}
	}
	return true
}

// sameType compares the redundancy; a draid's parameters as far as they are declared.
func sameType(v spec.Vdev, t *top) bool {
	have := kind(t.Vdev)
	if stand(t.Vdev) {
		have = ""
	}
	switch {
	case v.Type == "stripe":
		return have == ""
	case !strings.HasPrefix(string(v.Type), "draid"):
		return have == string(v.Type)
	}
	parts := strings.Split(have, ":")
	return parts[0] == string(v.Type) && (v.Data == 0 || slices.Contains(parts, fmt.Sprintf("%dd", v.Data))) && slices.Contains(parts, fmt.Sprintf("%ds", v.Spares))
}

func names(tops []*top) string {
	var all []string
	for _, t := range tops {
		if len(t.slots) > 1 {
			all = append(all, t.Name+" ("+strings.Join(t.devices(), ", ")+")")
		} else {
			all = append(all, t.devices()...)
		}
	}
	return strings.Join(all, " and ")
}

func field(class, from, to string) drivers.Field {
	return drivers.Field{Name: classWords[class], From: from, To: to}
}

// classWords are the classes as the files name them.
var classWords = map[string]string{"": "vdevs", "special": "special", "dedup": "dedup", "log": "log", "cache": "cache", "spare": "spare"}

// task is what the devices of a class are for.
func task(class string) string {
	if class == "" {
		return "data"
	}
	return class
}

func (p *planner) tops(class string) []*top {
	var all []*top
	for _, t := range p.layout.tops {
		if t.Class == class {
			all = append(all, t)
		}
	}
	return all
}

// leaving tells whether all devices of the vdev are named by remove.
func (p *planner) leaving(t *top) bool {
	for _, s := range t.slots {
		for _, l := range s.leaves {
			if !p.named[l] {
				return false
			}
		}
	}
	return true
}

// stray tells whether a device of it is declared in another class, which is said there.
func (p *planner) stray(t *top) bool {
	for _, s := range t.slots {
		if slices.ContainsFunc(s.leaves, func(l *leaf) bool { return p.used[l] != "" }) {
			return true
		}
	}
	return false
}

// devices are those of a top-level vdev, as people know them.
func (t *top) devices() []string {
	var all []string
	for _, s := range t.slots {
		all = append(all, nameOf(s.vdev))
	}
	return all
}

// locate finds the top-level vdev of which the group's devices are, and says why where that can't be told.
func (p *planner) locate(g *group, class string) bool {
	for _, d := range g.Devices {
		l := p.layout.find(d.Path)
		switch {
		case l == nil, l.top.Class == "spare" && class != "spare":
			continue // a spare can take a place
		case l.top.Class != class:
			p.blocked(d.Pos.At(), field(class, "", d.Path), d.Path+" is in the pool as a "+task(l.top.Class)+" device",
				"a device has one task: take it out first (remove: ["+d.Path+"], and not declared), then declare it here")
			return false
		case g.top != nil && g.top != l.top:
			p.blocked(d.Pos.At(), field(class, "", g.label()), d.Path+" stands in "+nameOf(l.top.Vdev)+", the devices before it in "+nameOf(g.top.Vdev),
				"devices don't move between vdevs: declare each vdev as it is in the pool")
			return false
		}
		g.top = l.top
	}
	return true
}

// list plans the devices of the cache or spare list.
func (p *planner) list(class string, declared []spec.Device) {
	for _, d := range declared {
		l := p.layout.findListed(d.Path, class)
		switch {
		case l == nil:
			p.plan(step{
				at: d.Pos.At(), field: field(class, "", d.Path), observed: d.Path + " is declared and not in the pool", risk: spec.Irreversible,
				undo: zfs.RemoveVdev(p.have.Name, d.Path).String(), command: zfs.AddVdev(p.have.Name, []string{class, d.Path}), new: []string{d.Path}, adds: true,
			})
		case l.top.Class != class:
			p.blocked(d.Pos.At(), field(class, "", d.Path), d.Path+" is in the pool as a device of "+nameOf(l.top.Vdev), "a device has one task: declare it there, or take it out first")
		}
	}
	for _, t := range p.tops(class) {
		l := t.slots[0].leaves[0]
		if p.used[l] == "" && !p.named[l] && !p.placed(l) && l.Path != "" {
			p.released(nameOf(l.Vdev), nameOf(l.Vdev))
		}
	}
}

// placed tells whether a spare is declared, or named to be removed, where it stands in for another device.
func (p *planner) placed(spare *leaf) bool {
	return slices.ContainsFunc(p.layout.leaves, func(o *leaf) bool { return o != spare && o.Path == spare.Path && (p.used[o] != "" || p.named[o]) })
}
