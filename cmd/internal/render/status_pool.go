package render

import (
	"fmt"
	"strings"

	"github.com/dplaneos/dplane/state"
)

// pools lists the declared pools, there or not, and the others that were seen.
func (s *Status) pools(o *state.Observed, want *state.Declared) {
	declared := map[string]state.DeclaredPool{}
	if want != nil {
		declared = want.Pools
	}
	names := map[string]bool{}
	for n := range declared {
		names[n] = true
	}
	for n := range o.Pools {
		names[n] = true
	}
	for _, n := range sorted(names) {
		d, managed := declared[n]
		p := newPoolStatus(n, o.Pools[n])
		p.Managed = managed
		p.State, p.Reason = poolState(o.Pools[n], d, o.UnseenPool(n))
		s.Pools = append(s.Pools, p)
		if managed && o.ZFS.Error == "" { // without ZFS all are unknown, which is said once
			s.countPool(p)
		}
	}
}

func newPoolStatus(name string, have *state.Pool) PoolStatus {
	if have == nil {
		return PoolStatus{Name: name, Fragmentation: -1}
	}
	return PoolStatus{
		Name: name, Health: strings.ToLower(have.Health), Size: have.Size, Allocated: have.Allocated, Free: have.Free,
		Capacity: have.Capacity, Fragmentation: have.Fragmentation, Scan: scanText(have.Scanned),
		Scanned: have.Scanned, Removal: have.Removal, Expansion: have.Expansion, Trimming: have.Trimming, Checkpoint: have.Checkpoint, DataErrors: have.DataErrors, Vdevs: have.Vdevs,
	}
}

// countPool lets a pool's state count for the machine's.
func (s *Status) countPool(p PoolStatus) {
	why := "pool " + p.Name + ": " + p.Reason
	switch p.State {
	case Critical, "missing":
		s.worsen(Critical, why)
	case Degraded, Unknown:
		s.worsen(Degraded, why)
	}
}

// noErrors is what zpool status says of a pool that is well.
const noErrors = "No known data errors"

// poolState judges one pool. What could not be observed is not missing.
func poolState(p *state.Pool, want state.DeclaredPool, unseen string) (string, string) {
	switch {
	case unseen != "":
		return Unknown, unseen
	case p == nil && want.Removable:
		return "away", "removable, and not here"
	case p == nil:
		return "missing", "declared, and not imported"
	}
	switch p.Health {
	case "FAULTED", "SUSPENDED", "UNAVAIL", "REMOVED", "OFFLINE":
		return Critical, "health is " + p.Health + sick(p.Vdevs)
	}
	switch {
	case want.Critical > 0 && p.Capacity >= want.Critical:
		return Critical, fmt.Sprintf("%d%% full, critical from %d%%", p.Capacity, want.Critical)
	case p.Health != "ONLINE":
		return Degraded, "health is " + p.Health + sick(p.Vdevs)
	case p.Errors != "" && p.Errors != noErrors:
		return Degraded, p.Errors
	case faulty(p.Vdevs) != "":
		return Degraded, faulty(p.Vdevs) + ": replace the device, or run `zpool clear " + p.Name + "` if the cause is mended"
	case want.Warn > 0 && p.Capacity >= want.Warn:
		return Degraded, fmt.Sprintf("%d%% full, warning from %d%%", p.Capacity, want.Warn)
	}
	return OK, ""
}
