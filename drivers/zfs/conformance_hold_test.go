package zfs_test

import (
	"context"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// holds: one snapshot after the other is held or released, and of each that could not be it is told.
func holds(m *machine, at string) {
	a, b := at+"@a", at+"@b"
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(zfs.TakeSnapshots("standard", []string{a})[0])
	m.do(zfs.TakeSnapshots("standard", []string{b})[0])
	run := func(list []host.Command) error {
		_, err := m.Run(context.Background(), list[0])
		return err
	}
	tags := func(want ...string) {
		m.t.Helper()
		held := zfs.ParseHolds([]byte(m.do(zfs.ListHolds([]string{a, b})[0])))
		var got []string
		for name, tags := range held {
			for _, t := range tags {
				got = append(got, name[strings.Index(name, "@")+1:]+" "+t)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			m.t.Errorf("held: %q, want %q", got, want)
		}
		n := 0
		for _, s := range m.end(at).Snapshots {
			n += s.Holds
		}
		if n != len(want) {
			m.t.Errorf("%d holds, want %d", n, len(want))
		}
	}
	tags()
	m.do(zfs.Hold("dplane:x", []string{a, b})[0])
	tags("a dplane:x", "b dplane:x")
	m.refused(1, zfs.ErrHeld, zfs.Hold("dplane:x", []string{a, b})[0])
	if err := run(zfs.Hold("dplane:x", []string{a, b})); !zfs.AllHeld(err) {
		m.t.Errorf("held already: %v", err)
	}
	if err := run(zfs.Hold("dplane:y", []string{at + "@gone", a})); err == nil || zfs.AllHeld(err) {
		m.t.Errorf("one is gone: %v", err)
	}
	tags("a dplane:x", "a dplane:y", "b dplane:x") // the other was held
	m.refused(1, zfs.ErrBusy, zfs.DestroySnapshots(at, []string{"b"})[0])
	if err := run(zfs.Release("dplane:y", []string{b, at + "@gone", a})); err == nil || !zfs.AllReleased(err) {
		m.t.Errorf("released already: %v", err)
	}
	tags("a dplane:x", "b dplane:x")
	m.refused(1, zfs.ErrNotHeld, zfs.Release("dplane:z", []string{a})[0])
	if err := run(zfs.ListHolds([]string{at + "@gone", a})); err == nil {
		m.t.Error("the holds of what is gone")
	}
	m.do(zfs.Release("dplane:x", []string{a, b})[0])
	tags()
	m.do(zfs.DestroySnapshots(at, []string{"a", "b"})[0])
}

// bookmarks: each of one snapshot, and gone with a rollback that goes back beyond it.
func bookmarks(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(host.Write("zfs", "snapshot", at+"@1"))
	m.do(zfs.Bookmark(at+"@1", "one"))
	m.refused(1, zfs.ErrExists, zfs.Bookmark(at+"@1", "one"))
	m.refused(2, zfs.ErrNotExist, zfs.Bookmark(at+"@gone", "two"))
	m.refused(1, errStatus, host.Write("zfs", "bookmark", at+"@1", m.pool+"#two"))
	m.do(host.Write("zfs", "snapshot", at+"@2"))
	m.do(zfs.Bookmark(at+"@2", "two"))
	m.do(zfs.Bookmark(at+"@2", "again"))
	e := m.end(at)
	if points(e.Bookmarks) != "one again two" || e.Bookmarks[0].GUID != e.Snapshots[0].GUID || e.Bookmarks[2].GUID != e.Snapshots[1].GUID {
		m.t.Errorf("%+v", e)
	}
	m.do(zfs.DestroyBookmark(at, "again"))
	m.refused(1, zfs.ErrNotExist, zfs.DestroyBookmark(at, "again"))
	m.refused(1, zfs.ErrNotExist, zfs.DestroyBookmark(at+"/gone", "one"))
	m.do(zfs.DestroySnapshots(at, []string{"2"})[0])
	if got := points(m.end(at).Bookmarks); got != "one two" {
		m.t.Error(got)
	}
	m.refused(1, errStatus, host.Write("zfs", "rollback", at+"@1"))
	m.do(host.Write("zfs", "rollback", "-r", at+"@1"))
	if got := points(m.end(at).Bookmarks); got != "one" {
		m.t.Error(got)
	}
	m.do(host.Write("zfs", "rename", at, at+"-renamed"))
	if got := points(m.end(at + "-renamed").Bookmarks); got != "one" {
		m.t.Error(got)
	}
}
