package zfs_test

import (
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

func observePool(m *machine, _ string) {
	pools, err := zfs.ParsePools([]byte(m.do(zfs.ListPools())))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, p := range pools {
		if p.Name != m.pool {
			continue
		}
		if err := zfs.ParsePoolStatus([]byte(m.do(zfs.PoolStatus(m.pool))), p); err != nil {
			m.t.Fatal(err)
		}
		props, err := zfs.ParsePoolProperties(m.pool, []byte(m.do(zfs.GetPool(m.pool))))
		if err != nil || props["guid"].Value != p.GUID || props["autotrim"] != (state.Property{Value: "on", Source: "local"}) || props["health"].Source != "-" {
			m.t.Errorf("properties %+v, %v", props, err)
		}
		if p.Size != 251658240 || p.Health != "ONLINE" || len(p.Vdevs) != 1 || p.Vdevs[0].Name != "mirror-0" || p.Vdevs[0].Children[1].Name != m.file("b") {
			m.t.Errorf("%+v", p)
		}
		return
	}
	m.t.Errorf("%s is not among %d pools", m.pool, len(pools))
}

func poolRefusals(m *machine, _ string) {
	create := func(pool, fs map[string]string, vdev ...string) host.Command {
		for i, w := range vdev {
			if len(w) == 1 {
				vdev[i] = m.file(w)
			}
		}
		return zfs.CreatePool(m.pool+"x", pool, fs, vdev)
	}
	m.refused(1, zfs.ErrExists, zfs.CreatePool(m.pool, nil, nil, []string{m.file("c")}))
	m.refused(1, zfs.ErrInUse, create(nil, nil, "a"))
	m.refused(1, zfs.ErrNotExist, create(nil, nil, m.file("nosuch")))
	m.refused(1, zfs.ErrBadVdev, create(nil, nil, "c", "mirror", "d", "e"))
	m.refused(1, zfs.ErrBadValue, create(map[string]string{"autotrim": "maybe"}, nil, "c"))
	m.refused(1, zfs.ErrBadValue, create(map[string]string{"ashift": "99"}, nil, "c"))
	m.refused(1, zfs.ErrBadProperty, create(map[string]string{"nosuch": "1"}, nil, "c"))
	m.refused(1, zfs.ErrBadProperty, create(nil, map[string]string{"nosuch": "1"}, "c"))
	m.refused(1, zfs.ErrBadValue, create(nil, map[string]string{"recordsize": "3K"}, "c"))
	m.refused(1, zfs.ErrReadOnly, create(nil, map[string]string{"used": "3K"}, "c"))
	m.refused(1, zfs.ErrNotEmpty, create(nil, map[string]string{"mountpoint": m.file("full")}, "c"))
	m.refused(1, zfs.ErrBadName, zfs.CreatePool("bad!name", nil, nil, []string{m.file("c")}))
	m.refused(1, zfs.ErrBadName, zfs.CreatePool("mirrorx", nil, nil, []string{m.file("c")}))
	m.refused(1, zfs.ErrNotExist, host.Read("zpool", "list", "-H", "-o", "name", m.pool+"x"))
}

func poolProperties(m *machine, _ string) {
	m.do(zfs.SetPool(m.pool, "comment", "hello world"))
	m.do(zfs.SetPool(m.pool, "autotrim", "off"))
	m.has(m.pool, "pool:comment=hello world (local)", "pool:autotrim=off (default)", "pool:ashift=12 (local)", "pool:failmode=wait (default)")
	m.refused(1, zfs.ErrBadProperty, zfs.SetPool(m.pool, "nosuch", "1"))
	m.refused(1, zfs.ErrReadOnly, zfs.SetPool(m.pool, "size", "1"))
	m.refused(1, zfs.ErrReadOnly, zfs.SetPool(m.pool, "readonly", "on"))
	m.refused(1, zfs.ErrBadValue, zfs.SetPool(m.pool, "autotrim", "maybe"))
	m.refused(22, zfs.ErrNotExist, zfs.SetPool(m.pool+"x", "autotrim", "on"))
	m.refused(1, zfs.ErrNotExist, zfs.GetPool(m.pool+"x"))
	m.refused(1, zfs.ErrNotExist, zfs.PoolStatus(m.pool+"x"))
	m.refused(1, zfs.ErrNotExist, zfs.GetDatasets(m.pool+"x"))
}

// usedDevice: zpool takes the device of a destroyed pool without a word, and not that of an exported one.
func usedDevice(m *machine, _ string) {
	other, device := m.pool+"other", m.file("c")
	create := zfs.CreatePool(other, map[string]string{"cachefile": "none"}, map[string]string{"mountpoint": "none", "canmount": "off"}, []string{device})
	label := func(code int, state string) {
		m.t.Helper()
		res, _ := m.Run(m.t.Context(), zfs.ReadLabel(device)) // its status is looked at instead
		all := zfs.ParseLabels(res.Stdout)
		if res.Code != code || (state != "") != (len(all) == 1) || len(all) == 1 && (all[0].State != state || all[0].Pool != other) {
			m.t.Errorf("labels: status %d, %+v, want %q", res.Code, all, state)
		}
	}
	label(2, "")
	m.refused(2, errStatus, host.Read("blkid", "-p", device))
	m.do(create)
	label(0, "active")
	m.do(host.Read("blkid", "-p", device))
	m.do(host.Write("zpool", "export", other))
	label(0, "exported")
	m.refused(1, zfs.ErrInUse, create)
	found, err := zfs.ParseSearch([]byte(m.do(zfs.SearchPools([]string{m.dir}))))
	if err != nil || len(found) != 1 || found[0].Name != other {
		m.t.Errorf("found %+v, %v", found, err)
	}
	m.do(host.Write("zpool", "import", "-d", m.dir, other))
	m.do(host.Write("zpool", "destroy", other))
	label(0, "destroyed")
	m.do(create)
	m.do(host.Write("zpool", "destroy", other))
}

func createAndObserve(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, map[string]string{"compression": "gzip-6", "quota": "50M", "com.example:owner": "it", "dplane:applied": "compression,quota"}))
	m.do(zfs.CreateVolume(at+"/v", 10<<20, true, map[string]string{"volblocksize": "32K", "snapdev": "visible"}))
	by := m.datasets()
	fs, vol := by["/create-and-observe"], by["/create-and-observe/v"]
	if fs == nil || vol == nil {
		m.t.Fatalf("%d datasets", len(by))
	}
	if fs.Type != "filesystem" || !fs.Mounted || fs.TXG >= vol.TXG || fs.GUID == vol.GUID || vol.Type != "volume" || fs.Available > 50<<20 || fs.Used < vol.Used {
		m.t.Errorf("file system %+v\nvolume %+v", fs, vol)
	}
	for d, want := range map[*state.Dataset]string{
		fs: "compression=gzip/local quota=52428800/local com.example:owner=it/local atime=on/default casesensitivity=sensitive/- volsize=/",
		vol: "compression=gzip/inherited from " + at + " volsize=10485760/local volblocksize=32768/- snapdev=visible/local refreservation=0/default" +
			" com.example:owner=it/inherited from " + at + " mountpoint=/ readonly=off/default",
	} {
		for w := range words(want) {
			k, v, _ := strings.Cut(w, "=")
			value, source, _ := strings.Cut(v, "/")
			if got := d.Properties[k]; got != (state.Property{Value: value, Source: source}) {
				m.t.Errorf("%s of %s is %+v, want %s", k, d.Name, got, v)
			}
		}
	}
	if _, has := vol.Properties["quota"]; has {
		m.t.Error("a volume has no quota")
	}
}

