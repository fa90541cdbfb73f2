package dataset

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// deed is what happens to one property.
type deed int

const (
	set      deed = iota // declared, and different
	giveBack             // dplane set it, and it is declared no more
	forget               // only the mark: it is not local any more, or can't be given back
	refuse               // declared, different, and ZFS would refuse it
)

// change is one property of one dataset.
type change struct {
	name string
	deed deed
	from state.Property // {"-", "-"} where a user property is not set
	to   string         // canonical; "" where it is given back and the coming value is not known
	at   string         // file:line
	risk spec.Risk
	note string // of forget and refuse: why
	// below are the datasets, not dplane's, whose value changes with it.
	below []string
	// pins are the declared datasets below that get their value set before this one changes.
	pins []spec.DatasetName
	// moved: an ancestor's value changes in this plan, so that what is inherited here is no precondition; or
	// there is nothing that could be asked for.
	moved bool
	// sparse is how a volume's reservation comes and goes with volume.sparse: reserve or unreserve.
	sparse rank
	// waits are the changes that come first: they take away what is mounted in the way of this one.
	waits []*change
	// action is the id of the action it became part of.
	action string
}

// unset is how zfs get prints a user property that is not there.
var unset = state.Property{Value: "-", Source: "-"}

// compare is the three-way difference of one dataset: declared, what dplane set, actual with its source.
func (v *view) compare(want *spec.Dataset, have *state.Dataset) map[string]*change {
	changes := map[string]*change{}
	for name, p := range want.Properties {
		if c := v.declared(want, have, name, p); c != nil {
			changes[name] = c
		}
	}
	if want.Volume != nil {
		v.compareVolume(want, have, changes)
	}
	if c := v.compareOrigin(want, have); c != nil {
		changes["origin"] = c
	}
	if want.Properties != nil { // where the whole of it left the files, nothing is touched
		for name := range appliedTo(have) {
			_, still := want.Properties[name]
			if !still && have.Properties[name].Source != "temporary" { // a mount option hides what is set
				changes[name] = v.undeclared(want, have, name)
			}
		}
	}
	if want.Encryption != nil && have.Properties["encryption"].Value == "off" {
		changes["encryption"] = &change{name: "encryption", deed: refuse, from: have.Properties["encryption"], to: "on", at: want.Encryption.Pos.At(),
			note: "a dataset is encrypted at its creation or never: create a new one by hand and copy the data"}
	}
	return changes
}

// declared is what a declared property needs, nil where it is as it should be.
func (v *view) declared(want *spec.Dataset, have *state.Dataset, name string, p spec.Property) *change {
	from, known := have.Properties[name]
	if known && from.Source != "temporary" && same(name, p.Value, have, want.Type(), v.altroot(want.Name)) {
		return nil // an option of the mount says nothing of what is set
	}
	c := &change{name: name, deed: set, from: from, to: p.Value, at: p.Pos.At()}
	if !known {
		c.from = unset
	}
	if why := refusal(c, want, have, known); why != "" {
		c.deed, c.note = refuse, why
		return c
	}
	c.below = v.reached(want.Name, name)
	c.risk = riskOf(name, c.from.Value, c.to)
	if len(c.below) > 0 {
		c.risk = max(c.risk, spec.Disruptive)
	}
	return c
}

// refusal says why ZFS would not take the value, "" where it would as far as can be seen.
func refusal(c *change, want *spec.Dataset, have *state.Dataset, known bool) string {
	info, native := spec.LookupProperty(c.name, want.Type())
	switch {
	case !native:
		return ""
	case !known && spec.IsUserQuota(c.name):
		return "this machine knows no such user, group or project: create it first, or name it by its number"
	case !known:
		return "this release of ZFS does not know the property: take it out of the files, or upgrade ZFS"
	case info.Change == spec.AtCreation:
		return c.name + " is chosen at creation: only a new dataset can have another value; create one and copy the data"
	case c.name == "volthreading" && have.Properties["volmode"].Value == "none":
		return "volmode is none, and zfs sets volthreading only where a device shows the volume (\"dataset does not exist\"): leave it out, or declare another volmode"
	case c.name == "quota":
		return belowUsed(c, have.Used, have.Properties["reservation"].Value)
	case c.name == "refquota":
		return belowUsed(c, have.Referenced, have.Properties["refreservation"].Value)
	}
	return ""
}

