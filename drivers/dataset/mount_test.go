package dataset

import (
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
)

func TestMounts(t *testing.T) {
	for name, c := range map[string]struct {
		have, want, occupied []string
		plan                 string // "" is nothing
	}{
		"not mounted": {
			have: []string{"tank", "tank/a unmounted"}, want: []string{"tank/a"},
			plan: "run safe drift: zfs mount tank/a",
		},
		"undeclared":          {have: []string{"tank", "tank/a unmounted"}, want: []string{"tank"}},
		"noauto":              {have: []string{"tank", "tank/a canmount=noauto unmounted"}, want: []string{"tank/a"}},
		"legacy":              {have: []string{"tank", "tank/a mountpoint=legacy unmounted"}, want: []string{"tank/a"}},
		"none":                {have: []string{"tank", "tank/a mountpoint=none unmounted", "tank/a/b unmounted"}, want: []string{"tank/a", "tank/a/b"}},
		"zoned":               {have: []string{"tank", "tank/a zoned=on unmounted"}, want: []string{"tank/a"}},
		"a volume":            {have: []string{"tank", "tank/v volume volsize=16384"}, want: []string{"tank/v volume:16K sparse"}},
		"its key is not here": {have: []string{"tank", "tank/a unmounted locked"}, want: []string{"tank/a"}},
		"files in the way": {
			have: []string{"tank", "tank/a unmounted"}, want: []string{"tank/a"}, occupied: []string{"/tank/a"},
			plan: "blocked drift tank/a: /tank/a, where it would be mounted, holds files, and mounting would hide them: move them away, or declare another mountpoint",
		},
		"parents first, and a create last": {
			have: []string{"tank", "tank/a unmounted", "tank/a/b unmounted"}, want: []string{"tank/a", "tank/a/b", "tank/a/b/c"},
			plan: "run safe drift: zfs mount tank/a | run safe drift: zfs mount tank/a/b | create safe missing: zfs create tank/a/b/c",
		},
		"a child is mounted": {
			have: []string{"tank", "tank/a unmounted", "tank/a/b"}, want: []string{"tank/a"},
			plan: "blocked drift tank/a: mounting it at /tank/a would hide what is mounted below: tank/a/b; by hand: zfs unmount those, zfs mount tank/a, and mount them again",
		},
		"a stranger above": {
			have: []string{"tank", "tank/a unmounted", "tank/a/b unmounted"}, want: []string{"tank/a/b"},
			plan: "blocked drift tank/a/b: tank/a, above it, is not mounted either, and not declared: zfs mount tank/a, and apply again",
		},
		"a stranger above that is elsewhere": {
			have: []string{"tank", "tank/a at:/old", "tank/a/b unmounted"}, want: []string{"tank/a/b"},
			plan: "blocked drift tank/a/b: tank/a, above it, is mounted at /old, not at its mountpoint, and not declared: zfs unmount tank/a, zfs mount tank/a, and apply again",
		},
		"taken": {
			have: []string{"tank", "tank/a mountpoint=/srv", "tank/b mountpoint=/srv unmounted"}, want: []string{"tank/b"},
			plan: "blocked drift tank/b: /srv, where it would be mounted, is the mountpoint of tank/a: declare another mountpoint",
		},
		"canmount=on mounts nothing by itself": {
			have: []string{"tank", "tank/a canmount=noauto unmounted"}, want: []string{"tank/a canmount=on"},
			plan: "update disruptive drift: zfs set canmount=on tank/a; zfs set dplane:applied=canmount tank/a | run safe drift: zfs mount tank/a",
		},
		"a mountpoint does": {
			have: []string{"tank", "tank/a mountpoint=none unmounted"}, want: []string{"tank/a mountpoint=/srv"},
			plan: "update disruptive drift: zfs set mountpoint=/srv tank/a; zfs set dplane:applied=mountpoint tank/a",
		},
		"a mountpoint does not reach below one that has its own": {
			have: []string{"tank", "tank/a", "tank/a/b mountpoint=/elsewhere", "tank/a/b/c unmounted"}, want: []string{"tank/a mountpoint=/srv", "tank/a/b/c"},
			plan: "update disruptive drift: zfs set dplane:applied=mountpoint mountpoint=/srv tank/a | run safe drift: zfs mount tank/a/b/c",
		},
		"a mountpoint with files": {
			have: []string{"tank", "tank/a"}, want: []string{"tank/a mountpoint=/srv"}, occupied: []string{"/srv"},
			plan: "blocked drift tank/a: /srv holds files, and mounting there would hide them: move them away, or declare another mountpoint",
		},
		"a mountpoint with files, of a child that follows": {
			have: []string{"tank", "tank/a canmount=off unmounted", "tank/a/b"}, want: []string{"tank/a mountpoint=/srv"}, occupied: []string{"/srv", "/srv/b"},
			plan: "blocked drift tank/a: /srv/b holds files, and mounting there would hide them: move them away, or declare another mountpoint",
		},
		"files in a mountpoint that is never mounted": {
			have: []string{"tank", "tank/a canmount=off unmounted", "tank/a/b"}, want: []string{"tank/a mountpoint=/srv", "tank/a/b"}, occupied: []string{"/srv"},
			plan: "update disruptive drift: zfs set dplane:applied=mountpoint mountpoint=/srv tank/a",
		},
		"a mountpoint in use": {
			have: []string{"tank", "tank/a", "tank/b mountpoint=/srv"}, want: []string{"tank/a mountpoint=/srv"},
			plan: "blocked drift tank/a: /srv is the mountpoint of tank/b, which would be hidden: declare another mountpoint",
		},
		"a mountpoint given back over files": {
			have: []string{"tank", "tank/a mountpoint=/srv dplane:applied=mountpoint"}, want: []string{"tank/a"}, occupied: []string{"/tank/a"},
			plan: "blocked drift tank/a: /tank/a holds files, and mounting there would hide them: move them away, or declare another mountpoint",
		},
		"mounted by hand, and off": {
			have: []string{"tank", "tank/a canmount=off"}, want: []string{"tank/a"},
			plan: "run disruptive drift: zfs unmount tank/a",
		},
		"mounted by hand, with a child": {
			have: []string{"tank", "tank/a canmount=off", "tank/a/b"}, want: []string{"tank/a"},
			plan: "blocked drift tank/a: unmounting it would unmount what is below: tank/a/b; by hand: zfs unmount tank/a, and zfs mount what shall stay",
		},
	} {
		t.Run(name, func(t *testing.T) {
			obs := machine(c.have...)
			obs.Occupied = c.occupied
			_, text := plan(declare(t, c.want...), obs)
			if got := strings.Join(text, " | "); got != c.plan {
				t.Errorf("got\n%s\nwant\n%s", got, c.plan)
			}
		})
	}
}

