package dataset

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func TestDiff(t *testing.T) {
	for name, c := range map[string]struct {
		want, have, plan []string
	}{
		"nothing to do": {
			want: []string{"tank atime=off", "tank/home compression=zstd quota=2T"},
			have: []string{"tank atime=off", "tank/home compression=zstd quota=2199023255552"},
		},
		"drift, with the mark written once": {
			want: []string{"tank/home compression=zstd atime=off"},
			have: []string{"tank", "tank/home readonly=on"},
			plan: []string{"update safe drift: zfs set atime=off compression=zstd dplane:applied=atime,compression tank/home"},
		},
		"drift of what is marked leaves the mark alone": {
			want: []string{"tank/home compression=zstd"},
			have: []string{"tank", "tank/home compression=lz4 dplane:applied=compression"},
			plan: []string{"update safe drift: zfs set compression=zstd tank/home"},
		},
		"the parent's mark is not the child's": {
			want: []string{"tank/home compression=zstd"},
			have: []string{"tank dplane:applied=compression", "tank/home"},
			plan: []string{"update safe drift: zfs set compression=zstd dplane:applied=compression tank/home"},
		},
		"what an operator set is claimed once it is changed": {
			want: []string{"tank/home compression=zstd atime=off com.example:a=b", "tank/user com.example:a=b"},
			have: []string{"tank", "tank/home compression=lz4 com.example:a=c", "tank/user com.example:a=c"},
			plan: []string{
				"update safe drift: zfs set atime=off com.example:a=b compression=zstd tank/home; zfs set dplane:applied=atime,com.example:a,compression tank/home",
				"update safe drift: zfs set com.example:a=b dplane:applied=com.example:a tank/user",
			},
		},
		"what is right by inheritance is right": {
			want: []string{"tank/home compression=zstd"},
			have: []string{"tank compression=zstd", "tank/home"},
		},
		"what an operator set and is declared becomes neither changed nor marked": {
			want: []string{"tank/home compression=zstd"},
			have: []string{"tank", "tank/home compression=zstd"},
		},
		"aliases": {
			want: []string{"tank/home compression=gzip-6 acltype=posixacl recordsize=128k"},
			have: []string{"tank", "tank/home compression=gzip acltype=posix recordsize=131072"},
		},
		"risks part a change, and the second waits for the first": {
			want: []string{"tank/home compression=zstd readonly=on"},
			have: []string{"tank", "tank/home"},
			plan: []string{
				"update safe drift: zfs set compression=zstd dplane:applied=compression tank/home",
				"update disruptive drift: zfs set dplane:applied=compression,readonly readonly=on tank/home",
			},
		},
		"what may be busy comes last of its risk, by itself": {
			want: []string{"tank/home mountpoint=/srv quota=5K sharenfs=on"},
			have: []string{"tank", "tank/home"},
			plan: []string{
				"update disruptive drift: zfs set dplane:applied=quota,sharenfs quota=5120 sharenfs=on tank/home",
				"update disruptive drift: zfs set dplane:applied=mountpoint,quota,sharenfs mountpoint=/srv tank/home",
			},
		},
		"taken out": {
			want: []string{"tank/home compression=zstd"},
			have: []string{"tank", "tank/home compression=zstd atime=off quota=5 dplane:applied=atime,compression,quota"},
			plan: []string{"update safe removed: zfs inherit -S atime tank/home; zfs inherit -S quota tank/home; zfs set dplane:applied=compression tank/home"},
		},
		"all taken out": {
			want: []string{"tank/home"},
			have: []string{"tank", "tank/home atime=off readonly=on dplane:applied=atime,readonly"},
			plan: []string{
				"update safe removed: zfs inherit -S atime tank/home; zfs set dplane:applied=readonly tank/home",
				"update disruptive removed: zfs inherit -S readonly tank/home; zfs inherit dplane:applied tank/home",
			},
		},
		"where properties left the files whole, nothing is touched": {
			want: []string{"tank/home none"},
			have: []string{"tank", "tank/home atime=off dplane:applied=atime"},
		},
		"a local value that is not marked is the operator's": {
			want: []string{"tank/home"},
			have: []string{"tank", "tank/home atime=off"},
		},
		"a mark of what is not local any more is cleaned": {
			want: []string{"tank/home"},
			have: []string{"tank", "tank/home dplane:applied=atime"},
			plan: []string{"update safe removed: zfs inherit dplane:applied tank/home"},
		},
		"creation-only is left, and named": {
			want: []string{"tank/home"},
			have: []string{"tank", "tank/home casesensitivity=mixed dplane:applied=casesensitivity"},
			plan: []string{"update safe removed: zfs inherit dplane:applied tank/home"},
		},
		"received values: declared wins, undeclared stays": {
			want: []string{"tank/home compression=zstd"},
			have: []string{"tank", "tank/home compression=^lz4 atime=^off"},
			plan: []string{"update safe drift: zfs set compression=zstd dplane:applied=compression tank/home"},
		},
		"a mount option that hides the value": {
			want: []string{"tank/home readonly=off"},
			have: []string{"tank", "tank/home readonly=~on"},
			plan: []string{"update disruptive drift: zfs set dplane:applied=readonly readonly=off tank/home"},
		},
		"creation-only differs": {
			want: []string{"tank/home casesensitivity=mixed compression=zstd"},
			have: []string{"tank", "tank/home"},
			plan: []string{
				"update safe drift: zfs set compression=zstd dplane:applied=compression tank/home",
				"blocked drift tank/home: casesensitivity is chosen at creation: only a new dataset can have another value; create one and copy the data",
			},
		},
		"a quota below what is used": {
			want: []string{"tank/home quota=5K refquota=6K"},
			have: []string{"tank", "tank/home used:7000 referenced:6000"},
			plan: []string{
				"update disruptive drift: zfs set dplane:applied=refquota refquota=6144 tank/home",
				"blocked drift tank/home: 5K is below the 7000 bytes that are used: free space first, or declare more",
			},
		},
		"a higher quota is safe, none too": {
			want: []string{"tank/a quota=6K", "tank/b quota=none"},
			have: []string{"tank", "tank/a quota=5", "tank/b quota=5"},
			plan: []string{
				"update safe drift: zfs set quota=6144 tank/a; zfs set dplane:applied=quota tank/a",
				"update safe drift: zfs set quota=none tank/b; zfs set dplane:applied=quota tank/b",
			},
		},
		"a property this release does not know": {
			want: []string{"tank/home direct=always"},
			have: []string{"tank", "tank/home"},
			plan: []string{"blocked drift tank/home: this release of ZFS does not know the property: take it out of the files, or upgrade ZFS"},
		},
		"a volume that no device shows": {
			want: []string{"tank/v volume:1M volthreading=off", "tank/w volume:1M volthreading=off"},
			have: []string{"tank", "tank/v volume volsize=1048576 volmode=none volthreading=on", "tank/w volume volsize=1048576 volthreading=on"},
			plan: []string{
				"blocked drift tank/v: volmode is none, and zfs sets volthreading only where a device shows the volume (\"dataset does not exist\"): leave it out, or declare another volmode",
				"update safe drift: zfs set volthreading=off tank/w; zfs set dplane:applied=volthreading tank/w",
			},
		},
		"user properties": {
			want: []string{"tank/home com.example:owner=it com.example:same=x"},
			have: []string{"tank com.example:same=x", "tank/home"},
			plan: []string{"update safe drift: zfs set com.example:owner=it dplane:applied=com.example:owner tank/home"},
		},
		"user quotas are set to none, not inherited": {
			want: []string{"tank/home userquota@anna=5K userobjquota@bob=none"},
			have: []string{"tank", "tank/home userquota@anna=0 userobjquota@bob=0 groupquota@it=9 dplane:applied=groupquota@it"},
			plan: []string{
				"update safe removed: zfs set groupquota@it=none tank/home; zfs inherit dplane:applied tank/home",
				"update disruptive drift: zfs set dplane:applied=userquota@anna userquota@anna=5120 tank/home",
			},
		},
		"a quota of nobody": {
			want: []string{"tank/home userquota@nobody=5K"},
			have: []string{"tank", "tank/home"},
			plan: []string{"blocked drift tank/home: this machine knows no such user, group or project: create it first, or name it by its number"},
		},
		"volumes": {
			want: []string{"tank/grow volume:2M", "tank/odd volume:20000", "tank/same volume:1M block:16K refreservation=auto", "tank/shrink volume:1M refreservation=1K", "tank/sized volume:1M block:8K"},
			have: []string{"tank", "tank/grow volume volsize=1048576", "tank/odd volume volsize=32768", "tank/same volume volsize=1048576 refreservation=1100000",
				"tank/shrink volume volsize=2097152 refreservation=1024", "tank/sized volume volsize=1048576"},
			plan: []string{
				"update irreversible drift: zfs set volsize=2097152 tank/grow",
				"update destructive drift: zfs set refreservation=1024 volsize=1048576 tank/shrink",
				"blocked drift tank/sized: the block size is chosen at creation: only a new volume can have another one; create one and copy the data",
			},
		},
		"sparse, as the files say": {
			want: []string{"tank/a volume:1M sparse", "tank/b volume:1M reserved", "tank/c volume:1M", "tank/d volume:1M", "tank/e volume:1M sparse", "tank/f volume:1M reserved",
				"tank/g volume:1M sparse refreservation=auto", "tank/h volume:1M reserved", "tank/i volume:1M sparse", "tank/k volume:1M sparse none"},
			have: []string{"tank", "tank/a volume volsize=1048576 refreservation=1100000", "tank/b volume volsize=1048576 available:2000000 referenced:900", "tank/c volume volsize=1048576",
				"tank/d volume volsize=1048576 refreservation=1100000", "tank/e volume volsize=1048576", "tank/f volume volsize=1048576 refreservation=1100000",
				"tank/g volume volsize=1048576 refreservation=1100000", "tank/h volume volsize=1048576 refreservation=48576 referenced:1024 available:999999",
				"tank/i volume volsize=1048576 refreservation=1100000 dplane:applied=refreservation", "tank/k volume volsize=1048576 refreservation=1000"},
			plan: []string{
				"update safe drift: zfs set refreservation=none tank/a",
				"update safe drift: zfs set refreservation=auto tank/b",
				"blocked drift tank/h: to reserve the 1M of the volume takes 976.6K more, and 976.6K are available to it: free space first, or declare sparse: true",
				"update safe removed: zfs inherit -S refreservation tank/i; zfs inherit dplane:applied tank/i",
				"update safe drift: zfs set refreservation=none tank/k",
			},
		},
		"sparse, and another size": {
			want: []string{"tank/a volume:2M sparse", "tank/b volume:2M reserved"},
			have: []string{"tank", "tank/a volume volsize=1048576 refreservation=1100000", "tank/b volume volsize=1048576 available:3000000"},
			plan: []string{
				"update safe drift: zfs set refreservation=none tank/a",
				"update irreversible drift: zfs set volsize=2097152 tank/a",
				"update irreversible drift: zfs set volsize=2097152 tank/b",
				"update safe drift: zfs set refreservation=auto tank/b",
			},
		},
		"mounted elsewhere": {
			want: []string{"tank/a mountpoint=/srv/a", "tank/b", "tank/b/c", "tank/b/u", "tank/d canmount=noauto", "tank/e mountpoint=/srv/e", "tank/f mountpoint=/srv/f", "tank/l"},
			have: []string{"tank", "tank/a mountpoint=/srv/a at:/old", "tank/b at:/mnt/b", "tank/b/c at:/mnt/b/c", "tank/b/foreign at:/mnt/b/foreign", "tank/b/u unmounted", "tank/d canmount=noauto mountpoint=^/srv/d at:/mnt/d",
				"tank/e mountpoint=/srv/other at:/srv/e", "tank/f mountpoint=/srv/f at:/srv/x", "tank/g mountpoint=/srv/y at:/srv/f", "tank/l mountpoint=legacy at:/srv/l"},
			plan: []string{
				"run disruptive drift: zfs set mountpoint=/srv/a tank/a",
				"run disruptive drift: zfs inherit -S mountpoint tank/b",
				"run disruptive drift: zfs inherit -S mountpoint tank/d",
				"update disruptive drift: zfs set mountpoint=/srv/e tank/e; zfs set dplane:applied=mountpoint tank/e",
				"blocked drift tank/f: /srv/f is where tank/g is mounted, which would be hidden: declare another mountpoint",
			},
		},
		"another type": {
			want: []string{"tank/a volume:1M", "tank/b compression=lz4"},
			have: []string{"tank", "tank/a", "tank/b volume volsize=1048576"},
			plan: []string{
				"blocked conflict tank/a: a dataset can't change its type: declare it as it is, or copy its data to a new one",
				"blocked conflict tank/b: a dataset can't change its type: declare it as it is, or copy its data to a new one",
			},
		},
		"creates": {
			want: []string{"tank/a compression=zstd canmount=off userquota@anna=5K", "tank/a/b", "tank/v volume:1M block:8K sparse compression=lz4", "tank/w volume:1M sparse refreservation=auto"},
			have: []string{"tank"},
			plan: []string{
				"create safe missing: zfs create -o canmount=off -o compression=zstd -o dplane:applied=canmount,compression tank/a; " +
					"zfs set dplane:applied=canmount,compression,userquota@anna userquota@anna=5120 tank/a",
				"create safe missing: zfs create tank/a/b",
				"create safe missing: zfs create -s -V 1048576 -o compression=lz4 -o dplane:applied=compression -o volblocksize=8192 tank/v",
				"create safe missing: zfs create -V 1048576 -o dplane:applied=refreservation tank/w",
			},
		},
		"no parent": {
			want: []string{"tank/a/b", "tank/v/x", "tank/k/x", "tank/z absent"},
			have: []string{"tank", "tank/k locked", "tank/v volume volsize=1048576"},
			plan: []string{
				"blocked missing tank/a/b: its parent tank/a is neither declared nor there, and dplane makes no parents: declare it too",
				"blocked conflict tank/k/x: the key of tank/k is not loaded: zfs load-key tank/k",
				"blocked conflict tank/v/x: tank/v is a volume, and nothing can be below one",
			},
		},
		"a mountpoint that is taken": {
			want: []string{"tank/a mountpoint=/tank/b"},
			have: []string{"tank", "tank/b"},
			plan: []string{"blocked conflict tank/a: /tank/b, where it would be mounted, is the mountpoint of tank/b: declare another mountpoint"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := plan(declare(t, c.want...), machine(c.have...))
			if strings.Join(got, "\n") != strings.Join(c.plan, "\n") {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.plan, "\n  "))
			}
		})
	}
}

