package zfsfake

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/spec"
)

func (k *call) zpoolCreate(args []string) int {
	opts, operands, ok := getopt(args, "nfdm:o:O:")
	if !ok || len(operands) == 0 {
		return k.usage()
	}
	name := operands[0]
	p := &Pool{Name: name, Props: map[string]string{}, Datasets: map[string]*Dataset{}}
	root := &Dataset{Local: map[string]string{}, Fixed: map[string]string{}, TXG: 1}
	fs, r := k.poolOptions(p, opts)
	if r == nil {
		r = checkPoolName(name)
	}
	var vdevs []Vdev
	if r == nil {
		vdevs, r = k.parseVdevs(operands[1:])
	}
	if r == nil && k.Pools[name] != nil {
		r = refuse(1, "cannot create '%s': pool already exists", name)
	}
	if r == nil {
		r = checkLayout(name, vdevs)
	}
	if r == nil {
		r = k.checkMountpoint(name, fs)
	}
	if r == nil {
		r = k.checkAll(fs, spec.Filesystems, true)
		if r != nil {
			r = r.wrap(1, "cannot create '%s'", name)
		}
	}
	if r != nil {
		return k.refused(r)
	}
	if r := k.checkCompatibility(p, assignment{"compatibility", p.Props["compatibility"]}); r != nil {
		return k.refused(r)
	}
	k.enableFeatures(p)
	p.Vdevs, p.GUID, p.Datasets[name] = vdevs, k.guid(), root
	for i, v := range vdevs {
		vdevs[i].Ashift, _ = strconv.Atoi(p.Props["ashift"])
		if v.Class != "cache" && v.Class != "spare" {
			p.Tops++
		}
	}
	root.GUID = k.guid()
	key, fs := keyProperties(fs)
	if r := k.encrypt(root, nil, key); r != nil {
		return k.fail(1, "cannot create '%s': %s", name, r.text)
	}
	for _, a := range fs {
		if r := p.put(k.Model, name, a.name, a.value); r != nil {
			return k.fail(1, "cannot create '%s': %s", name, r.text)
		}
	}
	root.Mounted = p.mountable(name) && root.Local["canmount"] != "noauto"
	k.Pools[name] = p
	k.label(p, 0)
	k.wrote, k.historyPool = true, name
	return 0
}

// poolOptions sets what -o says and gives back what -O does.
func (k *call) poolOptions(p *Pool, opts options) ([]assignment, *refusal) {
	all, r := assignments(opts['o'])
	if r != nil {
		return nil, r
	}
	for _, a := range all {
		c, r := k.checkPool(a, true)
		if r != nil {
			if !strings.HasPrefix(r.text, "property ") && !strings.HasPrefix(r.text, "invalid ") {
				r = r.wrap(1, "cannot create '%s'", p.Name)
			}
			return nil, r
		}
		p.Props[a.name] = c
	}
	fs, r := assignments(opts['O'])
	if r != nil {
		return nil, r
	}
	if m := opts.last('m', ""); m != "" {
		fs = append(fs, assignment{"mountpoint", m})
	}
	for _, a := range fs {
		if _, known := findNative(a.name); !known && !spec.IsUserProperty(a.name) && !spec.IsUserQuota(a.name) {
			return nil, refuse(1, "property '%s' is not a valid filesystem property", a.name)
		}
	}
	return fs, nil
}

// checkPoolName tells the reasons of zpool_name_valid.
func checkPoolName(name string) *refusal {
	const omitted = "\npool name may have been omitted"
	if _, err := spec.ParsePoolName(name); err == nil {
		return nil
	}
	i := strings.IndexFunc(name, badRune)
	switch {
	case strings.Contains(name, "/"):
		return refuse(1, "cannot create '%s': invalid character '/' in pool name\nuse 'zfs create' to create a dataset", name)
	case i >= 0:
		return refuse(1, "cannot create '%s': invalid character '%c' in pool name%s", name, name[i], omitted)
	case name == "" || name[0] < 'A' || name[0] > 'z':
		return refuse(1, "cannot create '%s': name must begin with a letter%s", name, omitted)
	}
	return refuse(1, "cannot create '%s': name is reserved%s", name, omitted)
}

// checkMountpoint: zpool, unlike zfs, does not mount a new pool over a directory with files in it.
func (k *call) checkMountpoint(name string, fs []assignment) *refusal {
	at := "/" + name
	if i := slices.IndexFunc(fs, func(a assignment) bool { return a.name == "mountpoint" }); i >= 0 {
		at = fs[i].value
	}
	if len(k.Dirs[at]) > 0 {
		return refuse(1, "mountpoint '%s' exists and is not empty\nuse '-m' option to provide a different default", at)
	}
	return nil
}

