//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// TestHarness proves the tools of the other tests: a box makes and removes real pools, and foreignState sees
// every kind of change and none where there was none.
func TestHarness(t *testing.T) {
	other := newBox(t)
	kept := other.pool("kept")
	must(t, "zpool", "create", "-m", other.path("mnt"), kept, other.disk("k"))
	must(t, "zfs", "create", kept+"/a")
	must(t, "zfs", "snapshot", kept+"/a@one")
	must(t, "zfs", "hold", "keep", kept+"/a@one")
	before := foreignState(t, kept)

	var name string
	t.Run("box", func(t *testing.T) {
		b := newBox(t)
		name = b.pool("tank")
		must(t, "zpool", "create", "-O", "compression=off", "-m", b.path("mnt"), name, "mirror", b.disk("a"), b.disk("b"))
		if v, s := zfsGet(t, "compression", name), zfsSource(t, "compression", name); v != "off" || s != "local" {
			t.Errorf("compression is %q from %q", v, s)
		}
		if r := run(t, "zfs", "get", "-Hpo", "value", "guid", name+"/absent"); r.Code != 1 || !strings.Contains(r.Stderr, "does not exist") {
			t.Errorf("reading an absent dataset gives %+v", r)
		}
	})
	if run(t, "zpool", "list", name).Code == 0 {
		t.Errorf("%s outlived its box", name)
	}
	if after := foreignState(t, kept); after != before {
		t.Errorf("reading changed the state of a pool:\n%s\nwas\n%s", after, before)
	}
	must(t, "zfs", "release", "keep", kept+"/a@one")
	changes := [][]string{
		{"zfs", "set", "atime=off", kept + "/a"},
		{"zfs", "inherit", "atime", kept + "/a"},
		{"zfs", "snapshot", kept + "@two"},
		{"zfs", "bookmark", kept + "/a@one", kept + "/a#one"},
		{"zfs", "unmount", kept + "/a"},
		{"zfs", "mount", kept + "/a"},
		{"zpool", "set", "comment=x", kept},
	}
	last, own := foreignState(t, kept), datasetState(t, kept)
	for _, c := range changes {
		must(t, c...)
		nowAll, nowOwn := foreignState(t, kept), datasetState(t, kept)
		if nowAll == last {
			t.Errorf("%s is not seen", strings.Join(c, " "))
		}
		if c[0] == "zfs" && nowOwn == own {
			t.Errorf("%s is not seen on the datasets alone", strings.Join(c, " "))
		}
		last, own = nowAll, nowOwn
	}
}

// TestBinary: the binary starts here, accepts a box's configuration, and finds nothing to do in it.
func TestBinary(t *testing.T) {
	b := newBox(t)
	for _, args := range [][]string{{"version"}, {"validate"}, {"plan", "--detailed-exitcode"}} {
		if r := b.dplane(args...); r.Code != 0 {
			t.Errorf("dplane %s: exit status %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
		}
	}
}
