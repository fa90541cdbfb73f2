package pool

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// played makes a pool by the lines of a person, and plans and applies what is declared until nothing is left.
func played(t *testing.T, f *zfsfake.Fake, want *spec.Pool, before ...string) (plan string, notices []string) {
	t.Helper()
	for _, line := range before {
		var err error
		if control, ok := strings.CutPrefix(line, "zfsfake "); ok {
			err = f.Control(control)
		} else {
			_, err = f.Do(line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := declared(want)
	diff := func() drivers.Result {
		return new(Driver).Diff(drivers.Input{Want: s, Have: look(t, f, s)})
	}
	r := diff()
	for _, a := range r.Actions {
		if a.Verb == drivers.Blocked {
			continue
		}
		if err := (&Driver{Runner: f}).Apply(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range diff().Actions {
		if a.Verb != drivers.Blocked {
			t.Errorf("left to do: %v", a.Steps)
		}
	}
	return strings.ReplaceAll(lines(r.Actions), "\n", " | "), r.Notices
}

func TestFeatures(t *testing.T) {
	const old = "zpool create -o compatibility=openzfs-2.0-linux tank /dev/a"
	const draid, expansion = "zpool set feature@draid=enabled tank", "zpool set feature@raidz_expansion=enabled tank"
	for name, c := range map[string]struct {
		set   string
		lines string // ; between
		plan  string
		says  string
	}{
		"all that is allowed":     {"openzfs-2.0-linux", old, "", ""},
		"a newer set":             {"openzfs-2.1-linux", old, "update safe drift: zpool set compatibility=openzfs-2.1-linux tank | update irreversible drift: " + draid, ""},
		"set by hand":             {"openzfs-2.1-linux", old + ";zpool set compatibility=openzfs-2.1-linux tank", "update irreversible drift: " + draid, ""},
		"several, each by name":   {"off", old, "update safe drift: zpool set compatibility=off tank | update irreversible drift: " + draid + "; " + expansion, ""},
		"one of two":              {"off", old + ";zpool set compatibility=off tank;" + draid, "update irreversible drift: " + expansion, ""},
		"what both sets name":     {"openzfs-2.1-linux,openzfs-2.0-linux", old, "update safe drift: zpool set compatibility=openzfs-2.1-linux,openzfs-2.0-linux tank", ""},
		"none":                    {"legacy", old, "update safe drift: zpool set compatibility=legacy tank", ""},
		"an older set":            {"openzfs-2.0-linux", "zpool create tank /dev/a", "update safe drift: zpool set compatibility=openzfs-2.0-linux tank", ""},
		"a set that is not here":  {"openzfs-9.9", old, "blocked drift: this machine has no feature set openzfs-9.9: ls /usr/share/zfs/compatibility.d shows those that it has", ""},
		"a set that is no name":   {"../../etc/passwd", old, "blocked drift: this machine has no feature set ../../etc/passwd: ls /usr/share/zfs/compatibility.d shows those that it has", ""},
		"nothing declared":        {"", old + ";zpool set compatibility=off tank", "", "it does not have all features of this release of ZFS: draid, raidz_expansion. None is enabled unasked"},
		"nothing declared, bound": {"", old, "", ""},
		"imported read-only": {"openzfs-2.1-linux", old + ";zpool set compatibility=openzfs-2.1-linux tank;zpool export tank;zpool import -d /dev -o readonly=on tank",
			"blocked drift: the pool is imported read-only: export it, and import it without readonly=on", ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan, notices := played(t, machine("/dev/a"), &spec.Pool{Name: "tank", Compatibility: c.set}, strings.Split(c.lines, ";")...)
			if plan != c.plan || c.says == "" && len(notices) > 0 || !strings.Contains(strings.Join(notices, "\n"), c.says) {
				t.Errorf("got  %s, %q\nwant %s", plan, notices, c.plan)
			}
		})
	}
}

// A pool that has what its set allows is asked nothing more.
func TestFeaturesCostNothing(t *testing.T) {
	want := &spec.Pool{Name: "tank", Compatibility: "openzfs-2.0-linux"}
	have := &state.Pool{Name: "tank", Properties: map[string]state.Property{"compatibility": {Value: "openzfs-2.0-linux", Source: "local"}, "feature@draid": {Value: "disabled", Source: "local"}}}
	if needsFeatureSets(want, have) {
		t.Error("asked of a pool that is well")
	}
	if have.Status = "One or more devices are missing."; !needsFeatureSets(want, have) {
		t.Error("not asked where the status may hide it")
	}
}

func TestGrow(t *testing.T) {
	const mirror = "zpool create tank mirror /dev/a /dev/b"
	for name, c := range map[string]struct {
		auto  string
		lines string
		plan  string
		says  string
	}{
		"nothing grew":            {"on", mirror + ";zpool set autoexpand=on tank", "", ""},
		"one half of a mirror":    {"on", mirror + ";zpool set autoexpand=on tank;zfsfake grow /dev/a 9G", "", ""},
		"both":                    {"on", mirror + ";zpool set autoexpand=on tank;zfsfake grow /dev/a 9G;zfsfake grow /dev/b 9G", "update irreversible drift: zpool online -e tank /dev/a /dev/b", ""},
		"one of two stripes":      {"on", "zpool create tank /dev/a /dev/b;zpool set autoexpand=on tank;zfsfake grow /dev/b 9G", "update irreversible drift: zpool online -e tank /dev/b", ""},
		"before it was declared":  {"on", mirror + ";zfsfake grow /dev/a 9G;zfsfake grow /dev/b 10G", "update safe drift: zpool set autoexpand=on tank | update irreversible drift: zpool online -e tank /dev/a /dev/b", ""},
		"it is not declared":      {"", mirror + ";zfsfake grow /dev/a 9G;zfsfake grow /dev/b 9G", "", "declare autoexpand: on under its properties, or by hand: zpool online -e tank /dev/a /dev/b"},
		"it is declared to be no": {"off", mirror + ";zfsfake grow /dev/a 9G;zfsfake grow /dev/b 9G", "", "/dev/a, /dev/b grew, and the pool does not use that yet"},
		"imported read-only": {"on", mirror + ";zpool set autoexpand=on tank;zfsfake grow /dev/a 9G;zfsfake grow /dev/b 9G;zpool export tank;zpool import -d /dev -o readonly=on tank",
			"blocked drift: the pool is imported read-only: export it, and import it without readonly=on", ""},
	} {
		t.Run(name, func(t *testing.T) {
			want := &spec.Pool{Name: "tank", Properties: map[string]spec.Property{}}
			if c.auto != "" {
				want.Properties["autoexpand"] = property(c.auto)
			}
			plan, notices := played(t, machine("/dev/a", "/dev/b"), want, strings.Split(c.lines, ";")...)
			if plan != c.plan || c.says == "" && len(notices) > 0 || !strings.Contains(strings.Join(notices, "\n"), c.says) {
				t.Errorf("got  %s, %q\nwant %s", plan, notices, c.plan)
			}
		})
	}
}
