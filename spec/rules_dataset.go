package spec

import "strings"

func (l *loader) datasetRules() {
	before := map[DatasetName]*Dataset{}
	for _, name := range l.spec.DatasetNames() {
		d := l.spec.Datasets[name]
		path := join("datasets", string(name))
		l.refer(d.Pos, path, "pool", "pools", string(name.Pool()))
		if s := d.Snapshots; s != nil && s.Schedule != noSchedule {
			l.refer(s.Pos, join(path, "snapshots"), "schedule", "schedules", s.Schedule)
		}
		l.trashRules(d, path)
		l.parentRules(d, path)
		l.rootRules(d, path)
		l.renameRules(d, path, before)
		l.originRules(d, path)
		l.propertyRules(d, path)
	}
}

// parentRules look at the declared ones above: an absent one, a volume.
func (l *loader) parentRules(d *Dataset, path string) {
	for up := d.Name.Parent(); up != ""; up = up.Parent() {
		p := l.spec.Datasets[up]
		switch {
		case p == nil:
		case p.Absent && !d.Absent:
			l.rule(d.Pos, path, "is below %s, which is absent (%s)", up, p.Pos).want("absent: true here too, or not there", string(d.Name)+": {absent: true}")
			return
		case p.Volume != nil:
			l.rule(d.Pos, path, "is below %s, which is a volume (%s)", up, p.Pos).Expected = "a file system above it"
			return
		}
	}
}

// trashRules: the trash is dplane's own.
func (l *loader) trashRules(d *Dataset, path string) {
	of, _, _ := strings.Cut(string(d.Origin), "@")
	switch {
	case d.Name.InTrash():
		l.rule(d.Pos, path, "is in the trash, which dplane keeps by itself").Expected = "the name it had: declaring that, without absent, brings it back"
	case d.Renamed.InTrash():
		l.rule(l.setting(d.Name, "renamedFrom").n.pos, join(path, "renamedFrom"), "%s is in the trash", d.Renamed).Expected = "the name it had: declaring that brings it back"
	case DatasetName(of).InTrash():
		l.rule(l.setting(d.Name, "origin").n.pos, join(path, "origin"), "%s is in the trash", of).Expected = "a snapshot of a dataset that stays"
	}
}

func (l *loader) rootRules(d *Dataset, path string) {
	if !d.Name.IsRoot() {
		return
	}
	switch {
	case d.Volume != nil:
		l.rule(d.Volume.Pos, join(path, "volume"), "a pool's root dataset can't be a volume")
	case d.Origin != "":
		l.rule(l.setting(d.Name, "origin").n.pos, join(path, "origin"), "a pool's root dataset can't be a clone")
	case d.Renamed != "":
		l.rule(l.setting(d.Name, "renamedFrom").n.pos, join(path, "renamedFrom"), "a pool's root dataset can't be renamed")
	case d.Absent:
		l.warn(l.setting(d.Name, "absent").n.pos, join(path, "absent"), "a pool's root dataset is destroyed with its pool alone: dplane never does that")
	}
}

func (l *loader) renameRules(d *Dataset, path string, before map[DatasetName]*Dataset) {
	from := d.Renamed
	if from == "" {
		return
	}
	path = join(path, "renamedFrom")
	pos := l.setting(d.Name, "renamedFrom").n.pos
	other := l.spec.Datasets[from]
	switch {
	case from == d.Name:
		l.rule(pos, path, "is its own name")
	case d.Absent:
		l.rule(pos, path, "a dataset that is absent can't be renamed")
	case other != nil:
		l.rule(pos, path, "%s is declared itself (%s)", from, other.Pos).Expected = "one of the two, or " + string(from) + " under another name"
	case from.IsRoot():
		l.rule(pos, path, "%s is a pool's root dataset, which can't be renamed", from)
	case from.Pool() != d.Name.Pool():
		l.rule(pos, path, "%s is in another pool: a rename stays in its pool", from).Expected = "a dataset of " + string(d.Name.Pool())
	case d.Name.Under(from):
		l.rule(pos, path, "a dataset can't be moved below itself")
	case before[from] != nil:
		l.rule(pos, path, "%s is renamed twice, first at %s", from, before[from].Pos)
	}
	before[from] = d
}

func (l *loader) originRules(d *Dataset, path string) {
	if d.Origin == "" {
		return
	}
	of, _, _ := strings.Cut(string(d.Origin), "@")
	path = join(path, "origin")
	pos := l.setting(d.Name, "origin").n.pos
	switch source := DatasetName(of); {
	case d.Encryption != nil:
		l.rule(d.Encryption.Pos, strings.TrimSuffix(path, "origin")+"encryption", "a clone has the encryption and the key of its origin %s: ZFS gives it no other", d.Origin).
			Expected = "origin or encryption, not both"
	case source == d.Name:
		l.rule(pos, path, "a dataset can't be a clone of itself")
	case source.Pool() != d.Name.Pool():
		l.rule(pos, path, "%s is in another pool: a clone stays in its pool", d.Origin).Expected = "a snapshot in " + string(d.Name.Pool())
	case l.spec.Datasets[source] != nil && l.spec.Datasets[source].Type() != d.Type():
		l.rule(pos, path, "%s is a %s, and this a %s", source, l.spec.Datasets[source].Type(), d.Type()).Expected = "volume on both or on none"
	}
}

// encryptionRules: a key that lies on what it unlocks can never be read.
func (l *loader) encryptionRules() {
	for _, name := range l.spec.DatasetNames() {
		root := l.encryptionRoot(name)
		if root == nil || root.Encryption.KeyFile == "" {
			continue
		}
		at := l.mountpoint(name)
		if at == "" || !inside(root.Encryption.KeyFile, at) {
			continue
		}
		key := l.setting(root.Name, "encryption").get("keyFile")
		p := l.rule(key.n.pos, join(join(join("datasets", string(root.Name)), "encryption"), "keyFile"),
			"the key file %s is below %s, where %s is mounted, which it unlocks", root.Encryption.KeyFile, at, name)
		p.Expected = "a path outside of it"
	}
}

// encryptionRoot is the nearest declared one at or above the name, nil if none.
func (l *loader) encryptionRoot(name DatasetName) *Dataset {
	for ; name != ""; name = name.Parent() {
		if d := l.spec.Datasets[name]; d != nil && d.Encryption != nil {
			return d
		}
	}
	return nil
}

// mountpoint is where the files and ZFS's defaults mount a dataset, "" for nowhere.
func (l *loader) mountpoint(name DatasetName) string {
	if d := l.spec.Datasets[name]; d != nil && d.Volume != nil {
		return ""
	}
	rest := ""
	for up := name; up != ""; up = up.Parent() {
		if d := l.spec.Datasets[up]; d != nil {
			switch m := d.Properties["mountpoint"].Value; m {
			case "":
			case "none", "legacy":
				return ""
			default:
				return strings.TrimSuffix(m, "/") + rest
			}
		}
		rest = "/" + up.Base() + rest
	}
	return rest
}
