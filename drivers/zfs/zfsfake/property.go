package zfsfake

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/spec"
)

// native is a property in the place where `zfs get all` prints it, with its default.
type native struct {
	name, value string
	on          spec.DatasetType
}

// natives follows the order of `zfs get all` of 2.3.9. Those that ZFS reports have no default here.
var natives = table(`type . creation . used . available . referenced . compressratio . mounted f: origin . receive_resume_token .
	quota f:0 reservation 0 volsize v: volblocksize v: recordsize f:131072 mountpoint f: sharenfs f:off checksum on
	compression on atime f:on devices f:on exec f:on setuid f:on readonly off zoned f:off snapdir f:hidden
	aclmode f:discard aclinherit f:restricted createtxg . canmount f:on xattr f:on copies 1 version f:5
	utf8only f:off normalization f:none casesensitivity f:sensitive vscan f:off nbmand f:off sharesmb f:off
	refquota f:0 refreservation 0 guid . primarycache all secondarycache all usedbysnapshots . usedbydataset .
	usedbychildren . usedbyrefreservation . logbias latency objsetid . dedup off mlslabel none sync standard
	dnodesize f:legacy refcompressratio . written . snapshots_changed . logicalused . logicalreferenced . volmode default
	filesystem_limit f:none snapshot_limit none filesystem_count f:none snapshot_count none snapdev hidden
	acltype f:off context none fscontext none defcontext none rootcontext none relatime f:on
	redundant_metadata all overlay f:on encryption off keylocation none keyformat none pbkdf2iters 0
	encryptionroot . keystatus . special_small_blocks f:0 prefetch all direct f:standard longname f:off
	volthreading v:on`)

func table(text string) []native {
	words := strings.Fields(text)
	var all []native
	for i := 0; i < len(words); i += 2 {
		n := native{name: words[i], value: strings.TrimPrefix(words[i+1], "."), on: spec.Filesystems | spec.Volumes}
		if v, ok := strings.CutPrefix(n.value, "f:"); ok {
			n.value, n.on = v, spec.Filesystems
		} else if v, ok := strings.CutPrefix(n.value, "v:"); ok {
			n.value, n.on = v, spec.Volumes
		}
		all = append(all, n)
	}
	return all
}

// findNative finds a property of this release.
func findNative(name string) (native, bool) {
	i := slices.IndexFunc(natives, func(n native) bool { return n.name == name })
	if i < 0 {
		return native{}, false
	}
	return natives[i], true
}

func (d *Dataset) kind() spec.DatasetType {
	if d.Volume {
		return spec.Volumes
	}
	return spec.Filesystems
}

// fixed properties have the source "-": chosen when the dataset was made.
var fixed = []string{"version", "utf8only", "normalization", "casesensitivity"}

// get is the value and source of one property, ok false where the dataset has none of that name.
func (m *Model) get(p *Pool, name, prop string) (value, source string, ok bool) {
	d := p.Datasets[name]
	if spec.IsUserQuota(prop) {
		return m.quota(d, prop)
	}
	if spec.IsUserProperty(prop) {
		value, source = p.inherit(name, prop, "", "")
		return value, source, source != ""
	}
	n, known := findNative(prop)
	if !known || n.on&d.kind() == 0 {
		return "", "", false
	}
	if value, ok = p.reported(m, name, prop); ok || isReported(prop) {
		return value, "-", ok
	}
	if v, stale := d.Stale[prop]; stale && d.Mounted {
		return v, "temporary", true
	}
	if v, set := d.Fixed[prop]; set {
		if prop == "volblocksize" && v == "16384" {
			return v, "default", true
		}
		return v, "-", true
	}
	if slices.Contains(fixed, prop) {
		return n.value, "-", true
	}
	if prop == "mountpoint" {
		value, source = p.mountpoint(name)
		return value, source, true
	}
	if !spec.Inheritable(prop) {
		value, source = d.own(prop, n.value)
		return value, source, true
	}
	value, source = p.inherit(name, prop, n.value, "default")
	return value, source, true
}

// own is a value that children do not take over.
func (d *Dataset) own(prop, otherwise string) (value, source string) {
	value, source = otherwise, "default"
	if v, ok := d.Received[prop]; ok && !d.Masked[prop] {
		value, source = v, "received"
	}
	if v, ok := d.Local[prop]; ok {
		value, source = v, "local"
	}
	return value, source
}

