package spec

import "fmt"

// reach gives each replication to the standby its target as this node sends it: the same dataset on every other node of the
// group. With two nodes it keeps its name, with more there is one for each, named NAME.NODE. On a machine that is
// none of the peers it stays without a target.
func (s *Spec) reach() {
	if s.HA == nil || s.HA.Peers[s.Node.Name] == nil {
		return
	}
	others := s.HA.others(s.Node.Name)
	for _, name := range sortedKeys(s.Replications) {
		r := s.Replications[name]
		if !r.Target.Standby || r.Pair != "" {
			continue
		}
		delete(s.Replications, name)
		for _, p := range others {
			x := *r
			x.Pair, x.Name, x.Back = name, pairName(name, p.Name, len(others)), pairName(name, s.Node.Name, len(others))
			x.Target.Remote, x.Target.Dataset = p.Remote, r.Source.Dataset
			for _, o := range others {
				if o != p {
					x.Beside = append(x.Beside, pairName(name, o.Name, len(others)))
				}
			}
			s.Replications[x.Name] = &x
		}
	}
}

// others are the peers beside one that are reached over SSH, sorted.
func (h *HA) others(node string) (all []*Peer) {
	for _, name := range sortedKeys(h.Peers) {
		if p := h.Peers[name]; name != node && p != nil && p.Remote != "" {
			all = append(all, p)
		}
	}
	return all
}

func pairName(name, peer string, others int) string {
	if others == 1 {
		return name
	}
	return name + "." + peer
}

// pairNames: the names that replications to several peers get must be free.
func (l *loader) pairNames() {
	if l.spec.HA == nil || len(l.spec.HA.Peers) < 3 {
		return
	}
	for _, name := range sortedKeys(l.spec.Replications) {
		r := l.spec.Replications[name]
		if r == nil || !r.Target.Standby {
			continue
		}
		for _, peer := range sortedKeys(l.spec.HA.Peers) {
			if other := l.spec.Replications[pairName(name, peer, 2)]; other != nil {
				l.rule(other.Pos, join("replications", other.Name), "%s is what %s (%s) is called that sends to %s", other.Name, name, r.Pos, peer).
					Expected = fmt.Sprintf("a name that does not begin with %s.", name)
			}
		}
	}
}
