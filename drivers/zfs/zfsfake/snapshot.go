package zfsfake

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// snapshot finds a snapshot by its whole name, and the dataset it is of.
func (m *Model) snapshot(name string) (*Pool, *Dataset, *Snapshot) {
	of, snap, _ := strings.Cut(name, "@")
	p, d := m.dataset(of)
	if d == nil {
		return nil, nil, nil
	}
	if i := slices.IndexFunc(d.Snapshots, func(s Snapshot) bool { return s.Name == snap }); i >= 0 {
		return p, d, &d.Snapshots[i]
	}
	return nil, nil, nil
}

// origin is the name of the snapshot that a dataset is a clone of, "" where it is none.
func (p *Pool) origin(d *Dataset) string {
	for name, of := range p.Datasets {
		for _, s := range of.Snapshots {
			if d.Origin != "" && s.GUID == d.Origin {
				return name + "@" + s.Name
			}
		}
	}
	return ""
}

// clones are the datasets made from a snapshot, sorted.
func (p *Pool) clones(guid string) []string {
	var names []string
	for n, d := range p.Datasets {
		if d.Origin == guid {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// ofSnapshot is a property of a snapshot, as far as dplane asks.
func (m *Model) ofSnapshot(name, prop string) (value, source string) {
	p, d, s := m.snapshot(name)
	switch prop {
	case "name":
		return name, "-"
	case "type":
		return "snapshot", "-"
	case "guid":
		return s.GUID, "-"
	case "createtxg":
		return strconv.FormatUint(s.TXG, 10), "-"
	case "creation":
		return strconv.FormatInt(s.created(), 10), "-"
	case "used":
		return strconv.FormatUint(s.Unique, 10), "-"
	case "written":
		return strconv.FormatUint(s.Total-d.before(s.TXG), 10), "-"
	case "userrefs":
		return strconv.Itoa(len(s.Holds)), "-"
	case "clones":
		return cmp.Or(strings.Join(p.clones(s.GUID), ","), "-"), "-"
	}
	if v, own := s.Local[prop]; own {
		return v, "local"
	}
	if v, came := s.Received[prop]; came {
		return v, "received"
	}
	of, _, _ := strings.Cut(name, "@")
	if v, source, ok := p.inherited(of, prop); ok && strings.Contains(prop, ":") {
		return v, source
	}
	return "-", "-"
}

// inherited is a user property of a dataset as its snapshots show it.
func (p *Pool) inherited(name, prop string) (value, source string, ok bool) {
	for n := name; n != ""; n = parent(n) {
		if v, set := p.Datasets[n].Local[prop]; set {
			return v, "inherited from " + n, true
		}
		if v, set := p.Datasets[n].Received[prop]; set {
			return v, "inherited from " + n, true
		}
	}
	return "", "", false
}

// before is what had been written when the last snapshot was taken that is older than that.
func (d *Dataset) before(txg uint64) (total uint64) {
	for _, s := range d.Snapshots {
		if s.TXG < txg {
			total = s.Total
		}
	}
	return total
}

// taken is a snapshot as it is now.
func (k *call) taken(d *Dataset, name string, local map[string]string) Snapshot {
	s := Snapshot{Name: name, GUID: k.guid(), TXG: k.TXG, Creation: k.now(), Total: d.Written}
	if len(local) > 0 {
		s.Local = local
	}
	return s
}

// zfsSnapshot takes all that are named or none, in one transaction group. Of what is not there the first is told of, of
// what can't be taken each. A snapshot that is named twice is taken once.
func (k *call) zfsSnapshot(args []string) int {
	opts, operands, ok := getopt(args, "ro:")
	if !ok || len(operands) == 0 {
		return k.usage()
	}
	local := map[string]string{}
	for _, o := range opts['o'] {
		name, value, _ := strings.Cut(o, "=")
		local[name] = value
	}
	type one struct {
		pool     *Pool
		of, name string
	}
	var wanted []one
	for _, word := range operands {
		name, snap, isSnap := strings.Cut(word, "@")
		p, d, _ := k.open(name)
		if d == nil || !isSnap {
			return k.fail(2, "usage:\n\tsnapshot [-r] [-o property=value] ... <filesystem|volume>@<snap> ...")
		}
		names := []string{name}
		if opts.has('r') {
			names = p.below(name)
		}
		for _, n := range names {
			if o := (one{p, n, snap}); !slices.Contains(wanted, o) {
				wanted = append(wanted, o)
			}
		}
	}
	pool, of := wanted[0].pool, map[string]bool{}
	for _, w := range wanted {
		if w.pool != pool || of[w.of] { // the real one has one text for both
			return k.fail(1, "cannot create snapshots : multiple snapshots of same fs not allowed\nno snapshots were created")
		}
		of[w.of] = true
	}
	if pool.ReadOnly {
		return k.fail(1, "cannot create snapshots : pool is read-only\nno snapshots were created")
	}
	if !k.write(pool) {
		return 0
	}
	for _, w := range wanted {
		if why := pool.refusesSnapshot(w.of, w.name); why != "" {
			k.wrote = false
			k.fail(1, "cannot create snapshot '%s@%s': %s", w.of, w.name, why)
		}
	}
	if !k.wrote {
		return k.fail(1, "no snapshots were created")
	}
	for _, w := range wanted {
		d := pool.Datasets[w.of]
		d.Snapshots, d.SnapshotsChanged = append(d.Snapshots, k.taken(d, w.name, local)), k.now()
	}
	return 0
}

// refusesSnapshot says why a dataset can't have a snapshot of that name, "" where it can.
func (p *Pool) refusesSnapshot(name, snap string) string {
	d := p.Datasets[name]
	if slices.ContainsFunc(d.Snapshots, func(s Snapshot) bool { return s.Name == snap }) {
		return "dataset already exists"
	}
	switch {
	case d.Full:
		return "out of space"
	case d.Partial != nil && d.Partial.Fresh:
		return "dataset is busy"
	}
	return ""
}

// listSnapshots is `zfs list -t snapshot`: the named ones, those of the datasets, or with -r also those below them; by
// dataset, then by age.
func (k *call) listSnapshots(opts options, operands []string) int {
	code := 0
	columns := strings.Split(opts.last('o', "name,used,available,referenced,mountpoint"), ",")
	found := map[string]uint64{} // txg by whole name
	for _, name := range operands {
		if strings.Contains(name, "@") {
			if _, _, s := k.snapshot(name); s == nil {
				code = k.fail(1, "cannot open '%s': dataset does not exist", name)
			} else {
				found[name] = s.TXG
			}
			continue
		}
		p, d := k.dataset(name)
		if d == nil {
			code = k.fail(1, "cannot open '%s': dataset does not exist", name)
			continue
		}
		names := []string{name}
		if opts.has('r') && !opts.has('d') {
			names = p.below(name)
		}
		for _, n := range names {
			for _, s := range p.Datasets[n].Snapshots {
				found[n+"@"+s.Name] = s.TXG
			}
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		of, _, _ := strings.Cut(a, "@")
		other, _, _ := strings.Cut(b, "@")
		return cmp.Or(cmp.Compare(of, other), cmp.Compare(found[a], found[b]), cmp.Compare(a, b))
	}) {
		values := make([]string, len(columns))
		for i, c := range columns {
			values[i], _ = k.ofSnapshot(name, c)
		}
		k.printf("%s\n", strings.Join(values, "\t"))
	}
	return code
}

func (k *call) zfsClone(args []string) int {
	opts, operands, ok := getopt(args, "pu:o:")
	if !ok || len(operands) != 2 {
		return k.usage()
	}
	all, r := assignments(opts['o'])
	if r != nil {
		return k.refused(r)
	}
	from, to := operands[0], operands[1]
	p, of, s := k.snapshot(from)
	if s == nil {
		return k.fail(1, "cannot open '%s': dataset does not exist", from)
	}
	room, r := k.room(to)
	if r == nil && room != p {
		r = refuse(1, "source and target pools differ")
	}
	if r == nil {
		r = k.checkAll(all, of.kind(), false)
	}
	if r != nil {
		return k.refused(r.wrap(1, "cannot create '%s'", to))
	}
	if !k.write(p) {
		return 0
	}
	d := &Dataset{Volume: of.Volume, Origin: s.GUID, Local: map[string]string{}, Fixed: map[string]string{}, GUID: k.guid(), TXG: k.TXG}
	for n, v := range of.Fixed {
		d.Fixed[n] = v
	}
	if of.Volume {
		d.Local["volsize"] = of.Local["volsize"]
	}
	if root := p.encryptionRoot(strings.Split(from, "@")[0]); root != "" {
		d.KeyOf = p.Datasets[root].GUID
	}
	p.add(to, d)
	for _, a := range all {
		if r := p.put(k.Model, to, a.name, a.value); r != nil {
			return k.undo(p, to, "out of space")
		}
	}
	d.Mounted = p.mountable(to) && d.Local["canmount"] != "noauto"
	return 0
}

// zfsPromote turns a clone and its origin round: the snapshots up to the origin become the clone's.
func (k *call) zfsPromote(args []string) int {
	if len(args) != 1 {
		return k.usage()
	}
	name := args[0]
	p, d, code := k.open(name)
	if d == nil {
		return code
	}
	origin := p.origin(d)
	if origin == "" {
		return k.fail(1, "cannot promote '%s': not a cloned filesystem", name)
	}
	if !k.write(p) {
		return 0
	}
	_, of, s := k.snapshot(origin)
	guid := s.GUID
	at := slices.IndexFunc(of.Snapshots, func(s Snapshot) bool { return s.GUID == guid })
	moved := slices.Clone(of.Snapshots[:at+1])
	of.Snapshots, of.SnapshotsChanged = slices.Clone(of.Snapshots[at+1:]), k.now() // of the clone it stays what it was (2.3.9)
	before := s.Total                                                              // what had been written when the clone began goes with its snapshots
	for i := range d.Snapshots {
		d.Snapshots[i].Total += before
	}
	for i := range of.Snapshots {
		of.Snapshots[i].Total -= before
	}
	d.Written, of.Written = d.Written+before, of.Written-before
	d.Snapshots = append(moved, d.Snapshots...)
	d.Origin, of.Origin = of.Origin, guid
	from, _, _ := strings.Cut(origin, "@")
	p.promoted(name, from)
	return 0
}

// destroySnapshots destroys the snapshots of one dataset: all that are there, or none where one of them is held
// or cloned.
func (k *call) destroySnapshots(name, list string) int {
	p, d := k.dataset(name)
	if d == nil {
		return k.fail(1, "cannot open '%s': dataset does not exist", name)
	}
	var there []string
	for _, snap := range strings.Split(list, ",") {
		if _, _, s := k.snapshot(name + "@" + snap); s != nil {
			there = append(there, snap)
		}
	}
	if len(there) == 0 {
		return k.fail(1, "could not find any snapshots to destroy; check snapshot names.")
	}
	for _, snap := range there {
		_, _, s := k.snapshot(name + "@" + snap)
		if clones := p.clones(s.GUID); len(clones) > 0 {
			return k.fail(1, "cannot destroy '%s@%s': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\n%s", name, snap, strings.Join(clones, "\n"))
		}
	}
	for _, snap := range there {
		if _, _, s := k.snapshot(name + "@" + snap); d.Partial != nil && d.Partial.FromGUID == s.GUID {
			return k.fail(1, "cannot destroy '%s@%s': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\n%[1]s/%%recv", name, snap)
		}
		if _, _, s := k.snapshot(name + "@" + snap); len(s.Holds) > 0 {
			return k.fail(1, "cannot destroy snapshot %s@%s: it's being held. Run 'zfs holds -r %[1]s@%[2]s' to see holders.", name, snap)
		}
	}
	if k.write(p) {
		d.Snapshots = slices.DeleteFunc(slices.Clone(d.Snapshots), func(s Snapshot) bool { return slices.Contains(there, s.Name) })
		d.SnapshotsChanged = k.now()
	}
	return 0
}

// reclaim is `zfs destroy -nvp` of snapshots. It minds clones, and no holds.
func (k *call) reclaim(name, list string) int {
	p, d := k.dataset(name)
	if d == nil {
		return k.fail(1, "cannot open '%s': dataset does not exist", name)
	}
	var sum uint64
	there := map[string]bool{}
	var cloned *refusal
	for _, snap := range strings.Split(list, ",") {
		_, _, s := k.snapshot(name + "@" + snap)
		if s == nil || there[snap] {
			continue
		}
		there[snap] = true
		if clones := p.clones(s.GUID); len(clones) > 0 && cloned == nil {
			cloned = refuse(1, "cannot destroy '%s@%s': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\n%s", name, snap, strings.Join(clones, "\n"))
		}
		k.printf("destroy\t%s@%s\n", name, snap)
		sum += s.Unique
	}
	if len(there) == 0 {
		return k.fail(1, "could not find any snapshots to destroy; check snapshot names.")
	}
	if cloned != nil {
		return k.refused(cloned)
	}
	k.printf("reclaim\t%d\n", sum)
	return 0
}

// cryptRoom: what inherits its key stays below the dataset whose key it is. n is the tree's, which goes from
// one name to another.
func (p *Pool) cryptRoom(n, to, from string) *refusal {
	root := p.encryptionRoot(n)
	if root == "" || root == from || strings.HasPrefix(root, from+"/") || p.encryptionRoot(parent(to)) == root {
		return nil
	}
	return refuse(1, "cannot move encrypted child outside of its encryption root")
}

// renameSnapshot is `zfs rename DATASET@SNAP DATASET@SNAP`.
func (k *call) renameSnapshot(from, to string) int {
	p, _, s := k.snapshot(from)
	of, _, _ := strings.Cut(from, "@")
	name, same := strings.CutPrefix(to, of+"@")
	_, _, other := k.snapshot(to)
	switch {
	case s == nil:
		return k.fail(1, "cannot open '%s': dataset does not exist", from)
	case !same || checkName(of+"/"+name) != nil:
		return k.fail(1, "cannot rename to '%s': snapshots must be part of same dataset", to)
	case other != nil:
		return k.fail(1, "cannot rename '%s': dataset already exists", from)
	}
	if k.write(p) {
		s.Name = name
	}
	return 0
}
