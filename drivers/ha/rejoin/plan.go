package rejoin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// Plan is one way out, with what it loses.
type Plan struct {
	How  string `json:"how"` // keep or discard
	Term uint64 `json:"term"`
	// ID names all that it is of: the guids of what goes, the term, and how. Approving it approves this and nothing else.
	ID       string         `json:"id"`
	Datasets []Dataset      `json:"datasets"` // that are not clean
	Loses    []string       `json:"loses"`    // snapshots and bookmarks that are destroyed, by whole name
	Bytes    uint64         `json:"bytes"`    // that were written here and are given up
	Aside    []string       `json:"aside"`    // where what is kept is found then
	Anew     []string       `json:"anew"`     // what has to be sent whole, for there is nothing in common
	Steps    []host.Command `json:"steps"`
	LetGo    []host.Command `json:"letGo"` // what a person types once nothing of what is kept is wanted any more

	gives    map[int]Dataset // that the step of this number begins to give up
	replaced []string        // datasets of which another one takes the place
}

// Plan compares, and says what a way out does. how is ha.Keep or ha.Discard. A plan without steps is of a node that is clean.
func (n *Node) Plan(ctx context.Context, how string) (*Plan, error) {
	c, err := n.Compare(ctx)
	if err != nil {
		return nil, err
	}
	return n.plan(ctx, c, how)
}

func (n *Node) plan(ctx context.Context, c *Comparison, how string) (*Plan, error) {
	w := &weaving{Node: n, Plan: Plan{How: how, Term: n.Term, Datasets: []Dataset{}, Loses: []string{}, Aside: []string{}, Anew: []string{}, LetGo: []host.Command{}, gives: map[int]Dataset{}}, below: map[string]string{}, there: c.aside, all: c.Datasets, props: c.props, keeps: map[string][]string{}}
	along := w.along(how)
	for _, d := range c.Datasets {
		if err := w.dataset(ctx, d, how, along[d.Name]); err != nil {
			return nil, err
		}
	}
	if err := w.room(); err != nil {
		return nil, err
	}
	w.letGo()
	text, err := json.Marshal(struct {
		How      string
		Term     uint64
		Datasets []Dataset
	}{how, n.Term, w.Datasets})
	if err != nil {
		return nil, err
	}
	w.ID = fmt.Sprintf("%.6x", sha256.Sum256(text))
	return &w.Plan, nil
}

// weaving is a plan in the making. below is where what is below a dataset stands by then, where the plan changes that.
type weaving struct {
	*Node
	Plan
	below map[string]string
	there map[string]bool // what is put aside, or made for it
	all   []Dataset
	props map[string]*state.Dataset
	needs map[string][]Dataset // what reserves space a second time, by the group's topmost dataset
	keeps map[string][]string  // snapshots that are held where they are put aside, by dplane's tags
}

func (w *weaving) do(c ...host.Command) { w.Steps = append(w.Steps, c...) }

// dataset says what becomes of one. Those above it were gone through before. along: it is put aside for what is below it.
func (w *weaving) dataset(ctx context.Context, d Dataset, how string, along bool) error {
	root, err := w.root(d.Name)
	if err != nil {
		return err
	}
	aside, at := w.aside(root, d.Name), w.place(d)
	if d.open() || along {
		w.Datasets = append(w.Datasets, d)
	}
	switch {
	case d.Stands == Halfway:
		w.Plan.Aside = append(w.Plan.Aside, aside)
		return w.takes(ctx, d, w.local(aside, d), root, aside)
	case !along && (d.Stands == Clean || d.Stands == Diverged && how == ha.Discard):
		if at != d.Name { // it went along with what is above it
			w.do(rename(d, at, d.Name))
			maps.DeleteFunc(w.there, func(up string, _ bool) bool { return up == at || strings.HasPrefix(up, at+"/") })
		}
		if at != d.Name || d.At != "" { // and so does what is below it
			w.below[d.Name] = d.Name
		}
		if d.Stands == Diverged {
			return w.discard(ctx, d)
		}
	default:
		if err := w.putAside(ctx, d, root, at, aside); err != nil {
			return err
		}
		if d.Stands == Apart {
			w.Anew, w.replaced = append(w.Anew, d.Name), append(w.replaced, d.Name)
			return nil
		}
		w.clone(d, aside)
		return w.takes(ctx, d, d.local, root, aside)
	}
	return nil
}

// root is the group's topmost dataset of one.
func (w *weaving) root(name string) (string, error) {
	for _, g := range w.Group {
		if name == string(g) || strings.HasPrefix(name, string(g)+"/") {
			return string(g), nil
		}
	}
	return "", fmt.Errorf("%s is not in the group", name)
}

