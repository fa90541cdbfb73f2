package zfs

import (
	"bytes"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// labelStates are the numbers of pool_state_t in sys/fs/zfs.h.
var labelStates = map[string]string{"0": "active", "1": "exported", "2": "destroyed", "3": "spare", "4": "cache"}

// ReadLabel prints the labels of a device or file, of any state. It exits 0 where there is one, else 2.
func ReadLabel(device string) host.Command { return host.Read("zdb", "-l", device) }

// ExpectNoLabel holds while a device has no ZFS label of any state.
func ExpectNoLabel(device string) host.Expect {
	return host.Expect{
		Command: host.Read("zdb", "-l", "-q", device), // quiet: the words differ with the cause
		Code:    2,
		Means:   device + " has no ZFS label",
	}
}

// ClearLabel takes the labels off a device or file. Without -f it refuses those of a pool that is not imported here
// (PRODUCT.md section 4, promise 1); with it, still those of one that is, but only on disks.
func ClearLabel(device string) host.Command {
	return host.Write("zpool", "labelclear", "-f", device)
}

// ParseLabels reads what ReadLabel prints: zdb groups the copies that are alike, and a device that was in two
// pools can carry labels of both. No label gives none.
func ParseLabels(out []byte) []state.Label {
	var all []state.Label
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\n")
		if strings.HasPrefix(text, "LABEL ") {
			all = append(all, state.Label{})
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(text, "    "), ": ")
		if strings.HasPrefix(text, "L2ARC ") {
			break // the header of a cache device, not its label
		}
		if !ok || len(all) == 0 || !strings.HasPrefix(text, "    ") || strings.HasPrefix(key, " ") {
			continue // what is deeper belongs to the vdev tree
		}
		l := &all[len(all)-1]
		switch key {
		case "name":
			l.Pool = strings.Trim(value, "'")
		case "pool_guid":
			l.GUID = value
		case "guid":
			l.Vdev = value
		case "state":
			l.State = labelStates[value]
		}
	}
	return unique(all)
}

// unique drops labels that differ in no more than their time.
func unique(all []state.Label) []state.Label {
	var out []state.Label
	for _, l := range all {
		if !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}
