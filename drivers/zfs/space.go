package zfs

import (
	"bytes"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// ParseSpace gives by name what the top-level vdevs of a pool hold, used and free, from what ListVdevs prints: in bytes
// without those that ZFS keeps for itself. The size column is no help: of a single device it is the whole device's.
func ParseSpace(pool string, out []byte) (map[string]uint64, error) {
	return vdevSizes(pool, out, allocatedColumn, freeColumn)
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
