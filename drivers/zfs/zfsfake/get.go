package zfsfake

import (
	"slices"
	"strings"

	"github.com/dplaneos/dplane/spec"
)

// selection are the datasets a listing names, and what of each is shown.
func (k *call) selection(opts options, operands []string) (names []string, code int) {
	types := strings.Split(opts.last('t', "filesystem,volume"), ",")
	if len(operands) == 0 {
		for _, p := range sortedPools(k.Pools) {
			names = append(names, p.below(p.Name)...)
		}
	}
	for _, name := range operands {
		if _, _, snap := k.snapshot(name); snap != nil {
			names = append(names, name)
			continue
		}
		p, d := k.dataset(name)
		if strings.Contains(name, "#") {
			code = k.fail(1, "cannot open '%s': bookmark delimiter '#' is not expected here", name)
			continue
		}
		if d == nil || strings.Contains(name, "@") {
			code = k.fail(1, "cannot open '%s': dataset does not exist", name)
			continue
		}
		if opts.has('r') {
			names = append(names, p.below(name)...)
		} else {
			names = append(names, name)
		}
	}
	return slices.DeleteFunc(names, func(n string) bool {
		if strings.Contains(n, "@") {
			return false
		}
		p, d := k.dataset(n)
		if p.Hung {
			k.hung = true
		}
		return !slices.Contains(types, map[bool]string{true: "volume", false: "filesystem"}[d.Volume]) && !slices.Contains(types, "all")
	}), code
}

func (k *call) zfsList(args []string) int {
	opts, operands, ok := getopt(args, "Hprt:o:s:d:")
	if !ok {
		return k.usage()
	}
	if opts.last('t', "") == "snapshot" {
		return k.listSnapshots(opts, operands)
	}
	if t := opts.last('t', ""); strings.Contains(t, "bookmark") || t == "all" && len(operands) > 0 {
		return k.listMixed(opts, operands)
	}
	columns := strings.Split(opts.last('o', "name,used,available,referenced,mountpoint"), ",")
	if strings.HasPrefix(k.Release, "2.1.") && slices.Contains(columns, "snapshots_changed") {
		return k.fail(2, "bad property list: invalid property 'snapshots_changed'")
	}
	names, code := k.selection(opts, operands)
	if slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, "@") }) {
		slices.Sort(names) // a snapshot that is named is listed, whatever -t
	}
	if !opts.has('H') && len(names) > 0 {
		k.printf("%s\n", strings.ToUpper(strings.Join(columns, "\t")))
	}
	k.still(func() {
		for _, n := range names {
			values := make([]string, len(columns))
			for i, c := range columns {
				values[i] = k.column(n, c)
			}
			k.printf("%s\n", strings.Join(values, "\t"))
		}
	})
	return code
}

func (k *call) column(name, column string) string {
	if column == "name" {
		return name
	}
	if strings.Contains(name, "@") {
		return k.snapshotColumn(name, column)
	}
	p, d := k.dataset(name)
	if column == "inconsistent" {
		return map[bool]string{true: "1", false: "0"}[d.Partial != nil && d.Partial.Fresh]
	}
	if v, _, ok := k.get(p, name, column); ok {
		return v
	}
	return "-"
}

func (k *call) zfsGet(args []string) int {
	opts, operands, ok := getopt(args, "Hprt:o:s:d:")
	if !ok || len(operands) == 0 {
		return k.usage()
	}
	columns := strings.Split(opts.last('o', "name,property,value,source"), ",")
	props := strings.Split(operands[0], ",")
	for _, prop := range props {
		if _, known := findNative(prop); !known && prop != "all" && !spec.IsUserProperty(prop) && !spec.IsUserQuota(prop) {
			return k.fail(2, "bad property list: invalid property '%s'\nusage:\n\tget [-rHp] ...", prop)
		}
	}
	names, code := k.selection(opts, operands[1:])
	if opts.last('t', "") == "snapshot" && opts.has('d') {
		return k.ownSnapshots(opts, props, columns, operands[1:])
	}
	k.still(func() {
		for _, n := range names {
			if strings.Contains(n, "@") {
				k.snapshotRows(n, props, columns)
				continue
			}
			p, _ := k.dataset(n)
			shown := props
			if props[0] == "all" {
				shown = k.all(p, n)
			}
			for _, prop := range shown {
				k.row(p, n, prop, columns)
			}
		}
	})
	return code
}

// all are the names that `zfs get all` prints of a dataset.
func (k *call) all(p *Pool, name string) []string {
	var shown []string
	for _, n := range natives {
		if _, _, ok := k.get(p, name, n.name); ok {
			shown = append(shown, n.name)
		}
	}
	return append(shown, p.userProperties(name)...)
}

func (k *call) row(p *Pool, name, prop string, columns []string) {
	value, source, ok := k.get(p, name, prop)
	if !ok {
		value, source = "-", "-"
	}
	received := p.Datasets[name].Received[prop]
	if received == "" {
		received = "-"
	}
	fields := map[string]string{"name": name, "property": prop, "value": value, "source": source, "received": received}
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = fields[c]
	}
	k.printf("%s\n", strings.Join(values, "\t"))
}

// ownSnapshots is `zfs get -d 1 -t snapshot`: the snapshots of exactly these datasets, with -s local those where a
// property is set on the snapshot itself.
func (k *call) ownSnapshots(opts options, props, columns, datasets []string) int {
	code := 0
	for _, name := range datasets {
		_, d := k.dataset(name)
		if d == nil {
			code = k.fail(1, "cannot open '%s': dataset does not exist", name)
			continue
		}
		for _, s := range d.Snapshots {
			shown := slices.DeleteFunc(slices.Clone(props), func(p string) bool {
				_, source := k.ofSnapshot(name+"@"+s.Name, p)
				return opts.last('s', source) != source
			})
			k.snapshotRows(name+"@"+s.Name, shown, columns)
		}
	}
	return code
}

func (k *call) snapshotRows(name string, props, columns []string) {
	for _, prop := range props {
		value, source := k.ofSnapshot(name, prop)
		fields := map[string]string{"name": name, "property": prop, "value": value, "source": source, "received": "-"}
		values := make([]string, len(columns))
		for i, c := range columns {
			values[i] = fields[c]
		}
		k.printf("%s\n", strings.Join(values, "\t"))
	}
}

func sortedPools(pools map[string]*Pool) []*Pool {
	all := make([]*Pool, 0, len(pools))
	for _, p := range pools {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Pool) int { return strings.Compare(a.Name, b.Name) })
	return all
}