// words splits at each space that is followed by name=value.
func words(s string) func(func(string) bool) {
	return func(yield func(string) bool) {
		word := ""
		for _, w := range strings.Fields(s) {
			if strings.Contains(w, "=") && word != "" {
				if !yield(word) {
					return
				}
				word = ""
			}
			word = strings.TrimSpace(word + " " + w)
		}
		yield(word)
	}
}

func createRefusals(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(zfs.CreateVolume(at+"/vol", 1<<20, true, nil))
	m.refused(1, zfs.ErrExists, zfs.CreateFilesystem(at, nil))
	m.refused(1, zfs.ErrNoParent, zfs.CreateFilesystem(at+"/no/parent", nil))
	m.refused(1, zfs.ErrNoParent, zfs.CreateFilesystem(at+"/vol/child", nil))
	m.refused(1, zfs.ErrNotExist, zfs.CreateFilesystem(m.pool+"x/y", nil))
	for name := range map[string]bool{"a+b": true, "a!b": true} {
		m.refused(1, zfs.ErrBadName, zfs.CreateFilesystem(at+"/"+name, nil))
	}
	with := func(p, v string) host.Command { return zfs.CreateFilesystem(at+"/x", map[string]string{p: v}) }
	m.refused(1, zfs.ErrBadProperty, with("nosuch", "1"))
	m.refused(1, zfs.ErrBadValue, with("recordsize", "3K"))
	m.refused(1, zfs.ErrBadValue, with("atime", "true"))
	m.refused(1, zfs.ErrReadOnly, with("used", "1"))
	m.refused(1, zfs.ErrWrongType, with("volblocksize", "8K"))
	m.refused(1, zfs.ErrWrongType, with("volsize", "8K"))
	m.refused(1, zfs.ErrNoSpace, with("reservation", "100G"))
	m.refused(1, zfs.ErrNoSpace, with("quota", "1K"))
	m.refused(1, zfs.ErrNoSpace, with("refquota", "1K"))
	m.refused(1, zfs.ErrWrongType, with("refreservation", "auto"))
	m.refused(1, zfs.ErrNoSpace, zfs.CreateVolume(at+"/x", 1<<20, true, map[string]string{"refreservation": "auto"})) // it is for set
	m.refused(1, zfs.ErrWrongType, zfs.CreateVolume(at+"/x", 1<<20, true, map[string]string{"mountpoint": "/x"}))
	m.refused(1, zfs.ErrWrongType, zfs.CreateVolume(at+"/x", 1<<20, true, map[string]string{"quota": "1M"}))
	m.refused(1, zfs.ErrNoSpace, zfs.CreateVolume(at+"/x", 100<<30, false, nil))
	m.refused(1, zfs.ErrNotExist, host.Read("zfs", "list", "-H", "-o", "name", at+"/x")) // nothing is left of them
}

