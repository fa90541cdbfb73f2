package zfs

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// Allowed asks for the permissions that are delegated on a dataset and above it; zfs takes one dataset per call.
func Allowed(name string) host.Command { return host.Read("zfs", "allow", name) }

// Allow delegates permissions on a dataset and what is below it. who is user:NAME, group:NAME or everyone.
func Allow(name, who string, permissions []string) host.Command {
	return delegate("allow", name, who, permissions)
}

// Unallow takes them back, here and below.
func Unallow(name, who string, permissions []string) host.Command {
	return delegate("unallow", name, who, permissions)
}

func delegate(command, name, who string, permissions []string) host.Command {
	argv := []string{"zfs", command}
	switch kind, account, _ := strings.Cut(who, ":"); kind {
	case "user":
		argv = append(argv, "-u", account)
	case "group":
		argv = append(argv, "-g", account)
	default:
		argv = append(argv, "-e")
	}
	return host.Write(append(argv, strings.Join(permissions, ","), name)...)
}

// ParseAllowed reads what Allowed prints and keeps the section of the dataset itself. Permission sets and what a creator
// gets are nobody's and left out.
func ParseAllowed(name string, out []byte) (map[string]state.Grant, error) {
	grants := map[string]map[bool]map[string]bool{} // who -> here or below -> permission
	mine, section := false, ""
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\n")
		if rest, ok := strings.CutPrefix(text, "---- Permissions on "); ok {
			mine = strings.TrimRight(rest, "-") == name+" "
			continue
		}
		entry, indented := strings.CutPrefix(text, "\t")
		switch {
		case !indented:
			section = text
			continue
		case !mine:
			continue
		}
		if err := addGrant(grants, section, entry); err != nil {
			return nil, err
		}
	}
	return sortedGrants(grants), nil
}

// Delegations gives to a dataset what Allowed printed of another one's own: permission sets and what a creator gets too.
func Delegations(of, to string, out []byte) (all []host.Command, err error) {
	mine, section := false, ""
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\n")
		if rest, ok := strings.CutPrefix(text, "---- Permissions on "); ok {
			mine = strings.TrimRight(rest, "-") == of+" "
			continue
		}
		entry, indented := strings.CutPrefix(text, "\t")
		switch {
		case !indented:
			section = text
		case mine:
			words, ok := delegation(section, entry)
			if !ok {
				return nil, &ParseError{What: "zfs allow", Text: section + " " + entry}
			}
			all = append(all, host.Write(append(append([]string{"zfs", "allow"}, words...), to)...))
		}
	}
	return all, nil
}

// delegation are the words by which one line of a section is given.
func delegation(section, entry string) (words []string, ok bool) {
	switch section {
	case "Permission sets:":
		set, list, ok := strings.Cut(entry, " ")
		return []string{"-s", set, list}, ok && strings.HasPrefix(set, "@")
	case "Create time permissions:":
		return []string{"-c", entry}, entry != ""
	case "Local permissions:":
		words = []string{"-l"}
	case "Descendent permissions:":
		words = []string{"-d"}
	case "Local+Descendent permissions:":
	default:
		return nil, false
	}
	who, list, ok := grantee(entry)
	kind, account, _ := strings.Cut(who, ":")
	switch kind {
	case "user":
		words = append(words, "-u", account)
	case "group":
		words = append(words, "-g", account)
	default:
		words = append(words, "-e")
	}
	return append(words, list), ok
}

func addGrant(grants map[string]map[bool]map[string]bool, section, entry string) error {
	var places []bool // here is true
	switch section {
	case "Local permissions:":
		places = []bool{true}
	case "Descendent permissions:":
		places = []bool{false}
	case "Local+Descendent permissions:":
		places = []bool{true, false}
	case "Permission sets:", "Create time permissions:":
		return nil
	default:
		return &ParseError{What: "zfs allow", Text: section}
	}
	who, list, ok := grantee(entry)
	if !ok {
		return &ParseError{What: "zfs allow", Text: entry}
	}
	if grants[who] == nil {
		grants[who] = map[bool]map[string]bool{true: {}, false: {}}
	}
	for _, p := range strings.Split(list, ",") {
		for _, here := range places {
			grants[who][here][p] = true
		}
	}
	return nil
}

// grantee splits "user anna send,hold", "group it send" and "everyone send".
func grantee(entry string) (who, list string, ok bool) {
	at := strings.LastIndexByte(entry, ' ')
	if at < 0 {
		return "", "", false
	}
	entry, list = entry[:at], entry[at+1:]
	kind, account, _ := strings.Cut(entry, " ")
	if number, ok := strings.CutPrefix(account, "(unknown: "); ok { // of nobody that this machine knows
		account = strings.TrimSuffix(number, ")")
	}
	switch {
	case entry == "everyone":
		return entry, list, true
	case (kind == "user" || kind == "group") && account != "":
		return kind + ":" + account, list, true
	}
	return "", "", false
}

func sortedGrants(grants map[string]map[bool]map[string]bool) map[string]state.Grant {
	out := map[string]state.Grant{}
	for who, g := range grants {
		out[who] = state.Grant{Here: slices.Sorted(maps.Keys(g[true])), Below: slices.Sorted(maps.Keys(g[false]))}
	}
	return out
}

// ParseAccounts reads what getent prints of passwd or group: what was asked for, a name or a number, gives the name.
func ParseAccounts(out []byte) map[string]string {
	names := map[string]string{}
	for line := range bytes.Lines(out) {
		if f := strings.SplitN(string(line), ":", 4); len(f) == 4 {
			names[f[0]] = f[0]
			if _, taken := names[f[2]]; !taken {
				names[f[2]] = f[0]
			}
		}
	}
	return names
}
