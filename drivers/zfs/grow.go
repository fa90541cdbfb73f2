package zfs

import (
	"bytes"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// ListVdevs lists the sizes of the vdevs of a pool, with whole device paths.
func ListVdevs(pool string) host.Command { return host.Read("zpool", "list", "-HpvP", pool) }

// The default columns of zpool list: name, size, allocated, free, checkpoint, expandsize.
const allocatedColumn, freeColumn, expandColumn = 2, 3, 5

// ParseGrown gives by how many bytes the vdevs of a pool grew beyond what the pool takes, by their names; those that did
// not are left out.
func ParseGrown(pool string, out []byte) (map[string]uint64, error) {
	return vdevSizes(pool, out, expandColumn)
}

// vdevSizes adds up some columns of what ListVdevs prints, by the names of the vdevs; where it is nothing they are left out.
func vdevSizes(pool string, out []byte, columns ...int) (map[string]uint64, error) {
	sizes := map[string]uint64{}
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\n")
		name, inner := strings.CutPrefix(text, "\t")
		f := strings.Split(name, "\t")
		switch {
		case len(f) <= expandColumn: // a heading between classes
			continue
		case !inner && f[0] != pool:
			return nil, &ParseError{What: "zpool list -v " + pool, Text: text}
		case !inner: // the pool itself
			continue
		}
		var n uint64
		for _, c := range columns {
			n += number([]byte(f[c]))
		}
		if n > 0 {
			sizes[f[0]] = n
		}
	}
	return sizes, nil
}

// ExpandVdevs takes what devices grew by; the partition of a disk that ZFS partitioned itself grows with it.
func ExpandVdevs(pool string, devices []string) host.Command {
	return host.Write(append([]string{"zpool", "online", "-e", pool}, devices...)...)
}
