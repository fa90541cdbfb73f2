package sim

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// one draws one of some texts; "" may be among them.
func one(t *rapid.T, what string, texts ...string) string {
	return rapid.SampledFrom(texts).Draw(t, what)
}

// randomPool declares the pool, later with more than at first.
func randomPool(t *rapid.T, later bool) string {
	if !later {
		return "pools:\n  tank:\n    vdevs: [{mirror: [/dev/a, /dev/b]}]\n    properties: {ashift: 12, comment: ours}\n"
	}
	vdevs := "{mirror: [" + one(t, "first group", "/dev/a, /dev/b", "/dev/a, /dev/b, /dev/c", "/dev/a, /dev/d", "/dev/a") + "]}" + one(t, "second group", "", ", {mirror: [/dev/e, /dev/f]}")
	vdevs = strings.Replace(vdevs, "{mirror: [/dev/a]}", "{mirror: [/dev/a, /dev/b]}", 1)
	return "pools:\n  tank:\n    vdevs: [" + vdevs + "]\n" +
		one(t, "log", "", "    log: [{stripe: [/dev/l]}]\n") + one(t, "cache", "", "    cache: [/dev/k]\n") + one(t, "spare", "", "    spare: [/dev/p]\n") +
		one(t, "properties", "", "    properties: {ashift: 12, autotrim: on, comment: theirs}\n", "    properties: {ashift: 12}\n") + one(t, "remove", "", "    remove: [/dev/b]\n")
}

// randomProperties are those of a file system, with quotas of users and a property of its own.
func randomProperties(t *rapid.T) string {
	return "properties: {" + strings.Join(slices.DeleteFunc([]string{
		one(t, "compression", "", "compression: zstd", "compression: lz4"), one(t, "quota", "", "quota: 500M", "quota: 200M"),
		one(t, "readonly", "", "readonly: on", "readonly: off"), one(t, "owner", "", `"com.example:owner": it`),
		one(t, "userquota", "", `"userquota@anna": 50M`, `"userquota@anna": none`), one(t, "mountpoint", "", "mountpoint: none", "mountpoint: legacy"),
		one(t, "canmount", "", "canmount: noauto"),
	}, func(s string) bool { return s == "" }), ", ") + "}" + one(t, "allow", "", `, allow: {"user:anna": [send, hold]}`, `, allow: {"user:anna": [send], "user:ben": [snapshot]}`)
}

// randomDatasets declares some of a tree with one of each sort; later they are changed, renamed, declared absent, or
// not named any more.
func randomDatasets(t *rapid.T, later bool) string {
	y := "datasets:\n  tank: {" + randomProperties(t) + "}\n"
	for _, n := range []string{"tank/a", "tank/a/b", "tank/c", "tank/c/d", "tank/golden"} {
		how := "declared"
		if later {
			how = one(t, n, "declared", "declared", "renamed", "absent", "undeclared")
		}
		switch how {
		case "declared":
			y += fmt.Sprintf("  %s: {%s}\n", n, randomProperties(t))
		case "renamed":
			y += fmt.Sprintf("  %s2: {renamedFrom: %[1]s, %s}\n", n, randomProperties(t))
		case "absent":
			y += fmt.Sprintf("  %s: {absent: true}\n", n)
		}
	}
	y += fmt.Sprintf("  tank/vol: {volume: {size: %s, sparse: true}}\n", one(t, "size", "16M", "32M", "64M"))
	y += fmt.Sprintf("  tank/secret: {encryption: {format: raw, keyFile: /keys/%s}}\n  tank/secret/below: {%s}\n", one(t, "key", "one", "two"), randomProperties(t))
	if later {
		y += one(t, "clone", "", "  tank/web: {origin: tank/golden@v1}\n") + one(t, "new", "", "  tank/new/x: {}\n", "  tank/new: {}\n  tank/new/x: {}\n")
	}
	return y
}

// lawful is a machine with all disks, keys and users that the random specs name.
func lawful(t *rapid.T, dir string) *Machine {
	m, err := New(dir, strings.Fields("/dev/a /dev/b /dev/c /dev/d /dev/e /dev/f /dev/k /dev/l /dev/p /dev/s")...)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"key /keys/one raw:32", "key /keys/two raw:32", "user anna ben"} {
		if err := m.ZFS.Control(line); err != nil {
			t.Fatal(err)
		}
	}
	m.Watch = &Watched{}
	return m
}