func names(m *machine, at string) {
	hostile := map[string]string{
		"com.example:tab": "a\tb\t", "com.example:lines": "one\ntwo\tlocal\n" + m.pool + "\tcompression\tlz4", "com.example:empty": "", "com.example:space": " x  y ",
	}
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(zfs.CreateFilesystem(at+"/with a space", hostile))
	m.do(zfs.CreateFilesystem(at+"/with a space/b.c:d_e-f", nil))
	by := m.datasets()
	for n, v := range hostile {
		if got := by["/names/with a space"].Properties[n]; got != (state.Property{Value: v, Source: "local"}) {
			m.t.Errorf("%s came back as %+v", n, got)
		}
		if got := by["/names/with a space/b.c:d_e-f"].Properties[n]; got != (state.Property{Value: v, Source: "inherited from " + at + "/with a space"}) {
			m.t.Errorf("%s of the child came back as %+v", n, got)
		}
	}
	if got := by[""].Properties["compression"].Value; got != "zstd" {
		m.t.Errorf("a value changed the pool's compression to %s", got)
	}
	m.refused(255, zfs.ErrBadProperty, zfs.Set(at, map[string]string{"com.example:UPPER": "1"}))
	long := zfs.Set(at, map[string]string{"com.example:long": strings.Repeat("x", 8192)})
	m.refused(255, zfs.ErrBadValue, long)
	m.do(zfs.Set(at, map[string]string{"com.example:long": strings.Repeat("x", 8191)}))
	m.do(zfs.Inherit(at, "com.example:long", false))
}

