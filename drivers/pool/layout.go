package pool

import (
	"regexp"
	"strings"

	"github.com/dplaneos/dplane/state"
)

// layout is the vdev tree of a pool, in which declared devices are looked up.
type layout struct {
	obs    *state.Observed
	tops   []*top
	leaves []*leaf
}

// top is a top-level vdev, or a device of the cache or spare list.
type top struct {
	state.Vdev
	slots []*slot
}

// slot is one position of a group: a device, or what stands there while one replaces another ("replacing-1",
// "spare-1"). A single device is a top-level vdev of one slot.
type slot struct {
	vdev   state.Vdev
	leaves []*leaf
}

// leaf is a device in the pool.
type leaf struct {
	state.Vdev
	top  *top
	slot *slot
}

func newLayout(obs *state.Observed, have *state.Pool) *layout {
	y := &layout{obs: obs}
	for _, v := range have.Vdevs {
		group := &top{Vdev: v}
		slots := v.Children
		if len(slots) == 0 || stand(v) {
			slots = []state.Vdev{v}
		}
		for _, s := range slots {
			place := &slot{vdev: s}
			y.below(group, place, s)
			group.slots = append(group.slots, place)
		}
		y.tops = append(y.tops, group)
	}
	return y
}

// stand tells whether two devices share one position for a while.
func stand(v state.Vdev) bool { return kind(v) == "spare" || kind(v) == "replacing" }

func (y *layout) below(g *top, s *slot, v state.Vdev) {
	if len(v.Children) == 0 {
		l := &leaf{Vdev: v, top: g, slot: s}
		s.leaves, y.leaves = append(s.leaves, l), append(y.leaves, l)
	}
	for _, c := range v.Children {
		y.below(g, s, c)
	}
}

// kind is the type of a vdev by its name: mirror, raidz1, draid1:2d:4c:1s, spare, replacing; "" for a device.
func kind(v state.Vdev) string {
	if len(v.Children) == 0 {
		return ""
	}
	i := strings.LastIndexByte(v.Name, '-')
	if i < 0 {
		return v.Name
	}
	return v.Name[:i]
}

// paths are those of all devices.
func (y *layout) paths() map[string]bool {
	all := map[string]bool{}
	for _, l := range y.leaves {
		if l.Path != "" {
			all[l.Path] = true
		}
	}
	return all
}

// find is the device of the pool that was declared by this path, nil where there is none. A spare that stands in
// for another device is found where it stands.
func (y *layout) find(declared string) *leaf {
	var spare *leaf
	for _, l := range y.leaves {
		if !y.is(l, declared) {
			continue
		}
		if l.top.Class != "spare" {
			return l
		}
		spare = l
	}
	return spare
}

// findListed is find for the cache and spare lists: a spare in use is found in its list.
func (y *layout) findListed(declared, class string) *leaf {
	for _, l := range y.leaves {
		if l.top.Class == class && y.is(l, declared) {
			return l
		}
	}
	return y.find(declared)
}

// lacks tells that no device of the pool was declared by this path.
func (y *layout) lacks(declared string) bool { return y.find(declared) == nil }

// is compares by path, by real path, and by the guid in the label of the declared device.
func (y *layout) is(l *leaf, declared string) bool {
	if l.Path == "" {
		return false // a distributed spare
	}
	if samePath(l.Path, declared) {
		return true
	}
	inPool, real := y.obs.Links[l.Path], y.obs.Links[declared]
	if inPool != "" && real != "" && samePath(inPool, real) {
		return true
	}
	dev := y.obs.Devices[declared]
	return dev != nil && dev.Vdev != "" && dev.Vdev == l.GUID
}

func samePath(inPool, declared string) bool { return inPool == declared || diskOf(inPool) == declared }

// wholeDisk is the partition that zpool makes on a whole disk, and shows in the disk's stead.
var wholeDisk = regexp.MustCompile(`^(/dev/disk/.+)-part1$|^(/dev/(?:nvme\d+n|mmcblk|loop|md)\d+)p1$|^(/dev/(?:sd|vd|xvd)[a-z]+)1$`)

// diskOf is the disk of which this is that partition, "" where it is none.
func diskOf(path string) string {
	m := wholeDisk.FindStringSubmatch(path)
	if m == nil {
		return ""
	}
	return m[1] + m[2] + m[3]
}
