package spec

import (
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
	l.encryptionRules()
	l.replicationRules()
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

// has tells whether a section declares the name.
func (l *loader) has(section, name string) bool {
	_, found := slices.BinarySearch(l.declared(section), name)
	return found
}

// refer reports a name that its section does not declare.
func (l *loader) refer(pos Pos, path, what, section, name string) bool {
	if name == "" || l.has(section, name) {
		return name != ""
	}
	known := l.declared(section)
	p := l.rule(pos, path, "there is no %s %s%s", what, quote(name), l.suggest(name, known))
	p.want("a name of "+section+among(known), first(strings.Join(known[:min(1, len(known))], ""), "{}"))
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
		path := join("pools", string(name))
		spares := len(p.Devices()) - len(p.Spare)
		for i, d := range p.Devices() {
			now := use{d.Pos, i >= spares, name}
			before, twice := seen[d.Path]
			if twice && !(now.spare && before.spare && now.pool != before.pool) {
				l.rule(d.Pos, path, "the device %s is used twice, first at %s", quote(d.Path), before.pos).
					want("one place for each device", "mirror: [/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B]")
			} else if !twice {
				seen[d.Path] = now
			}
		}
		for _, d := range p.Remove {
			if u, ok := seen[d.Path]; ok && u.pool == name {
				l.rule(d.Pos, join(path, "remove"), "the device %s is to be removed, and declared at %s", quote(d.Path), u.pos).
					want("one of the two: what is to be removed is no longer declared", "remove: ["+d.Path+"]")
			}
		}
	}
}
