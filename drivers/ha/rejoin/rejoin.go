// Package rejoin brings a node back into its group that wrote before another one was promoted. It tells what the node has that
// the active one lacks, keeps that, and offers two ways out: give it up, or put it aside. Neither needs a full stream for what
// has a snapshot in common with the active node.
//
// It must never destroy anything unless a person approved exactly that: what goes is named by guid in the plan, and the plan is
// made anew and compared before it is carried out. A dataset is never destroyed at all.
package rejoin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Node is the one that comes back.
type Node struct {
	Runner host.Runner
	Group  []spec.DatasetName
	Remote string // the active node, where its ZFS is reached
	Term   uint64 // the active node's
	// Replaced is told of each dataset of which another one is about to take the place, before anything is done: who remembers it
	// by its guid has to know. May be nil.
	Replaced func(ctx context.Context, name string) error

	as string // what is put aside for: "" it diverged
}

// How a dataset stands to the active node's.
const (
	Clean    = "clean"    // it has nothing that the active one lacks
	Diverged = "diverged" // it has, and both have a snapshot in common
	Apart    = "apart"    // they have none in common, or the active node has no such dataset
	Halfway  = "halfway"  // it is a clone of what was put aside, which has to be promoted yet
)

// Dataset is one of the group here.
type Dataset struct {
	Name   string `json:"name"`
	Stands string `json:"stands"`
	GUID   string `json:"guid"`
	At     string `json:"at,omitempty"`     // where it was put aside, and nothing took its place yet
	Common string `json:"common,omitempty"` // the newest snapshot that both have, without its dataset
	Base   string `json:"base,omitempty"`   // its guid
	// Own are the snapshots that only this node has, and bookmarks behind the common one, oldest first: @NAME and #NAME.
	Own     []string `json:"own,omitempty"`
	GUIDs   []string `json:"guids,omitempty"`   // theirs
	Bytes   uint64   `json:"bytes"`             // that were written since the common one
	Written uint64   `json:"written,omitempty"` // of these, that no snapshot holds

	volume    bool
	encrypted bool
	locked    bool // its key is not loaded
	mounted   bool
	legacy    bool              // its mountpoint
	writable  bool              // readonly is off
	canmount  string            // of a file system
	local     map[string]string // properties that it has itself
	held      []string          // of Own, snapshots that are held
	points    []string          // guids of all its snapshots and bookmarks
	names     []string          // of its snapshots, with @
	head      uint64            // what counts as written since the newest
	origin    string
	keyOf     string // its encryption root
}

// open tells whether something is to be done about it.
func (d Dataset) open() bool { return d.Stands != Clean || d.At != "" }

// Comparison is what stands against rejoining.
type Comparison struct {
	Datasets []Dataset `json:"datasets"`

	aside map[string]bool           // what was put aside before
	props map[string]*state.Dataset // of all in the group's pools
}

func (c *Comparison) all() []Dataset {
	if c == nil {
		return nil
	}
	return c.Datasets
}

// Seen is the answer to Compare: clean, or diverged.
func (c *Comparison) Seen() string {
	if slices.ContainsFunc(c.Datasets, Dataset.open) {
		return ha.Diverged
	}
	return ha.Clean
}

// Compare looks at both nodes. An error is no answer: it is asked again.
func (n *Node) Compare(ctx context.Context) (*Comparison, error) {
	c := &Comparison{aside: map[string]bool{}, props: map[string]*state.Dataset{}}
	for _, root := range n.Group {
		own, err := n.ends(ctx, "", string(root))
		if err != nil {
			return nil, fmt.Errorf("list %s here: %w", root, err)
		}
		active, err := n.ends(ctx, n.Remote, string(root))
		if err != nil {
			return nil, fmt.Errorf("list %s on %s: %w", root, n.Remote, err)
		}
		aside, err := n.ends(ctx, "", n.aside(string(root), string(root)))
		if err != nil {
			return nil, fmt.Errorf("list what was put aside of %s: %w", root, err)
		}
		for at := range aside {
			c.aside[at] = true
		}
		if len(active) == 0 {
			return nil, fmt.Errorf("%s has no %s: it is not the one to compare with", n.Remote, root)
		}
		props, err := n.properties(ctx, root)
		if err != nil {
			return nil, err
		}
		maps.Copy(c.props, props)
		for _, d := range n.compare(string(root), own, active, aside, props) {
			if d.Stands == Diverged && len(d.Own) == 0 && n.untouched(ctx, d) {
				d.Stands, d.Written, d.Bytes = Clean, 0, 0
			}
			c.Datasets = append(c.Datasets, d)
		}
	}
	return c, nil
}

// untouched tells whether what counts as written is nothing that could be sent. Where that can't be told it is something: what a
// crash left in the log of a file system, which no stream has, is played back when it is mounted and not before; that of a
// volume when its key is there (zil_replay). Who wrote that was told that it is on disk.
func (n *Node) untouched(ctx context.Context, d Dataset) bool {
	if !d.volume || d.locked {
		return false
	}
	u := &zfs.Untouched{}
	send := zfs.SendHead(cmp.Or(d.At, d.Name), d.Common, d.encrypted)
	send.Into = u
	_, err := n.Runner.Run(ctx, send)
	return err == nil && u.Whole()
}

