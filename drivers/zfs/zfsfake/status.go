package zfsfake

import (
	"fmt"
	"slices"
	"strings"
)

// classes are the headings of `zpool status`, in its order.
var classes = []struct{ class, heading string }{
	{"", ""}, {"dedup", "dedup\t"}, {"special", "special\t"}, {"log", "logs\t"}, {"cache", "cache"}, {"spare", "spares"},
}

func (k *call) zpoolStatus(args []string) int {
	json := slices.Contains(args, "--json-int")
	opts, operands, ok := getopt(slices.DeleteFunc(slices.Clone(args), func(w string) bool { return w == "--json-int" }), "jpPvLgt")
	if !ok || (json || opts.has('j')) && strings.HasPrefix(k.Release, "2.1.") {
		return k.usage()
	}
	pools, code := k.pools(operands)
	if opts.has('j') {
		k.statusJSON(pools, opts.has('t'))
		return code
	}
	if len(pools) == 0 && code == 0 {
		return k.fail(0, "no pools available")
	}
	for i, p := range pools {
		if i > 0 {
			k.printf("\n")
		}
		k.status(p, opts.has('g'), opts.has('t'))
	}
	return code
}

func (k *call) status(p *Pool, guids, trim bool) {
	k.printf("  pool: %s\n state: %s\n", p.Name, p.health())
	if p.Suspended {
		k.printf("status: One or more devices are faulted in response to IO failures.\n" +
			"action: Make sure the affected devices are connected, then run 'zpool clear'.\n" +
			"   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-HC\n")
	}
	if k.lacksFeatures(p) {
		k.printf("status: Some supported and requested features are not enabled on the pool.\n\tThe pool can still be used, but some features are unavailable.\n" +
			"action: Enable all features using 'zpool upgrade'. Once this is done,\n\tthe pool may no longer be accessible by software that does not support\n\tthe features. See zpool-features(7) for details.\n")
	}
	k.work(p)
	k.printf("config:\n\n")
	k.table(p, true, guids, trim)
	if p.Errors == 0 {
		k.printf("\nerrors: No known data errors\n")
	} else {
		k.printf("\nerrors: %d data errors, use '-v' for a list\n", p.Errors)
	}
}

// table prints the tree of vdevs; with counters for status, without for an import.
func (k *call) table(p *Pool, counters, guids, trim bool) {
	width := len(p.Name)
	for _, v := range p.Vdevs {
		width = max(width, v.width(2, guids))
	}
	if counters {
		k.printf("\t%-*s  STATE     READ WRITE CKSUM\n", width, "NAME")
	}
	k.line(width, 0, p.Name, p.health(), "", counters, 0)
	for _, c := range classes {
		first := true
		for _, v := range p.Vdevs {
			if v.Class != c.class {
				continue
			}
			if first && c.heading != "" {
				k.printf("\t%s\n", c.heading)
			}
			first = false
			k.vdev(v, 2, width, counters, guids, trim)
		}
	}
}

func (k *call) line(width, depth int, name, state, note string, counters bool, checksum uint64) {
	numbers := ""
	if counters && state != "AVAIL" && state != "INUSE" {
		numbers = fmt.Sprintf("     0     0 %5d", checksum)
	}
	if note != "" {
		note = "  " + note
	}
	k.printf("\t%-*s  %-8s%s%s\n", width, strings.Repeat(" ", depth)+name, state, numbers, note)
}

func (k *call) vdev(v Vdev, depth, width int, counters, guids, trim bool) {
	note := ""
	switch {
	case v.gone() && !guids:
		note = "was " + v.Name
	case v.Faulted:
		note = "external device fault"
	case v.state() == "INUSE":
		note = "currently in use"
	}
	if trim && len(v.Children) == 0 {
		note = strings.TrimPrefix(note+"  "+k.trimNote(v), "  ")
	}
	k.line(width, depth, v.shown(guids), v.state(), note, counters, v.Checksum)
	for _, c := range v.Children {
		k.vdev(c, depth+2, width, counters, guids, trim)
	}
}

// gone tells whether it can't be opened.
func (v Vdev) gone() bool { return v.State == "UNAVAIL" }

// shown is the name that status prints.
func (v Vdev) shown(guid bool) string {
	if guid || v.gone() {
		return v.GUID
	}
	return v.Name
}

// kind is the type as JSON has it.
func (v Vdev) kind() string {
	if len(v.Children) == 0 {
		return "disk"
	}
	return strings.TrimRight(strings.SplitN(v.Name, "-", 2)[0], "123:dcs")
}

// state is the device's own, or what its devices make of a group.
func (v Vdev) state() string {
	switch {
	case v.Faulted:
		return "FAULTED"
	case v.State != "":
		return v.State
	case v.Class == "spare":
		return "AVAIL"
	case slices.ContainsFunc(v.Children, func(c Vdev) bool { return c.state() != "ONLINE" }):
		return "DEGRADED"
	}
	return "ONLINE"
}

func (v Vdev) width(depth int, guids bool) int {
	w := depth + len(v.shown(guids))
	for _, c := range v.Children {
		w = max(w, c.width(depth+2, guids))
	}
	return w
}

func (p *Pool) health() string {
	switch {
	case p.Suspended:
		return "SUSPENDED"
	case p.Health != "":
		return p.Health
	case slices.ContainsFunc(p.Vdevs, func(v Vdev) bool { return v.Class != "cache" && v.Class != "spare" && v.state() != "ONLINE" }):
		return "DEGRADED"
	}
	return "ONLINE"
}

// leaves are the devices of the pool.
func (p *Pool) leaves() []string { return leaves(p.Vdevs) }

func leaves(vdevs []Vdev) []string {
	var paths []string
	for _, v := range vdevs {
		if len(v.Children) == 0 {
			paths = append(paths, v.Name)
		}
		paths = append(paths, leaves(v.Children)...)
	}
	return paths
}
