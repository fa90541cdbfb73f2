package pool

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
)

// tankOf loads what the files say of the pool tank.
func tankOf(t testing.TB, yaml string) *spec.Spec {
	t.Helper()
	want, err := spec.LoadFiles(map[string][]byte{"p.yaml": []byte("pools: {tank: {" + yaml + "}}\n")}, spec.LoadOptions{Hostname: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// act runs lines at the machine: commands, or with a colon before them what happens to its devices.
func act(t testing.TB, f *zfsfake.Fake, lines ...string) {
	t.Helper()
	for _, line := range lines {
		var err error
		if control, ok := strings.CutPrefix(line, ":"); ok {
			err = f.Control(control)
		} else if line != "" {
			_, err = f.Do(line)
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

// told is a plan on a line for each action: its risk and commands, or the first thing that stands in its way.
func told(r drivers.Result) string {
	var lines []string
	for _, a := range r.Actions {
		if a.Verb == drivers.Blocked {
			lines = append(lines, "blocked: "+strings.Join(a.Notes, " / "))
			continue
		}
		for _, c := range a.Steps {
			lines = append(lines, a.Risk.String()+": "+c.String())
		}
	}
	for _, n := range r.Notices {
		lines = append(lines, "notice: "+n)
	}
	return strings.Join(lines, "\n")
}

// matches compares line by line; a line that ends with "..." is compared up to there.
func matches(got, want string) bool {
	g, w := strings.Split(got, "\n"), strings.Split(strings.TrimSpace(want), "\n")
	if len(g) != len(w) {
		return false
	}
	for i := range w {
		line := strings.TrimSpace(w[i])
		if begin, open := strings.CutSuffix(line, "..."); g[i] != line && !(open && strings.HasPrefix(g[i], begin)) {
			return false
		}
	}
	return true
}

func look2(t testing.TB, f *zfsfake.Fake, want *spec.Spec) drivers.Result {
	return (&Driver{}).Diff(drivers.Input{Want: want, Have: look(t, f, want)})
}

// TestTopologyChanges: what is declared against what is there, the plan, and what is left to do after it.
func TestTopologyChanges(t *testing.T) {
	const (
		mirror = "zpool create tank mirror /d/a /d/b"
		two    = "zpool create tank mirror /d/a /d/b mirror /d/c /d/d"
		raidz  = "zpool create tank raidz1 /d/a /d/b /d/c"
	)
	for name, c := range map[string]struct {
		machine string // lines, separated by semicolons
		yaml    string
		plan    string
		then    string // the next plan, after the first was carried out
	}{
		"as declared": {mirror, "vdevs: [{mirror: [/d/a, /d/b]}]", "", ""},
		"add a mirror": {mirror, "vdevs: [{mirror: [/d/a, /d/b]}, {mirror: [/d/c, /d/d]}]",
			"irreversible: zpool add tank mirror /d/c /d/d", ""},
		"add stripes":           {"zpool create tank /d/a", "vdevs: [{stripe: [/d/a, /d/b, /d/c]}]", "irreversible: zpool add tank /d/b\nirreversible: zpool add tank /d/c", ""},
		"add a raidz":           {raidz, "vdevs: [{raidz1: [/d/a, /d/b, /d/c]}, {raidz1: [/d/d, /d/e, /d/f]}]", "irreversible: zpool add tank raidz1 /d/d /d/e /d/f", ""},
		"add a raidz of others": {raidz, "vdevs: [{raidz1: [/d/a, /d/b, /d/c]}, {raidz1: [/d/d, /d/e]}]", "blocked: its redundancy differs from that of the pool (a raidz1 of 2, and the pool has a raidz1 of 3)...", "same"},
		"add a stripe to mirrors": {mirror, "vdevs: [{mirror: [/d/a, /d/b]}, {stripe: [/d/c]}]",
			"blocked: its redundancy differs from that of the pool (a single device, and the pool has a mirror of 2), and zpool refuses to mix them...", "same"},
		"add a log":            {mirror, "vdevs: [{mirror: [/d/a, /d/b]}], log: [{mirror: [/d/c, /d/d]}]", "irreversible: zpool add tank log mirror /d/c /d/d", ""},
		"add a single log":     {mirror, "vdevs: [{mirror: [/d/a, /d/b]}], log: [{stripe: [/d/c]}]", "irreversible: zpool add tank log /d/c", ""},
		"add special":          {mirror, "vdevs: [{mirror: [/d/a, /d/b]}], special: [{mirror: [/d/c, /d/d]}]", "irreversible: zpool add tank special mirror /d/c /d/d", ""},
		"add a single special": {mirror, "vdevs: [{mirror: [/d/a, /d/b]}], special: [{stripe: [/d/c]}]", "blocked: its redundancy differs...", "same"},
		"add dedup":            {mirror, "vdevs: [{mirror: [/d/a, /d/b]}], dedup: [{mirror: [/d/c, /d/d]}]", "irreversible: zpool add tank dedup mirror /d/c /d/d", ""},
		"special without the feature": {"zpool create -o feature@allocation_classes=disabled tank mirror /d/a /d/b", "vdevs: [{mirror: [/d/a, /d/b]}], special: [{mirror: [/d/c, /d/d]}]",
			"blocked: to have a special vdev the pool needs the feature allocation_classes, which is disabled: zpool set feature@allocation_classes=enabled tank...\nnotice: pool tank (p.yaml:1): it does not have all features...", "same"},
		"add cache and spare":  {mirror, "vdevs: [{mirror: [/d/a, /d/b]}], cache: [/d/c], spare: [/d/d]", "irreversible: zpool add tank cache /d/c\nirreversible: zpool add tank spare /d/d", ""},
		"add a used device":    {mirror + ";:disk /d/c 8G ext4", "vdevs: [{mirror: [/d/a, /d/b]}], spare: [/d/c]", "blocked: /d/c is used: signature of ext4...", "same"},
		"add a missing device": {mirror, "vdevs: [{mirror: [/d/a, /d/b]}], spare: [/d/nosuch]", "blocked: /d/nosuch does not exist", "same"},

		"attach":             {mirror, "vdevs: [{mirror: [/d/a, /d/b, /d/c]}]", "disruptive: zpool attach tank /d/a /d/c", ""},
		"attach two":         {mirror, "vdevs: [{mirror: [/d/a, /d/b, /d/c, /d/d]}]", "disruptive: zpool attach tank /d/a /d/c\ndisruptive: zpool attach tank /d/a /d/d", ""},
		"a mirror of one":    {"zpool create tank /d/a", "vdevs: [{mirror: [/d/a, /d/b]}]", "disruptive: zpool attach tank /d/a /d/b", ""},
		"attach to a log":    {mirror + " log /d/c", "vdevs: [{mirror: [/d/a, /d/b]}], log: [{mirror: [/d/c, /d/d]}]", "disruptive: zpool attach tank /d/c /d/d", ""},
		"attach a used one":  {mirror + ";:disk /d/c 8G xfs", "vdevs: [{mirror: [/d/a, /d/b, /d/c]}]", "blocked: /d/c is used: signature of xfs...", "same"},
		"expand":             {raidz, "vdevs: [{raidz1: [/d/a, /d/b, /d/c, /d/d]}]", "irreversible: zpool attach tank raidz1-0 /d/d", ""},
		"expand by two":      {raidz, "vdevs: [{raidz1: [/d/a, /d/b, /d/c, /d/d, /d/e]}]", "irreversible: zpool attach tank raidz1-0 /d/d\nblocked: a pool expands by one device at a time...", "irreversible: zpool attach tank raidz1-0 /d/e"},
		"expand an old pool": {"zpool create -o feature@raidz_expansion=disabled tank raidz1 /d/a /d/b /d/c", "vdevs: [{raidz1: [/d/a, /d/b, /d/c, /d/d]}]", "blocked: to expand a raidz the pool needs the feature raidz_expansion...\nnotice: pool tank (p.yaml:1): it does not have all features...", "same"},

		"attach, and add alike": {mirror, "vdevs: [{mirror: [/d/a, /d/b, /d/c]}, {mirror: [/d/d, /d/e, /d/f]}]", "disruptive: zpool attach tank /d/a /d/c\nirreversible: zpool add tank mirror /d/d /d/e /d/f", ""},
		"attach, and add what was alike": {mirror, "vdevs: [{mirror: [/d/a, /d/b, /d/c]}, {mirror: [/d/d, /d/e]}]",
			"disruptive: zpool attach tank /d/a /d/c\nblocked: its redundancy differs from that of the pool (a mirror of 2, and the pool has a mirror of 3)...", "blocked: its redundancy differs..."},
		"a mirror of one, and another": {"zpool create tank /d/a", "vdevs: [{mirror: [/d/a, /d/b]}, {mirror: [/d/c, /d/d]}]", "disruptive: zpool attach tank /d/a /d/b\nirreversible: zpool add tank mirror /d/c /d/d", ""},
		"replace a single, and add": {"zpool create tank /d/e /d/a", "vdevs: [{stripe: [/d/e, /d/b]}], special: [{stripe: [/d/c]}]",
			"disruptive: zpool replace tank /d/a /d/b\nblocked: /d/a is to be replaced, and meanwhile zpool refuses to add...", "irreversible: zpool add tank special /d/c"},

		"released from a mirror": {mirror, "vdevs: [{stripe: [/d/a]}]",
			"notice: pool tank (p.yaml:1): /d/b of mirror-0 is no longer declared: released, it stays in the pool; to take it out: remove: [/d/b]", "same"},
		"a released vdev": {two, "vdevs: [{mirror: [/d/a, /d/b]}]",
			"notice: pool tank (p.yaml:1): mirror-1 is no longer declared: released, it stays in the pool; to take it out: remove: [/d/c, /d/d]", "same"},
		"released lists": {mirror + " log /d/c cache /d/d spare /d/e", "vdevs: [{mirror: [/d/a, /d/b]}]",
			"notice: pool tank (p.yaml:1): /d/c is no...\nnotice: pool tank (p.yaml:1): /d/d is no...\nnotice: pool tank (p.yaml:1): /d/e is no...", "same"},

		"detach":               {mirror, "vdevs: [{stripe: [/d/a]}], remove: [/d/b]", "irreversible: zpool detach tank /d/b", "notice: pool tank: /d/b (p.yaml:1) is not in the pool: take it out of remove"},
		"detach the only copy": {mirror + ";zpool offline tank /d/a", "vdevs: [{stripe: [/d/a]}], remove: [/d/b]", "safe: zpool online tank /d/a\nblocked: no other device of mirror-0 is online: it holds the only copy", "irreversible: zpool detach tank /d/b"},
		"attach, then detach": {mirror, "vdevs: [{mirror: [/d/a, /d/c]}], remove: [/d/b]", "disruptive: zpool attach tank /d/a /d/c\nblocked: it stays until /d/c is attached and resilvered",
			"irreversible: zpool detach tank /d/b"},
		"remove a vdev": {two, "vdevs: [{mirror: [/d/a, /d/b]}], remove: [/d/c, /d/d]", "irreversible: zpool remove tank mirror-1", "notice: pool tank: /d/c (p.yaml:1) is not...\nnotice: pool tank: /d/d..."},
		"replace in one, remove another": {two, "vdevs: [{mirror: [/d/e, /d/b]}], remove: [/d/c, /d/d]", "disruptive: zpool replace tank /d/a /d/e\nblocked: a device of mirror-0 is to be replaced: it comes after that",
			"irreversible: zpool remove tank mirror-1"},
		"remove beside a spare in use": {two + ";zpool add tank spare /d/e;zpool replace tank /d/a /d/e", "vdevs: [{mirror: [/d/a, /d/b]}], spare: [/d/e], remove: [/d/c, /d/d]", "blocked: a spare or a replacement stands in spare-0 of mirror-0, and meanwhile ZFS removes no vdev: settle that first", "same"},
		"replace in a raidz, and expand it": {raidz, "vdevs: [{raidz1: [/d/d, /d/b, /d/c, /d/e]}]", "disruptive: zpool replace tank /d/a /d/d\nblocked: a device of raidz1-0 is to be replaced: it comes after that",
			"irreversible: zpool attach tank raidz1-0 /d/e"},
		"replace in a mirror, and widen it": {mirror, "vdevs: [{mirror: [/d/d, /d/b, /d/e]}]", "disruptive: zpool replace tank /d/a /d/d\nblocked: a device of mirror-0 is to be replaced: it comes after that",
			"disruptive: zpool attach tank /d/d /d/e"},
		"remove a stripe":   {"zpool create tank /d/a /d/b", "vdevs: [{stripe: [/d/a]}], remove: [/d/b]", "irreversible: zpool remove tank /d/b", "notice: pool tank: /d/b..."},
		"remove two":        {"zpool create tank /d/a /d/b /d/c", "vdevs: [{stripe: [/d/a]}], remove: [/d/b, /d/c]", "irreversible: zpool remove tank /d/b\nblocked: a pool removes one vdev at a time...", "irreversible: zpool remove tank /d/c\nnotice: pool tank: /d/b..."},
		"remove of a raidz": {raidz, "vdevs: [{raidz1: [/d/a, /d/b]}], remove: [/d/c]", "blocked: ZFS does not take a device out of a raidz or draid...", "same"},
		"remove beside a raidz": {"zpool create tank raidz1 /d/a /d/b;zpool add tank mirror /d/c /d/d", "vdevs: [{raidz1: [/d/a, /d/b]}], remove: [/d/c, /d/d]",
			"blocked: ZFS removes no data vdev from a pool with a raidz or draid...", "same"},
		"remove the lists": {mirror + " log /d/c cache /d/d spare /d/e", "vdevs: [{mirror: [/d/a, /d/b]}], remove: [/d/c, /d/d, /d/e]",
			"irreversible: zpool remove tank /d/c\nirreversible: zpool remove tank /d/d\nirreversible: zpool remove tank /d/e", "notice: ...\nnotice: ...\nnotice: ..."},
		"remove a mirrored log": {raidz + " log mirror /d/d /d/e", "vdevs: [{raidz1: [/d/a, /d/b, /d/c]}], remove: [/d/d, /d/e]", "irreversible: zpool remove tank mirror-1", "notice: ...\nnotice: ..."},

		"replace":               {mirror, "vdevs: [{mirror: [/d/a, /d/c]}]", "disruptive: zpool replace tank /d/b /d/c", ""},
		"replace by position":   {mirror, "vdevs: [{mirror: [/d/c, /d/b]}]", "disruptive: zpool replace tank /d/a /d/c", ""},
		"replace in a raidz":    {raidz, "vdevs: [{raidz1: [/d/a, /d/d, /d/c]}]", "disruptive: zpool replace tank /d/b /d/d", ""},
		"replace one by one":    {raidz, "vdevs: [{raidz1: [/d/a, /d/d, /d/e]}]", "disruptive: zpool replace tank /d/b /d/d\nblocked: one device of a vdev is replaced at a time: it comes after /d/d", "disruptive: zpool replace tank /d/c /d/e"},
		"replace a whole vdev":  {two, "vdevs: [{mirror: [/d/a, /d/b]}, {mirror: [/d/e, /d/f]}]", "disruptive: zpool replace tank /d/c /d/e\nblocked: one device...", "disruptive: zpool replace tank /d/d /d/f"},
		"replace a single":      {"zpool create tank /d/a /d/b", "vdevs: [{stripe: [/d/a, /d/c]}]", "disruptive: zpool replace tank /d/b /d/c", ""},
		"replace what is gone":  {mirror + ";:gone /d/b", "vdevs: [{mirror: [/d/a, /d/c]}]", "disruptive: zpool replace tank GUID /d/c", ""},
		"replace and attach":    {mirror, "vdevs: [{mirror: [/d/a, /d/c, /d/d]}]", "disruptive: zpool replace tank /d/b /d/c\nblocked: a device of mirror-0 is to be replaced: it comes after that", "disruptive: zpool attach tank /d/a /d/d"},
		"replace by a used one": {mirror + ";:disk /d/c 8G ext4", "vdevs: [{mirror: [/d/a, /d/c]}]", "blocked: /d/c is used...", "same"},
		"add or replace?":       {"zpool create tank /d/a /d/b", "vdevs: [{stripe: [/d/a, /d/c, /d/d]}]", "blocked: is it to be added, or to take the place of what left?...\nblocked: is it...\nnotice: pool tank (p.yaml:1): /d/b is no...", "same"},

		"online":                             {mirror + ";zpool offline tank /d/b", "vdevs: [{mirror: [/d/a, /d/b]}]", "safe: zpool online tank /d/b", ""},
		"online in a place that a spare has": {mirror + " spare /d/c;zpool offline tank /d/b;zpool replace tank /d/b /d/c", "vdevs: [{mirror: [/d/a, /d/b]}], spare: [/d/c]", "safe: zpool online tank /d/b", ""},
		"gone, and here again":               {mirror + ";:gone /d/b;:back /d/b", "vdevs: [{mirror: [/d/a, /d/b]}]", "safe: zpool online tank GUID", ""},
		"another disk at its path":           {mirror + ";:gone /d/b;:disk /d/b 8G", "vdevs: [{mirror: [/d/a, /d/b]}]", "disruptive: zpool replace tank GUID /d/b", ""},
		"a used disk at its path":            {mirror + ";:gone /d/b;:disk /d/b 8G ext4", "vdevs: [{mirror: [/d/a, /d/b]}]", "blocked: /d/b is used: signature of ext4...", "same"},
		"gone":                               {mirror + ";:gone /d/b", "vdevs: [{mirror: [/d/a, /d/b]}]", "", ""},

		"a spare takes the place": {mirror + " spare /d/c", "vdevs: [{mirror: [/d/a, /d/c]}]", "disruptive: zpool replace tank /d/b /d/c", "irreversible: zpool detach tank /d/b"},
		"a spare in use stays":    {mirror + " spare /d/c;zpool offline tank /d/b;zpool replace tank /d/b /d/c", "vdevs: [{mirror: [/d/a, /d/c]}]", "irreversible: zpool detach tank /d/b", ""},
		"replace beside a spare":  {mirror + " spare /d/c;zpool offline tank /d/b;zpool replace tank /d/b /d/c", "vdevs: [{mirror: [/d/a, /d/d]}], spare: [/d/c]", "disruptive: zpool replace tank /d/b /d/d", ""},
		"remove a spare in use":   {mirror + " spare /d/c;zpool offline tank /d/b;zpool replace tank /d/b /d/c", "vdevs: [{mirror: [/d/a, /d/b]}], remove: [/d/c]", "safe: zpool online tank /d/b\nblocked: it stands in for another device...", "blocked: it stands in..."},

		"mirror to raidz":      {mirror, "vdevs: [{raidz1: [/d/a, /d/b, /d/c]}]", "blocked: ZFS does not make a raidz1 of a mirror...", "same"},
		"raidz to raidz2":      {raidz, "vdevs: [{raidz2: [/d/a, /d/b, /d/c, /d/d]}]", "blocked: ZFS does not make a raidz2 of a raidz1...", "same"},
		"a smaller raidz":      {raidz, "vdevs: [{raidz1: [/d/a, /d/b]}]", "blocked: a raidz or draid never gets smaller...", "same"},
		"stripe of a mirror":   {mirror, "vdevs: [{stripe: [/d/a, /d/b]}]", "blocked: ZFS does not take a vdev apart...\nnotice: ...", "same"},
		"devices that moved":   {two, "vdevs: [{mirror: [/d/a, /d/c]}, {mirror: [/d/b, /d/d]}]", "blocked: devices don't move between vdevs...\nblocked: devices don't...", "same"},
		"a spare for a log":    {mirror + " spare /d/c", "vdevs: [{mirror: [/d/a, /d/b]}], log: [{stripe: [/d/c]}]", "blocked: /d/c is a spare of the pool...", "same"},
		"a spare attached":     {mirror + " spare /d/c", "vdevs: [{mirror: [/d/a, /d/b, /d/c]}]", "blocked: /d/c is a spare of the pool...", "same"},
		"another class":        {mirror + " log /d/c", "vdevs: [{mirror: [/d/a, /d/b]}], cache: [/d/c]", "blocked: a device has one task...", "same"},
		"another pool":         {mirror, "vdevs: [{mirror: [/d/c, /d/d]}]", "blocked: is it the right pool? It has mirror-0 of /d/a and /d/b...", "same"},
		"topology not managed": {mirror, "scrub: {monthly: \"1 03:00\"}", "", ""},

		"a checkpoint":                   {mirror + ";:checkpoint tank", "vdevs: [{mirror: [/d/a, /d/c]}], log: [{stripe: [/d/d]}]", "blocked: the pool has a checkpoint...\nirreversible: zpool add tank log /d/d\nnotice: pool tank (p.yaml:1): it has a checkpoint of...", "blocked: the pool has a checkpoint...\nnotice: pool tank (p.yaml:1): it has a checkpoint of..."},
		"a resilver":                     {mirror + ";:slow on;zpool attach tank /d/a /d/c", "vdevs: [{mirror: [/d/a, /d/c]}], remove: [/d/b]", "blocked: a resilver runs: it waits until that is over (dplane status shows the progress)", "same"},
		"a replacement that runs":        {mirror + ";:slow on;zpool replace tank /d/b /d/c", "vdevs: [{mirror: [/d/a, /d/c]}]", "", ""},
		"add while a single is replaced": {"zpool create tank /d/a;:slow on;zpool replace tank /d/a /d/b", "vdevs: [{stripe: [/d/b, /d/c]}]", "blocked: a device is being replaced in replacing-0, and meanwhile zpool refuses to add...", "same"},
		"a removal":                      {"zpool create tank /d/a /d/b /d/c;:slow on;zpool remove tank /d/c", "vdevs: [{stripe: [/d/a]}], remove: [/d/b, /d/c]", "blocked: a removal runs: it waits...\nblocked: ...", "same"},
	} {
		t.Run(name, func(t *testing.T) {
			f := machine("/d/a", "/d/b", "/d/c", "/d/d", "/d/e", "/d/f")
			act(t, f, strings.Split(c.machine, ";")...)
			want := tankOf(t, c.yaml)
			r := look2(t, f, want)
			plan := c.plan
			if strings.Contains(plan, "GUID") {
				plan = strings.ReplaceAll(plan, "GUID", f.Model.Pools["tank"].Vdevs[0].Children[1].GUID)
			}
			if got := told(r); !matches(got, plan) {
				t.Fatalf("got\n%s\nwant\n%s", got, plan)
			}
			for _, a := range r.Actions {
				if a.Verb != drivers.Blocked {
					if err := (&Driver{Runner: f}).Apply(context.Background(), a); err != nil {
						t.Fatal(err)
					}
				}
			}
			then := c.then
			if then == "same" {
				then = c.plan
			}
			if got := told(look2(t, f, want)); !matches(got, then) {
				t.Errorf("after it\n%s\nwant\n%s", got, then)
			}
		})
	}
}

// While a device is replaced, the model refuses what ZFS refuses.
func TestWhileOneIsReplaced(t *testing.T) {
	for refused, c := range map[string][2]string{
		"zpool remove tank mirror-1":      {"zpool create tank mirror /d/a /d/b mirror /d/c /d/d", "invalid config"},
		"zpool attach tank raidz1-0 /d/f": {"zpool create tank raidz1 /d/a /d/b /d/c", "currently unavailable"},
	} {
		f := machine("/d/a", "/d/b", "/d/c", "/d/d", "/d/e", "/d/f")
		act(t, f, c[0], ":slow on", "zpool replace tank /d/a /d/e")
		if _, err := f.Do(refused); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", refused, err)
		}
		act(t, f, ":finish tank", refused)
	}
}

// OpenZFS 2.1 refuses a file that is a spare of the pool as a replacement, and takes a disk.
func TestSpareOn21(t *testing.T) {
	for dev, plan := range map[string]string{"/d/c": "blocked: OpenZFS 2.1 puts a spare that is a file in no place...", "/dev/sdc": "disruptive: zpool replace tank /d/b /dev/sdc"} {
		f := machine("/d/a", "/d/b", dev)
		act(t, f, "zpool create tank mirror /d/a /d/b spare "+dev)
		want := tankOf(t, "vdevs: [{mirror: [/d/a, "+dev+"]}]")
		obs := look(t, f, want)
		obs.ZFS.Userland = "2.1.11-1"
		if got := told((&Driver{}).Diff(drivers.Input{Want: want, Have: obs})); !matches(got, plan) {
			t.Errorf("got %s, want %s", got, plan)
		}
	}
}

// Each name of a disk is the disk: by link, by partition, and by the guid of its label.
func TestNamesOfDevices(t *testing.T) {
	for name, c := range map[string]struct{ created, declared, machine, plan string }{
		"a partition of the declared disk": {"/dev/sda1 /dev/nvme0n1p1", "/dev/sda, /dev/nvme0n1", "", ""},
		"a link to the disk":               {"/dev/sda1 /dev/sdb1", "/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B", ":link /dev/disk/by-id/ata-A /dev/sda;:link /dev/disk/by-id/ata-B /dev/sdb", ""},
		"two links":                        {"/dev/disk/by-path/1 /dev/sdb1", "/dev/disk/by-id/ata-A, /dev/sdb", ":link /dev/disk/by-id/ata-A /dev/sda;:link /dev/disk/by-path/1 /dev/sda", ""},
		"a partition by id":                {"/dev/disk/by-id/ata-A-part1 /dev/disk/by-id/ata-B-part1", "/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B", "", ""},
		"found by its label":               {"/dev/sda /dev/sdb", "/dev/sda, /dev/sdz", "zpool export tank;:disk /dev/sdz 8G;:same /dev/sdb /dev/sdz;zpool import tank", ""},
		"another disk":                     {"/dev/sda /dev/sdb", "/dev/sda, /dev/sdz", ":disk /dev/sdz 8G", "disruptive: zpool replace tank /dev/sdb /dev/sdz"},
	} {
		t.Run(name, func(t *testing.T) {
			f := machine("/dev/sda", "/dev/sdb", "/dev/sda1", "/dev/sdb1", "/dev/nvme0n1p1", "/dev/disk/by-path/1", "/dev/disk/by-id/ata-A-part1", "/dev/disk/by-id/ata-B-part1")
			act(t, f, "zpool create tank mirror "+c.created)
			for _, line := range strings.Split(c.machine, ";") {
				if words := strings.Fields(line); len(words) == 3 && words[0] == ":same" {
					f.Model.Devices[words[2]] = f.Model.Devices[words[1]]
					continue
				}
				act(t, f, line)
			}
			counter := &host.Counter{Runner: f}
			want := tankOf(t, "vdevs: [{mirror: ["+c.declared+"]}]")
			obs := look(t, counter, want)
			if got := told((&Driver{}).Diff(drivers.Input{Want: want, Have: obs})); got != c.plan {
				t.Errorf("got %s, want %s", got, c.plan)
			}
			if counter.Count["readlink"] > 1 || c.machine == "" && counter.Count["readlink"]+counter.Count["zdb"] > 0 {
				t.Errorf("processes %v", counter.Count)
			}
		})
	}
}

// A world that changed after the plan stops the change before anything is done.
func TestTopologyGuards(t *testing.T) {
	for name, change := range map[string]string{
		"the new device is used":    ":disk /d/c 8G ext4",
		"a checkpoint":              ":checkpoint tank",
		"the old device is another": "zpool detach tank /d/b;zpool attach tank /d/a /d/b",
		"another pool":              "zpool destroy tank;zpool create tank mirror /d/e /d/f",
	} {
		f := machine("/d/a", "/d/b", "/d/c", "/d/e", "/d/f")
		act(t, f, "zpool create tank mirror /d/a /d/b")
		r := look2(t, f, tankOf(t, "vdevs: [{mirror: [/d/a, /d/c]}]"))
		act(t, f, strings.Split(change, ";")...)
		before := fmt.Sprint(f.Model.Pools["tank"].Vdevs)
		if err := (&Driver{Runner: f}).Apply(context.Background(), r.Actions[0]); err == nil || fmt.Sprint(f.Model.Pools["tank"].Vdevs) != before {
			t.Errorf("%s: %v", name, err)
		}
	}
}
