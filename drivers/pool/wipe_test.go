package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// used are machines whose /dev/a is not blank, with the argument of --wipe that the plan asks for, and what it
// would run.
var used = map[string]struct {
	lines []string // of the fake's control, or of a person at the machine
	wipe  string
	steps string
}{
	"ext4":        {[]string{"zfsfake disk /dev/a 8G ext4"}, "/dev/a", "wipefs -a /dev/a"},
	"gpt":         {[]string{"zfsfake disk /dev/a 8G gpt"}, "/dev/a", "wipefs -a /dev/a1; wipefs -a /dev/a"},
	"mbr":         {[]string{"zfsfake disk /dev/a 8G dos"}, "/dev/a", "wipefs -a /dev/a1; wipefs -a /dev/a"},
	"md member":   {[]string{"zfsfake disk /dev/a 8G linux_raid_member"}, "/dev/a", "wipefs -a /dev/a"},
	"LVM volume":  {[]string{"zfsfake disk /dev/a 8G LVM2_member"}, "/dev/a", "wipefs -a /dev/a"},
	"destroyed":   {[]string{"zpool create old /dev/a", "zpool destroy old"}, "/dev/a", "zpool labelclear -f /dev/a; wipefs -a /dev/a"},
	"exported":    {[]string{"zpool create old /dev/a", "zpool export old"}, "/dev/a=old", "zpool labelclear -f /dev/a; wipefs -a /dev/a"},
	"table, file": {[]string{"zfsfake file /dev/a 8G dos", "zfsfake file /dev/b 8G"}, "/dev/a", "wipefs --force -a /dev/a"},
}

