package spec

import "strings"

// HA is the group of datasets that is active on one of several nodes (HA.md). It is equal on all nodes.
type HA struct {
	Pos Pos

	Active         string
	ActivePos      Pos
	Datasets       []DatasetName
	VirtualAddress *VirtualAddress
	Hooks          []HAHook
	MaxLag         Lag
	Peers          map[string]*Peer
	Heartbeat      Heartbeat
	Fencing        map[string][]FenceLevel // per peer, in order
	Watchdog       *Watchdog
	StartAlone     Duration // 0: never
	Consistency    string   // "" or group
	Failover       Failover
}

// VirtualAddress moves with the active role.
type VirtualAddress struct{ Address, Interface string }

// HAHook is a systemd unit or a program, started on promotion and stopped on demotion.
type HAHook struct {
	Unit    string
	Run     []string
	Timeout Duration
}

// Lag bounds what an unattended failover may lose; zero means not bounded.
type Lag struct {
	Time  Duration
	Bytes Size
}

// Peer is a node of the group.
type Peer struct {
	Name     string
	Pos      Pos
	Address  string // URL with a port; http: for monitoring alone
	Identity string // sha256/...: the pinned public key; "": it is monitored alone
	Remote   string
}

// Pin is the SHA-256 of the peer's public key (its SubjectPublicKeyInfo). Without one nothing that it says can be believed,
// and over plain HTTP there is no key.
func (p *Peer) Pin() (pin [32]byte, ok bool) {
	b, ok := decodeHash(p.Identity)
	copy(pin[:], b)
	return pin, ok && p.TLS()
}

// TLS tells whether the peer is spoken to over TLS.
func (p *Peer) TLS() bool { return strings.HasPrefix(p.Address, "https:") }

// Host is where the peer listens: host:port.
func (p *Peer) Host() string {
	_, host, _ := strings.Cut(p.Address, "://")
	return host
}

// Unpinned are the peers whose key is not pinned, sorted: such a group is monitored, and nothing in it has a role.
func (h *HA) Unpinned() (names []string) {
	for _, name := range sortedKeys(h.Peers) {
		if _, ok := h.Peers[name].Pin(); !ok {
			names = append(names, name)
		}
	}
	return names
}

// Heartbeat is how peers watch each other.
type Heartbeat struct {
	Every  Duration
	Misses int
}

// FenceLevel are devices that must all succeed.
type FenceLevel []FenceDevice

// FenceDevice is a fence agent with its parameters.
type FenceDevice struct {
	Agent      string
	Parameters map[string]string
	SecretFile string   // of key=value lines that are added
	Timeout    Duration // for each time it is run
}

// Watchdog is the device that resets a node that can't renew its lease.
type Watchdog struct {
	Device   string
	Required bool
}

// Failover is who promotes: a person (manual), or etcd's lease (automatic).
type Failover struct {
	Mode     string
	Etcd     *Etcd
	TTL      Duration
	Failsafe bool
	Block    Duration
}

// Etcd is where the lease lives.
type Etcd struct {
	Endpoints     []string
	CA, Cert, Key string
}
