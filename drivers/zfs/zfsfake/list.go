package zfsfake

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// listMixed is `zfs list -r|-d N -t TYPES` where snapshots or bookmarks stand beside the datasets: each dataset, its
// snapshots, its bookmarks.
func (k *call) listMixed(opts options, operands []string) int {
	code := 0
	columns, types := strings.Split(opts.last('o', "name"), ","), strings.Split(opts.last('t', ""), ",")
	depth, err := strconv.Atoi(opts.last('d', map[bool]string{true: "100", false: "0"}[opts.has('r')]))
	if err != nil {
		return k.usage()
	}
	depths := map[string]int{} // how far below what was asked for, by the dataset's name
	for _, name := range operands {
		p, d := k.dataset(name)
		if d == nil {
			code = k.fail(1, "cannot open '%s': dataset does not exist", name)
			continue
		}
		if p.Hung {
			k.hung = true
			return 0
		}
		for _, n := range p.below(name) {
			below := strings.Count(n, "/") - strings.Count(name, "/")
			if was, known := depths[n]; below <= depth && (!known || below < was) {
				depths[n] = below
			}
		}
	}
	shown := func(t string) bool { return slices.Contains(types, t) || slices.Contains(types, "all") }
	k.still(func() {
		for _, n := range slices.Sorted(maps.Keys(depths)) {
			p, d := k.dataset(n)
			if kind, _, _ := k.get(p, n, "type"); shown(kind) {
				k.cells(columns, func(c string) string { return k.column(n, c) })
			}
			if depths[n] < depth {
				k.points(n, d, columns, shown)
			}
		}
	})
	return code
}

// points lists the snapshots and bookmarks of a dataset.
func (k *call) points(name string, d *Dataset, columns []string, shown func(string) bool) {
	snapshots := slices.Clone(d.Snapshots)
	slices.SortStableFunc(snapshots, func(a, b Snapshot) int { return cmp.Compare(a.TXG, b.TXG) })
	for _, s := range snapshots {
		if shown("snapshot") {
			k.cells(columns, func(c string) string { return k.snapshotColumn(name+"@"+s.Name, c) })
		}
	}
	for _, b := range d.Bookmarks {
		if shown("bookmark") {
			k.cells(columns, func(c string) string { return d.ofBookmark(name+"#"+b.Name, c) })
		}
	}
}

func (k *call) cells(columns []string, value func(column string) string) {
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = value(c)
	}
	k.printf("%s\n", strings.Join(values, "\t"))
}

// snapshotColumn is a snapshot's property, where a list asks for that of its dataset too.
func (k *call) snapshotColumn(whole, column string) string {
	of, _, _ := strings.Cut(whole, "@")
	switch column {
	case "encryptionroot", "keystatus":
		return k.column(of, column)
	case "inconsistent":
		return "0"
	case "referenced":
		_, d, s := k.snapshot(whole)
		return strconv.FormatUint(d.referenced()-d.Written+s.Total, 10)
	}
	value, _ := k.ofSnapshot(whole, column)
	return value
}
