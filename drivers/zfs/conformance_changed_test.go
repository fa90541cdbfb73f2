package zfs_test

import (
	"errors"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
)

// changed: whatever becomes of the snapshots of a dataset leaves a mark, and holds and bookmarks leave none. 2.1 has no marks.
func changed(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(zfs.CreateFilesystem(at+"/t", map[string]string{"canmount": "off"}))
	if f, ok := m.Runner.(*zfsfake.Fake); ok {
		defer f.SetClock(time.Unix(0, 0)) // the real one again
	}
	last, n := map[string]string{}, 0
	m.second(n)
	now := func(what string, marked ...string) bool {
		m.t.Helper()
		res, err := m.Run(m.t.Context(), zfs.ListChanged(false, true, at))
		if m.v21 {
			var exit *host.ExitError
			if !errors.As(err, &exit) || exit.Code != 2 {
				m.t.Errorf("a time that 2.1 does not know: %v", err)
			}
			return false
		}
		far, err2 := m.Run(m.t.Context(), zfs.ListChanged(true, true, at))
		if there, parse := zfs.ParseChanged(far.Stdout, true, true, at); err2 != nil || parse != nil || len(there) < 2 || strings.Contains(string(far.Stdout), "@") {
			m.t.Errorf("%s, as it is asked of what is far: %v, %v\n%s", what, err2, parse, far.Stdout)
		}
		all, parse := zfs.ParseChanged(res.Stdout, false, true, at)
		if err != nil || parse != nil || len(all) < 2 {
			m.t.Fatalf("%s: %v, %v\n%s", what, err, parse, res.Stdout)
		}
		ends := m.ends(true, at)
		for _, c := range all {
			short := strings.TrimPrefix(c.Name, at)
			changed := last[c.Name] != c.Mark
			for _, x := range marked {
				if x == short && !changed {
					m.t.Errorf("%s: %q has the mark %s still", what, short, c.Mark)
				}
				changed = changed && x != short
			}
			if changed && last[c.Name] != "" {
				m.t.Errorf("%s: %q had %s, and has %s", what, short, last[c.Name], c.Mark)
			}
			last[c.Name] = c.Mark
			if e, c := ends[c.Name], c.End; e.GUID != c.GUID || e.TXG != c.TXG || e.Type != c.Type || e.ReadOnly != c.ReadOnly || e.Written != c.Written || e.Token != c.Token || e.KeyLoaded != c.KeyLoaded {
				m.t.Errorf("%+v, and %+v", e, c)
			}
		}
		n++
		m.second(n)
		return true
	}
	if !now("at first") {
		return
	}
	m.do(host.Write("zfs", "snapshot", at+"@a"))
	now("a snapshot", "")
	m.do(zfs.Hold("x", []string{at + "@a"})[0])
	m.do(zfs.Bookmark(at+"@a", "b"))
	now("held and marked")
	m.do(zfs.Release("x", []string{at + "@a"})[0])
	m.mustSend(zfs.Stream{Snapshot: at + "@a"}, at+"/r")
	now("released, and sent", "/r")
	m.do(host.Write("zfs", "destroy", at+"/r@a"))
	now("destroyed", "/r")
	m.do(host.Write("zfs", "snapshot", at+"@b"))
	now("another snapshot", "")
	m.do(host.Write("zfs", "rollback", "-r", at+"@a"))
	now("back", "")
	m.do(host.Write("zfs", "clone", at+"@a", at+"/k"))
	now("cloned")
	m.do(host.Write("zfs", "promote", at+"/k"))
	now("promoted", "", "/k")
}

// second lets one go by: the marks are of whole ones.
func (m *machine) second(n int) {
	if f, ok := m.Runner.(*zfsfake.Fake); ok {
		f.SetClock(time.Date(2026, 11, 28, 12, 0, n, 0, time.UTC))
		return
	}
	time.Sleep(1100 * time.Millisecond)
}
