package zfs_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// listed are the snapshots of these datasets, as the driver of schedules lists them.
func (m *machine) listed(names ...string) []state.Snapshot {
	m.t.Helper()
	list, err := zfs.ParseCovered([]byte(m.do(zfs.ListCovered(names)[0])))
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

// takes are snapshots of several datasets: one transaction group for all, or none at all; each is marked, and only its own
// mark is local.
func takes(m *machine, at string) {
	a, b, below := at, at+"/b", at+"/b/c"
	for _, n := range []string{a, b, below} {
		m.do(zfs.CreateFilesystem(n, nil))
	}
	take := func(names ...string) host.Command {
		all := zfs.TakeSnapshots("standard", names)
		if len(all) != 1 {
			m.t.Fatal(all)
		}
		return all[0]
	}
	m.do(take(a+"@one", b+"@one"))
	list := m.listed(a, b)
	if len(list) != 2 || list[0].Dataset != a || list[1].Dataset != b || list[0].TXG != list[1].TXG || list[0].GUID == list[1].GUID {
		m.t.Errorf("two at once: %+v", list)
	}
	for _, s := range list {
		if s.Mark != "standard" || s.Holds != 0 || s.Creation.IsZero() {
			m.t.Errorf("%+v", s)
		}
	}
	m.notTaken(take(a+"@two", b+"@one", below+"@two"), b)  // it exists
	m.notTaken(take(a+"@two", at+"/gone@two"), at+"/gone") // the dataset does not
	if n := len(m.listed(a, b, below)); n != 2 {
		m.t.Errorf("a refused command left %d snapshots", n-2)
	}

	m.do(zfs.Set(b, map[string]string{state.ScheduleProperty: "mine"}))
	m.do(host.Write("zfs", "snapshot", b+"@hand"))
	for _, s := range m.listed(b) {
		if want := map[string]string{"one": "standard", "hand": "mine"}[s.Name]; s.Mark != want {
			m.t.Errorf("the mark of %s shows %q, want %q", s.Name, s.Mark, want)
		}
	}
	marked := zfs.ParseMarked([]byte(m.do(zfs.ListMarked([]string{a, b})[0])))
	if len(marked) != 2 || !marked[a+"@one"] || !marked[b+"@one"] {
		m.t.Errorf("marked: %v", marked)
	}
	if list := m.listed(a); len(list) != 1 { // not what is below it
		m.t.Errorf("of %s: %+v", a, list)
	}
	res, err := m.Run(context.Background(), zfs.ListCovered([]string{at + "/gone", a})[0])
	if list, bad := zfs.ParseCovered(res.Stdout); err == nil || bad != nil || len(list) != 1 {
		m.t.Errorf("one of two is gone: %v, %v, %+v", err, bad, list)
	}
	if n, err := zfs.ParseReclaim([]byte(m.do(zfs.Reclaim(b, []string{"one", "hand"})[0]))); err != nil || n > 1<<20 {
		m.t.Errorf("reclaim %d, %v", n, err)
	}
	for _, c := range zfs.DestroySnapshots(b, []string{"one", "hand"}) {
		m.do(c)
	}
	if list := m.listed(b); len(list) != 0 {
		m.t.Errorf("left: %+v", list)
	}
}

// takesNothing: all that can't be taken are named, but only the first that is not there; two of one dataset are named by
// nobody.
func takesNothing(m *machine, at string) {
	a, b, c := at+"/a", at+"/b", at+"/c"
	for _, n := range []string{at, a, b, c} {
		m.do(zfs.CreateFilesystem(n, nil))
	}
	take := func(names ...string) host.Command { return zfs.TakeSnapshots("standard", names)[0] }
	m.do(take(a+"@one", c+"@one"))
	m.notTaken(take(c+"@one", b+"@one", a+"@one"), c, a)
	m.notTaken(take(a+"@one", at+"/gone@one", m.pool+"x/gone@one", b+"@one"), at+"/gone")
	m.notTaken(take(b+"@one", a+"@two", b+"@two"))
	m.notTaken(take(b+"@one", a+"@two", b+"@two", a+"@one"))
	if list := m.listed(a, b, c); len(list) != 2 {
		m.t.Errorf("refused commands left %+v", list)
	}
	m.do(take(b+"@one", b+"@one")) // one
	if list := m.listed(c, b, a, b); len(list) != 3 || list[0].Dataset != a || list[1].Dataset != b || list[2].Dataset != c {
		m.t.Errorf("sorted, and each once: %+v", list)
	}
	_, err := m.Run(context.Background(), zfs.ListMarked([]string{at + "/gone", a})[0])
	if !errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
		m.t.Errorf("the marks of what is gone: %v", err)
	}
}

