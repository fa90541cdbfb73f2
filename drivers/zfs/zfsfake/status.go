package zfsfake

import (
	"fmt"
	"strings"
)

// classes are the headings of `zpool status`, in its order.
var classes = []struct{ class, heading string }{
	{"", ""}, {"dedup", "dedup\t"}, {"special", "special\t"}, {"log", "logs\t"}, {"cache", "cache"}, {"spare", "spares"},
}

func (k *call) zpoolStatus(args []string) int {
	_, operands, ok := getopt(args, "pPvLg")
	if !ok {
		return k.usage()
	}
	pools, code := k.pools(operands)
	if len(pools) == 0 && code == 0 {
		return k.fail(0, "no pools available")
	}
	for i, p := range pools {
		if i > 0 {
			k.printf("\n")
		}
		k.status(p)
	}
	return code
}

func (k *call) status(p *Pool) {
	k.printf("  pool: %s\n state: %s\n", p.Name, p.health())
	if p.Suspended {
		k.printf("status: One or more devices are faulted in response to IO failures.\n" +
			"action: Make sure the affected devices are connected, then run 'zpool clear'.\n" +
			"   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-HC\n")
	}
	k.printf("config:\n\n")
	k.table(p, true)
	k.printf("\nerrors: No known data errors\n")
}

// table prints the tree of vdevs; with counters for status, without for an import.
func (k *call) table(p *Pool, counters bool) {
	width := len(p.Name)
	for _, v := range p.Vdevs {
		width = max(width, v.width(2))
	}
	heading, numbers := fmt.Sprintf("\t%-*s  STATE     READ WRITE CKSUM\n", width, "NAME"), "     0     0     0"
	if !counters {
		heading, numbers = "", ""
	}
	k.printf("%s\t%-*s  %-8s%s\n", heading, width, p.Name, p.health(), numbers)
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
			k.vdev(v, 2, width, numbers)
		}
	}
}

func (k *call) vdev(v Vdev, depth, width int, numbers string) {
	state := v.State
	if state == "" {
		state = "ONLINE"
	}
	if v.Class == "spare" {
		k.printf("\t%-*s  %-8s\n", width, strings.Repeat(" ", depth)+v.Name, "AVAIL")
		return
	}
	k.printf("\t%-*s  %-8s%s\n", width, strings.Repeat(" ", depth)+v.Name, state, numbers)
	for _, c := range v.Children {
		k.vdev(c, depth+2, width, numbers)
	}
}

func (v Vdev) width(depth int) int {
	w := depth + len(v.Name)
	for _, c := range v.Children {
		w = max(w, c.width(depth+2))
	}
	return w
}

func (p *Pool) health() string {
	switch {
	case p.Suspended:
		return "SUSPENDED"
	case p.Health != "":
		return p.Health
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
