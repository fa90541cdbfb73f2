package zfsfake

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/spec"
)

// zfs is the program zfs.
func (k *call) zfs() int {
	commands := map[string]func([]string) int{
		"version": k.version, "list": k.zfsList, "get": k.zfsGet, "set": k.zfsSet, "inherit": k.zfsInherit, "create": k.zfsCreate,
		"destroy": k.zfsDestroy, "rename": k.zfsRename, "mount": k.zfsMount, "unmount": k.zfsUnmount, "snapshot": k.zfsSnapshot,
		"allow": k.zfsAllow, "unallow": k.zfsUnallow,
		"load-key": k.zfsLoadKey, "unload-key": k.zfsUnloadKey, "change-key": k.zfsChangeKey,
		"clone": k.zfsClone, "promote": k.zfsPromote, "hold": k.zfsHold, "release": k.zfsRelease, "holds": k.zfsHolds,
		"send": k.zfsSend, "receive": k.zfsReceive, "recv": k.zfsReceive, "bookmark": k.zfsBookmark, "rollback": k.zfsRollback,
	}
	return k.dispatch(commands)
}

// dispatch runs a subcommand, if there is one of that name and a module to serve it.
func (k *call) dispatch(commands map[string]func([]string) int) int {
	if len(k.argv) < 2 {
		return k.fail(2, "missing command")
	}
	if k.NoModule {
		return k.fail(1, "The ZFS modules cannot be auto-loaded.\nTry running 'modprobe zfs' as root to manually load them.")
	}
	command, ok := commands[k.argv[1]]
	if !ok {
		return k.fail(2, "unrecognized command '%s'", k.argv[1])
	}
	if k.argv[0] == "zfs" {
		if code, refuses := k.refusesSuspended(k.argv[2:]); refuses {
			return code
		}
	}
	return command(k.argv[2:])
}

func (k *call) version([]string) int {
	k.printf("zfs-%s\nzfs-kmod-%s\n", k.Release, k.Release)
	return 0
}

// write marks that the model changes, in this pool. It is false where the pool is suspended: the command
// then hangs, as real ones do, unkillable in the kernel.
func (k *call) write(pool *Pool) bool {
	if pool.Suspended || pool.Hung {
		k.hung = true
		return false
	}
	k.wrote, k.historyPool = true, pool.Name
	return true
}

// open finds a dataset or says that there is none.
func (k *call) open(name string) (*Pool, *Dataset, int) {
	p, d := k.dataset(name)
	if d == nil {
		return nil, nil, k.fail(1, "cannot open '%s': dataset does not exist", name)
	}
	return p, d, 0
}

func (k *call) zfsCreate(args []string) int {
	opts, operands, ok := getopt(args, "suV:o:b:")
	if !ok || len(operands) != 1 {
		return k.usage()
	}
	name := operands[0]
	all, r := assignments(opts['o'])
	if r != nil {
		return k.refused(r)
	}
	d := &Dataset{Volume: opts.has('V'), Local: map[string]string{}, Fixed: map[string]string{}}
	var size uint64
	if d.Volume {
		n, err := spec.ParseSize(opts.last('V', ""))
		if err != nil {
			return k.fail(1, "bad volume size '%s': bad numeric value '%s'", opts.last('V', ""), opts.last('V', ""))
		}
		size = uint64(n)
	}
	p, r := k.room(name)
	if r == nil {
		r = k.checkAll(all, d.kind(), true)
	}
	if r == nil && slices.ContainsFunc(all, func(a assignment) bool { return a.name == "volsize" }) {
		r = refuse(1, "'volsize' does not apply to datasets of this type")
	}
	if r == nil && d.Volume && size == 0 {
		r = refuse(1, "volume size cannot be zero")
	}
	if r != nil {
		return k.refused(r.wrap(1, "cannot create '%s'", name))
	}
	return k.create(p, name, d, all, size, opts)
}

