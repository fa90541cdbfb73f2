package zfs

import (
	"slices"

	"github.com/dplaneos/dplane/drivers/host"
)

// perLine are these names in their order, as many in each part as one command line takes: Linux takes 2 MiB for arguments
// and environment together (execve(2)), and each word costs its end and a pointer besides.
func perLine(names []string) [][]string { return parts(names, 1<<20, 9) }

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

// reads asks for something of many datasets or snapshots, in one command but for the limit of a command line.
func reads(names []string, argv ...string) (all []host.Command) {
	for _, some := range perLine(names) {
		c := host.Read(slices.Concat(argv, some)...)
		c.Timeout = datasetsTimeout
		all = append(all, c)
	}
	return all
}
