package zfs_test

import (
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// encrypted is a source that is encrypted.
func (m *machine) encrypted(name, text string) map[string]string {
	return map[string]string{"encryption": "on", "keyformat": "passphrase", "keylocation": "file://" + m.key(name, text), "compression": "off", "mountpoint": m.file("mnt-" + name)}
}

// raw: what is encrypted travels as it is, without its key, and goes on only so.
func raw(m *machine, at string) {
	from, to := at+"/from", at+"/to"
	m.do(zfs.CreateFilesystem(at, map[string]string{"compression": "off"}))
	props := m.encrypted("sent-raw", "a passphrase")
	m.do(zfs.CreateFilesystem(from, props))
	for _, s := range []string{"@1", "@2", "@3"} {
		m.write(from, props["mountpoint"], mega/2)
		m.do(host.Write("zfs", "snapshot", from+s))
	}
	full, next := zfs.Stream{Snapshot: from + "@1", Raw: true}, zfs.Stream{Snapshot: from + "@2", From: "@1", Raw: true}
	last := zfs.Stream{Snapshot: from + "@3", From: "@2", Raw: true}
	plainly := func(s zfs.Stream) zfs.Stream { s.Raw = false; return s }
	m.mustSend(full, to)
	if e := m.end(to); !e.Encrypted || e.KeyLoaded || e.EncryptionRoot != to {
		m.t.Errorf("%+v", e)
	}
	if e := m.end(from); !e.Encrypted || !e.KeyLoaded {
		m.t.Errorf("%+v", e)
	}
	m.mustSend(next, to)
	m.notSent(zfs.ErrLocked, plainly(last), to)
	m.do(host.Write("zfs", "snapshot", to+"@own"))
	m.notSent(zfs.ErrModified, last, to) // a plain one would be received past it
	m.do(zfs.DestroySnapshots(to, []string{"own"})[0])

	m.mustSend(plainly(full), at+"/plain")
	if e := m.end(at + "/plain"); e.Encrypted || e.KeyLoaded || e.EncryptionRoot != "" {
		m.t.Errorf("%+v", e)
	}
	m.notSent(zfs.ErrCrypt, next, at+"/plain")
	token := m.cut(plainly(full), at+"/half", mega/4)
	if err := m.resumed(full, token, at+"/half"); err == nil { // a token that hides that it was raw
		m.t.Error("raw goes on where plain began")
	}
	m.do(zfs.DiscardPartial(at + "/half"))
	token = m.cut(full, at+"/half", mega/4)
	if tok, _, why := m.described(token); !tok.Raw || !tok.Compressed || why != nil {
		m.t.Errorf("%+v, %v", tok, why)
	}
	if err := m.resumed(full, token, at+"/half"); err != nil {
		m.t.Error(err)
	}

	own := at + "/own"
	m.do(zfs.CreateFilesystem(own, m.encrypted("sent-own", "another passphrase")))
	m.mustSend(plainly(full), own+"/anew")
	m.notSent(zfs.ErrCrypt, next, own+"/anew")
	m.mustSend(full, own+"/raw")
	if e := m.ends(true, own); e[own+"/anew"].EncryptionRoot != own || e[own+"/raw"].EncryptionRoot != own+"/raw" {
		m.t.Errorf("%+v", e)
	}
	m.do(zfs.Unmount(from))
	m.do(host.Write("zfs", "unload-key", from))
	m.notSent(zfs.ErrLocked, plainly(last), at+"/plain")
	m.mustSend(last, to)
	m.do(zfs.Unmount(own))
	m.do(host.Write("zfs", "unload-key", own))
	m.source(at+"/open", mega/4)
	m.notSent(zfs.ErrLocked, zfs.Stream{Snapshot: at + "/open@1"}, own+"/open")
}

// largeBlocks: what began with them goes on with them.
func largeBlocks(m *machine, at string) {
	from := at + "/from"
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(zfs.CreateFilesystem(from, map[string]string{"recordsize": "1M", "compression": "off", "mountpoint": m.file("mnt-large")}))
	for _, s := range []string{"@1", "@2"} {
		m.write(from, m.file("mnt-large"), 3*mega)
		m.do(host.Write("zfs", "snapshot", from+s))
	}
	m.mustSend(zfs.Stream{Snapshot: from + "@1", LargeBlocks: true}, at+"/large")
	m.notSent(zfs.ErrLargeBlocks, zfs.Stream{Snapshot: from + "@2", From: "@1"}, at+"/large")
	m.mustSend(zfs.Stream{Snapshot: from + "@2", From: "@1", LargeBlocks: true, Compressed: true}, at+"/large")
	m.mustSend(zfs.Stream{Snapshot: from + "@1"}, at+"/small")
	m.mustSend(zfs.Stream{Snapshot: from + "@2", From: "@1"}, at+"/small")
	token := m.cut(zfs.Stream{Snapshot: from + "@1", LargeBlocks: true, Compressed: true}, at+"/half", 2*mega)
	if tok, _, why := m.described(token); !tok.LargeBlocks || !tok.Compressed || tok.Raw || tok.Embedded || why != nil {
		m.t.Errorf("%+v, %v", tok, why)
	}
}