// belowUsed: dsl_dir_set_quota_check and dsl_dataset_set_refquota_check refuse less than is used or reserved.
func belowUsed(c *change, used uint64, reserved string) string {
	to := bytesOf(c.to)
	switch {
	case unlimited(c.to):
		return ""
	case to < used:
		return fmt.Sprintf("%s is below the %d bytes that are used: free space first, or declare more", spec.Size(to), used)
	case to < bytesOf(reserved):
		return fmt.Sprintf("%s is below the %s bytes that are reserved: lower the reservation first, or declare more", spec.Size(to), reserved)
	}
	return ""
}

// compareVolume looks at what a volume has keys of its own for.
func (v *view) compareVolume(want *spec.Dataset, have *state.Dataset, changes map[string]*change) {
	block, size := have.Properties["volblocksize"], have.Properties["volsize"]
	if b := uint64(want.Volume.BlockSize); b != 0 && b != bytesOf(block.Value) {
		changes["volblocksize"] = &change{name: "volblocksize", deed: refuse, from: block, to: strconv.FormatUint(b, 10), at: want.Volume.Pos.At(),
			note: "the block size is chosen at creation: only a new volume can have another one; create one and copy the data"}
	}
	to := roundUp(uint64(want.Volume.Size), bytesOf(block.Value))
	from := bytesOf(size.Value)
	v.compareSparse(want, have, max(to, from), changes)
	if to == from {
		return
	}
	c := &change{name: "volsize", deed: set, from: size, to: strconv.FormatUint(to, 10), at: want.Volume.Pos.At(), risk: spec.Irreversible}
	if to < from {
		c.risk = spec.Destructive
	}
	changes["volsize"] = c
}

// roundUp: zfs create rounds a volume's size up to whole blocks, and zfs set refuses any other.
func roundUp(n, block uint64) uint64 {
	if block == 0 || n%block == 0 {
		return n
	}
	return n + block - n%block
}

// undeclared is what becomes of a property that dplane set and that the files no longer declare.
func (v *view) undeclared(want *spec.Dataset, have *state.Dataset, name string) *change {
	c := &change{name: name, deed: giveBack, from: have.Properties[name], at: want.Pos.At(), risk: spec.Safe}
	info, native := spec.LookupProperty(name, want.Type())
	_, known := have.Properties[name]
	switch {
	case !known: // zfs get knows an unset user property, and no native one of another release or unknown user
		c.deed, c.from, c.note, c.moved = forget, unset, name+" is not set any more", !spec.IsUserProperty(name)
	case native && info.Change != spec.Anytime:
		c.deed, c.note = forget, name+" is left as it is: it can't be changed after creation"
	case name == "refreservation" && want.Volume != nil && !want.Volume.IsSparse() && autoReserved(have):
		c.deed, c.note = forget, "refreservation is left as it is: the volume is not sparse, so that its space stays reserved"
	case spec.IsUserQuota(name) && unlimited(c.from.Value), !c.from.Local():
		c.deed, c.note = forget, name+" is not set here any more: somebody gave it back"
	}
	if c.deed == forget {
		return c
	}
	if to, ok := v.inherited(want.Name, name); ok {
		c.to = to
	}
	if name == "refreservation" && want.Volume != nil && !want.Volume.IsSparse() {
		c.to = "auto" // given back it would be none, and the volume sparse
	}
	c.below = v.reached(want.Name, name)
	c.risk = riskOf(name, c.from.Value, c.to)
	if len(c.below) > 0 {
		c.risk = max(c.risk, spec.Disruptive)
	}
	return c
}

// inherited is the value a property takes where it is given back, as far as it can be known: the parent's,
// if that one has it locally or from above. A limit goes back to none.
func (v *view) inherited(name spec.DatasetName, prop string) (string, bool) {
	if isLimit(prop) || strings.HasSuffix(prop, "reservation") {
		return "0", true
	}
	parent := v.have(name.Parent())
	if parent == nil || !spec.Inheritable(prop) {
		return "", false
	}
	p, ok := parent.Properties[prop]
	if ok && prop == "mountpoint" && path.IsAbs(p.Value) {
		return path.Join(p.Value, name.Base()), true
	}
	return p.Value, ok
}