// label writes the pool's state on its devices. One that is away keeps the label that it had.
func (k *call) label(p *Pool, state int) {
	var walk func(vdevs []Vdev)
	walk = func(vdevs []Vdev) {
		for _, v := range vdevs {
			walk(v.Children)
			d := k.Devices[v.Name]
			if d == nil || len(v.Children) > 0 || v.gone() {
				continue
			}
			l := &Label{Pool: p.Name, GUID: p.GUID, State: state, Vdev: v.GUID}
			if of, special := map[string]int{"spare": 3, "cache": 4}[v.Class]; special && state == 0 {
				l.State = of
			}
			k.repartition(v.Name)
			d.Signature, d.Table, d.Label = "", false, l
		}
	}
	walk(p.Vdevs)
}

// take finds a pool that is to leave, and refuses while one of its file systems is busy.
func (k *call) take(args []string, verb string) (*Pool, int) {
	_, operands, ok := getopt(args, "f")
	if !ok || len(operands) != 1 {
		return nil, k.usage()
	}
	p := k.Pools[operands[0]]
	if p == nil {
		return nil, k.fail(1, "cannot open '%s': no such pool", operands[0])
	}
	for _, n := range p.below(p.Name) {
		if p.Datasets[n].Busy {
			at, _ := p.mountpoint(n)
			k.fail(1, "cannot unmount '%s': pool or dataset is busy", at)
			if verb == "destroy" {
				k.fail(1, "could not destroy '%s': could not unmount datasets", p.Name)
			}
			return nil, 1
		}
	}
	if !k.write(p) {
		return nil, 0
	}
	return p, 0
}

func (k *call) zpoolDestroy(args []string) int {
	p, code := k.take(args, "destroy")
	if p != nil {
		delete(k.Pools, p.Name)
		k.label(p, 2)
	}
	return code
}

func (k *call) zpoolExport(args []string) int {
	p, code := k.take(args, "export")
	if p != nil {
		delete(k.Pools, p.Name)
		k.Away[p.GUID] = p
		p.ReadOnly = false
		for _, d := range p.Datasets {
			d.Mounted = false
		}
		k.label(p, 1)
	}
	return code
}

// zpoolImport lists what could be imported, or imports the one that is named. Without -d it looks at what is
// under /dev; files are found in the named folders only.
func (k *call) zpoolImport(args []string) int {
	opts, operands, ok := getopt(args, "d:Nfo:R:")
	if !ok || len(operands) > 2 {
		return k.usage()
	}
	found := k.findAway(opts['d'])
	if len(operands) == 0 {
		if len(found) == 0 {
			return k.fail(0, "no pools available to import")
		}
		for i, p := range found {
			if i > 0 {
				k.printf("\n")
			}
			k.importable(p)
		}
		return 0
	}
	i := slices.IndexFunc(found, func(p *Pool) bool { return p.Name == operands[0] || p.GUID == operands[0] })
	if i < 0 {
		return k.fail(1, "cannot import '%s': no such pool available", operands[0])
	}
	p, name := found[i], operands[len(operands)-1]
	if len(operands) == 1 {
		name = p.Name
	}
	switch {
	case k.Pools[name] == nil:
	case k.Pools[name].GUID != p.GUID && operands[0] == p.GUID:
		return k.fail(1, "cannot import '%s': pool already exists", name)
	default:
		return k.fail(1, "cannot import '%s': a pool with that name already exists\nuse the form 'zpool import <pool | id> <newpool>' to give it a new name", operands[0])
	}
	if r := p.refusesImport(opts); r != nil {
		return k.refused(r)
	}
	delete(k.Away, p.GUID)
	p.lock()
	p.rename(name)
	k.Pools[name] = p
	p.Loads++
	p.Foreign, p.ReadOnly = false, slices.Contains(opts['o'], "readonly=on")
	p.mountAll()
	k.label(p, 0)
	k.wrote, k.historyPool = true, p.Name
	return 0
}

// rename gives a pool another name, and so all its datasets.
func (p *Pool) rename(name string) {
	all := map[string]*Dataset{}
	for n, d := range p.Datasets {
		all[name+strings.TrimPrefix(n, p.Name)] = d
	}
	p.Name, p.Datasets, p.kids, p.used = name, all, nil, nil
}

func (k *call) findAway(dirs []string) []*Pool {
	if len(dirs) == 0 {
		dirs = []string{"/dev"}
	}
	var found []*Pool
	for _, p := range sortedPools(k.Away) {
		if slices.ContainsFunc(p.leaves(), func(path string) bool {
			d := k.Devices[path]
			return d != nil && d.Label != nil && d.Label.GUID == p.GUID && slices.ContainsFunc(dirs, func(d string) bool {
				return path == d || strings.HasPrefix(path, strings.TrimSuffix(d, "/")+"/")
			})
		}) {
			found = append(found, p)
		}
	}
	return found
}
