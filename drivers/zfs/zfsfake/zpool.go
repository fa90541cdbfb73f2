package zfsfake

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/spec"
)

// zpool is the program zpool.
func (k *call) zpool() int {
	return k.dispatch(map[string]func([]string) int{
		"version": k.version, "list": k.zpoolList, "get": k.zpoolGet, "set": k.zpoolSet, "status": k.zpoolStatus,
		"create": k.zpoolCreate, "destroy": k.zpoolDestroy, "export": k.zpoolExport, "import": k.zpoolImport, "history": k.zpoolHistory,
		"scrub": k.zpoolScrub, "trim": k.zpoolTrim,
		"add": k.zpoolAdd, "attach": k.zpoolAttach, "detach": k.zpoolDetach, "replace": k.zpoolReplace, "remove": k.zpoolRemove,
		"online": k.zpoolOnline, "offline": k.zpoolOffline,
		"labelclear": k.zpoolLabelclear,
	})
}

// pools are those named, or all.
func (k *call) pools(names []string) (all []*Pool, code int) {
	if len(names) == 0 {
		all = sortedPools(k.Pools)
	}
	for _, n := range names {
		if p := k.Pools[n]; p != nil {
			all = append(all, p)
		} else {
			code = k.fail(1, "cannot open '%s': no such pool", n)
		}
	}
	for _, p := range all {
		k.hung = k.hung || p.Hung
	}
	return all, code
}

func (k *call) zpoolList(args []string) int {
	opts, operands, ok := getopt(args, "HpvPo:")
	if !ok {
		return k.usage()
	}
	columns := strings.Split(opts.last('o', "name,size,allocated,free,checkpoint,expandsize,fragmentation,capacity,dedupratio,health,altroot"), ",")
	pools, code := k.pools(operands)
	k.hung = false // the list of pools is kept in memory
	if !opts.has('H') && len(pools) > 0 {
		k.printf("%s\n", strings.ToUpper(strings.Join(columns, "\t")))
	}
	for _, p := range pools {
		values := make([]string, len(columns))
		for i, c := range columns {
			values[i], _ = p.get(c)
		}
		k.printf("%s\n", strings.Join(values, "\t"))
		if opts.has('v') {
			k.listVdevs(p)
		}
	}
	return code
}

// poolNatives follows the order of `zpool get all` of 2.3.9, features left out but for two.
var poolNatives = table(`size . capacity . altroot - health . guid . version - bootfs - delegation on autoreplace off
	cachefile - failmode wait listsnapshots off autoexpand off dedupratio . free . allocated . readonly .
	ashift 0 comment - expandsize . freeing . fragmentation . leaked . multihost off checkpoint . load_guid .
	autotrim off compatibility off bcloneused . bclonesaved . bcloneratio . dedup_table_size .
	dedup_table_quota auto last_scrubbed_txg . feature@async_destroy . feature@lz4_compress . feature@device_removal .
	feature@allocation_classes . feature@draid . feature@raidz_expansion .`)

// get is the value and source of a pool's property.
func (p *Pool) get(prop string) (value, source string) {
	size, used := p.size(), p.space(p.Name)
	n := func(v uint64) (string, string) { return strconv.FormatUint(v, 10), "-" }
	switch prop {
	case "name":
		return p.Name, "-"
	case "size":
		return n(size)
	case "allocated":
		return n(used)
	case "free":
		return n(less(size, used))
	case "capacity":
		return n(used * 100 / size)
	case "health":
		return p.health(), "-"
	case "guid":
		return p.GUID, "-"
	case "load_guid": // zpoolprops(7): made anew whenever the pool is loaded
		guid, _ := strconv.ParseUint(p.GUID, 10, 64)
		return n(guid + p.Loads)
	case "fragmentation", "freeing", "leaked", "bcloneused", "bclonesaved", "dedup_table_size", "last_scrubbed_txg":
		return "0", "-"
	case "dedupratio", "bcloneratio":
		return "1.00", "-"
	case "readonly":
		return map[bool]string{true: "on", false: "off"}[p.ReadOnly], "-"
	case "checkpoint":
		if p.Checkpoint {
			return "66048", "-"
		}
		return "-", "-"
	case "expandsize":
		if room := p.room(); room > 0 {
			return n(room)
		}
		return "-", "-"
	case "feature@async_destroy":
		return "enabled", "local"
	case "feature@lz4_compress":
		return "active", "local"
	case "feature@device_removal", "feature@allocation_classes", "feature@draid", "feature@raidz_expansion":
		return p.feature(strings.TrimPrefix(prop, "feature@")), "local"
	}
	v, set := p.Props[prop]
	for _, d := range poolNatives {
		if d.name == prop && (!set || v == d.value && v != "-") { // one set to its default looks like one never set; "-" is a text like others
			return d.value, "default"
		}
	}
	if set {
		return v, "local"
	}
	return "-", "-"
}

