package zfs

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
)

func TestPoolNamed(t *testing.T) {
	for line, want := range map[string]string{
		"zfs version":                           "",
		"zpool list -Hp -o name,guid,size":      "",
		"zpool list -H -o name tank":            "tank",
		"zpool status -p -P tank":               "tank",
		"zpool get -Hp -o name,value all tank":  "tank",
		"zpool get -Hpo value all tank":         "tank",
		"zpool set comment=x tank":              "tank",
		"zpool create -o ashift=12 -O a=b tank": "tank",
		"zpool create tank mirror /dev/a":       "tank",
		"zpool add -o ashift=12 tank log /d/a":  "tank",
		"zpool attach tank /dev/a /dev/b":       "tank",
		"zpool replace tank 123 /dev/b":         "tank",
		"zpool scrub tank":                      "tank",
		"zpool scrub -p tank":                   "tank",
		"zpool trim -r 10M tank":                "tank",
		"zpool import -d /dev":                  "",
		"zpool import -d /dev -o a=b tank":      "tank",
		"zpool import -N -d /dev 1234":          "1234",
		"zpool labelclear -f /dev/a":            "",
		"zpool checkpoint -d tank":              "tank",
		"zfs get -Hp -r -o name,value all tank": "tank",
		"zfs get -Hp -o value guid tank/a/b":    "tank",
		"zfs set a=b tank/a":                    "tank",
		"zfs create -V 64M tank/vol":            "tank",
		"zfs rename -u tank/a tank/b":           "tank",
		"zfs destroy tank/a@s1,s2":              "tank",
		"zfs inherit -S a tank/a":               "tank",
		"zfs mount tank/a":                      "tank",
		"zfs list":                              "",
		"blkid -p /dev/a":                       "",
	} {
		if got := PoolNamed(host.Read(strings.Fields(line)...)); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
