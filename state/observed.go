// Package state is what is: everything seen of a machine in one pass, and what dplane recorded of
// its own doing. Plain data, JSON in and out.
//
// It must never run a command, decide anything, or hold a secret.
package state

import (
	"strings"
	"time"
)

// Observed is one pass over the machine. `dplane observe --json` prints it and `plan --observed` reads it.
type Observed struct {
	Version int       `json:"version"` // of this document: 1
	At      time.Time `json:"observedAt"`
	Host    string    `json:"host"`
	ZFS     ZFS       `json:"zfs"`

	Pools    map[string]*Pool    `json:"pools"`
	Datasets map[string]*Dataset `json:"datasets"`

	// Snapshots are those that a decision needs: the declared origins of missing clones, and what is in a part of
	// the trash whose time has come. Each dataset's stand together, in the order of their creation.
	Snapshots []Snapshot `json:"snapshots,omitempty"`
	// Listed are all snapshots of the datasets that a schedule covers, of those where one was due or something was to be
	// pruned, by dataset; one that was looked at and has none is there too. Taken is what is remembered of them, by guid.
	Listed map[string][]Snapshot `json:"listed,omitempty"`
	Taken  map[string]*Taken     `json:"taken,omitempty"`
	// Unlisted says by pool why the snapshots there could not be listed.
	Unlisted  map[string]string `json:"unlisted,omitempty"`
	Schedules []ScheduleHealth  `json:"schedules,omitempty"`
	// Replications are what is seen of them, by name.
	Replications map[string]*Replication `json:"replications,omitempty"`
	// Left is what replications left behind that are not declared any more.
	Left []Left `json:"left,omitempty"`
	// ReplicationHealth is how they stand.
	ReplicationHealth []ReplicationHealth `json:"replicationHealth,omitempty"`
	// Clock is whether the time of this machine can be relied on: synchronised, unsynchronised, or "" where no time
	// service runs that would tell.
	Clock string `json:"clock,omitempty"`
	// Busy is who uses what is declared absent.
	Busy []Busy `json:"busy,omitempty"`
	// Renamed are former names of datasets, with the names that the files gave them since: they are not missing,
	// and neither is what was below them.
	Renamed map[string]string `json:"renamed,omitempty"`

	// Devices are probes of declared devices that no observed pool holds: what a create, an add, an attach or a
	// replace would take.
	Devices map[string]*Device `json:"devices,omitempty"`
	// Links are the real paths of declared devices and of devices in pools, where names alone did not tell which
	// is which.
	Links map[string]string `json:"links,omitempty"`
	// Occupied are mountpoints of datasets that would be created, where a directory holds files.
	Occupied []string `json:"occupied,omitempty"`
	// Accounts are those of declared delegations that were looked up, as zfs shows them: user:1000 is user:anna; "" where
	// this machine knows none.
	Accounts map[string]string `json:"accounts,omitempty"`
	// KeyFiles are the declared key files, by path.
	KeyFiles map[string]*KeyFile `json:"keyFiles,omitempty"`
	// Importable are pools that `zpool import` or a label on a declared device knows.
	Importable []Importable `json:"importable,omitempty"`
	// Compatibility are the features that the declared sets allow, of pools that would be created, by their name.
	Compatibility map[string]*Compatibility `json:"compatibility,omitempty"`
	// NoHostID: a pool is to have multihost, and this machine has no host id.
	NoHostID bool `json:"noHostID,omitempty"`
	// Recorded is the memory of pools and datasets seen before (PRODUCT.md section 4, promise 7).
	Recorded []Recorded `json:"recorded,omitempty"`
	// Running is long work that goes on beside the loop.
	Running []Lane `json:"running,omitempty"`
	// Unseen are the pools of which nothing can be said: what depends on them plans nothing.
	Unseen []Unseen `json:"unseen,omitempty"`
	// Again: only a part was looked at again, after work that was apart; the rest is as it was before.
	Again bool `json:"-"`
	// Role of this node in its HA group: "" without a group, else standby or active.
	Role string `json:"role,omitempty"`
	// HA is what is known of the group; nil: nothing was recorded.
	HA *Group `json:"ha,omitempty"`
	// Frozen is why replication and pruning in the group stand still; "": they don't.
	Frozen string `json:"frozen,omitempty"`
}

// NewObserved is an empty pass.
func NewObserved(at time.Time, host string) *Observed {
	return &Observed{Version: 1, At: at.UTC(), Host: host, Pools: map[string]*Pool{}, Datasets: map[string]*Dataset{}, Devices: map[string]*Device{}}
}

// What is known of the clock.
const (
	Synchronised   = "synchronised"
	Unsynchronised = "unsynchronised"
)

// ZFS tells which release is here, or why there is none.
type ZFS struct {
	Userland string `json:"userland,omitempty"` // 2.3.9-0+deb13u1
	Kernel   string `json:"kernel,omitempty"`
	Error    string `json:"error,omitempty"` // set: nothing was seen, and nothing is planned
	Hint     string `json:"hint,omitempty"`
}

// Is21 tells whether the tools are of OpenZFS 2.1, which is ruder than the later releases.
func (z ZFS) Is21() bool { return strings.HasPrefix(z.Userland, "2.1.") }

// Unseen is a pool that could not be observed.
type Unseen struct {
	Pool string `json:"pool"`
	Why  string `json:"why"`
}

// Lane is an object that long work is done on, and by whom.
type Lane struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	By   string `json:"by,omitempty"`
}

// Recorded is a pool or dataset that was seen here before.
type Recorded struct {
	Kind string    `json:"kind"` // pool or dataset
	Name string    `json:"name"`
	GUID string    `json:"guid"`
	Seen time.Time `json:"seen"` // last

	First    time.Time `json:"first,omitzero"`    // seen
	Scrubbed time.Time `json:"scrubbed,omitzero"` // of a pool, as last seen
	Trimmed  time.Time `json:"trimmed,omitzero"`
}

// Importable is a pool that is not imported but known to exist.
type Importable struct {
	Name string `json:"name"`
	GUID string `json:"guid"`
	From string `json:"from"` // the device or search that showed it

	State  string `json:"state,omitempty"`  // ONLINE, DEGRADED, UNAVAIL; "" where the search did not show it
	Status string `json:"status,omitempty"` // what ails it, as zpool import says it
	Ready  bool   `json:"ready,omitempty"`  // it can be imported as it is, without force
}

// UnseenPool tells why a pool could not be observed, "" where it was.
func (o *Observed) UnseenPool(pool string) string {
	if o.ZFS.Error != "" {
		return o.ZFS.Error
	}
	for _, u := range o.Unseen {
		if u.Pool == pool {
			return u.Why
		}
	}
	return ""
}

// RecordedAs finds the memory of an object by kind and name.
func (o *Observed) RecordedAs(kind, name string) (Recorded, bool) {
	for _, r := range o.Recorded {
		if r.Kind == kind && r.Name == name {
			return r, true
		}
	}
	return Recorded{}, false
}
