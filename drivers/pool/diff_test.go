package pool

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// devices of one path each: "/a /b".
func devices(s string) []spec.Device {
	var out []spec.Device
	for _, p := range strings.Fields(s) {
		out = append(out, spec.Device{Path: p})
	}
	return out
}

func vdev(typ spec.VdevType, s string) spec.Vdev { return spec.Vdev{Type: typ, Devices: devices(s)} }

func property(v string) spec.Property {
	return spec.Property{Value: v, Text: v, Pos: spec.Pos{File: "p.yaml", Line: 7}}
}

// tank is a declared mirror whose devices are blank.
func tank() (*spec.Spec, *state.Observed) {
	want := &spec.Spec{
		Pools:    map[spec.PoolName]*spec.Pool{"tank": {Name: "tank", Pos: spec.Pos{File: "p.yaml", Line: 2}, Vdevs: []spec.Vdev{vdev("mirror", "/d/a /d/b")}}},
		Datasets: map[spec.DatasetName]*spec.Dataset{},
	}
	have := state.NewObserved(time.Unix(0, 0), "test")
	for _, d := range []string{"/d/a", "/d/b"} {
		have.Devices[d] = &state.Device{Path: d, Exists: true}
	}
	return want, have
}

func plan(want *spec.Spec, have *state.Observed) (actions []drivers.Action, text string) {
	actions = new(Driver).Diff(drivers.Input{Want: want, Have: have}).Actions
	return actions, lines(actions)
}

// lines are actions in short.
func lines(actions []drivers.Action) string {
	var lines []string
	for _, a := range actions {
		line := fmt.Sprintf("%s %s %s:", a.Verb, a.Risk, a.Reason.Code)
		if a.Verb == drivers.Blocked {
			line = fmt.Sprintf("blocked %s: %s", a.Reason.Code, strings.Join(a.Notes, " / "))
		}
		for _, s := range a.Steps {
			line += " " + s.String() + ";"
		}
		lines = append(lines, strings.TrimSuffix(line, ";"))
	}
	return strings.Join(lines, "\n")
}

