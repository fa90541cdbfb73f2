package sim

import (
	"regexp"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
)

// TestKilledBetweenVdevs: a change of many vdevs that fails or dies at any command comes to the same pool in the next
// passes, and takes no device twice.
func TestKilledBetweenVdevs(t *testing.T) {
	first := load(t, `pools: {tank: {vdevs: [{mirror: [/dev/a, /dev/b]}, {mirror: [/dev/c, /dev/d]}], cache: [/dev/k]}}`)
	second := load(t, `pools: {tank: {
		vdevs: [{mirror: [/dev/a, /dev/b, /dev/e]}, {mirror: [/dev/c, /dev/f]}],
		log: [{mirror: [/dev/l, /dev/m]}], special: [{mirror: [/dev/x, /dev/y]}], spare: [/dev/s], remove: [/dev/k]}}`)
	prepare := func() *Machine {
		m, err := New(t.TempDir(), "/dev/a", "/dev/b", "/dev/c", "/dev/d", "/dev/e", "/dev/f", "/dev/k", "/dev/l", "/dev/m", "/dev/s", "/dev/x", "/dev/y")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Store.Close() })
		pass(t, m, first)
		return m
	}
	tree := func(m *Machine) string {
		out, err := m.ZFS.Do("zpool status -P tank")
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`mirror-\d`).ReplaceAllString(out, "mirror") // numbered as they came
	}
	m, count := prepare(), &host.Faulty{}
	if _, _, err := m.Pass(second, reconcile.ByHand(nil, nil), count); err != nil || count.Writes != 6 {
		t.Fatalf("undisturbed: %v, %d writes", err, count.Writes)
	}
	want := tree(m)
	for n := 1; n <= count.Writes; n++ {
		for _, f := range []host.Fault{host.FailBefore, host.DieBefore, host.DieAfter} {
			m := prepare()
			if _, died, err := m.Pass(second, reconcile.ByHand(nil, nil), &host.Faulty{N: n, Fault: f}); err != nil || died != (f != host.FailBefore) {
				t.Fatalf("%d, fault %d: died %v, %v", n, f, died, err)
			}
			for range 2 {
				if _, _, err := m.Pass(second, reconcile.ByHand(nil, nil), nil); err != nil {
					t.Fatal(err)
				}
			}
			if got := tree(m); got != want {
				t.Errorf("write %d, fault %d:\n%s\nwant\n%s", n, f, got, want)
			}
		}
	}
}
