package zfs

import (
	"errors"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
)

// Hold keeps these snapshots (dataset@name) from being destroyed, under a tag. zfs takes one after the other: where one is
// held by the tag already, or not there, it names that one, exits 1, and holds the others.
func Hold(tag string, snapshots []string) []host.Command { return tagged("hold", tag, snapshots) }

// Release takes the tag from these snapshots, one after the other as Hold does.
func Release(tag string, snapshots []string) []host.Command { return tagged("release", tag, snapshots) }

func tagged(verb, tag string, snapshots []string) []host.Command {
	var all []host.Command
	for _, some := range perFarLine(snapshots) {
		all = append(all, host.Write(append([]string{"zfs", verb, tag}, some...)...))
	}
	return all
}

// AllHeld tells whether a Hold did what it was to do: no error, or of each snapshot that it names the tag was there.
func AllHeld(err error) bool { return eachSays(err, "tag already exists on this dataset") }

// AllReleased tells whether a Release did what it was to do: no error, or each that it names is gone or has no such tag.
func AllReleased(err error) bool {
	return eachSays(err, "no such tag on this dataset", "dataset does not exist")
}

// eachSays tells whether each line of what zfs said ends with one of these texts.
func eachSays(err error, texts ...string) bool {
	var exit *host.ExitError
	if err == nil || !errors.As(err, &exit) {
		return err == nil
	}
	for line := range strings.Lines(exit.Stderr) {
		if !slices.ContainsFunc(texts, func(t string) bool { return strings.HasSuffix(line, ": "+t+"\n") }) {
			return false
		}
	}
	return exit.Stderr != ""
}

// ListHolds asks for the tags of these snapshots. Where one is not there zfs exits 1, and prints the others.
func ListHolds(snapshots []string) []host.Command { return farReads(snapshots, "zfs", "holds", "-H") }

// ParseHolds reads what ListHolds prints: the tags by the whole names of the snapshots. A tag may hold tabs and newlines,
// and so look like another line: where as many tags are read as userrefs counts, each is one. What has not the form of a
// line is left out, for it is no tag of ours, and must not hide those that are.
func ParseHolds(out []byte) map[string][]string {
	held := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if _, err := spec.ParseSnapshotName(f[0]); err != nil || len(f) != 3 || f[1] == "" || f[2] == "" || slices.Contains(held[f[0]], f[1]) {
			continue
		}
		held[f[0]] = append(held[f[0]], f[1])
	}
	return held
}

// Bookmark keeps the moment of a snapshot (dataset@name), not its data, under a name of the same dataset.
func Bookmark(snapshot, name string) host.Command {
	dataset, _, _ := strings.Cut(snapshot, "@")
	return host.Write("zfs", "bookmark", snapshot, dataset+"#"+name)
}

// DestroyBookmark destroys one bookmark of a dataset; zfs takes no list of them.
func DestroyBookmark(dataset, name string) host.Command {
	return host.Write("zfs", "destroy", dataset+"#"+name)
}
