package zfs

import (
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Reverse says how to take one writing command back: for each thing it changes a read that shows it, and what to
// run by the answer that the read gave before. nil: it can't be taken back, or nobody has thought about it; that
// is all but setting and inheriting properties, mounting and renaming.
func Reverse(c host.Command) []host.Reversal {
	if len(c.Argv) < 4 && !(len(c.Argv) == 3 && (c.Argv[1] == "mount" || c.Argv[1] == "unmount")) {
		return nil
	}
	object := c.Argv[len(c.Argv)-1]
	words := c.Argv[2 : len(c.Argv)-1]
	switch c.Argv[0] + " " + c.Argv[1] {
	case "zfs set", "zpool set":
		return reverseSet(c.Argv[0], words, object)
	case "zfs inherit":
		return reverseProps("zfs", []string{words[len(words)-1]}, object)
	case "zfs mount", "zfs unmount":
		return reverseMount(words, object)
	case "zfs rename":
		return reverseRename(words, object)
	}
	return nil
}

func reverseSet(program string, words []string, object string) []host.Reversal {
	var props []string
	for _, w := range words {
		name, _, ok := strings.Cut(w, "=")
		if !ok || name == "volsize" {
			return nil
		}
		props = append(props, name)
	}
	return reverseProps(program, props, object)
}

// reverseProps has one reversal for each property, so that one that somebody else changes meanwhile keeps none of
// the others.
func reverseProps(program string, props []string, object string) []host.Reversal {
	var out []host.Reversal
	for _, prop := range props {
		if program == "zpool" && strings.HasPrefix(prop, "feature@") {
			return nil
		}
		out = append(out, host.Reversal{
			Read: host.Read(program, "get", "-Hp", "-o", "property,value,source", "guid,"+prop, object),
			Back: func(answer string) []host.Command { return setBack(program, object, prop, answer) },
		})
	}
	return out
}

// setBack restores value and source. nil where the answer is not understood.
func setBack(program, object, prop, answer string) []host.Command {
	_, rest, _ := strings.Cut(answer, "\n")
	rest, ok := strings.CutPrefix(rest, prop+"\t")
	i := strings.LastIndexByte(rest, '\t') // a value may hold one itself
	if !ok || i < 0 {
		return nil
	}
	value, source := rest[:i], strings.TrimSuffix(rest[i+1:], "\n")
	switch {
	case source == "temporary": // a mount option hides what is set
		return nil
	case program == "zpool": // a default as well, of which zpool knows no word
		return []host.Command{SetPool(object, prop, PoolValue(state.Property{Value: value, Source: source}))}
	case source == "local":
		return []host.Command{Set(object, map[string]string{prop: value})}
	}
	return []host.Command{Inherit(object, prop, source == "received" || !spec.Inheritable(prop) && !spec.IsUserProperty(prop))}
}

func reverseMount(options []string, object string) []host.Reversal {
	if len(options) > 0 || strings.HasPrefix(object, "-") {
		return nil
	}
	return []host.Reversal{{
		Read: host.Read("zfs", "get", "-Hp", "-o", "property,value,source", "guid,mounted", object),
		Back: func(answer string) []host.Command {
			_, mounted, _ := strings.Cut(answer, "\n")
			switch mounted {
			case "mounted\tyes\t-\n":
				return []host.Command{host.Write("zfs", "mount", object)}
			case "mounted\tno\t-\n":
				return []host.Command{host.Write("zfs", "unmount", object)}
			}
			return nil
		},
	}}
}

func reverseRename(words []string, to string) []host.Reversal {
	from := words[len(words)-1]
	back := append([]string{"zfs", "rename"}, words[:len(words)-1]...)
	if strings.ContainsAny(to+from, "@#") {
		return nil
	}
	return []host.Reversal{{
		Read: host.Read("zfs", "get", "-Hp", "-o", "name,value", "guid", from, to), // one of them is there
		Back: func(string) []host.Command { return []host.Command{host.Write(append(back, to, from)...)} },
	}}
}
