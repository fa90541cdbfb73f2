package zfsfake

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// partition is the path of the nth partition of a disk.
func partition(disk string, n string) string {
	if strings.HasPrefix(disk, "/dev/disk/") {
		return disk + "-part" + n
	}
	return disk + n
}

// partitions are those of a disk.
func (m *Model) partitions(disk string) []string {
	var all []string
	for _, path := range slices.Sorted(maps.Keys(m.Devices)) {
		if m.Devices[path].Of == disk {
			all = append(all, path)
		}
	}
	return all
}

// repartition makes the kernel forget the partitions of a disk that has no table any more.
func (m *Model) repartition(disk string) {
	for _, path := range m.partitions(disk) {
		delete(m.Devices, path)
	}
}

// inUse tells whether an exclusive open of a block device fails: it, a partition of it or the disk it is a part
// of is mounted, held, or in an imported pool.
func (m *Model) inUse(path string) bool {
	d := m.Devices[path]
	if d.File {
		return false
	}
	for _, other := range append(m.partitions(path), path, d.Of) {
		o := m.Devices[other]
		if o != nil && (o.Mounted != "" || len(o.Holders) > 0 || m.memberOf(other) != nil) {
			return true
		}
	}
	return false
}

// memberOf is the imported pool of which it is a device.
func (m *Model) memberOf(path string) *Pool {
	for _, p := range sortedPools(m.Pools) {
		if slices.Contains(p.leaves(), path) {
			return p
		}
	}
	return nil
}

// wipefs is `wipefs [-J | --noheadings -O TYPE] [--force] [-a] DEVICE`: without -a it lists.
func (k *call) wipefs() int {
	path := k.argv[len(k.argv)-1]
	d := k.Devices[path]
	has := func(word string) bool { return slices.Contains(k.argv[1:len(k.argv)-1], word) }
	switch {
	case d == nil:
		return k.fail(1, "wipefs: error: %s: probing initialization failed: No such file or directory", path)
	case has("-a") && k.inUse(path) && !has("--force"):
		return k.fail(1, "wipefs: error: %s: probing initialization failed: Device or resource busy", path)
	case has("-a") && d.File && d.Table && !has("--force"):
		return k.fail(0, "wipefs: %s: ignoring nested \"%s\" partition table on non-whole disk device\nwipefs: Use the --force option to force erase.", path, d.Signature)
	case has("-a"):
		if d.Table && !d.File {
			k.repartition(path)
		}
		k.wrote = d.Signature != "" || d.Label != nil
		d.Signature, d.Table, d.Label = "", false, nil
		return 0
	case has("--noheadings"):
		for _, s := range d.signatures() {
			k.printf("%s\n", s["type"])
		}
		return 0
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	list := []map[string]any{}
	for _, s := range d.signatures() {
		s["device"] = name
		list = append(list, s)
	}
	text, err := json.MarshalIndent(map[string]any{"signatures": list}, "", "   ")
	if err != nil {
		return k.fail(1, "wipefs: %v", err)
	}
	k.printf("%s\n", text)
	return 0
}

// signatures are what wipefs lists: of a GPT both copies, and the MBR that protects it.
func (d *Device) signatures() []map[string]any {
	one := func(kind string) map[string]any { return map[string]any{"type": kind, "uuid": nil, "label": nil} }
	var all []map[string]any
	if d.Label != nil {
		s := one("zfs_member")
		if d.Label.Pool != "" {
			s["label"], s["uuid"] = d.Label.Pool, d.Label.GUID
		}
		all = append(all, s)
	}
	switch {
	case d.Signature == "gpt" && d.Table:
		all = append(all, one("gpt"), one("gpt"), one("PMBR"))
	case d.Signature != "":
		all = append(all, one(d.Signature))
	}
	return all
}

// losetup is `losetup -n -O NAME -j FILE`.
func (k *call) losetup() int {
	if d := k.Devices[k.argv[len(k.argv)-1]]; d != nil && d.Loop != "" {
		k.printf("%s\n", d.Loop)
	}
	return 0
}

// zpoolLabelclear takes a label off, but never that of a disk of an imported pool.
func (k *call) zpoolLabelclear(args []string) int {
	opts, operands, ok := getopt(args, "f")
	if !ok || len(operands) != 1 {
		return k.usage()
	}
	path := operands[0]
	d := k.Devices[path]
	switch {
	case d == nil:
		return k.fail(1, "failed to open %s: No such file or directory", path)
	case d.Label == nil:
		return k.fail(255, "failed to clear label for %s", path)
	}
	kind := map[int]string{0: "ACTIVE", 3: "SPARE", 4: "L2CACHE"}[d.Label.State]
	if p := k.memberOf(path); p != nil && kind != "" && !d.File { // a file is not protected (2.1.11, 2.3.9)
		return k.fail(1, "%s is a member (%s) of pool \"%s\". Offline the disk first to clear its label.", path, kind, p.Name)
	}
	if state := map[int]string{0: "potentially active", 1: "exported"}[d.Label.State]; state != "" && !opts.has('f') {
		return k.fail(1, "use '-f' to override the following error:\n%s is a member of %s pool \"%s\"", path, state, d.Label.Pool)
	}
	d.Label = nil
	k.wrote = true
	return 0
}