func setMany(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(zfs.Set(at, map[string]string{"atime": "off", "compression": "lz4", "com.example:a": "b c", "dplane:applied": "atime,compression"}))
	m.has(at, "atime=off (local)", "compression=lz4 (local)", "com.example:a=b c (local)", "dplane:applied=atime,compression (local)")
	// One that is no value: nothing is set. One that does not fit: the others are.
	m.refused(255, zfs.ErrBadValue, zfs.Set(at, map[string]string{"atime": "on", "compression": "bogus"}))
	m.refused(255, zfs.ErrReadOnly, zfs.Set(at, map[string]string{"atime": "on", "used": "1"}))
	m.has(at, "atime=off (local)", "compression=lz4 (local)")
	m.refused(255, zfs.ErrBelowUsed, zfs.Set(at, map[string]string{"atime": "on", "quota": "1K", "com.example:a": "z", "recordsize": "64K"}))
	m.has(at, "atime="+m.in21("on (local)", "off (temporary)"), "quota=0 (default)", "com.example:a=z (local)", "recordsize=65536 (local)")
	m.do(zfs.Set(at, map[string]string{"atime": "on"})) // the mount still had the old value
	m.has(at, "atime=on (local)")
	m.refused(255, errStatus, host.Write("zfs", "set", "atime=off", "atime=on", at))
}

func setRefusals(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, map[string]string{"casesensitivity": "insensitive", "normalization": "formD"}))
	m.has(at, "casesensitivity=insensitive (-)", "normalization=formD (-)", "utf8only=on (-)")
	set := func(p, v string) host.Command { return zfs.Set(at, map[string]string{p: v}) }
	m.refused(255, zfs.ErrReadOnly, set("casesensitivity", "mixed"))
	m.refused(255, zfs.ErrReadOnly, set("encryption", "on"))
	m.refused(255, zfs.ErrBadProperty, set("nosuch", "1"))
	m.refused(255, zfs.ErrWrongType, set("volsize", "1M"))
	m.refused(255, zfs.ErrBadValue, set("compression", "bogus"))
	m.refused(255, zfs.ErrBadValue, set("readonly", "true"))
	m.refused(255, zfs.ErrBelowUsed, set("refquota", "1K"))
	m.refused(255, zfs.ErrNoSpace, set("reservation", "100G"))
	m.refused(255, zfs.ErrNoSpace, set("refreservation", "100G"))
	m.refused(255, zfs.ErrBadValue, set("mountpoint", "relative"))
	m.refused(255, zfs.ErrBadValue, host.Write("zfs", "set", "quota=0", at)) // it wants none; Set says so
	m.do(host.Write("zfs", "set", "userquota@root=0", at))
	m.do(zfs.Set(at, map[string]string{"quota": "0", "refquota": "0", "reservation": "0", "userquota@root": "0"}))
	m.refused(1, zfs.ErrNotExist, zfs.Set(at+"/nosuch", map[string]string{"atime": "on"}))
}

func inherit(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, map[string]string{"compression": "lz4", "atime": "off", "canmount": "noauto", "quota": "20M", "com.example:a": "b"}))
	m.do(zfs.CreateFilesystem(at+"/child", map[string]string{"compression": "gzip"}))
	m.do(zfs.Inherit(at+"/child", "compression", false))
	m.has(at+"/child", "compression=lz4 (inherited from POOL/inherit)", "atime=off (inherited from POOL/inherit)", "canmount=on (default)", "quota=0 (default)", "com.example:a=b (inherited from POOL/inherit)")
	m.do(zfs.Inherit(at, "compression", true))
	m.do(zfs.Inherit(at, "atime", true))
	m.do(zfs.Inherit(at, "canmount", true))
	m.do(zfs.Inherit(at, "quota", true))
	m.do(zfs.Inherit(at, "com.example:a", true))
	m.do(zfs.Inherit(at, "com.example:never-set", true))
	m.has(at, "compression=zstd (inherited from POOL)", "atime=on (default)", "canmount=on (default)", "quota=0 (default)", "com.example:a=- (-)")
}