// others are the datasets that a spec does not name, by guid, with all that somebody decided about them.
func others(t *rapid.T, m *Machine, want *spec.Spec) map[string]string {
	named := map[string]bool{}
	for n, d := range want.Datasets {
		named[string(n)], named[string(d.Renamed)] = true, true
	}
	guid, is := map[string]string{}, map[string]string{}
	out := must(m.ZFS.Do("zfs get -Hp -r -t filesystem,volume -o name,property,value,source all tank")) + must(m.ZFS.Do("zfs get -Hp -r -t filesystem -o name,property,value,source all other"))
	lines := strings.Split(out, "\n")
	for _, line := range lines {
		if f := strings.Split(line, "\t"); len(f) == 4 && f[1] == "guid" {
			guid[f[0]] = f[2]
		}
	}
	for _, line := range lines {
		f := strings.Split(line, "\t")
		if len(f) == 4 && !named[f[0]] && !strings.Contains(f[0], "/.dplane-trash") && (f[1] == "type" || f[3] == "local") {
			is[guid[f[0]]] += strings.Join(f[1:3], "=") + " "
		}
	}
	return is
}

// TestLaws: whatever was declared, made and changed by hand before: once all that a person approves is done, nothing
// is left to do but what is blocked; nothing that is not declared was touched; no writing command has a flag that
// promise 1 forbids.
func TestLaws(t *testing.T) {
	base := memoryDir(t)
	n, changed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := fmt.Sprintf("%s/%d", base, n)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := lawful(t, dir)
		defer m.Store.Close()
		text := randomPool(t, false) + randomDatasets(t, false)
		first, err := spec.Load(fstest.MapFS{"tank.yaml": {Data: []byte(text)}}, spec.LoadOptions{Hostname: "sim"})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		must(m.ZFS.Do("zpool create other /dev/s"))
		must(m.ZFS.Do("zfs create -o compression=gzip other/x"))
		settle := func(want *spec.Spec) {
			for range 6 {
				p, _, err := m.Loop(host.ReadOnly{Runner: m.ZFS}).Plan(t.Context(), want, reconcile.ByHand(nil, nil))
				if err != nil {
					t.Fatal(err)
				}
				ids := map[string]bool{}
				for _, a := range p.Actions {
					ids[a.ID] = true
					named := want.Pools[spec.PoolName(a.Object.Name)] != nil || want.Datasets[spec.DatasetName(a.Object.Name)] != nil
					if !named && a.Object.Name != "tank/.dplane-trash" && a.Object.Name != "tank/secret/.dplane-trash" { // dplane's own
						t.Fatalf("%s %s is about what the files do not name:\n%s", a.Verb, a.Object, text)
					}
				}
				if !slices.ContainsFunc(p.Actions, reconcile.Planned.Runnable) {
					return
				}
				if _, _, err := m.Pass(want, reconcile.ByHand(nil, ids), nil); err != nil {
					t.Fatal(err)
				}
			}
			step, _, _ := m.Pass(want, reconcile.ByHand(nil, nil), nil)
			for _, o := range step.Outcomes {
				t.Logf("%s %s %s %v %v %v: %v", o.Outcome, o.Action.Verb, o.Action.Object, o.Action.Fields, o.Action.Reason, o.Action.Steps, o.Err)
			}
			t.Fatalf("there is always something left to do for\n%s", text)
		}
		settle(first)
		for _, line := range []string{"zfs snapshot tank/golden@v1", "zfs create -o quota=5M tank/c/foreign", "zfs create tank/foreign", "zfs set atime=off tank/foreign"} {
			if rapid.Bool().Draw(t, line) || strings.Contains(line, "create tank/foreign") {
				must(m.ZFS.Do(line))
			}
		}
		text = randomPool(t, true) + randomDatasets(t, true)
		second, err := spec.Load(fstest.MapFS{"tank.yaml": {Data: []byte(text)}}, spec.LoadOptions{Hostname: "sim"})
		if err != nil {
			return // a declared child below an absent parent, and the like: nothing touches the machine
		}
		before := others(t, m, second)
		settle(second)
		changed++
		after := others(t, m, second)
		for _, guid := range slices.Sorted(maps.Keys(before)) {
			if after[guid] != before[guid] {
				t.Fatalf("what is not declared changed: %s to %s by\n%s", before[guid], after[guid], text)
			}
		}
		for _, c := range m.Watch.All {
			if c.Effect == host.Writes && slices.ContainsFunc(c.Argv, func(w string) bool { return slices.Contains([]string{"-f", "-r", "-R", "-F", "-a"}, w) }) {
				t.Fatalf("a flag that is not allowed: %s", c)
			}
		}
	})
	if changed*4 < n {
		t.Errorf("only %d of %d changes are valid: the test has lost its subject", changed, n)
	}
}
