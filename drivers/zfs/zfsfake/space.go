package zfsfake

import (
	"math"
	"math/bits"
	"strconv"
)

// What an empty dataset takes, on vdevs of 4K sectors.
const (
	emptyFilesystem = 98304
	emptyVolume     = 57344
	labels          = 16 << 20 // bytes of a device that are never data
	smallest        = 64 << 20 // SPA_MINDEVSIZE
)

func (d *Dataset) referenced() uint64 {
	if d.Volume {
		return emptyVolume + d.Written
	}
	return emptyFilesystem + d.Written
}

// unique is what a dataset keeps alone: a clone shares the rest with its origin.
func (d *Dataset) unique() uint64 {
	if d.Origin != "" {
		return d.Written
	}
	return d.referenced()
}

// size is a value in bytes that was set on the dataset, 0 if none.
func (d *Dataset) size(prop string) uint64 {
	v, _ := d.own(prop, "0")
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (p *Pool) usedByRefreservation(name string) uint64 {
	d := p.Datasets[name]
	return max(d.size("refreservation"), d.referenced()) - d.referenced()
}

// usedByChildren counts a child's reservation where that is more than it uses.
func (p *Pool) usedByChildren(name string) uint64 {
	var sum uint64
	for _, n := range p.children(name) {
		sum += max(p.space(n), p.Datasets[n].size("reservation"))
	}
	return sum
}

// space is what the property used says.
func (p *Pool) space(name string) uint64 {
	if n, known := p.used[name]; known {
		return n
	}
	n := p.Datasets[name].unique() + p.usedByRefreservation(name) + p.usedByChildren(name)
	if p.used != nil {
		p.used[name] = n
	}
	return n
}

// still runs a long listing, in which nothing changes and each number is counted once.
func (m *Model) still(list func()) {
	for _, p := range m.Pools {
		p.used = map[string]uint64{}
	}
	list()
	for _, p := range m.Pools {
		p.used = nil
	}
}

// free is what the dataset could take in addition, its own refquota left out.
func (p *Pool) free(name string) uint64 {
	d := p.Datasets[name]
	used := p.space(name)
	var free uint64
	if up := parent(name); up == "" {
		free = less(p.usable(), used)
	} else {
		free = add(p.free(up), less(d.size("reservation"), used))
	}
	if quota := d.size("quota"); quota != 0 {
		free = min(free, less(quota, used))
	}
	return free
}

func (p *Pool) available(name string) uint64 {
	d := p.Datasets[name]
	free := p.free(name)
	if quota := d.size("refquota"); quota != 0 {
		free = min(free, less(quota, d.referenced()))
	}
	if d.Volume {
		return add(free, p.usedByRefreservation(name))
	}
	return free
}

// usable is the pool's size less what ZFS keeps back: 1/32, and at least the lesser of half and 128 MiB.
func (p *Pool) usable() uint64 {
	size := p.size()
	return size - max(size/32, min(size/2, 128<<20))
}

func less(a, b uint64) uint64 { return max(a, b) - b }

func add(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

// reserve is the refreservation that zfs gives a volume which is not sparse: its size and the metadata of
// every block written (zvol_volsize_to_reservation in lib/libzfs), on mirrors and single disks.
func reserve(volsize, blocksize, copies uint64) uint64 {
	blocks, meta := volsize/blocksize, uint64(7)
	for blocks > 1 {
		blocks = (blocks + 1023) / 1024
		meta += blocks
	}
	return volsize*copies + meta*min(3, copies+1)*131072
}

// sinceSnapshot are the bytes written since the newest snapshot; all, where there is none.
func (d *Dataset) sinceSnapshot() uint64 {
	var log uint64
	if d.Log > 0 {
		log = 1024 // its header
	}
	if len(d.Snapshots) == 0 {
		return d.unique() + log
	}
	return d.Written - d.Snapshots[len(d.Snapshots)-1].Total + log
}
