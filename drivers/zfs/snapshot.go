package zfs

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// snapshotColumns are what the lists of snapshots ask for, in the order that ParseSnapshots expects.
const snapshotColumns = "name,guid,createtxg,creation,used,userrefs,clones"

// ListSnapshots asks for these snapshots (dataset@name). Where one is not there zfs exits 1, and prints the others.
func ListSnapshots(names []string) []host.Command {
	return farReads(names, "zfs", "list", "-Hp", "-t", "snapshot", "-o", snapshotColumns)
}

// ListSnapshotsBelow asks for all snapshots of these datasets and of what is below them.
func ListSnapshotsBelow(datasets ...string) []host.Command {
	return reads(datasets, "zfs", "list", "-Hp", "-r", "-t", "snapshot", "-o", snapshotColumns)
}

// ParseSnapshots reads what ListSnapshots and ListSnapshotsBelow print, in its order.
func ParseSnapshots(out []byte) ([]state.Snapshot, error) {
	var all []state.Snapshot
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		s, ok := snapshot(f)
		if !ok || len(f) != 7 {
			return nil, &ParseError{What: "zfs list -t snapshot", Text: line}
		}
		all = append(all, s)
	}
	return all, nil
}

// snapshot reads the values of snapshotColumns.
func snapshot(f []string) (s state.Snapshot, ok bool) {
	if len(f) < 7 {
		return s, false
	}
	dataset, name, ok := strings.Cut(f[0], "@")
	created, err := strconv.ParseInt(f[3], 10, 64)
	if _, guid := strconv.ParseUint(f[1], 10, 64); !ok || dataset == "" || name == "" || guid != nil || err != nil {
		return s, false
	}
	s = state.Snapshot{
		Dataset: dataset, Name: name, GUID: f[1], TXG: number([]byte(f[2])), Creation: time.Unix(created, 0).UTC(),
		Used: number([]byte(f[4])), Holds: int(number([]byte(f[5]))),
	}
	if f[6] != "-" && f[6] != "" {
		s.Clones = strings.Split(f[6], ",")
	}
	return s, true
}

// Clone makes a dataset from a snapshot, with these properties.
func Clone(snapshot, name string, props map[string]string) host.Command {
	argv := append([]string{"zfs", "clone"}, options("-o", props)...)
	return host.Write(append(argv, snapshot, name)...)
}

// Rename gives a dataset, and with it what is below, another name in its pool. File systems whose mountpoint
// follows from the name are unmounted and mounted anew; where one is busy nothing is changed.
func Rename(from, to string) host.Command { return host.Write("zfs", "rename", from, to) }

// RenameUnmounted is Rename for what is not mounted, and stays so. zfs takes -u for file systems alone: "operation
// not applicable to datasets of this type" (2.3.9).
func RenameUnmounted(d *state.Dataset, from, to string) host.Command {
	if d.Type == "volume" {
		return Rename(from, to)
	}
	return host.Write("zfs", "rename", "-u", from, to)
}

// Mount mounts one file system, Unmount unmounts one; it refuses where a file is open.
func Mount(name string) host.Command   { return host.Write("zfs", "mount", name) }
func Unmount(name string) host.Command { return host.Write("zfs", "unmount", name) }

// PlayBack has what a crash left in the log of a file system come into it, which it does when it is mounted, also read-only, and
// not before; it is seen by nobody at this directory, which is made. No snapshot has what is in the log (zfsvfs_setup, zil_replay).
// A mountpoint that is legacy has to be told.
func PlayBack(name string, legacy bool, dir string) []host.Command {
	options := "ro,nosuid,nodev,noexec,X-mount.mkdir=0700"
	if !legacy {
		options += ",zfsutil"
	}
	return []host.Command{host.Write("mount", "-t", "zfs", "-o", options, name, dir), host.Write("umount", dir)}
}

// Changes tells whether a command changes what is on the disks of a pool: loading a key, mounting and unmounting don't,
// and succeed where the pool is imported read-only.
func Changes(c host.Command) bool {
	return c.Effect == host.Writes && !(c.Argv[0] == "zfs" && slices.Contains([]string{"load-key", "mount", "unmount"}, c.Argv[1]))
}

// most is how many datasets one command changes: each is a transaction group of its own, and takes its time.
const most = 500

// SetAll sets the same properties on several datasets.
func SetAll(names []string, props map[string]string) []host.Command {
	var all []host.Command
	for some := range slices.Chunk(names, most) {
		argv := append([]string{"zfs", "set"}, assignments(props)...)
		all = append(all, host.Write(append(argv, some...)...))
	}
	return all
}

// InheritAll gives one property of several datasets back, to a received value where there is one.
func InheritAll(names []string, prop string) []host.Command {
	var all []host.Command
	for some := range slices.Chunk(names, most) {
		all = append(all, host.Write(append([]string{"zfs", "inherit", "-S", prop}, some...)...))
	}
	return all
}

// DestroySnapshots destroys these snapshots of one dataset, each by its name.
func DestroySnapshots(dataset string, names []string) []host.Command {
	var all []host.Command
	for _, some := range perWord(names) {
		all = append(all, host.Write("zfs", "destroy", dataset+"@"+strings.Join(some, ",")))
	}
	return all
}

// Destroy destroys a dataset that has neither children nor snapshots; zfs refuses any other.
func Destroy(name string) host.Command { return host.Write("zfs", "destroy", name) }

// ExpectSnapshots holds while a dataset and what is below it have exactly these snapshots, held and cloned as
// they were.
func ExpectSnapshots(dataset string, list []state.Snapshot) host.Expect {
	var out strings.Builder
	for _, s := range list {
		fmt.Fprintf(&out, "%s\t%s\t%d\t%s\n", s.FullName(), s.GUID, s.Holds, cmp.Or(strings.Join(s.Clones, ","), "-"))
	}
	c := host.Read("zfs", "list", "-Hp", "-r", "-t", "snapshot", "-o", "name,guid,userrefs,clones", dataset)
	c.Timeout = datasetsTimeout
	return host.Expect{Command: c, Output: out.String(), Means: fmt.Sprintf("%s has the same %d snapshots", dataset, len(list))}
}

// ExpectValues holds while these datasets, the first and all below it, have the values of props with their sources.
func ExpectValues(list []*state.Dataset, props []string) host.Expect {
	var out strings.Builder
	for _, d := range list {
		for _, name := range props {
			p, ok := d.Properties[name]
			if name == "guid" {
				p, ok = state.Property{Value: d.GUID, Source: "-"}, true
			}
			if !ok {
				p = state.Property{Value: "-", Source: "-"}
			}
			fmt.Fprintf(&out, "%s\t%s\t%s\t%s\n", d.Name, name, p.Value, p.Source)
		}
	}
	c := host.Read("zfs", "get", "-Hp", "-r", "-t", "filesystem,volume", "-o", "name,property,value,source", strings.Join(props, ","), list[0].Name)
	c.Timeout = datasetsTimeout
	return host.Expect{Command: c, Output: out.String(), Means: fmt.Sprintf("%s is there with the same %d below it, and %s as they were", list[0].Name, len(list)-1, strings.Join(props, ", "))}
}

// ExpectTree holds while exactly these datasets are the first of them and what is below it.
func ExpectTree(names []string) host.Expect {
	return host.Expect{
		Command: host.Read("zfs", "list", "-H", "-r", "-t", "filesystem,volume", "-o", "name", names[0]),
		Output:  strings.Join(names, "\n") + "\n",
		Means:   fmt.Sprintf("%s is there with the same %d below it", names[0], len(names)-1),
	}
}
