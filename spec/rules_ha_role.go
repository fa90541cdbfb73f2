package spec

import (
	"fmt"
	"slices"
)

// identityRules: who can't prove that it is the peer is given no data and no role. It is monitored, which is said, and tells
// whether all are pinned.
func (l *loader) identityRules(ha cursor, names []string, peers []cursor) (pinned bool) {
	needs, pinned := l.needsRole(ha), true
	for i, name := range names {
		p := l.spec.HA.Peers[name]
		if p == nil {
			continue
		}
		if _, ok := p.Pin(); ok {
			continue
		}
		if pinned = false; l.spoiled(peers[i]) {
			continue
		}
		c, lacks := peers[i], "has no pinned identity"
		switch id := c.get("identity"); {
		case !p.TLS():
			c, lacks = c.get("address"), "is plain HTTP, which proves nothing"
		case id.there():
			c, lacks = id, "is no hash of a key, so that the peer is never recognised"
		}
		switch {
		case needs != "":
			at := c.key
			if c.n != nil && c.n.kind == scalarNode {
				at = c.n.pos
			}
			l.rule(at, c.path, "%s, and %s: who can't prove to be %s is given no data and no role", lacks, needs, name).
				want("an https address and "+wantIdentity, `{address: "https://10.0.0.2:9443", identity: sha256/...}`)
		case !p.TLS():
			c.doubt("plain HTTP is for monitoring alone: %s has no beats, counts in no quorum and can have no role", name)
		case !peers[i].get("identity").there():
			l.warn(c.key, c.path, "has no pinned identity: it is monitored alone, counts in no quorum and can have no role")
		}
	}
	return pinned
}

// spoiled tells whether what a pin is made of was refused already.
func (l *loader) spoiled(peer cursor) bool {
	address := peer.get("address")
	return !address.there() || l.taken[peer.key] || peer.faulty()
}

// needsRole names the first thing in the files that only a node with a role can have, "" where nothing does.
func (l *loader) needsRole(ha cursor) string {
	if r := l.standbyReplication(); r != nil {
		return fmt.Sprintf("the replication %s (%s) sends to the standby", r.Name, r.Target.Pos)
	}
	for _, key := range []string{"virtualAddress", "hooks", "fencing", "watchdog", "startAlone"} {
		if c := ha.get(key); c.there() {
			return fmt.Sprintf("%s (%s) needs roles", c.path, c.key)
		}
	}
	if mode := ha.get("failover").get("mode"); l.spec.HA.Failover.Mode == "automatic" {
		return fmt.Sprintf("%s automatic (%s) needs roles", mode.path, mode.key)
	}
	return ""
}

// coverRules: what no replication sends is not on the standby, and a failover would lose it whole.
func (l *loader) coverRules(group cursor) {
	for i, c := range group.list() {
		root := l.spec.HA.Datasets[i]
		if root == "" || !l.has("pools", string(root.Pool())) {
			continue
		}
		if !l.sent(root) {
			l.unsent(c, "no replication to the standby sends %s: a failover would lose it", root)
			continue
		}
		for _, name := range l.spec.DatasetNames() {
			if d := l.spec.Datasets[name]; name != root && name.Under(root) && !d.Absent && !l.sent(name) {
				l.unsent(c, "%s (%s) is in the group, and no replication to the standby sends it: a failover would lose it", name, d.Pos)
				break
			}
		}
	}
	for _, key := range sortedKeys(l.spec.Replications) {
		r := l.spec.Replications[key]
		if r.Target.Standby && !r.Recursive {
			l.warn(r.Pos, join("replications", key), "is not recursive: what is made below %s is in the group, and not sent", r.Source.Dataset)
		}
		if p := l.leavesOut(r); p != "" {
			l.rule(r.Pos, join(join("replications", key), "exclude"), "%s leaves out what is in the group: no switchover would come to its end where there is such a dataset, and a failover would lose it", quote(p)).
				want("no exclude, but of what another replication sends to the standby", "exclude: []")
		}
	}
}

// leavesOut is the first pattern by which a replication to the standby leaves out a part of the group that no other one sends;
// "": none.
func (l *loader) leavesOut(r *Replication) string {
	if !r.Target.Standby || !slices.ContainsFunc(l.spec.HA.Datasets, func(d DatasetName) bool { return r.Source.Dataset.Under(d) || d.Under(r.Source.Dataset) }) {
		return ""
	}
	for _, p := range r.Exclude {
		if !slices.ContainsFunc(sortedKeys(l.spec.Replications), func(key string) bool {
			o := l.spec.Replications[key]
			return o != r && o.Target.Standby && Pattern(p).Covers(string(o.Source.Dataset))
		}) {
			return p
		}
	}
	return ""
}

func (l *loader) unsent(c cursor, format string, args ...any) {
	c.bad(format, args...).want("a recursive replication with target: standby", "replications: {pair: {source: tank/home, recursive: true, target: standby}}")
}

func (l *loader) sent(name DatasetName) bool {
	for _, key := range sortedKeys(l.spec.Replications) {
		if r := l.spec.Replications[key]; r.Target.Standby && r.Sends(name) {
			return true
		}
	}
	return false
}