// ends are a dataset and all below it, none where it is not there.
func (n *Node) ends(ctx context.Context, remote, root string) (map[string]state.End, error) {
	c := zfs.ListEnds(true, root)[0]
	c.Host = remote
	res, err := n.Runner.Run(ctx, c)
	if errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := zfs.ParseEnds(res.Stdout, true, root)
	if err != nil {
		return nil, err
	}
	all := map[string]state.End{}
	for _, e := range list {
		if !spec.DatasetName(e.Name).InTrash() {
			all[e.Name] = e
		}
	}
	return all, nil
}

// properties are those of the datasets here and of what was put aside.
func (n *Node) properties(ctx context.Context, root spec.DatasetName) (map[string]*state.Dataset, error) {
	res, err := n.Runner.Run(ctx, zfs.GetDatasets(string(root.Pool())))
	if err != nil {
		return nil, fmt.Errorf("look at the datasets of %s: %w", root.Pool(), err)
	}
	list, err := zfs.ParseDatasets(string(root.Pool()), res.Stdout)
	if err != nil {
		return nil, err
	}
	all := map[string]*state.Dataset{}
	for _, d := range list {
		all[d.Name] = d
	}
	return all, nil
}

// aside is where a dataset is put: beside the group's topmost one, with what is below it in the same order.
func (n *Node) aside(root, name string) string {
	return fmt.Sprintf("%s.%s-t%d%s", root, cmp.Or(n.as, "diverged"), n.Term, strings.TrimPrefix(name, root))
}

// compare goes through what is here, and what was put aside without anything in its place. Those above come before those below.
func (n *Node) compare(root string, own, active, aside map[string]state.End, props map[string]*state.Dataset) (all []Dataset) {
	names := map[string]bool{}
	for name := range own {
		names[name] = true
	}
	for at := range aside {
		name := root + strings.TrimPrefix(at, n.aside(root, root))
		if _, here := own[name]; here {
			continue
		}
		if _, there := active[name]; there { // what the active one has not stays aside
			names[name] = true
		}
	}
	for _, name := range sorted(names) {
		e, here := own[name]
		if at := n.aside(root, name); !here {
			d := n.stands(aside[at], active[name], props[at])
			if d.Name, d.At = name, at; d.Stands != Apart { // that one is sent anew
				all = append(all, d)
			}
			continue
		}
		d := n.stands(e, active[name], props[name])
		if d.origin != "" && strings.HasPrefix(d.origin, n.aside(root, name)+"@") { // cloned, and not promoted yet
			d.Stands = Halfway
		}
		all = append(all, d)
	}
	return all
}

// stands tells how one dataset stands to the active node's. active has no name where there is none.
func (n *Node) stands(own, active state.End, props *state.Dataset) Dataset {
	d := Dataset{Name: own.Name, GUID: own.GUID, Written: own.Written, Bytes: own.Written, volume: own.Type == "volume", encrypted: own.Encrypted, points: pointsOf(own), head: own.Written, local: map[string]string{}}
	if props != nil {
		d.origin, d.keyOf, d.locked = props.Origin, props.EncryptionRoot, props.KeyStatus == "unavailable"
		d.mounted, d.legacy = props.Mounted, props.Properties["mountpoint"].Value == "legacy"
		d.writable, d.canmount = props.Properties["readonly"].Value != "on", props.Properties["canmount"].Value
		for name, p := range props.Properties {
			if p.Local() && !slices.Contains(fixed, name) {
				d.local[name] = p.Value
			}
		}
	}
	for _, s := range own.Snapshots {
		d.names = append(d.names, "@"+s.Name)
	}
	there := map[string]bool{}
	for _, s := range slices.Concat(active.Snapshots, active.Bookmarks) { // a stream may begin with a bookmark
		there[s.GUID] = true
	}
	common := -1
	for i, s := range own.Snapshots {
		if there[s.GUID] {
			common = i
		}
	}
	var after uint64
	if common >= 0 {
		d.Common, d.Base, after = own.Snapshots[common].Name, own.Snapshots[common].GUID, own.Snapshots[common].TXG
	}
	for _, s := range own.Snapshots[common+1:] {
		d.Own, d.GUIDs, d.Bytes = append(d.Own, "@"+s.Name), append(d.GUIDs, s.GUID), d.Bytes+s.Written
		if s.Holds > 0 {
			d.held = append(d.held, own.Name+"@"+s.Name)
		}
	}
	for _, b := range own.Bookmarks {
		if common >= 0 && b.TXG > after {
			d.Own, d.GUIDs = append(d.Own, "#"+b.Name), append(d.GUIDs, b.GUID)
		}
	}
	switch {
	case common < 0:
		d.Stands = Apart
	case len(own.Snapshots) > common+1 || own.Written > 0:
		d.Stands = Diverged
	default:
		d.Stands = Clean
	}
	return d
}

// pointsOf are the guids of all snapshots and bookmarks of a dataset.
func pointsOf(e state.End) (guids []string) {
	for _, s := range slices.Concat(e.Snapshots, e.Bookmarks) {
		guids = append(guids, s.GUID)
	}
	return guids
}

// fixed are properties that a clone has from its origin, or that are of one dataset alone.
var fixed = []string{"volsize", "encryption", "keylocation", "keyformat", "pbkdf2iters", state.TermProperty}

func sorted(names map[string]bool) []string {
	all := make([]string, 0, len(names))
	for name := range names {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
