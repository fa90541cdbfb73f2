package zfs

import (
	"math"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// Stream is what `zfs send` makes of one snapshot. It never has -R, -p or -F: one dataset, and no property travels.
type Stream struct {
	Snapshot string // dataset@name
	// From is what the receiving end has already: "" is nothing, else @name or #bookmark of the same dataset, or a whole
	// name.
	From    string
	Between bool // with all snapshots between the two (-I); From is no bookmark then

	Raw         bool // as it is on the disks (-w): what is encrypted stays so, and its key is not needed
	Compressed  bool // -c
	LargeBlocks bool // -L; without it a block of more than 128 KiB is cut, and -c inflates it
	Embedded    bool // -e; what is encrypted can't receive that
}

// Send writes the stream to standard output, and a line about its progress to standard error each second.
func (s Stream) Send() host.Command { return host.Read(s.argv("-P", "-v")...) }

// Quiet is Send without a word about its progress.
func (s Stream) Quiet() host.Command { return host.Read(s.argv()...) }

// Estimate asks how many bytes the stream will have.
func (s Stream) Estimate() host.Command {
	c := host.Read(s.argv("-n", "-P", "-v")...)
	c.Timeout = datasetsTimeout // from a bookmark it looks at what changed
	return c
}

func (s Stream) argv(words ...string) []string {
	argv := append([]string{"zfs", "send"}, words...)
	argv = append(argv, s.flags()...)
	switch {
	case s.From != "" && s.Between:
		argv = append(argv, "-I", s.From)
	case s.From != "":
		argv = append(argv, "-i", s.From)
	}
	return append(argv, s.Snapshot)
}

func (s Stream) flags() (words []string) {
	for _, f := range []struct {
		on   bool
		word string
	}{{s.Raw, "-w"}, {s.LargeBlocks, "-L"}, {s.Compressed, "-c"}, {s.Embedded, "-e"}} {
		if f.on {
			words = append(words, f.word)
		}
	}
	return words
}

// mostEstimated is the largest estimate that is believed. zfs adds and takes away in 64 bits, and where it takes too much
// the result is just below their end.
const mostEstimated = 1 << 62

// ParseEstimate reads the size that Estimate prints; known is false where it prints none, or one that can't be.
func ParseEstimate(out []byte) (bytes int64, known bool) {
	for line := range strings.Lines(string(out)) {
		text, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "size\t")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n > mostEstimated {
			return 0, false
		}
		bytes, known = int64(n), true
	}
	return bytes, known
}

// SendProgress reads a line that `zfs send -P -v` writes to standard error: how many bytes of the running snapshot's
// stream it has sent ("08:10:40<tab>3024704<tab>src/a@1"). Where several snapshots are sent each begins at 0.
func SendProgress(line string) (bytes int64, ok bool) {
	clock, rest, found := strings.Cut(line, "\t")
	count, name, named := strings.Cut(rest, "\t")
	if !found || !named || !strings.Contains(name, "@") || len(clock) != len("15:04:05") || clock[2] != ':' || clock[5] != ':' {
		return 0, false
	}
	n, err := strconv.ParseUint(count, 10, 64)
	if err != nil || n > math.MaxInt64 {
		return 0, false
	}
	return int64(n), true
}
