package zfs

import (
	"bytes"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// ListVdevs lists the sizes of the vdevs of a pool, with whole device paths.
func ListVdevs(pool string) host.Command { return host.Read("zpool", "list", "-HpvP", pool) }

// expandColumn is EXPANDSZ in the default columns of zpool list: name, size, allocated, free, checkpoint, expandsize.
const expandColumn = 5

// ParseGrown gives by how many bytes the vdevs of a pool grew beyond what the pool takes, by their names; those that did
// not are left out.
func ParseGrown(pool string, out []byte) (map[string]uint64, error) {
	grown := map[string]uint64{}
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\n")
		name, inner := strings.CutPrefix(text, "\t")
		f := strings.Split(name, "\t")
		if !inner && f[0] != pool && len(f) > expandColumn {
			return nil, &ParseError{What: "zpool list -v " + pool, Text: text}
		}
		if !inner || len(f) <= expandColumn {
			continue // the pool itself, or a heading between classes
		}
		if n := number([]byte(f[expandColumn])); n > 0 {
			grown[f[0]] = n
		}
	}
	return grown, nil
}

// ExpandVdevs takes what devices grew by; the partition of a disk that ZFS partitioned itself grows with it.
func ExpandVdevs(pool string, devices []string) host.Command {
	return host.Write(append([]string{"zpool", "online", "-e", pool}, devices...)...)
}
