package pool

import (
	"fmt"
	"strings"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
)

// removals take out what `remove` names: a device of a mirror is detached, a whole vdev removed.
func (p *planner) removals() {
	done := map[*top]bool{}
	for _, d := range p.want.Remove {
		l := p.layout.find(d.Path)
		switch {
		case l == nil:
			p.notices = append(p.notices, fmt.Sprintf("pool %s: %s (%s) is not in the pool: take it out of remove", p.want.Name, d.Path, d.Pos.At()))
		case done[l.top]:
		case p.standsIn(l) || l.top.Class == "spare" && l.State == "INUSE":
			p.blocked(d.Pos.At(), fieldOf(l.top, d.Path, ""), d.Path+" is a spare in use", "it stands in for another device: declare a replacement for that one first")
		case p.leaving(l.top):
			done[l.top] = true
			p.remove(l.top, d)
		case kind(l.top.Vdev) == "mirror" || stand(l.slot.vdev):
			p.leave(l, d)
		default:
			p.blocked(d.Pos.At(), fieldOf(l.top, d.Path, ""), d.Path+" is a device of "+l.top.Name,
				"ZFS does not take a device out of a raidz or draid: replace it (another device in its place), or make another pool and copy (zfs send)")
		}
	}
}

// leave detaches one device; where the mirror gets another one, after that is written.
func (p *planner) leave(l *leaf, d spec.Device) {
	var obstacles []string
	if fresh := p.attached[l.top]; fresh != "" {
		obstacles = append(obstacles, "it stays until "+fresh+" is attached and resilvered")
	}
	p.detach(l, d.Pos.At(), d.Path+" is in "+nameOf(l.top.Vdev)+", and remove names it", obstacles...)
}

// remove takes out a top-level vdev, or a cache or spare device.
func (p *planner) remove(t *top, d spec.Device) {
	s := step{
		at: d.Pos.At(), field: fieldOf(t, strings.Join(t.devices(), " "), ""), observed: nameOf(t.Vdev) + " is in the pool, and remove names it",
		risk: spec.Irreversible, old: t.Vdev, command: zfs.RemoveVdev(p.have.Name, t.Name), undo: "nothing takes it back: added again, it is a new vdev",
	}
	if t.Class == "cache" || t.Class == "spare" {
		s.undo = zfs.AddVdev(p.have.Name, []string{t.Class, nameOf(t.Vdev)}).String() + ", when its stale label is cleared"
	}
	if t.Class != "" && t.Class != "special" && t.Class != "dedup" {
		p.plan(s)
		return
	}
	s.notes = []string{"its data is copied to the other vdevs, and a table of where it went stays in memory", "the other vdevs must have the space, and all the same sector size, else ZFS refuses"}
	var obstacles []string
	if p.hasRaidz() {
		obstacles = append(obstacles, "ZFS removes no data vdev from a pool with a raidz or draid: make another pool and copy (zfs send)")
	}
	if t.Class == "" && !p.remains() {
		obstacles = append(obstacles, "no data vdev would be left: to give up the pool, zpool destroy it by hand")
	}
	if !p.hasRaidz() {
		obstacles = append(obstacles, p.roomless(t)...)
	}
	obstacles = append(obstacles, p.missingFeature("device_removal", "remove a vdev")...)
	obstacles = append(obstacles, p.standing()...)
	if p.removal {
		obstacles = append(obstacles, "a pool removes one vdev at a time: it comes after the one that is planned")
	}
	p.removal = true
	p.plan(s, obstacles...)
}

// remains tells whether a data vdev stays.
func (p *planner) remains() bool {
	for _, t := range p.tops("") {
		if !p.leaving(t) {
			return true
		}
	}
	return false
}

// standing says of which places two devices share, or will: while a mirror has one, ZFS removes no data vdev at all
// (spa_vdev_remove_top_check in module/zfs/vdev_removal.c).
func (p *planner) standing() (why []string) {
	for _, t := range p.layout.tops {
		if p.replaced[t] {
			why = append(why, p.afterReplaced(t))
		}
		for _, s := range t.slots {
			if stand(s.vdev) && kind(t.Vdev) == "mirror" {
				why = append(why, "a spare or a replacement stands in "+s.vdev.Name+" of "+nameOf(t.Vdev)+", and meanwhile ZFS removes no vdev: settle that first")
			}
		}
	}
	return why
}

func (p *planner) afterReplaced(t *top) string {
	return "a device of " + nameOf(t.Vdev) + " is to be replaced: it comes after that"
}