// marks are on the snapshot itself, or show what its dataset has; what came with a stream is no mark of our own, also
// where the dataset got nothing with it. A mark may be any text.
func marks(m *machine, at string) {
	a, b, to := at+"/a", at+"/b", at+"/copy"
	for _, n := range []string{at, a, b} {
		m.do(zfs.CreateFilesystem(n, nil))
	}
	m.do(zfs.TakeSnapshots("standard", []string{a + "@one"})[0])
	if err := m.copied(a+"@one", to); err != nil {
		m.t.Fatal(err)
	}
	list := m.listed(a, to)
	if len(list) != 2 || list[0].GUID != list[1].GUID || list[1].Mark != "standard" || !list[0].Creation.Equal(list[1].Creation) {
		m.t.Errorf("a copy: %+v", list)
	}
	if marked := zfs.ParseMarked([]byte(m.do(zfs.ListMarked([]string{a, to})[0]))); len(marked) != 1 || !marked[a+"@one"] {
		m.t.Errorf("a copy is marked: %v", marked)
	}
	for n, p := range m.dataset(to).Properties {
		if p.Source == "received" {
			m.t.Errorf("%s came too", n)
		}
	}

	m.do(zfs.TakeSnapshots("standard", []string{b + "@one"})[0])
	for _, mark := range []string{"a\tb", "a\nb", "a\n" + b + "@forged", "-"} {
		m.do(host.Write("zfs", "set", state.ScheduleProperty+"="+mark, a))
		m.do(host.Write("zfs", "snapshot", a+"@two"))
		want := strings.TrimPrefix(mark, "-")
		if list := m.listed(a, b); len(list) != 3 || list[1].Mark != want || list[2].Mark != "standard" {
			m.t.Errorf("the mark %q: %+v", mark, list)
		}
		m.do(zfs.DestroySnapshots(a, []string{"two"})[0])
	}
	m.do(host.Write("zfs", "snapshot", a+"@two"))
	m.do(host.Write("zfs", "set", state.ScheduleProperty+"=x\t"+a+"@two\n"+b+"@one\t7\t8\t9\t0\t0\t-\t0\tstandard", a))
	if list, err := zfs.ParseCovered([]byte(m.do(zfs.ListCovered([]string{a, b})[0]))); err == nil {
		m.t.Errorf("a mark spelled a snapshot: %+v", list)
	}
}