// room tells whether a dataset of this name can be made, and in which pool.
func (k *call) room(name string) (*Pool, *refusal) {
	if r := checkName(name); r != nil {
		return nil, r
	}
	p := k.Pools[poolOf(name)]
	if p == nil {
		return nil, refuse(1, "no such pool '%s'", poolOf(name))
	}
	if p.Datasets[name] != nil {
		return nil, refuse(1, "dataset already exists")
	}
	switch up := p.Datasets[parent(name)]; {
	case up == nil:
		return nil, refuse(1, "parent does not exist")
	case up.Volume:
		return nil, refuse(1, "parent is not a filesystem")
	}
	return p, nil
}

// create makes the dataset, or nothing at all where a value does not fit.
func (k *call) create(p *Pool, name string, d *Dataset, all []assignment, size uint64, opts options) int {
	if !k.write(p) {
		return 0
	}
	up := p.Datasets[parent(name)]
	key, all := keyProperties(all)
	if p.locked(parent(name)) {
		return k.undo(p, name, "encryption root's key is not loaded or provided")
	}
	for _, n := range []string{"encryption", "keyformat", "pbkdf2iters", "utf8only", "normalization", "casesensitivity"} {
		if v, ok := up.Fixed[n]; ok && (!d.Volume || strings.Contains("encryption keyformat pbkdf2iters", n)) {
			d.Fixed[n] = v
		}
	}
	if r := k.encrypt(d, up, key); r != nil {
		return k.undo(p, name, r.text)
	}
	if d.Volume {
		all = k.volume(d, all, size, opts.has('s'))
	}
	space := p.free(parent(name))
	p.add(name, d)
	d.GUID, d.TXG = k.guid(), k.TXG
	if d.size("refreservation") > space {
		return k.undo(p, name, "out of space")
	}
	for _, a := range all {
		r := p.put(k.Model, name, a.name, a.value)
		if r != nil || a.value == "auto" { // `auto` is for set: a create asks for as much as there can be
			return k.undo(p, name, "out of space")
		}
	}
	if v := d.Fixed["normalization"]; v != "" && v != "none" {
		d.Fixed["utf8only"] = "on" // names can be normalized only where they are UTF-8
	}
	d.Mounted = p.mountable(name) && d.Local["canmount"] != "noauto" && !opts.has('u')
	return 0
}

func (k *call) undo(p *Pool, name, why string) int {
	p.remove(name)
	k.wrote = false
	return k.fail(1, "cannot create '%s': %s", name, why)
}

// volume sets the size, rounded up to whole blocks, and what it reserves.
func (k *call) volume(d *Dataset, all []assignment, size uint64, sparse bool) []assignment {
	block, copies, reserved := uint64(16384), uint64(1), false
	var rest []assignment
	for _, a := range all {
		n, _ := strconv.ParseUint(a.value, 10, 64)
		switch a.name {
		case "volblocksize":
			block = n
			continue
		case "copies":
			copies = n
		case "refreservation":
			reserved = true
		}
		rest = append(rest, a)
	}
	if block < 16384 {
		k.fail(0, "Warning: volblocksize (%d) is less than the default minimum block size (16384).\n"+
			"To reduce wasted space a volblocksize of 16384 is recommended.", block)
	}
	size = (size + block - 1) / block * block
	d.Fixed["volblocksize"] = strconv.FormatUint(block, 10)
	d.Local["volsize"] = strconv.FormatUint(size, 10)
	if !sparse && !reserved {
		d.Local["refreservation"] = strconv.FormatUint(reserve(size, block, copies), 10)
	}
	return rest
}

// mountable tells whether the file system has a place to be mounted.
func (p *Pool) mountable(name string) bool {
	d := p.Datasets[name]
	if d.Volume || d.Local["canmount"] == "off" {
		return false
	}
	at, _ := p.mountpoint(name)
	return strings.HasPrefix(at, "/")
}

