package carry

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/rejoin"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Tag holds the snapshots that a promotion began with.
const Tag = "dplane:ha"

// termOf is the term that a dataset names itself: one that is inherited, or came with a stream, is another's.
func termOf(d *state.Dataset) uint64 {
	p := d.Properties[state.TermProperty]
	if !p.Local() {
		return 0
	}
	term, err := strconv.ParseUint(p.Value, 10, 64)
	if err != nil {
		return 0
	}
	return term
}

// quiet ends what is being received, and then what began while that was looked for: the gate is shut, so nothing comes after it.
func (n *Node) quiet(ctx context.Context) error {
	if err := n.endReceives(ctx); err != nil || n.Quiet == nil {
		return err
	}
	switch quiet, err := n.until(ctx, 20*time.Second, n.Quiet); {
	case err != nil:
		return err
	case !quiet:
		return errors.New("a dplane receive was let in before the gate was shut, and does not end: ps -C dplane -f, and end it")
	}
	return n.endReceives(ctx)
}

// endReceives ends what is being received into the group, and waits until it has ended.
func (n *Node) endReceives(ctx context.Context) error {
	for _, how := range []struct {
		signal string
		long   time.Duration
	}{{"-TERM", 20 * time.Second}, {"-KILL", 10 * time.Second}} {
		pids, err := n.receivers(ctx)
		if err != nil || len(pids) == 0 {
			return err
		}
		if err := n.run(ctx, host.Write(append([]string{"kill", how.signal}, pids...)...)); err != nil {
			var exit *host.ExitError
			if !errors.As(err, &exit) { // one that ended meanwhile is as good
				return err
			}
		}
		gone, err := n.until(ctx, how.long, func() (bool, error) {
			pids, err = n.receivers(ctx)
			return len(pids) == 0, err
		})
		if gone || err != nil {
			return err
		}
		if how.signal == "-KILL" {
			return fmt.Errorf("something is received into the group still, and does not end: ps -p %s", strings.Join(pids, ","))
		}
	}
	return nil
}

