package zfsfake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pick is a vdev of a pool, in its place.
type pick struct {
	top    *Vdev // the top-level vdev it belongs to
	parent *Vdev // nil for a top-level vdev
	at     *Vdev
}

// lookup finds a vdev by name or guid; of a spare in use its place in the list.
func (p *Pool) lookup(name string) (pick, bool) {
	for i := range p.Vdevs {
		if found, ok := p.Vdevs[i].lookup(&p.Vdevs[i], nil, name); ok {
			return found, true
		}
	}
	return pick{}, false
}

func (v *Vdev) lookup(top, parent *Vdev, name string) (pick, bool) {
	if v.Name == name || v.GUID == name {
		return pick{top, parent, v}, true
	}
	for i := range v.Children {
		if found, ok := v.Children[i].lookup(top, v, name); ok {
			return found, true
		}
	}
	return pick{}, false
}

// is tells the type of a group by its name.
func (v *Vdev) is(kind string) bool {
	return v != nil && strings.HasPrefix(v.Name, kind) && len(v.Children) > 0
}

// change finds the pool and answers for the options of a command that changes vdevs. There is no -f here.
func (k *call) change(args []string, known string, operands int) (*Pool, []string, int) {
	_, words, ok := getopt(args, known)
	if !ok || len(words) < operands {
		return nil, nil, k.usage()
	}
	p := k.Pools[words[0]]
	if p == nil {
		return nil, nil, k.fail(1, "cannot open '%s': no such pool", words[0])
	}
	return p, words[1:], 0
}

// settled writes the labels anew and lets what was begun come to its end.
func (k *call) settled(p *Pool) int {
	k.wrote, k.historyPool = true, p.Name
	k.label(p, 0)
	if !k.Slow {
		k.finish(p)
	}
	return 0
}

func (k *call) zpoolAdd(args []string) int {
	p, words, code := k.change(args, "no:", 2)
	if p == nil {
		return code
	}
	fresh, r := k.parseVdevs(words)
	if r == nil {
		r = k.replication(p.Vdevs, fresh)
	}
	if r == nil {
		for _, v := range fresh {
			if needs := map[string]string{"special": "allocation_classes", "dedup": "allocation_classes"}[v.Class]; needs != "" && p.feature(needs) == "disabled" {
				r = refuse(1, "cannot add to '%s': pool must be upgraded to add these vdevs", p.Name)
			}
		}
	}
	if r == nil && p.Suspended {
		r = refuse(1, "cannot add to '%s': %s", p.Name, suspended)
	}
	if r != nil {
		return k.refused(r)
	}
	if !k.write(p) {
		return 0
	}
	for _, v := range fresh {
		v.Ashift, _ = strconv.Atoi(p.Props["ashift"])
		if v.Class != "cache" && v.Class != "spare" {
			v.Name = strings.TrimSuffix(v.Name, fmt.Sprintf("-%d", v.ID))
			v.ID, p.Tops = p.Tops, p.Tops+1
			if len(v.Children) > 0 {
				v.Name = fmt.Sprintf("%s-%d", v.Name, v.ID)
			}
		}
		p.Vdevs = append(p.Vdevs, v)
	}
	return k.settled(p)
}

