package zfs_test

import (
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// tree is the vdev tree of a pool on one line, files by their short names.
func (m *machine) tree(pool string) string {
	m.t.Helper()
	p := &state.Pool{Name: pool}
	var err error
	if m.v21 {
		err = zfs.ParsePoolStatus([]byte(m.do(zfs.PoolStatus(pool))), p)
		if err == nil {
			err = zfs.ParsePoolGUIDs([]byte(m.do(zfs.PoolGUIDs(pool))), p)
		}
	} else {
		err = zfs.ParsePoolStatusJSON([]byte(m.do(zfs.PoolStatusJSON(pool))), time.Now(), p)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return p.Health + " " + m.short(p.Vdevs)
}

func (m *machine) short(vdevs []state.Vdev) string {
	var words []string
	for _, v := range vdevs {
		w := strings.TrimPrefix(v.Path, m.dir+"/")
		if len(v.Children) > 0 {
			w = v.Name + "(" + m.short(v.Children) + ")"
		}
		if v.GUID == "" {
			w += "?"
		}
		if v.State != "ONLINE" {
			w += "=" + v.State
		}
		if v.Class != "" {
			w = v.Class + ":" + w
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// is waits for a tree: the real one works in the background.
func (m *machine) is(pool, want string) {
	m.t.Helper()
	var got string
	for range 50 {
		if got = m.tree(pool); got == want || !m.real {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if got != want {
		m.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// vdevs of a pool come, change places and go.
func vdevChanges(m *machine, _ string) {
	pool := m.pool + "v"
	c, d, e := m.file("c"), m.file("d"), m.file("e")
	m.do(zfs.CreatePool(pool, nil, map[string]string{"mountpoint": "none"}, []string{"mirror", c, d}))
	defer func() { m.do(host.Write("zpool", "destroy", pool)) }()
	m.is(pool, "ONLINE mirror-0(c d)")

	m.refused(1, zfs.ErrBadVdev, zfs.AddVdev(pool, []string{e}))
	m.refused(1, zfs.ErrBadVdev, zfs.AddVdev(pool, []string{"special", e}))
	m.refused(1, zfs.ErrInUse, zfs.AddVdev(pool, []string{"log", m.file("a")}))
	m.refused(255, zfs.ErrNotExist, zfs.AttachVdev(pool, m.file("nosuch"), e))
	m.refused(255, zfs.ErrNotExist, zfs.DetachVdev(pool, m.file("nosuch")))
	m.refused(1, zfs.ErrNotExist, zfs.RemoveVdev(pool, m.file("nosuch")))
	m.refused(1, zfs.ErrNotExist, zfs.OnlineVdev(pool, m.file("nosuch")))

	m.do(zfs.AttachVdev(pool, c, e))
	m.is(pool, "ONLINE mirror-0(c d e)")
	m.resilvered(pool)
	m.do(zfs.DetachVdev(pool, d))
	m.is(pool, "ONLINE mirror-0(c e)")
	if l := zfs.ParseLabels([]byte(m.do(zfs.ReadLabel(d)))); len(l) != 1 || l[0].Pool != pool || l[0].Vdev == "" {
		m.t.Errorf("a detached device has the label %+v", l)
	}
	m.do(zfs.ReplaceVdev(pool, e, d)) // which zpool takes though it has a label of this pool
	m.resilvered(pool)
	m.is(pool, "ONLINE mirror-0(c d)")

	m.do(zfs.OfflineVdev(pool, c))
	m.is(pool, "DEGRADED mirror-0(c=OFFLINE d)=DEGRADED")
	m.refused(255, zfs.ErrLastCopy, zfs.DetachVdev(pool, d))
	m.refused(1, zfs.ErrLastCopy, zfs.OfflineVdev(pool, d))
	m.do(zfs.OnlineVdev(pool, c))
	m.resilvered(pool)
	m.is(pool, "ONLINE mirror-0(c d)")

	m.do(zfs.AddVdev(pool, []string{"spare", e}))
	m.refused(1, zfs.ErrInUse, zfs.AttachVdev(pool, c, e))
	if m.v21 { // which takes a disk that is a spare, and no file
		m.refused(1, zfs.ErrInUse, zfs.ReplaceVdev(pool, d, e))
		m.do(zfs.RemoveVdev(pool, e))
		m.do(zfs.ReplaceVdev(pool, d, e))
		m.resilvered(pool)
	} else {
		m.do(zfs.ReplaceVdev(pool, d, e))
		m.resilvered(pool)
		m.is(pool, "ONLINE mirror-0(c spare-1(d e)) spare:e=INUSE")
		m.refused(1, zfs.ErrBusy, zfs.RemoveVdev(pool, e))
		m.do(zfs.DetachVdev(pool, d)) // the spare stays for good
	}
	m.is(pool, "ONLINE mirror-0(c e)")

	m.do(zfs.AddVdev(pool, []string{"log", d}))
	m.is(pool, "ONLINE mirror-0(c e) log:d")
	m.do(zfs.RemoveVdev(pool, d))
	m.is(pool, "ONLINE mirror-0(c e)")
	m.do(zfs.DetachVdev(pool, e))
	m.is(pool, "ONLINE c")
	m.refused(255, zfs.ErrBadVdev, zfs.DetachVdev(pool, c))

	m.do(zfs.AddVdev(pool, []string{d}))
	m.is(pool, "ONLINE c d")
	if m.v21 { // which wants more room than devices of this size have
		m.refused(1, zfs.ErrNoSpace, zfs.RemoveVdev(pool, d))
		return
	}
	m.do(zfs.RemoveVdev(pool, d))
	m.is(pool, "ONLINE c")
	m.refused(1, zfs.ErrNoSpace, zfs.RemoveVdev(pool, c))
}

// resilvered waits for the end of a resilver.
func (m *machine) resilvered(pool string) {
	if m.real {
		m.do(host.Read("zpool", "wait", "-t", "resilver", pool))
	}
}

// raidzChanges: a raidz grows where the release can, and never gives a device back.
func raidzChanges(m *machine, _ string) {
	pool := m.pool + "z"
	m.do(zfs.CreatePool(pool, nil, map[string]string{"mountpoint": "none"}, []string{"raidz1", m.file("c"), m.file("d")}))
	defer func() { m.do(host.Write("zpool", "destroy", pool)) }()
	m.refused(255, zfs.ErrBadVdev, zfs.DetachVdev(pool, m.file("c")))
	m.refused(1, errStatus, zfs.RemoveVdev(pool, m.file("c")))
	m.refused(1, errStatus, zfs.RemoveVdev(pool, "raidz1-0"))
	m.refused(255, zfs.ErrBadVdev, zfs.AttachVdev(pool, m.file("c"), m.file("e")))
	if m.v21 {
		m.refused(255, zfs.ErrBadVdev, zfs.AttachVdev(pool, "raidz1-0", m.file("e")))
		return
	}
	guid := strings.TrimSpace(m.do(host.Read("zpool", "get", "-Hp", "-o", "value", "guid", pool, "raidz1-0")))
	if err := zfs.ExpectVdev(pool, "raidz1-0", guid).Check(m.t.Context(), m); err != nil {
		m.t.Error(err)
	}
	m.do(zfs.AttachVdev(pool, "raidz1-0", m.file("e")))
	m.is(pool, "ONLINE raidz1-0(c d e)")
	if m.real {
		m.do(host.Read("zpool", "wait", "-t", "raidz_expand", pool))
	}
	m.is(pool, "ONLINE raidz1-0(c d e)")
}
