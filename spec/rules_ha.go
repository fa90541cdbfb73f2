package spec

import (
	"sort"
	"strings"
)

func (l *loader) haRules() {
	h := l.spec.HA
	ha := cursor{l: l, n: l.root.get("ha"), key: h.Pos, path: "ha"}
	peers := ha.get("peers")
	names, values := peers.entries()
	known := append([]string(nil), names...)
	sort.Strings(known)
	isPeer := map[string]bool{}
	for i, n := range names {
		isPeer[n] = true
		l.samePeer(values[:i], values[i])
	}
	l.peerRemotes(names, values, isPeer[l.spec.Node.Name])
	if peers.there() && len(names) < 2 {
		peers.badKey("a group needs two nodes at least").Expected = "all nodes, this one too"
	}
	l.peerRef(ha.get("active"), h.Active, isPeer, known)
	fenced, levels := ha.get("fencing").entries()
	for i, n := range fenced {
		c := levels[i]
		if !isPeer[n] {
			c.badKey("there is no peer %s%s", quote(n), l.suggest(n, known)).Expected = "a name of ha.peers" + among(known)
		}
	}
	l.ownNode(peers, isPeer, known)
	l.groupRules(ha.get("datasets"))
	if l.identityRules(ha, names, values) && len(names) > 1 {
		l.coverRules(ha.get("datasets"))
	}
	if h.Failover.Mode == "automatic" {
		l.automaticRules(ha, names)
	}
}

func (l *loader) peerRef(c cursor, name string, isPeer map[string]bool, known []string) {
	if c.there() && !isPeer[name] {
		c.bad("there is no peer %s%s", quote(name), l.suggest(name, known)).Expected = "a name of ha.peers" + among(known)
	}
}

// samePeer: two nodes with one address, or one key, could not be told apart.
func (l *loader) samePeer(before []cursor, c cursor) {
	for _, key := range []string{"address", "identity"} {
		v := c.get(key)
		for _, other := range before {
			if o := other.get(key); v.there() && o.there() && sameKey(o.text(), v.text()) {
				v.doubt("the %s is that of another peer too (%s)", key, o.n.pos)
			}
		}
	}
}

// sameKey compares identities by the key, however its hash is written.
func sameKey(a, b string) bool {
	x, ok := decodeHash(a)
	y, both := decodeHash(b)
	return a == b || ok && both && string(x) == string(y)
}

// peerRemotes: a node reaches each other one by its remote. The files of a node whose name is its host's are checked on
// other machines too: there one peer may lack its remote, which is then taken for the node's own entry.
func (l *loader) peerRemotes(names []string, peers []cursor, known bool) {
	var lacking []cursor
	standby := l.standbyReplication()
	for i, name := range names {
		remote := peers[i].get("remote")
		lacks := remote.there() && !l.has("remotes", remote.text()) || !remote.there() && standby != nil
		if name != l.spec.Node.Name && lacks {
			lacking = append(lacking, peers[i])
		}
	}
	if !known && len(lacking) == 1 {
		return
	}
	for _, c := range lacking {
		if remote := c.get("remote"); remote.there() {
			l.refer(remote.n.pos, remote.path, "remote", "remotes", remote.text())
			continue
		}
		c.badKey("has no remote, and the replication %s (%s) sends to it", standby.Name, standby.Target.Pos).
			want("a remote: how its ZFS is reached"+among(l.declared("remotes")), "remote: nas-b")
	}
}

// standbyReplication is the first that sends to the other peers, nil if none does.
func (l *loader) standbyReplication() *Replication {
	for _, name := range sortedKeys(l.spec.Replications) {
		if r := l.spec.Replications[name]; r.Target.Standby {
			return r
		}
	}
	return nil
}

// ownNode: a declared node.name must be a peer. The host name may be that of a machine that only checks the files.
func (l *loader) ownNode(peers cursor, isPeer map[string]bool, known []string) {
	name := l.spec.Node.Name
	if !peers.there() || isPeer[name] {
		return
	}
	if own := (cursor{l: l, n: l.root}).get("node").get("name"); own.there() {
		own.bad("%s is not among ha.peers%s", quote(name), l.suggest(name, known)).Expected = "a name of ha.peers" + among(known)
		return
	}
	l.warn(peers.key, peers.path, "the host name %s is not among the peers: this machine has no role", quote(name))
}

func (l *loader) groupRules(c cursor) {
	if c.there() && c.n.kind == listNode && len(c.n.items) == 0 {
		c.badKey("the group is empty").Example = "[tank/home]"
	}
	items, group := c.list(), map[DatasetName]int{}
	for i, name := range l.spec.HA.Datasets {
		if first, twice := group[name]; twice && name != "" {
			items[i].bad("%s stands twice, first at %s", name, items[first].n.pos).Expected = "each dataset once"
			continue
		}
		group[name] = i
	}
	for i, name := range l.spec.HA.Datasets {
		if name == "" {
			continue
		}
		l.refer(items[i].n.pos, items[i].path, "pool", "pools", string(name.Pool()))
		for up := name.Parent(); up != ""; up = up.Parent() {
			if _, covered := group[up]; covered {
				items[i].bad("%s covers %s already", up, name).Expected = "the topmost datasets alone"
				break
			}
		}
	}
}

// automaticRules: without a quorum, or without proof that the other is dead, nothing may promote by itself (HA.md section 1).
func (l *loader) automaticRules(ha cursor, peers []string) {
	h, mode := l.spec.HA, ha.get("failover").get("mode")
	distinct := map[string]bool{}
	if h.Failover.Etcd != nil {
		for _, e := range h.Failover.Etcd.Endpoints {
			distinct[strings.TrimRight(strings.ToLower(e), "/")] = true
		}
	}
	if len(distinct) < 3 {
		p := mode.bad("automatic failover needs three etcd endpoints at least, and has %d", len(distinct))
		p.Expected, p.Example = "failover.etcd.endpoints with three or more", `etcd: {endpoints: ["https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"]}`
	}
	if h.Watchdog != nil && h.Watchdog.Required {
		return
	}
	for _, n := range peers {
		if len(h.Fencing[n]) == 0 {
			p := mode.bad("automatic failover needs a required watchdog, or a fence agent for each peer: %s has none", n)
			p.Expected, p.Example = "watchdog: {required: true}, or fencing for each peer", "watchdog: {device: /dev/watchdog, required: true}"
			return
		}
	}
}
