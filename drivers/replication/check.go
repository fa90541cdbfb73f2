package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Check makes every check of a replication that needs no transfer. uid is who runs it. The runner tells no term of an HA group
// to the far side: whether one is asked for is part of it.
func (d *Driver) Check(ctx context.Context, want *spec.Spec, obs *state.Observed, name string, uid int) []state.Check {
	r := want.Replications[name]
	c := &checking{Driver: d, want: want, obs: obs, r: r, w: way(r), broken: map[string]string{}}
	c.here()
	if c.remote = r.Source.Remote + r.Target.Remote; c.remote != "" { // the files admit one
		c.reach(ctx, uid)
	}
	c.ends(ctx)
	for _, side := range []struct {
		check string
		do    func(context.Context) state.Check
	}{{"features", c.features}, {"rights", c.rights}, {"space", c.space}, {"clock", c.clock}, {"term", c.term}, {"readonly", c.readonly}, {"state", c.standing}, {"others", c.others}} {
		needs := []string{"source", "target", "parent"}
		if side.check == "term" {
			needs = []string{"authentication"}
			if c.r.Pair == "" || c.w.To == "" {
				continue
			}
		}
		if side.check == "clock" || side.check == "rights" {
			needs = []string{"authentication"}
			if c.remote == "" {
				continue
			}
		}
		if !c.skip(side.check, needs...) {
			x := side.do(ctx)
			x.Name = side.check
			c.add(x)
		}
	}
	return c.all
}

// checking gathers the checks of one replication.
type checking struct {
	*Driver
	want   *spec.Spec
	obs    *state.Observed
	r      *spec.Replication
	w      *drivers.Sending
	remote string            // the name of the far machine; "": both ends are here
	broken map[string]string // checks that failed or were skipped, and after which one
	pairs  []state.Pair
	exists bool // the target
	all    []state.Check
}

func (c *checking) add(x state.Check) {
	if x.State == state.CheckFailed {
		c.broken[x.Name] = x.Name
	}
	c.all = append(c.all, x)
}

// skip notes a check that can't be made, since one that it needs failed.
func (c *checking) skip(name string, needs ...string) bool {
	for _, n := range needs {
		if after, broken := c.broken[n]; broken {
			c.broken[name] = after
			c.add(state.Check{Name: name, State: state.CheckSkipped, Detail: "after " + after})
			return true
		}
	}
	return false
}

// here are the checks of this machine.
func (c *checking) here() {
	switch {
	case unreached(c.r) != "":
		c.add(failed("zfs", unreached(c.r), "add it to ha.peers, or name a target"))
	case c.obs.ZFS.Error != "":
		c.add(failed("zfs", c.obs.ZFS.Error, c.obs.ZFS.Hint))
	case away(c.r, c.obs) != "":
		c.add(fine("zfs", "here "+c.obs.ZFS.Userland))
		c.add(failed("pool", away(c.r, c.obs), "import it, or connect its disks: zpool import"))
	default:
		c.add(fine("zfs", "here "+c.obs.ZFS.Userland))
	}
}

func fine(name, detail string) state.Check {
	return state.Check{Name: name, State: state.CheckOK, Detail: detail}
}

func warning(name, detail, hint string) state.Check {
	return state.Check{Name: name, State: state.CheckWarning, Detail: detail, Hint: hint}
}

func failed(name, detail, hint string) state.Check {
	return state.Check{Name: name, State: state.CheckFailed, Detail: detail, Hint: hint}
}

// unknown is a check of which the far side does not tell: a forced command answers what it is for, and no more.
func unknown(name string, err error) state.Check {
	return state.Check{Name: name, State: state.CheckSkipped, Detail: "unknown: " + why(err)}
}

// why is what was said, in a line.
func why(err error) string {
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(exit.Stderr), "\n")
	return fmt.Sprintf("%s says: %s", exit.Command, lines[len(lines)-1])
}

