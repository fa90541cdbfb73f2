package spec

import (
	"path"
	"sort"
	"strings"
)

func (l *loader) dataset(name string, c cursor) *Dataset {
	if _, err := ParseDatasetName(name); err != nil {
		c.badKey("%v", err).want("a dataset's name", "tank/home")
		return nil
	}
	d := &Dataset{
		Name: DatasetName(name), Pos: c.key,
		Snapshots: c.get("snapshots").snapshots(),
		Allow:     c.get("allow").allow(),
		Absent:    c.get("absent").flag(false),
	}
	if v := c.get("volume"); v.there() {
		d.Volume = v.volume()
	}
	if e := c.get("encryption"); e.there() {
		d.Encryption = e.encryption()
	}
	d.Properties = c.get("properties").properties(d.Type())
	if o := c.get("origin"); o.there() {
		d.Origin = o.snapshotName()
	}
	if r := c.get("renamedFrom"); r.there() {
		d.Renamed = r.datasetName()
	}
	return d
}

// datasetName is "" where the text is none.
func (c cursor) datasetName() DatasetName {
	name, err := ParseDatasetName(c.text())
	if err != nil {
		c.bad("%v", err).want("a dataset's name", "tank/home")
	}
	return name
}

func (c cursor) snapshotName() SnapshotName {
	name, err := ParseSnapshotName(c.text())
	if err != nil {
		c.bad("%v", err).want("a snapshot's name", "tank/home@monday")
	}
	return name
}

// properties are nil where nothing is said of them.
func (c cursor) properties(on DatasetType) map[string]Property {
	if !c.there() || c.n.kind != mapNode {
		return nil
	}
	m := make(map[string]Property, len(c.n.keys))
	names, values := c.entries()
	for i, name := range names {
		if v := values[i]; v.n.kind == scalarNode && v.n.tag != tagNull {
			m[name] = v.property(name, on)
		}
	}
	return m
}

func (c cursor) property(name string, on DatasetType) Property {
	p := Property{Text: c.text(), Pos: c.key}
	text := p.Text
	if c.n.tag == tagBool && !IsUserProperty(name) {
		text = strings.ToLower(text) // YAML's True is true
	}
	value, expected, err := CheckProperty(name, text, on)
	if err == nil {
		p.Value = value
		return p
	}
	info, known := LookupProperty(name, on)
	if known && info.Change == Anytime || known && info.Change == AtCreation {
		q := c.bad("%v%s", err, c.l.suggest(text, info.Values))
		q.Expected, q.Example = expected, name+": "+info.Example
		return p
	}
	near, example := "", first(info.Instead, "compression: zstd")
	if !known && !knownElsewhere(name) {
		near = first(shortNames[name], c.l.near(name, PropertyNames(on)))
	}
	switch {
	case IsUserProperty(name):
		example = "com.example:owner: it"
	case on == PoolProps && info.Instead == "":
		example = "ashift: 12"
	}
	if like, ok := LookupProperty(near, on); ok {
		example = near + ": " + like.Example
	}
	c.badKey("%v%s", err, meant(near)).want(expected, example)
	return p
}

func (c cursor) volume() *Volume {
	v := &Volume{Size: c.get("size").size(), BlockSize: c.get("blockSize").size(), Pos: c.key}
	if s := c.get("sparse"); s.there() {
		sparse := s.flag(false)
		v.Sparse = &sparse
	}
	if b := c.get("blockSize"); b.there() && (v.BlockSize < 512 || v.BlockSize > 16<<20 || v.BlockSize&(v.BlockSize-1) != 0) {
		b.bad("%s is no block size", quote(b.text())).Expected = "a power of two from 512 to 16M"
		return v
	}
	size := c.get("size")
	if !size.there() {
		return v
	}
	unit, which := v.BlockSize, "blockSize"
	if unit == 0 {
		unit, which = 16<<10, "ZFS's default block size"
	}
	switch {
	case v.Size == 0:
		size.bad("a volume of no size").Expected = "a size over 0"
	case v.Size%unit != 0:
		size.bad("%s is no multiple of %s, %s", quote(size.text()), which, unit).want("a multiple of "+unit.String(), ((v.Size/unit + 1) * unit).String())
	}
	return v
}

