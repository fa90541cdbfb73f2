package rejoin

import (
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

// A group whose consistency is declared is promoted as one set of snapshots: what a dataset has beyond that is put aside beside
// the group, as --keep does with what the active node lacks, and nothing is rolled back.

// Ahead is what a promotion would put aside, and what is promoted then.
type Ahead struct {
	Set      string    // the newest name that all datasets have a snapshot of, taken at one moment
	Datasets []Dataset // that are ahead of it
	Plan     *Plan

	kept map[string]string
}

// Kept is where what a dataset has beyond the set is found then.
func (a *Ahead) Kept(name string) string { return a.kept[name] }

// Promoting is the node that is to be promoted to a term.
func Promoting(r host.Runner, group []spec.DatasetName, term uint64) *Node {
	return &Node{Runner: r, Group: group, Term: term, as: "ahead"}
}

// Beyond compares the group with its newest complete set. It changes nothing.
func (n *Node) Beyond(ctx context.Context) (*Ahead, error) {
	c := &Comparison{aside: map[string]bool{}, props: map[string]*state.Dataset{}}
	points := map[string][]state.Point{}
	own, aside := map[string]map[string]state.End{}, map[string]map[string]state.End{}
	for _, g := range n.Group {
		root, err := string(g), error(nil)
		if own[root], err = n.ends(ctx, "", root); err != nil {
			return nil, fmt.Errorf("list %s: %w", root, err)
		}
		if aside[root], err = n.ends(ctx, "", n.aside(root, root)); err != nil {
			return nil, fmt.Errorf("list what was put aside of %s: %w", root, err)
		}
		if err := n.known(ctx, g, c); err != nil {
			return nil, err
		}
		maps.DeleteFunc(own[root], func(_ string, e state.End) bool { return e.Partial && len(e.Snapshots) == 0 }) // it is thrown away before
		for name, e := range own[root] {
			points[name] = e.Snapshots
		}
		for at, e := range aside[root] { // begun before, and not done: all that it had counts
			c.aside[at] = true
			name := root + strings.TrimPrefix(at, n.aside(root, root))
			if len(e.Snapshots) > 0 || points[name] != nil {
				points[name] = append(slices.Clone(points[name]), e.Snapshots...)
			}
		}
	}
	names := sortedKeys(points)
	if len(names) == 0 {
		return nil, errors.New("nothing of the group is here")
	}
	set := ha.CompleteSet(names, points)
	if set == nil {
		return nil, fmt.Errorf("there is no complete set of the group's snapshots here, and consistency: group asks for one: %s have no name in common that was taken at one moment", strings.Join(names, ", "))
	}
	for _, g := range n.Group {
		root := string(g)
		cut := map[string]state.End{}
		for _, name := range names {
			if name == root || strings.HasPrefix(name, root+"/") {
				cut[name] = upTo(name, points[name], set.Name)
			}
		}
		c.Datasets = append(c.Datasets, n.compare(root, own[root], cut, aside[root], c.props)...)
	}
	a := &Ahead{Set: set.Name, kept: map[string]string{}}
	for _, d := range c.Datasets {
		if !d.open() {
			continue
		}
		for _, g := range n.Group {
			if spec.DatasetName(d.Name).Under(g) {
				a.kept[d.Name] = n.aside(string(g), d.Name)
			}
		}
		a.Datasets = append(a.Datasets, d)
	}
	var err error
	a.Plan, err = n.plan(ctx, c, ha.Keep)
	return a, err
}

// known notes what the pool of one of the group's datasets has.
func (n *Node) known(ctx context.Context, root spec.DatasetName, c *Comparison) error {
	props, err := n.properties(ctx, root)
	maps.Copy(c.props, props)
	return err
}

// upTo is a dataset as if nothing had come after the snapshot of that name.
func upTo(name string, points []state.Point, set string) state.End {
	e := state.End{Name: name}
	for _, p := range points {
		if e.Snapshots = append(e.Snapshots, p); p.Name == set {
			break
		}
	}
	return e
}

// PutAside promotes the group as one set: what is ahead of it is kept aside. Done again it does what is left.
func (n *Node) PutAside(ctx context.Context) error {
	a, err := n.Beyond(ctx)
	if err != nil {
		return err
	}
	return n.carry(ctx, a.Plan, "the promotion, tried again,")
}

// back is what stands aside and what took its place.
type back struct {
	at, name string
	clone    *state.Dataset // nil: nothing took its place
}

// TakeBack undoes PutAside, as far as nothing was written to what took the place: the datasets are what they were, and that is
// destroyed, a clone without a snapshot, in which nothing was written. Where something was, all stays as it is: nothing is lost.
func (n *Node) TakeBack(ctx context.Context) error {
	for _, g := range n.Group {
		root := string(g)
		aside, err := n.ends(ctx, "", n.aside(root, root))
		if err != nil {
			return fmt.Errorf("list what was put aside of %s: %w", root, err)
		}
		if len(aside) == 0 {
			continue
		}
		c := &Comparison{props: map[string]*state.Dataset{}}
		if err := n.known(ctx, g, c); err != nil {
			return err
		}
		all, err := n.backs(root, c.props)
		if err != nil {
			return err
		}
		for _, b := range all {
			if err := n.takeBack(ctx, b); err != nil {
				return fmt.Errorf("take %s back: %w; what is kept is there: zfs list -r %s", b.name, err, n.aside(root, root))
			}
		}
		if err := n.empty(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// backs are those of one of the group's topmost datasets, those below before those above.
func (n *Node) backs(root string, props map[string]*state.Dataset) (all []back, err error) {
	for _, at := range sortedKeys(props) {
		if at != n.aside(root, root) && !strings.HasPrefix(at, n.aside(root, root)+"/") {
			continue
		}
		b := back{at: at, name: root + strings.TrimPrefix(at, n.aside(root, root))}
		clone := props[b.name]
		switch {
		case clone == nil && props[parent(b.name)] == nil:
			continue // it goes along with what is above it
		case clone == nil:
		case strings.HasPrefix(clone.Origin, at+"@"), strings.HasPrefix(props[at].Origin, b.name+"@"):
			if b.clone = clone; clone.Written > 0 || clone.Mounted {
				return nil, fmt.Errorf("%s was written (%s) or is mounted since it took the place of what was ahead, so it stays, and so does that: %s", b.name, spec.Size(clone.Written), at)
			}
		default:
			continue // made to put another one below it
		}
		all = append(all, b)
	}
	slices.Reverse(all)
	return all, nil
}

func (n *Node) takeBack(ctx context.Context, b back) error {
	all, err := n.ends(ctx, "", b.at)
	if err != nil {
		return err
	}
	d := all[b.at]
	var steps []host.Command
	if b.clone != nil {
		if n.Replaced != nil {
			if err := n.Replaced(ctx, b.name); err != nil {
				return err
			}
		}
		if !strings.HasPrefix(b.clone.Origin, b.at+"@") {
			steps = append(steps, zfs.Promote(b.at))
		}
		set := map[string]string{}
		for _, name := range reservations {
			if p := b.clone.Properties[name]; p.Local() && p.Value != "0" {
				set[name] = p.Value
			}
		}
		if len(set) > 0 {
			steps = append(steps, zfs.Set(b.at, set))
		}
		below, err := n.ends(ctx, "", b.name)
		if err != nil {
			return err
		}
		for _, name := range sortedKeys(below) {
			if parent(name) == b.name {
				steps = append(steps, rename(Dataset{volume: below[name].Type == "volume"}, name, b.at+strings.TrimPrefix(name, b.name)))
			}
		}
		steps = append(steps, zfs.Destroy(b.name))
	}
	steps = append(steps, rename(Dataset{volume: d.Type == "volume"}, b.at, b.name))
	var held []string
	for _, s := range d.Snapshots {
		if s.Holds > 0 {
			held = append(held, b.name+"@"+s.Name)
		}
	}
	steps = append(steps, zfs.Release(Kept, held)...)
	for _, c := range steps {
		if _, err := n.Runner.Run(ctx, c); err != nil && !(c.Argv[1] == "release" && zfs.AllReleased(err)) {
			return err
		}
	}
	return nil
}

// empty destroys what was made to put something below it.
func (n *Node) empty(ctx context.Context, root spec.DatasetName) error {
	props, err := n.properties(ctx, root)
	if err != nil {
		return err
	}
	all := n.aside(string(root), string(root))
	for _, at := range slices.Backward(sortedKeys(props)) {
		made := props[at].Properties["canmount"] == state.Property{Value: "off", Source: "local"} && props[at].Properties["mountpoint"] == state.Property{Value: "none", Source: "local"}
		if (at == all || strings.HasPrefix(at, all+"/")) && made {
			if _, err := n.Runner.Run(ctx, zfs.Destroy(at)); err != nil { // where something is in it, or below it, zfs refuses
				return err
			}
		}
	}
	return nil
}
