package zfsfake

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/spec"
)

// sets is where the files of feature sets are.
const sets = "/usr/share/zfs/compatibility.d/"

// hostID is the file of the host id, which multihost needs.
const hostID = "/etc/hostid"

// head is `head -c N FILE`.
func (k *call) head() int {
	opts, operands, ok := getopt(k.argv[1:], "c:")
	if !ok || !opts.has('c') || len(operands) != 1 {
		return k.fail(1, "head: usage")
	}
	text, found := k.Files[operands[0]]
	if !found {
		return k.fail(1, "head: cannot open '%s' for reading: No such file or directory", operands[0])
	}
	k.printf("%s", text)
	return 0
}

// features are those that the model has.
func features() []string {
	var all []string
	for _, n := range poolNatives {
		if f, ok := strings.CutPrefix(n.name, "feature@"); ok {
			all = append(all, f)
		}
	}
	return all
}

// allows tells whether the pool's compatibility allows a feature.
func (k *call) allows(p *Pool, feature string) bool {
	list := p.Props["compatibility"]
	if list == "" || list == "off" {
		return true
	}
	for _, set := range strings.Split(list, ",") {
		if !slices.Contains(strings.Fields(k.Files[sets+set]), feature) {
			return false
		}
	}
	return list != "legacy"
}

// enableFeatures is what a create does: all that are allowed.
func (k *call) enableFeatures(p *Pool) {
	for _, f := range features() {
		if _, said := p.Props["feature@"+f]; !said && !k.allows(p, f) {
			p.Props["feature@"+f] = "disabled"
		}
	}
}

func (k *call) lacksFeatures(p *Pool) bool {
	return !p.Suspended && slices.ContainsFunc(features(), func(f string) bool { return p.feature(f) == "disabled" && k.allows(p, f) })
}

func (p *Pool) checkFeature(a assignment) *refusal {
	f, ok := strings.CutPrefix(a.name, "feature@")
	switch {
	case !ok:
		return nil
	case !slices.Contains(features(), f):
		return refuse(1, "feature '%s' unsupported by kernel", f)
	case a.value == "disabled":
		return refuse(1, "property '%s' can only be set to 'disabled' at creation time", a.name)
	}
	return nil
}

// checkCompatibility refuses a feature that the set does not have, and a set that is not there.
func (k *call) checkCompatibility(p *Pool, a assignment) *refusal {
	if f, ok := strings.CutPrefix(a.name, "feature@"); ok && !k.allows(p, f) {
		return refuse(1, "Error: cannot enable feature '%s' on pool '%s'\nas it is not specified in this pool's current compatibility set.\n"+
			"Consider setting 'compatibility' to a less restrictive set, or to 'off'.", f, p.Name)
	}
	if a.name != "compatibility" || a.value == "" || a.value == "off" || a.value == "legacy" {
		return nil
	}
	for _, set := range strings.Split(a.value, ",") {
		if _, found := k.Files[sets+set]; !found {
			return refuse(1, "Error: could not read/parse feature file(s): %s", a.value)
		}
	}
	return nil
}

// grow makes a device of a pool larger.
func (m *Model) grow(path string, rest []string) error {
	d := m.Devices[path]
	if d == nil || len(rest) != 1 {
		return fmt.Errorf("grow %s to what size?", path)
	}
	size, err := spec.ParseSize(rest[0])
	if err != nil {
		return err
	}
	d.Size = uint64(size)
	for _, p := range m.Pools {
		for _, v := range devicesOf(p.Vdevs, func(v *Vdev) bool { return v.Name == path }) {
			v.Grown = less(d.Size, v.Size)
		}
	}
	return nil
}

// room is what the pool could take of its devices: a group has that of its smallest.
func (p *Pool) room() uint64 {
	var sum uint64
	for _, v := range p.Vdevs {
		sum += v.room()
	}
	return sum
}

func (v Vdev) room() uint64 {
	if len(v.Children) == 0 {
		return v.Grown
	}
	could := v.Children[0].Size + v.Children[0].Grown
	for _, c := range v.Children {
		could = min(could, c.Size+c.Grown)
	}
	return less(could, v.smallest())
}

// listVdevs is what `zpool list -Hpv` adds.
func (k *call) listVdevs(p *Pool) {
	for _, v := range p.Vdevs {
		used, free := "-", "-"
		if space := v.space(); v.Class != "spare" {
			n := uint64(0)
			if v.Class == "" {
				n = uint64(float64(p.space(p.Name)) * float64(space) / float64(max(p.size(), 1)))
			}
			used, free = fmt.Sprint(n), fmt.Sprint(less(space, n))
		}
		k.listVdev(v, used, free)
	}
}

func (k *call) listVdev(v Vdev, used, free string) {
	room := "-"
	if n := v.room(); n > 0 {
		room = fmt.Sprint(n)
	}
	k.printf("\t%s\t%d\t%s\t%s\t-\t%s\t-\t-\t-\t%s\n", v.Name, v.smallest(), used, free, room, v.state())
	for _, c := range v.Children {
		k.listVdev(c, "-", "-")
	}
}
