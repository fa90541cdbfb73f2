package replication

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// features compares what will be sent with what the pool of the target can hold.
func (c *checking) features(ctx context.Context) state.Check {
	ask := func(cmd host.Command, on string) ([]byte, error) {
		cmd.Host = on
		res, err := c.Runner.Run(ctx, cmd)
		return res.Stdout, err
	}
	pools := [2]map[string]state.Property{}
	for i, end := range []spec.End{c.r.Source, c.r.Target} {
		pool := string(end.Dataset.Pool())
		out, err := ask(zfs.GetPool(pool), end.Remote)
		if err == nil {
			pools[i], err = zfs.ParsePoolProperties(pool, out)
		}
		if err != nil {
			return unknown("", err)
		}
	}
	out, err := ask(zfs.GetShape(c.w.Source, c.w.Recursive), c.w.From)
	if err != nil {
		return unknown("", err)
	}
	shape, err := zfs.ParseShape(out)
	if err != nil {
		return unknown("", err)
	}
	return judgeFeatures(c.w, c.r.Send.Raw, pools[0], pools[1], shape)
}

// need is a feature without which a stream is not received (recv_begin_check_feature_flags_impl in module/zfs/dmu_recv.c).
type need struct {
	feature string
	by      string // the dataset that needs it for sure; "": some may
}

// judgeFeatures says which features the target's pool lacks.
func judgeFeatures(w *drivers.Sending, rawWord string, source, target map[string]state.Property, shape map[string]map[string]string) state.Check {
	var must, may []string
	all := needs(w, rawWord, source, shape)
	for _, n := range all {
		if v := target[zfs.FeatureProperty(n.feature)].Value; v == "enabled" || v == "active" {
			continue
		}
		if n.by != "" {
			must = append(must, n.feature+" ("+n.by+")")
		} else {
			may = append(may, n.feature)
		}
	}
	pool := string(spec.DatasetName(w.Target).Pool())
	hint := func(list []string) string {
		f, _, _ := strings.Cut(list[0], " ")
		if _, known := target[zfs.FeatureProperty(f)]; !known {
			return fmt.Sprintf("the release of ZFS there does not know %s: install a newer one, or exclude what uses it", f)
		}
		return fmt.Sprintf("on the machine of the target: zpool set %s=enabled %s (nothing takes it back)", zfs.FeatureProperty(f), pool)
	}
	switch {
	case len(must) > 0:
		return failed("", fmt.Sprintf("pool %s has not what the streams need: %s", pool, strings.Join(must, ", ")), hint(must))
	case len(may) > 0:
		return warning("", fmt.Sprintf("pool %s has not what some streams may need: %s", pool, strings.Join(may, ", ")), hint(may))
	}
	return fine("", fmt.Sprintf("pool %s has all %d that the streams need", pool, len(all)))
}

// needs are the features of the streams. One is needed where the source's pool uses it, and what is sent does.
func needs(w *drivers.Sending, rawWord string, source map[string]state.Property, shape map[string]map[string]string) (all []need) {
	active := func(f string) bool { return source[zfs.FeatureProperty(f)].Value == "active" }
	first := func(property string, ok func(string) bool) string {
		for _, v := range slices.Sorted(maps.Keys(shape[property])) {
			if ok(v) {
				return shape[property][v]
			}
		}
		return ""
	}
	large := func(v string) bool { n, err := strconv.ParseUint(v, 10, 64); return err == nil && n > 128<<10 }
	encrypted := first("encryption", func(v string) bool { return v != "off" && v != "-" })
	raw := rawWord == "true" || rawWord != "false" && encrypted != ""
	if (w.LargeBlocks || raw) && active("large_blocks") {
		by := first("recordsize", large)
		if by == "" {
			by = first("volblocksize", large)
		}
		all = append(all, need{"large_blocks", by})
	}
	if active("large_dnode") {
		all = append(all, need{"large_dnode", first("dnodesize", func(v string) bool { return v != "legacy" && v != "-" })})
	}
	if (w.Compressed || raw) && active("lz4_compress") {
		all = append(all, need{"lz4_compress", w.Source}) // of each stream that may have it, if the pool has it at all
	}
	if (w.Compressed || raw) && active("zstd_compress") {
		all = append(all, need{"zstd_compress", first("compression", func(v string) bool { return strings.HasPrefix(v, "zstd") })})
	}
	// Which datasets use these two is told nowhere: the properties only let them begin to.
	if active("longname") {
		all = append(all, need{"longname", ""})
	}
	if (w.LargeBlocks || raw) && active("large_microzap") {
		all = append(all, need{"large_microzap", ""})
	}
	if raw && encrypted != "" {
		all = append(all, need{"encryption", encrypted})
	}
	return all
}

