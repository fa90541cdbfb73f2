package zfsfake

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// parseVdevs reads the topology words of `zpool create`, and refuses what zpool does without -f.
func (k *call) parseVdevs(words []string) ([]Vdev, *refusal) {
	var vdevs []Vdev
	class := ""
	for i := 0; i < len(words); {
		word := words[i]
		switch {
		case slices.Contains([]string{"log", "cache", "spare", "special", "dedup"}, word):
			class, i = word, i+1
			continue
		case isGroup(word):
			end := i + 1
			for end < len(words) && strings.HasPrefix(words[end], "/") {
				end++
			}
			v, r := k.group(word, class, words[i+1:end])
			if r != nil {
				return nil, r
			}
			vdevs, i = append(vdevs, v), end
		default:
			v, r := k.leaf(word)
			if r != nil {
				return nil, r
			}
			v.Class = class
			vdevs, i = append(vdevs, v), i+1
		}
	}
	number(vdevs)
	return vdevs, nil
}

func isGroup(word string) bool {
	return word == "mirror" || strings.HasPrefix(word, "raidz") || strings.HasPrefix(word, "draid")
}

// least is the smallest number of devices of a group.
func least(kind string) int {
	switch kind {
	case "mirror", "raidz", "raidz1":
		return 2
	case "raidz2":
		return 3
	case "raidz3":
		return 4
	}
	return 2
}

func (k *call) group(kind, class string, paths []string) (Vdev, *refusal) {
	if len(paths) < least(kind) {
		return Vdev{}, refuse(1, "invalid vdev specification: %s requires at least %d devices", kind, least(kind))
	}
	if kind == "raidz" {
		kind = "raidz1"
	}
	v := Vdev{Name: kind, GUID: k.vdevGUID(kind + paths[0]), Class: class}
	for _, path := range paths {
		c, r := k.leaf(path)
		if r != nil {
			return Vdev{}, r
		}
		v.Children = append(v.Children, c)
	}
	return v, nil
}

// leaf is a device that zpool would take.
func (k *call) leaf(path string) (Vdev, *refusal) {
	d := k.Devices[path]
	if d == nil {
		return Vdev{}, refuse(1, "cannot resolve path '%s'", path)
	}
	use := "invalid vdev specification\nuse '-f' to override the following errors:\n" + path
	switch {
	case d.Label != nil && d.Label.State == 3 && k.holds(d.Label, path):
		return Vdev{}, refuse(1, "%s is reserved as a hot spare for pool %s", use, d.Label.Pool)
	case d.Label != nil && (d.Label.State == 0 || d.Label.State == 4) && k.holds(d.Label, path):
		return Vdev{}, refuse(1, "%s is part of active pool '%s'", use, d.Label.Pool)
	case d.Label != nil && d.Label.State == 1:
		return Vdev{}, refuse(1, "%s is part of exported pool '%s'", use, d.Label.Pool)
	case d.Mounted != "" || len(d.Holders) > 0:
		return Vdev{}, refuse(1, "%s is in use and contains a %s filesystem.", use, "unknown")
	case d.Signature != "" && !d.Table && !d.File:
		return Vdev{}, refuse(1, "%s contains a filesystem of type '%s'", use, d.Signature)
	}
	return Vdev{Name: path, GUID: k.vdevGUID(path), Size: d.Size}, nil
}

// holds tells whether the pool of a label still has the device, or is not here: a device that was detached or replaced
// keeps its label, and zpool takes it.
func (k *call) holds(l *Label, path string) bool {
	for _, p := range k.Pools {
		if p.GUID == l.GUID {
			return slices.Contains(p.leaves(), path)
		}
	}
	return true
}

// vdevGUID is another one each time a device joins a pool.
func (k *call) vdevGUID(path string) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", k.TXG, path)
	return fmt.Sprint(h.Sum64())
}

// number gives the groups their names as status shows them: mirror-0, in the order of all top-level vdevs
// that hold data.
func number(vdevs []Vdev) {
	n := 0
	for i := range vdevs {
		if vdevs[i].Class == "cache" || vdevs[i].Class == "spare" {
			continue
		}
		vdevs[i].ID = n
		if len(vdevs[i].Children) > 0 {
			vdevs[i].Name = fmt.Sprintf("%s-%d", vdevs[i].Name, n)
		}
		n++
	}
}

// checkLayout refuses what is the same device twice, too small, or of unequal redundancy.
func checkLayout(name string, vdevs []Vdev) *refusal {
	seen := map[string]bool{}
	for _, path := range leaves(vdevs) {
		if seen[path] {
			return refuse(1, "cannot create '%s': one or more vdevs refer to the same device, or one of\nthe devices is part of an active md or lvm device", name)
		}
		seen[path] = true
	}
	first := ""
	for _, v := range vdevs {
		if v.smallest() < smallest {
			return refuse(1, "cannot create '%s': one or more devices is less than the minimum size (64M)", name)
		}
		if v.Class != "" && v.Class != "special" && v.Class != "dedup" {
			continue
		}
		if first == "" {
			first = v.redundancy()
		}
		if v.redundancy() != first {
			return refuse(1, "invalid vdev specification\nuse '-f' to override the following errors:\nmismatched replication level: both %s and %s vdevs are present", first, v.redundancy())
		}
	}
	if first == "" {
		return refuse(1, "invalid vdev specification: at least one toplevel vdev must be specified")
	}
	return nil
}

func (v Vdev) smallest() uint64 {
	if len(v.Children) == 0 {
		return v.Size
	}
	least := v.Children[0].smallest()
	for _, c := range v.Children {
		least = min(least, c.smallest())
	}
	return least
}

// redundancy tells vdevs apart that zpool does not mix.
func (v Vdev) redundancy() string {
	if len(v.Children) == 0 {
		return "disk"
	}
	kind, _, _ := strings.Cut(v.Name, "-")
	if kind == "mirror" {
		return fmt.Sprintf("%d-way mirror", len(v.Children))
	}
	kind, _, _ = strings.Cut(kind, ":")
	return kind
}

// size is what zpool list shows: the data vdevs, with the parity of raidz.
func (p *Pool) size() uint64 {
	var sum uint64
	for _, v := range p.Vdevs {
		if v.Class != "" {
			continue
		}
		sum += v.space()
	}
	return sum
}

// space is that of a top-level vdev for data, with the parity of raidz.
func (v Vdev) space() uint64 {
	one := less(v.smallest(), labels)
	if strings.HasPrefix(v.redundancy(), "raidz") || strings.HasPrefix(v.redundancy(), "draid") {
		one *= uint64(len(v.Children))
	}
	return one
}

func parseUint(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
