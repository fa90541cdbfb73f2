package pool

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
)

// What ZFS would refuse at a create, for the machine or a feature set lacks something, stands in the plan.
func TestNeeds(t *testing.T) {
	const (
		hostID = "/etc/hostid"
		noID   = "blocked: this machine has no host id, by which multihost would tell it from others: make one with zgenhostid..."
	)
	without := func(f *zfsfake.Fake) { delete(f.Model.Files, hostID) }
	zero := func(f *zfsfake.Fake) { f.Model.Files[hostID] = "\x00\x00\x00\x00" }
	parameter := func(f *zfsfake.Fake) {
		without(f)
		f.Model.Files["/sys/module/spl/parameters/spl_hostid"] = "5\n"
	}
	for name, c := range map[string]struct {
		machine string
		change  func(*zfsfake.Fake)
		yaml    string
		plan    string
	}{
		"multihost":                    {"", nil, "vdevs: [{stripe: [/d/a]}], properties: {multihost: on}", "irreversible: zpool create -o multihost=on tank /d/a"},
		"multihost, no host id":        {"", without, "vdevs: [{stripe: [/d/a]}], properties: {multihost: on}", noID},
		"multihost, a host id of 0":    {"", zero, "vdevs: [{stripe: [/d/a]}], properties: {multihost: on}", noID},
		"multihost, by the parameter":  {"", parameter, "vdevs: [{stripe: [/d/a]}], properties: {multihost: on}", "irreversible: zpool create -o multihost=on tank /d/a"},
		"no host id, off":              {"", without, "vdevs: [{stripe: [/d/a]}], properties: {multihost: off}", "irreversible: zpool create -o multihost=off tank /d/a"},
		"set multihost":                {"zpool create tank /d/a", nil, "vdevs: [{stripe: [/d/a]}], properties: {multihost: on}", "disruptive: zpool set multihost=on tank"},
		"set multihost, no host id":    {"zpool create tank /d/a", without, "vdevs: [{stripe: [/d/a]}], properties: {multihost: on}", noID},
		"it is on, the host id went":   {"zpool create -o multihost=on tank /d/a", without, "vdevs: [{stripe: [/d/a]}], properties: {multihost: on}", ""},
		"a set":                        {"", nil, "vdevs: [{stripe: [/d/a]}], compatibility: openzfs-2.0-linux", "irreversible: zpool create -o compatibility=openzfs-2.0-linux tank /d/a"},
		"no such set":                  {"", nil, "vdevs: [{stripe: [/d/a]}], compatibility: \"openzfs-2.0-linux,openzfs-9.9\"", "blocked: this machine has no feature set openzfs-9.9: ls /usr/share/zfs/compatibility.d shows..."},
		"a draid, the set has none":    {"", nil, "vdevs: [{draid1: {devices: [/d/a, /d/b, /d/c]}}], compatibility: openzfs-2.0-linux", "blocked: to have a draid a pool needs the feature draid, which compatibility openzfs-2.0-linux does not allow..."},
		"a draid, the set has it":      {"", nil, "vdevs: [{draid1: {devices: [/d/a, /d/b, /d/c]}}], compatibility: openzfs-2.1-linux", "irreversible: zpool create -o compatibility=openzfs-2.1-linux tank draid1:0s:3c /d/a /d/b /d/c"},
		"a special vdev, no features":  {"", nil, "vdevs: [{stripe: [/d/a]}], special: [{stripe: [/d/b]}], compatibility: legacy", "blocked: to have special or dedup vdevs a pool needs the feature allocation_classes, which compatibility legacy..."},
		"a special vdev, all features": {"", nil, "vdevs: [{stripe: [/d/a]}], special: [{stripe: [/d/b]}], compatibility: off", "irreversible: zpool create -o compatibility=off tank /d/a special /d/b"},
	} {
		t.Run(name, func(t *testing.T) {
			f := machine("/d/a", "/d/b", "/d/c")
			act(t, f, c.machine)
			if c.change != nil {
				c.change(f)
			}
			if got := told(look2(t, f, tankOf(t, c.yaml))); !matches(got, c.plan) {
				t.Errorf("got\n%s\nwant\n%s", got, c.plan)
			}
		})
	}
}

// Nothing is asked of the machine that nothing declared needs.
func TestNeedsNothing(t *testing.T) {
	f := machine("/d/a", "/d/b")
	act(t, f, "zpool create tank /d/a")
	for _, yaml := range []string{"vdevs: [{stripe: [/d/a]}]", "vdevs: [{stripe: [/d/b]}], compatibility: off"} {
		c := &host.Counter{Runner: f}
		look(t, c, tankOf(t, yaml))
		if c.Count["head"] > 0 {
			t.Errorf("%s: %v", yaml, c.Count)
		}
	}
}

// A pool that nobody wants any more is given up by naming its devices.
func TestGivingUp(t *testing.T) {
	f := machine("/d/a", "/d/b")
	act(t, f, "zpool create tank mirror /d/a /d/b", "zpool destroy tank")
	got := told(look2(t, f, tankOf(t, "vdevs: [{mirror: [/d/a, /d/b]}]")))
	if want := "; or, if nothing on it is needed: dplane apply --wipe /d/a --wipe /d/b"; !strings.HasSuffix(got, want) {
		t.Errorf("got %s", got)
	}
}
