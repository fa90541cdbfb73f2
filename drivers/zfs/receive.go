package zfs

import "github.com/dplaneos/dplane/drivers/host"

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

// DiscardPartial gives up what an interrupted receive left in target: with a first stream the whole of it, else only what
// came since its newest snapshot.
func DiscardPartial(target string) host.Command { return host.Write("zfs", "receive", "-A", target) }
