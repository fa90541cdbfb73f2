package zfs

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// snapshotColumns are what the lists of snapshots ask for, in the order that ParseSnapshots expects.
const snapshotColumns = "name,guid,createtxg,creation,used,userrefs,clones"

// ListSnapshots asks for these snapshots (dataset@name). Where one is not there zfs exits 1, and prints the others.
func ListSnapshots(names []string) host.Command {
	return host.Read(append([]string{"zfs", "list", "-Hp", "-t", "snapshot", "-o", snapshotColumns}, names...)...)
}

// ListSnapshotsBelow asks for all snapshots of these datasets and of what is below them.
func ListSnapshotsBelow(datasets ...string) host.Command {
	c := host.Read(append([]string{"zfs", "list", "-Hp", "-r", "-t", "snapshot", "-o", snapshotColumns}, datasets...)...)
	c.Timeout = datasetsTimeout
	return c
}

// ParseSnapshots reads what ListSnapshots and ListSnapshotsBelow print, in its order.
func ParseSnapshots(out []byte) ([]state.Snapshot, error) {
	var all []state.Snapshot
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		bad := &ParseError{What: "zfs list -t snapshot", Text: line}
		if len(f) != 7 {
			return nil, bad
		}
		dataset, name, ok := strings.Cut(f[0], "@")
		created, err := strconv.ParseInt(f[3], 10, 64)
		if _, guid := strconv.ParseUint(f[1], 10, 64); !ok || dataset == "" || name == "" || guid != nil || err != nil {
			return nil, bad
		}
		s := state.Snapshot{
			Dataset: dataset, Name: name, GUID: f[1], TXG: number([]byte(f[2])), Creation: time.Unix(created, 0).UTC(),
			Used: number([]byte(f[4])), Holds: int(number([]byte(f[5]))),
		}
		if f[6] != "-" && f[6] != "" {
			s.Clones = strings.Split(f[6], ",")
		}
		all = append(all, s)
	}
	return all, nil
}

// Clone makes a dataset from a snapshot, with these properties.
func Clone(snapshot, name string, props map[string]string) host.Command {
	argv := append([]string{"zfs", "clone"}, options("-o", props)...)
	return host.Write(append(argv, snapshot, name)...)
}

// Rename gives a dataset, and with it what is below, another name in its pool. File systems whose mountpoint
// follows from the name are unmounted and mounted anew; where one is busy nothing is changed.
func Rename(from, to string) host.Command { return host.Write("zfs", "rename", from, to) }

// ExpectTree holds while exactly these datasets are the first of them and what is below it, in any order of zfs.
func ExpectTree(names []string) host.Expect {
	return host.Expect{
		Command: host.Read("zfs", "list", "-H", "-r", "-t", "filesystem,volume", "-o", "name", names[0]),
		Output:  strings.Join(names, "\n") + "\n",
		Means:   fmt.Sprintf("%s is there with the same %d below it", names[0], len(names)-1),
	}
}