// TestMountsOn21: what OpenZFS 2.1 does not mount by itself is mounted by an action of its own.
func TestMountsOn21(t *testing.T) {
	const srv = "update disruptive drift: zfs set mountpoint=/srv tank/a; zfs set dplane:applied=mountpoint tank/a"
	for name, c := range map[string]struct{ have, want, plan string }{
		"from none":    {"tank/a mountpoint=none unmounted", "tank/a mountpoint=/srv", srv},
		"from a place": {"tank/a mountpoint=/old unmounted", "tank/a mountpoint=/srv", srv + " | run safe drift: zfs mount tank/a"},
		"with canmount": {"tank/a mountpoint=none canmount=noauto unmounted", "tank/a mountpoint=/srv canmount=on",
			"update disruptive drift: zfs set canmount=on mountpoint=/srv tank/a; zfs set dplane:applied=canmount,mountpoint tank/a | run safe drift: zfs mount tank/a"},
	} {
		obs := machine("tank", c.have)
		obs.ZFS.Userland = "2.1.11-1+deb12u1"
		if _, text := plan(declare(t, c.want), obs); strings.Join(text, " | ") != c.plan {
			t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(text, " | "), c.plan)
		}
	}
}

// TestMountsWait: each mount waits for those above it, and what is made below for both.
func TestMountsWait(t *testing.T) {
	actions, _ := plan(declare(t, "tank/a canmount=on", "tank/a/b", "tank/a/b/c"), machine("tank", "tank/a canmount=off unmounted", "tank/a/b unmounted"))
	if len(actions) != 4 {
		t.Fatalf("%d actions", len(actions))
	}
	for i, a := range actions[1:] {
		for _, before := range actions[:i+1] {
			direct := before.Verb != "update" || i == 0
			if direct && !slices.Contains(a.After, before.ID) {
				t.Errorf("%s %s does not wait for %s %s", a.Verb, a.Object, before.Verb, before.Object)
			}
		}
	}
}

// TestPlacesLookedAt: directories are looked at only where something may be mounted over them.
func TestPlacesLookedAt(t *testing.T) {
	for _, c := range []struct {
		have, want []string
		places     string
	}{
		{[]string{"tank", "tank/a"}, []string{"tank", "tank/a"}, ""},
		{[]string{"tank", "tank/a unmounted"}, []string{"tank", "tank/a"}, "/tank/a"},
		{[]string{"tank", "tank/a unmounted canmount=noauto"}, []string{"tank", "tank/a"}, ""},
		{[]string{"tank", "tank/a", "tank/a/b", "tank/a/c mountpoint=/c"}, []string{"tank", "tank/a mountpoint=/srv"}, "/srv /srv/b"},
		{[]string{"tank", "tank/a mountpoint=/srv dplane:applied=mountpoint", "tank/a/b canmount=noauto unmounted"}, []string{"tank/a"}, "/tank/a"},
	} {
		got := strings.Join(sortedKeys(wouldMount(declare(t, c.want...), machine(c.have...))), " ")
		if got != c.places {
			t.Errorf("%v, %v: looks at %q, want %q", c.have, c.want, got, c.places)
		}
	}
}

