package zfsfake

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/spec"
)

// zfsSet sets properties on one dataset after the other, and ends at none: a refusal of one is told, and the next
// is tried (zfs_do_set in cmd/zfs).
func (k *call) zfsSet(args []string) int {
	opts, words, ok := getopt(args, "u")
	at := slices.IndexFunc(words, func(w string) bool { return !strings.Contains(w, "=") })
	if !ok || at < 1 {
		return k.usage()
	}
	code := 0
	for _, name := range words[at:] {
		all, r := assignments(words[:at])
		if r != nil {
			return k.refused(r)
		}
		set := func() { code = max(code, k.setOne(name, all)) }
		if p := k.Pools[poolOf(name)]; p != nil && opts.has('u') {
			p.stay(set)
		} else {
			set()
		}
	}
	return code
}

func (k *call) setOne(name string, all []assignment) int {
	p, d, code := k.open(name)
	if d == nil {
		return code
	}
	if r := k.checkAll(all, d.kind(), false); r != nil {
		return k.refused(r.wrap(255, "cannot set property for '%s'", name))
	}
	if r := d.checkVolsize(all); r != nil {
		return k.refused(r.wrap(255, "cannot set property for '%s'", name))
	}
	for _, a := range all {
		if r := p.inUse(name, a); r != nil {
			return k.fail(255, "%s", r.text)
		}
	}
	if !k.write(p) {
		return 0
	}
	if r := k.putAll(p, d, name, all); r != nil {
		return k.refused(r.wrap(255, "cannot set property for '%s'", name))
	}
	if d.Busy && d.Mounted && slices.Contains(all, assignment{"readonly", "on"}) {
		return k.fail(255, "cannot set mount attributes for '%s': mount failed\nproperty may be set but unable to remount filesystem", name)
	}
	return 0
}

// inUse refuses a change that would unmount a file system somebody uses; nothing is set then.
func (p *Pool) inUse(name string, a assignment) *refusal {
	if a.name != "mountpoint" && (a.name != "canmount" || a.value != "off") {
		return nil
	}
	movers := map[string]string{} // name -> where it is mounted
	for _, n := range p.below(name) {
		_, source := p.mountpoint(n)
		moves := n == name || a.name == "mountpoint" && (source == "default" || strings.HasPrefix(source, "inherited"))
		if d := p.Datasets[n]; d.Mounted && moves {
			movers[n] = p.mountedAt(n)
			if d.Busy {
				return refuse(1, "cannot unmount '%s': pool or dataset is busy", movers[n])
			}
		}
	}
	for n, d := range p.Datasets {
		if _, moves := movers[n]; moves || !d.Mounted || a.name != "mountpoint" {
			continue
		}
		for _, at := range movers { // what else is mounted inside keeps it (2.3.9)
			if strings.HasPrefix(p.mountedAt(n), strings.TrimSuffix(at, "/")+"/") {
				return refuse(255, "cannot unmount '%s': pool or dataset is busy", at)
			}
		}
	}
	return nil
}

// mountedAt is where a mounted file system is.
func (p *Pool) mountedAt(name string) string {
	if at := p.Datasets[name].At; at != "" {
		return at
	}
	at, _ := p.mountpoint(name)
	return at
}

// mountOptions are properties that are options of the mount as well.
var mountOptions = []string{"atime", "relatime", "devices", "exec", "setuid", "readonly", "nbmand", "xattr"}

// putAll sets what the kernel takes, and gives the first that it does not. After a refusal zfs does not
// mount anew, so that what did change shows its old value, as a temporary one, until it is set again.
func (k *call) putAll(p *Pool, d *Dataset, name string, all []assignment) (first *refusal) {
	was := map[string]string{}
	for _, a := range all {
		if slices.Contains(mountOptions, a.name) {
			was[a.name], _, _ = k.get(p, name, a.name)
			delete(d.Stale, a.name)
		}
		if r := p.put(k.Model, name, a.name, a.value); r != nil && first == nil {
			first = r
		}
	}
	if first == nil || !d.Mounted {
		return first
	}
	for n, v := range was {
		if now, _, _ := k.get(p, name, n); now != v {
			if d.Stale == nil {
				d.Stale = map[string]string{}
			}
			d.Stale[n] = v
		}
	}
	return first
}

