package pool

import (
	"fmt"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// planner finds what leads from the vdevs of one pool to the declared ones.
type planner struct {
	in      drivers.Input
	want    *spec.Pool
	have    *state.Pool
	layout  *layout
	used    map[*leaf]string // what is declared, and where: file:line
	named   map[*leaf]bool   // by remove
	actions []drivers.Action
	notices []string
	// What was planned and ZFS does one after another.
	attached           map[*top]string   // the device that a mirror gets
	grows              map[*top][]string // the ids of the actions that attach to a vdev
	replaced           map[*top]bool     // a device of it is
	adds               []addition        // which come after those
	removal, expansion bool
}

// topologyOf plans the changes of the vdevs of a pool that is here. A pool that is declared without vdevs is left
// as it is.
func topologyOf(in drivers.Input, want *spec.Pool, have *state.Pool) drivers.Result {
	if len(want.Vdevs) == 0 || len(have.Vdevs) == 0 {
		return drivers.Result{}
	}
	p := &planner{in: in, want: want, have: have, layout: newLayout(in.Have, have), used: map[*leaf]string{}, named: map[*leaf]bool{}, attached: map[*top]string{}, grows: map[*top][]string{}, replaced: map[*top]bool{}}
	if !p.recognised() {
		p.blocked(want.Pos.At(), drivers.Field{Name: "vdevs", From: strings.Join(shown(have.Vdevs), " "), To: strings.Join(vdevs(want.Vdevs), " ")},
			"none of the declared data devices is in the pool",
			"is it the right pool? It has "+strings.Join(shown(have.Vdevs), ", ")+": declare those, or import it with its devices under the declared names (zpool export "+have.Name+", then zpool import -d DIRECTORY "+have.Name+")")
		return drivers.Result{Actions: p.actions}
	}
	p.claim()
	p.revive()
	for _, c := range []struct {
		class string
		vdevs []spec.Vdev
	}{{"", want.Vdevs}, {"special", want.Special}, {"dedup", want.Dedup}, {"log", want.Log}} {
		p.class(c.class, c.vdevs)
	}
	for _, a := range p.adds {
		p.add(a.class, a.group)
	}
	p.list("cache", want.Cache)
	p.list("spare", want.Spare)
	p.removals()
	return drivers.Result{Actions: p.actions, Notices: p.notices}
}

// recognised tells whether a declared data device is in the pool: where none is, the files mean another pool.
func (p *planner) recognised() bool {
	for _, v := range p.want.Vdevs {
		for _, d := range v.Devices {
			if l := p.layout.find(d.Path); l != nil && l.top.Class == "" {
				return true
			}
		}
	}
	return false
}

// claim notes which devices of the pool are declared, and which are named to leave it.
func (p *planner) claim() {
	for _, c := range []struct {
		class    string
		declared []spec.Device
	}{{"", p.want.Devices()[:len(p.want.Devices())-len(p.want.Cache)-len(p.want.Spare)]}, {"cache", p.want.Cache}, {"spare", p.want.Spare}} {
		for _, d := range c.declared {
			l := p.layout.find(d.Path)
			if c.class != "" {
				l = p.layout.findListed(d.Path, c.class)
			}
			if l != nil && p.used[l] == "" {
				p.used[l] = d.Pos.At()
			}
		}
	}
	for _, d := range p.want.Remove {
		if l := p.layout.find(d.Path); l != nil {
			p.named[l] = true
		}
	}
}

// shown are the data vdevs in short: mirror-0 of /dev/a and /dev/b.
func shown(vdevs []state.Vdev) []string {
	var all []string
	for _, v := range vdevs {
		if v.Class != "" {
			continue
		}
		if len(v.Children) == 0 {
			all = append(all, nameOf(v))
			continue
		}
		var devices []string
		for _, c := range v.Children {
			devices = append(devices, nameOf(c))
		}
		all = append(all, v.Name+" of "+strings.Join(devices, " and "))
	}
	return all
}

// nameOf is how people know a vdev.
func nameOf(v state.Vdev) string {
	if v.Path != "" {
		return v.Path
	}
	return v.Name
}

// released says that what merely left a list stays in the pool.
func (p *planner) released(what string, devices ...string) {
	p.notices = append(p.notices, fmt.Sprintf("pool %s (%s): %s is no longer declared: released, it stays in the pool; to take it out: remove: [%s]",
		p.want.Name, p.want.Pos.At(), what, strings.Join(devices, ", ")))
}