// What stands in the way of anything at all on a pool, or of one create.
func TestDiffHeld(t *testing.T) {
	declared := []string{"tank compression=zstd", "tank/home compression=zstd", "tank/new"}
	for name, c := range map[string]struct {
		change func(*spec.Spec, *state.Observed)
		plan   string
	}{
		"unseen": {func(_ *spec.Spec, o *state.Observed) { o.Unseen = []state.Unseen{{Pool: "tank", Why: "suspended"}} }, ""},
		"no ZFS": {func(_ *spec.Spec, o *state.Observed) { o.ZFS.Error = "no module" }, ""},
		"read-only": {func(_ *spec.Spec, o *state.Observed) {
			o.Pools["tank"].Properties = map[string]state.Property{"readonly": {Value: "on", Source: "-"}}
		}, "blocked,blocked,blocked"},
		"read-only, a key and a mount": {func(s *spec.Spec, o *state.Observed) {
			o.Pools["tank"].Properties = map[string]state.Property{"readonly": {Value: "on", Source: "-"}}
			s.Datasets["tank/home"].Encryption = &spec.Encryption{Format: "raw", KeyFile: "/k"}
			o.KeyFiles = map[string]*state.KeyFile{"/k": {Kind: "regular file", Owner: "0", Mode: "600", Size: 32}}
			home := o.Datasets["tank/home"]
			home.Mounted, home.KeyStatus, home.EncryptionRoot = false, "unavailable", "tank/home"
			home.Properties["keyformat"], home.Properties["keylocation"] = state.Property{Value: "raw", Source: "-"}, state.Property{Value: "file:///k", Source: "local"}
			home.Properties["encryption"] = state.Property{Value: "aes-256-gcm", Source: "-"}
		}, "blocked,run,blocked,run,blocked"},
		"read-only, mounted elsewhere": {func(_ *spec.Spec, o *state.Observed) {
			o.Pools["tank"].Properties = map[string]state.Property{"readonly": {Value: "on", Source: "-"}}
			home := o.Datasets["tank/home"]
			home.Mounted, home.MountedAt = true, "/elsewhere"
		}, "blocked,blocked,blocked,blocked"},
		"another pool":  {func(_ *spec.Spec, o *state.Observed) { o.Recorded = recorded("pool", "tank", "7") }, ""},
		"the same pool": {func(_ *spec.Spec, o *state.Observed) { o.Recorded = recorded("pool", "tank", o.Pools["tank"].GUID) }, "update,update,create"},
		"another dataset": {func(_ *spec.Spec, o *state.Observed) { o.Recorded = recorded("dataset", "tank/home", "7") },
			"update,blocked,create"},
		"was here before": {func(_ *spec.Spec, o *state.Observed) { o.Recorded = recorded("dataset", "tank/new", "7") },
			"update,update,blocked"},
		"files in the way":    {func(_ *spec.Spec, o *state.Observed) { o.Occupied = []string{"/tank/new"} }, "update,update,blocked"},
		"files in other ways": {func(_ *spec.Spec, o *state.Observed) { o.Occupied = []string{"/new"} }, "update,update,create"},
		"a replica": {func(s *spec.Spec, _ *state.Observed) {
			s.Replications["r"] = &spec.Replication{Target: spec.End{Dataset: "tank/home"}}
		}, "update,create"},
		"the standby's": {func(s *spec.Spec, _ *state.Observed) {
			s.HA = &spec.HA{Datasets: []spec.DatasetName{"tank"}}
		}, ""},
		"the active's": {func(s *spec.Spec, o *state.Observed) {
			s.HA, o.Role = &spec.HA{Datasets: []spec.DatasetName{"tank"}}, "active"
		}, "update,update,create"},
		"not in this version": {func(s *spec.Spec, _ *state.Observed) {
			s.Datasets["tank/new"].Encryption = &spec.Encryption{Format: "raw"}
			s.Datasets["tank/home"].Absent = true
		}, "create,destroy,update,blocked"},
	} {
		t.Run(name, func(t *testing.T) {
			want, have := declare(t, declared...), machine("tank", "tank/home")
			c.change(want, have)
			actions, text := plan(want, have)
			verbs := make([]string, len(actions))
			for i, a := range actions {
				verbs[i] = string(a.Verb)
			}
			if got := strings.Join(verbs, ","); got != c.plan {
				t.Errorf("got %q, want %q\n%s", got, c.plan, strings.Join(text, "\n"))
			}
		})
	}
}

