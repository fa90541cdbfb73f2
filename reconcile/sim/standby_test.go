package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
)

const inGroup = `
node: {name: NODE}
pools: {tank: {}}
datasets:
  tank: {}
  tank/home: {}
  tank/home/anna: {}
remotes:
  nas-a: {host: a.lan, user: repl, identityFile: /root/key, hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
  nas-b: {host: b.lan, user: repl, identityFile: /root/key, hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
replications:
  pair: {source: tank/home, recursive: true, target: standby}
ha:
  active: nas-a
  datasets: [tank/home]
  peers:
    nas-a: {address: "https://10.0.0.1:9443", identity: PIN, remote: nas-a}
    nas-b: {address: "https://10.0.0.2:9443", identity: PIN, remote: nas-b}
`

// newGroup are two nodes of a group, of which none is active.
func newGroup(t *testing.T) (a, b *ticking) {
	t.Helper()
	a, b = newNode(t, inGroup, "nas-a"), newNode(t, inGroup, "nas-b")
	b.ZFS.Model.Serial = 1 << 20 // no guid of one is another's
	a.ZFS.Remotes, b.ZFS.Remotes = map[string]*zfsfake.Fake{"nas-b": b.ZFS}, map[string]*zfsfake.Fake{"nas-a": a.ZFS}
	return a, b
}

// newNode is one of a group.
func newNode(t *testing.T, files, name string) *ticking {
	t.Helper()
	dir := t.TempDir()
	m, err := New(dir, "/pool/a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Store.Close() })
	files = strings.NewReplacer("NODE", name, "identity: PIN", "identity: sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").Replace(files)
	x := &ticking{t: t, Machine: m, want: policyOf(t, files), dir: dir}
	x.do("zpool create tank /pool/a")
	return x
}

// turn makes one the active node, as a switchover does.
func turn(to, from *ticking) {
	from.Role, to.Role = spec.RoleStandby, spec.RoleActive
	for _, d := range []string{"tank/home", "tank/home/anna"} {
		if _, err := from.ZFS.Do("zfs list " + d); err == nil {
			from.do("zfs set readonly=on " + d)
			_, _ = from.ZFS.Do("zfs unmount -f " + d) // what is below goes with it
		}
		if _, err := to.ZFS.Do("zfs list " + d); err == nil {
			to.do("zfs set readonly=off " + d)
		}
	}
}

// The active node sends to every other one; the standby sends, makes and changes nothing of the group. After a switchover the
// other one goes on from what both have, whatever the way was before, and nothing stays held of the other way.
func TestStandby(t *testing.T) {
	a, b := newGroup(t)
	a.Role = spec.RoleActive
	a.do("zfs create tank/home")
	a.do("zfs create tank/home/anna")
	hour := 7
	round := func(from, to *ticking, snap string) {
		t.Helper()
		for _, d := range []string{"tank/home", "tank/home/anna"} {
			from.ZFS.Write(d, 1<<20)
			from.do("zfs snapshot " + d + "@" + snap)
		}
		for range 2 {
			hour++
			for _, x := range []*ticking{from, to} {
				x.at(fmt.Sprintf("2026-11-%02dT%02d:00:00Z", 24+hour/24, hour%24))
				step := x.tick()
				for _, o := range step.Outcomes {
					if o.Err != nil {
						t.Errorf("%s: %s: %v", snap, o.Action.Object, o.Err)
					}
					if x == to {
						t.Errorf("%s: the standby does something: %s %s", snap, o.Action.Verb, o.Action.Object)
					}
				}
			}
		}
		for _, d := range []string{"tank/home", "tank/home/anna"} {
			here, there := from.guidsOf(d), to.guidsOf(d)
			if len(here) == 0 || len(there) < len(here) || !slices.Equal(here, there[len(there)-len(here):]) {
				t.Errorf("%s: %s is %v, at the standby %v", snap, d, here, there)
			}
		}
	}
	round(a, b, "one")
	guids := b.do("zfs get -Hp -r -t filesystem -o name,value guid tank/home")
	own := a.do("zfs get -Hp -r -t filesystem -o name,value guid tank/home")
	round(a, b, "two")
	turn(b, a)
	round(b, a, "three")
	turn(a, b)
	round(a, b, "four")
	turn(b, a)
	round(b, a, "five")
	if b.do("zfs get -Hp -r -t filesystem -o name,value guid tank/home") != guids || a.do("zfs get -Hp -r -t filesystem -o name,value guid tank/home") != own {
		t.Error("something was made anew")
	}
	for _, x := range []*ticking{a, b} {
		for _, line := range strings.Split(strings.TrimSpace(x.do("zfs list -Hp -r -t snapshot -o name,userrefs tank/home")), "\n") {
			if name, held, _ := strings.Cut(line, "\t"); held != "0" && !strings.HasSuffix(name, "@five") {
				t.Errorf("%s: held: %s", x.want.Node.Name, line)
			}
		}
	}
}

// With three nodes there is one replication for each of the others.
func TestStandbys(t *testing.T) {
	files := strings.NewReplacer("NODE", "nas-a", "identity: PIN", "identity: sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").Replace(inGroup)
	third := files + "    nas-c: {address: \"https://10.0.0.3:9443\", identity: sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=, remote: nas-b}\n"
	w := policyOf(t, third)
	var names []string
	for name, r := range w.Replications {
		names = append(names, fmt.Sprintf("%s to %s %s", name, r.Target.Remote, r.Target.Dataset))
	}
	slices.Sort(names)
	if got := strings.Join(names, ", "); got != "pair.nas-b to nas-b tank/home, pair.nas-c to nas-b tank/home" {
		t.Error(got)
	}
	other := policyOf(t, strings.Replace(third, "node: {name: nas-a}", "node: {name: nas-b}", 1))
	if w.Shared() != other.Shared() {
		t.Error("the shared part is another one on each node")
	}
	_, err := spec.LoadFiles(map[string][]byte{"a.yaml": []byte(strings.Replace(third, "  pair:", "  pair.nas-b: {source: tank/home, target: {remote: nas-b, dataset: tank/x}}\n  pair:", 1))}, spec.LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), "is what pair (") {
		t.Errorf("two of one name: %v", err)
	}
}

