package zfsfake

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// zfsAllow is `zfs allow NAME`, or `zfs allow [-ld] [-u|-g|-e] [WHO] PERMISSIONS NAME`, or with -c, or with -s @SET.
func (k *call) zfsAllow(args []string) int {
	if len(args) == 1 {
		return k.showAllow(args[0])
	}
	return k.delegate(args, true)
}

func (k *call) zfsUnallow(args []string) int { return k.delegate(args, false) }

func (k *call) delegate(args []string, give bool) int {
	opts, operands, ok := getopt(args, "ldu:g:ecs")
	if give && ok && (opts.has('c') && len(operands) == 2 || opts.has('s') && len(operands) == 3 && operands[0][0] == '@') {
		return k.delegateLater(opts.has('s'), operands)
	}
	if !ok || len(operands) != 2 {
		return k.usage()
	}
	who := "everyone"
	for flag, kind := range map[byte]string{'u': "user", 'g': "group"} {
		if opts.has(flag) {
			account := opts.last(flag, "")
			if !k.knows(account) { // the real one shows its usage, and exits 0
				return k.fail(0, "Usage:\nzfs: error: invalid %s %s", kind, account)
			}
			who = kind + " " + account
			if number := strings.Trim(account, "0123456789") == ""; number {
				who = fmt.Sprintf("%s (unknown: %s)", kind, account)
			}
		}
	}
	p, d, code := k.open(operands[1])
	if d == nil {
		return code
	}
	places := map[bool]bool{true: opts.has('l'), false: opts.has('d')} // here, below
	if !places[true] && !places[false] {
		places = map[bool]bool{true: true, false: true}
	}
	if !k.write(p) {
		return 0
	}
	for _, perm := range strings.Split(operands[0], ",") {
		for here, on := range places {
			if on {
				d.permit(who, perm, here, give)
			}
		}
	}
	return 0
}

// delegateLater is for who makes a dataset (-c), or for a set of permissions (-s).
func (k *call) delegateLater(set bool, operands []string) int {
	p, d, code := k.open(operands[len(operands)-1])
	if d == nil {
		return code
	}
	if !k.write(p) {
		return 0
	}
	for _, perm := range strings.Split(operands[len(operands)-2], ",") {
		if list := &d.AllowMaker; !set && !slices.Contains(*list, perm) {
			*list = append(*list, perm)
			slices.Sort(*list)
		}
		if d.AllowSets == nil {
			d.AllowSets = map[string][]string{}
		}
		if set && !slices.Contains(d.AllowSets[operands[0]], perm) {
			d.AllowSets[operands[0]] = append(d.AllowSets[operands[0]], perm)
			slices.Sort(d.AllowSets[operands[0]])
		}
	}
	return 0
}

func (d *Dataset) permit(who, perm string, here, give bool) {
	at := &d.AllowBelow
	if here {
		at = &d.AllowHere
	}
	if *at == nil {
		*at = map[string][]string{}
	}
	perms := slices.DeleteFunc((*at)[who], func(p string) bool { return p == perm })
	if give {
		perms = append(perms, perm)
		slices.Sort(perms)
	}
	(*at)[who] = perms
	if len(perms) == 0 {
		delete(*at, who)
	}
}

// showAllow prints the sections of the dataset and of those above it, nearest first.
func (k *call) showAllow(name string) int {
	p, d, _ := k.open(name)
	if d == nil {
		return k.fail(255, "Failed to open dataset: %s", name)
	}
	for at := name; at != ""; at = parent(at) {
		k.section(at, p.Datasets[at])
	}
	return 0
}

func (k *call) section(name string, d *Dataset) {
	only := func(a, b map[string][]string, both bool) map[string][]string {
		out := map[string][]string{}
		for who, perms := range a {
			for _, perm := range perms {
				if slices.Contains(b[who], perm) == both {
					out[who] = append(out[who], perm)
				}
			}
		}
		return out
	}
	head := "---- Permissions on " + name + " "
	if len(d.AllowHere)+len(d.AllowBelow)+len(d.AllowSets)+len(d.AllowMaker) > 0 {
		k.printf("%s%s\n", head, strings.Repeat("-", max(0, 70-len(head))))
	}
	for i, set := range slices.Sorted(maps.Keys(d.AllowSets)) {
		k.printf("%s\t%s %s\n", map[bool]string{true: "Permission sets:\n"}[i == 0], set, strings.Join(d.AllowSets[set], ","))
	}
	if len(d.AllowMaker) > 0 {
		k.printf("Create time permissions:\n\t%s\n", strings.Join(d.AllowMaker, ","))
	}
	for _, s := range []struct {
		title  string
		grants map[string][]string
	}{
		{"Local permissions:", only(d.AllowHere, d.AllowBelow, false)},
		{"Descendent permissions:", only(d.AllowBelow, d.AllowHere, false)},
		{"Local+Descendent permissions:", only(d.AllowHere, d.AllowBelow, true)},
	} {
		if len(s.grants) == 0 {
			continue
		}
		k.printf("%s\n", s.title)
		for _, kind := range []string{"user", "group", "everyone"} {
			for _, who := range slices.Sorted(maps.Keys(s.grants)) {
				if strings.HasPrefix(who, kind) {
					k.printf("\t%s %s\n", who, strings.Join(s.grants[who], ","))
				}
			}
		}
	}
}

// getent is `getent passwd|group -- NAME...`.
func (k *call) getent() int {
	code := 0
	for _, name := range k.argv[3:] {
		if slices.Contains(k.Users, name) {
			k.printf("%s:*:1000:1000::/:/bin/sh\n", name)
		} else {
			code = 2
		}
	}
	return code
}

// date is `date +%s`.
func (k *call) date() int {
	if len(k.argv) != 2 || k.argv[1] != "+%s" {
		return k.fail(1, "date: invalid date")
	}
	k.printf("%d\n", k.now())
	return 0
}