func TestDiffMissing(t *testing.T) {
	type world func(*spec.Spec, *state.Observed)
	removable := func(s *spec.Spec, _ *state.Observed) { s.Pools["tank"].Removable = true }
	for name, c := range map[string]struct {
		change []world
		plan   string
	}{
		"create": {nil, "create irreversible missing: zpool create tank mirror /d/a /d/b"},
		"create with properties": {[]world{func(s *spec.Spec, _ *state.Observed) {
			s.Pools["tank"].Properties = map[string]spec.Property{"ashift": property("12"), "autotrim": property("on")}
			s.Pools["tank"].Compatibility = "openzfs-2.1-linux"
			s.Datasets["tank"] = &spec.Dataset{Name: "tank", Properties: map[string]spec.Property{"atime": property("off"), "userquota@anna": property("5")}}
		}}, "create irreversible missing: zpool create -o ashift=12 -o autotrim=on -o compatibility=openzfs-2.1-linux " +
			"-O atime=off -O dplane:applied=atime tank mirror /d/a /d/b; zfs set dplane:applied=atime,userquota@anna userquota@anna=5 tank"},
		"the root is a replica": {[]world{func(s *spec.Spec, _ *state.Observed) {
			s.Datasets["tank"] = &spec.Dataset{Name: "tank", Properties: map[string]spec.Property{"atime": property("off")}}
			s.HA = &spec.HA{Datasets: []spec.DatasetName{"tank"}}
		}}, "create irreversible missing: zpool create tank mirror /d/a /d/b"},
		"no vdevs": {[]world{func(s *spec.Spec, _ *state.Observed) { s.Pools["tank"].Vdevs = nil }},
			"blocked missing: it is declared without vdevs, so it must exist: import it (zpool import tank), or declare its vdevs"},
		"a used and a missing device": {[]world{func(_ *spec.Spec, o *state.Observed) {
			o.Devices["/d/a"].Used = []string{"signature of ext4"}
			o.Devices["/d/b"].Exists = false
		}}, "blocked conflict: /d/a is used: signature of ext4. dplane takes blank devices only; if nothing on it is needed: dplane apply --wipe /d/a / /d/b does not exist"},
		"a device that could not be probed": {[]world{func(_ *spec.Spec, o *state.Observed) { o.Devices["/d/a"].Error = "no blkid" }},
			"blocked conflict: /d/a could not be looked at, so it counts as used: no blkid"},
		"a device that was not looked at": {[]world{func(_ *spec.Spec, o *state.Observed) { delete(o.Devices, "/d/a") }}, "blocked conflict: /d/a was not looked at"},
		"recorded": {[]world{func(_ *spec.Spec, o *state.Observed) {
			o.Recorded = []state.Recorded{{Kind: "pool", Name: "tank", GUID: "77", Seen: time.Unix(0, 0)}}
		}}, "blocked missing: it was here before (guid 77, last seen 1970-01-01 00:00 UTC): what is missing is not what never was. " +
			"Connect its devices and run: zpool import -d /d 77; or, if it was destroyed on purpose: dplane forget tank"},
		"imported under another name": {[]world{func(_ *spec.Spec, o *state.Observed) {
			o.Recorded = []state.Recorded{{Kind: "pool", Name: "tank", GUID: "77", Seen: time.Unix(0, 0)}}
			o.Pools["other"] = &state.Pool{Name: "other", GUID: "77"}
		}}, "blocked missing: it is imported under the name other (guid 77): to have its name back, zpool export other, then zpool import -d /d 77 tank; or declare it as other"},
		"importable": {[]world{func(_ *spec.Spec, o *state.Observed) {
			o.Importable = []state.Importable{{Name: "tank", GUID: "77", From: "the label (destroyed) on /d/a"}, {Name: "other", GUID: "78"}}
		}}, "blocked missing: a pool of this name exists (the label (destroyed) on /d/a, guid 77) and is not imported: zpool import -D -d /d 77"},
		"files where it would be mounted": {[]world{func(_ *spec.Spec, o *state.Observed) { o.Occupied = []string{"/tank"} }},
			"blocked conflict: /tank, where it would be mounted, holds files: move them away, or declare another mountpoint for tank"},
		"files in another place": {[]world{func(s *spec.Spec, o *state.Observed) {
			s.Datasets["tank"] = &spec.Dataset{Name: "tank", Properties: map[string]spec.Property{"mountpoint": property("none")}}
			o.Occupied = []string{"/tank"}
		}}, "create irreversible missing: zpool create -O dplane:applied=mountpoint -O mountpoint=none tank mirror /d/a /d/b"},
		"unseen":                   {[]world{func(_ *spec.Spec, o *state.Observed) { o.Unseen = []state.Unseen{{Pool: "tank", Why: "?"}} }}, ""},
		"no ZFS":                   {[]world{func(_ *spec.Spec, o *state.Observed) { o.ZFS.Error = "?" }}, ""},
		"removable and never seen": {[]world{removable}, "create irreversible missing: zpool create tank mirror /d/a /d/b"},
		"removable and away":       {[]world{removable, func(_ *spec.Spec, o *state.Observed) { o.Devices["/d/a"].Exists = false }}, ""},
		"removable and known": {[]world{removable, func(_ *spec.Spec, o *state.Observed) {
			o.Recorded = []state.Recorded{{Kind: "pool", Name: "tank", GUID: "77"}}
		}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			want, have := tank()
			for _, change := range c.change {
				change(want, have)
			}
			if _, got := plan(want, have); got != c.plan {
				t.Errorf("got\n  %s\nwant\n  %s", got, c.plan)
			}
		})
	}
}

// A create asks again whether the pool is still missing and every device still blank.
func TestCreateGuards(t *testing.T) {
	want, have := tank()
	have.Devices["/d/b"].File = true
	actions, _ := plan(want, have)
	var got []string
	for _, g := range actions[0].Guard {
		got = append(got, g.Command.String())
	}
	wants := "zpool list -H -o name tank\nstat -L -c %F /d/a\nblkid -p /d/a\nzdb -l -q /d/a\nlsblk -n -r -o MOUNTPOINT /d/a\nstat -L -c %F /d/b\nblkid -p /d/b\nzdb -l -q /d/b\nlosetup -n -O NAME -j /d/b"
	if s := strings.Join(got, "\n"); s != wants {
		t.Errorf("got\n%s\nwant\n%s", s, wants)
	}
}

