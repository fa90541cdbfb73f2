package zfs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/state"
)

var releases = []string{"2.1.11", "2.3.9", "2.4.4"}

func golden(t testing.TB, release, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", release, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recursive is the captured `zfs get -r -t all` without its snapshots and bookmarks.
func recursive(t testing.TB, release string) []byte {
	var out []byte
	for line := range bytes.Lines(golden(t, release, "zfs_get_Hp_all_recursive.txt")) {
		if name, _, _ := bytes.Cut(line, []byte("\t")); !bytes.ContainsAny(name, "@#") {
			out = append(out, line...)
		}
	}
	return out
}

func TestParseVersion(t *testing.T) {
	want := map[string]state.ZFS{
		"2.1.11": {Userland: "2.1.11-1+deb12u1", Kernel: "2.1.11-1+deb12u1"},
		"2.3.9":  {Userland: "2.3.9-0+deb13u1", Kernel: "2.3.9-0+deb13u1"},
		"2.4.4":  {Userland: "2.4.4-1~bpo13+1", Kernel: "2.4.4-1~bpo13+1"},
	}
	for _, r := range releases {
		got, err := ParseVersion(golden(t, r, "zfs_version.txt"))
		if err != nil || got != want[r] {
			t.Errorf("%s: %+v, %v", r, got, err)
		}
	}
	if got, err := ParseVersion([]byte("zfs-2.1.11-1\n")); err != nil || got.Userland != "2.1.11-1" || got.Kernel != "" {
		t.Errorf("userland alone: %+v, %v", got, err)
	}
	if _, err := ParseVersion(nil); err == nil {
		t.Error("no output at all is not a version")
	}
}

func TestParsePools(t *testing.T) {
	out := "po ol\t8826516777495372505\t251658240\t405504\t251252736\t4\t12%\tONLINE\n" +
		"gone\t11671978868016318394\t-\t-\t-\t-\t-\tUNAVAIL\n"
	pools, err := ParsePools([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	want := []state.Pool{
		{Name: "po ol", GUID: "8826516777495372505", Health: "ONLINE", Size: 251658240, Allocated: 405504, Free: 251252736, Fragmentation: 4, Capacity: 12},
		{Name: "gone", GUID: "11671978868016318394", Health: "UNAVAIL", Fragmentation: -1},
	}
	if len(pools) != 2 || fmt.Sprint(*pools[0]) != fmt.Sprint(want[0]) || fmt.Sprint(*pools[1]) != fmt.Sprint(want[1]) {
		t.Errorf("got %+v %+v", pools[0], pools[1])
	}
	if pools, err := ParsePools(nil); err != nil || len(pools) != 0 {
		t.Errorf("no pools: %v, %v", pools, err)
	}
	for _, bad := range []string{"tank\n", "\t\t\t\t\t\t\t\n", "usage: zpool list\n"} {
		if _, err := ParsePools([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a list of pools", bad)
		}
	}
}

func TestParsePoolProperties(t *testing.T) {
	for _, r := range releases {
		props, err := ParsePoolProperties("tank", golden(t, r, "zpool_get_-Hp_all_tank.txt"))
		if err != nil {
			t.Fatalf("%s: %v", r, err)
		}
		for name, want := range map[string]state.Property{
			"ashift": {Value: "12", Source: "local"}, "autotrim": {Value: "off", Source: "default"},
			"health": {Value: "ONLINE", Source: "-"}, "feature@lz4_compress": {Value: "active", Source: "local"},
		} {
			if props[name] != want {
				t.Errorf("%s: %s is %+v, want %+v", r, name, props[name], want)
			}
		}
	}
	forged := "t\tguid\t1\t-\nt\tcom.example:x\ta\tlocal\nt\tguid\t2\t-\nt\tcomment\t\tlocal\n"
	props, err := ParsePoolProperties("t", []byte(forged))
	if err != nil || props["guid"].Value != "1" || props["comment"].Source != "local" {
		t.Errorf("forged guid: %+v, %v", props, err)
	}
	if _, err := ParsePoolProperties("t", nil); err == nil {
		t.Error("no output at all is not a pool")
	}
}

func TestParseDatasetsOfEveryRelease(t *testing.T) {
	for _, r := range releases {
		ds, err := ParseDatasets("tank", recursive(t, r))
		if err != nil {
			t.Fatalf("%s: %v", r, err)
		}
		by := map[string]*state.Dataset{}
		var names []string
		for _, d := range ds {
			by[d.Name] = d
			names = append(names, d.Name)
		}
		slices.Sort(names)
		want := "tank tank/clone tank/data tank/data/db tank/data/noauto tank/enc tank/enc/child tank/vol"
		if got := strings.Join(names, " "); got != want {
			t.Fatalf("%s: %s", r, got)
		}
		checkGoldenDatasets(t, r, by)
	}
}

func checkGoldenDatasets(t *testing.T, r string, by map[string]*state.Dataset) {
	t.Helper()
	for _, c := range []struct{ dataset, property, value, source string }{
		{"tank/data", "compression", "lz4", "local"},
		{"tank/data/db", "compression", "lz4", "inherited from tank/data"},
		{"tank/data/db", "user:note", "a value\twith a tab, ünï and \"quotes\"", "local"},
		{"tank/data/db", "dplane:owner", "team a", "inherited from tank/data"},
		{"tank/data/db", "quota", "104857600", "local"},
		{"tank/vol", "volsize", "33554432", "local"},
	} {
		got := by[c.dataset].Properties[c.property]
		if got != (state.Property{Value: c.value, Source: c.source}) {
			t.Errorf("%s: %s of %s is %+v", r, c.property, c.dataset, got)
		}
	}
	if _, kept := by["tank"].Properties["used"]; kept {
		t.Errorf("%s: used is no property to keep", r)
	}
	d := by["tank/data"]
	if d.Type != "filesystem" || !d.Mounted || d.Used == 0 || d.Available == 0 || d.Referenced == 0 || d.TXG < 2 || len(d.GUID) < 5 {
		t.Errorf("%s: tank/data is %+v", r, d)
	}
	if by["tank/vol"].Type != "volume" || by["tank/clone"].Origin != "tank/data/db@s1" {
		t.Errorf("%s: vol %+v, clone %+v", r, by["tank/vol"], by["tank/clone"])
	}
	if e := by["tank/enc/child"]; e.EncryptionRoot != "tank/enc" || e.KeyStatus != "available" || d.KeyStatus != "" {
		t.Errorf("%s: encryption root %q, key %q, plain %q", r, e.EncryptionRoot, e.KeyStatus, d.KeyStatus)
	}
}

func TestParseDatasetsHostileValues(t *testing.T) {
	ds, err := ParseDatasets("po ol", golden(t, "2.3.9", "zfs_get_hostile.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(ds) != 2 || ds[1].Name != "po ol/with space" {
		t.Fatalf("%d datasets", len(ds))
	}
	for name, want := range map[string]string{
		"com.example:nl": "line1\nline2", "com.example:tab": "a\ttab", "dplane:e": "",
		"com.example:forge": "x\tlocal\npo ol\tcompression\tzstd",
	} {
		if got := ds[1].Properties[name]; got.Value != want || got.Source != "local" {
			t.Errorf("%s is %q", name, got)
		}
	}
	if got := ds[0].Properties["compression"]; got.Source != "default" {
		t.Errorf("the forged record was believed: %+v", got)
	}
}

func TestParseDatasetsForgeries(t *testing.T) {
	head := func(name string) string {
		return name + "\ttype\tfilesystem\t-\n" + name + "\tguid\t7\t-\n" + name + "\tcreatetxg\t5\t-\n" + name + "\tatime\ton\tdefault\n"
	}
	out := head("t") + head("t/a") + "t/a\tx:1\tv\tlocal\nt/a\tguid\t8\t-\nt/a\tatime\toff\tlocal\nt\tatime\toff\tlocal\nt/b\tatime\toff\tlocal\nt/a\tx:1\tw\tlocal\n" + head("t/b")
	ds, err := ParseDatasets("t", []byte(out))
	if err != nil || len(ds) != 3 {
		t.Fatalf("%d, %v", len(ds), err)
	}
	for _, d := range ds {
		if d.GUID != "7" || d.Properties["atime"].Value != "on" {
			t.Errorf("forged: %+v", d)
		}
	}
	if v := ds[1].Properties["x:1"].Value; !strings.Contains(v, "\nt/b\tatime\toff") {
		t.Errorf("value %q", v)
	}
}

func TestParseDatasetsRefuses(t *testing.T) {
	for name, out := range map[string]string{
		"another pool": "tan\ttype\tfilesystem\t-\n",
		"longer name":  "tankers\ttype\tfilesystem\t-\n",
		"no guid":      "tank\ttype\tfilesystem\t-\n",
		"cut off":      "tank\ttype\tfilesystem\t-\ntank\tguid\t5\t-\ntank\tcreatetxg\t1\t-\ntank\tx:y\tval",
		"no source":    "tank\ttype\tfilesystem\n",
		"a snapshot":   "tank\ttype\tsnapshot\t-\ntank\tguid\t5\t-\ntank\tcreatetxg\t1\t-\n",
	} {
		if ds, err := ParseDatasets("tank", []byte(out)); err == nil && name != "cut off" {
			t.Errorf("%s: taken for %+v", name, ds)
		}
	}
}

func TestParseQuotas(t *testing.T) {
	q, err := ParseQuotas("po ol", golden(t, "2.3.9", "zfs_get_quotas.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if q["po ol"]["userquota@root"].Value != "1073741824" || q["po ol/with space"]["userquota@root"] != (state.Property{Value: "0", Source: "local"}) ||
		q["po ol"]["groupquota@nosuch"].Source != "-" {
		t.Errorf("%+v", q)
	}
}

func TestParseManyDatasets(t *testing.T) {
	ds, err := ParseDatasets("tank", manyDatasets(t, 10000))
	if err != nil || len(ds) != 10000 {
		t.Errorf("%d datasets, %v", len(ds), err)
	}
}

// BenchmarkParseDatasets: ten times the datasets should cost ten times as much.
func BenchmarkParseDatasets(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		out := manyDatasets(b, n)
		b.Run(fmt.Sprintf("datasets=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := ParseDatasets("tank", out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// manyDatasets repeats a captured dataset under n names.
func manyDatasets(t testing.TB, n int) []byte {
	var one [][]byte
	for line := range bytes.Lines(recursive(t, "2.3.9")) {
		if rest, ok := bytes.CutPrefix(line, []byte("tank/data\t")); ok {
			one = append(one, rest)
		}
	}
	var out bytes.Buffer
	for i := range n {
		for _, rest := range one {
			fmt.Fprintf(&out, "tank/data%05d\t%s", i, rest)
		}
	}
	return out.Bytes()
}