// written is what came since the snapshot before, of whatever kind. What a snapshot alone holds is told beforehand, but
// not while it has a clone.
func written(m *machine, at string) {
	const much, slack = 3 << 20, 256 << 10
	near := func(what string, got, want uint64) {
		m.t.Helper()
		if got+slack < want || got > want+slack {
			m.t.Errorf("%s: %d bytes, want about %d", what, got, want)
		}
	}
	dir := m.file("written")
	m.do(zfs.CreateFilesystem(at, map[string]string{"mountpoint": dir, "compression": "off"}))
	m.do(zfs.TakeSnapshots("standard", []string{at + "@one"})[0])
	near("nothing", m.dataset(at).Written, 0)
	m.write(at, dir, much)
	near("written", m.dataset(at).Written, much)
	m.do(zfs.TakeSnapshots("standard", []string{at + "@two"})[0])
	near("after a snapshot", m.dataset(at).Written, 0)
	m.write(at, dir, much/2)
	m.do(host.Write("zfs", "snapshot", at+"@three"))
	written := func(want map[string]uint64) {
		m.t.Helper()
		list := m.listed(at)
		if len(list) != len(want) {
			m.t.Errorf("%+v", list)
		}
		for _, s := range list {
			near(s.Name, s.Written, want[s.Name])
		}
	}
	written(map[string]uint64{"one": 0, "two": much, "three": much / 2})

	reclaim := zfs.Reclaim(at, []string{"one", "gone"})[0]
	if n, err := zfs.ParseReclaim([]byte(m.do(reclaim))); err != nil || n > slack {
		m.t.Errorf("reclaim %d, %v", n, err)
	}
	m.do(host.Write("zfs", "hold", "k", at+"@one"))
	m.do(reclaim)
	m.do(host.Write("zfs", "release", "k", at+"@one"))
	m.refused(1, zfs.ErrNotExist, zfs.Reclaim(at, []string{"gone"})[0])
	m.refused(1, zfs.ErrNotExist, zfs.Reclaim(at+"/gone", []string{"one"})[0])
	m.do(host.Write("zfs", "clone", "-o", "mountpoint=none", at+"@two", at+"-clone"))
	m.refused(1, zfs.ErrHasChildren, zfs.Reclaim(at, []string{"one", "two"})[0])

	m.do(host.Write("zfs", "promote", at+"-clone"))
	written(map[string]uint64{"three": much / 2})
	list := m.listed(at + "-clone")
	if len(list) != 2 {
		m.t.Fatalf("%+v", list)
	}
	near("a promoted clone's", list[1].Written, much)
	m.do(host.Write("zfs", "promote", at))
	written(map[string]uint64{"one": 0, "two": much, "three": much / 2})
}

// dataset is one as it is observed.
func (m *machine) dataset(name string) *state.Dataset {
	m.t.Helper()
	list, err := zfs.ParseDatasets(m.pool, []byte(m.do(zfs.GetDatasets(m.pool))))
	if err != nil {
		m.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(d *state.Dataset) bool { return d.Name == name })
	if i < 0 {
		m.t.Fatalf("no %s", name)
	}
	return list[i]
}

// notTaken runs a `zfs snapshot` that must be refused, and name those datasets.
func (m *machine) notTaken(c host.Command, datasets ...string) {
	m.t.Helper()
	_, err := m.Run(context.Background(), c)
	if got := zfs.Refuses(err); err == nil || !slices.Equal(got, datasets) {
		m.t.Errorf("%s: %v names %v, want %s", c, err, got, datasets)
	}
}

// What zfs says where it takes no snapshot (2.3.9).
func TestRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"cannot create snapshot 'tank/data/db@s1': dataset already exists\nno snapshots were created\n":                                           "tank/data/db",
		"cannot open 'tank/nosuch': dataset does not exist\nusage:\n\tsnapshot [-r] [-o property=value] ... <filesystem|vol":                      "tank/nosuch",
		"cannot create snapshot 'tank/a@x': out of space\nno snapshots were created\n":                                                            "tank/a",
		"cannot create snapshot 'tank/c@s': dataset already exists\ncannot create snapshot 'tank/b@s': out of space\nno snapshots were created\n": "tank/c tank/b",
		"cannot create snapshot 'tank/b@it's': invalid character ''' in name\n":                                                                   "tank/b",
		"cannot create snapshots : permission denied\nno snapshots were created\n":                                                                "",
		"cannot create snapshots : pool is read-only\nno snapshots were created\n":                                                                "",
		"cannot create snapshots : multiple snapshots of same fs not allowed\nno snapshots were created\n":                                        "",
	} {
		got := zfs.Refuses(&host.ExitError{Code: 1, Stderr: text})
		if strings.Join(got, " ") != want {
			t.Errorf("%q names %v, want %q", text, got, want)
		}
	}
	if got := zfs.Refuses(host.ErrTimeout); got != nil {
		t.Error(got)
	}
}

