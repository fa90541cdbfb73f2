package zfs_test

import (
	"fmt"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

func quotas(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, map[string]string{"quota": "20M", "reservation": "10M"}))
	m.has(at, "quota=20971520 (local)", "reservation=10485760 (local)")
	m.refused(255, zfs.ErrBelowUsed, zfs.Set(at, map[string]string{"quota": "5M"})) // below what is reserved
	m.refused(255, zfs.ErrNoSpace, zfs.Set(at, map[string]string{"refreservation": "30M"}))
	m.refused(1, zfs.ErrNoSpace, zfs.CreateFilesystem(at+"/r", map[string]string{"reservation": "30M"}))
	m.refused(1, zfs.ErrNoSpace, zfs.CreateVolume(at+"/v", 30<<20, false, nil))
	m.do(zfs.CreateVolume(at+"/v", 30<<20, true, nil))
	m.do(zfs.Set(at, map[string]string{"quota": "none", "reservation": "none", "filesystem_limit": "5", "snapshot_limit": "none"}))
	m.has(at, "quota=0 (local)", "reservation=0 (local)", "filesystem_limit=5 (local)", "snapshot_limit="+m.in21("18446744073709551615", "none")+" (local)")
}

func userQuotas(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, map[string]string{"userquota@root": "3M"}))
	m.do(zfs.CreateFilesystem(at+"/child", nil))
	m.do(zfs.Set(at, map[string]string{"groupquota@root": "1G", "userquota@1000": "5M", "userobjquota@root": "77"}))
	all := []string{"userquota@root", "groupquota@root", "userquota@1000", "userobjquota@root", "userquota@nosuchuser"}
	q, err := zfs.ParseQuotas(m.pool, []byte(m.do(zfs.GetQuotas(m.pool, all)[0])))
	if err != nil {
		m.t.Fatal(err)
	}
	want := map[string]string{m.pool: "7340032/local 0/local 0/local 0/local -/-", at: "3145728/local 1073741824/local 5242880/local 77/local -/-", at + "/child": "0/local 0/local 0/local 0/local -/-"}
	for name, w := range want {
		var got []string
		for _, p := range all {
			got = append(got, q[name][p].Value+"/"+q[name][p].Source)
		}
		if g := strings.Join(got, " "); g != w {
			m.t.Errorf("%s has %s, want %s", name, g, w)
		}
	}
	m.do(zfs.Set(at, map[string]string{"userquota@root": "none"}))
	m.has(at, "userquota@root=0 (local)")
	m.refused(255, zfs.ErrBadValue, zfs.Set(at, map[string]string{"userquota@nosuchuser": "1G"}))
	m.do(zfs.CreateVolume(at+"/v", 1<<20, true, nil))
	m.refused(255, errStatus, zfs.Set(at+"/v", map[string]string{"userquota@root": "1G"}))
}

func volumes(m *machine, at string) {
	m.do(zfs.CreateVolume(at, 10<<20, false, map[string]string{"volblocksize": "16K"}))
	m.has(at, "volsize=10485760 (local)", "volblocksize=16384 ("+m.in21("-", "default")+")", "refreservation=12582912 (local)")
	m.do(zfs.Set(at, map[string]string{"volsize": fmt.Sprint(20 << 20)}))
	m.has(at, "volsize=20971520 (local)", "refreservation=23592960 (local)") // the reservation follows
	m.do(zfs.Set(at, map[string]string{"refreservation": "none"}))
	m.has(at, "refreservation=0 (local)")
	m.do(zfs.Set(at, map[string]string{"refreservation": "auto"}))
	m.has(at, "refreservation=23592960 (local)")
	m.do(zfs.CreateVolume(at+"-own", 1<<20, false, map[string]string{"refreservation": "512K"}))
	m.do(zfs.Set(at+"-own", map[string]string{"volsize": "2M"}))
	m.has(at+"-own", "refreservation=524288 (local)", "volblocksize="+m.in21("8192", "16384")+" (default)")
	m.refused(255, zfs.ErrBadValue, zfs.Set(at, map[string]string{"volsize": "20000000"}))
	m.refused(255, zfs.ErrBadValue, zfs.Set(at, map[string]string{"volsize": "0"}))
	m.refused(255, zfs.ErrNoSpace, zfs.Set(at, map[string]string{"volsize": "100G"}))
	m.refused(255, zfs.ErrReadOnly, zfs.Set(at, map[string]string{"volblocksize": "8K"}))
	m.refused(255, zfs.ErrWrongType, zfs.Set(at, map[string]string{"recordsize": "8K"}))
	m.do(zfs.CreateVolume(at+"-small", 10000, true, map[string]string{"volblocksize": "4K"}))
	m.has(at+"-small", "volsize=12288 (local)", "volblocksize=4096 (-)", "refreservation=0 (default)")
	m.do(zfs.Set(at+"-small", map[string]string{"volsize": "100G"})) // sparse: promised, not reserved
	m.has(at+"-small", "volsize=107374182400 (local)", "refreservation=0 (default)")
}