func inheritRefusals(m *machine, at string) {
	m.do(zfs.CreateVolume(at, 1<<20, true, nil))
	for _, p := range []string{"refreservation", "reservation", "volsize", "keylocation"} {
		m.refused(1, zfs.ErrReadOnly, zfs.Inherit(at, p, false))
	}
	m.refused(1, errStatus, zfs.Inherit(at, "volsize", true))
	m.refused(1, zfs.ErrReadOnly, zfs.Inherit(at, "used", true))
	m.refused(1, zfs.ErrReadOnly, zfs.Inherit(at, "volblocksize", true))
	m.refused(1, errStatus, zfs.Inherit(at, "recordsize", true)) // of file systems
	m.refused(2, zfs.ErrBadProperty, zfs.Inherit(at, "nosuch", true))
	m.refused(2, zfs.ErrBadProperty, zfs.Inherit(at, "userquota@root", true))
	m.refused(1, zfs.ErrNotExist, zfs.Inherit(at+"x", "compression", true))
}

// received values are a category of their own: -S brings them back, plain inherit hides them.
func received(m *machine, at string) {
	if err := m.receive(at, map[string]string{"compression": "lz4", "atime": "off", "com.example:k": "v", "quota": "30M"}); err != nil {
		m.t.Fatal(err)
	}
	m.has(at, "compression=lz4 (received)", "atime=off (received)", "com.example:k=v (received)", "quota=31457280 (received)")
	m.do(zfs.Set(at, map[string]string{"compression": "gzip", "quota": "40M"}))
	m.do(zfs.Inherit(at, "atime", false))
	m.do(zfs.Inherit(at, "com.example:k", false))
	m.has(at, "compression=gzip (local)", "atime=on (default)", "com.example:k=- (-)", "quota=41943040 (local)")
	for _, p := range []string{"compression", "atime", "com.example:k", "quota"} {
		m.do(zfs.Inherit(at, p, true))
	}
	m.has(at, "compression=lz4 (received)", "atime=off (received)", "com.example:k=v (received)", "quota=31457280 (received)")
	m.do(zfs.CreateFilesystem(at+"/child", nil))
	m.has(at+"/child", "compression=lz4 (inherited from POOL/received)", "com.example:k=v (inherited from POOL/received)", "quota=0 (default)")
}

func guards(m *machine, at string) {
	holds := func(e host.Expect, want bool) {
		m.t.Helper()
		if err := e.Check(m.t.Context(), host.ReadOnly{Runner: m}); (err == nil) != want {
			m.t.Errorf("%s: %v", e.Means, err)
		}
	}
	holds(zfs.ExpectMissingDataset(at), true)
	holds(zfs.ExpectMissingDataset(m.pool+"x/y"), true)
	holds(zfs.ExpectMissingPool(m.pool+"x"), true)
	holds(zfs.ExpectMissingPool(m.pool), false)
	m.do(zfs.CreateFilesystem(at, map[string]string{"atime": "off", "com.example:a": "x\ty\nz"}))
	holds(zfs.ExpectMissingDataset(at), false)
	d := m.datasets()["/guards"]
	props := map[string]state.Property{
		"guid": {Value: d.GUID, Source: "-"}, "atime": d.Properties["atime"], "compression": d.Properties["compression"],
		"com.example:a": d.Properties["com.example:a"], "com.example:unset": {Value: "-", Source: "-"}, "userquota@root": {Value: "0", Source: "local"},
	}
	holds(zfs.ExpectProps(at, props), true)
	m.do(zfs.Set(at, map[string]string{"atime": "on"}))
	holds(zfs.ExpectProps(at, props), false)
	guid, err := zfs.ParsePoolProperties(m.pool, []byte(m.do(zfs.GetPool(m.pool))))
	if err != nil {
		m.t.Fatal(err)
	}
	holds(zfs.ExpectPoolProps(m.pool, map[string]state.Property{"guid": guid["guid"], "failmode": {Value: "wait", Source: "default"}}), true)
	holds(zfs.ExpectPoolProps(m.pool, map[string]state.Property{"guid": {Value: "1", Source: "-"}}), false)
}