func (k *call) zfsDestroy(args []string) int {
	opts, operands, ok := getopt(args, "rnvp")
	if !ok || len(operands) != 1 {
		return k.usage()
	}
	if strings.Contains(operands[0], "#") {
		return k.destroyBookmark(operands[0])
	}
	if name, snap, isSnap := strings.Cut(operands[0], "@"); isSnap && opts.has('n') {
		return k.reclaim(name, snap)
	} else if isSnap {
		return k.destroySnapshots(name, snap)
	}
	name := operands[0]
	p, d, code := k.open(name)
	if d == nil {
		return code
	}
	tree := p.below(name)
	if name == p.Name {
		return k.fail(1, "cannot destroy '%s': operation does not apply to pools\nuse 'zfs destroy -r %s' to destroy all datasets in the pool\nuse 'zpool destroy %s' to destroy the pool itself", name, name, name)
	}
	if !opts.has('r') && (len(tree) > 1 || len(d.Snapshots) > 0) {
		text := "cannot destroy '" + name + "': " + map[bool]string{true: "volume", false: "filesystem"}[d.Volume] + " has children\nuse '-r' to destroy the following datasets:"
		for _, n := range tree {
			for _, s := range p.Datasets[n].Snapshots {
				text += "\n" + n + "@" + s.Name
			}
			if n != name {
				text += "\n" + n
			}
		}
		return k.fail(1, "%s", text)
	}
	for _, n := range tree {
		if p.Datasets[n].Busy && d.Volume {
			return k.fail(1, "cannot destroy '%s': dataset is busy", n)
		}
		if p.Datasets[n].Busy {
			at, _ := p.mountpoint(n)
			return k.fail(1, "cannot unmount '%s': pool or dataset is busy", at)
		}
	}
	if !k.write(p) {
		return 0
	}
	held := ""
	for _, n := range slices.Backward(tree) { // what is held stays, and what is above it; all else goes (2.3.9)
		d := p.Datasets[n]
		at := slices.IndexFunc(d.Snapshots, func(s Snapshot) bool { return len(s.Holds) > 0 })
		switch {
		case at >= 0:
			held = n + "@" + d.Snapshots[at].Name
		case len(p.below(n)) == 1:
			p.remove(n)
		default:
			d.Snapshots = nil
		}
	}
	if held != "" {
		return k.fail(1, "cannot destroy snapshot %s: it's being held. Run 'zfs holds -r %[1]s' to see holders.", held)
	}
	return 0
}

func (k *call) zfsRename(args []string) int {
	opts, operands, ok := getopt(args, "u")
	if !ok || len(operands) != 2 {
		return k.usage()
	}
	from, to := operands[0], operands[1]
	if strings.Contains(from, "@") {
		return k.renameSnapshot(from, to)
	}
	p, d, code := k.open(from)
	if d == nil {
		return code
	}
	if opts.has('u') && d.Volume {
		return k.fail(1, "cannot open '%s': operation not applicable to datasets of this type", from)
	}
	if r := k.renameRoom(p, from, to); r != nil {
		return k.refused(r)
	}
	if !opts.has('u') {
		for _, n := range p.below(from) {
			if at, source := p.mountpoint(n); p.Datasets[n].Busy && p.Datasets[n].Mounted && !strings.HasPrefix(source, "local") {
				return k.fail(1, "cannot unmount '%s': pool or dataset is busy", at)
			}
		}
	}
	if !k.write(p) {
		return 0
	}
	for _, n := range p.below(from) {
		d := p.Datasets[n]
		p.remove(n)
		p.add(to+strings.TrimPrefix(n, from), d)
	}
	return 0
}

// renameRoom tells why a dataset can't have that name.
func (k *call) renameRoom(p *Pool, from, to string) *refusal {
	switch {
	case from == p.Name:
		return refuse(1, "cannot rename '%s': operation does not apply to pools", from)
	case strings.HasPrefix(to, from+"/"):
		return refuse(1, "cannot rename to '%s': New dataset name cannot be a descendant of current dataset name", to)
	case poolOf(to) != p.Name:
		return refuse(1, "cannot rename to '%s': datasets must be within same pool", to)
	}
	if _, r := k.room(to); r != nil && strings.HasPrefix(r.text, "parent ") {
		return r.wrap(1, "cannot create '%s'", to)
	} else if r != nil {
		return r.wrap(1, "cannot rename '%s'", from)
	}
	for _, n := range p.below(from) {
		longest := 0 // of its snapshots, with the @
		for _, s := range p.Datasets[n].Snapshots {
			longest = max(longest, 1+len(s.Name))
		}
		if len(n)-len(from)+len(to)+longest > 255 {
			return refuse(1, "cannot rename '%s': dataset name is too long", from)
		}
		if r := p.cryptRoom(n, to, from); r != nil {
			return r.wrap(1, "cannot rename '%s'", from)
		}
	}
	return nil
}