func mountpoints(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, map[string]string{"canmount": "noauto"}))
	m.do(zfs.CreateFilesystem(at+"/c", nil))
	base := m.file("mnt") + "/mountpoints"
	m.has(at, "mounted=no (-)", "mountpoint="+base+" (inherited from POOL)")
	m.has(at+"/c", "mounted=yes (-)", "mountpoint="+base+"/c (inherited from POOL)")
	m.do(zfs.Set(at, map[string]string{"mountpoint": m.file("elsewhere")}))
	m.has(at+"/c", "mounted=yes (-)", "mountpoint="+m.file("elsewhere")+"/c (inherited from POOL/mountpoints)")
	m.has(at, "mounted=no (-)")
	m.do(zfs.Set(at, map[string]string{"mountpoint": "none"}))
	m.has(at+"/c", "mounted=no (-)", "mountpoint=none (inherited from POOL/mountpoints)")
	m.do(zfs.Inherit(at, "mountpoint", true))
	m.has(at+"/c", "mounted="+m.in21("no", "yes")+" (-)", "mountpoint="+base+"/c (inherited from POOL)")
	m.do(zfs.Set(at+"/c", map[string]string{"canmount": "off"}))
	m.has(at+"/c", "mounted=no (-)", "canmount=off (local)")
	m.do(zfs.Set(at+"/c", map[string]string{"canmount": "on"}))
	m.has(at+"/c", "mounted=no (-)", "canmount=on (local)") // that alone mounts nothing
	m.do(host.Write("zfs", "mount", at+"/c"))
	m.has(at+"/c", "mounted=yes (-)")
	m.do(host.Write("zfs", "unmount", at+"/c"))
	m.refused(1, errStatus, host.Write("zfs", "unmount", at+"/c"))
	m.do(host.Write("zfs", "mount", at+"/c"))
	m.refused(1, errStatus, host.Write("zfs", "mount", at+"/c"))
	m.do(zfs.CreateFilesystem(at+"/over", map[string]string{"mountpoint": m.file("full")})) // zfs hides what is in there
	m.has(at+"/over", "mounted=yes (-)")
	m.do(host.Write("zfs", "destroy", at+"/over"))
}

// busy: what would have to unmount a file system in use is refused, all of the command; readonly is set, and refused.
func busy(m *machine, at string) {
	m.do(zfs.CreateFilesystem(at, nil))
	release := m.use(at, m.file("mnt")+"/busy")
	defer release()
	m.refused(255, zfs.ErrBusy, zfs.Set(at, map[string]string{"atime": "off", "compression": "lz4", "mountpoint": m.file("elsewhere")}))
	m.refused(255, zfs.ErrBusy, zfs.Set(at, map[string]string{"canmount": "off"}))
	m.refused(1, zfs.ErrBusy, host.Write("zfs", "unmount", at))
	m.refused(1, zfs.ErrBusy, host.Write("zfs", "destroy", at))
	m.has(at, "atime=on (default)", "compression=zstd (inherited from POOL)", "canmount=on (default)", "mounted=yes (-)", "mountpoint="+m.file("mnt")+"/busy (inherited from POOL)")
	if readonly := zfs.Set(at, map[string]string{"readonly": "on"}); m.v21 {
		m.do(readonly) // the mount stays writable, and nobody is told
	} else {
		m.refused(255, zfs.ErrBusy, readonly)
	}
	m.has(at, "readonly=on (local)", "mounted=yes (-)")
	release()
	m.do(zfs.Set(at, map[string]string{"mountpoint": m.file("elsewhere")}))
	m.has(at, "mountpoint="+m.file("elsewhere")+" (local)")
}
