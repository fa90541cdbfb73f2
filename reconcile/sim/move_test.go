package sim

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
)

// moved declares other names for two trees and a clone of a renamed dataset.
const moved = pools + `datasets:
  tank: {properties: {atime: off}}
  tank/new: {renamedFrom: tank/a, properties: {compression: zstd, mountpoint: /srv/new}}
  tank/new/x: {properties: {quota: 2G}}
  tank/new/made: {}
  tank/p: {properties: {compression: lz4}}
  tank/p/b: {renamedFrom: tank/b, properties: {compression: lz4, atime: on}}
  tank/web: {origin: tank/new@v3, properties: {compression: lz4, "userquota@root": 1G}}
`

// before is the machine that it stands for.
const beforeMove = pools + `datasets:
  tank: {properties: {atime: off}}
  tank/a: {properties: {compression: zstd, quota: 5G}}
  tank/a/x: {properties: {quota: 1G}}
  tank/b: {properties: {compression: gzip}}
`

// converges runs a pass with every fault at every write; the next pass has to come to the same end.
func converges(t *testing.T, prepare func(t *testing.T) *Machine, yaml string) {
	want := load(t, yaml)
	m := prepare(t)
	count := &host.Faulty{}
	step, _, err := m.Pass(want, reconcile.ByHand(nil, nil), count)
	if err != nil || len(step.Remaining.Actions) > 0 {
		t.Fatalf("undisturbed: %v, left: %+v", err, step.Remaining.Actions)
	}
	end := decided(t, m, "tank")
	for n := 1; n <= count.Writes; n++ {
		for _, f := range []host.Fault{host.FailBefore, host.DieBefore, host.DieAfter} {
			m := prepare(t)
			if _, _, err := m.Pass(want, reconcile.ByHand(nil, nil), &host.Faulty{N: n, Fault: f}); err != nil {
				t.Fatalf("write %d, fault %d: %v", n, f, err)
			}
			pass(t, m, want)
			if got := decided(t, m, "tank"); got != end {
				t.Fatalf("write %d, fault %d: came to\n%s\nwant\n%s", n, f, got, end)
			}
		}
	}
}

// TestKilledMoving: renames and clones come to the same end whatever command a pass dies at, and nothing is made
// twice.
func TestKilledMoving(t *testing.T) {
	prepare := func(t *testing.T) *Machine {
		m := newMachine(t)
		pass(t, m, load(t, beforeMove))
		do(t, m, "zfs create -o quota=5M tank/a/foreign", "zfs snapshot tank/a@v3")
		return m
	}
	converges(t, prepare, moved)

	m := prepare(t)
	guid := decidedGUID(t, m, "tank/a")
	pass(t, m, load(t, moved))
	if got := decidedGUID(t, m, "tank/new"); got != guid {
		t.Errorf("tank/new is %s, tank/a was %s", got, guid)
	}
	do(t, m, "zfs list tank/new/foreign")
	// The memory went along: the old name is free, and its child's too.
	pass(t, m, load(t, strings.Replace(moved, "renamedFrom: tank/a, ", "", 1)+"  tank/a: {}\n  tank/a/x: {}\n"))
	if got := decidedGUID(t, m, "tank/a"); got == guid {
		t.Error("tank/a is the old one")
	}
}

func decidedGUID(t *testing.T, m *Machine, name string) string {
	t.Helper()
	out, err := m.ZFS.Do("zfs get -Hp -o value guid " + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// TestRenamedByHand: the recorded guid tells that it is not missing.
func TestRenamedByHand(t *testing.T) {
	m, want := newMachine(t), load(t, beforeMove)
	pass(t, m, want)
	do(t, m, "zfs rename tank/a tank/house")
	step, _, err := m.Pass(want, reconcile.ByHand(nil, nil), nil)
	if err != nil || len(step.Outcomes) > 0 || len(step.Remaining.Actions) != 2 {
		t.Fatalf("%v, %+v", err, step.Remaining.Actions)
	}
	if note := step.Remaining.Actions[0].Notes[0]; !strings.Contains(note, "is tank/house now") {
		t.Error(note)
	}
}