// A command line has a limit, and every name is in one of them.
func TestTakeSnapshotsSplits(t *testing.T) {
	var names []string
	for range 20_000 {
		names = append(names, "tank/"+strings.Repeat("x", 100)+"@dplane-20261124T070300Z")
	}
	n := 0
	for _, c := range zfs.TakeSnapshots("standard", names) {
		if size := len(strings.Join(c.Argv, " ")); size > 1<<20 {
			t.Errorf("a command of %d bytes", size)
		}
		n += len(c.Argv) - 4
	}
	if n != len(names) {
		t.Errorf("%d of %d names", n, len(names))
	}
}

// What may stand in a mark, and what must not be believed.
func TestParseCovered(t *testing.T) {
	row := func(name, mark string) string {
		return name + "\t1\t2\t3\t4\t1\ttank/x,tank/y\t6\t" + mark + "\t" + name + "\n"
	}
	for _, c := range []struct{ what, out, want string }{
		{"nothing", "", ""},
		{"none", row("tank/a@d", "-"), "tank/a@d="},
		{"two", row("tank/a@d", "m") + row("tank/a b@e", ""), "tank/a@d=m tank/a b@e="},
		{"a tab", row("tank/a@d", "m\tn") + row("tank/b@d", "m"), "tank/a@d=m\tn tank/b@d=m"},
		{"a newline", row("tank/a@d", "m\nn\n") + row("tank/b@d", "m"), "tank/a@d=m\nn tank/b@d=m"},
		{"another row", row("tank/a@d", "m\n"+row("tank/b@d", "n")), "no"},
		{"another row, and the end of its own", row("tank/a@d", "m\ttank/a@d\n"+row("tank/b@d", "n")), "no"},
		{"its own again", row("tank/a@d", "m\ttank/a@d\n"+row("tank/b@d", "n")+"tank/a@d\t1\t2\t3\t4\t1\t-\t6\tm"), "no"},
		{"the begin of one that comes", row("tank/a@d", "m\ttank/a@d\ntank/b@d\t7\t7\t3\t4\t1\t-\t6\tm") + row("tank/b@d", "n"), "no"},
		{"the name of one that comes", row("tank/a@d", "m\ttank/a@d\ntank/b@d") + row("tank/b@d", "n"), "no"},
		{"cut short", row("tank/a@d", "m")[:40], "no"},
		{"no end", strings.TrimSuffix(row("tank/a@d", "m"), "\n"), "no"},
		{"other columns", "tank/a@d\t1\ttank/a@d\n", "no"},
	} {
		list, err := zfs.ParseCovered([]byte(c.out))
		var got []string
		for _, s := range list {
			got = append(got, s.FullName()+"="+s.Mark)
		}
		if (err != nil) != (c.want == "no") || err == nil && strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, %v", c.what, got, err)
		}
	}
}

func TestParseReclaim(t *testing.T) {
	if n, err := zfs.ParseReclaim([]byte("destroy\ttank/a@reclaim\nreclaim\t3031040\n")); err != nil || n != 3031040 {
		t.Error(n, err)
	}
	for _, bad := range []string{"", "destroy\ttank/a@x\n", "reclaim\tx\n", "reclaim\t-1\n"} {
		if _, err := zfs.ParseReclaim([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// No output makes two snapshots of one name, or a name that none can have.
func FuzzParseCovered(f *testing.F) {
	f.Add([]byte("tank/a@d\t14455413807654737370\t12\t1795503783\t0\t0\t-\t24576\tempty,standard\ttank/a@d\n"))
	f.Add([]byte("tank/a@d\t1\t2\t3\t4\t1\ttank/x,tank/y\t-\t-\ttank/a@d\n"))
	f.Add([]byte("tank/a@d\t1\t2\t3\t4\t1\t-\t-\tx\ttank/a@d\ntank/b@d\t1\t2\t3\t4\t1\t-\t-\tx\ttank/a@d\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		list, err := zfs.ParseCovered(out)
		seen := map[string]bool{}
		for _, s := range list {
			if err != nil || s.Dataset == "" || s.Name == "" || s.GUID == "" || seen[s.FullName()] || strings.ContainsAny(s.FullName(), "\t\n") {
				t.Errorf("%+v, %v", s, err)
			}
			seen[s.FullName()] = true
		}
	})
}