// rights asks what the user there may do, where it is not root.
func (c *checking) rights(ctx context.Context) state.Check {
	user := c.want.Remotes[c.remote].User
	if user == "root" {
		return fine("", "root needs none")
	}
	dataset, needed := c.w.Target, Rights(c.r)
	switch {
	case c.w.From != "":
		dataset = c.w.Source
	case !c.exists:
		dataset = string(spec.DatasetName(c.w.Target).Parent())
	}
	cmd := zfs.Allowed(dataset)
	cmd.Host = c.remote
	res, err := c.Runner.Run(ctx, cmd)
	if err != nil {
		return unknown("", err)
	}
	grants := map[string]state.Grant{}
	for at := spec.DatasetName(dataset); at != ""; at = at.Parent() {
		own, err := zfs.ParseAllowed(string(at), res.Stdout)
		if err != nil {
			return unknown("", err)
		}
		for who, g := range own {
			x := grants[who]
			if x.Below = append(x.Below, g.Below...); string(at) == dataset {
				x.Here = append(x.Here, g.Here...)
			} else {
				x.Here = append(x.Here, g.Below...)
			}
			grants[who] = x
		}
	}
	return judgeRights(user, dataset, needed, grants)
}

// Rights are the permissions that the user of a replication needs on the other machine. Without destroy zfs refuses to give
// up what a broken receive left (2.3.9: "cannot destroy 'b/h/%recv': permission denied").
func Rights(r *spec.Replication) []string {
	if r.Source.Remote != "" {
		return []string{"bookmark", "destroy", "hold", "mount", "release", "send"}
	}
	need := map[string]bool{}
	for _, p := range []string{"receive", "create", "mount", "hold", "release", "destroy"} {
		need[p] = true
	}
	for name := range way(r).Set {
		need[rightTo(name)] = true
	}
	return slices.Sorted(maps.Keys(need))
}

// rightTo is the permission to set a property.
func rightTo(property string) string {
	if spec.IsUserProperty(property) {
		return "userprop"
	}
	return property
}

// judgeRights compares what is granted on a dataset with what is needed there and below. Which groups a user is in is not
// known here.
func judgeRights(user, dataset string, needed []string, grants map[string]state.Grant) state.Check {
	has := func(p string, who ...string) bool {
		return slices.ContainsFunc(who, func(w string) bool { return slices.Contains(grants[w].Here, p) && slices.Contains(grants[w].Below, p) })
	}
	var groups, lack, maybe []string
	for who := range grants {
		if strings.HasPrefix(who, "group:") {
			groups = append(groups, who)
		}
	}
	for _, p := range needed {
		switch {
		case has(p, "user:"+user, "everyone"):
		case has(p, groups...):
			maybe = append(maybe, p)
		default:
			lack = append(lack, p)
		}
	}
	hint := func(list []string) string {
		return fmt.Sprintf("there, as root: zfs allow -u %s %s %s", user, strings.Join(list, ","), dataset)
	}
	switch {
	case len(lack) > 0:
		return failed("", fmt.Sprintf("%s may not %s on %s and below", user, strings.Join(lack, ", "), dataset), hint(lack))
	case len(maybe) > 0:
		return warning("", fmt.Sprintf("%s may %s on %s only through a group, if it is in it", user, strings.Join(maybe, ", "), dataset), hint(maybe))
	}
	return fine("", fmt.Sprintf("%s may %s on %s", user, strings.Join(needed, ", "), dataset))
}

// space compares what would be sent with what is free.
func (c *checking) space(ctx context.Context) state.Check {
	b := c.batch(ctx)
	var size int64
	for _, p := range c.pairs {
		for _, cmd := range c.estimates(b, p) {
			cmd.Host = c.w.From
			res, err := c.Runner.Run(ctx, cmd)
			if err != nil {
				return unknown("", err)
			}
			if n, ok := zfs.ParseEstimate(res.Stdout); ok {
				size += n
			}
		}
	}
	at := c.w.Target
	if !c.exists {
		at = string(spec.DatasetName(at).Parent())
	}
	cmd := zfs.GetAvailable(at)
	cmd.Host = c.w.To
	res, err := c.Runner.Run(ctx, cmd)
	if err != nil {
		return unknown("", err)
	}
	free, ok := zfs.ParseNumber(res.Stdout)
	if !ok {
		return unknown("", fmt.Errorf("%.60q is no number of bytes", res.Stdout))
	}
	return judgeSpace(at, uint64(size), free)
}

// estimates ask how much one dataset would send.
func (c *checking) estimates(b *batch, p state.Pair) (all []host.Command) {
	if p.Target != nil && p.Target.Token != "" {
		if cmd, err := zfs.DescribeToken(p.Target.Token); err == nil {
			return []host.Command{cmd}
		}
		return nil
	}
	f, _, _ := b.flags(p)
	for _, l := range judge(&p.Source, p.Target, b.wanted, f.raw).Legs {
		s := flagsOf(c.w, drivers.SendingPair{Raw: f.raw, LargeBlocks: f.large})
		s.Snapshot, s.From, s.Between = p.Source.Name+"@"+l.To.Name, l.From, l.Between > 0
		all = append(all, s.Estimate())
	}
	return all
}

func judgeSpace(at string, size, free uint64) state.Check {
	detail := fmt.Sprintf("about %s would be sent, %s is free in %s", spec.Size(size), spec.Size(free), at)
	switch {
	case size > free:
		return failed("", detail, "free space there, raise its quota, or exclude something")
	case size > free/10*9:
		return warning("", detail, "free space there, or raise its quota")
	}
	return fine("", detail)
}
