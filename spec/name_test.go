package spec

import (
	"strings"
	"testing"
)

// TestNames follows module/zcommon/zfs_namecheck.c and zpool_name_valid.
func TestNames(t *testing.T) {
	pool := func(s string) error { _, err := ParsePoolName(s); return err }
	dataset := func(s string) error { _, err := ParseDatasetName(s); return err }
	snapshot := func(s string) error { _, err := ParseSnapshotName(s); return err }
	long := func(n int) string { return "t" + strings.Repeat("a", n-1) }
	for _, c := range []struct {
		what  string
		parse func(string) error
		good  []string
		bad   []string
	}{
		{"pool", pool,
			[]string{"tank", "t", "T-1_2.3:4", "c0", "c9t0", "my pool", "logs", "Mirror", "cache", long(239)},
			[]string{"", "1tank", "-tank", ".tank", " tank", "_t", "mirror", "mirror1", "raidz", "raidz2x", "draid1", "spare", "spares", "log",
				"a/b", "a@b", "a#b", "a%b", "ä", "a\tb", "a\nb", "a\x00", "a+b", long(240)}},
		{"dataset", dataset,
			[]string{"tank", "tank/a", "tank/A b/c.d:e-f_g", "tank/1", "tank/...", "tank/-a", "tank/mirror", "tank/" + long(250),
				strings.Repeat("a/", 49) + "a"},
			[]string{"", "/tank", "tank/", "tank//a", "tank/.", "tank/..", "tank/a@b", "tank/a#b", "tank/a%b", "tank/é", "mirror/a", "log/a",
				"tank/" + long(251), strings.Repeat("a/", 50) + "a"}},
		{"snapshot", snapshot,
			[]string{"tank@a", "tank/a@2024-01-01 00:00", "tank/a@" + long(248)},
			[]string{"", "tank", "@a", "tank@", "tank@a@b", "tank@a/b", "tank@.", "tank@..", "tank/@a", "tank@a#b", "tank/a@" + long(249)}},
	} {
		for _, s := range c.good {
			if err := c.parse(s); err != nil {
				t.Errorf("%s %q: %v", c.what, s, err)
			}
		}
		for _, s := range c.bad {
			if c.parse(s) == nil {
				t.Errorf("%s %q is taken", c.what, s)
			}
		}
	}
}

func TestDatasetNameParts(t *testing.T) {
	d := DatasetName("tank/a/b")
	if d.Pool() != "tank" || d.Parent() != "tank/a" || d.Base() != "b" || d.IsRoot() || !DatasetName("tank").IsRoot() || DatasetName("tank").Parent() != "" {
		t.Error("the parts of tank/a/b")
	}
	for other, want := range map[DatasetName]bool{"tank": true, "tank/a": true, "tank/a/b": true, "tank/a/b/c": false, "tank/a/": false, "tan": false, "tank/ab": false} {
		if d.Under(other) != want {
			t.Errorf("%s under %s: %v", d, other, !want)
		}
	}
}
