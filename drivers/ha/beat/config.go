package beat

import (
	"fmt"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/spec"
)

// Peer is another node of the group, as the files have it.
type Peer struct {
	Name string
	Host string // host:port
	TLS  bool
	Pin  Pin
	// Pinned: only then can it prove who it is.
	Pinned bool
}

// Config is what the files say of the group.
type Config struct {
	Node   string
	Host   string // where this node listens
	TLS    bool
	Key    *Key // nil: Trouble says why
	Peers  []Peer
	Every  time.Duration
	Misses int
	Active string
	// ActiveAt is where that stands: file:line.
	ActiveAt string

	Trouble []string // why this node can't prove who it is
}

// ConfigOf is it for this node; nil where the files declare no group, or this node is none of its peers.
func ConfigOf(want *spec.Spec, key *Key, keyErr error) *Config {
	if want == nil || want.HA == nil || want.HA.Peers[want.Node.Name] == nil {
		return nil
	}
	own := want.HA.Peers[want.Node.Name]
	c := &Config{
		Node: own.Name, Host: own.Host(), TLS: own.TLS(), Key: key, Every: want.HA.Heartbeat.Every.Std(), Misses: want.HA.Heartbeat.Misses,
		Active: want.HA.Active, ActiveAt: want.HA.ActivePos.At(),
	}
	pin, pinned := own.Pin()
	switch {
	case !c.TLS:
		c.Key = nil
	case key == nil:
		c.Trouble = append(c.Trouble, fmt.Sprintf("%v: type `dplane ha id` here, and put what it prints into ha.peers.%s.identity on every node", keyErr, own.Name))
	case pinned && pin != key.Pin():
		c.Trouble = append(c.Trouble, fmt.Sprintf("ha.peers.%s.identity (%s) is not this node's key, so that its peers refuse it: put %s there on every node", own.Name, own.Pos.At(), key.Pin()))
	}
	for name, p := range want.HA.Peers {
		if name == own.Name {
			continue
		}
		pin, pinned := p.Pin()
		c.Peers = append(c.Peers, Peer{Name: name, Host: p.Host(), TLS: p.TLS(), Pin: pin, Pinned: pinned})
	}
	slices.SortFunc(c.Peers, func(a, b Peer) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return c
}

// beats tells whether this node and the peer can prove to each other who they are.
func (c *Config) beats(p Peer) bool { return c.Key != nil && p.Pinned }

func (c *Config) peer(name string) (Peer, bool) {
	i := slices.IndexFunc(c.Peers, func(p Peer) bool { return p.Name == name })
	if i < 0 {
		return Peer{}, false
	}
	return c.Peers[i], true
}

// names are those whose beats count.
func (c *Config) names() (all []string) {
	for _, p := range c.Peers {
		all = append(all, p.Name)
	}
	return all
}

func (c *Config) limits() ha.Limits {
	return ha.Limits{Every: c.Every, Misses: c.Misses, Skew: ha.MaxSkew}
}

// most a beat may take.
const most = 5 * time.Second

// timeout is how long a peer has to answer.
func (c *Config) timeout() time.Duration { return min(most, c.Every/2) }