func TestTopology(t *testing.T) {
	for want, p := range map[string]spec.Pool{
		"/a /b":                                {Vdevs: []spec.Vdev{vdev("stripe", "/a /b")}},
		"raidz2 /a /b /c /d":                   {Vdevs: []spec.Vdev{vdev("raidz2", "/a /b /c /d")}},
		"/c mirror /a /b":                      {Vdevs: []spec.Vdev{vdev("mirror", "/a /b"), vdev("stripe", "/c")}}, // "mirror /a /b /c" would be another pool
		"draid1:0s:3c /a /b /c":                {Vdevs: []spec.Vdev{vdev("draid1", "/a /b /c")}},
		"draid2:4d:1s:7c /1 /2 /3 /4 /5 /6 /7": {Vdevs: []spec.Vdev{{Type: "draid2", Data: 4, Spares: 1, Devices: devices("/1 /2 /3 /4 /5 /6 /7")}}},
		"mirror /a /b mirror /c /d special mirror /e /f dedup /g log mirror /h /i cache /j /k spare /l": {
			Vdevs: []spec.Vdev{vdev("mirror", "/a /b"), vdev("mirror", "/c /d")}, Special: []spec.Vdev{vdev("mirror", "/e /f")},
			Dedup: []spec.Vdev{vdev("stripe", "/g")}, Log: []spec.Vdev{vdev("mirror", "/h /i")}, Cache: devices("/j /k"), Spare: devices("/l")},
	} {
		if got := strings.Join(topology(&p), " "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestDiffPresent(t *testing.T) {
	observed := map[string]state.Property{
		"ashift": {Value: "0", Source: "default"}, "autotrim": {Value: "off", Source: "default"}, "comment": {Value: "-", Source: "default"},
		"compatibility": {Value: "off", Source: "default"}, "cachefile": {Value: "-", Source: "default"}, "multihost": {Value: "off", Source: "default"},
	}
	for name, c := range map[string]struct {
		declared      string
		compatibility string
		recorded      string
		readonly      string
		plan          string
	}{
		"nothing declared":    {},
		"nothing to do":       {declared: "autotrim=off comment= cachefile=/etc/zfs/zpool.cache", compatibility: "off"},
		"one action for each": {declared: "autotrim=on ashift=12", plan: "update safe drift: zpool set ashift=12 tank\nupdate safe drift: zpool set autotrim=on tank"},
		"compatibility":       {compatibility: "openzfs-2.1-linux", plan: "update safe drift: zpool set compatibility=openzfs-2.1-linux tank"},
		"noticed":             {declared: "multihost=on", plan: "update disruptive drift: zpool set multihost=on tank"},
		"unknown":             {declared: "dedup_table_quota=auto", plan: "blocked drift: this release of ZFS does not know the property: take it out of the files, or upgrade ZFS"},
		"read-only":           {declared: "autotrim=on", readonly: "on", plan: "blocked drift: the pool is imported read-only: export it, and import it without readonly=on"},
		"the same pool":       {declared: "autotrim=on", recorded: "5", plan: "update safe drift: zpool set autotrim=on tank"},
		"another pool":        {declared: "autotrim=on", recorded: "6", plan: "blocked conflict: another pool took a known name: nothing of it is touched; if it is the right one: dplane adopt tank"},
	} {
		t.Run(name, func(t *testing.T) {
			want, have := tank()
			have.Pools["tank"] = &state.Pool{Name: "tank", GUID: "5", Health: "ONLINE", Properties: maps.Clone(observed)}
			have.Pools["tank"].Properties["readonly"] = state.Property{Value: c.readonly, Source: "-"}
			p := want.Pools["tank"]
			p.Compatibility, p.Properties = c.compatibility, map[string]spec.Property{}
			for _, w := range strings.Fields(c.declared) {
				k, v, _ := strings.Cut(w, "=")
				p.Properties[k] = property(v)
			}
			if c.recorded != "" {
				have.Recorded = []state.Recorded{{Kind: "pool", Name: "tank", GUID: c.recorded}}
			}
			actions, got := plan(want, have)
			if got != c.plan {
				t.Errorf("got\n  %s\nwant\n  %s", got, c.plan)
			}
			for _, a := range actions {
				if a.Verb == drivers.Update && (a.GUID != "5" || !strings.HasPrefix(a.Guard[0].Command.String(), "zpool get -Hp -o property,value,source ") || !strings.Contains(a.Guard[0].Output, "guid\t5\t-\n")) {
					t.Errorf("%v is not bound to the pool: %v", a.Fields, a.Guard)
				}
			}
		})
	}
}
