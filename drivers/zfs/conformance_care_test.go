package zfs_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/state"
)

// status observes a pool as dplane does on this release.
func (m *machine) status(pool string) *state.Pool {
	m.t.Helper()
	p := &state.Pool{Name: pool}
	var err error
	if m.v21 {
		err = zfs.ParsePoolStatus([]byte(m.do(zfs.PoolStatus(pool))), p)
	} else {
		err = zfs.ParsePoolStatusJSON([]byte(m.do(zfs.PoolStatusJSON(pool))), time.Now(), p)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

// until looks until the pool is as it should be; the real kernel takes its time.
func (m *machine) until(pool string, is func(*state.Pool) bool) *state.Pool {
	m.t.Helper()
	for range 100 {
		if p := m.status(pool); is(p) {
			return p
		}
		time.Sleep(200 * time.Millisecond)
	}
	p := m.status(pool)
	m.t.Fatalf("in vain: %+v", p)
	return nil
}

// A scrub and a trim begin at once, end by themselves, and tell when.
func scrubAndTrim(m *machine, _ string) {
	before := time.Now().Add(-2 * time.Second) // seconds are cut, and two clocks tick
	if p := m.status(m.pool); !p.Trimmed.IsZero() || p.Trimless || p.Trimming != nil {
		m.t.Errorf("before: %+v", p)
	}
	m.do(zfs.Scrub(m.pool))
	p := m.until(m.pool, func(p *state.Pool) bool { return p.Scanned != nil && p.Scanned.State == state.Finished })
	if s := p.Scanned; s.Kind != "scrub" || s.End.Before(before) || s.End.After(time.Now().Add(time.Second)) || s.Errors != 0 {
		m.t.Errorf("%+v, begun after %s", s, before)
	}
	m.do(zfs.Trim(m.pool)) // files can be trimmed
	p = m.until(m.pool, func(p *state.Pool) bool { return !p.Trimmed.IsZero() && p.Trimming == nil })
	if p.Trimmed.Before(before) || p.Trimless {
		m.t.Errorf("trimmed %s, begun after %s", p.Trimmed, before)
	}
}

// other makes a pool of its own for a case, which is destroyed with it.
func (m *machine) other(suffix string, props map[string]string, words ...string) string {
	m.t.Helper()
	name := m.pool + suffix
	m.do(zfs.CreatePool(name, props, map[string]string{"mountpoint": "none"}, words))
	m.t.Cleanup(func() {
		if _, err := m.Run(context.Background(), host.Write("zpool", "destroy", name)); err != nil {
			m.t.Errorf("pool %s is left behind: %v", name, err)
		}
	})
	return name
}

// Features are enabled one by one, within the compatibility of the pool, and never disabled again.
func enableFeatures(m *machine, _ string) {
	pool := m.other("f", map[string]string{"compatibility": "openzfs-2.0-linux"}, m.file("f"))
	sets := zfs.ParseFeatureSet([]byte(m.do(zfs.ReadFeatureSet(zfs.CompatibilityFolders[1], "openzfs-2.1-linux"))))
	if !slices.Contains(sets, "draid") {
		m.t.Errorf("2.1 has %v", sets)
	}
	if _, err := m.Run(m.t.Context(), zfs.ReadFeatureSet(zfs.CompatibilityFolders[0], "openzfs-2.1-linux")); err == nil || !strings.Contains(err.Error(), "No such file") {
		m.t.Errorf("a file that is not there: %v", err)
	}
	m.has(pool, "pool:feature@draid=disabled (local)")
	if s := m.status(pool).Status; s != "" {
		m.t.Errorf("the pool is as its set says, and %q", s)
	}
	m.refused(1, errStatus, zfs.EnableFeature(pool, "draid"))
	m.refused(1, errStatus, zfs.SetPool(pool, "compatibility", "openzfs-9.9"))
	m.do(zfs.SetPool(pool, "compatibility", "openzfs-2.1-linux"))
	if s := m.status(pool).Status; !strings.Contains(s, "features are not enabled") {
		m.t.Errorf("a feature is missing, and %q", s)
	}
	m.do(zfs.EnableFeature(pool, "draid"))
	m.has(pool, "pool:feature@draid=enabled (local)")
	m.do(zfs.EnableFeature(pool, "draid")) // once more is no error
	m.refused(1, errStatus, zfs.SetPool(pool, "feature@draid", "disabled"))
	m.refused(1, errStatus, zfs.EnableFeature(pool, "nosuch"))
}

// What a device grew by is told, and taken on demand.
func growDevice(m *machine, _ string) {
	pool := m.other("g", nil, m.file("g"))
	const larger = vdevSize + 144<<20
	if f, fake := m.Runner.(*zfsfake.Fake); fake {
		if err := f.Control("grow " + m.file("g") + " 400M"); err != nil {
			m.t.Fatal(err)
		}
	} else if err := os.Truncate(m.file("g"), larger); err != nil {
		m.t.Fatal(err)
	}
	m.do(zfs.OnlineVdev(pool, m.file("g"))) // ZFS looks again
	m.has(pool, "pool:expandsize=150994944 (-)")
	grown, err := zfs.ParseGrown(pool, []byte(m.do(zfs.ListVdevs(pool))))
	if err != nil || len(grown) != 1 || grown[m.file("g")] != 144<<20 {
		m.t.Errorf("grown %v, %v", grown, err)
	}
	m.do(zfs.ExpandVdevs(pool, []string{m.file("g")}))
	m.has(pool, "pool:expandsize=- (-)")
}

// A pool is imported by its guid, by the exact one only, and not twice. Each import has a load_guid of its own.
func importPool(m *machine, _ string) {
	pool := m.other("i", nil, m.file("f"))
	guid := strings.TrimSpace(m.do(host.Read("zpool", "get", "-Hp", "-o", "value", "guid", pool)))
	loaded := func(pool string) string {
		return strings.TrimSpace(m.do(host.Read("zpool", "get", "-Hp", "-o", "value,source", "load_guid", pool)))
	}
	first := loaded(pool)
	m.do(host.Write("zpool", "export", pool))
	found, err := zfs.ParseSearch([]byte(m.do(zfs.SearchPools([]string{m.dir}))))
	if err != nil || len(found) != 1 || found[0] != (zfs.Found{Name: pool, GUID: guid, State: "ONLINE", Ready: true}) {
		m.t.Errorf("found %+v, %v", found, err)
	}
	m.refused(1, errStatus, zfs.ImportPool([]string{m.dir}, "17"))
	m.do(zfs.ImportPool([]string{m.dir}, guid))
	m.has(pool, "pool:guid="+guid+" (-)")
	if now := loaded(pool); now == first || !strings.HasSuffix(now, "\t-") || now != loaded(pool) {
		m.t.Errorf("the load_guid is %s, and was %s before it was exported", now, first)
	}
	m.refused(1, errStatus, zfs.ImportPool([]string{m.dir}, guid))

	// Under another name it is the same pool, with the same datasets.
	root := strings.TrimSpace(m.do(host.Read("zfs", "get", "-Hp", "-o", "value", "guid", pool)))
	for _, names := range [][2]string{{pool, pool + "r"}, {pool + "r", pool}} {
		m.do(host.Write("zpool", "export", names[0]))
		m.do(host.Write("zpool", "import", "-d", m.dir, names[0], names[1]))
		m.has(names[1], "pool:guid="+guid+" (-)")
		if now := strings.TrimSpace(m.do(host.Read("zfs", "get", "-Hp", "-o", "value", "guid", names[1]))); now != root {
			m.t.Errorf("the root dataset has the guid %s, and had %s", now, root)
		}
	}
}
