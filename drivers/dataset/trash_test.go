package dataset

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// trashedAs is a dataset in the trash, as act one leaves it.
func trashedAs(obs *state.Observed, name, was string, at time.Time) *state.Dataset {
	d := obs.Datasets[name]
	delete(obs.Datasets, name)
	d.Name, d.Mounted = string(spec.DatasetName(name).Pool())+"/.dplane-trash/"+d.GUID, false
	obs.Datasets[d.Name] = d
	local := func(v string) state.Property { return state.Property{Value: v, Source: "local"} }
	d.Properties[state.TrashName], d.Properties[state.TrashGUID] = local(was), local(d.GUID)
	d.Properties[state.TrashTime] = local(at.UTC().Format(time.RFC3339))
	d.Properties[state.TrashReadonly], d.Properties[state.TrashCanmount], d.Properties[state.TrashMounted] = local("off default"), local("on default"), local("yes")
	d.Properties["readonly"], d.Properties["canmount"], d.Properties["mountpoint"] = local("on"), local("noauto"), state.Property{Value: "none", Source: "inherited from tank/.dplane-trash"}
	return d
}

func TestTrash(t *testing.T) {
	for name, c := range map[string]struct {
		want, have, plan []string
		edit             func(*spec.Spec, *state.Observed)
	}{
		"a file system": {
			want: []string{"tank/old absent"}, have: []string{"tank", "tank/old readonly=on"},
			plan: []string{"create disruptive missing: zfs create -o canmount=off -o mountpoint=none -o sharenfs=off -o sharesmb=off tank/.dplane-trash", "destroy disruptive drift: " +
				"zfs set 'dplane:trash.canmount=on default' dplane:trash.guid=101 dplane:trash.mounted=yes dplane:trash.name=tank/old 'dplane:trash.readonly=on local' dplane:trash.time=0001-01-01T00:00:00Z tank/old; " +
				"zfs unmount tank/old; zfs set canmount=noauto tank/old; zfs rename -u tank/old tank/.dplane-trash/101"},
		},
		"a volume": {
			want: []string{"tank/old absent"}, have: []string{"tank", "tank/.dplane-trash canmount=off", "tank/old volume"},
			plan: []string{"destroy disruptive drift: zfs set dplane:trash.guid=102 dplane:trash.mounted=no dplane:trash.name=tank/old 'dplane:trash.readonly=off default' dplane:trash.time=0001-01-01T00:00:00Z tank/old; " +
				"zfs rename tank/old tank/.dplane-trash/102; zfs set readonly=on tank/.dplane-trash/102"},
		},
		"two make the trash once": {
			want: []string{"tank/a absent", "tank/b absent"}, have: []string{"tank", "tank/a", "tank/b"},
			plan: []string{"zfs create", "zfs rename -u tank/a", "zfs rename -u tank/b"},
		},
		"not there": {want: []string{"tank/old absent"}, have: []string{"tank"}},
		"children go along once": {
			want: []string{"tank/old absent", "tank/old/x absent"}, have: []string{"tank", "tank/old", "tank/old/x"},
			plan: []string{"zfs create", "tank/.dplane-trash/101/x"},
		},
		"under the encryption root": {
			want: []string{"tank/enc/old absent"}, have: []string{"tank", "tank/enc", "tank/enc/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) {
				obs.Datasets["tank/enc"].EncryptionRoot, obs.Datasets["tank/enc/old"].EncryptionRoot = "tank/enc", "tank/enc"
			},
			plan: []string{"tank/enc/.dplane-trash", "zfs rename -u tank/enc/old tank/enc/.dplane-trash/102"},
		},
		"an encryption root": {
			want: []string{"tank/enc absent"}, have: []string{"tank", "tank/enc"},
			edit: func(_ *spec.Spec, obs *state.Observed) { obs.Datasets["tank/enc"].EncryptionRoot = "tank/enc" },
			plan: []string{"zfs create", "zfs rename -u tank/enc tank/.dplane-trash/101"},
		},
		"an encryption root with a locked key": {
			want: []string{"tank/enc/old absent"}, have: []string{"tank", "tank/enc", "tank/enc/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) {
				obs.Datasets["tank/enc"].EncryptionRoot, obs.Datasets["tank/enc/old"].EncryptionRoot = "tank/enc", "tank/enc"
				obs.Datasets["tank/enc"].KeyStatus = "unavailable"
			},
			plan: []string{"the trash is made below tank/enc, whose key is not loaded"},
		},
		"a child that is not declared": {
			want: []string{"tank/old absent", "tank/old/x absent"}, have: []string{"tank", "tank/old", "tank/old/x", "tank/old/y", "tank/old/z"},
			plan: []string{"blocked drift tank/old: 2 dataset(s) below it are not declared absent: tank/old/y, tank/old/z"},
		},
		"an empty trash within goes along": {
			want: []string{"tank/enc absent"}, have: []string{"tank", "tank/enc", "tank/enc/.dplane-trash canmount=off"},
			plan: []string{"zfs create", "zfs rename -u tank/enc tank/.dplane-trash/101"},
		},
		"one that holds something does not": {
			want: []string{"tank/enc absent"}, have: []string{"tank", "tank/enc", "tank/enc/.dplane-trash", "tank/enc/.dplane-trash/7"},
			plan: []string{"blocked drift tank/enc: its own trash still holds"},
		},
		"a pool's root": {
			want: []string{"tank absent"}, have: []string{"tank"},
			plan: []string{"blocked drift tank: a pool's root dataset goes with its pool alone"},
		},
		"busy": {
			want: []string{"tank/old absent"}, have: []string{"tank", "tank/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) {
				obs.Busy = []state.Busy{{Dataset: "tank/other", By: "no"}, {Dataset: "tank/old", By: "sleep (340) uses /tank/old/f"}}
			},
			plan: []string{"blocked drift tank/old: it is busy: sleep (340) uses /tank/old/f"},
		},
		"a replication's source": {
			want: []string{"tank/old absent"}, have: []string{"tank", "tank/old"},
			edit: func(s *spec.Spec, _ *state.Observed) {
				s.Replications["r"] = &spec.Replication{Source: spec.End{Dataset: "tank/old"}, Target: spec.End{Remote: "b", Dataset: "x/y"}}
			},
			plan: []string{"blocked drift tank/old: tank/old is the source of the replication r"},
		},
		"what a replication sends from above": {
			want: []string{"tank/a/old absent"}, have: []string{"tank", "tank/a", "tank/a/old"},
			edit: func(s *spec.Spec, _ *state.Observed) {
				s.Replications["r"] = &spec.Replication{Source: spec.End{Dataset: "tank/a"}, Target: spec.End{Remote: "b", Dataset: "x/y"}, Recursive: true}
			},
			plan: []string{"blocked drift tank/a/old: tank/a/old is sent by the replication r"},
		},
		"what a replication leaves out": {
			want: []string{"tank/a/old absent", "tank/a/old/x absent"}, have: []string{"tank", "tank/a", "tank/a/old", "tank/a/old/x"},
			edit: func(s *spec.Spec, _ *state.Observed) {
				s.Replications["r"] = &spec.Replication{Source: spec.End{Dataset: "tank/a"}, Target: spec.End{Remote: "b", Dataset: "x/y"}, Recursive: true, Exclude: []string{"tank/*/old"}}
				s.Replications["s"] = &spec.Replication{Source: spec.End{Dataset: "tank/a"}, Target: spec.End{Remote: "c", Dataset: "x/y"}}
				s.Replications["u"] = &spec.Replication{Source: spec.End{Remote: "b", Dataset: "tank/a"}, Target: spec.End{Dataset: "x/y"}, Recursive: true}
			},
			plan: []string{"zfs create", "zfs rename -u tank/a/old tank/.dplane-trash/102"},
		},
		"a receiver": {
			want: []string{"tank/old absent"}, have: []string{"tank", "tank/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) { obs.Datasets["tank/old"].ResumeToken = "1-x" },
			plan: []string{"tank/old is the receiver of a stream that was interrupted"},
		},
		"another dataset than the known one": {
			want: []string{"tank/old absent"}, have: []string{"tank", "tank/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) { remember(obs, "tank/old", "9") },
			plan: []string{"blocked drift tank/old: tank/old has the guid 101"},
		},
		"mounted by other means": {
			want: []string{"tank/old absent"}, have: []string{"tank", "tank/old mountpoint=legacy"},
			plan: []string{"tank/old is mounted by other means than ZFS's"},
		},
		"mounted with options": {
			want: []string{"tank/old absent"}, have: []string{"tank", "tank/old readonly=~on"},
			plan: []string{"tank/old is mounted with options of its own"},
		},
		"in the trash, declared": {
			want: []string{"tank/old compression=lz4"}, have: []string{"tank", "tank/.dplane-trash", "tank/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) { trashedAs(obs, "tank/old", "tank/old", time.Unix(0, 0)) },
			plan: []string{
				"update disruptive trashed: zfs inherit -S readonly tank/.dplane-trash/102; zfs rename -u tank/.dplane-trash/102 tank/old; zfs inherit -S canmount tank/old; zfs mount tank/old; zfs inherit -S dplane:trash.mounted tank/old",
				"update safe drift: zfs set compression=lz4 dplane:applied=compression tank/old",
			},
		},
		"in the trash, and it has a successor": {
			want: []string{"tank/old"}, have: []string{"tank", "tank/.dplane-trash", "tank/x", "tank/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) { trashedAs(obs, "tank/x", "tank/old", time.Unix(0, 0)) },
		},
		"two of one name: the newer comes back": {
			want: []string{"tank/old"}, have: []string{"tank", "tank/.dplane-trash", "tank/x", "tank/y"},
			edit: func(_ *spec.Spec, obs *state.Observed) {
				trashedAs(obs, "tank/x", "tank/old", time.Unix(100, 0))
				trashedAs(obs, "tank/y", "tank/old", time.Unix(200, 0))
			},
			plan: []string{"zfs rename -u tank/.dplane-trash/103 tank/old"},
		},
		"two of one name: the one that was known last comes back": {
			want: []string{"tank/old"}, have: []string{"tank", "tank/.dplane-trash", "tank/x", "tank/y"},
			edit: func(_ *spec.Spec, obs *state.Observed) {
				trashedAs(obs, "tank/x", "tank/old", time.Unix(100, 0))
				trashedAs(obs, "tank/y", "tank/old", time.Unix(200, 0))
				remember(obs, "tank/old", "102")
			},
			plan: []string{"zfs rename -u tank/.dplane-trash/102 tank/old"},
		},
		"in the trash, and its successor is missing": {
			want: []string{"tank/old"}, have: []string{"tank", "tank/.dplane-trash", "tank/x"},
			edit: func(_ *spec.Spec, obs *state.Observed) {
				trashedAs(obs, "tank/x", "tank/old", time.Unix(0, 0))
				remember(obs, "tank/old", "9")
			},
			plan: []string{"blocked trashed tank/old: it is not the one that was known as tank/old since (guid 9"},
		},
		"a quota does not admit it": {
			want: []string{"tank/p/old"}, have: []string{"tank", "tank/.dplane-trash", "tank/p quota=5000 used:3000", "tank/old used:3000"},
			edit: func(_ *spec.Spec, obs *state.Observed) { trashedAs(obs, "tank/old", "tank/p/old", time.Unix(0, 0)) },
			plan: []string{"blocked trashed tank/p/old: it has 2.9K, tank/p uses 2.9K, and its quota is 4.9K"},
		},
		"files where it was mounted": {
			want: []string{"tank/old"}, have: []string{"tank", "tank/.dplane-trash", "tank/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) {
				trashedAs(obs, "tank/old", "tank/old", time.Unix(0, 0))
				obs.Occupied = []string{"/tank/old"}
			},
			plan: []string{"blocked trashed tank/old: /tank/old, where it would be mounted then, holds files"},
		},
		"an unfinished act one": {
			want: []string{"tank/old absent"}, have: []string{"tank", "tank/.dplane-trash", "tank/old"},
			edit: func(_ *spec.Spec, obs *state.Observed) {
				trashedAs(obs, "tank/old", "tank/old", time.Unix(0, 0)).Properties["readonly"] = state.Property{Value: "off", Source: "default"}
			},
			plan: []string{"update disruptive drift: zfs set readonly=on tank/.dplane-trash/102"},
		},
		"something that was put there since": {
			want: []string{"tank/old absent"}, have: []string{"tank", "tank/.dplane-trash", "tank/old", "tank/.dplane-trash/102/x"},
			edit: func(_ *spec.Spec, obs *state.Observed) { trashedAs(obs, "tank/old", "tank/old", time.Unix(0, 0)) },
		},
	} {
		// The grace is over at no time of these tests: Now is the year 1.
		expectPlan(t, name, diffOf(t, c.want, c.have, c.edit), c.plan)
	}
}

// Marks that are not the dataset's own, or not dplane's words, are none.
func TestTrashMarks(t *testing.T) {
	for name, edit := range map[string]func(d *state.Dataset){
		"inherited": func(d *state.Dataset) {
			d.Properties[state.TrashGUID] = state.Property{Value: d.GUID, Source: "inherited from tank"}
		},
		"received": func(d *state.Dataset) {
			d.Properties[state.TrashName] = state.Property{Value: "tank/old", Source: "received"}
		},
		"another's guid":   func(d *state.Dataset) { d.GUID = "9" },
		"a pool's name":    func(d *state.Dataset) { d.Properties[state.TrashName] = state.Property{Value: "tank", Source: "local"} },
		"no name":          func(d *state.Dataset) { d.Properties[state.TrashName] = state.Property{Value: "-rf", Source: "local"} },
		"another place":    func(d *state.Dataset) { d.Name = "tank/.dplane-trash/7" },
		"not in the trash": func(d *state.Dataset) { d.Name = "tank/" + d.GUID },
		"below one in it":  func(d *state.Dataset) { d.Name = "tank/.dplane-trash/1/" + d.GUID },
		"a name in the trash": func(d *state.Dataset) {
			d.Properties[state.TrashName] = state.Property{Value: "tank/.dplane-trash/x", Source: "local"}
		},
	} {
		obs := machine("tank", "tank/old")
		d := trashedAs(obs, "tank/old", "tank/old", time.Unix(0, 0))
		if !d.InTrash() {
			t.Fatal("a right one is not taken")
		}
		if edit(d); d.InTrash() {
			t.Errorf("%s: taken", name)
		}
	}
	d := &state.Dataset{Properties: map[string]state.Property{state.TrashCanmount: {Value: "-o x", Source: "local"}}}
	if _, ok := d.Kept(state.TrashCanmount); ok {
		t.Error("a value that is none is taken")
	}
}

// A pool may be imported under another name: what is in its trash, or was on its way there, is then of that pool.
func TestTrashOfAPoolWithAnotherName(t *testing.T) {
	obs := machine("pond", "pond/old", "pond/begun")
	d, begun := trashedAs(obs, "pond/old", "tank/old", time.Unix(0, 0)), obs.Datasets["pond/begun"]
	if got, ok := d.Trashed(); !ok || got.Name != "pond/old" || !d.InTrash() {
		t.Errorf("%+v %t", got, ok)
	}
	begun.Properties[state.TrashGUID] = state.Property{Value: begun.GUID, Source: "local"}
	for name, want := range map[string]bool{"tank/begun": true, "pond/begun": true, "tank/other": false} {
		begun.Properties[state.TrashName] = state.Property{Value: name, Source: "local"}
		if newView(drivers.Input{Want: &spec.Spec{}, Have: obs}).begun(begun) != want {
			t.Errorf("an act one of %s that stopped: seen is %t", name, !want)
		}
	}
}

// twoActs is a tree in the trash since the epoch, with two snapshots, and the plan at a time.
func twoActs(t *testing.T, at time.Time, edit func(*spec.Spec, *state.Observed)) drivers.Result {
	t.Helper()
	want := declare(t, "tank/old absent", "tank/old/x absent")
	want.Daemon.Trash = spec.Duration(7 * 24 * time.Hour)
	obs := machine("tank", "tank/.dplane-trash canmount=off", "tank/old used:3000 referenced:2000", "tank/old/x referenced:500")
	top, below := obs.Datasets["tank/old"], obs.Datasets["tank/old/x"]
	trashedAs(obs, "tank/old", "tank/old", time.Unix(0, 0))
	delete(obs.Datasets, "tank/old/x")
	below.Name, below.Mounted = top.Name+"/x", false
	below.Properties["readonly"], below.Properties[state.TrashReadonly] = state.Property{Value: "on", Source: "local"}, state.Property{Value: "off default", Source: "local"}
	obs.Datasets[below.Name] = below
	obs.Snapshots = []state.Snapshot{
		{Dataset: top.Name, Name: "a", GUID: "11", Creation: time.Unix(-90, 0)}, {Dataset: top.Name, Name: "b", GUID: "12", Creation: time.Unix(-60, 0)},
		{Dataset: below.Name, Name: "a", GUID: "13", Creation: time.Unix(-60, 0)},
	}
	if edit != nil {
		edit(want, obs)
	}
	r := new(Driver).Diff(drivers.Input{Want: want, Have: obs, Now: at})
	for i := range r.Actions {
		r.Actions[i].Identify()
	}
	return r
}

func TestActTwo(t *testing.T) {
	due := time.Unix(7*24*3600, 0)
	r := twoActs(t, due.Add(-time.Second), nil)
	if len(r.Actions) != 0 || len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "from 1970-01-08 00:00 UTC on a person may allow its destruction") {
		t.Fatalf("%+v", r)
	}
	r = twoActs(t, due, nil)
	if len(r.Actions) != 1 || len(r.Notices) != 0 {
		t.Fatalf("%+v", r)
	}
	a := r.Actions[0]
	var steps []string
	for _, c := range a.Steps {
		steps = append(steps, c.String())
	}
	const place = "tank/.dplane-trash/102"
	if got := strings.Join(steps, "; "); got != "zfs destroy "+place+"/x@a; zfs destroy "+place+"/x; zfs destroy "+place+"@a,b; zfs destroy "+place {
		t.Error(got)
	}
	if a.Verb != drivers.Destroy || a.Risk != spec.Destructive || strings.Join(a.Destroy, ",") != "13,11,12" || a.Object.Name != "tank/old" {
		t.Errorf("%+v", a)
	}
	notes := strings.Join(a.Notes, "\n")
	for _, say := range []string{"2.9K used, 2.4K referenced by 2 dataset(s), and 3 snapshot(s)", "the newest snapshot is " + place + "@b, of 1969-12-31 23:59 UTC", "no replica", place + "/x"} {
		if !strings.Contains(notes, say) {
			t.Errorf("does not say %q:\n%s", say, notes)
		}
	}
	for name, c := range map[string]struct {
		edit func(*spec.Spec, *state.Observed)
		note string // "": another id
	}{
		"another snapshot":       {func(_ *spec.Spec, o *state.Observed) { o.Snapshots[0].GUID = "14" }, ""},
		"one less":               {func(_ *spec.Spec, o *state.Observed) { o.Snapshots = o.Snapshots[1:] }, ""},
		"a dataset less":         {func(_ *spec.Spec, o *state.Observed) { delete(o.Datasets, place+"/x"); o.Snapshots = o.Snapshots[:2] }, ""},
		"a hold":                 {func(_ *spec.Spec, o *state.Observed) { o.Snapshots[1].Holds = 2 }, place + "@b has 2 holds"},
		"a clone":                {func(_ *spec.Spec, o *state.Observed) { o.Snapshots[1].Clones = []string{"tank/web"} }, "tank/web is a clone of " + place + "@b"},
		"a clone within":         {func(_ *spec.Spec, o *state.Observed) { o.Snapshots[1].Clones = []string{place + "/x"} }, "same"},
		"a clone of its child":   {func(_ *spec.Spec, o *state.Observed) { o.Snapshots[2].Clones = []string{place} }, "neither can go first"},
		"mounted":                {func(_ *spec.Spec, o *state.Observed) { o.Datasets[place+"/x"].Mounted = true }, "is mounted at"},
		"something put below it": {func(_ *spec.Spec, o *state.Observed) { delete(o.Datasets[place+"/x"].Properties, state.TrashReadonly) }, place + "/x was not there"},
	} {
		b := twoActs(t, due, c.edit)
		switch {
		case len(b.Actions) != 1:
			t.Errorf("%s: %+v", name, b)
		case c.note == "same" && b.Actions[0].ID != a.ID, c.note == "" && (b.Actions[0].ID == a.ID || b.Actions[0].Verb != drivers.Destroy):
			t.Errorf("%s: id %s, was %s: %+v", name, b.Actions[0].ID, a.ID, b.Actions[0])
		case c.note != "" && c.note != "same" && (b.Actions[0].Verb != drivers.Blocked || !strings.Contains(strings.Join(b.Actions[0].Notes, "\n"), c.note)):
			t.Errorf("%s: %+v", name, b.Actions[0])
		}
	}
	left := func(s *spec.Spec, _ *state.Observed) { clear(s.Datasets) }
	if r := twoActs(t, due, left); len(r.Actions) > 0 || !strings.Contains(strings.Join(r.Notices, "\n"), "no file declares it absent any more") {
		t.Errorf("what no file names is destroyed: %+v", r)
	}
	short := func(s *spec.Spec, _ *state.Observed) { s.Daemon.Trash = spec.Duration(time.Minute) }
	if r := twoActs(t, time.Unix(3599, 0), short); len(r.Actions) > 0 {
		t.Error("the grace is never under an hour")
	}
	if r := twoActs(t, time.Unix(3600, 0), short); len(r.Actions) != 1 {
		t.Error("an hour is over")
	}
	back := func(s *spec.Spec, _ *state.Observed) { s.Datasets["tank/old"].Absent = false }
	blockedBack := func(s *spec.Spec, o *state.Observed) {
		back(s, o)
		o.Occupied = append(o.Occupied, "/tank/old")
	}
	for _, a := range twoActs(t, due, blockedBack).Actions {
		if a.Verb == drivers.Destroy {
			t.Errorf("what is wanted back is destroyed, where it can't come back: %+v", a)
		}
	}
	if r := twoActs(t, due, back); len(r.Actions) != 2 || r.Actions[1].Reason.Code != drivers.Trashed || r.Actions[0].Object.Name != "tank/old/x" || r.Actions[0].After[0] != r.Actions[1].ID {
		t.Errorf("declared again, it comes back: %+v", r.Actions)
	}
}