// TestTemporary: what a mount option says is not what is set.
func TestTemporary(t *testing.T) {
	_, text := plan(declare(t, "tank/a readonly=on"), machine("tank", "tank/a readonly=~on"))
	if want := "update disruptive drift: zfs set dplane:applied=readonly readonly=on tank/a"; strings.Join(text, " | ") != want {
		t.Errorf("got %v", text)
	}
}

// TestReservationTakenOut: a volume that is not sparse does not become so where its refreservation left the files.
func TestReservationTakenOut(t *testing.T) {
	for _, c := range []struct{ have, want, plan string }{
		{"refreservation=20000 dplane:applied=refreservation", "volume:16K", "update safe removed: zfs inherit dplane:applied tank/v"},
		{"refreservation=4096 dplane:applied=refreservation", "volume:16K", "update safe removed: zfs set refreservation=auto tank/v; zfs inherit dplane:applied tank/v"},
		{"refreservation=4096 dplane:applied=refreservation", "volume:16K sparse", "update safe removed: zfs inherit -S refreservation tank/v; zfs inherit dplane:applied tank/v"},
	} {
		_, text := plan(declare(t, "tank/v "+c.want), machine("tank", "tank/v volume volsize=16384 "+c.have))
		if got := strings.Join(text, " | "); got != c.plan {
			t.Errorf("%s, %s: got %s", c.have, c.want, got)
		}
	}
}

// TestMountsAfterRemount: what follows a remount is mounted by it, or, on OpenZFS 2.1, after it.
func TestMountsAfterRemount(t *testing.T) {
	want, obs := declare(t, "tank/a", "tank/a/b"), machine("tank", "tank/a at:/old", "tank/a/b unmounted")
	if _, text := plan(want, obs); strings.Join(text, " | ") != "run disruptive drift: zfs inherit -S mountpoint tank/a" {
		t.Error(text)
	}
	obs.Occupied = []string{"/tank/a"} // what is below waits for what is blocked
	if actions, text := plan(want, obs); len(actions) != 2 || actions[0].Verb != drivers.Blocked || !slices.Contains(actions[1].After, actions[0].ID) {
		t.Error(text)
	}
	obs.Occupied = nil
	obs.ZFS.Userland = "2.1.11-1+deb12u1"
	actions, text := plan(want, obs)
	if len(actions) != 2 || actions[1].Steps[0].String() != "zfs mount tank/a/b" || !slices.Contains(actions[1].After, actions[0].ID) {
		t.Error(text)
	}
}

// A file system that `zfs set -u` left where it was is seen there, moved with one command, and then nothing is left to
// do; what is declared absent is looked for where it is.
func TestMisplaced(t *testing.T) {
	f := tankOn(t)
	for _, line := range []string{"zfs create tank/a", "zfs create tank/a/b", "zfs create tank/gone", "zfs set -u mountpoint=/srv tank/a", "zfs set -u mountpoint=/other tank/gone"} {
		if _, err := f.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	f.SetBusy("tank/gone", true)
	want := declare(t, "tank/a mountpoint=/srv", "tank/gone absent")
	obs := look(t, f, want)
	if a, b := obs.Datasets["tank/a"].MountedAt, obs.Datasets["tank/a/b"].MountedAt; a != "/tank/a" || b != "/tank/a/b" || obs.Datasets["tank"].MountedAt != "" {
		t.Errorf("mounted at %q, %q and %q", a, b, obs.Datasets["tank"].MountedAt)
	}
	if len(obs.Busy) != 1 || !strings.Contains(obs.Busy[0].By, "uses /tank/gone/file") {
		t.Errorf("busy: %v", obs.Busy)
	}
	actions, text := plan(want, obs)
	if len(actions) != 2 || actions[1].Risk != spec.Disruptive || !strings.Contains(strings.Join(actions[1].Notes, "\n"), "1 below it move along: tank/a/b") {
		t.Fatalf("%s %+v", strings.Join(text, "\n"), actions)
	}
	if err := (&Driver{Runner: f}).Apply(t.Context(), actions[1]); err != nil {
		t.Fatal(err)
	}
	obs = look(t, f, want)
	if actions, text := plan(want, obs); len(actions) != 1 || obs.Datasets["tank/a/b"].MountedAt != "" {
		t.Errorf("left to do: %s, and tank/a/b at %q", strings.Join(text, "\n"), obs.Datasets["tank/a/b"].MountedAt)
	}
}

// Also where a change of its mountpoint is refused, it is not mounted over the files where it belongs.
func TestMisplacedOverFiles(t *testing.T) {
	f := tankOn(t)
	for _, line := range []string{"zfs create tank/a", "zfs create -o mountpoint=/other tank/b", "zfs set -u mountpoint=/srv tank/a"} {
		if _, err := f.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	f.AddDir("/srv", "file")
	want := declare(t, "tank/a mountpoint=/other")
	actions, text := plan(want, look(t, f, want))
	if len(runnable(actions)) > 0 || !strings.Contains(strings.Join(text, "\n"), "/srv holds files") {
		t.Error(strings.Join(text, "\n"))
	}
}
