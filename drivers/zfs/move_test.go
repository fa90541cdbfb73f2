package zfs_test

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// TestParseSnapshots reads what 2.3.9 printed.
func TestParseSnapshots(t *testing.T) {
	list, err := zfs.ParseSnapshots([]byte("tank/enc/c@s\t3391243100169870981\t20\t1795521033\t0\t1\ttank/encclone,tank/b c\ntank/golden@v3\t12478783679672064714\t15\t1795521031\t4096\t0\t\n"))
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	if s := list[0]; s.FullName() != "tank/enc/c@s" || s.TXG != 20 || s.Holds != 1 || s.Creation.Unix() != 1795521033 || strings.Join(s.Clones, "|") != "tank/encclone|tank/b c" {
		t.Errorf("%+v", s)
	}
	if s := list[1]; s.Used != 4096 || s.Clones != nil {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"tank/a@s\n", "tank/a\t1\t1\t1\t0\t0\t\n", "tank/a@s\tx\t1\t1\t0\t0\t\n", "\n"} {
		if _, err := zfs.ParseSnapshots([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// clones: what a snapshot gives, what promotion turns round, and what the list of snapshots says of it.
func clones(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(zfs.CreateFilesystem(at+"/golden", map[string]string{"compression": "lz4", "casesensitivity": "insensitive"}))
	m.do(host.Write("zfs", "snapshot", at+"/golden@v1"))
	m.do(host.Write("zfs", "snapshot", at+"/golden@v2"))
	m.do(zfs.Clone(at+"/golden@v2", at+"/web", map[string]string{"atime": "off", "dplane:applied": "atime", "quota": "20M", "userquota@root": "1G"}))
	m.has(at+"/web", "origin="+strings.Replace(at, m.pool, "POOL", 1)+"/golden@v2 (-)", "atime=off (local)", "compression=zstd (inherited from POOL)", "casesensitivity=insensitive (-)",
		"quota=20971520 (local)", "dplane:applied=atime (local)", "mounted=yes (-)")
	m.refused(1, zfs.ErrNotExist, zfs.Clone(at+"/golden@nosuch", at+"/x", nil))
	m.refused(1, zfs.ErrExists, zfs.Clone(at+"/golden@v2", at+"/web", nil))
	m.refused(1, zfs.ErrNoParent, zfs.Clone(at+"/golden@v2", at+"/no/x", nil))
	m.refused(1, zfs.ErrBadProperty, zfs.Clone(at+"/golden@v2", at+"/x", map[string]string{"nosuch": "1"}))
	m.refused(1, zfs.ErrReadOnly, zfs.Clone(at+"/golden@v2", at+"/x", map[string]string{"casesensitivity": "mixed"}))
	m.refused(1, zfs.ErrHasChildren, host.Write("zfs", "destroy", at+"/golden@v2"))

	list := snapshots(m, 0, zfs.ListSnapshots([]string{at + "/golden@v2"}))
	if len(list) != 1 || strings.Join(list[0].Clones, ",") != at+"/web" || list[0].Holds != 0 {
		m.t.Errorf("%+v", list)
	}
	guid := list[0].GUID
	if err := zfs.ExpectProps(at+"/golden@v2", map[string]state.Property{"guid": {Value: guid, Source: "-"}}).Check(m.t.Context(), m); err != nil {
		m.t.Error(err)
	}
	if list := snapshots(m, 1, zfs.ListSnapshots([]string{at + "/golden@v1", at + "/golden@nosuch", at + "/nosuch@v1"})); len(list) != 1 {
		m.t.Errorf("%+v", list)
	}
	m.do(host.Write("zfs", "hold", "keep", at+"/golden@v1"))
	m.do(host.Write("zfs", "promote", at+"/web"))
	m.refused(1, errStatus, host.Write("zfs", "promote", at+"/web"))
	m.has(at+"/golden", "origin="+strings.Replace(at, m.pool, "POOL", 1)+"/web@v2 (-)")
	list = snapshots(m, 0, zfs.ListSnapshotsBelow(at+"/golden", at+"/web"))
	if len(list) != 2 || list[0].FullName() != at+"/web@v1" || list[0].Holds != 1 || list[1].GUID != guid || strings.Join(list[1].Clones, ",") != at+"/golden" {
		m.t.Errorf("%+v", list)
	}
	m.do(host.Write("zfs", "release", "keep", at+"/web@v1"))
}

func snapshots(m *machine, code int, lists []host.Command) []state.Snapshot {
	m.t.Helper()
	c := lists[0]
	res, err := m.Run(m.t.Context(), c)
	if res.Code != code {
		m.t.Fatalf("%s: status %d, %v", c, res.Code, err)
	}
	list, err := zfs.ParseSnapshots(res.Stdout)
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

// renames carry along what is below, keep guids and their own values, and follow the mountpoint.
func renames(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	for _, n := range []string{"/a", "/a/x", "/b", "/p"} {
		m.do(zfs.CreateFilesystem(at+n, nil))
	}
	m.do(zfs.CreateFilesystem(at+"/a/own", map[string]string{"mountpoint": m.file("own")}))
	m.do(zfs.Set(at+"/p", map[string]string{"atime": "off"}))
	guid := m.datasets()["/renames/a/x"].GUID
	m.refused(1, zfs.ErrExists, zfs.Rename(at+"/a", at+"/b"))
	m.refused(1, zfs.ErrNotExist, zfs.Rename(at+"/nosuch", at+"/c"))
	m.refused(1, zfs.ErrNoParent, zfs.Rename(at+"/a", at+"/no/c"))
	m.refused(1, errStatus, zfs.Rename(at+"/a", at+"/a/c"))
	m.refused(1, errStatus, zfs.Rename(at+"/a", m.pool+"x/c"))
	m.refused(1, errStatus, zfs.Rename(at+"/a", at+"/"+strings.Repeat("c", 254-len(at))))
	m.refused(1, errStatus, zfs.Rename(m.pool, m.pool+"/c"))
	long := strings.Repeat("c", 200-len(at))
	m.do(host.Write("zfs", "snapshot", at+"/b@"+strings.Repeat("s", 60)))
	m.refused(1, errStatus, zfs.Rename(at+"/b", at+"/"+long)) // its snapshot would be too long
	m.do(zfs.DestroySnapshots(at+"/b", []string{strings.Repeat("s", 60)})[0])
	m.do(zfs.Rename(at+"/b", at+"/"+long))
	m.do(zfs.Rename(at+"/"+long, at+"/b"))
	release := m.use(at+"/a/x", m.file("mnt/renames/a/x"))
	m.refused(1, zfs.ErrBusy, zfs.Rename(at+"/a", at+"/p/c"))
	m.has(at+"/a", "mounted=yes (-)")
	m.has(at+"/a/x", "mounted=yes (-)")
	release()
	m.do(zfs.Rename(at+"/a", at+"/p/c"))
	m.has(at+"/p/c", "mounted=yes (-)", "mountpoint="+m.file("mnt/renames/p/c")+" (inherited from POOL)", "atime=off (inherited from POOL/renames/p)")
	m.has(at+"/p/c/own", "mounted=yes (-)", "mountpoint="+m.file("own")+" (local)")
	m.has(at+"/p/c/x", "guid="+guid+" (-)", "mounted=yes (-)", "atime=off (inherited from POOL/renames/p)")
	tree := zfs.ExpectTree([]string{at + "/p/c", at + "/p/c/own", at + "/p/c/x"})
	if err := tree.Check(m.t.Context(), m); err != nil {
		m.t.Error(err)
	}
	m.do(zfs.CreateFilesystem(at+"/p/c/y", nil))
	if tree.Check(m.t.Context(), m) == nil {
		m.t.Error("another child is not seen")
	}
}

// trashing is what both acts of a destroy rely on.
func trashing(m *machine, at string) {
	trash := at + "/.dplane-trash"
	m.do(zfs.CreateFilesystem(at, nil))
	for _, n := range []string{"/a", "/a/x", "/a/x y", "/a/x-y", "/a/x/z"} {
		m.do(zfs.CreateFilesystem(at+n, nil))
	}
	m.do(zfs.CreateFilesystem(at+"/a/own", map[string]string{"mountpoint": m.file("trash-own")}))
	m.do(zfs.CreateVolume(at+"/a/vol", 1<<20, true, nil))
	tree := []string{at + "/a", at + "/a/own", at + "/a/vol", at + "/a/x", at + "/a/x y", at + "/a/x-y", at + "/a/x/z"}
	if err := zfs.ExpectTree(tree).Check(m.t.Context(), m); err != nil {
		m.t.Error(err)
	}
	by := m.datasets()
	var list []*state.Dataset
	for _, n := range tree {
		list = append(list, by[strings.TrimPrefix(n, m.pool)])
	}
	values := zfs.ExpectValues(list, []string{"guid", "canmount", "readonly"})
	if err := values.Check(m.t.Context(), m); err != nil {
		m.t.Error(err)
	}

	// One unmount takes the whole tree, wherever it is mounted, or nothing of it.
	release := m.use(at+"/a/own", m.file("trash-own"))
	m.refused(1, zfs.ErrBusy, zfs.Unmount(at+"/a"))
	for _, n := range []string{"/a", "/a/own", "/a/x/z"} {
		m.has(at+n, "mounted=yes (-)")
	}
	release()
	m.do(zfs.Unmount(at + "/a"))
	for _, n := range []string{"/a", "/a/own", "/a/x/z"} {
		m.has(at+n, "mounted=no (-)")
	}
	m.refused(1, errStatus, zfs.Unmount(at+"/a"))

	for _, c := range zfs.SetAll([]string{at + "/a", at + "/a/x"}, map[string]string{"canmount": "noauto", "dplane:trash.canmount": "on default"}) {
		m.do(c)
	}
	m.has(at+"/a/x", "canmount=noauto (local)", "dplane:trash.canmount=on default (local)")
	if values.Check(m.t.Context(), m) == nil {
		m.t.Error("another canmount is not seen")
	}
	// One that is refused does not keep the others from it.
	m.refused(255, zfs.ErrWrongType, host.Write("zfs", "set", "canmount=noauto", at+"/a/vol", at+"/a/x/z"))
	m.has(at+"/a/x/z", "canmount=noauto (local)")

	m.do(zfs.CreateFilesystem(trash, map[string]string{"canmount": "off", "mountpoint": "none", "sharenfs": "off", "sharesmb": "off"}))
	m.do(zfs.RenameUnmounted(list[0], at+"/a", trash+"/1"))
	m.refused(1, errStatus, host.Write("zfs", "rename", "-u", trash+"/1/vol", trash+"/1/v"))
	m.do(zfs.SetAll([]string{trash + "/1", trash + "/1/vol"}, map[string]string{"readonly": "on"})[0])
	m.has(trash+"/1/x", "mountpoint=none (inherited from POOL/trashing/.dplane-trash)", "readonly=on (inherited from POOL/trashing/.dplane-trash/1)", "dplane:trash.canmount=on default (local)")
	m.has(trash+"/1/x/z", "dplane:trash.canmount=on default (inherited from POOL/trashing/.dplane-trash/1/x)")
	m.do(zfs.RenameUnmounted(list[0], trash+"/1", at+"/a"))
	for _, p := range []string{"canmount", "dplane:trash.canmount"} {
		m.do(zfs.InheritAll([]string{at + "/a", at + "/a/x", at + "/a/x/z"}, p)[0])
	}
	m.has(at+"/a/x", "canmount=on (default)", "mounted=no (-)", "dplane:trash.canmount=- (-)") // canmount mounts nothing by itself
	m.do(zfs.Mount(at + "/a"))
	m.refused(1, errStatus, zfs.Mount(at+"/a"))

	for _, n := range []string{"a", "b", "c"} {
		m.do(host.Write("zfs", "snapshot", at+"/a/x@"+n))
	}
	guards := zfs.ExpectSnapshots(at+"/a", snapshots(m, 0, zfs.ListSnapshotsBelow(at+"/a")))
	if err := guards.Check(m.t.Context(), m); err != nil {
		m.t.Error(err)
	}
	m.do(host.Write("zfs", "hold", "keep", at+"/a/x@b"))
	if guards.Check(m.t.Context(), m) == nil {
		m.t.Error("a hold is not seen")
	}
	m.refused(1, zfs.ErrBusy, zfs.DestroySnapshots(at+"/a/x", []string{"a", "b", "c"})[0])
	m.do(host.Write("zfs", "release", "keep", at+"/a/x@b"))
	m.do(zfs.Clone(at+"/a/x@a", at+"/clone", nil))
	m.refused(1, zfs.ErrHasChildren, zfs.DestroySnapshots(at+"/a/x", []string{"a", "b", "c"})[0])
	if list := snapshots(m, 0, zfs.ListSnapshotsBelow(at+"/a/x")); len(list) != 3 {
		m.t.Errorf("what can't be destroyed whole is destroyed in part: %+v", list)
	}
	m.do(zfs.Destroy(at + "/clone"))
	m.refused(1, zfs.ErrHasChildren, zfs.Destroy(at+"/a/x"))
	m.do(zfs.DestroySnapshots(at+"/a/x", []string{"a", "b", "c"})[0])
	m.refused(1, zfs.ErrNotExist, zfs.DestroySnapshots(at+"/a/x", []string{"a"})[0])
	for _, n := range []string{"/a/x/z", "/a/x", "/a/vol"} {
		m.do(zfs.Destroy(at + n))
	}
}