// What a node held as the target of another one is let go of when all others have more, and not when the first of them has: it may
// be the last that it has in common with one that is away.
func TestTurnedOfThree(t *testing.T) {
	remote := strings.Replace(inGroup[strings.Index(inGroup, "  nas-b: {host"):strings.Index(inGroup, "replications:")], "nas-b: {host: b", "nas-c: {host: c", 1)
	files := strings.Replace(inGroup, "replications:", remote+"replications:", 1) + "    nas-c: {address: \"https://10.0.0.3:9443\", identity: PIN, remote: nas-c}\n"
	a, b, c := newNode(t, files, "nas-a"), newNode(t, files, "nas-b"), newNode(t, files, "nas-c")
	b.ZFS.Model.Serial, c.ZFS.Model.Serial = 1<<20, 1<<21
	a.ZFS.Remotes = map[string]*zfsfake.Fake{"nas-b": b.ZFS} // c is away
	b.ZFS.Remotes = map[string]*zfsfake.Fake{"nas-a": a.ZFS, "nas-c": c.ZFS}
	hour := 7
	runs := func(x *ticking) {
		for range 2 {
			hour++
			x.at(fmt.Sprintf("2026-11-%02dT%02d:00:00Z", 24+hour/24, hour%24))
			x.tick()
		}
	}
	held := func() string { return a.do("zfs holds -H tank/home@one") }
	a.Role = spec.RoleActive
	a.do("zfs create tank/home")
	a.do("zfs snapshot tank/home@one")
	runs(a)
	turn(b, a)
	runs(b)
	if got := c.there("tank/home"); !slices.Equal(got, []string{"one"}) || !strings.Contains(held(), "dplane:pair.nas-a\t") {
		t.Fatalf("the third one has %v, and held is %s", got, held())
	}
	turn(a, b)
	a.ZFS.Write("tank/home", 1<<20)
	a.do("zfs snapshot tank/home@two")
	runs(a)
	if got := b.there("tank/home"); !slices.Equal(got, []string{"one", "two"}) || !strings.Contains(held(), "dplane:pair.nas-a\t") {
		t.Errorf("the second one has %v, and the last that the third one has is not held: %q", got, held())
	}
	a.ZFS.Remotes["nas-c"] = c.ZFS
	a.ZFS.Write("tank/home", 1<<20)
	a.do("zfs snapshot tank/home@three")
	runs(a)
	if got := c.there("tank/home"); !slices.Equal(got, []string{"one", "two", "three"}) || held() != "" {
		t.Errorf("the third one has %v, and held is %q", got, held())
	}
}