// inherit looks upwards for who set the property.
func (p *Pool) inherit(name, prop, otherwise, source string) (string, string) {
	for at := name; at != ""; at = parent(at) {
		d := p.Datasets[at]
		v, local := d.Local[prop]
		if !local {
			r, received := d.Received[prop]
			if !received || d.Masked[prop] {
				continue
			}
			v = r
		}
		switch {
		case at != name:
			return v, "inherited from " + at
		case local:
			return v, "local"
		}
		return v, "received"
	}
	return otherwise, source
}

// mountpoint adds the way down to what is inherited; without any it is the name itself.
func (p *Pool) mountpoint(name string) (value, source string) {
	value, source = p.inherit(name, "mountpoint", "", "default")
	from, inherited := strings.CutPrefix(source, "inherited from ")
	switch {
	case source == "default":
		return "/" + name, source
	case inherited && strings.HasPrefix(value, "/"):
		return strings.TrimSuffix(value, "/") + strings.TrimPrefix(name, from), source
	}
	return value, source
}

// quota: one that is not set is 0, and local all the same; of a name that is not known, and on a volume, "-".
func (m *Model) quota(d *Dataset, prop string) (value, source string, ok bool) {
	_, who, _ := strings.Cut(prop, "@")
	if d.Volume || !m.knows(who) {
		return "", "", false
	}
	return strconv.FormatUint(d.Quotas[prop], 10), "local", true
}

func (m *Model) knows(who string) bool {
	_, err := strconv.ParseUint(who, 10, 32)
	return err == nil || slices.Contains(m.Users, who)
}

// userProperties are the names of all user properties that the dataset shows, sorted.
func (p *Pool) userProperties(name string) []string {
	var names []string
	for at := name; at != ""; at = parent(at) {
		d := p.Datasets[at]
		for _, props := range []map[string]string{d.Local, d.Received} {
			for n := range props {
				if _, source := p.inherit(name, n, "", ""); spec.IsUserProperty(n) && source != "" && !slices.Contains(names, n) {
					names = append(names, n)
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

func isReported(prop string) bool {
	info, ok := spec.LookupProperty(prop, spec.Filesystems|spec.Volumes)
	return ok && info.Change == spec.Never
}

// reported is what ZFS knows by itself.
func (p *Pool) reported(m *Model, name, prop string) (string, bool) {
	d := p.Datasets[name]
	n := func(v uint64) (string, bool) { return strconv.FormatUint(v, 10), true }
	switch prop {
	case "type":
		if d.Volume {
			return "volume", true
		}
		return "filesystem", true
	case "creation":
		return n(1795505725 + d.TXG)
	case "snapshots_changed":
		v, _ := n(uint64(d.SnapshotsChanged))
		return v, d.SnapshotsChanged > 0
	case "createtxg":
		return n(d.TXG)
	case "guid":
		return d.GUID, true
	case "objsetid":
		return n(d.TXG + 50)
	case "mounted":
		return map[bool]string{true: "yes", false: "no"}[d.Mounted], true
	case "compressratio", "refcompressratio":
		return "1.00", true
	case "used", "logicalused":
		return n(p.space(name))
	case "available":
		return n(p.available(name))
	case "written":
		return n(d.sinceSnapshot())
	case "usedbydataset":
		return n(d.unique())
	case "referenced", "logicalreferenced":
		return n(d.referenced())
	case "usedbychildren":
		return n(p.usedByChildren(name))
	case "usedbyrefreservation":
		return n(p.usedByRefreservation(name))
	case "mlslabel":
		return "none", true
	case "usedbysnapshots":
		return n(0)
	case "filesystem_count", "snapshot_count":
		return "none", true
	case "origin":
		origin := p.origin(d)
		return origin, origin != ""
	case "receive_resume_token":
		if d.Partial != nil {
			return d.Partial.token(), true
		}
	case "encryptionroot", "keystatus":
		if root := p.encryptionRoot(name); root != "" {
			status := map[bool]string{true: "unavailable", false: "available"}[p.locked(name)]
			return map[string]string{"encryptionroot": root, "keystatus": status}[prop], true
		}
	}
	return "", false
}