func (d *Dataset) checkVolsize(all []assignment) *refusal {
	for _, a := range all {
		if a.name != "volsize" {
			continue
		}
		size, _ := strconv.ParseUint(a.value, 10, 64)
		if block := d.blocksize(); size%block != 0 {
			return refuse(255, "'volsize' must be a multiple of volume block size (%s)", spec.Size(block))
		}
	}
	return nil
}

func (d *Dataset) blocksize() uint64 {
	n, err := strconv.ParseUint(d.Fixed["volblocksize"], 10, 64)
	if err != nil {
		return 16384
	}
	return n
}

// put sets one canonical value, as the kernel does: what depends on space is refused here.
func (p *Pool) put(m *Model, name, prop, value string) *refusal {
	d := p.Datasets[name]
	n, _ := strconv.ParseUint(value, 10, 64)
	if spec.IsUserQuota(prop) {
		if d.Quotas == nil {
			d.Quotas = map[string]uint64{}
		}
		d.Quotas[prop] = n
		return nil
	}
	switch prop {
	case "quota":
		if n != 0 && n < max(p.space(name), d.size("reservation")) {
			return refuse(255, "size is less than current used or reserved space")
		}
	case "refquota":
		if n != 0 && n < max(d.referenced(), d.size("refreservation")) {
			return refuse(255, "size is less than current used or reserved space")
		}
	case "reservation":
		if n > max(p.space(name), d.size(prop)) && n-max(p.space(name), d.size(prop)) > p.free(name) {
			return refuse(255, "size is greater than available space")
		}
	case "refreservation":
		if value == "auto" {
			value = strconv.FormatUint(reserve(d.size("volsize"), d.blocksize(), 1), 10)
			n, _ = strconv.ParseUint(value, 10, 64)
		}
		if had := max(d.referenced(), d.size(prop)); n > had && n-had > p.free(name) {
			return refuse(255, "size is greater than available space")
		}
	case "volsize":
		return p.resize(name, n)
	case "keylocation":
		if r := p.keyLocation(name, value); r != nil {
			return r
		}
	}
	return p.store(d, name, prop, value)
}

// resize changes a volume; the reservation that zfs gave it follows.
func (p *Pool) resize(name string, size uint64) *refusal {
	d := p.Datasets[name]
	old, block := d.size("volsize"), d.blocksize()
	if d.size("refreservation") == reserve(old, block, 1) {
		want := reserve(size, block, 1)
		if had := max(d.referenced(), d.size("refreservation")); want > had && want-had > p.free(name) {
			return refuse(255, "size is greater than available space")
		}
		d.Local["refreservation"] = strconv.FormatUint(want, 10)
	}
	d.Local["volsize"] = strconv.FormatUint(size, 10)
	return nil
}

func (p *Pool) store(d *Dataset, name, prop, value string) *refusal {
	switch prop {
	case "casesensitivity", "normalization", "utf8only", "volblocksize", "encryption", "keyformat", "pbkdf2iters":
		d.Fixed[prop] = value
		return nil
	}
	d.Local[prop] = value
	p.remount(name, prop)
	return nil
}

// remount follows a change of mountpoint or canmount: what can't be mounted is unmounted, and a new
// place is taken by the file system and those below that inherit it. canmount=on alone mounts nothing.
func (p *Pool) remount(name, prop string) {
	if prop != "mountpoint" && prop != "canmount" {
		return
	}
	_, from := p.mountpoint(name)
	if from == "local" || from == "received" {
		from = "inherited from " + name
	}
	for _, n := range p.below(name) {
		d := p.Datasets[n]
		if _, source := p.mountpoint(n); n != name && source != from {
			continue // it has a place of its own
		}
		switch {
		case !p.mountable(n):
			d.Mounted, d.At = false, ""
		case p.locked(n):
		case prop == "mountpoint" && (d.Local["canmount"] != "noauto" || d.Mounted):
			d.Mounted, d.At = true, ""
		}
	}
}

