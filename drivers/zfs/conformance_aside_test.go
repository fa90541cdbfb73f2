package zfs_test

import (
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// keysOfClone: what has its key from one above it does not leave that one; but where that is renamed, cloned and promoted, the
// clone is the encryption root of all that were below it, and they may move below it.
func keysOfClone(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	props := m.encrypted("of-clone", "a passphrase")
	props["mountpoint"] = "none"
	m.do(zfs.CreateFilesystem(at+"/sec", props))
	for _, n := range []string{"/sec/a", "/sec/b", "/aside"} {
		m.do(zfs.CreateFilesystem(at+n, map[string]string{"mountpoint": "none"}))
	}
	m.do(host.Write("zfs", "snapshot", "-r", at+"/sec@one"))
	roots := func(want ...string) {
		m.t.Helper()
		out := m.do(host.Read("zfs", "get", "-Hp", "-r", "-t", "filesystem", "-o", "name,value", "encryptionroot", at))
		var got []string
		for line := range strings.Lines(strings.ReplaceAll(out, at, "")) {
			if f := strings.Fields(line); len(f) == 2 && f[1] != "-" {
				got = append(got, f[0]+" of "+f[1])
			}
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			m.t.Errorf("%q, want %q", got, want)
		}
	}
	m.refused(1, errStatus, host.Write("zfs", "rename", "-u", at+"/sec/a", at+"/aside/a"))
	m.do(host.Write("zfs", "rename", "-u", at+"/sec", at+"/aside/sec"))
	m.do(zfs.Clone(at+"/aside/sec@one", at+"/sec", map[string]string{"readonly": "on", "canmount": "noauto"}))
	roots("/aside/sec of /aside/sec", "/aside/sec/a of /aside/sec", "/aside/sec/b of /aside/sec", "/sec of /aside/sec")
	m.do(zfs.Promote(at + "/sec"))
	roots("/aside/sec of /sec", "/aside/sec/a of /sec", "/aside/sec/b of /sec", "/sec of /sec")
	m.has(at+"/sec", "keystatus=unavailable (-)")
	m.do(zfs.Clone(at+"/aside/sec/a@one", at+"/sec/a", map[string]string{"canmount": "noauto"}))
	m.do(zfs.Promote(at + "/sec/a"))
	m.do(host.Write("zfs", "rename", "-u", at+"/aside/sec/b", at+"/sec/b"))
	roots("/aside/sec of /sec", "/aside/sec/a of /sec", "/sec of /sec", "/sec/a of /sec", "/sec/b of /sec")
	m.do(zfs.LoadKey(at + "/sec"))
	m.has(at+"/aside/sec/a", "keystatus=available (-)")
}

// destroysHeld: of what `zfs destroy -r` is told to destroy, what is held stays, with what is above it; all else is gone.
func destroysHeld(m *machine, at string) {
	for _, n := range []string{"", "/a", "/a/b", "/c"} {
		m.do(zfs.CreateFilesystem(at+n, nil))
	}
	m.do(host.Write("zfs", "snapshot", "-r", at+"@one"))
	m.do(zfs.Hold("dplane:kept", []string{at + "/a/b@one"})[0])
	m.refused(1, zfs.ErrBusy, host.Write("zfs", "destroy", "-r", at))
	for _, name := range []string{at + "/a/b@one", at + "/a"} {
		m.do(host.Read("zfs", "list", "-H", "-o", "name", name))
	}
	for _, name := range []string{at + "/a@one", at + "/c"} {
		m.refused(1, zfs.ErrNotExist, host.Read("zfs", "list", "-H", "-o", "name", name))
	}
	m.do(zfs.Release("dplane:kept", []string{at + "/a/b@one"})[0])
	m.do(host.Write("zfs", "destroy", "-r", at))
}

// listsSnapshot: a snapshot that is named is listed without -t, a bookmark is not.
func listsSnapshot(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(host.Write("zfs", "snapshot", at+"@one"))
	m.do(zfs.Bookmark(at+"@one", "one"))
	guid := strings.TrimSpace(m.do(host.Read("zfs", "get", "-Hp", "-o", "value", "guid", at+"@one")))
	if got, want := m.do(host.Read("zfs", "list", "-Hp", "-o", "name,guid,mountpoint", at+"@one")), at+"@one\t"+guid+"\t-\n"; got != want {
		m.t.Errorf("%q, want %q", got, want)
	}
	if got, want := m.do(host.Read("zfs", "list", "-H", "-o", "name", at+"@one", at)), at+"\n"+at+"@one\n"; got != want {
		m.t.Errorf("%q, want %q", got, want)
	}
	m.refused(1, zfs.ErrNotExist, host.Read("zfs", "list", "-H", "-o", "name", at+"@none"))
	m.refused(1, errStatus, host.Read("zfs", "list", "-H", "-o", "name", at+"#one"))
}
