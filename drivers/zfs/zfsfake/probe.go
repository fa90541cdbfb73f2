package zfsfake

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// blkid is `blkid -p DEVICE`: 2 and no word where there is nothing, and also where there is no device.
func (k *call) blkid() int {
	path := k.argv[len(k.argv)-1]
	d := k.Devices[path]
	switch {
	case d != nil && d.Label == nil && d.Signature == "" && d.Of != "":
		k.printf("%s: PART_ENTRY_SCHEME=\"gpt\" PART_ENTRY_NUMBER=\"1\"\n", path)
	case d == nil || d.Label == nil && d.Signature == "":
		return 2
	case d.Label != nil:
		k.printf("%s: VERSION=\"5000\" LABEL=\"%s\" UUID=\"%s\" TYPE=\"zfs_member\" USAGE=\"filesystem\"\n", path, d.Label.Pool, d.Label.GUID)
	case d.Table:
		k.printf("%s: PTUUID=\"0e21f89a\" PTTYPE=\"%s\"\n", path, d.Signature)
	default:
		k.printf("%s: UUID=\"8b1f0f2c\" TYPE=\"%s\" USAGE=\"filesystem\"\n", path, d.Signature)
	}
	return 0
}

// zdb is `zdb -l [-q] DEVICE`.
func (k *call) zdb() int {
	opts, operands, ok := getopt(k.argv[1:], "lq")
	if !ok || !opts.has('l') || len(operands) != 1 {
		return k.fail(1, "usage: zdb -l <device>")
	}
	d := k.Devices[operands[0]]
	switch {
	case d == nil:
		return k.fail(1, "cannot open '%s': No such file or directory", operands[0])
	case d.Label == nil && opts.has('q'):
		return 2
	case d.Label == nil:
		k.printf("failed to unpack label 0\nfailed to unpack label 1\nfailed to unpack label 2\nfailed to unpack label 3\n")
		return 2
	case opts.has('q'):
		return 0
	}
	k.printf("------------------------------------\nLABEL 0 \n------------------------------------\n    version: 5000\n")
	if d.Label.State < 3 {
		k.printf("    name: '%s'\n    state: %d\n    txg: 42\n    pool_guid: %s\n", d.Label.Pool, d.Label.State, d.Label.GUID)
	} else {
		k.printf("    state: %d\n", d.Label.State)
	}
	if d.Label.Vdev != "" {
		k.printf("    guid: %s\n", d.Label.Vdev)
	}
	k.printf("    labels = 0 1 2 3 \n")
	return 0
}

// readlink is `readlink -m -z -- PATH...`.
func (k *call) readlink() int {
	for _, path := range k.argv[1:] {
		if real, ok := k.Links[path]; ok {
			path = real
		}
		if path != "-m" && path != "-z" && path != "--" {
			k.printf("%s\x00", path)
		}
	}
	return 0
}

// stat is `stat -L -c %F FILE`, or %s.
func (k *call) stat() int {
	if i := slices.Index(k.argv, "--"); i > 0 {
		return k.stats(k.argv[i+1:])
	}
	path := k.argv[len(k.argv)-1]
	_, isDir := k.Dirs[path]
	switch d := k.Devices[path]; {
	case d != nil && slices.Contains(k.argv, "%s"):
		k.printf("%d\n", d.Size)
	case d != nil && d.File:
		k.printf("regular file\n")
	case d != nil:
		k.printf("block special file\n")
	case isDir:
		k.printf("directory\n")
	default:
		return k.fail(1, "stat: cannot statx '%s': No such file or directory", path)
	}
	return 0
}

// block is a line of lsblk: the device, a partition of it, or what holds it.
type block struct {
	name, kind, fstype, mountpoint string
	size, sector                   string
	children                       []block
}

// lsblk is `lsblk [-J] [-n] [-r] [-p] -o COLUMNS DEVICE`.
func (k *call) lsblk() int {
	opts, operands, ok := getopt(k.argv[1:], "Jnrpbdo:")
	if !ok || len(operands) != 1 {
		return k.fail(1, "lsblk: usage")
	}
	path := operands[0]
	d := k.Devices[path]
	if d == nil || d.File {
		return k.fail(32, "lsblk: %s: not a block device", path)
	}
	top := k.block(path)
	columns := strings.Split(strings.ToLower(opts.last('o', "name")), ",")
	if opts.has('J') {
		text, err := json.MarshalIndent(map[string]any{"blockdevices": []any{top.json(columns)}}, "", "   ")
		if err != nil {
			return k.fail(1, "lsblk: %v", err)
		}
		k.printf("%s\n", text)
		return 0
	}
	if opts.has('d') {
		top.children = nil
	}
	k.blocks(top, columns)
	return 0
}

