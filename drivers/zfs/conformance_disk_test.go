package zfs_test

import (
	"encoding/json"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// wiping: what takes a label and signatures off a file, and what refuses to.
func wiping(m *machine, _ string) {
	pool, device := m.pool+"wiped", m.file("e")
	create := zfs.CreatePool(pool, map[string]string{"cachefile": "none"}, map[string]string{"mountpoint": "none", "canmount": "off"}, []string{device})
	gentle, blank := host.Write("zpool", "labelclear", device), zfs.ExpectNoLabel(device)
	clear := func(c host.Command) {
		m.t.Helper()
		m.do(c)
		if err := blank.Check(m.t.Context(), m); err != nil {
			m.t.Error(err)
		}
		m.signatures(device, "")
	}
	m.signatures(device, "")
	m.refused(255, errStatus, zfs.ClearLabel(device)) // no label
	m.do(create)
	m.signatures(device, "zfs_member")
	// Of a file in an imported pool `labelclear -f` takes the label (2.1.11, 2.3.9), of a disk it does not: that a
	// device is in use is the plan's to know.
	m.do(host.Write("zpool", "export", pool))
	m.refused(1, zfs.ErrInUse, gentle)
	clear(zfs.ClearLabel(device))
	m.do(create)
	m.do(host.Write("zpool", "destroy", pool))
	clear(gentle) // of a destroyed pool
	if out := m.do(host.Read("losetup", "-n", "-O", "NAME", "-j", device)); out != "" {
		m.t.Errorf("a loop device stands on it: %q", out)
	}
}

// signatures compares the types that wipefs lists, each once, in both of its forms.
func (m *machine) signatures(device, want string) {
	m.t.Helper()
	var doc struct{ Signatures []struct{ Type string } }
	if out := m.do(host.Read("wipefs", "-J", device)); strings.TrimSpace(out) != "" {
		if err := json.Unmarshal([]byte(out), &doc); err != nil {
			m.t.Fatalf("%v: %s", err, out)
		}
	}
	types := map[string]bool{}
	for _, s := range doc.Signatures {
		types[s.Type] = true
	}
	plain := m.do(host.Read("wipefs", "--noheadings", "-O", "TYPE", device))
	if (want == "") != (plain == "") || (want == "") != (len(types) == 0) || want != "" && (!types[want] || !strings.HasPrefix(plain, want+"\n")) {
		m.t.Errorf("wipefs lists %v and %q, want %q", types, plain, want)
	}
}