func (c cursor) encryption() *Encryption {
	e := &Encryption{Format: c.get("format").text(), KeyFile: c.get("keyFile").text(), Pos: c.key}
	if e.KeyFile != "" {
		e.KeyFile = path.Clean(e.KeyFile)
	}
	for _, dir := range []string{c.l.opts.Dir, c.l.opts.real} {
		if k := c.get("keyFile"); k.there() && dir != "" && inside(e.KeyFile, dir) {
			k.bad("a key file inside the configuration directory %s", dir).
				want("a path outside: the directory is a git checkout, and is copied and shown", "/etc/dplaneos-keys/"+path.Base(e.KeyFile))
			break
		}
	}
	return e
}

// inside tells whether a clean path is the directory or below it.
func inside(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

func (c cursor) snapshots() *Snapshots {
	switch {
	case !c.there():
		return nil
	case c.n.kind == scalarNode:
		return &Snapshots{Schedule: c.text(), Pos: c.n.pos}
	}
	s := &Snapshots{Schedule: c.get("schedule").text(), Pos: c.key}
	if n := c.get("schedule").n; n != nil {
		s.Pos = n.pos
	}
	if b := c.get("before"); b.there() {
		s.Before = b.hook()
		s.Before.OnFailure = b.get("onFailure").textOr(defaultOnFailure)
	}
	if a := c.get("after"); a.there() {
		s.After = a.hook()
	}
	return s
}

func (c cursor) hook() *Hook {
	h := &Hook{Run: c.get("run").texts(), Timeout: c.get("timeout").duration(defaultHook, second)}
	c.get("run").checkArgv()
	return h
}

// checkArgv wants a program by its absolute path: nothing is looked up, nothing passes a shell.
func (c cursor) checkArgv() {
	if !c.there() || c.n.kind != listNode {
		return
	}
	words := c.list()
	const example = "[/usr/local/bin/pg-freeze, start]"
	if len(words) == 0 || !strings.HasPrefix(words[0].text(), "/") {
		p := c.badKey("the program is not named by its absolute path")
		p.Expected, p.Example = "a program's absolute path and its arguments, as a list", example
	}
	for _, w := range words {
		if strings.ContainsRune(w.text(), 0) {
			w.bad("an argument holds a NUL")
		}
	}
}

// allow is nil where nothing is said.
func (c cursor) allow() map[string][]string {
	if !c.there() || c.n.kind != mapNode {
		return nil
	}
	m := map[string][]string{}
	names, values := c.entries()
	for i, who := range names {
		values[i].checkWho(who)
		values[i].checkPermissions()
		perms := values[i].texts()
		sort.Strings(perms)
		m[who] = perms
	}
	return m
}

func (c cursor) checkWho(who string) {
	kind, name, _ := strings.Cut(who, ":")
	if who == "everyone" || (kind == "user" || kind == "group") && validAccount(name) {
		return
	}
	p := c.badKey("%s is nobody who can be allowed something", quote(who))
	p.Expected, p.Example = "user:NAME, group:NAME or everyone", `"user:backup": [send, hold]`
}

func validAccount(name string) bool {
	bad := func(r rune) bool { return !letter(r) && (r < '0' || r > '9') && !strings.ContainsRune("-_.@$", r) }
	return name != "" && name[0] != '-' && !strings.ContainsFunc(name, bad)
}

// permissions of zfs-allow(8), beside the names of properties and of @sets.
var permissions = words("allow bookmark change-key clone create destroy diff hold load-key mount promote receive " +
	"receive:append release rename rollback send send:raw send:encrypted share snapshot " +
	"groupquota groupused userprop userquota userused groupobjquota groupobjused userobjquota userobjused " +
	"projectquota projectused projectobjquota projectobjused")

func (c cursor) checkPermissions() {
	seen := map[string]bool{}
	for _, p := range c.list() {
		name := p.text()
		switch {
		case seen[name]:
			p.bad("the permission %s stands twice", quote(name)).Expected = "each permission once"
		case !validPermission(name):
			p.bad("there is no permission %s%s", quote(name), c.l.suggest(name, permissions)).Expected = "a permission of zfs-allow(8), a property's name or @SET"
		}
		seen[name] = true
	}
}

func validPermission(name string) bool {
	for _, p := range permissions {
		if p == name {
			return true
		}
	}
	if set, ok := strings.CutPrefix(name, "@"); ok {
		return set != "" && component(set) == nil
	}
	info, ok := LookupProperty(name, datasets)
	return ok && (info.Change != Never)
}
