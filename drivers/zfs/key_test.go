package zfs_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
)

func (m *machine) writeKey(name, text string) string {
	if err := os.WriteFile(m.file(name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return m.file(name)
}

const (
	raw1 = "raw key: 32 bytes, and no more. "
	raw2 = "raw key: another one altogether."
)

// keys: what is inherited, tried, loaded and changed, and what is refused.
func keys(m *machine, at string) {
	one, two := m.key("raw1", raw1), m.key("raw2", raw2)
	e := &spec.Encryption{Format: "raw", KeyFile: one}
	m.do(zfs.CreateFilesystem(at, zfs.EncryptionOptions(e)))
	m.do(zfs.CreateFilesystem(at+"/child", nil))
	own := &spec.Encryption{Format: "passphrase", KeyFile: m.key("pass", "correct horse\n")}
	m.do(zfs.CreateFilesystem(at+"/own", zfs.EncryptionOptions(own)))
	m.has(at, "encryption=aes-256-gcm (-)", "keyformat=raw (-)", "keylocation=file://"+one+" (local)", "encryptionroot=POOL/keys (-)", "keystatus=available (-)")
	m.has(at+"/child", "keylocation=none (default)", "encryptionroot=POOL/keys (-)", "keystatus=available (-)")
	m.has(at+"/own", "keyformat=passphrase (-)", "pbkdf2iters=350000 (-)", "encryptionroot=POOL/keys/own (-)")
	try := func(name, file string, code int) {
		m.t.Helper()
		res, _ := m.Run(m.t.Context(), zfs.TryKey(name, file))
		if res.Code != code || code == 0 && string(res.Stdout) != zfs.KeyVerified {
			m.t.Errorf("%s with %s: status %d, %q", name, file, res.Code, res.Stdout)
		}
	}
	try(at, one, 0)
	try(at, two, 255)
	try(at+"/child", one, 255)
	try(at, m.file("nosuch"), 255)
	m.refused(255, errStatus, zfs.LoadKey(at)) // loaded already
	m.refused(255, errStatus, host.Write("zfs", "unload-key", at))
	for _, name := range []string{"/child", ""} {
		m.do(zfs.Unmount(at + name))
	}
	m.has(at+"/own", "mounted=no (-)") // it goes with what is above it
	m.do(host.Write("zfs", "unload-key", at))
	m.has(at, "keystatus=unavailable (-)", "mounted=no (-)")
	m.has(at+"/child", "keystatus=unavailable (-)")
	m.has(at+"/own", "keystatus=available (-)")
	m.refused(1, zfs.ErrLocked, zfs.Mount(at))
	m.refused(1, errStatus, zfs.CreateFilesystem(at+"/new", nil))
	m.refused(255, errStatus, zfs.NewKey(at, &spec.Encryption{Format: "raw", KeyFile: two}, ""))
	try(at, one, 0)
	try(at, two, 255)
	m.has(at, "keystatus=unavailable (-)") // a trial loads nothing
	m.refused(255, zfs.ErrKey, host.Write("zfs", "load-key", "-L", "file://"+two, at))
	m.do(zfs.LoadKey(at))
	m.has(at, "keystatus=available (-)", "mounted=no (-)")
	m.do(zfs.Mount(at))
	m.do(zfs.Mount(at + "/child"))
	m.do(zfs.NewKey(at, &spec.Encryption{Format: "raw", KeyFile: two}, ""))
	try(at, two, 0)
	m.has(at, "keylocation=file://"+two+" (local)")
	m.do(zfs.NewKey(at, own, "200000"))
	m.has(at, "keyformat=passphrase (-)", "pbkdf2iters=200000 (-)")
	m.do(zfs.NewKey(at+"/child", e, ""))
	m.has(at+"/child", "encryptionroot=POOL/keys/child (-)", "keylocation=file://"+one+" (local)")
	m.do(zfs.Set(at, map[string]string{"keylocation": "prompt"}))
	m.has(at, "keylocation=prompt (local)")
	m.refused(255, errStatus, zfs.Set(m.pool, map[string]string{"keylocation": "file://" + one}))
	m.refused(255, errStatus, zfs.NewKey(m.pool, e, ""))
	m.refused(255, errStatus, zfs.LoadKey(m.pool))
}

// keyFiles: what ZFS takes for a key, and what is seen of it from the outside.
func keyFiles(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	hex := strings.Repeat("0123456789abcdEF", 4)
	for i, c := range []struct {
		format, text string
		good         bool
	}{
		{"raw", raw1, true}, {"raw", raw1[1:], false}, {"raw", raw1 + "x", false},
		{"hex", hex, true}, {"hex", hex + "\n", true}, {"hex", hex[1:], false}, {"hex", hex + "0", false}, {"hex", "x" + hex[1:], false},
		{"passphrase", "12345678", true}, {"passphrase", "12345678\n", true}, {"passphrase", "1234567", false},
		{"passphrase", strings.Repeat("x", 512), true}, {"passphrase", strings.Repeat("x", 513), false},
	} {
		name := at + "/k" + string(rune('a'+i))
		e := &spec.Encryption{Format: c.format, KeyFile: m.key("key"+string(rune('a'+i)), c.text)}
		res, _ := m.Run(m.t.Context(), zfs.StatKeys(e.KeyFile))
		seen, err := zfs.ParseStatKeys([]string{e.KeyFile}, res.Stdout)
		if err != nil {
			m.t.Fatal(err)
		}
		k := seen[e.KeyFile]
		if count, needed := zfs.CountKeyLines(c.format, e.KeyFile); needed {
			res, _ := m.Run(m.t.Context(), count)
			k.Lines = map[bool]string{true: "good", false: "bad"}[zfs.ParseKeyLines(res.Stdout)[e.KeyFile]]
		}
		_, err = m.Run(m.t.Context(), zfs.CreateFilesystem(name, zfs.EncryptionOptions(e)))
		if fault := k.Fault(c.format); (err == nil) != c.good || (fault == "") != c.good {
			m.t.Errorf("%s %q: zfs says %v, dplane %q", c.format, c.text, err, fault)
		}
	}
}

// mounting: what mounts by itself, and what does not.
func mounting(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(zfs.CreateFilesystem(at+"/child", nil))
	set := func(p, v string) { m.t.Helper(); m.do(zfs.Set(at, map[string]string{p: v})) }
	m.do(zfs.Unmount(at + "/child"))
	m.do(zfs.Unmount(at))
	m.refused(1, errStatus, zfs.Unmount(at))
	m.do(zfs.Mount(at)) // not what is below
	m.has(at, "mounted=yes (-)")
	m.has(at+"/child", "mounted=no (-)")
	m.refused(1, errStatus, zfs.Mount(at))
	set("canmount", "noauto")
	m.do(zfs.Unmount(at))
	set("canmount", "on") // mounts nothing
	m.has(at, "mounted=no (-)")
	set("mountpoint", "none")
	set("mountpoint", m.file("elsewhere")) // this does, with what follows
	m.has(at, "mounted=yes (-)")
	m.has(at+"/child", "mounted=yes (-)")
	m.do(zfs.Unmount(at + "/child"))
	m.do(zfs.Unmount(at))
	m.do(zfs.Set(at, map[string]string{"canmount": "noauto", "mountpoint": "none"}))
	m.do(zfs.Set(at, map[string]string{"canmount": "on", "mountpoint": m.file("elsewhere")}))
	m.has(at, m.in21("mounted=no (-)", "mounted=yes (-)")) // 2.1 looks at canmount as it was
	if !m.v21 {                                            // where it was unmounted and had a place, 2.1 leaves it
		m.do(zfs.Unmount(at + "/child"))
		m.do(zfs.Unmount(at))
		set("mountpoint", m.file("third"))
		m.has(at, "mounted=yes (-)")
	}
}

// delegations: who may do what, and that an unknown name is no error.
func delegations(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	m.do(zfs.CreateFilesystem(at+"/child", nil))
	shown := func(name, want string) {
		m.t.Helper()
		grants, err := zfs.ParseAllowed(name, []byte(m.do(zfs.Allowed(name))))
		if err != nil {
			m.t.Fatal(err)
		}
		var all []string
		for _, who := range slices.Sorted(maps.Keys(grants)) {
			all = append(all, who+" "+strings.Join(grants[who].Here, ",")+"/"+strings.Join(grants[who].Below, ","))
		}
		if got := strings.Join(all, " "); got != want {
			m.t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	m.do(zfs.Allow(at, "user:nobody", []string{"hold", "send"}))
	m.do(zfs.Allow(at, "everyone", []string{"mount"}))
	m.do(zfs.Allow(at, "user:4242", []string{"snapshot"}))
	m.do(host.Write("zfs", "allow", "-l", "-u", "root", "rollback", at))
	m.do(host.Write("zfs", "allow", "-d", "-u", "root", "rename", at))
	shown(at, "everyone mount/mount user:4242 snapshot/snapshot user:nobody hold,send/hold,send user:root rollback/rename")
	shown(at+"/child", "")
	m.do(zfs.Unallow(at, "user:nobody", []string{"send", "rollback"}))
	m.do(zfs.Unallow(at, "user:root", []string{"rollback"}))
	m.do(zfs.Allow(at, "user:root", []string{"rename"}))
	shown(at, "everyone mount/mount user:4242 snapshot/snapshot user:nobody hold/hold user:root rename/rename")
	m.do(zfs.Allow(at, "user:nosuch", []string{"send"})) // it prints its usage, and exits 0
	shown(at, "everyone mount/mount user:4242 snapshot/snapshot user:nobody hold/hold user:root rename/rename")
	m.refused(255, zfs.ErrNotExist, zfs.Allowed(at+"/nosuch"))
	m.do(zfs.CreateFilesystem(at+"/other", nil))
	m.do(host.Write("zfs", "allow", "-s", "@mine", "hold,release", at))
	m.do(host.Write("zfs", "allow", "-c", "destroy,mount", at))
	m.do(host.Write("zfs", "allow", "-l", "-g", "root", "@mine", at))
	m.do(host.Write("zfs", "allow", "-d", "-e", "diff", at))
	again, err := zfs.Delegations(at, at+"/other", []byte(m.do(zfs.Allowed(at))))
	if err != nil {
		m.t.Fatal(err)
	}
	for range 2 { // what is given already is given again
		for _, c := range again {
			m.do(c)
		}
	}
	own := func(name string) string {
		text, _, _ := strings.Cut(strings.TrimPrefix(m.do(zfs.Allowed(name)), "---- Permissions on "+name+" "), "\n----")
		return strings.TrimSpace(strings.TrimLeft(text, "-"))
	}
	if got, want := own(at+"/other"), own(at); got != want || !strings.Contains(got, "@mine hold,release") || !strings.Contains(got, "Create time permissions:\n\tdestroy,mount") {
		m.t.Errorf("%s\nwant\n%s", got, want)
	}
	known := zfs.ParseAccounts([]byte(m.do(host.Read("getent", "passwd", "--", "nobody", "root"))))
	if known["nobody"] != "nobody" || known["root"] != "root" {
		m.t.Errorf("accounts %v", known)
	}
}

// TestParseAllowed reads captured output, sets and others' sections left out.
func TestParseAllowed(t *testing.T) {
	for _, release := range []string{"2.1.11", "2.3.9", "2.4.4"} {
		out, err := os.ReadFile(filepath.Join("testdata", release, "zfs_allow_tank_data.txt"))
		if err != nil {
			t.Fatal(err)
		}
		grants, err := zfs.ParseAllowed("tank/data", out)
		if got := strings.Join(grants["user:nobody"].Here, ","); err != nil || len(grants) != 1 || got != "mount,snapshot" {
			t.Errorf("%s: %v, %v", release, grants, err)
		}
	}
	const all = `---- Permissions on tank/a b -----------------------------------------
Permission sets:
	@set1 create,destroy
Create time permissions:
	destroy,mount
Local permissions:
	user anna mount
Descendent permissions:
	user anna rollback
Local+Descendent permissions:
	user DOMAIN+anna b @set1,send
	user (unknown: 4242) create
	group (unknown: 4343) create,mount
	everyone mount
---- Permissions on tank ---------------------------------------------
Local+Descendent permissions:
	user root hold
`
	grants, err := zfs.ParseAllowed("tank/a b", []byte(all))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"everyone", "group:4343", "user:4242", "user:DOMAIN+anna b", "user:anna"}
	if got := slices.Sorted(maps.Keys(grants)); !slices.Equal(got, want) {
		t.Errorf("grants of %q", got)
	}
	if a := grants["user:anna"]; strings.Join(a.Here, ",") != "mount" || strings.Join(a.Below, ",") != "rollback" {
		t.Errorf("anna: %v", a)
	}
	for _, bad := range []string{"\tuser anna send\n", "Local permissions:\n\tnonsense\n"} {
		if _, err := zfs.ParseAllowed("tank", []byte("---- Permissions on tank ----\n"+bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