// block is the tree of a device: its partitions, and what holds it.
func (k *call) block(path string) block {
	d := k.Devices[path]
	b := block{name: path, kind: "disk", mountpoint: d.Mounted, size: fmt.Sprint(d.Size), sector: fmt.Sprint(max(d.Sector, 512))}
	if d.Of != "" {
		b.kind = "part"
	}
	switch {
	case d.Label != nil:
		b.fstype = "zfs_member"
	case !d.Table:
		b.fstype = d.Signature
	}
	for _, p := range k.partitions(path) {
		b.children = append(b.children, k.block(p))
	}
	for _, h := range d.Holders {
		kind := "lvm"
		if strings.HasPrefix(h, "md") {
			kind = "raid1"
		}
		b.children = append(b.children, block{name: "/dev/" + h, kind: kind})
	}
	return b
}

func (b block) column(name string) string {
	return map[string]string{"name": b.name, "path": b.name, "type": b.kind, "fstype": b.fstype, "mountpoint": b.mountpoint,
		"size": b.size, "log-sec": b.sector}[name]
}

func (b block) json(columns []string) map[string]any {
	m := map[string]any{}
	for _, c := range columns {
		m[c] = nil
		if v := b.column(c); v != "" {
			m[c] = v
		}
	}
	var children []any
	for _, c := range b.children {
		children = append(children, c.json(columns))
	}
	if children != nil {
		m["children"] = children
	}
	return m
}

func (k *call) blocks(b block, columns []string) {
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = b.column(c)
	}
	k.printf("%s\n", strings.Join(values, " "))
	for _, c := range b.children {
		k.blocks(c, columns)
	}
}

// find is `find [-H] PLACES -maxdepth 0 TESTS`, with the tests -type d, -empty, !, -o and parentheses.
func (k *call) find() int {
	args := k.argv[1:]
	if len(args) > 0 && args[0] == "-H" {
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "/proc" {
		return k.findUsers(args)
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "/dev/zvol/") {
		return k.findLinks(args)
	}
	end := slices.IndexFunc(args, func(w string) bool { return strings.HasPrefix(w, "-") || w == "(" || w == "!" })
	if end < 0 || len(args) < end+2 || args[end] != "-maxdepth" || args[end+1] != "0" {
		return k.fail(1, "find: this model knows -maxdepth 0 alone")
	}
	code := 0
	for _, place := range args[:end] {
		names, exists := k.directory(place)
		if !exists {
			code = k.fail(1, "find: '%s': No such file or directory", place)
			continue
		}
		e := expression{words: args[end+2:], dir: names != nil, empty: len(names) == 0}
		if e.or() {
			k.printf("%s\n", place)
		}
		if e.bad || len(e.words) > 0 {
			return k.fail(1, "find: unknown predicate %q", e.words)
		}
	}
	return code
}

// directory are the names in a directory; nil for what is none.
func (k *call) directory(path string) (names []string, exists bool) {
	if _, file := k.Devices[path]; file {
		return nil, true
	}
	for _, p := range k.Pools {
		for n, d := range p.Datasets {
			if d.Mounted && p.place(n) == path {
				return k.mounted(p, n), true
			}
		}
	}
	names, exists = k.Dirs[path]
	if names == nil {
		names = []string{}
	}
	return names, exists
}

// mounted are the names at the top of a mounted file system: what was written, and mountpoints below.
func (k *call) mounted(p *Pool, name string) []string {
	names := []string{}
	if p.Datasets[name].Written > 0 {
		names = append(names, "data")
	}
	at := p.place(name)
	for n, d := range p.Datasets {
		if below := p.place(n); d.Mounted && n != name && strings.HasPrefix(below, at+"/") {
			names = append(names, fmt.Sprint(below[len(at)+1:]))
		}
	}
	return names
}

// expression evaluates find's tests for one directory.
type expression struct {
	words      []string
	dir, empty bool
	bad        bool
}

func (e *expression) or() bool {
	value := e.and()
	for len(e.words) > 0 && e.words[0] == "-o" {
		e.words = e.words[1:]
		value = e.and() || value
	}
	return value
}

func (e *expression) and() bool {
	value := true
	for len(e.words) > 0 && e.words[0] != "-o" && e.words[0] != ")" && !e.bad {
		value = e.test() && value
	}
	return value
}

func (e *expression) test() bool {
	word := e.words[0]
	e.words = e.words[1:]
	switch {
	case word == "!" && len(e.words) > 0:
		return !e.test()
	case word == "(":
		value := e.or()
		if len(e.words) == 0 {
			e.bad = true
			return false
		}
		e.words = e.words[1:]
		return value
	case word == "-empty":
		return e.empty
	case word == "-print":
		return true
	case word == "-type" && len(e.words) > 0:
		kind := e.words[0]
		e.words = e.words[1:]
		return (kind == "d") == e.dir
	}
	e.bad = true
	return false
}
