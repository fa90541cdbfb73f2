package zfs

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

func TestCommands(t *testing.T) {
	props := map[string]string{"quota": "5", "atime": "off", "com.example:note": "a b"}
	for want, c := range map[string]host.Command{
		"zfs version": Version(),
		"zpool list -Hp -o name,guid,size,allocated,free,fragmentation,capacity,health":         ListPools(),
		"zpool get -Hp -o name,property,value,source all tank":                                  GetPool("tank"),
		"zpool status -p -P -t tank":                                                            PoolStatus("tank"),
		"zpool status -j --json-int -P -t tank":                                                 PoolStatusJSON("tank"),
		"zpool scrub tank":                                                                      Scrub("tank"),
		"zpool import -d /dev/disk/by-id -d /pool 17":                                           ImportPool([]string{"/dev/disk/by-id", "/pool"}, "17"),
		"head -c 16384 /usr/share/zfs/compatibility.d/openzfs-2.1-linux":                        ReadFeatureSet(CompatibilityFolders[1], "openzfs-2.1-linux"),
		"zpool set feature@draid=enabled tank":                                                  EnableFeature("tank", "draid"),
		"zpool list -HpvP tank":                                                                 ListVdevs("tank"),
		"zpool online -e tank /a '/b c'":                                                        ExpandVdevs("tank", []string{"/a", "/b c"}),
		"zpool trim tank":                                                                       Trim("tank"),
		"zfs get -Hp -r -t filesystem,volume -o name,property,value,source all tank":            GetDatasets("tank"),
		"zfs get -Hp -t filesystem,volume -o name,property,value,source all tank/a tank/b":      GetWhole([]string{"tank/a", "tank/b"})[0],
		"zfs get -Hp -r -t filesystem -o name,property,value,source userquota@a,userquota@b po": GetQuotas("po", []string{"userquota@a", "userquota@b"})[0],
		"zfs create -o atime=off -o 'com.example:note=a b' -o quota=5 'tank/my files'":          CreateFilesystem("tank/my files", props),
		"zfs create -s -V 1024 -o compression=lz4 tank/v":                                       CreateVolume("tank/v", 1024, true, map[string]string{"compression": "lz4"}),
		"zfs create -V 1024 tank/v":                                                             CreateVolume("tank/v", 1024, false, nil),
		"zfs set atime=off 'com.example:note=a b' quota=5 tank/a":                               Set("tank/a", props),
		"zfs inherit atime tank/a":                                                              Inherit("tank/a", "atime", false),
		"zfs inherit -S atime tank/a":                                                           Inherit("tank/a", "atime", true),
		"zfs set com.example:quota=0 quota=none refquota=none refreservation=0 userobjquota@a=none userquota@a=none tank": Set("tank", map[string]string{
			"quota": "0", "refquota": "0", "refreservation": "0", "userquota@a": "0", "userobjquota@a": "0", "com.example:quota": "0"}),
		"zpool set dedup_table_quota=none tank": SetPool("tank", "dedup_table_quota", "0"),
		"zpool set autotrim=on tank":            SetPool("tank", "autotrim", "on"),
		"zpool create -o ashift=12 -O atime=off -O canmount=off tank mirror /a /b log /c": CreatePool("tank",
			map[string]string{"ashift": "12"}, map[string]string{"canmount": "off", "atime": "off"}, []string{"mirror", "/a", "/b", "log", "/c"}),
	} {
		if c.String() != want {
			t.Errorf("got  %s\nwant %s", c, want)
		}
		reads := map[string]bool{"version": true, "list": true, "get": true, "status": true, "-c": true}
		if (c.Effect == host.Reads) != reads[c.Argv[1]] {
			t.Errorf("%s is said to be one that %s", c, c.Effect)
		}
		checkPromise1(t, c)
	}
}

// checkPromise1: no writing command has -f, -r, -R or -F (PRODUCT.md section 4).
func checkPromise1(t *testing.T, c host.Command) {
	t.Helper()
	if c.Effect != host.Writes {
		return
	}
	for _, w := range c.Argv {
		if strings.HasPrefix(w, "-") && strings.ContainsAny(w, "frRFa") {
			t.Errorf("%s has %s", c, w)
		}
	}
}

func TestExpect(t *testing.T) {
	props := map[string]state.Property{"guid": {Value: "7", Source: "-"}, "compression": {Value: "lz4", Source: "inherited from tank"}}
	e := ExpectProps("tank/a", props)
	if e.Command.String() != "zfs get -Hp -o property,value,source compression,guid tank/a" || e.Code != 0 ||
		e.Output != "compression\tlz4\tinherited from tank\nguid\t7\t-\n" || e.Means != "tank/a has compression=lz4 (inherited from tank), guid=7 (-)" {
		t.Errorf("%+v", e)
	}
	if e := ExpectPoolProps("tank", props); e.Command.Argv[0] != "zpool" || e.Output == "" {
		t.Errorf("%+v", e)
	}
	for _, e := range []host.Expect{ExpectMissingDataset("tank/a"), ExpectMissingPool("tank"), e} {
		if e.Command.Effect != host.Reads || e.Means == "" {
			t.Errorf("%+v", e)
		}
	}
}
