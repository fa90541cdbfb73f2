package zfs_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// sent sends a stream into target, which gets nothing set.
func (m *machine) sent(s zfs.Stream, target string) error {
	return m.transfer(s.Send(), zfs.Receive(target, nil, nil), 0)
}

// mustSend is sent where nothing may fail.
func (m *machine) mustSend(s zfs.Stream, target string) {
	m.t.Helper()
	if err := m.sent(s, target); err != nil {
		m.t.Fatal(err)
	}
}

// notSent is a stream that must be refused, for this reason.
func (m *machine) notSent(kind error, s zfs.Stream, target string) {
	m.t.Helper()
	if err := m.sent(s, target); !errors.Is(zfs.Classify(err), kind) {
		m.t.Errorf("%s into %s: %v\nwant %v", s.Send(), target, err, kind)
	}
}

// ends are these datasets and, with below, what is below them, by name.
func (m *machine) ends(below bool, names ...string) map[string]state.End {
	m.t.Helper()
	list, err := zfs.ParseEnds([]byte(m.do(zfs.ListEnds(below, names...)[0])), below, names...)
	if err != nil {
		m.t.Fatal(err)
	}
	by := map[string]state.End{}
	for _, e := range list {
		by[e.Name] = e
	}
	return by
}

func (m *machine) end(name string) state.End {
	m.t.Helper()
	return m.ends(false, name)[name]
}