func (k *call) zpoolAttach(args []string) int {
	p, words, code := k.change(args, "so:", 3)
	if p == nil {
		return code
	}
	fresh, r := k.leaf(words[1])
	if r != nil {
		return k.refused(r)
	}
	to, found := p.lookup(words[0])
	bad := func(why string) int { return k.fail(255, "cannot attach %s to %s: %s", words[1], words[0], why) }
	raidz := to.at.is("raidz")
	switch {
	case !found:
		return bad("no such device in pool")
	case p.Checkpoint:
		return bad("checkpoint exists")
	case p.Expansion != nil && p.Expansion.State == "SCANNING":
		return bad("raidz expansion in progress")
	case p.Removal != nil && p.Removal.State == "SCANNING":
		return bad("device removal in progress")
	case raidz && p.feature("raidz_expansion") != "enabled":
		return bad("can only attach to mirrors and top-level disks")
	case raidz && slices.ContainsFunc(to.at.Children, func(v Vdev) bool { return len(v.Children) > 0 || v.state() != "ONLINE" }):
		return bad("one or more devices is currently unavailable")
	case !raidz && (len(to.at.Children) > 0 || to.parent != nil && !to.parent.is("mirror") || to.top.Class == "cache" || to.top.Class == "spare"):
		return bad("can only attach to mirrors and top-level disks")
	case fresh.Size < to.at.smallest():
		return bad("device is too small")
	case k.sectors(words[1]) > 1<<to.top.ashift():
		return bad(otherSectors)
	case !k.write(p):
		return 0
	}
	switch {
	case raidz:
		to.at.Children = append(to.at.Children, fresh)
		p.Expansion = &Copying{State: "SCANNING", Index: to.at.ID, Name: to.at.Name, Bytes: p.space(p.Name)}
	case to.parent != nil:
		to.parent.Children = append(to.parent.Children, fresh)
		p.resilver()
	default:
		old := *to.at
		old.ID, old.Class = 0, ""
		*to.at = Vdev{Name: fmt.Sprintf("mirror-%d", to.at.ID), GUID: k.vdevGUID("mirror" + words[1]), Class: to.at.Class, ID: to.at.ID, Children: []Vdev{old, fresh}}
		p.resilver()
	}
	return k.settled(p)
}

// otherSectors is what a device is refused with that can't be written in the sectors of the vdev (libzfs_pool.c).
const otherSectors = "new device has a different optimal sector size; use the option '-o ashift=N' to override the optimal size"

func (v *Vdev) ashift() int {
	if v.Ashift == 0 {
		return 12
	}
	return v.Ashift
}

func (m *Model) sectors(device string) uint64 {
	if d := m.Devices[device]; d != nil {
		return d.Sector
	}
	return 0
}

// mixedSectors tells whether the vdevs that hold data have several sector sizes: then none is removed.
func (p *Pool) mixedSectors() bool {
	return slices.ContainsFunc(p.Vdevs, func(v Vdev) bool {
		return v.Class != "log" && v.Class != "cache" && v.Class != "spare" && v.ashift() != p.Vdevs[0].ashift()
	})
}

// standing tells whether two devices share a place of a mirror: then no data vdev is removed.
func (p *Pool) standing() bool {
	return slices.ContainsFunc(p.Vdevs, func(v Vdev) bool {
		return v.is("mirror") && slices.ContainsFunc(v.Children, func(c Vdev) bool { return len(c.Children) > 0 })
	})
}

func (p *Pool) resilver() {
	p.Scan = &Scan{Function: "RESILVER", State: "SCANNING", Total: p.space(p.Name)}
}

func (k *call) zpoolReplace(args []string) int {
	p, words, code := k.change(args, "so:", 3)
	if p == nil {
		return code
	}
	spare, listed := p.spare(words[1])
	fresh, r := k.leaf(words[1])
	if listed && spare.State == "" {
		fresh, r = *spare, nil
		fresh.Class = ""
	}
	if r != nil {
		return k.refused(r)
	}
	old, found := p.lookup(words[0])
	bad := func(why string) int { return k.fail(255, "cannot replace %s with %s: %s", words[0], words[1], why) }
	switch {
	case !found:
		return bad("no such device in pool")
	case p.Checkpoint:
		return bad("checkpoint exists")
	case fresh.Size < old.at.Size:
		return bad("device is too small")
	case k.sectors(words[1]) > 1<<old.top.ashift():
		return bad(otherSectors)
	case !k.write(p):
		return 0
	}
	kind := "replacing"
	if listed {
		kind, spare.State = "spare", "INUSE"
	}
	stood := *old.at
	index := old.at.ID
	if old.parent != nil {
		index = slices.IndexFunc(old.parent.Children, func(v Vdev) bool { return v.GUID == stood.GUID })
	}
	stood.ID, stood.Class, stood.Fresh = 0, "", false
	*old.at = Vdev{Name: fmt.Sprintf("%s-%d", kind, index), GUID: k.vdevGUID(kind + words[1]), Class: old.at.Class, ID: old.at.ID, Children: []Vdev{stood, fresh}}
	p.resilver()
	return k.settled(p)
}