// ends looks at both ends.
func (c *checking) ends(ctx context.Context) {
	on := func(remote, name string) bool {
		if remote != "" {
			return c.skip(name, string(host.Login))
		}
		return c.skip(name, "zfs", "pool")
	}
	var sources, targets []state.End
	var err error
	if !on(c.w.From, "source") {
		if sources, err = c.list(ctx, c.w.From, c.w.Recursive, c.w.Source); err != nil {
			c.add(c.notListed("source", c.w.Source, err))
		} else {
			c.add(c.source(sources))
		}
	}
	if on(c.w.To, "target") {
		c.skip("parent", "target")
		return
	}
	targets, err = c.list(ctx, c.w.To, c.w.Recursive, c.w.Target)
	gone := errors.Is(zfs.Classify(err), zfs.ErrNotExist)
	switch {
	case err != nil && !gone:
		c.add(c.notListed("target", c.w.Target, err))
		c.skip("parent", "target")
		return
	case gone:
		c.add(fine("target", c.w.Target+" is not there yet: the first run makes it"))
		if err := c.parent(ctx, c.w); err != nil {
			c.add(failed("parent", err.Error(), "make it on the machine of the target: zfs create "+string(spec.DatasetName(c.w.Target).Parent())))
		} else {
			c.add(fine("parent", "it is there"))
		}
	default:
		c.exists = true
		c.add(fine("target", fmt.Sprintf("%s, %d dataset(s)", c.w.Target, len(targets))))
		c.add(fine("parent", "it is there"))
	}
	c.pairs, _ = join(c.w, sources, targets)
	if err := c.tokens(ctx, c.w, c.pairs); err != nil {
		c.add(failed("resume", err.Error(), zfs.Hint(err)))
	}
}

func (c *checking) notListed(name, dataset string, err error) state.Check {
	switch {
	case errors.Is(zfs.Classify(err), zfs.ErrNotExist):
		return failed(name, dataset+" is not there", "correct replications."+c.r.Name+"."+name)
	case errors.Is(zfs.Classify(err), zfs.ErrNoModule):
		return failed(name, why(err), zfs.Hint(err))
	}
	return failed(name, why(err), "let the key's forced command answer zfs list, or correct the end")
}

// source tells whether there is something to send.
func (c *checking) source(all []state.End) state.Check {
	b := &batch{want: c.r}
	n, datasets := 0, 0
	for _, e := range all {
		if !excluded(c.w, e.Name) {
			n, datasets = n+len(chosen(e.Snapshots, b.wanted)), datasets+1
		}
	}
	if n == 0 {
		return warning("source", c.w.Source+" has no snapshot that would be sent", "a schedule takes some, or dplane snapshots take "+c.w.Source)
	}
	return fine("source", fmt.Sprintf("%s, %d dataset(s), %d snapshot(s)", c.w.Source, datasets, n))
}

// clock compares the clocks: ages and retention are told from the times of snapshots.
func (c *checking) clock(ctx context.Context) state.Check {
	ask := zfs.Clock()
	ask.Host = c.remote
	before := c.Now()
	res, err := c.Runner.Run(ctx, ask)
	after := c.Now()
	if err != nil {
		return unknown("", err)
	}
	n, ok := zfs.ParseNumber(res.Stdout)
	if !ok || n > 1<<40 {
		return unknown("", fmt.Errorf("%.60q is no time", res.Stdout))
	}
	return judgeClock(time.Unix(int64(n), 0), before, after)
}

// mostSkew is how far clocks may be apart.
const mostSkew = time.Minute

// judgeClock compares a far clock, of whole seconds, with what this one said before and after.
func judgeClock(far, before, after time.Time) state.Check {
	skew := time.Duration(0)
	switch {
	case far.Add(time.Second).Before(before):
		skew = far.Sub(before)
	case far.After(after):
		skew = far.Sub(after)
	}
	skew = skew.Round(time.Second)
	switch {
	case skew > mostSkew:
		return warning("", fmt.Sprintf("there it is %s later than here", skew), "synchronise both clocks: timedatectl set-ntp true")
	case -skew > mostSkew:
		return warning("", fmt.Sprintf("there it is %s earlier than here", -skew), "synchronise both clocks: timedatectl set-ntp true")
	}
	return fine("", fmt.Sprintf("%s apart", skew.Abs()))
}

