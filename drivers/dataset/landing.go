package dataset

import (
	"fmt"
	"path"
	"slices"

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

// keepVisible refuses a change of mountpoint that would hide files or what is mounted there: zfs mounts over both.
func (v *view) keepVisible(present []spec.DatasetName) {
	for _, name := range present { // parents first
		if !v.relocates(name) {
			continue
		}
		if note := v.hidden(name); note != "" {
			c := v.changes[string(name)]["mountpoint"]
			c.deed, c.note = refuse, note
		}
	}
}

// hidden says what a change of mountpoint would hide, "" where nothing is.
func (v *view) hidden(name spec.DatasetName) string {
	for _, at := range v.landing(name) {
		if other := v.mounted[at]; other != "" && v.comingMountpoint(spec.DatasetName(other)) == at {
			return fmt.Sprintf("%s is the mountpoint of %s, which would be hidden: declare another mountpoint", at, other)
		}
		if v.occupied[at] {
			return at + " holds files, and mounting there would hide them: move them away, or declare another mountpoint"
		}
	}
	return ""
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