func recorded(kind, name, guid string) []state.Recorded {
	return []state.Recorded{{Kind: kind, Name: name, GUID: guid}}
}

// A pool that is missing: its datasets come with it, or plan nothing where it does not.
func TestDiffMissingPool(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*spec.Spec, *state.Observed)
		n      int
	}{
		"blank devices": {func(*spec.Spec, *state.Observed) {}, 2},
		"a used device": {func(_ *spec.Spec, o *state.Observed) { o.Devices["/dev/tank"].Used = []string{"ext4"} }, 0},
		"not looked at": {func(_ *spec.Spec, o *state.Observed) { delete(o.Devices, "/dev/tank") }, 0},
		"recorded":      {func(_ *spec.Spec, o *state.Observed) { o.Recorded = recorded("pool", "tank", "7") }, 0},
		"importable":    {func(_ *spec.Spec, o *state.Observed) { o.Importable = []state.Importable{{Name: "tank", GUID: "7"}} }, 0},
		"no vdevs":      {func(s *spec.Spec, _ *state.Observed) { s.Pools["tank"].Vdevs = nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			want, have := declare(t, "tank compression=zstd", "tank/a", "tank/a/b"), machine()
			have.Devices["/dev/tank"] = &state.Device{Path: "/dev/tank", Exists: true}
			c.change(want, have)
			actions, text := plan(want, have)
			if len(actions) != c.n {
				t.Fatalf("got %d actions, want %d\n%s", len(actions), c.n, strings.Join(text, "\n"))
			}
			for _, a := range actions {
				if a.Verb != drivers.Create || a.Waits[0] != (spec.Ref{Kind: spec.KindPool, Name: "tank"}) {
					t.Errorf("%s %s waits for %v, not for its pool", a.Verb, a.Object, a.Waits)
				}
			}
		})
	}
}