// readonly tells whether something could write to the target.
func (c *checking) readonly(context.Context) state.Check {
	b := &batch{want: c.r, seen: &state.Replication{Pairs: c.pairs}}
	open := b.writable()
	switch {
	case !c.exists:
		return fine("", "it will be received with readonly="+c.w.Set["readonly"])
	case c.w.Set["readonly"] != "on":
		return warning("", "off, as receive.set says: whatever is written there stops the replication", "")
	case len(open) == 0:
		return fine("", "on")
	}
	what, how := b.mayBeWritten(open)
	return warning("", what, how)
}

func (c *checking) batch(ctx context.Context) *batch { return c.known(ctx, c.want, c.r, c.pairs) }

// known is a replication with what is remembered of it; with nothing where that can't be read.
func (d *Driver) known(ctx context.Context, want *spec.Spec, r *spec.Replication, pairs []state.Pair) *batch {
	seen := &state.Replication{Pairs: pairs}
	if d.Memory != nil {
		if known, err := d.Memory.Replicated(ctx); err == nil {
			seen.Remembered = remembered(want, r, known)
		}
	}
	return &batch{want: r, seen: seen}
}

// standing tells whether what is at the target can be sent upon.
func (c *checking) standing(ctx context.Context) state.Check {
	b := c.batch(ctx)
	var apart []string
	for _, p := range c.pairs {
		f, _, refused := b.flags(p)
		if p.Target != nil && (p.Target.Partial || p.Target.Token != "") {
			if p.Target.Token != "" && unusable(c.r.Patterns(), drivers.SendingPair{Raw: f.raw, Encrypted: p.Source.Encrypted}, p) == "" {
				continue
			}
			return warning("", "what was received in part into "+p.To+" can't be gone on with: the next run throws it away", "")
		}
		switch j := judge(&p.Source, p.Target, b.wanted, f.raw); {
		case j.Diverged != nil && (j.Diverged.Kind != modified || len(j.Diverged.SourceOnly) > 0):
			apart = append(apart, b.what(p, j))
		case refused != "" && len(j.Legs) > 0:
			apart = append(apart, refused)
		}
	}
	if len(apart) > 0 {
		return failed("", drivers.Some(apart), "dplane plan shows the ways out")
	}
	return fine("", "nothing is in the way")
}

// others looks for who else receives into the target: a hold of another replication tells.
func (c *checking) others(ctx context.Context) state.Check {
	running := func(l state.Lane) bool { return l.Kind == string(spec.KindReplication) && l.Name == c.r.Name }
	if slices.ContainsFunc(c.obs.Running, running) {
		return warning("", "a transfer of this replication is under way", "")
	}
	var ask []string
	for _, p := range c.pairs {
		if p.Target != nil {
			for _, s := range p.Target.Snapshots {
				if s.Holds > 0 {
					ask = append(ask, p.To+"@"+s.Name)
				}
			}
		}
	}
	found := map[string]string{}
	for _, cmd := range zfs.ListHolds(ask) {
		cmd.Host = c.w.To
		res, err := c.Runner.Run(ctx, cmd)
		if err != nil {
			return unknown("", err)
		}
		for snap, tags := range zfs.ParseHolds(res.Stdout) {
			for _, t := range tags {
				found[t] = snap
			}
		}
	}
	return judgeHolds(c.r, found)
}

// judgeHolds finds tags of other replications than this one that receive there. Those that send on from there have another.
func judgeHolds(r *spec.Replication, found map[string]string) state.Check {
	for tag, snap := range found {
		name, ours := strings.CutPrefix(tag, Tag(""))
		if !ours || name == r.Name || strings.Contains(name, ":") {
			continue
		}
		return warning("", fmt.Sprintf("%s is held by the replication %s: does that one receive here too?", snap, name), "one target is for one replication: end one of them, and then: zfs release "+tag+" "+snap)
	}
	return fine("", "nobody else receives there")
}