func (k *call) zfsInherit(args []string) int {
	opts, operands, ok := getopt(args, "rS")
	if !ok || len(operands) < 2 {
		return k.usage()
	}
	prop, received := operands[0], opts.has('S')
	if r := inheritable(prop, received); r != nil {
		return k.refused(r)
	}
	for _, name := range operands[1:] {
		p, d, code := k.open(name)
		if d == nil {
			return code
		}
		if n, known := findNative(prop); known && n.on&d.kind() == 0 {
			return k.fail(1, "cannot inherit %s for '%s': property doesn't apply to datasets of this type", prop, name)
		}
		if r := p.inUse(name, assignment{prop, ""}); r != nil {
			return k.refused(r)
		}
		if !k.write(p) {
			return 0
		}
		p.giveBack(d, name, prop, received)
	}
	return 0
}

// inheritable tells whether `zfs inherit` takes the property at all.
func inheritable(prop string, received bool) *refusal {
	info, native := spec.LookupProperty(prop, spec.Filesystems|spec.Volumes)
	switch {
	case spec.IsUserProperty(prop):
		return nil
	case !native || spec.IsUserQuota(prop):
		return refuse(2, "invalid property '%s'\nusage:\n\tinherit [-rS] <property> <filesystem|volume|snapshot> ...", prop)
	case info.Change == spec.Never, info.Change == spec.AtCreation, prop == "volblocksize", prop == "encryption", prop == "keyformat":
		return refuse(1, "%s property is read-only", prop)
	case received && (prop == "volsize" || prop == "version"):
		return refuse(1, "'%s' property cannot be reverted to a received value", prop)
	case !received && info.Local:
		text := "'" + prop + "' property cannot be inherited"
		if strings.HasSuffix(prop, "quota") || strings.HasSuffix(prop, "reservation") {
			text += "\nuse 'zfs set " + prop + "=none' to clear\nuse 'zfs inherit -S " + prop + "' to revert to received value"
		}
		return refuse(1, "%s", text)
	}
	return nil
}

// giveBack takes the local value away. A received one is hidden by a plain inherit and comes back with -S.
func (p *Pool) giveBack(d *Dataset, name, prop string, received bool) {
	delete(d.Local, prop)
	delete(d.Stale, prop)
	if _, ok := d.Received[prop]; ok && !received {
		if d.Masked == nil {
			d.Masked = map[string]bool{}
		}
		d.Masked[prop] = true
	} else {
		delete(d.Masked, prop)
	}
	p.remount(name, prop)
}

// Receive makes a dataset as `zfs send -p | zfs recv -u` does, with these properties received.
func (f *Fake) Receive(name string, props map[string]string) error {
	if _, err := f.Do("zfs create -u '" + name + "'"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, d := f.Model.dataset(name)
	d.Received = map[string]string{}
	for n, v := range props {
		c, r := f.Model.check(assignment{n, v}, d.kind(), false)
		if r != nil {
			return errors.New(r.text)
		}
		d.Received[n] = c
	}
	return nil
}

// Copy makes a dataset as `zfs send -p SNAPSHOT | zfs recv -u` does, with that snapshot.
func (f *Fake) Copy(snapshot, name string) error {
	f.mu.Lock()
	_, of, s := f.Model.snapshot(snapshot)
	f.mu.Unlock()
	if s == nil {
		return errors.New("no snapshot " + snapshot)
	}
	if err := f.Receive(name, of.Local); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, d := f.Model.dataset(name)
	d.Written = s.Total
	d.SnapshotsChanged = f.Model.now()
	d.Snapshots = []Snapshot{{Name: s.Name, GUID: s.GUID, TXG: f.Model.TXG, Creation: s.Creation, Received: s.Local, Total: s.Total}}
	return nil
}

// Write puts that many bytes into a dataset.
func (f *Fake) Write(name string, bytes uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, d := f.Model.dataset(name); d != nil {
		d.Written += bytes
	}
}
