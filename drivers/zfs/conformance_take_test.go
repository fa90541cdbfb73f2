package zfs_test

import (
	"context"
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
	list, err := zfs.ParseCovered([]byte(m.do(zfs.ListCovered(names))))
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
	marked := zfs.ParseMarked([]byte(m.do(zfs.ListMarked([]string{a, b}))))
	if len(marked) != 2 || !marked[a+"@one"] || !marked[b+"@one"] {
		m.t.Errorf("marked: %v", marked)
	}
	if list := m.listed(a); len(list) != 1 { // not what is below it
		m.t.Errorf("of %s: %+v", a, list)
	}
	res, err := m.Run(context.Background(), zfs.ListCovered([]string{at + "/gone", a}))
	if list, bad := zfs.ParseCovered(res.Stdout); err == nil || bad != nil || len(list) != 1 {
		m.t.Errorf("one of two is gone: %v, %v, %+v", err, bad, list)
	}
	if n, err := zfs.ParseReclaim([]byte(m.do(zfs.Reclaim(b, []string{"one", "hand"})))); err != nil || n > 1<<20 {
		m.t.Errorf("reclaim %d, %v", n, err)
	}
	for _, c := range zfs.DestroySnapshots(b, []string{"one", "hand"}) {
		m.do(c)
	}
	if list := m.listed(b); len(list) != 0 {
		m.t.Errorf("left: %+v", list)
	}
}

// notTaken runs a `zfs snapshot` that must be refused, and name that dataset.
func (m *machine) notTaken(c host.Command, dataset string) {
	m.t.Helper()
	_, err := m.Run(context.Background(), c)
	if got := zfs.Refuses(err); !slices.Equal(got, []string{dataset}) {
		m.t.Errorf("%s: %v names %v, want %s", c, err, got, dataset)
	}
}

// What zfs says where it takes no snapshot (2.3.9).
func TestRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"cannot create snapshot 'tank/data/db@s1': dataset already exists\nno snapshots were created\n":                      "tank/data/db",
		"cannot open 'tank/nosuch': dataset does not exist\nusage:\n\tsnapshot [-r] [-o property=value] ... <filesystem|vol": "tank/nosuch",
		"cannot create snapshot 'tank/a@x': out of space\nno snapshots were created\n":                                       "tank/a",
		"cannot create snapshots : pool is read-only\nno snapshots were created\n":                                           "",
		"cannot create snapshots : multiple snapshots of same fs not allowed\nno snapshots were created\n":                   "",
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

func FuzzParseCovered(f *testing.F) {
	f.Add([]byte("tank/a@d\t14455413807654737370\t12\t1795503783\t0\t0\t-\t24576\tempty,standard\n"))
	f.Add([]byte("tank/a@d\t1\t2\t3\t4\t1\ttank/x,tank/y\t-\t-\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		list, err := zfs.ParseCovered(out)
		for _, s := range list {
			if err == nil && (s.Dataset == "" || s.Name == "" || s.GUID == "") {
				t.Errorf("%+v", s)
			}
		}
	})
}