// points are the names of snapshots or bookmarks, in their order.
func points(list []state.Point) string {
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

// source is a dataset with three snapshots, between which something was written, and a bookmark b1 of the first.
func (m *machine) source(name string, bytes int) {
	m.t.Helper()
	dir := m.file("mnt-" + strings.ReplaceAll(name, "/", "-"))
	m.do(zfs.CreateFilesystem(name, map[string]string{"compression": "off", "mountpoint": dir}))
	for i := 1; i <= 3; i++ {
		m.write(name, dir, bytes)
		m.do(host.Write("zfs", "snapshot", fmt.Sprintf("%s@%d", name, i)))
	}
	m.do(zfs.Bookmark(name+"@1", "b1"))
}

const mega = 1 << 20

// near tells whether a size is what was written, but for what ZFS adds.
func near(got, want uint64) bool {
	const slack = 384 << 10
	return got+slack > want && got < want+slack
}

func send(m *machine, at string) {
	from, to := at+"/from", at+"/to"
	m.do(zfs.CreateFilesystem(at, map[string]string{"compression": "off"}))
	m.source(from, mega)
	for _, c := range []struct {
		s    zfs.Stream
		want uint64
	}{
		{zfs.Stream{Snapshot: from + "@1"}, mega},
		{zfs.Stream{Snapshot: from + "@2", From: "@1"}, mega},
		{zfs.Stream{Snapshot: from + "@2", From: "#b1"}, mega},
		{zfs.Stream{Snapshot: from + "@3", From: from + "@1", Between: true}, 2 * mega},
		{zfs.Stream{Snapshot: from + "@1", Raw: true, Compressed: true, LargeBlocks: true, Embedded: true}, mega},
	} {
		n, known := zfs.ParseEstimate([]byte(m.do(c.s.Estimate())))
		if !known || !near(uint64(n), c.want) {
			m.t.Errorf("%s: %d, %v", c.s.Estimate(), n, known)
		}
	}

	receive := zfs.Receive(to, map[string]string{"readonly": "on", "dplane:x": "a b"}, []string{"mountpoint", "dplane:y"})
	if err := m.transfer(zfs.Stream{Snapshot: from + "@1"}.Send(), receive, 0); err != nil {
		m.t.Fatal(err)
	}
	m.has(to, "readonly=on (local)", "dplane:x=a b (local)", "mounted=no (-)", "receive_resume_token=- (-)")
	m.mustSend(zfs.Stream{Snapshot: from + "@2", From: "#b1"}, to)
	m.mustSend(zfs.Stream{Snapshot: from + "@2", From: "@1"}, to) // it is there already
	m.mustSend(zfs.Stream{Snapshot: from + "@3", From: "@2"}, to)

	a, b := m.end(from), m.end(to)
	if a.GUID == b.GUID || b.Written != 0 || !b.ReadOnly || a.ReadOnly || points(b.Snapshots) != "1 2 3" || points(b.Bookmarks) != "" || points(a.Bookmarks) != "b1" {
		m.t.Fatalf("%+v\n%+v", a, b)
	}
	for i := range a.Snapshots {
		x, y := a.Snapshots[i], b.Snapshots[i]
		if x.GUID != y.GUID || x.TXG == y.TXG || !x.Creation.Equal(y.Creation) || !near(y.Written, x.Written) {
			m.t.Errorf("%+v is received as %+v", x, y)
		}
	}
	if k := a.Bookmarks[0]; k.GUID != a.Snapshots[0].GUID || k.TXG != a.Snapshots[0].TXG || !k.Creation.Equal(a.Snapshots[0].Creation) {
		m.t.Errorf("%+v of %+v", k, a.Snapshots[0])
	}

	m.mustSend(zfs.Stream{Snapshot: from + "@1"}, at+"/all")
	m.mustSend(zfs.Stream{Snapshot: from + "@3", From: "@1", Between: true}, at+"/all")
	all := m.ends(true, at)
	if e := all[at+"/all"]; points(e.Snapshots) != "1 2 3" || len(all) != 4 || !slices.IsSortedFunc(e.Snapshots, func(a, b state.Point) int { return int(a.TXG) - int(b.TXG) }) {
		m.t.Errorf("%+v", all)
	}
	if e := m.ends(false, at); len(e) != 1 { // not its children
		m.t.Errorf("%+v", e)
	}
	sendRefusals(m, from)
}

// sendRefusals are of the sending end alone.
func sendRefusals(m *machine, from string) {
	for _, c := range []struct {
		s    zfs.Stream
		kind error
	}{
		{zfs.Stream{Snapshot: from + "@gone"}, zfs.ErrNotExist},
		{zfs.Stream{Snapshot: from + "-gone@1"}, zfs.ErrNotExist},
		{zfs.Stream{Snapshot: from + "@2", From: "@gone"}, zfs.ErrNotExist},
		{zfs.Stream{Snapshot: from + "@2", From: "#gone"}, zfs.ErrNotExist},
		{zfs.Stream{Snapshot: from + "@2", From: "@3"}, zfs.ErrNoBase},
		{zfs.Stream{Snapshot: from + "@2", From: "@2"}, zfs.ErrNoBase},
		{zfs.Stream{Snapshot: from + "@2", From: "#b1", Between: true}, zfs.ErrNoBase},
		{zfs.Stream{Snapshot: from}, errStatus},
	} {
		m.refused(1, c.kind, c.s.Estimate())
	}
	m.do(zfs.Bookmark(from+"@3", "late"))
	m.refused(1, zfs.ErrNoBase, zfs.Stream{Snapshot: from + "@2", From: "#late"}.Estimate())
	m.do(host.Write("zfs", "clone", "-o", "mountpoint=none", from+"@3", from+"-clone"))
	m.do(host.Write("zfs", "snapshot", from+"-clone@x"))
	for _, base := range []string{from + "@3", from + "#late"} {
		s := zfs.Stream{Snapshot: from + "-clone@x", From: base}
		if n, known := zfs.ParseEstimate([]byte(m.do(s.Estimate()))); !known || n > 128<<10 {
			m.t.Errorf("a clone from its origin: %d, %v", n, known)
		}
	}
}

// receiveRefusals: nothing that is there is given up for a stream.
func receiveRefusals(m *machine, at string) {
	from, to := at+"/from", at+"/to"
	m.do(zfs.CreateFilesystem(at, map[string]string{"compression": "off"}))
	m.source(from, mega/4)
	full, next := zfs.Stream{Snapshot: from + "@1"}, zfs.Stream{Snapshot: from + "@2", From: "@1"}
	last := zfs.Stream{Snapshot: from + "@3", From: "@2"}
	m.do(zfs.CreateFilesystem(at+"/plain", nil))
	m.do(zfs.CreateVolume(at+"/vol", 8*mega, true, nil))
	m.notSent(zfs.ErrTargetExists, full, at+"/plain")
	m.notSent(zfs.ErrTargetExists, full, m.pool)
	m.notSent(zfs.ErrNoParent, full, at+"/no/to")
	m.notSent(zfs.ErrNoParent, full, m.pool+"x/to")
	m.notSent(zfs.ErrNoParent, full, at+"/vol/to")
	m.notSent(zfs.ErrBadStream, full, at+"/a%b")
	m.notSent(zfs.ErrNotExist, next, to)
	m.mustSend(full, to)
	m.notSent(zfs.ErrTargetExists, full, to)
	m.notSent(zfs.ErrNoBase, last, to)
	m.mustSend(next, to)

	m.do(host.Write("zfs", "snapshot", to+"@3"))
	m.notSent(zfs.ErrExists, last, to)
	m.do(zfs.DestroySnapshots(to, []string{"3"})[0])
	m.do(zfs.Set(to, map[string]string{"atime": "off"})) // no write to it
	m.do(host.Write("zfs", "snapshot", to+"@own"))
	m.do(zfs.Mount(to))
	m.write(to, m.file("mnt")+strings.TrimPrefix(to, m.pool), mega/4)
	m.notSent(zfs.ErrModified, last, to)
	m.do(zfs.Unmount(to))
	m.do(host.Write("zfs", "snapshot", to+"@written"))
	m.notSent(zfs.ErrModified, last, to)
	m.refused(1, errStatus, host.Write("zfs", "rollback", to+"@2"))
	m.do(host.Write("zfs", "rollback", "-r", to+"@own"))
	m.mustSend(last, to) // past one that nothing was written after
	if got := points(m.end(to).Snapshots); got != "1 2 own 3" {
		m.t.Error(got)
	}
	m.do(host.Write("zfs", "snapshot", at+"/plain@1"))
	m.notSent(zfs.ErrNoBase, zfs.Stream{Snapshot: from + "@3", From: "@2"}, at+"/plain")
	receiveProperties(m, at, full)
}

// receiveProperties: what does not fit the type can be excluded, but not set.
func receiveProperties(m *machine, at string, full zfs.Stream) {
	m.do(host.Write("zfs", "snapshot", at+"/vol@1"))
	volume := zfs.Stream{Snapshot: at + "/vol@1"}
	for _, c := range []struct {
		s       zfs.Stream
		set     map[string]string
		without []string
		kind    error
	}{
		{volume, map[string]string{"mountpoint": "none"}, nil, zfs.ErrWrongType},
		{volume, map[string]string{"canmount": "noauto"}, nil, zfs.ErrWrongType},
		{full, map[string]string{"nosuch": "1"}, nil, zfs.ErrBadProperty},
		{full, map[string]string{"volsize": "8M"}, nil, zfs.ErrBadProperty},
		{full, map[string]string{"compression": "nosuch"}, nil, zfs.ErrBadValue},
		{full, map[string]string{"readonly": "on"}, []string{"readonly"}, errTwice},
		{volume, map[string]string{"readonly": "on", "volmode": "none"}, []string{"mountpoint", "refreservation"}, nil},
	} {
		err := m.transfer(c.s.Send(), zfs.Receive(at+"/set", c.set, c.without), 0)
		if c.kind == errTwice && err != nil && strings.Contains(err.Error(), "specified multiple times") {
			continue
		}
		if !errors.Is(zfs.Classify(err), c.kind) {
			m.t.Errorf("%v, %v: %v, want %v", c.set, c.without, err, c.kind)
		}
	}
	m.has(at+"/set", "volmode=none (local)", fmt.Sprintf("volsize=%d (local)", 8*mega), "refreservation=0 (default)", "readonly=on (local)")
}

var errTwice = errors.New("twice")

// receivedByUser: what an ordinary user may not set is not set, and zfs exits 0.
func receivedByUser(m *machine, at string) {
	from, to := at+"/from", at+"/in/to"
	m.do(zfs.CreateFilesystem(at, map[string]string{"compression": "off"}))
	m.do(zfs.CreateFilesystem(at+"/in", nil))
	m.source(from, mega)
	first, next := zfs.Stream{Snapshot: from + "@1"}.Send(), zfs.Stream{Snapshot: from + "@3", From: "@1", Between: true}.Send()
	set := map[string]string{"canmount": "noauto", "readonly": "on", "com.example:x": "1"}
	receive := zfs.Receive(to, set, []string{"mountpoint", "quota", "com.example:y"})
	const user = "nobody"
	if _, err := m.receiveAs(user, first, receive); !errors.Is(zfs.Classify(err), zfs.ErrPermission) {
		m.t.Errorf("without any right: %v", err)
	}
	says := func(what string, send host.Command, want ...string) {
		m.t.Helper()
		stderr, err := m.receiveAs(user, send, receive)
		if err != nil {
			m.t.Fatalf("%s: %v", what, err)
		}
		unset := zfs.Unset(stderr, to, set)
		var names []string
		for _, name := range slices.Sorted(maps.Keys(unset)) {
			if names = append(names, name); unset[name] != "permission denied" {
				m.t.Errorf("%s: %s: %q", what, name, unset[name])
			}
		}
		if !slices.Equal(names, want) {
			m.t.Errorf("%s: not set: %q, want %q\n%s", what, names, want, stderr)
		}
	}
	m.do(zfs.Allow(at+"/in", "user:"+user, []string{"create", "mount", "receive"}))
	says("a new one", first, "canmount", "com.example:x", "readonly")
	m.has(to, "readonly=off (default)", "canmount=on (default)")
	m.do(zfs.Allow(at+"/in", "user:"+user, []string{"canmount", "userprop"}))
	says("two on top", next, "readonly")
	m.has(to, "readonly=off (default)", "canmount=noauto (local)", "com.example:x=1 (local)")
	if got := points(m.end(to).Snapshots); got != "1 2 3" {
		m.t.Errorf("received: %s", got)
	}
	m.do(zfs.Allow(at+"/in", "user:"+user, []string{"readonly"}))
	m.do(host.Write("zfs", "snapshot", from+"@4"))
	says("with all rights", zfs.Stream{Snapshot: from + "@4", From: "@3"}.Send())
	m.has(to, "readonly=on (local)")

	// Once the target is there the rights on it are enough, also for what is new below it, and for nothing beside it.
	all := []string{"canmount", "create", "mount", "readonly", "receive", "userprop"}
	m.do(zfs.Allow(to, "user:"+user, all))
	m.do(zfs.Unallow(at+"/in", "user:"+user, all))
	m.do(host.Write("zfs", "snapshot", from+"@5"))
	says("with the rights on it alone", zfs.Stream{Snapshot: from + "@5", From: "@4"}.Send())
	if stderr, err := m.receiveAs(user, first, zfs.Receive(to+"/below", set, nil)); err != nil || len(zfs.Unset(stderr, to+"/below", set)) > 0 {
		m.t.Errorf("below it: %v: %s", err, stderr)
	}
	if _, err := m.receiveAs(user, first, zfs.Receive(at+"/in/beside", set, nil)); !errors.Is(zfs.Classify(err), zfs.ErrPermission) {
		m.t.Errorf("beside it: %v", err)
	}
}
