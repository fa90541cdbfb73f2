package sim

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

func load(t testing.TB, yaml string) *spec.Spec {
	t.Helper()
	s, err := spec.Load(fstest.MapFS{"tank.yaml": {Data: []byte(yaml)}}, spec.LoadOptions{Hostname: "sim"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const pools = "pools: {tank: {vdevs: [{mirror: [/dev/a, /dev/b]}], properties: {ashift: 12, autotrim: on}}}\n"

// fresh declares a pool, 20 datasets with properties and a volume.
func fresh(n int) string {
	var y strings.Builder
	y.WriteString(pools + "datasets:\n  tank: {properties: {atime: off}}\n")
	for i := range n {
		fmt.Fprintf(&y, "  tank/d%02d: {properties: {compression: zstd, quota: %dG, \"com.example:owner\": it}}\n", i, i+1)
	}
	y.WriteString("  tank/d00/below: {}\n  tank/vol: {volume: {size: 64M, blockSize: 16K}}\n")
	return y.String()
}

// changed gives back, changes, adds and grows, starting from fresh(20).
func changed() string {
	y := fresh(20)
	y = strings.Replace(y, "compression: zstd, quota: 4G, ", "", 1)
	y = strings.Replace(y, "compression: zstd, quota: 5G, \"com.example:owner\": it", "", 1)
	y = strings.Replace(y, "quota: 6G", "quota: 600M, readonly: on", 1)
	y = strings.Replace(y, "{atime: off}", "{compression: lz4}", 1)
	y = strings.Replace(y, "size: 64M", "size: 96M", 1)
	return strings.Replace(y, "autotrim: on", "autotrim: off", 1) + "  tank/new/x: {}\n  tank/new: {}\n"
}

// newMachine has a stranger's pool, and after the first pass one of its datasets in ours.
func newMachine(t testing.TB) *Machine {
	t.Helper()
	m, err := New(t.TempDir(), "/dev/a", "/dev/b", "/dev/s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Store.Close() })
	do(t, m, "zpool create other /dev/s", "zfs create -o compression=gzip other/x")
	return m
}

func do(t testing.TB, m *Machine, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if _, err := m.ZFS.Do(l); err != nil {
			t.Fatal(err)
		}
	}
}

func decided(t testing.TB, m *Machine, pool string) string {
	t.Helper()
	s, err := m.Decided(pool)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pass expects a pass that does all there is to do.
func pass(t testing.TB, m *Machine, want *spec.Spec) {
	t.Helper()
	step, _, err := m.Pass(want, reconcile.ByHand(nil, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range step.Outcomes {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	for _, a := range step.Remaining.Actions {
		t.Fatalf("still to be done: %s %s %v %v", a.Verb, a.Object, a.Fields, a.Notes)
	}
}

// TestKilled: whatever the write at which a pass fails, dies before or dies after, the next pass comes to
// the same state, doubles nothing, and touches no stranger.
func TestKilled(t *testing.T) {
	first, second := load(t, fresh(20)), load(t, changed())
	for name, prepare := range map[string]func(t *testing.T) (*Machine, *spec.Spec){
		"from nothing": func(t *testing.T) (*Machine, *spec.Spec) { return newMachine(t), first },
		"a change": func(t *testing.T) (*Machine, *spec.Spec) {
			m := newMachine(t)
			pass(t, m, first)
			do(t, m, "zfs create -o quota=5M tank/d03/foreign", "zfs set compression=off tank/d07")
			return m, second
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, want := prepare(t)
			count := &host.Faulty{}
			if step, _, err := m.Pass(want, reconcile.ByHand(nil, nil), count); err != nil || len(step.Remaining.Actions) > 0 {
				t.Fatalf("undisturbed: %v, %d left", err, len(step.Remaining.Actions))
			}
			ours, others := decided(t, m, "tank"), decided(t, m, "other")
			if count.Writes < 10 {
				t.Fatalf("only %d writes: the test has lost its subject", count.Writes)
			}
			for n := 1; n <= count.Writes; n++ {
				for _, f := range []host.Fault{host.FailBefore, host.DieBefore, host.DieAfter} {
					m, want := prepare(t)
					step, died, err := m.Pass(want, reconcile.ByHand(nil, nil), &host.Faulty{N: n, Fault: f})
					if err != nil {
						t.Fatalf("write %d, fault %d: %v", n, f, err)
					}
					if f == host.FailBefore == died {
						t.Fatalf("write %d, fault %d: died is %v", n, f, died)
					}
					if f == host.FailBefore && step.Outcomes.Count("failed") != 1 {
						t.Fatalf("write %d: the failure is not told: %+v", n, step.Outcomes)
					}
					if open, err := m.Store.Unsettled(t.Context()); died && (err != nil || len(open) != 1) {
						t.Fatalf("write %d, fault %d: what was about to be done was not written down: %v, %v", n, f, open, err)
					}
					pass(t, m, want)
					if got := decided(t, m, "tank"); got != ours {
						t.Fatalf("write %d, fault %d: came to\n%s\nwant\n%s", n, f, got, ours)
					}
					if got := decided(t, m, "other"); got != others {
						t.Fatalf("write %d, fault %d: a stranger's pool changed to\n%s\nwas\n%s", n, f, got, others)
					}
					open, err := m.Store.Unsettled(t.Context())
					if err != nil || len(open) > 0 {
						t.Fatalf("write %d, fault %d: unfinished intents %v, %v", n, f, open, err)
					}
				}
			}
		})
	}
}

// TestProcesses: a pass with nothing to do starts as many processes for 1,000 datasets as for 10.
func TestProcesses(t *testing.T) {
	started := func(n int) string {
		m, want := newMachine(t), load(t, fresh(n))
		do(t, m, "zpool create -o ashift=12 -o autotrim=on -O atime=off tank mirror /dev/a /dev/b", "zfs create -V 64M -o volblocksize=16K tank/vol")
		for i := range n { // by hand: a journal of a thousand creates is not the subject
			do(t, m, fmt.Sprintf("zfs create -o compression=zstd -o quota=%dG -o com.example:owner=it tank/d%02d", i+1, i))
		}
		do(t, m, "zfs create tank/d00/below")
		pass(t, m, want)
		return fmt.Sprint(m.Runs.Count)
	}
	ten, thousand := started(10), started(1000)
	t.Logf("processes of a pass with nothing to do: %s", ten)
	if ten != thousand || ten == "map[]" {
		t.Errorf("10 datasets: %s; 1,000 datasets: %s", ten, thousand)
	}
}
