package zfs

import (
	"slices"

	"github.com/dplaneos/dplane/drivers/host"
)

// perLine are these names in their order, as many in each part as one command line takes: Linux takes 2 MiB for arguments
// and environment together (execve(2)), and each word costs its end and a pointer besides.
func perLine(names []string) [][]string { return parts(names, 1<<20, 9) }

// perFarLine are as many in each part as one line over SSH takes: it goes as one word to ssh here, to a shell there and into
// the environment of a forced command, and Linux takes 128 KiB for a word. Each name costs a space and its quotes besides.
func perFarLine(names []string) [][]string { return parts(names, 120<<10, 3) }

// perWord are as many in each part as one word takes, with commas between them: Linux takes 128 KiB.
func perWord(names []string) [][]string { return parts(names, 120<<10, 1) }

func parts(names []string, limit, beside int) (all [][]string) {
	from, size := 0, 0
	for i, n := range names {
		if size += len(n) + beside; size > limit && i > from {
			all = append(all, names[from:i])
			from, size = i, len(n)+beside
		}
	}
	if from < len(names) {
		all = append(all, names[from:])
	}
	return all
}

// reads asks for something of many datasets or snapshots of this machine, in one command but for the limit of a command line.
func reads(names []string, argv ...string) []host.Command { return readsOf(perLine(names), argv) }

// farReads are reads that may run on another machine.
func farReads(names []string, argv ...string) []host.Command { return readsOf(perFarLine(names), argv) }

func readsOf(parts [][]string, argv []string) (all []host.Command) {
	for _, some := range parts {
		c := host.Read(slices.Concat(argv, some)...)
		c.Timeout = datasetsTimeout
		all = append(all, c)
	}
	return all
}