func usedMachine(t *testing.T, lines ...string) *zfsfake.Fake {
	t.Helper()
	f := machine("/dev/a", "/dev/b", "/dev/c")
	for _, line := range lines {
		err := error(nil)
		if control, ok := strings.CutPrefix(line, zfsfake.Control+" "); ok {
			err = f.Control(control)
		} else {
			_, err = f.Do(line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// wiping is what the command line makes of --wipe.
func wiping(args ...string) map[string]string {
	m := map[string]string{}
	for _, a := range args {
		disk, pool, _ := strings.Cut(a, "=")
		m[disk] = pool
	}
	return m
}

func planWipe(want *spec.Spec, have *state.Observed, args ...string) []drivers.Action {
	return new(Driver).Diff(drivers.Input{Want: want, Have: have, Wipe: wiping(args...)}).Actions
}

func mirrorTank() *spec.Spec {
	return declared(&spec.Pool{Name: "tank", Vdevs: []spec.Vdev{vdev("mirror", "/dev/a /dev/b")}})
}

func commands(a drivers.Action) string {
	var lines []string
	for _, c := range a.Steps {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "; ")
}

// A used disk blocks the create, which names the command that clears it; with that, the disk is cleared and the
// pool made in one pass, and nothing is left to do.
func TestWipe(t *testing.T) {
	for name, c := range used {
		t.Run(name, func(t *testing.T) {
			f, want := usedMachine(t, c.lines...), mirrorTank()
			if _, text := plan(want, look(t, f, want)); !strings.HasPrefix(text, "blocked conflict:") || !strings.HasSuffix(text, "dplane apply --wipe "+c.wipe) {
				t.Fatalf("without leave: %s", text)
			}
			have := look(t, f, want)
			in := drivers.Input{Want: want, Have: have, Wipe: wiping(c.wipe)}
			if err := CheckWipe(in); err != nil {
				t.Fatal(err)
			}
			actions := planWipe(want, have, c.wipe)
			if len(actions) != 2 || actions[0].Verb != drivers.Destroy || actions[0].Risk != spec.Destructive || !actions[0].Named ||
				actions[0].Object != (spec.Ref{Kind: spec.KindDisk, Name: "/dev/a"}) || commands(actions[0]) != c.steps {
				t.Fatalf("with leave: %+v", actions)
			}
			if actions[0].Identify(); !slices.Equal(actions[1].After, []string{actions[0].ID}) || actions[1].Verb != drivers.Create {
				t.Errorf("the create waits for %v: %+v", actions[1].After, actions[1])
			}
			if err := (&Disks{Runner: f}).Apply(context.Background(), actions[0]); err != nil {
				t.Fatal(err)
			}
			// A kill here: the next plan, without leave, simply creates.
			if _, text := plan(want, look(t, f, want)); !strings.HasPrefix(text, "create irreversible missing:") {
				t.Errorf("after the wipe: %s", text)
			}
			if err := (&Driver{Runner: f}).Apply(context.Background(), actions[1]); err != nil {
				t.Fatal(err)
			}
			if _, text := plan(want, look(t, f, want)); text != "" {
				t.Errorf("after the create: %s", text)
			}
		})
	}
}

// Between any two commands of a wipe a kill leaves a disk that is still used or blank, never one that can't be
// planned for.
func TestWipeKilled(t *testing.T) {
	for name, c := range used {
		for n := 1; n <= strings.Count(c.steps, ";")+1; n++ {
			for _, fault := range []host.Fault{host.DieBefore, host.DieAfter} {
				t.Run(fmt.Sprintf("%s %d %d", name, n, fault), func(t *testing.T) {
					f, want := usedMachine(t, c.lines...), mirrorTank()
					actions := planWipe(want, look(t, f, want), c.wipe)
					func() {
						defer func() { _ = recover() }() // the kill
						_ = (&Disks{Runner: &host.Faulty{Runner: f, N: n, Fault: fault}}).Apply(context.Background(), actions[0])
					}()
					have := look(t, f, want)
					if have.Devices["/dev/a"].Blank() {
						return
					}
					argument := wipeArgument(have.Devices["/dev/a"])
					actions = planWipe(want, have, argument)
					if len(actions) != 2 || actions[0].Verb != drivers.Destroy {
						t.Fatalf("the next plan: %+v", actions)
					}
					if err := (&Disks{Runner: f}).Apply(context.Background(), actions[0]); err != nil || !look(t, f, want).Devices["/dev/a"].Blank() {
						t.Errorf("not cleared: %v", err)
					}
				})
			}
		}
	}
}

// Whatever else comes onto the disk between plan and apply stops the wipe before anything is done.
func TestWipeAgainstAChangedWorld(t *testing.T) {
	for name, change := range map[string]func(*zfsfake.Fake, *zfsfake.Device){
		"mounted":        func(_ *zfsfake.Fake, d *zfsfake.Device) { d.Mounted = "/srv" },
		"held":           func(_ *zfsfake.Fake, d *zfsfake.Device) { d.Holders = []string{"md0"} },
		"another":        func(_ *zfsfake.Fake, d *zfsfake.Device) { d.Signature = "xfs" },
		"of a pool":      func(_ *zfsfake.Fake, d *zfsfake.Device) { d.Label = &zfsfake.Label{Pool: "other", GUID: "5"} },
		"no longer":      func(_ *zfsfake.Fake, d *zfsfake.Device) { d.Signature = "" },
		"a file instead": func(_ *zfsfake.Fake, d *zfsfake.Device) { d.File = true },
	} {
		t.Run(name, func(t *testing.T) {
			f, want := usedMachine(t, "zfsfake disk /dev/a 8G ext4"), mirrorTank()
			actions := planWipe(want, look(t, f, want), "/dev/a")
			change(f, f.Model.Devices["/dev/a"])
			counter := &host.Counter{Runner: f}
			var changed *host.Unexpected
			if err := (&Disks{Runner: counter}).Apply(context.Background(), actions[0]); !errors.As(err, &changed) {
				t.Errorf("apply: %v", err)
			}
			if counter.Count["zpool"] > 0 {
				t.Errorf("something was run: %v", counter.Count)
			}
		})
	}
}

// What must not be wiped is blocked, and says what the operator can do.
func TestNeverWiped(t *testing.T) {
	for name, c := range map[string]struct {
		lines  []string
		change func(*zfsfake.Fake)
		wipe   string
		note   string
	}{
		"mounted":         {[]string{"zfsfake disk /dev/a 8G ext4", "zfsfake mount /dev/a /srv"}, nil, "/dev/a", "end that first (umount /srv), then clear it with dplane apply --wipe /dev/a"},
		"mounted part":    {[]string{"zfsfake disk /dev/a 8G gpt", "zfsfake mount /dev/a1 /srv"}, nil, "/dev/a", "(umount /srv)"},
		"swap":            {[]string{"zfsfake disk /dev/a 8G swap", "zfsfake mount /dev/a [SWAP]"}, nil, "/dev/a", "(swapoff /dev/a)"},
		"held":            {nil, func(f *zfsfake.Fake) { f.Model.Devices["/dev/a"].Holders = []string{"md0"} }, "/dev/a", "(mdadm --stop /dev/md0)"},
		"loop":            {[]string{"zfsfake file /dev/a 8G ext4"}, func(f *zfsfake.Fake) { f.Model.Devices["/dev/a"].Loop = "/dev/loop3" }, "/dev/a", "(losetup -d /dev/loop3)"},
		"of another pool": {[]string{"zpool create here /dev/a"}, nil, "/dev/a=here", "is a device of the pool here, which is imported here, and is never wiped"},
		"a spare of a declared pool": {[]string{"zpool create here /dev/c spare /dev/a"}, func(f *zfsfake.Fake) {
			l := f.Model.Devices["/dev/a"].Label
			l.Pool, l.GUID, l.State = "", "", 3
		}, "/dev/a", "is a device of the pool here"},
		"a file that may be a spare of a pool that is not declared": {[]string{"zfsfake file /dev/a 8G", "zpool create here /dev/c"}, func(f *zfsfake.Fake) {
			f.Model.Devices["/dev/a"].Label = &zfsfake.Label{State: 3}
		}, "/dev/a", "may be one of the pool here"},
	} {
		t.Run(name, func(t *testing.T) {
			f, want := usedMachine(t, c.lines...), mirrorTank()
			if name == "a spare of a declared pool" {
				want.Pools["here"] = &spec.Pool{Name: "here"}
			}
			if c.change != nil {
				c.change(f)
			}
			have := look(t, f, want)
			actions := planWipe(want, have, c.wipe)
			if len(actions) != 1 || actions[0].Verb != drivers.Blocked || !strings.Contains(strings.Join(actions[0].Notes, "\n"), c.note) {
				t.Errorf("got %+v", actions)
			}
			if err := CheckWipe(drivers.Input{Want: want, Have: have, Wipe: wiping(c.wipe)}); err != nil {
				t.Errorf("the plan says it: %v", err)
			}
		})
	}
}

// A disk that was detached, or was away while it was replaced, keeps a label of a pool that is imported; it is none
// of its devices, and can be had with the pool's name.
func TestFormerMember(t *testing.T) {
	f := usedMachine(t, "zpool create here /dev/c")
	f.Model.Devices["/dev/a"].Label = &zfsfake.Label{Pool: "here", GUID: f.Model.Pools["here"].GUID, Vdev: "13754842092455391556"}
	want := mirrorTank()
	want.Pools["here"] = &spec.Pool{Name: "here"} // declared, so its devices are known
	if actions := planWipe(want, look(t, f, want), "/dev/a=here"); len(actions) != 2 || actions[0].Verb != drivers.Destroy {
		t.Errorf("a former device: %+v", actions)
	}
	delete(want.Pools, "here")
	if actions := planWipe(want, look(t, f, want), "/dev/a=here"); len(actions) != 1 || actions[0].Verb != drivers.Blocked {
		t.Errorf("of a pool whose devices are not known: %+v", actions)
	}
}

// Nothing is wiped for a create that can't be done.
func TestNothingIsWipedInVain(t *testing.T) {
	f, want := usedMachine(t, "zfsfake disk /dev/a 8G ext4", "zfsfake disk /dev/b 8G ext4"), mirrorTank()
	actions := planWipe(want, look(t, f, want), "/dev/a")
	if len(actions) != 1 || actions[0].Verb != drivers.Blocked || strings.Contains(strings.Join(actions[0].Notes, ""), "/dev/a is") {
		t.Errorf("one of two: %+v", actions)
	}
	if actions = planWipe(want, look(t, f, want), "/dev/a", "/dev/b"); len(actions) != 3 || len(actions[2].After) != 2 {
		t.Errorf("both: %+v", actions)
	}
}

// The pool of the declared name stands on the disk itself: import is offered, unless a person gives it up by name.
func TestWipeOfTheSameName(t *testing.T) {
	for _, verb := range []string{"export", "destroy"} {
		f, want := usedMachine(t, "zpool create tank mirror /dev/a /dev/b", "zpool "+verb+" tank"), mirrorTank()
		have := look(t, f, want)
		argument := map[string]string{"export": "=tank"}[verb]
		if actions := planWipe(want, have, "/dev/a"+argument); len(actions) != 1 || actions[0].Reason.Code != drivers.Missing {
			t.Errorf("%s, one disk of two: %+v", verb, actions)
		}
		if actions := planWipe(want, have, "/dev/a"+argument, "/dev/b"+argument); len(actions) != 3 || actions[2].Verb != drivers.Create {
			t.Errorf("%s, both: %+v", verb, actions)
		}
		have.Recorded = []state.Recorded{{Kind: "pool", Name: "tank", GUID: "1"}}
		if actions := planWipe(want, have, "/dev/a"+argument, "/dev/b"+argument); len(actions) != 1 || !strings.Contains(actions[0].Notes[0], "dplane forget tank") {
			t.Errorf("%s, recorded: %+v", verb, actions)
		}
	}
}

func TestCheckWipe(t *testing.T) {
	f, want := usedMachine(t, "zfsfake disk /dev/a 8G ext4", "zpool create old /dev/c", "zpool export old", "zpool create here /dev/b"), mirrorTank()
	want.Pools["next"] = &spec.Pool{Name: "next", Vdevs: []spec.Vdev{vdev("stripe", "/dev/c")}}
	want.Pools["here"] = &spec.Pool{Name: "here", Vdevs: []spec.Vdev{vdev("stripe", "/dev/b")}}
	want.Pools["tank"].Vdevs[0] = vdev("mirror", "/dev/a /dev/d /dev/e")
	f.AddDisk("/dev/d", 1<<33)
	have := look(t, f, want)
	for argument, text := range map[string]string{
		"/dev/a":       "",
		"/dev/c=old":   "",
		"/dev/x":       "no file declares it",
		"/dev/b":       "it is a device of the pool here already",
		"/dev/d":       "it is blank",
		"/dev/e":       "it does not exist",
		"/dev/c":       "--wipe /dev/c=old",
		"/dev/c=tank":  "a label of the pool old, not of tank",
		"/dev/a=tank":  "carries no label of the pool tank",
		"/dev/c=older": "not of older",
	} {
		err := CheckWipe(drivers.Input{Want: want, Have: have, Wipe: wiping(argument)})
		if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("--wipe %s: %v, want %q", argument, err, text)
		}
	}
}

// Captured on 2.3.9 with util-linux 2.41: an exported pool on a whole disk, and a disk with a volume group over an
// old ext4.
func TestTraces(t *testing.T) {
	const disk = "/dev/disk/by-id/virtio-disk2"
	signed := func(entries ...string) *answer {
		var all []string
		for _, e := range entries {
			kind, label, _ := strings.Cut(e, " ")
			l := "null"
			if label != "" {
				l = `"` + label + `"`
			}
			all = append(all, fmt.Sprintf(`{"device":"virtio-disk2", "offset":"0x200", "type":%q, "uuid":null, "label":%s}`, kind, l))
		}
		return &answer{0, "{\n   \"signatures\": [\n      " + strings.Join(all, ",") + "\n   ]\n}\n", ""}
	}
	const tree = "lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT " + disk
	whole := blank(disk).with("blkid -p "+disk, &answer{0, disk + `: PTUUID="2bb554a9" PTTYPE="gpt"` + "\n", ""}).
		with(tree, &answer{0, `{"blockdevices": [{"name": "/dev/vdc", "type": "disk", "ro": false, "fstype": null, "mountpoint": null, "children": [
			{"name": "/dev/vdc1", "type": "part", "ro": false, "fstype": "zfs_member", "mountpoint": null},
			{"name": "/dev/vdc9", "type": "part", "ro": false, "fstype": null, "mountpoint": null}]}]}`, ""}).
		with("zdb -l /dev/vdc1", &answer{0, fmt.Sprintf(expLabel, 1), ""}).with("zdb -l /dev/vdc9", &answer{2, noLabel, ""}).
		with("wipefs -J /dev/vdc1", signed("zfs_member exp", "zfs_member exp")).with("wipefs -J /dev/vdc9", &answer{0, unsigned, ""}).
		with("wipefs -J "+disk, signed("gpt", "gpt", "PMBR"))
	lvm := blank(disk).with("blkid -p "+disk, &answer{0, disk + `: UUID="IsizlH" VERSION="LVM2 001" TYPE="LVM2_member" USAGE="raid"` + "\n", ""}).
		with("wipefs -J "+disk, signed("LVM2_member", "ext4 backup"))
	for name, c := range map[string]struct {
		machine answers
		traces  []state.Trace
		steps   string
	}{
		"a whole disk of a pool": {whole, []state.Trace{
			{Path: "/dev/vdc1", Labels: []state.Label{{Pool: "exp", GUID: "130", State: "exported"}}}, {Path: disk, Signatures: []string{"gpt"}}},
			"zpool labelclear -f /dev/vdc1; wipefs -a /dev/vdc1; wipefs -a " + disk},
		"a volume over a file system": {lvm, []state.Trace{{Path: disk, Signatures: []string{"LVM2_member", "ext4, named backup"}}}, "wipefs -a " + disk},
		"what is left of labels": {blank(disk).with("blkid -p "+disk, &answer{0, disk + `: TYPE="zfs_member" USAGE="filesystem"` + "\n", ""}).with("wipefs -J "+disk, signed("zfs_member")),
			[]state.Trace{{Path: disk, Signatures: []string{"zfs_member"}}}, "wipefs -a " + disk},
		"labels without a signature": {blank(disk).with("zdb -l "+disk, &answer{0, fmt.Sprintf(expLabel, 0), ""}),
			[]state.Trace{{Path: disk, Labels: []state.Label{{Pool: "exp", GUID: "130", State: "active"}}}}, "zpool labelclear -f " + disk + "; wipefs -a " + disk},
		"an extended partition": {blank(disk).with("blkid -p "+disk, &answer{0, disk + `: PTTYPE="dos"` + "\n", ""}).
			with(tree, &answer{0, `{"blockdevices": [{"name": "/dev/vdc", "type": "disk", "ro": false, "children": [{"name": "/dev/vdc2", "type": "part", "ro": false}, {"name": "/dev/vdc5", "type": "part", "ro": false}]}]}`, ""}).
			with("zdb -l /dev/vdc2", &answer{2, noLabel, ""}).with("zdb -l /dev/vdc5", &answer{2, noLabel, ""}).
			with("wipefs -J /dev/vdc2", signed("dos")).with("wipefs -J /dev/vdc5", signed("xfs")).with("wipefs -J "+disk, signed("dos")),
			[]state.Trace{{Path: "/dev/vdc2", Signatures: []string{"dos"}}, {Path: "/dev/vdc5", Signatures: []string{"xfs"}}, {Path: disk, Signatures: []string{"dos"}}},
			"wipefs -a /dev/vdc5; wipefs -a " + disk},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := (&Driver{Runner: c.machine}).probe(context.Background(), disk)
			if got.Error != "" || fmt.Sprintf("%+v", got.Traces) != fmt.Sprintf("%+v", c.traces) {
				t.Fatalf("got %+v, %s\nwant %+v", got.Traces, got.Error, c.traces)
			}
			a := wipe(got, "p.yaml:1")
			if commands(a) != c.steps {
				t.Errorf("got  %s\nwant %s", commands(a), c.steps)
			}
			for _, g := range a.Guard { // each read of the probe, and the machine is as it was
				if err := g.Check(context.Background(), host.ReadOnly{Runner: c.machine}); err != nil {
					t.Error(err)
				}
			}
			if len(a.Guard) != len(got.Answers) || len(a.Guard) < 5 {
				t.Errorf("%d guards", len(a.Guard))
			}
		})
	}
}

// What joins a pool that is here is cleared first as well.
func TestWipeForAttach(t *testing.T) {
	f := usedMachine(t, "zpool create tank /dev/a", "zfsfake disk /dev/b 8G gpt")
	want := mirrorTank()
	if _, text := plan(want, look(t, f, want)); !strings.Contains(text, "dplane apply --wipe /dev/b") || strings.Contains(text, "attach") {
		t.Errorf("without leave: %s", text)
	}
	have := look(t, f, want)
	if err := CheckWipe(drivers.Input{Want: want, Have: have, Wipe: wiping("/dev/b")}); err != nil {
		t.Fatal(err)
	}
	actions := planWipe(want, have, "/dev/b")
	if len(actions) != 2 || commands(actions[0]) != "wipefs -a /dev/b1; wipefs -a /dev/b" || commands(actions[1]) != "zpool attach tank /dev/a /dev/b" {
		t.Fatalf("with leave: %+v", actions)
	}
	if actions[0].Identify(); !slices.Contains(actions[1].After, actions[0].ID) {
		t.Errorf("the attach waits for %v", actions[1].After)
	}
	for i, d := range []drivers.Driver{&Disks{Runner: f}, &Driver{Runner: f}} {
		if err := d.Apply(context.Background(), actions[i]); err != nil {
			t.Fatal(err)
		}
	}
	if actions := planWipe(want, look(t, f, want)); len(actions) > 0 && actions[0].Verb != drivers.Blocked { // a resilver may run
		t.Errorf("after both: %+v", actions)
	}
}

// Of a pool whose tree was read while it changed, no device is known by its guid: any label of it may be one.
func TestMemberOfUnnamed(t *testing.T) {
	obs := state.NewObserved(time.Unix(0, 0), "test")
	mirror := state.Vdev{Name: "mirror-0", Children: []state.Vdev{{Name: "/d/a", Path: "/d/a", GUID: "7"}, {Name: "/d/b", Path: "/d/b", GUID: "8"}}}
	obs.Pools["tank"] = &state.Pool{Name: "tank", GUID: "1", Vdevs: []state.Vdev{mirror}}
	if got := memberOf(obs, state.Label{Pool: "tank", GUID: "1", Vdev: "9"}); got != "" {
		t.Errorf("a device that left it: %q", got)
	}
	mirror.Children[0].GUID, mirror.Children[1].GUID = "", ""
	if got := memberOf(obs, state.Label{Pool: "tank", GUID: "1", Vdev: "8"}); got != "tank" {
		t.Errorf("%q", got)
	}
}
