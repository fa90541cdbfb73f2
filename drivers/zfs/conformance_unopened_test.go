package zfs_test

import (
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// unopened: what is asked without opening any file system is what all of it says, on every release.
func unopened(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, map[string]string{"com.example:a": "x", "atime": "off", "dplane:applied": "atime"}))
	m.do(zfs.CreateFilesystem(at+"/below", map[string]string{"canmount": "off", "quota": "10485760"}))
	m.do(zfs.CreateVolume(at+"/volume", 1<<20, true, map[string]string{"compression": "lz4"}))
	parsed := func(out string) map[string]*state.Dataset {
		list, err := zfs.ParseDatasets(m.pool, []byte(out))
		if err != nil {
			m.t.Fatal(err)
		}
		by := map[string]*state.Dataset{}
		for _, d := range list {
			by[d.Name] = d
		}
		return by
	}
	all := parsed(m.do(zfs.GetDatasets(m.pool)))
	some := parsed(m.do(zfs.GetUnopened(m.pool, []string{"dplane:applied"})))
	whole := parsed(m.do(zfs.GetWhole([]string{at, at + "/volume"})[0]))
	if len(some) != len(all) || len(whole) != 2 {
		m.t.Fatalf("of %d datasets %d, and %d of two", len(all), len(some), len(whole))
	}
	later := strings.Fields("version utf8only normalization casesensitivity prefetch direct longname volthreading com.example:a")
	for name, d := range all {
		for _, prop := range slices.DeleteFunc(namesOf(d), func(p string) bool { return slices.Contains(later, p) || strings.HasPrefix(p, "default") }) {
			if some[name].Properties[prop] != d.Properties[prop] {
				m.t.Errorf("%s of %s is %v, and %v", prop, name, d.Properties[prop], some[name].Properties[prop])
			}
		}
		if extra := slices.DeleteFunc(namesOf(some[name]), func(p string) bool { _, has := d.Properties[p]; return has }); len(extra) > 0 {
			m.t.Errorf("%s has %v", name, extra)
		}
		if a, b := *d, *some[name]; a.GUID != b.GUID || a.TXG != b.TXG || a.Type != b.Type || a.Mounted != b.Mounted || a.Origin != b.Origin {
			m.t.Errorf("%+v, and %+v", a, b)
		}
	}
	for name, d := range whole {
		if got, want := namesOf(d), namesOf(all[name]); !slices.Equal(got, want) {
			m.t.Errorf("%s has %v, and %v", name, got, want)
		}
	}
}

// namesOf are the properties of a dataset, sorted.
func namesOf(d *state.Dataset) (names []string) {
	for n := range d.Properties {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
