package spec

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// rules are what no schema can say: what one entry says of another, and what ZFS asks of them
// together. Names are looked up among what the files declare, valid or not, so that one mistake is one
// problem.
func (l *loader) rules() {
	l.settle()
	l.deviceRules()
	l.datasetRules()
	l.replicationRules()
	if l.part {
		return
	}
	l.encryptionRules()
	if l.spec.HA != nil {
		l.haRules()
	}
	l.warnings()
}

// declared are the keys of a section as they stand in the files, sorted.
func (l *loader) declared(section string) []string {
	names, ok := l.names[section]
	if ok {
		return names
	}
	if n := l.root.get(section); n != nil {
		for _, e := range n.keys {
			names = append(names, e.key)
		}
	}
	sort.Strings(names)
	if l.names == nil {
		l.names = map[string][]string{}
	}
	l.names[section] = names
	return names
}

// setting is a value of a declared dataset as it stands in the files.
func (l *loader) setting(name DatasetName, key string) cursor {
	if l.datasets == nil {
		l.datasets = map[string]*node{}
		if n := l.root.get("datasets"); n != nil {
			for _, e := range n.keys {
				l.datasets[e.key] = e.val
			}
		}
	}
	return cursor{l: l, n: l.datasets[string(name)]}.get(key)
}

// has tells whether a section declares the name.
func (l *loader) has(section, name string) bool {
	_, found := slices.BinarySearch(l.declared(section), name)
	return found
}

// refer reports a name that its section does not declare.
func (l *loader) refer(pos Pos, path, what, section, name string) bool {
	if name == "" || l.part || l.has(section, name) {
		return name != ""
	}
	known := l.declared(section)
	p := l.rule(pos, path, "there is no %s %s%s", what, quote(name), l.suggest(name, known))
	p.want("a name of "+section+among(known), strings.Join(known[:min(1, len(known))], ""))
	if len(known) == 0 {
		p.Example = section + ": " + l.shape.fields[section].example
	}
	return false
}

// among lists a few names for a message.
func among(names []string) string {
	const most = 8
	switch {
	case len(names) == 0:
		return ", which declares none"
	case len(names) > most:
		return ": " + strings.Join(names[:most], ", ") + ", ..."
	}
	return ": " + strings.Join(names, ", ")
}

// place is a device with its path below the pool: vdevs[0].mirror[1].
type place struct {
	Device
	at    string
	spare bool
}

// places are Devices, with where they stand.
func (p *Pool) places() (all []place) {
	for _, g := range []struct {
		key   string
		vdevs []Vdev
	}{{"vdevs", p.Vdevs}, {"special", p.Special}, {"log", p.Log}, {"dedup", p.Dedup}} {
		for i, v := range g.vdevs {
			at := fmt.Sprintf("%s[%d].%s", g.key, i, v.Type)
			if strings.HasPrefix(string(v.Type), "draid") {
				at += ".devices"
			}
			for j, d := range v.Devices {
				all = append(all, place{Device: d, at: fmt.Sprintf("%s[%d]", at, j)})
			}
		}
	}
	for i, d := range p.Cache {
		all = append(all, place{Device: d, at: fmt.Sprintf("cache[%d]", i)})
	}
	for i, d := range p.Spare {
		all = append(all, place{Device: d, at: fmt.Sprintf("spare[%d]", i), spare: true})
	}
	return all
}

// deviceRules: a disk has one place in one pool. Only a hot spare may serve several pools.
func (l *loader) deviceRules() {
	type use struct {
		pos   Pos
		spare bool
		pool  PoolName
	}
	seen := map[string]use{}
	for _, name := range l.spec.PoolNames() {
		p := l.spec.Pools[name]
		l.bootRules(p)
		path := join("pools", string(name))
		for _, d := range p.places() {
			now := use{d.Pos, d.spare, name}
			before, twice := seen[d.Path]
			if twice && !(now.spare && before.spare && now.pool != before.pool) {
				l.rule(d.Pos, path+"."+d.at, "the device %s is used twice, first at %s", quote(d.Path), before.pos).
					want("one place for each device", "mirror: [/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B]")
			} else if !twice {
				seen[d.Path] = now
			}
		}
		for i, d := range p.Remove {
			if u, ok := seen[d.Path]; ok && u.pool == name {
				l.rule(d.Pos, fmt.Sprintf("%s.remove[%d]", path, i), "the device %s is to be removed, and declared at %s", quote(d.Path), u.pos).
					want("one of the two: what is to be removed is no longer declared", "remove: ["+d.Path+"]")
			}
		}
	}
}
