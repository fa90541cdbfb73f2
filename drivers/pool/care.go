package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// observeCare asks what only some pools need to be asked: which features the declared compatibility allows, where
// some may be missing, and which devices grew, where any did. It gives why the pool can't be seen, "" where it can.
func (d *Driver) observeCare(ctx context.Context, want *spec.Pool, p *state.Pool) (unseen string) {
	if needsFeatureSets(want, p) {
		sets, err := d.featureSets(ctx, want.Compatibility)
		if err != nil {
			return why("read the feature sets of "+want.Compatibility, err)
		}
		p.Compatibility = sets
	}
	if grew(p) {
		res, err := d.Runner.Run(ctx, zfs.ListVdevs(p.Name))
		if err != nil {
			return why("zpool list", err)
		}
		grown, err := zfs.ParseGrown(p.Name, res.Stdout)
		if err != nil {
			return err.Error()
		}
		noteGrown(p.Vdevs, grown)
	}
	return ""
}

// needsFeatureSets: a pool that is well and has the features that its set allows says nothing in its status; off and
// legacy have no files.
func needsFeatureSets(want *spec.Pool, p *state.Pool) bool {
	set := want.Compatibility
	if !hasFiles(set) {
		return false
	}
	differs := !same("compatibility", set, p.Properties["compatibility"].Value)
	return differs || p.Status != "" && len(zfs.Disabled(p.Properties)) > 0
}

// hasFiles tells whether a declared compatibility names files of feature sets.
func hasFiles(compatibility string) bool {
	return compatibility != "" && compatibility != compatOff && compatibility != compatLegacy
}

// featureSets reads the files of a list of sets: a feature is allowed where all of them name it.
func (d *Driver) featureSets(ctx context.Context, list string) (*state.Compatibility, error) {
	c := &state.Compatibility{Sets: list}
	for i, set := range strings.Split(list, ",") {
		features, err := d.featureSet(ctx, set)
		switch {
		case err != nil:
			return nil, err
		case features == nil:
			c.Missing = append(c.Missing, set)
		case i == 0:
			c.Features = features
		default:
			c.Features = intersect(c.Features, features)
		}
	}
	return c, nil
}

// featureSet is nil where there is no such file. A name with a / in it is none: zpool refuses it as well.
func (d *Driver) featureSet(ctx context.Context, set string) ([]string, error) {
	if set == "" || strings.Contains(set, "/") || strings.HasPrefix(set, ".") {
		return nil, nil
	}
	for _, folder := range zfs.CompatibilityFolders {
		res, err := d.Runner.Run(ctx, zfs.ReadFeatureSet(folder, set))
		var exit *host.ExitError
		switch {
		case err == nil:
			return append([]string{}, zfs.ParseFeatureSet(res.Stdout)...), nil
		case !errors.As(err, &exit) || !strings.Contains(exit.Stderr, "No such file"):
			return nil, fmt.Errorf("read the feature set %s: %w", set, err)
		}
	}
	return nil, nil
}

func intersect(a, b []string) []string {
	in := map[string]bool{}
	for _, x := range b {
		in[x] = true
	}
	out := []string{}
	for _, x := range a {
		if in[x] {
			out = append(out, x)
		}
	}
	return out
}

// grew tells whether a device of the pool is larger than what the pool takes of it.
func grew(p *state.Pool) bool {
	v := p.Properties["expandsize"].Value
	return v != "" && v != "-" && v != "0"
}

func noteGrown(vdevs []state.Vdev, grown map[string]uint64) {
	for i := range vdevs {
		v := &vdevs[i]
		noteGrown(v.Children, grown)
		if len(v.Children) == 0 {
			v.Grown = grown[v.Name]
		}
	}
}