// spare is a device in the list of spares.
func (p *Pool) spare(name string) (*Vdev, bool) {
	for i := range p.Vdevs {
		if v := &p.Vdevs[i]; v.Class == "spare" && v.Name == name {
			return v, true
		}
	}
	return nil, false
}

func (k *call) zpoolDetach(args []string) int {
	p, words, code := k.change(args, "", 2)
	if p == nil {
		return code
	}
	d, found := p.lookup(words[0])
	bad := func(why string) int { return k.fail(255, "cannot detach %s: %s", words[0], why) }
	switch {
	case !found:
		return bad("no such device in pool")
	case p.Checkpoint:
		return bad("checkpoint exists")
	case !d.parent.is("mirror") && !d.parent.is("spare") && !d.parent.is("replacing"):
		return bad("only applicable to mirror and replacing vdevs")
	case !slices.ContainsFunc(d.parent.Children, func(v Vdev) bool { return v.GUID != d.at.GUID && v.state() == "ONLINE" }):
		return bad("no valid replicas")
	case !k.write(p):
		return 0
	}
	k.leave(p, d)
	return k.settled(p)
}

// leave takes a device out of its group; one that is left alone takes the group's place, and at the top its guid.
func (k *call) leave(p *Pool, d pick) {
	if spare, listed := p.spare(d.at.Name); listed {
		spare.State = "" // it waits again
	} else if d.parent.is("spare") { // the spare stays for good
		name := d.parent.Children[len(d.parent.Children)-1].Name
		p.Vdevs = slices.DeleteFunc(p.Vdevs, func(v Vdev) bool { return v.Class == "spare" && v.Name == name })
		if moved, ok := p.lookup(d.at.GUID); ok {
			d = moved // deleting moved what stands behind
		}
	}
	guid := d.at.GUID
	d.parent.Children = slices.DeleteFunc(d.parent.Children, func(v Vdev) bool { return v.GUID == guid })
	if len(d.parent.Children) > 1 {
		return
	}
	alone := d.parent.Children[0]
	if d.parent == d.top {
		alone.GUID, alone.ID, alone.Class = d.parent.GUID, d.parent.ID, d.parent.Class
	}
	*d.parent = alone
}

func (k *call) zpoolRemove(args []string) int {
	p, words, code := k.change(args, "pw", 2)
	if p == nil {
		return code
	}
	d, found := p.lookup(words[0])
	spare, listed := p.spare(words[0])
	bad := func(why string) int { return k.fail(1, "cannot remove %s: %s", words[0], why) }
	data := found && d.top.Class != "log" && d.top.Class != "cache" && d.top.Class != "spare"
	switch {
	case !found:
		return bad("no such device in pool")
	case p.Checkpoint:
		return bad("checkpoint exists")
	case listed && spare.State == "INUSE", p.Removal != nil && p.Removal.State == "SCANNING":
		return bad("Pool busy; removal may already be in progress")
	case d.parent != nil:
		return bad("operation not supported on this type of pool")
	case data && slices.ContainsFunc(p.Vdevs, func(v Vdev) bool { return v.is("raidz") || v.is("draid") }), data && (p.mixedSectors() || p.standing()):
		return bad("invalid config; all top-level vdevs must have the same sector size and not be raidz.")
	case data && d.top.Class == "" && p.dataVdevs() == 1:
		return bad("out of space")
	case !k.write(p):
		return 0
	}
	guid := d.top.GUID
	if data {
		p.Removal = &Copying{State: "SCANNING", Index: d.top.ID, Name: d.top.Name, Bytes: p.space(p.Name)}
	} else {
		p.Vdevs = slices.DeleteFunc(p.Vdevs, func(v Vdev) bool { return v.GUID == guid })
	}
	return k.settled(p)
}

