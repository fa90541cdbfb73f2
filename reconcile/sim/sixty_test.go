package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state/sqlite"
)

const sixtyDisks = "/dev/a /dev/b /dev/c /dev/d /dev/e /dev/f /dev/k /dev/l /dev/s /dev/o"

// sixty are two configurations between which an apply has sixty actions of every kind that a person's yes covers.
func sixty() (first, second string) {
	var a, b strings.Builder
	a.WriteString("pools: {tank: {vdevs: [{mirror: [/dev/a, /dev/b]}], properties: {ashift: 12}}}\ndatasets:\n  tank: {properties: {atime: off}}\n")
	b.WriteString("pools: {tank: {vdevs: [{mirror: [/dev/a, /dev/b, /dev/e]}, {mirror: [/dev/c, /dev/d, /dev/f]}], log: [{stripe: [/dev/l]}], cache: [/dev/k], spare: [/dev/s], properties: {ashift: 12, autotrim: on, comment: sixty}}}\ndatasets:\n  tank: {properties: {compression: lz4}}\n")
	for i := range 24 { // a value more, one that risks something, one given back
		fmt.Fprintf(&a, "  tank/d%02d: {properties: {compression: zstd, quota: %dG}}\n", i, i+1)
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "  tank/d%02d: {properties: {compression: gzip, quota: %dG, readonly: on}}\n", i, i+2)
		case 1:
			fmt.Fprintf(&b, "  tank/d%02d: {properties: {quota: %dG}}\n", i, i+1)
		case 2:
			fmt.Fprintf(&b, "  tank/d%02d: {properties: {compression: zstd, quota: %dG, \"com.example:owner\": it}}\n", i, i+1)
		}
	}
	a.WriteString("  tank/vol: {volume: {size: 64M, blockSize: 16K}}\n  tank/golden: {}\n")
	b.WriteString("  tank/vol: {volume: {size: 96M, blockSize: 16K}}\n  tank/golden: {}\n  tank/clone: {origin: tank/golden@v1}\n")
	for i := range 4 {
		fmt.Fprintf(&a, "  tank/old%d: {}\n  tank/old%[1]d/child: {}\n  tank/gone%[1]d: {}\n", i)
		fmt.Fprintf(&b, "  tank/moved%d: {renamedFrom: tank/old%[1]d}\n  tank/moved%[1]d/child: {}\n  tank/gone%[1]d: {absent: true}\n", i)
	}
	for i := range 6 {
		fmt.Fprintf(&b, "  tank/new%d: {}\n  tank/new%[1]d/x: {properties: {compression: zstd}}\n", i)
	}
	return a.String(), b.String()
}

// saved is a machine as it was, to begin from again and again.
type saved struct{ dir string }

func save(t *testing.T, m *Machine, from string) saved {
	t.Helper()
	s := saved{memoryDir(t)}
	if err := m.ZFS.Save(s.dir + "/model.json"); err != nil {
		t.Fatal(err)
	}
	if err := m.Store.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(from + "/dplane.db")
	if err == nil {
		err = os.WriteFile(s.dir+"/dplane.db", b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s saved) machine(t *testing.T, clock Clock) *Machine {
	t.Helper()
	dir := memoryDir(t)
	b, err := os.ReadFile(s.dir + "/dplane.db")
	if err == nil {
		err = os.WriteFile(dir+"/dplane.db", b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	zfs, err := zfsfake.Load(s.dir + "/model.json")
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(dir + "/dplane.db")
	if err != nil {
		t.Fatal(err)
	}
	return &Machine{ZFS: zfs, Store: store, Clock: &clock}
}

// memoryDir is a directory in memory where there is such a place: thousands of commits need no disk here.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dplane-sim-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// settled runs passes until nothing is left to be done, and gives all that was decided, without times and numbers of
// vdevs.
func settled(t *testing.T, m *Machine, want *spec.Spec) string {
	t.Helper()
	for range 5 {
		step, _, err := m.Pass(want, reconcile.ByHand(nil, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(step.Remaining.Actions) == 0 {
			status, err := m.ZFS.Do("zpool status -P tank")
			if err != nil {
				t.Fatal(err)
			}
			return numbers.ReplaceAllString(decided(t, m, "tank")+status, "$1")
		}
	}
	step, _, _ := m.Pass(want, reconcile.ByHand(nil, nil), nil)
	for _, a := range step.Remaining.Actions {
		t.Errorf("still to be done: %s %s %v %v %s", a.Verb, a.Object, a.Fields, a.Notes, a.Held)
	}
	t.FailNow()
	return ""
}

var numbers = regexp.MustCompile(`(mirror)-\d+|(dplane:trash\.\w+)\t[^\n]*`)

// TestSixtyActionsKilled: an apply of sixty actions that dies after any of its commands, or before the first, comes
// to the same machine in the next passes; nothing is doubled, and no intent stays open.
func TestSixtyActionsKilled(t *testing.T) {
	one, two := sixty()
	first, second := load(t, one), load(t, two)
	dir := memoryDir(t)
	m, err := New(dir, strings.Fields(sixtyDisks)...)
	if err != nil {
		t.Fatal(err)
	}
	do(t, m, "zpool create other /dev/o", "zfs create other/x")
	pass(t, m, first)
	do(t, m, "zfs snapshot tank/golden@v1")
	begin := save(t, m, filepath.Clean(dir))

	m = begin.machine(t, *m.Clock)
	clock := *m.Clock
	count := &host.Faulty{}
	step, _, err := m.Pass(second, reconcile.ByHand(nil, nil), count)
	if err != nil || len(step.Outcomes) < 60 || step.Outcomes.Count("done") != len(step.Outcomes) {
		for _, o := range step.Outcomes {
			t.Log(o.Outcome, o.Action.Verb, o.Action.Object, o.Err)
		}
		t.Fatalf("undisturbed: %d actions, %v", len(step.Outcomes), err)
	}
	ours, others := settled(t, m, second), decided(t, m, "other")
	m.Store.Close()
	t.Logf("%d actions, %d commands", len(step.Outcomes), count.Writes)
	for n := 0; n <= count.Writes; n++ {
		fault := &host.Faulty{N: n, Fault: host.DieAfter}
		if n == 0 {
			fault = &host.Faulty{N: 1, Fault: host.DieBefore}
		}
		m := begin.machine(t, clock)
		if _, died, err := m.Pass(second, reconcile.ByHand(nil, nil), fault); err != nil || !died {
			t.Fatalf("command %d: died %v, %v", n, died, err)
		}
		if got := settled(t, m, second); got != ours {
			t.Fatalf("killed after command %d: came to\n%s\nwant\n%s", n, got, ours)
		}
		if got := decided(t, m, "other"); got != others {
			t.Fatalf("killed after command %d: a stranger's pool changed to\n%s\nwas\n%s", n, got, others)
		}
		if open, err := m.Store.Unsettled(t.Context()); err != nil || len(open) > 0 {
			t.Fatalf("killed after command %d: unfinished intents %v, %v", n, open, err)
		}
		m.Store.Close()
	}
}
