package zfs

import (
	"bytes"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// ParseSpace gives by name what the top-level vdevs of a pool hold, used and free, from what ListVdevs prints: in bytes
// without those that ZFS keeps for itself. The size column is no help: of a single device it is the whole device's.
func ParseSpace(pool string, out []byte) (map[string]uint64, error) {
	space := map[string]uint64{}
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\n")
		name, inner := strings.CutPrefix(text, "\t")
		f := strings.Split(name, "\t")
		if !inner && f[0] != pool && len(f) > expandColumn {
			return nil, &ParseError{What: "zpool list -v " + pool, Text: text}
		}
		if inner && len(f) > expandColumn {
			if n := number([]byte(f[2])) + number([]byte(f[3])); n > 0 {
				space[f[0]] = n
			}
		}
	}
	return space, nil
}

// GetAshift prints a line for each of these vdevs: its name and, as a power of two, its sector size. Vdevs have
// properties since 2.2.
func GetAshift(pool string, vdevs []string) host.Command {
	return host.Read(append([]string{"zpool", "get", "-Hp", "-o", "name,value", "ashift", pool}, vdevs...)...)
}

// ParseAshift reads what GetAshift prints.
func ParseAshift(out []byte) map[string]int {
	shifts := map[string]int{}
	for line := range bytes.Lines(out) {
		if name, value, ok := strings.Cut(strings.TrimRight(string(line), "\n"), "\t"); ok {
			shifts[name] = int(number([]byte(value)))
		}
	}
	return shifts
}