func (p *Pool) dataVdevs() int {
	n := 0
	for _, v := range p.Vdevs {
		if v.Class == "" {
			n++
		}
	}
	return n
}

// finish brings what runs in the background to its end.
func (k *call) finish(p *Pool) { k.Model.finish(p) }

func (m *Model) finish(p *Pool) {
	if s := p.Scan; s != nil && s.State == "SCANNING" && !s.Paused {
		s.State, s.Done = "FINISHED", s.Total
		for i := range p.Vdevs {
			p.replaced(&p.Vdevs[i], true)
		}
	}
	if r := p.Removal; r != nil && r.State == "SCANNING" {
		r.State = "FINISHED"
		p.Vdevs = slices.DeleteFunc(p.Vdevs, func(v Vdev) bool { return v.Name == r.Name })
		r.Name = "indirect"
	}
	if e := p.Expansion; e != nil && e.State == "SCANNING" {
		e.State = "FINISHED"
	}
	k := &call{Model: m}
	k.label(p, 0)
}

// replaced lets a new device take the place of the old one; a spare that stood in beside it waits again.
func (p *Pool) replaced(v *Vdev, top bool) {
	for i := range v.Children {
		p.replaced(&v.Children[i], false)
	}
	if v.is("replacing") {
		v.become(v.Children[len(v.Children)-1], top)
	}
	if v.is("spare") && v.Children[0].state() == "ONLINE" && v.Children[0].Fresh {
		if spare, ok := p.spare(v.Children[1].Name); ok {
			spare.State = ""
		}
		v.become(v.Children[0], top)
	}
}

func (v *Vdev) become(c Vdev, top bool) {
	if top {
		c.GUID, c.ID, c.Class = v.GUID, v.ID, v.Class
	}
	c.Fresh = true
	*v = c
}

func (k *call) zpoolOffline(args []string) int {
	opts, _, _ := getopt(args, "ft")
	p, words, code := k.change(args, "ft", 2)
	if p == nil {
		return code
	}
	d, found := p.lookup(words[0])
	bad := func(why string) int { return k.fail(1, "cannot offline %s: %s", words[0], why) }
	switch {
	case !found:
		return bad("no such device in pool")
	case d.parent == nil || !slices.ContainsFunc(d.parent.Children, func(v Vdev) bool { return v.GUID != d.at.GUID && v.state() == "ONLINE" }):
		return bad("no valid replicas")
	case !k.write(p):
		return 0
	}
	if d.at.Faulted = opts.has('f'); !d.at.Faulted {
		d.at.State = "OFFLINE"
	}
	return 0
}

func (k *call) zpoolOnline(args []string) int {
	p, words, code := k.change(args, "e", 2)
	if p == nil {
		return code
	}
	for _, w := range words {
		if code := k.online(p, w, args[0] == "-e"); code != 0 || k.hung {
			return code
		}
	}
	return code
}

func (k *call) online(p *Pool, word string, expand bool) int {
	d, found := p.lookup(word)
	if !found {
		return k.fail(1, "couldn't find device \"%s\" in pool \"%s\"", word, p.Name)
	}
	if !k.write(p) {
		return 0
	}
	if dev := k.Devices[d.at.Name]; dev == nil || dev.Label == nil || dev.Label.Vdev != d.at.GUID {
		k.printf("warning: device '%s' onlined, but remains in faulted state\nuse 'zpool replace' to replace devices that are no longer present\n", word)
		return 0
	}
	if d.at.State != "" {
		d.at.State = ""
		p.resilver()
	}
	if expand {
		d.at.Size, d.at.Grown = d.at.Size+d.at.Grown, 0
	}
	return k.settled(p)
}
