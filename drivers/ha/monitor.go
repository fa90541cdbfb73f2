package ha

import (
	"slices"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Monitored is what is known of a peer that no beats are exchanged with, after it answered: that it could be reached, which
// proves nothing and counts in no quorum. why is what it says ails it.
func Monitored(prev state.PeerHealth, why string, wall time.Time) state.PeerHealth {
	next := prev
	next.Stale, next.Misses, next.Last, next.LastAt = false, 0, nil, wall
	return recovering(prev, next, why, false, wall)
}

// LocalOf is what a look at this machine says of it to peers: declared pools that are not known to be ONLINE, replications
// that are past their objective. A look that is older than fresh tells that nothing is known; none at all (the daemon has just
// begun) tells nothing.
func LocalOf(want *spec.Spec, obs *state.Observed, now time.Time, fresh time.Duration) Local {
	l := Local{Shared: want.Shared()}
	if obs == nil {
		return l
	}
	if now.Sub(obs.At) > fresh {
		obs, l.Unlooked = &state.Observed{ZFS: state.ZFS{Error: "not looked at"}}, true
	}
	for _, name := range want.PoolNames() {
		p := obs.Pools[string(name)]
		switch gone := p == nil || obs.UnseenPool(string(name)) != ""; {
		case gone && want.Pools[name].Removable:
		case gone || p.Health != "ONLINE":
			l.Sick = append(l.Sick, string(name))
		}
	}
	for _, h := range obs.ReplicationHealth {
		if h.Objective > 0 && h.Lag > h.Objective {
			l.Late = append(l.Late, h.Name)
		}
	}
	slices.Sort(l.Late)
	return l
}