// place is where a dataset stands by then: it goes along with what is above it.
func (w *weaving) place(d Dataset) string {
	up := strings.LastIndex(d.Name, "/")
	if up > 0 {
		if at, moved := w.below[d.Name[:up]]; moved {
			return at + d.Name[up:]
		}
	}
	return cmp.Or(d.At, d.Name)
}

// putAside gives a dataset the place beside the group, with all that is below it.
func (w *weaving) putAside(ctx context.Context, d Dataset, root, at, aside string) error {
	if !strings.Contains(root, "/") {
		return fmt.Errorf("%s is a pool, beside which nothing can be put: rename or destroy by hand what only this node has (%s)", root, d.Name)
	}
	w.Plan.Aside = append(w.Plan.Aside, aside)
	defer func() { w.there[aside] = true }()
	if d.Stands != Clean {
		if err := w.hold(ctx, d, at, aside); err != nil {
			return err
		}
	}
	if at != aside {
		if err := w.named(root, d); err != nil {
			return err
		}
		if err := w.parents(root, aside); err != nil {
			return err
		}
		w.do(rename(d, at, aside))
	}
	w.below[d.Name] = aside
	if d.canmount == "on" { // else a boot mounts it, where its mountpoint is its own over what took its place
		w.do(zfs.Set(aside, map[string]string{"canmount": "noauto"}))
	}
	return nil
}

// parents makes what a dataset is put below, where that is not put there itself.
func (w *weaving) parents(root, aside string) error {
	for i := len(w.aside(root, root)); i < len(aside); i++ {
		if up := aside[:i]; aside[i] == '/' && !w.there[up] {
			if p := w.props[parent(root)]; p != nil && p.KeyStatus == "unavailable" {
				return fmt.Errorf("%s is made below %s, whose key is not loaded: zfs load-key %s", up, p.Name, p.EncryptionRoot)
			}
			w.do(zfs.CreateFilesystem(up, map[string]string{"canmount": "off", "mountpoint": "none"}))
			w.there[up] = true
		}
	}
	return nil
}

// clone makes what takes the place of a dataset, from what both have. It is read-only and stays unmounted until the role says
// otherwise.
func (w *weaving) clone(d Dataset, from string) {
	set := map[string]string{}
	for name, value := range d.local {
		if !slices.Contains(reservations, name) { // it may fail, and what is made then be left with nothing set (a volume, 2.3.9)
			set[name] = value
		}
	}
	set["readonly"] = "on"
	if !d.volume {
		set["canmount"] = "noauto"
	}
	w.do(zfs.Clone(from+"@"+d.Common, d.Name, set))
}

// discard takes a dataset back to what both have. What goes is destroyed by its name: zfs rollback -r would take along what
// came since it was looked at, and without -r it refuses then.
func (w *weaving) discard(ctx context.Context, d Dataset) error {
	if d.writable {
		return fmt.Errorf("%s can be written here (readonly=off), and what is written meanwhile would be lost unseen: zfs set readonly=on %[1]s", d.Name)
	}
	tags, err := w.tags(ctx, d.held)
	if err != nil {
		return err
	}
	w.gives[len(w.Steps)] = d
	for _, tag := range sortedKeys(tags) {
		w.do(zfs.Release(tag, tags[tag])...)
	}
	var snapshots []string
	for _, own := range d.Own {
		w.Loses = append(w.Loses, d.Name+own)
		if name, ok := strings.CutPrefix(own, "@"); ok {
			snapshots = append(snapshots, name)
		} else {
			w.do(zfs.DestroyBookmark(d.Name, own[1:]))
		}
	}
	w.do(zfs.DestroySnapshots(d.Name, snapshots)...)
	w.do(zfs.Rollback(d.Name + "@" + d.Common))
	w.Bytes += d.Bytes
	return nil
}

// tags are the holds on snapshots that go, by tag. One of somebody else is not let go of.
func (w *weaving) tags(ctx context.Context, held []string) (map[string][]string, error) {
	by, err := w.holds(ctx, held)
	if err != nil {
		return nil, err
	}
	for _, tag := range sortedKeys(by) {
		if !strings.HasPrefix(tag, "dplane:") {
			return nil, fmt.Errorf("%s is held by %q, which is not dplane's: zfs release %[2]q %[1]s, if it may go", by[tag][0], tag)
		}
	}
	return by, nil
}

// holds are the tags on snapshots, and which of them each is on.
func (w *weaving) holds(ctx context.Context, held []string) (map[string][]string, error) {
	by := map[string][]string{}
	for _, c := range zfs.ListHolds(held) {
		res, err := w.Runner.Run(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("see who holds what only this node has: %w", err)
		}
		for snapshot, tags := range zfs.ParseHolds(res.Stdout) {
			for _, tag := range tags {
				by[tag] = append(by[tag], snapshot)
			}
		}
	}
	for tag := range by {
		slices.Sort(by[tag])
	}
	return by, nil
}

