package pool

import (
	"context"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// What zpool refuses for the sizes of devices stands in the plan; what it takes is planned, and done.
func TestSizes(t *testing.T) {
	const (
		mirror = "zpool create tank mirror /d/a /d/b"
		small  = "/d/c is too small: it has 4G, and a device of mirror-0 holds 8176M beside what ZFS keeps for itself: take a larger one"
	)
	for name, c := range map[string]struct{ machine, yaml, plan string }{
		"attach":                 {mirror + ";:disk /d/c 4G", "vdevs: [{mirror: [/d/a, /d/b, /d/c]}]", "blocked: " + small},
		"attach a little less":   {mirror + ";:disk /d/c 8187M", "vdevs: [{mirror: [/d/a, /d/b, /d/c]}]", "blocked: /d/c is too small: it has 8187M..."},
		"attach a larger one":    {mirror + ";:disk /d/c 9G", "vdevs: [{mirror: [/d/a, /d/b, /d/c]}]", "disruptive: zpool attach tank /d/a /d/c"},
		"attach to a log":        {mirror + " log /d/e;:disk /d/c 4G", "vdevs: [{mirror: [/d/a, /d/b]}], log: [{mirror: [/d/e, /d/c]}]", "blocked: /d/c is too small..."},
		"replace":                {mirror + ";:disk /d/c 4G", "vdevs: [{mirror: [/d/a, /d/c]}]", "blocked: " + small},
		"renew":                  {mirror + ";:gone /d/b;:disk /d/b 4G", "vdevs: [{mirror: [/d/a, /d/b]}]", "blocked: /d/b is too small..."},
		"replace in a raidz":     {"zpool create tank raidz1 /d/a /d/b /d/e;:disk /d/c 4G", "vdevs: [{raidz1: [/d/a, /d/b, /d/c]}]", "blocked: /d/c is too small: it has 4G, and a device of raidz1-0 holds 8176M..."},
		"expand a raidz":         {"zpool create tank raidz1 /d/a /d/b /d/e;:disk /d/c 4G", "vdevs: [{raidz1: [/d/a, /d/b, /d/e, /d/c]}]", "blocked: /d/c is too small..."},
		"a file":                 {":file /f/a 256M;:file /f/b 240M;zpool create tank /f/a", "vdevs: [{mirror: [/f/a, /f/b]}]", "blocked: /f/b is too small: it has 240M, and a device of /f/a holds 240M..."},
		"a file that will do":    {":file /f/a 256M;:file /f/b 256M;zpool create tank /f/a", "vdevs: [{mirror: [/f/a, /f/b]}]", "disruptive: zpool attach tank /f/a /f/b"},
		"a tiny spare":           {mirror + ";:disk /d/c 70M", "vdevs: [{mirror: [/d/a, /d/b]}], spare: [/d/c]", "blocked: /d/c has 70M: a vdev has 64 MiB at least"},
		"a pool of a tiny file":  {":file /f/a 63M", "vdevs: [{stripe: [/f/a]}]", "blocked: /f/a has 63M: a vdev has 64 MiB at least"},
		"a pool of a small file": {":file /f/a 64M", "vdevs: [{stripe: [/f/a]}]", "irreversible: zpool create tank /f/a"},
		"a pool of unequal ones": {":disk /d/c 7G", "vdevs: [{mirror: [/d/a, /d/c]}]", "blocked: /d/a has 8G and /d/c has 7G, and zpool refuses a mirror of devices that differ by more than 16 MiB..."},
		"nearly equal ones":      {":disk /d/c 8200M", "vdevs: [{mirror: [/d/a, /d/c]}]", "irreversible: zpool create tank mirror /d/a /d/c"},
		"unequal stripes":        {":disk /d/c 7G", "vdevs: [{stripe: [/d/a, /d/c]}]", "irreversible: zpool create tank /d/a /d/c"},
		"an unequal log":         {":disk /d/c 7G", "vdevs: [{stripe: [/d/a]}], log: [{mirror: [/d/b, /d/c]}]", "irreversible: zpool create tank /d/a log mirror /d/b /d/c"},
		"a file and a disk":      {":file /f/a 8G", "vdevs: [{mirror: [/d/a, /f/a]}]", "blocked: /d/a and /f/a are a file and a disk, and zpool refuses to mix them in a mirror..."},
		"add unequal ones":       {mirror + ";:disk /d/c 7G", "vdevs: [{mirror: [/d/a, /d/b]}, {mirror: [/d/e, /d/c]}]", "blocked: /d/e has 8G and /d/c has 7G..."},
		"a pool of mixed vdevs":  {"", "vdevs: [{mirror: [/d/a, /d/b]}, {stripe: [/d/e]}]", "blocked: its vdevs differ in redundancy (a mirror of 2, and a single device), and zpool refuses to mix them..."},
		"sectors of 4096":        {"zpool create -o ashift=9 tank mirror /d/a /d/b;:disk4k /d/c 9G", "vdevs: [{mirror: [/d/a, /d/b, /d/c]}]", "blocked: /d/c has sectors of 4096 bytes, and mirror-0 was made for 512 (ashift 9)..."},
		"sectors that fit":       {"zpool create -o ashift=12 tank mirror /d/a /d/b;:disk4k /d/c 9G", "vdevs: [{mirror: [/d/a, /d/b, /d/c]}]", "disruptive: zpool attach tank /d/a /d/c"},
	} {
		t.Run(name, func(t *testing.T) {
			f := machine("/d/a", "/d/b", "/d/e")
			act(t, f, strings.Split(strings.ReplaceAll(c.machine, ":disk4k", ":disk"), ";")...)
			if strings.Contains(c.machine, ":disk4k /d/c") {
				f.Model.Devices["/d/c"].Sector = 4096
			}
			want := tankOf(t, c.yaml)
			r := look2(t, f, want)
			if got := told(r); !matches(got, c.plan) {
				t.Fatalf("got\n%s\nwant\n%s", got, c.plan)
			}
			for _, a := range r.Actions {
				if a.Verb != drivers.Blocked {
					if err := (&Driver{Runner: f}).Apply(context.Background(), a); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// A vdev leaves only where the others have the room, and the same sectors.
func TestRemovalRoom(t *testing.T) {
	for name, c := range map[string]struct {
		available uint64
		quota     string
		ashift    int // of the other vdev
		plan      string
	}{
		"room":               {8 << 30, "0", 12, "irreversible: zpool remove tank /d/b"},
		"no room":            {8 << 29, "0", 12, "blocked: the pool has 4G available, and ZFS removes no vdev of more (8176M): free space (zfs list -o space), or add another vdev first"},
		"a quota hides it":   {8 << 29, "1048576", 12, "irreversible: zpool remove tank /d/b"},
		"other sectors":      {8 << 30, "0", 9, "blocked: /d/b has ashift 12 and /d/a has 9: ZFS removes a vdev only where all have one sector size..."},
		"sectors not known":  {8 << 30, "0", 0, "irreversible: zpool remove tank /d/b"},
		"neither, and a log": {8 << 29, "0", 9, "blocked: the pool has 4G available, and ZFS removes no vdev of more (8176M): free space (zfs list -o space), or add another vdev first / /d/b has ashift 12..."},
	} {
		t.Run(name, func(t *testing.T) {
			f := machine("/d/a", "/d/b", "/d/l")
			act(t, f, "zpool create -o ashift=12 tank /d/a /d/b log /d/l")
			want := tankOf(t, "vdevs: [{stripe: [/d/a]}], log: [{stripe: [/d/l]}], remove: [/d/b]")
			obs := look(t, f, want)
			obs.Datasets["tank"] = &state.Dataset{Name: "tank", Available: c.available, Properties: map[string]state.Property{"quota": {Value: c.quota}}}
			obs.Pools["tank"].Vdevs[0].Ashift = c.ashift
			if got := told((&Driver{}).Diff(drivers.Input{Want: want, Have: obs})); !matches(got, c.plan) {
				t.Errorf("got\n%s\nwant\n%s", got, c.plan)
			}
		})
	}
}

// The least that a device of a vdev holds does not count the distributed spares of a draid.
func TestLeastOfADevice(t *testing.T) {
	for name, want := range map[string]uint64{"mirror-0": 12, "raidz1-0": 3, "draid1:2d:4c:1s-0": 4, "": 12} {
		v := state.Vdev{Name: name, Space: 12}
		if name != "" {
			v.Children = make([]state.Vdev, 4)
		}
		g := &top{Vdev: v, slots: make([]*slot, 4)}
		if got := g.least(); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}
