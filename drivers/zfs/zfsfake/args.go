package zfsfake

import (
	"slices"
	"strings"
)

// options are parsed flags: each with its arguments in order, nil for one without.
type options map[byte][]string

func (o options) has(flag byte) bool { _, ok := o[flag]; return ok }

// last is the argument of a flag that counts once.
func (o options) last(flag byte, otherwise string) string {
	if v := o[flag]; len(v) > 0 {
		return v[len(v)-1]
	}
	return otherwise
}

// getopt parses as getopt(3): known are the flags, one with an argument followed by a colon. Options may stand
// only before the operands. ok is false for a flag that is not known.
func getopt(args []string, known string) (opts options, operands []string, ok bool) {
	opts = options{}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		for i := 1; i < len(word); i++ {
			at := strings.IndexByte(known, word[i])
			if at < 0 || word[i] == ':' {
				return nil, nil, false
			}
			if at+1 == len(known) || known[at+1] != ':' {
				opts[word[i]] = nil
				continue
			}
			value := word[i+1:]
			if value == "" {
				if len(args) == 0 {
					return nil, nil, false
				}
				value, args = args[0], args[1:]
			}
			opts[word[i]] = append(opts[word[i]], value)
			break
		}
	}
	return opts, args, true
}

// usage is the answer to a command line that the real one does not understand.
func (k *call) usage() int {
	return k.fail(2, "invalid option or missing argument\nusage:\n\t%s", k.argv[1])
}

// assignment is one name=value word.
type assignment struct{ name, value string }

// assignments splits the words; a name that comes twice is refused as zfs does.
func assignments(words []string) ([]assignment, *refusal) {
	var all []assignment
	for _, w := range words {
		name, value, found := strings.Cut(w, "=")
		if !found {
			return nil, refuse(2, "missing '=' for property=value argument")
		}
		if slices.ContainsFunc(all, func(a assignment) bool { return a.name == name }) {
			return nil, refuse(255, "property '%s' specified multiple times", name)
		}
		all = append(all, assignment{name, value})
	}
	return all, nil
}