// Carry carries out the plan that was approved, if it still is the one.
func (n *Node) Carry(ctx context.Context, how, approval string) error {
	p, err := n.Plan(ctx, how)
	switch {
	case err != nil:
		return err
	case p.ID != approval:
		return fmt.Errorf("the plan is another one than the one that was approved (%s, not %s): dplane ha rejoin --%s shows it", p.ID, approval, how)
	}
	return n.carry(ctx, p, "dplane ha rejoin --"+how)
}

// carry carries out a plan. again is what goes on with it.
func (n *Node) carry(ctx context.Context, p *Plan, again string) error {
	for _, name := range p.replaced {
		if n.Replaced != nil {
			if err := n.Replaced(ctx, name); err != nil {
				return fmt.Errorf("%s: %w; nothing was done", name, err)
			}
		}
	}
	for i, c := range p.Steps {
		if d, gives := p.gives[i]; gives { // it may take a while until one is come to
			if err := n.still(ctx, d); err != nil {
				return fmt.Errorf("%w: nothing of it was given up, and what was done before stays: %s shows what is left", err, again)
			}
		}
		if _, err := n.Runner.Run(ctx, c); err != nil && !(c.Argv[1] == "hold" && zfs.AllHeld(err)) { // by a try before
			return fmt.Errorf("%w; what was done before it stays, and nothing is lost: %s goes on", err, again)
		}
	}
	return nil
}

// still fails unless a dataset is as it was looked at.
func (n *Node) still(ctx context.Context, d Dataset) error {
	res, err := n.Runner.Run(ctx, zfs.ListEnds(false, d.Name)[0])
	if err != nil {
		return fmt.Errorf("look at %s once more: %w", d.Name, err)
	}
	list, err := zfs.ParseEnds(res.Stdout, false, d.Name)
	if err != nil {
		return err
	}
	if len(list) != 1 || list[0].GUID != d.GUID || list[0].Written != d.head || !slices.Equal(pointsOf(list[0]), d.points) {
		return fmt.Errorf("%s was written, or its snapshots changed, since it was looked at", d.Name)
	}
	return nil
}

// KeepSnapshots takes a snapshot of what no snapshot holds, so that nothing more can come to it. One that is there is enough. It
// is done too where the active node is not reached.
func (n *Node) KeepSnapshots(ctx context.Context) error {
	all, err := n.loose(ctx)
	if err != nil {
		return err
	}
	var errs []error
	pools := map[string][]string{}
	for _, d := range all {
		if d.Written > 0 && d.Stands != Halfway {
			if err := n.playBack(ctx, d); err != nil {
				errs = append(errs, err) // a snapshot without it would pass for all that there is
				continue
			}
			pool, _, _ := strings.Cut(d.Name, "/")
			pools[pool] = append(pools[pool], cmp.Or(d.At, d.Name)+n.free(d))
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, pool := range sortedKeys(pools) {
		for _, take := range zfs.TakeSnapshots("", pools[pool]) {
			_, err := n.Runner.Run(ctx, take)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// loose are the group's datasets here, with what no snapshot holds of them.
func (n *Node) loose(ctx context.Context) (all []Dataset, err error) {
	if n.Remote != "" {
		if c, err := n.Compare(ctx); err == nil || ctx.Err() != nil {
			return c.all(), err
		}
	}
	for _, g := range n.Group {
		root := string(g)
		own, err := n.ends(ctx, "", root)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", root, err)
		}
		aside, err := n.ends(ctx, "", n.aside(root, root))
		if err != nil {
			return nil, fmt.Errorf("list what was put aside of %s: %w", root, err)
		}
		props, err := n.properties(ctx, g)
		if err != nil {
			return nil, err
		}
		like := maps.Clone(own) // compared with itself
		if like == nil {
			like = map[string]state.End{}
		}
		for at, e := range aside {
			if name := root + strings.TrimPrefix(at, n.aside(root, root)); like[name].Name == "" {
				like[name] = e
			}
		}
		all = append(all, n.compare(root, own, like, aside, props)...)
	}
	return all, nil
}

// free is the name of a snapshot that a dataset has not yet: what was opened or mounted by hand since was written again.
func (n *Node) free(d Dataset) string {
	name := fmt.Sprintf("@dplane_diverged_t%d", n.Term)
	for i := 2; slices.Contains(d.names, name); i++ {
		name = fmt.Sprintf("@dplane_diverged_t%d_%d", n.Term, i)
	}
	return name
}

func sortedKeys[V any](m map[string]V) []string {
	names := map[string]bool{}
	for k := range m {
		names[k] = true
	}
	return sorted(names)
}

func rename(d Dataset, from, to string) host.Command {
	if d.volume {
		return zfs.Rename(from, to)
	}
	return host.Write("zfs", "rename", "-u", from, to)
}