func (k *call) zfsMount(args []string) int {
	p, d, code := k.mountArg(args)
	if d == nil {
		return code
	}
	name := args[0]
	at, _ := p.mountpoint(name)
	switch {
	case d.Volume:
		return k.fail(1, "cannot open '%s': operation not applicable to datasets of this type", name)
	case !strings.HasPrefix(at, "/") && at == "legacy":
		return k.fail(1, "cannot mount '%s': legacy mountpoint\nuse mount(8) to mount this filesystem", name)
	case !strings.HasPrefix(at, "/"):
		return k.fail(1, "cannot mount '%s': no mountpoint set", name)
	case d.Local["canmount"] == "off":
		return k.fail(1, "cannot mount '%s': 'canmount' property is set to 'off'", name)
	case d.Mounted:
		return k.fail(1, "cannot mount '%s': filesystem already mounted", name)
	case p.locked(name):
		return k.fail(1, "cannot mount '%s': encryption key not loaded", name)
	case d.Partial != nil && d.Partial.Fresh:
		return k.fail(1, "cannot mount '%s': Contains partially-completed state from \"zfs receive -s\", which can be resumed with \"zfs send -t\"", name)
	}
	if k.write(p) {
		d.mount("")
	}
	return 0
}

// mount: what is in the log comes.
func (d *Dataset) mount(at string) {
	d.Mounted, d.At, d.Stale = true, at, nil
	d.Written, d.Log = d.Written+d.Log, 0
}

// mountAt is `mount -t zfs -o OPTIONS DATASET DIRECTORY`.
func (k *call) mountAt() int {
	if len(k.argv) != 7 {
		return k.fail(1, "mount: bad usage")
	}
	name, dir := k.argv[5], k.argv[6]
	p, d := k.dataset(name)
	switch {
	case d == nil || d.Volume:
		return k.fail(1, "filesystem '%s' cannot be mounted, unable to open the dataset", name)
	case p.locked(name):
		return k.fail(2, "zfs_mount_at() failed: encryption key not loaded")
	case d.Mounted:
		return k.fail(2, "zfs_mount_at() failed: mountpoint or dataset is busy")
	}
	if at, _ := p.mountpoint(name); (at == "legacy") == strings.Contains(k.argv[4], "zfsutil") {
		return k.fail(1, "filesystem '%s' cannot be mounted using '%s'.", name, map[bool]string{true: "zfs mount", false: "mount"}[at == "legacy"])
	}
	if k.write(p) {
		d.mount(dir)
	}
	return 0
}

// unmountAt is `umount DIRECTORY`.
func (k *call) unmountAt() (code int) {
	code = 32
	k.each(func(p *Pool, _ string, d *Dataset) {
		if d.Mounted && d.At == k.argv[1] && k.write(p) {
			d.Mounted, d.At, code = false, "", 0
		}
	})
	if code != 0 {
		return k.fail(code, "umount: %s: not mounted.", k.argv[1])
	}
	return 0
}

func (k *call) zfsUnmount(args []string) int {
	p, d, code := k.mountArg(args)
	if d == nil {
		return code
	}
	name := args[0]
	if !d.Mounted {
		return k.fail(1, "cannot unmount '%s': not currently mounted", name)
	}
	for _, n := range p.below(name) {
		if at, _ := p.mountpoint(n); p.Datasets[n].Busy {
			return k.fail(1, "cannot unmount '%s': pool or dataset is busy", at)
		}
	}
	if k.write(p) {
		for _, n := range p.below(name) {
			p.Datasets[n].Mounted, p.Datasets[n].At = false, ""
		}
	}
	return 0
}

func (k *call) mountArg(args []string) (*Pool, *Dataset, int) {
	if len(args) != 1 {
		return nil, nil, k.usage()
	}
	return k.open(args[0])
}
