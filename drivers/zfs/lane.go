package zfs

import (
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// withValue are the options of zpool that take a word of their own, by what they belong to.
var withValue = map[string]string{
	"create": "-o -O -R -m -t", "import": "-o -R -d -c -t", "add": "-o", "attach": "-o", "replace": "-o", "list": "-o -T",
	"get": "-o", "trim": "-r", "status": "-c -T", "split": "-o -R", "upgrade": "-V", "wait": "-t -T",
}

// PoolNamed is the pool on which a zfs or zpool command works, "" where it works on all of them or on none: a
// command on a pool that does not answer hangs, and no second one is to be begun beside it.
func PoolNamed(c host.Command) string {
	if len(c.Argv) < 3 {
		return ""
	}
	var object string
	switch c.Argv[0] {
	case "zfs": // what it works on comes last
		object = c.Argv[len(c.Argv)-1]
	case "zpool":
		object = positional(c.Argv[1], c.Argv[2:])
	}
	if i := strings.IndexAny(object, "/@#"); i >= 0 {
		object = object[:i]
	}
	return object
}

// positional is the word of a zpool command line that names the pool.
func positional(sub string, words []string) string {
	options := strings.Fields(withValue[sub])
	var rest []string
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case !strings.HasPrefix(w, "-") || w == "-":
			rest = append(rest, w)
		case takesNext(w, options):
			i++
		}
	}
	n := 0
	if sub == "get" || sub == "set" { // the property comes first
		n = 1
	}
	if sub == "labelclear" || len(rest) <= n {
		return ""
	}
	return rest[n]
}

// takesNext tells whether the value of an option, or of the last of several in one word (-Hpo), is the next word.
func takesNext(w string, options []string) bool {
	for _, o := range options {
		if !strings.HasPrefix(w, "--") && strings.HasSuffix(w, o[1:]) {
			return true
		}
	}
	return false
}

// Suspended asks for the health of one pool, and how a suspended one answers.
func Suspended(pool string) (ask host.Command, says string) {
	c := host.Read("zpool", "list", "-H", "-o", "health", pool)
	c.Timeout = suspendedTimeout
	return c, "SUSPENDED\n"
}

// suspendedTimeout is short: the answer comes from memory, or not at all.
const suspendedTimeout = 5 * 1e9
