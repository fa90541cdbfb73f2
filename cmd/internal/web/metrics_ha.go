package web

import (
	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/state"
)

// group shows the HA group, nothing where this machine is in none.
func (m *exposition) group(s *render.HAStatus) {
	if s.Role == "" {
		return
	}
	m.family("dplane_ha_role", "gauge", "The role of this node in its HA group: 1 for the one that it has.")
	m.gauge("dplane_ha_role", labels("role", s.Role), 1)
	m.family("dplane_ha_term", "gauge", "The highest term that is known.")
	m.gauge("dplane_ha_term", "", float64(s.Term))
	m.family("dplane_ha_nodes", "gauge", "Nodes of the HA group.")
	m.gauge("dplane_ha_nodes", "", float64(s.Quorum.Nodes))
	m.family("dplane_ha_fresh_nodes", "gauge", "Nodes whose beats are fresh, this one too.")
	m.gauge("dplane_ha_fresh_nodes", "", float64(s.Quorum.Fresh))
	m.family("dplane_ha_quorum", "gauge", "Whether this node could decide by what it sees.")
	m.gauge("dplane_ha_quorum", "", flag(s.Quorum.Possible))
	m.peers(s.Peers)
}

func (m *exposition) peers(all []render.PeerStatus) {
	m.family("dplane_peer_healthy", "gauge", "Whether the peer is healthy.")
	for _, p := range all {
		m.gauge("dplane_peer_healthy", labels("peer", p.Name), flag(p.State == state.PeerHealthy))
	}
	m.family("dplane_peer_state", "gauge", "The state of the peer: 1 for the one it is in.")
	for _, p := range all {
		for _, s := range []string{state.PeerHealthy, state.PeerDegraded, state.PeerUnreachable, state.PeerUnknown} {
			m.gauge("dplane_peer_state", labels("peer", p.Name, "state", s), flag(p.State == s))
		}
	}
	m.family("dplane_peer_last_beat_timestamp_seconds", "gauge", "When the last beat of the peer came.")
	for _, p := range all {
		if p.Last != nil {
			m.gauge("dplane_peer_last_beat_timestamp_seconds", labels("peer", p.Name), float64(p.Last.UnixMilli())/1000)
		}
	}
	m.family("dplane_peer_clock_skew_seconds", "gauge", "How far the clock of the peer was ahead at its last beat.")
	for _, p := range all {
		if p.Role != "" {
			m.gauge("dplane_peer_clock_skew_seconds", labels("peer", p.Name), p.Skew)
		}
	}
}
