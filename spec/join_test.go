package spec

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// TestPaths: keys are found again in a path, whatever is in them.
func TestPaths(t *testing.T) {
	for path, keys := range map[string][]string{
		"pools.tank": {"pools", "tank"},
		`datasets.tank/home.properties."com.a:owner"`: {"datasets", "tank/home", "properties", "com.a:owner"},
		`datasets."a b"`: {"datasets", "a b"},
		`x.""`:           {"x", ""},
		`x."a\"[0].b"`:   {"x", `a"[0].b`},
	} {
		got := ""
		for _, k := range keys {
			got = join(got, k)
		}
		if got != path || !reflect.DeepEqual(splitPath(path), keys) {
			t.Errorf("%q: %q, back %q", keys, got, splitPath(path))
		}
	}
	if got := splitPath("pools.tank.vdevs[1].mirror[0]"); !reflect.DeepEqual(got, []string{"pools", "tank", "vdevs", "[]", "mirror", "[]"}) {
		t.Errorf("%q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("ab./\"\\[] \t\né☃:@")), 0, 20, 60), 1, 4).Draw(t, "keys")
		path := ""
		for i, k := range keys {
			if i == 0 && k == "" {
				k, keys[0] = "x", "x"
			}
			path = join(path, k)
		}
		if got := splitPath(path); !reflect.DeepEqual(got, keys) {
			t.Fatalf("%q -> %q -> %q", keys, path, got)
		}
	})
}

func TestNearest(t *testing.T) {
	known := words("day compression checksum copies atime on off daily hourly")
	for word, want := range map[string]string{
		"compresion": "compression", "comrpession": "compression", "cmpresion": "compression", "checksums": "checksum", "copy": "",
		"atmie": "atime", "dya": "day", "onn": "on", "x": "", "": "", "dayly": "daily", "compression": "", "compr": "compression", "ON": "on", "zzzzzzzz": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}