// receivers are the processes that receive into the group.
func (n *Node) receivers(ctx context.Context) (pids []string, err error) {
	res, err := n.Runner.Run(ctx, host.Read("ps", "-e", "-ww", "-o", "pid=,args="))
	if err != nil {
		return nil, fmt.Errorf("see what is being received: %w", err)
	}
	for line := range strings.Lines(string(res.Stdout)) {
		pid, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		words := strings.Fields(args)
		if len(words) < 3 || path.Base(words[0]) != "zfs" || words[1] != "receive" && words[1] != "recv" {
			continue
		}
		if slices.ContainsFunc(n.HA.Datasets, func(d spec.DatasetName) bool { return into(args, string(d)) }) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// into tells whether a command line ends with the name of a dataset, or of one below it.
func into(args, dataset string) bool {
	i := strings.LastIndex(args, " "+dataset)
	if i < 0 {
		return false
	}
	rest := args[i+1+len(dataset):]
	return rest == "" || rest[0] == '/' || rest[0] == '@'
}

// points are the snapshots of the group's datasets here, and of which something was received in part.
func (n *Node) points(ctx context.Context, list []*state.Dataset) (own map[string][]state.Point, parts []string, err error) {
	own = map[string][]state.Point{}
	known := map[string]bool{}
	for _, d := range list {
		known[d.Name] = true
	}
	for _, root := range n.HA.Datasets {
		res, err := n.Runner.Run(ctx, zfs.ListEnds(true, string(root))[0])
		if err != nil {
			return nil, nil, fmt.Errorf("list the snapshots of %s: %w", root, err)
		}
		ends, err := zfs.ParseEnds(res.Stdout, true, string(root))
		if err != nil {
			return nil, nil, err
		}
		for _, e := range ends {
			if known[e.Name] {
				own[e.Name] = e.Snapshots
			}
			if known[e.Name] && e.Token != "" {
				parts = append(parts, e.Name)
			}
		}
	}
	return own, parts, nil
}

// chooseSet throws away what was received in part, and holds the newest complete set: what the other nodes have in common
// with this one, and what a way back begins with.
func (n *Node) chooseSet(ctx context.Context) error {
	list, err := n.list(ctx)
	if err != nil {
		return err
	}
	own, parts, err := n.points(ctx, list)
	if err != nil {
		return err
	}
	for _, name := range parts {
		if err := n.run(ctx, zfs.DiscardPartial(name)); err != nil {
			return fmt.Errorf("throw away what %s received in part: %w", name, err)
		}
	}
	var hold []string
	set := ha.CompleteSet(sortedKeys(own), own)
	for _, name := range sortedKeys(own) {
		if all := own[name]; set != nil {
			hold = append(hold, name+"@"+set.Name)
		} else if len(all) > 0 {
			hold = append(hold, name+"@"+all[len(all)-1].Name)
		}
	}
	for _, c := range zfs.Hold(Tag, hold) {
		if err := n.run(ctx, c); !zfs.AllHeld(err) {
			return fmt.Errorf("hold what the group begins with: %w", err)
		}
	}
	return nil
}

// loadKeys loads those that have a file. A prompt would wait for ever.
func (n *Node) loadKeys(ctx context.Context) error {
	list, err := n.list(ctx)
	if err != nil {
		return err
	}
	return each(list, func(d *state.Dataset) error {
		switch at := d.Properties["keylocation"].Value; {
		case d.KeyStatus != "unavailable" || d.EncryptionRoot != d.Name:
			return nil
		case !strings.HasPrefix(at, "file://"):
			return fmt.Errorf("its key is not loaded, and comes from %s: zfs load-key %s", at, d.Name)
		}
		return n.run(ctx, zfs.LoadKey(d.Name))
	})
}

// ahead puts aside what datasets have beyond the newest complete set, where the group is promoted as one. What takes their place
// has its key not loaded any more.
func (n *Node) ahead(ctx context.Context, term uint64) error {
	if n.HA.Consistency != "group" {
		return nil
	}
	if err := n.promoting(term).PutAside(ctx); err != nil {
		return err
	}
	return n.loadKeys(ctx)
}

// notAhead takes that back.
func (n *Node) notAhead(ctx context.Context, term uint64) error {
	if n.HA.Consistency != "group" {
		return nil
	}
	return n.promoting(term).TakeBack(ctx)
}

func (n *Node) promoting(term uint64) *rejoin.Node {
	p := rejoin.Promoting(n.Runner, n.HA.Datasets, term)
	p.Replaced = n.Replaced
	return p
}

// Beyond is what a promotion to a term would put aside; nil where the group is promoted as it is.
func (n *Node) Beyond(ctx context.Context, term uint64) (*rejoin.Ahead, error) {
	if n.HA.Consistency != "group" {
		return nil, nil
	}
	return n.promoting(term).Beyond(ctx)
}

// open lets the group be written here. canmount stays noauto, as it was received: with on, a boot would mount it for
// writing before anything has decided that this node may.
func (n *Node) open(ctx context.Context, term uint64) error {
	return n.change(ctx, func(d *state.Dataset, set map[string]string) {
		if slices.Contains(n.HA.Datasets, spec.DatasetName(d.Name)) && termOf(d) != term {
			set[state.TermProperty] = strconv.FormatUint(term, 10)
		}
		if d.Properties["readonly"].Value != "off" {
			set["readonly"] = "off"
		}
		if at := n.Mountpoints[d.Name]; at != "" && d.Type == "filesystem" && d.Properties["mountpoint"].Value != at {
			set["mountpoint"] = at
		}
	})
}

// close makes each dataset read-only by a value of its own: an inherited one would go with its parent's.
func (n *Node) close(ctx context.Context) error {
	return n.change(ctx, func(d *state.Dataset, set map[string]string) {
		if (d.Properties["readonly"] != state.Property{Value: "on", Source: "local"}) {
			set["readonly"] = "on"
		}
		if d.Type == "filesystem" && d.Properties["canmount"].Value == "on" {
			set["canmount"] = "noauto"
		}
	})
}

// change sets on each of the group's datasets what it lacks.
func (n *Node) change(ctx context.Context, lacks func(*state.Dataset, map[string]string)) error {
	list, err := n.list(ctx)
	if err != nil {
		return err
	}
	return each(list, func(d *state.Dataset) error {
		set := map[string]string{}
		if lacks(d, set); len(set) == 0 {
			return nil
		}
		return n.run(ctx, zfs.Set(d.Name, set))
	})
}

// mounts tells whether a dataset is one that is to be mounted.
func mounts(d *state.Dataset) bool {
	return d.Type == "filesystem" && d.Properties["canmount"].Value != "off" && path.IsAbs(d.Properties["mountpoint"].Value)
}

// mount mounts those above before those below, and believes what it sees then.
func (n *Node) mount(ctx context.Context) error {
	list, err := n.list(ctx)
	if err != nil {
		return err
	}
	failed := each(list, func(d *state.Dataset) error {
		if !mounts(d) || d.Mounted {
			return nil
		}
		return n.run(ctx, zfs.Mount(d.Name))
	})
	if list, err = n.list(ctx); err != nil {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, each(list, func(d *state.Dataset) error {
		if mounts(d) && !d.Mounted {
			return fmt.Errorf("it is not mounted at %s: zfs mount %s", d.Properties["mountpoint"].Value, d.Name)
		}
		return nil
	}))
}

// unmount unmounts those below before those above. What is busy stays, and says so: nobody's process is ended for it. A
// volume can't be unmounted: it has to be closed already.
func (n *Node) unmount(ctx context.Context) error {
	failed := n.unmountAll(ctx)
	list, err := n.list(ctx)
	if err != nil {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, n.closed(ctx, list))
}

func (n *Node) unmountAll(ctx context.Context) error {
	list, err := n.list(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(list)
	return each(list, func(d *state.Dataset) error {
		if !d.Mounted {
			return nil
		}
		if err := n.run(ctx, zfs.Unmount(d.Name)); err != nil {
			return fmt.Errorf("%w (who uses it: fuser -vm %s)", err, d.Properties["mountpoint"].Value)
		}
		return nil
	})
}

// snapshot takes the last one of a demotion, of all at one moment in each pool.
func (n *Node) snapshot(ctx context.Context, term uint64) error {
	list, err := n.list(ctx)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s%d-%s", spec.FinalSnapshot, term, n.Now().UTC().Format("20060102T150405Z"))
	pools := map[string][]string{}
	for _, d := range list {
		pool := string(spec.DatasetName(d.Name).Pool())
		pools[pool] = append(pools[pool], d.Name+"@"+name)
	}
	for _, pool := range sortedKeys(pools) {
		for _, c := range zfs.TakeSnapshots("", pools[pool]) {
			if err := n.run(ctx, c); err != nil {
				return fmt.Errorf("the final snapshot in %s: %w", pool, err)
			}
		}
	}
	return nil
}
