package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// observeNeeds asks what a create or a property needs of this machine: a host id, and the files of feature sets.
// Where nothing declared needs them, nothing is run.
func (d *Driver) observeNeeds(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	if slices.ContainsFunc(want.PoolNames(), func(n spec.PoolName) bool { return needsHostID(want.Pools[n], obs.Pools[string(n)]) }) {
		missing, err := d.lacksHostID(ctx)
		if err != nil {
			return err
		}
		obs.NoHostID = missing
	}
	for _, name := range want.PoolNames() {
		p := want.Pools[name]
		if obs.Pools[string(name)] != nil || len(p.Vdevs) == 0 || !hasFiles(p.Compatibility) || obs.UnseenPool(string(name)) != "" {
			continue
		}
		sets, err := d.featureSets(ctx, p.Compatibility)
		switch {
		case ctx.Err() != nil:
			return err
		case err != nil:
			obs.Unseen = append(obs.Unseen, state.Unseen{Pool: string(name), Why: why("what it would be created with", err)})
			continue
		case obs.Compatibility == nil:
			obs.Compatibility = map[string]*state.Compatibility{}
		}
		obs.Compatibility[string(name)] = sets
	}
	return nil
}

// multihost is the pool property that lets one machine at a time import the pool.
const multihost = "multihost"

func needsHostID(want *spec.Pool, have *state.Pool) bool {
	p, declared := want.Properties[multihost]
	return declared && same(multihost, p.Value, "on") && (have == nil || have.Properties[multihost].Value != "on")
}

// lacksHostID tells that the machine has none. What can't be read leaves that to zpool.
func (d *Driver) lacksHostID(ctx context.Context) (bool, error) {
	for _, ask := range []host.Command{zfs.ReadHostIDParameter(), zfs.ReadHostIDFile()} {
		res, err := d.Runner.Run(ctx, ask)
		var exit *host.ExitError
		switch {
		case ctx.Err() != nil:
			return false, fmt.Errorf("read the host id: %w", ctx.Err())
		case errors.As(err, &exit) && strings.Contains(exit.Stderr, "No such file"):
		case err != nil:
			return false, nil
		case strings.Trim(string(res.Stdout), "0\x00\n") != "":
			return false, nil
		}
	}
	return true, nil
}

// noHostID says why multihost can't be on where there is none.
const noHostID = "this machine has no host id, by which multihost would tell it from others: make one with zgenhostid (into /etc/hostid; never the same on two machines), and plan again"

// unmet says what a pool that would be created needs and this machine, or its feature sets, do not have.
func unmet(in drivers.Input, want *spec.Pool) []string {
	notes := uneven(in, want)
	if in.Have.NoHostID && needsHostID(want, nil) {
		notes = append(notes, noHostID)
	}
	c := in.Have.Compatibility[string(want.Name)]
	switch {
	case want.Compatibility == compatLegacy:
		c = &state.Compatibility{Sets: compatLegacy}
	case c == nil || c.Sets != want.Compatibility:
		return notes
	case len(c.Missing) > 0:
		return append(notes, noSet(c))
	}
	for _, need := range needed(in, want) {
		if !slices.Contains(c.Features, need.feature) {
			notes = append(notes, fmt.Sprintf("to %s a pool needs the feature %s, which compatibility %s does not allow: declare another compatibility, or leave that out", need.purpose, need.feature, want.Compatibility))
		}
	}
	return notes
}

// need is a feature without which a pool can't be made as it is declared.
type need struct{ feature, purpose string }

func needed(in drivers.Input, want *spec.Pool) []need {
	var all []need
	if len(want.Special)+len(want.Dedup) > 0 {
		all = append(all, need{"allocation_classes", "have special or dedup vdevs"})
	}
	if slices.ContainsFunc(slices.Concat(want.Vdevs, want.Special, want.Dedup), func(v spec.Vdev) bool { return strings.HasPrefix(string(v.Type), "draid") }) {
		all = append(all, need{"draid", "have a draid"})
	}
	if rootKey(in, want) != nil {
		all = append(all, need{"encryption", "be encrypted"})
	}
	return all
}

// noSet says which feature sets this machine does not have.
func noSet(c *state.Compatibility) string {
	return fmt.Sprintf("this machine has no feature set %s: ls %s shows those that it has", strings.Join(c.Missing, ", "), zfs.CompatibilityFolders[1])
}
