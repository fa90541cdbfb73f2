package pool

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// The values of compatibility that are no file: every feature, and none.
const (
	compatOff    = "off"
	compatLegacy = "legacy"
)

// features are those that the declared compatibility allows and the pool lacks, in one action that names each: never a
// `zpool upgrade`, which takes whatever the release has. Without a declared compatibility nothing is enabled.
func features(want *spec.Pool, have *state.Pool) (actions []drivers.Action, notices []string) {
	disabled := zfs.Disabled(have.Properties)
	if len(disabled) == 0 || want.Compatibility == compatLegacy {
		return nil, nil
	}
	if want.Compatibility == "" {
		if !strings.Contains(have.Status, "features are not enabled") {
			return nil, nil
		}
		return nil, []string{fmt.Sprintf("pool %s (%s): it does not have all features of this release of ZFS: %s. None is enabled unasked: declare compatibility, which says which may be (off: all; older releases can't import the pool then)",
			have.Name, want.Pos.At(), strings.Join(disabled, ", "))}
	}
	allowed := disabled
	if want.Compatibility != compatOff {
		if have.Compatibility == nil || have.Compatibility.Sets != want.Compatibility || len(have.Compatibility.Missing) > 0 {
			return nil, nil // nothing is missing; or the sets can't be read, which the property's own action says
		}
		allowed = slices.DeleteFunc(disabled, func(f string) bool { return !slices.Contains(have.Compatibility.Features, f) })
	}
	if len(allowed) == 0 {
		return nil, nil
	}
	return []drivers.Action{enable(want, have, allowed)}, nil
}

func enable(want *spec.Pool, have *state.Pool, names []string) drivers.Action {
	observed := fmt.Sprintf("not enabled, and allowed by compatibility %s: %s", want.Compatibility, strings.Join(names, ", "))
	guard := map[string]state.Property{"guid": {Value: have.GUID, Source: "-"}}
	a := drivers.Action{
		Object: ref(want.Name), GUID: have.GUID, Verb: drivers.Update, Risk: spec.Irreversible,
		Reason: drivers.Reason{Code: drivers.Drift, At: want.Pos.At(), Observed: observed},
		Undo:   "nothing takes it back: a feature stays enabled",
		Notes: []string{
			"a release of ZFS that does not know a feature can't import the pool once it is used, or reads it only",
			"a checkpoint taken before it (zpool checkpoint " + have.Name + ") is a way back, for as long as it is kept",
		},
	}
	for _, n := range names {
		prop := zfs.FeatureProperty(n)
		guard[prop] = have.Properties[prop]
		a.Fields = append(a.Fields, drivers.Field{Name: prop, From: have.Properties[prop].Value, To: "enabled"})
		a.Steps = append(a.Steps, zfs.EnableFeature(have.Name, n))
	}
	a.Guard = append(a.Guard, zfs.ExpectPoolProps(have.Name, guard))
	if have.Properties["readonly"].Value == "on" {
		return notOnReadOnly(want, a)
	}
	return a
}

// notOnReadOnly is what becomes of a change of a pool that is imported read-only.
func notOnReadOnly(want *spec.Pool, a drivers.Action) drivers.Action {
	b := block(want, a.Reason.Code, a.Reason.Observed, "the pool is imported read-only: export it, and import it without readonly=on")
	b.GUID, b.Reason.At, b.Fields = a.GUID, a.Reason.At, a.Fields
	return b
}

// noSuchSet blocks a compatibility whose files this machine does not have; nil where it has them.
func noSuchSet(want *spec.Pool, have *state.Pool) *drivers.Action {
	c := have.Compatibility
	if c == nil || len(c.Missing) == 0 || c.Sets != want.Compatibility {
		return nil
	}
	from := have.Properties["compatibility"].Value
	a := block(want, drivers.Drift, "compatibility is "+from, noSet(c))
	a.GUID, a.Fields = have.GUID, []drivers.Field{{Name: "compatibility", From: from, To: want.Compatibility}}
	return &a
}
