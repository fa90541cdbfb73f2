package zfs

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// TakeSnapshots takes these snapshots (dataset@name) of one pool, all of them in one transaction group or none. One
// command, but for the limit of a command line. mark is the value of state.ScheduleProperty on each; "": no schedule's.
func TakeSnapshots(mark string, names []string) []host.Command {
	var all []host.Command
	for _, some := range perLine(names) {
		argv := []string{"zfs", "snapshot"}
		if mark != "" {
			argv = append(argv, "-o", state.ScheduleProperty+"="+mark)
		}
		all = append(all, host.Write(append(argv, some...)...))
	}
	return all
}

// ListCovered asks for the snapshots of exactly these datasets, not of those below, with what was written between
// them and their marks. Where one is not there zfs exits 1, and prints the others. The name ends a record too: a mark
// may hold any text, and who may set one on a dataset must not be able to spell the snapshots of another.
func ListCovered(datasets []string) []host.Command {
	columns := snapshotColumns + ",written," + state.ScheduleProperty + ",name"
	return reads(datasets, "zfs", "list", "-Hp", "-d", "1", "-t", "snapshot", "-o", columns)
}

// ParseCovered reads what ListCovered prints, that of several commands one after the other, in its order. A mark may hold a
// tab or a newline. With both it can look like the end of its record: what follows then begins a second time, or swallows
// a whole line, and nothing is believed.
func ParseCovered(out []byte) ([]state.Snapshot, error) {
	var all []state.Snapshot
	seen := map[string]bool{}
	for rest := string(out); rest != ""; {
		name, _, _ := strings.Cut(rest, "\t")
		text, after, ended := strings.Cut(rest, "\t"+name+"\n")
		f := strings.SplitN(text, "\t", 9)
		s, ok := snapshot(f)
		if !ended || !ok || len(f) != 9 || seen[name] || strings.Contains(text[:len(text)-len(f[8])], "\n") || strings.Contains(f[8], "\n") && strings.Contains(f[8], "\t") {
			return nil, &ParseError{What: "zfs list -t snapshot", Text: rest}
		}
		seen[name] = true
		s.Written, s.Mark = number([]byte(f[7])), absent([]byte(f[8]))
		all = append(all, s)
		rest = after
	}
	return all, nil
}

// ListMarked asks which snapshots of exactly these datasets carry the mark themselves.
func ListMarked(datasets []string) []host.Command {
	return reads(datasets, "zfs", "get", "-Hp", "-d", "1", "-t", "snapshot", "-s", "local", "-o", "name", state.ScheduleProperty)
}

// ParseMarked are the whole names that ListMarked prints. One that came with a stream is not among them: its source is
// received.
func ParseMarked(out []byte) map[string]bool {
	marked := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		marked[strings.TrimSuffix(line, "\n")] = true
	}
	return marked
}

// refusedSnapshot are the forms in which zfs names what it could not snapshot (cmd/zfs/zfs_main.c and
// lib/libzfs/libzfs_dataset.c, zfs_snapshot_nvl): all that the kernel refused, but only the first that is not there.
var refusedSnapshot = regexp.MustCompile(`(?m)^cannot (?:create snapshot|open) '([^'@]+)(?:@.*)?': `)

// Refuses are the datasets that a failed `zfs snapshot` named; nil where it named none.
func Refuses(err error) (names []string) {
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return nil
	}
	for _, m := range refusedSnapshot.FindAllStringSubmatch(exit.Stderr, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// Reclaim asks how many bytes were free if these snapshots of a dataset were gone. Several commands tell of so much at
// least together: what snapshots of two of them share, neither counts.
func Reclaim(dataset string, names []string) []host.Command {
	var all []host.Command
	for _, some := range perWord(names) {
		all = append(all, host.Read("zfs", "destroy", "-nvp", dataset+"@"+strings.Join(some, ",")))
	}
	return all
}

// ParseReclaim reads what one of Reclaim prints.
func ParseReclaim(out []byte) (uint64, error) {
	for line := range strings.Lines(string(out)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "reclaim\t"); ok {
			return strconv.ParseUint(n, 10, 64)
		}
	}
	return 0, &ParseError{What: "zfs destroy -nvp", Text: string(out)}
}