func (k *call) zpoolGet(args []string) int {
	opts, operands, ok := getopt(args, "Hpo:")
	if !ok || len(operands) == 0 {
		return k.usage()
	}
	columns := strings.Split(opts.last('o', "name,property,value,source"), ",")
	if len(operands) > 2 && k.Pools[operands[1]] != nil && k.Pools[operands[2]] == nil {
		return k.vdevGet(k.Pools[operands[1]], operands[0], operands[2:], columns)
	}
	for _, n := range operands[1:] {
		if k.Pools[n] == nil {
			return k.fail(1, "Cannot get properties of %s: no such pool available.", n)
		}
	}
	pools, code := k.pools(operands[1:])
	for _, p := range pools {
		for _, prop := range p.shown(operands[0]) {
			value, source := p.get(prop)
			fields := map[string]string{"name": p.Name, "property": prop, "value": value, "source": source}
			values := make([]string, len(columns))
			for i, c := range columns {
				values[i] = fields[c]
			}
			k.printf("%s\n", strings.Join(values, "\t"))
		}
	}
	return code
}

// vdevGet is `zpool get -o COLUMNS guid POOL VDEV...`, or of ashift.
func (k *call) vdevGet(p *Pool, prop string, vdevs []string, columns []string) int {
	for _, vdev := range vdevs {
		d, found := p.lookup(vdev)
		if !found || prop != "guid" && prop != "ashift" {
			return k.fail(1, "Cannot get properties of %s: no such pool available.", vdev)
		}
		fields := map[string]string{"name": vdev, "property": prop, "value": d.at.GUID, "source": "-"}
		if prop == "ashift" {
			fields["value"] = strconv.Itoa(d.top.ashift())
		}
		values := make([]string, len(columns))
		for i, c := range columns {
			values[i] = fields[c]
		}
		k.printf("%s\n", strings.Join(values, "\t"))
	}
	return 0
}

func (p *Pool) shown(list string) []string {
	if list != "all" {
		return strings.Split(list, ",")
	}
	var names, user []string
	for _, n := range poolNatives {
		names = append(names, n.name)
	}
	for n := range p.Props {
		if spec.IsUserProperty(n) {
			user = append(user, n)
		}
	}
	slices.Sort(user)
	return append(names, user...)
}

func (k *call) zpoolSet(args []string) int {
	if len(args) != 2 {
		return k.usage()
	}
	all, r := assignments(args[:1])
	if r != nil {
		return k.refused(r)
	}
	name := args[1]
	p := k.Pools[name]
	if p == nil {
		return k.fail(22, "cannot open '%s': is not a pool", name)
	}
	value, r := k.checkPool(all[0], false)
	if r == nil {
		r = p.checkFeature(all[0])
	}
	if r != nil {
		return k.refused(r.wrap(1, "cannot set property for '%s'", name))
	}
	if p.Suspended {
		return k.fail(1, "cannot set property for '%s': %s", name, suspended)
	}
	if r := k.checkCompatibility(p, all[0]); r != nil {
		return k.refused(r)
	}
	if k.write(p) {
		p.Props[all[0].name] = value
	}
	return 0
}

// checkPool validates one property of a pool and gives its canonical value.
func (k *call) checkPool(a assignment, create bool) (string, *refusal) {
	if spec.IsUserProperty(a.name) && !strings.Contains(a.name, "@") {
		return checkUser(a)
	}
	info, ok := spec.LookupProperty(a.name, spec.PoolProps)
	switch {
	case strings.HasPrefix(a.name, "feature@"):
		return a.value, nil
	case !ok && create:
		return "", refuse(1, "property '%s' is not a valid pool or vdev property", a.name)
	case !ok:
		return "", refuse(1, "invalid property '%s'", a.name)
	case info.Change == spec.Never:
		return "", refuse(1, "'%s' is readonly", a.name)
	case !create && (a.name == "readonly" || a.name == "altroot"):
		return "", refuse(1, "property '%s' can only be set at import time", a.name)
	case info.Shape == spec.OnOff && a.value != "on" && a.value != "off":
		return "", refuse(1, "'%s' must be one of 'on | off'", a.name)
	}
	if a.name == "ashift" {
		if n := parseUint(a.value); n != 0 && (n < 9 || n > 16) {
			return "", refuse(1, "invalid '%s=%s' property: only values between 9 and 16 are allowed.", a.name, a.value)
		}
		return a.value, nil
	}
	if a.name == "dedup_table_quota" && a.value == "0" {
		return "", refuse(1, "use 'none' to disable ddt table quota")
	}
	if a.name == "multihost" && a.value == "on" && strings.Trim(k.Files[hostID], "\x00") == "" {
		return "", refuse(1, "requires a non-zero system hostid")
	}
	c, err := info.Canonical(a.value)
	if err != nil {
		return "", badValue(info)
	}
	return c, nil
}

func (k *call) zpoolHistory(args []string) int {
	_, operands, ok := getopt(args, "il")
	if !ok {
		return k.usage()
	}
	pools, code := k.pools(operands)
	for _, p := range pools {
		k.printf("History for '%s':\n%s\n", p.Name, strings.Join(p.History, "\n"))
	}
	return code
}
