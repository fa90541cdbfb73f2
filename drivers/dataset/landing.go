package dataset

import (
	"fmt"
	"path"
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
)

// present compares the declared datasets that are there, and gives their names.
func (v *view) present(moves []*move) []spec.DatasetName {
	var names []spec.DatasetName
	for _, name := range v.Want.DatasetNames() {
		want, have := v.Want.Datasets[name], v.have(name)
		if have == nil || want.Absent || !v.reachable(name) || stuck(moves, name) || v.conflict(want, have) != nil {
			continue
		}
		v.changes[string(name)] = v.compare(want, have)
		names = append(names, name)
	}
	return names
}

// toMount are the places where file systems that are there would be mounted by this plan.
func (v *view) toMount(present []spec.DatasetName) map[string]spec.PoolName {
	places := map[string]spec.PoolName{}
	for _, name := range present {
		have := v.have(name)
		if at := v.comingMountpoint(name); have.Type == "filesystem" && !have.Mounted && v.comingCanmount(name) == "on" && path.IsAbs(at) {
			places[at] = name.Pool()
		}
		if have.Type == "filesystem" && elsewhere(have) { // also where a change of its mountpoint may yet be refused
			for _, at := range v.landings(name) {
				places[at] = name.Pool()
			}
		}
		if v.relocates(name) {
			for _, at := range v.landing(name) {
				places[at] = name.Pool()
			}
		}
	}
	return places
}

// relocates tells whether the mountpoint of a dataset is changed by an action of its own.
func (v *view) relocates(name spec.DatasetName) bool {
	c := v.changes[string(name)]["mountpoint"]
	return c != nil && (c.deed == set || c.deed == giveBack)
}

// landing are the places where a file system and those below that follow it are mounted once its mountpoint is another.
func (v *view) landing(name spec.DatasetName) []string {
	var places []string
	for _, n := range append([]string{string(name)}, v.below(string(name))...) {
		d := v.Have.Datasets[n]
		at := v.comingMountpoint(spec.DatasetName(n))
		if d.Type != "filesystem" || at == d.Properties["mountpoint"].Value || !path.IsAbs(at) || v.mounted[at] == n { // by hand, it may be there already
			continue
		}
		if canmount := v.comingCanmount(spec.DatasetName(n)); canmount == "on" || canmount == "noauto" && d.Mounted {
			places = append(places, at)
		}
	}
	return places
}

// keepVisible refuses a change of mountpoint that would hide files or what is mounted there, for zfs mounts over both,
// and one that something mounted inside prevents. What is in the way and moves away itself comes first. A refusal may be
// in the way of another change: it goes on until nothing more is refused.
func (v *view) keepVisible(present []spec.DatasetName) {
	for again := true; again; {
		again = false
		for _, name := range present { // parents first
			if !v.relocates(name) {
				continue
			}
			c := v.changes[string(name)]["mountpoint"]
			c.waits = nil
			note := v.hidden(name, c)
			if note == "" {
				note = v.inside(name, c)
			}
			if note == "" && c.waitsFor(c, map[*change]bool{}) {
				note = "its new place is taken by what waits for its old one: declare another mountpoint for one of them first"
			}
			if note != "" {
				c.deed, c.note, again = refuse, note, true
			}
		}
	}
}

// waitsFor tells whether a change waits for another one, over whatever stands between.
func (c *change) waitsFor(other *change, seen map[*change]bool) bool {
	if seen[c] {
		return false
	}
	seen[c] = true
	return slices.ContainsFunc(c.waits, func(w *change) bool { return w == other || w.waitsFor(other, seen) })
}

// hidden says what a change of mountpoint would hide, "" where nothing is.
func (v *view) hidden(name spec.DatasetName, c *change) string {
	for _, at := range v.landing(name) {
		other := v.mounted[at]
		stays := other == "" || slices.Contains(v.moving(spec.DatasetName(other)), c) // or goes along, in the same command
		switch {
		case stays && v.occupied[at]:
			return at + " holds files, and mounting there would hide them: move them away, or declare another mountpoint"
		case stays:
		case v.comingMountpoint(spec.DatasetName(other)) == at:
			return fmt.Sprintf("%s is the mountpoint of %s, which would be hidden: declare another mountpoint", at, other)
		case len(v.moving(spec.DatasetName(other))) == 0:
			return fmt.Sprintf("%s is where %s is mounted, which would be hidden: zfs unmount %s, or declare another mountpoint", at, other, host.Read(other))
		default:
			c.waits = append(c.waits, v.moving(spec.DatasetName(other))...)
		}
	}
	return ""
}

// inside says what is mounted inside what a change of mountpoint unmounts, and stays: zfs refuses the change then.
func (v *view) inside(name spec.DatasetName, c *change) string {
	top := "" // the place that was looked at last: what is below it was seen
	for _, n := range append([]string{string(name)}, v.below(string(name))...) {
		d := v.Have.Datasets[n]
		if !d.Mounted || !path.IsAbs(place(d)) || top != "" && under(place(d), top) || !slices.Contains(v.moving(spec.DatasetName(n)), c) {
			continue
		}
		top = place(d)
		for _, other := range v.mountedUnder(place(d)) {
			moves := v.moving(spec.DatasetName(other))
			switch {
			case slices.Contains(moves, c):
			case len(moves) > 0 && !under(v.comingMountpoint(spec.DatasetName(other)), place(d)):
				c.waits = append(c.waits, moves...)
			default:
				return v.keeps(other)
			}
		}
	}
	return ""
}

// keeps says that a file system is mounted inside another one, which zfs can't unmount then.
func (v *view) keeps(other string) string {
	return fmt.Sprintf("%s is mounted inside it, at %s, and does not move along, so that zfs can't unmount it: zfs unmount %s, and apply again", other, place(v.Have.Datasets[other]), host.Read(other))
}

// afterMoves lets a change of mountpoint wait for those that clear its way.
func (v *view) afterMoves(actions map[spec.DatasetName][]drivers.Action) {
	for name, all := range actions {
		c := v.changes[string(name)]["mountpoint"]
		if c == nil || len(c.waits) == 0 {
			continue
		}
		for i := range all {
			for _, w := range c.waits {
				if all[i].ID == c.action && w.action != "" && w.action != c.action && !slices.Contains(all[i].After, w.action) {
					all[i].After = append(all[i].After, w.action)
				}
			}
		}
	}
}

// expectLanding are the guards of changes: nothing is where file systems will be mounted.
func (b *builder) expectLanding(cs []*change) []host.Expect {
	if !slices.ContainsFunc(cs, func(c *change) bool { return c.name == "mountpoint" && c.deed != forget }) {
		return nil
	}
	var guards []host.Expect
	for _, at := range b.landing(b.want.Name) {
		guards = append(guards, expectFree(at))
	}
	return guards
}
