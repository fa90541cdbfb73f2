package pool

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

const (
	// ownSpace is what ZFS keeps of a device: its four labels and the boot block.
	ownSpace = 4<<20 + 512<<10
	// partedSectors of a whole disk are before and behind the partition that zpool makes on it.
	partedSectors = 2048 + 16384
	// leastDevice is the smallest that zpool takes (SPA_MINDEVSIZE).
	leastDevice = 64 << 20
	// alike16M is the difference in size that zpool takes for none (ZPOOL_FUZZ).
	alike16M = 16 << 20
)

// partition is the size of what ZFS gets of a device, or a little more.
func partition(d *state.Device) uint64 {
	if !d.Whole {
		return d.Size
	}
	return less(d.Size, partedSectors*max(d.Sector, 512))
}

func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

func tooSmall(d *state.Device) string {
	if d.Size == 0 || partition(d) >= leastDevice {
		return ""
	}
	return fmt.Sprintf("%s has %s: a vdev has 64 MiB at least", d.Path, spec.Size(d.Size))
}

// least is the space that a device of the vdev has at least. ZFS rounds it down to whole metaslabs once the pool was
// imported again: what is smaller is refused for certain, and of what is a little larger zpool has the last word.
func (t *top) least() uint64 {
	devices := len(t.slots)
	switch how := kind(t.Vdev); {
	case strings.HasPrefix(how, "draid"):
		for _, part := range strings.Split(how, ":")[1:] {
			if n, err := strconv.Atoi(strings.TrimSuffix(part, "s")); err == nil {
				devices -= n // distributed spares hold no data
			}
		}
	case !strings.HasPrefix(how, "raidz"):
		return t.Space
	}
	return (t.Space + uint64(devices) - 1) / uint64(max(devices, 1))
}

// unfit says why a new device can't come into a vdev: it is smaller than the others, or has larger sectors.
func (p *planner) unfit(t *top, device string) []string {
	d := p.in.Have.Devices[device]
	if d == nil {
		return nil
	}
	var why []string
	if least := t.least(); d.Size > 0 && less(partition(d), ownSpace) < least {
		why = append(why, fmt.Sprintf("%s is too small: it has %s, and a device of %s holds %s beside what ZFS keeps for itself: take a larger one", device, spec.Size(d.Size), nameOf(t.Vdev), spec.Size(least)))
	}
	if t.Ashift > 0 && d.Sector > 1<<t.Ashift {
		why = append(why, fmt.Sprintf("%s has sectors of %d bytes, and %s was made for %d (ashift %d), which no such disk can write: take another disk, or make another pool with ashift 12 and copy (zfs send)",
			device, d.Sector, nameOf(t.Vdev), 1<<t.Ashift, t.Ashift))
	}
	return why
}

// unequal says that zpool refuses a group without -f, for its devices are not of one size, or not of one kind.
func unequal(in drivers.Input, v spec.Vdev) []string {
	if v.Type == "stripe" {
		return nil
	}
	var before *state.Device
	for _, dev := range v.Devices {
		d := in.Have.Devices[dev.Path]
		if d == nil || d.Size == 0 {
			return nil
		}
		switch {
		case before == nil:
		case before.File != d.File:
			return []string{fmt.Sprintf("%s and %s are a file and a disk, and zpool refuses to mix them in a %s: declare devices of one kind", before.Path, d.Path, v.Type)}
		case max(partition(before), partition(d))-min(partition(before), partition(d)) > alike16M:
			return []string{fmt.Sprintf("%s has %s and %s has %s, and zpool refuses a %s of devices that differ by more than 16 MiB: declare devices of one size (partitions, where a disk is larger); or, if it is meant so, by hand with zpool's -f",
				before.Path, spec.Size(before.Size), d.Path, spec.Size(d.Size), v.Type)}
		}
		before = d
	}
	return nil
}

// uneven says what zpool refuses at a create without -f: groups of unequal devices, and vdevs of different redundancy.
func uneven(in drivers.Input, want *spec.Pool) []string {
	var notes []string
	var first *redundancy
	for _, class := range [][]spec.Vdev{want.Vdevs, want.Special, want.Dedup} {
		for _, g := range groups(class) {
			notes = append(notes, unequal(in, g.Vdev)...)
			r := redundancyOf(strings.TrimSuffix(typeWord(g.Vdev), "stripe"), len(g.Devices))
			switch {
			case first == nil:
				first = &r
			case !alike(r, *first):
				return append(notes, fmt.Sprintf("its vdevs differ in redundancy (%s, and %s), and zpool refuses to mix them: declare vdevs of one kind; or, if it is meant so, create it by hand: zpool create -f", *first, r))
			}
		}
	}
	return notes
}

// roomless says why the data of a vdev can't go to the others: they have no room for it, or other sectors.
func (p *planner) roomless(t *top) []string {
	var why []string
	// Of a special or dedup vdev only what is used counts, and for that there is always room.
	if root := p.in.Have.Datasets[p.have.Name]; t.Class == "" && root != nil && unlimited(root) && root.Available > 0 && root.Available < t.Space {
		why = append(why, fmt.Sprintf("the pool has %s available, and ZFS removes no vdev of more (%s): free space (zfs list -o space), or add another vdev first",
			spec.Size(root.Available), spec.Size(t.Space)))
	}
	for _, o := range p.layout.tops {
		if data(o) && o.Ashift > 0 && t.Ashift > 0 && o.Ashift != t.Ashift {
			return append(why, fmt.Sprintf("%s has ashift %d and %s has %d: ZFS removes a vdev only where all have one sector size: make another pool and copy (zfs send)", nameOf(t.Vdev), t.Ashift, nameOf(o.Vdev), o.Ashift))
		}
	}
	return why
}

// unlimited tells that what is available in a pool's root is what the pool has.
func unlimited(root *state.Dataset) bool {
	for _, name := range []string{"quota", "refquota"} {
		if v := root.Properties[name].Value; v != "0" && v != "none" && v != "" {
			return false
		}
	}
	return true
}

// data tells whether a vdev holds data or metadata.
func data(t *top) bool { return t.Class == "" || t.Class == "special" || t.Class == "dedup" }
