package zfs

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/state"
)

func FuzzParseDatasets(f *testing.F) {
	f.Add(string(recursive(f, "2.3.9")))
	f.Add(string(golden(f, "2.3.9", "zfs_get_hostile.txt")))
	f.Add("tank\ttype\tvolume\t-\ntank\tguid\t1\t-\ntank\tcreatetxg\t1\t-\ntank\ta:b\t\n\t\tlocal\n")
	f.Fuzz(func(t *testing.T, out string) {
		for _, pool := range []string{"tank", "po ol"} {
			ds, err := ParseDatasets(pool, []byte(out))
			if err != nil {
				continue
			}
			seen := map[string]bool{}
			for _, d := range ds {
				if seen[d.Name] || d.Name != pool && !strings.HasPrefix(d.Name, pool+"/") || d.GUID == "" {
					t.Errorf("dataset %+v", d)
				}
				seen[d.Name] = true
			}
		}
	})
}

// FuzzUserProperty: whatever a value holds, it comes back whole, and the dataset after it is not touched.
func FuzzUserProperty(f *testing.F) {
	f.Add("plain")
	f.Add("x\tlocal\ntank/b\ttype\tvolume\t-")
	f.Add("x\tlocal\ntank/a\tguid\t9\t-\ntank\tatime\toff\tlocal")
	f.Fuzz(func(t *testing.T, value string) {
		if strings.Contains(value, "tank/b\ttype\t") || strings.Contains(value, "tank/a\t") && strings.Contains(value, ":") {
			t.Skip("a whole dataset ahead of time, or a user property of the same dataset: who may set this may set that")
		}
		head := func(name string) string {
			return name + "\ttype\tfilesystem\t-\n" + name + "\tguid\t5\t-\n" + name + "\tcreatetxg\t7\t-\n" + name + "\tatime\ton\tdefault\n"
		}
		out := head("tank") + head("tank/a") + "tank/a\tcom.example:v\t" + value + "\tlocal\n" + head("tank/b")
		ds, err := ParseDatasets("tank", []byte(out))
		if err != nil {
			return // a forged dataset without guid: refused, not believed
		}
		if got := ds[1].Properties["com.example:v"].Value; len(ds) == 3 && got != value {
			t.Errorf("%q came back as %q", value, got)
		}
		if last := ds[len(ds)-1]; last.Name != "tank/b" || last.GUID != "5" || last.Properties["atime"].Value != "on" {
			t.Errorf("%q changed %+v", value, last)
		}
	})
}

func FuzzParsePoolStatus(f *testing.F) {
	for _, name := range []string{"status_scrub", "status_draid", "status_missing_vdev", "status_classes"} {
		f.Add(string(golden(f, "2.3.9", name+".txt")))
	}
	f.Fuzz(func(t *testing.T, out string) {
		p := state.Pool{Name: "tank"}
		if err := ParsePoolStatus([]byte(out), &p); err == nil {
			for _, v := range p.Vdevs {
				if v.Name == "" || v.State == "" {
					t.Errorf("vdev %+v", v)
				}
			}
		}
	})
}

func FuzzParsePoolStatusJSON(f *testing.F) {
	for _, name := range []string{"status_scrub", "status_expand", "status_missing_vdev", "status_removed"} {
		f.Add(string(golden(f, "2.3.9", name+".json")))
	}
	f.Fuzz(func(t *testing.T, out string) {
		p := state.Pool{Name: poolIn(out)}
		if err := ParsePoolStatusJSON([]byte(out), at2026("08:00:00"), &p); err == nil && p.Health == "" {
			t.Errorf("%+v", p)
		}
	})
}

func FuzzWork(f *testing.F) {
	f.Add("scrub in progress since Tue Nov 24 07:37:25 2026 0B / 42.5M scanned, 0B / 42.5M issued 0B repaired, 0.00% done, 00:00:01 to go")
	f.Add("Evacuation of /pool/b.img in progress since Tue Nov 24 08:23:51 2026 2M copied out of 8M at 1M/s, 25.00% done, 1h2m to go")
	f.Add("expanded raidz1-0 copied 984K in 00:00:01, on Tue Nov 24 08:23:51 2026")
	f.Fuzz(func(t *testing.T, text string) {
		for _, w := range []*state.Work{parseScan(text), parseRemoval(text), parseExpansion(text)} {
			if w != nil && (w.Kind == "" || w.State == "" || w.Left < 0) {
				t.Errorf("%q: %+v", text, w)
			}
		}
	})
}

func FuzzParsePoolGUIDs(f *testing.F) {
	f.Add(string(golden(f, "2.3.9", "status_draid.txt")))
	f.Fuzz(func(t *testing.T, out string) {
		p := state.Pool{Name: "dr"}
		if ParsePoolStatus([]byte(out), &p) == nil && ParsePoolGUIDs([]byte(out), &p) != nil {
			t.Errorf("one reads it and the other does not: %q", out)
		}
	})
}

func FuzzParsePools(f *testing.F) {
	f.Add("tank\t1\t2\t3\t4\t5\t6\tONLINE\n")
	f.Fuzz(func(t *testing.T, out string) {
		pools, err := ParsePools([]byte(out))
		for _, p := range pools {
			if err == nil && (p.Name == "" || p.Capacity < 0 || p.Capacity > 100) {
				t.Errorf("%+v", p)
			}
		}
	})
}

func FuzzParseSmall(f *testing.F) {
	f.Add(string(golden(f, "2.3.9", "zpool_get_-Hp_all_tank.txt")))
	f.Add("zfs-2\nzfs-kmod-2\n")
	f.Fuzz(func(t *testing.T, out string) {
		if props, err := ParsePoolProperties("tank", []byte(out)); err == nil && props["guid"].Source == "" {
			t.Errorf("%+v", props)
		}
		if z, err := ParseVersion([]byte(out)); err == nil && z.Userland == "" {
			t.Errorf("%+v", z)
		}
		if _, err := ParseQuotas("tank", []byte(out)); err != nil && err.Error() == "" {
			t.Error("an error that says nothing")
		}
	})
}
