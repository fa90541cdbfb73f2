package zfsfake

import "strings"

// store puts what came into the target, as a snapshot where it is all, else as a partial state or not at all.
func (k *call) store(rc *receiving, p *Pool, g *segment, came uint64, name string) int {
	d := p.Datasets[rc.target]
	fresh := d == nil
	if fresh {
		d = k.newTarget(p, rc.target, g)
	}
	why := ""
	if !g.whole(came) {
		why = "checksum mismatch or incomplete stream."
	}
	if room := p.free(rc.target); g.Written > room {
		came, why = min(came, room), "out of space"
		if d.size("quota") > 0 || p.quotaAbove(rc.target) {
			why = "destination " + rc.target + " space quota exceeded."
		}
	}
	for _, a := range rc.set {
		if !k.maySet(p, rc, a.name) {
			continue
		}
		if r := p.put(k.Model, rc.target, a.name, a.value); r != nil {
			return k.fail(1, "cannot receive %s: %s", rc.kind, r.text)
		}
	}
	for _, x := range rc.without {
		k.mayLeaveOut(p, rc, g, x)
	}
	if why != "" {
		return k.storePart(rc, p, g, came, fresh, why)
	}
	d.Partial = nil
	if g.FromGUID == "" {
		d.Written = 0
	}
	d.Written += g.Written
	d.Large = d.Large || g.Large
	snap := Snapshot{Name: name[strings.Index(name, "@")+1:], GUID: g.ToGUID, TXG: k.TXG, Creation: g.Creation, Total: d.Written, IVSet: g.IVSet}
	if !g.Raw && p.encryptionRoot(rc.target) != "" {
		snap.IVSet = "anew " + g.ToGUID
	}
	d.Snapshots, d.SnapshotsChanged = append(d.Snapshots, snap), k.now()
	if g.Volume && g.Size != "" {
		d.Local["volsize"] = g.Size
	}
	d.Mounted = d.Mounted || rc.mount && p.mountable(rc.target) && !p.locked(rc.target)
	return 0
}

// storePart keeps what came of a stream that ended early, with -s; without, nothing of it is left.
func (k *call) storePart(rc *receiving, p *Pool, g *segment, came uint64, fresh bool, why string) int {
	d := p.Datasets[rc.target]
	if !rc.save {
		if fresh {
			p.remove(rc.target)
		}
		return k.fail(1, "cannot receive %s: %s", rc.kind, strings.TrimPrefix(why, "checksum mismatch or "))
	}
	fresh = fresh || d.Partial != nil && d.Partial.Fresh
	d.Partial = &partial{
		To: g.To, ToGUID: g.ToGUID, FromGUID: g.FromGUID, Bytes: g.Done + came,
		Raw: g.Raw, Compressed: g.Compressed, LargeBlocks: g.LargeBlocks, Embedded: g.Embedded, Fresh: fresh,
	}
	if fresh {
		d.Written = d.Partial.Bytes
	}
	if strings.HasPrefix(why, "checksum") {
		why += "\nPartially received snapshot is saved.\nA resuming stream can be generated on the sending system by running:\n    zfs send -t " + d.Partial.token()
	}
	return k.fail(1, "cannot receive %s: %s", rc.kind, why)
}

// newTarget makes the dataset of a full stream. It inherits as any other; what is raw brings its own key, not loaded.
func (k *call) newTarget(p *Pool, name string, g *segment) *Dataset {
	d := &Dataset{Volume: g.Volume, Local: map[string]string{}, Fixed: map[string]string{}, GUID: k.guid(), TXG: k.TXG}
	for n, v := range g.Fixed {
		d.Fixed[n] = v
	}
	if g.Volume {
		d.Local["volsize"] = g.Size
	}
	up := p.Datasets[parent(name)]
	switch {
	case g.Raw:
		d.Key, d.Unloaded = g.Key, true
		d.Local["keylocation"] = "prompt"
	case p.encryptionRoot(parent(name)) != "":
		for _, n := range []string{"encryption", "keyformat", "pbkdf2iters"} {
			d.Fixed[n] = up.Fixed[n]
		}
	}
	p.add(name, d)
	return d
}

// quotaAbove tells whether a quota may be what lets nothing more in.
func (p *Pool) quotaAbove(name string) bool {
	for at := parent(name); at != ""; at = parent(at) {
		if p.Datasets[at].size("quota") > 0 {
			return true
		}
	}
	return false
}
