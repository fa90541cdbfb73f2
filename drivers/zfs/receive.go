package zfs

import (
	"regexp"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// Receive reads a stream into target, which stays unmounted (-u), and keeps what came where the stream ends early (-s).
// set are properties that the target is to have itself, without those it does not take from the stream or from whom it
// inherits. It never has -F: what the target holds beside is not given up.
func Receive(target string, set map[string]string, without []string) host.Command {
	argv := append([]string{"zfs", "receive", "-s", "-u"}, options("-o", set)...)
	for _, prop := range without {
		argv = append(argv, "-x", prop)
	}
	return host.Write(append(argv, target)...)
}

// Unset are the properties among these that a receive into target did not set, with why, from what it wrote to standard
// error. It exits 0 all the same, for the stream was received (2.3.9, an ordinary user who may not set them). Of what was to
// be left out nothing is told: nobody can set that on it without the same right.
func Unset(stderr []byte, target string, set map[string]string) map[string]string {
	unset := map[string]string{}
	for line := range strings.Lines(string(stderr)) {
		rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "cannot receive ")
		name, why, told := strings.Cut(rest, " property on "+target+": ")
		if _, asked := set[name]; ok && told && asked {
			unset[name] = why
		}
	}
	return unset
}

// DiscardPartial gives up what an interrupted receive left in target: with a first stream the whole of it, else only what
// came since its newest snapshot.
func DiscardPartial(target string) host.Command { return host.Write("zfs", "receive", "-A", target) }

// EndReceive ends what Receive began into target, whatever it was to set, and nothing else: a process is known by its whole
// line (pkill(1) -x, -f). What came so far is kept. It exits 1 where nothing receives into it.
func EndReceive(target string) host.Command {
	return host.Write(append(endReceive(), receivesInto+regexp.QuoteMeta(target))...)
}

func endReceive() []string { return []string{"pkill", "-TERM", "-x", "-f", "--"} }

// receivesInto is the line of Receive up to the target.
const receivesInto = `([^ ]*/)?zfs receive -s -u (-[ox] .* )?`

// EndsReceive gives the target of the words of an EndReceive.
func EndsReceive(words []string) (target string, ok bool) {
	target, ok = strings.CutPrefix(words[len(words)-1], receivesInto)
	target = strings.ReplaceAll(target, `\`, "")
	return target, ok && slices.Equal(words, EndReceive(target).Argv)
}
