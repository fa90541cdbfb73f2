package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// tree is what goes into the trash: values of each source, a volume, a mountpoint elsewhere.
const tree = pools + `datasets:
  tank: {properties: {atime: off}}
  tank/old: {properties: {compression: zstd, readonly: off}}
  tank/old/x: {properties: {canmount: noauto}}
  tank/old/x/y: {properties: {mountpoint: /elsewhere, readonly: on}}
  tank/old/vol: {volume: {size: 16M, sparse: true}}
  tank/stays: {}
`

// gone asks for its destruction.
const gone = pools + `datasets:
  tank: {properties: {atime: off}}
  tank/old: {absent: true}
  tank/old/x: {absent: true}
  tank/old/x/y: {absent: true}
  tank/old/vol: {absent: true}
  tank/stays: {}
`

func withTree(t *testing.T) *Machine {
	m := newMachine(t)
	pass(t, m, load(t, tree))
	do(t, m, "zfs mount tank/old/x", "zfs snapshot tank/old@a", "zfs snapshot tank/old@b", "zfs snapshot tank/old/x@a")
	return m
}

// mounts are the mounted file systems, as the model has them.
func mounts(m *Machine) string {
	var all []string
	for _, line := range strings.Split(must(m.ZFS.Do("zfs get -Hp -r -t filesystem -o name,value mounted tank")), "\n") {
		if name, ok := strings.CutSuffix(line, "\tyes"); ok {
			all = append(all, name)
		}
	}
	return strings.Join(all, " ")
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

// state is all that a restore has to bring back.
func stateOf(t *testing.T, m *Machine) string { return decided(t, m, "tank") + mounts(m) }

// faults runs a pass that meets each fault at each of its writes, and tells whether it could meet another.
func faults(t *testing.T, prepare func(t *testing.T) *Machine, want *spec.Spec, consent func(*Machine) reconcile.Consent, then func(m *Machine, n int, f host.Fault)) {
	m := prepare(t)
	count := &host.Faulty{}
	if _, _, err := m.Pass(want, consent(m), count); err != nil {
		t.Fatal(err)
	}
	if count.Writes < 3 {
		t.Fatalf("only %d writes: the test has lost its subject", count.Writes)
	}
	for n := 1; n <= count.Writes; n++ {
		for _, f := range []host.Fault{host.FailBefore, host.DieBefore, host.DieAfter} {
			m := prepare(t)
			if _, _, err := m.Pass(want, consent(m), &host.Faulty{N: n, Fault: f}); err != nil {
				t.Fatalf("write %d, fault %d: %v", n, f, err)
			}
			then(m, n, f)
		}
	}
}

func byHand(*Machine) reconcile.Consent { return reconcile.ByHand(nil, nil) }

// TestKilledTrashing: act one comes to the same end whatever command it dies at; and where the dataset is wanted
// again instead, all is as it was, marks and mounts included.
func TestKilledTrashing(t *testing.T) {
	m := withTree(t)
	before := stateOf(t, m)
	pass(t, m, load(t, gone))
	end := stateOf(t, m)
	if strings.Contains(mounts(m), "old") || !strings.Contains(end, "tank/.dplane-trash/") || strings.Contains(end, "tank/old") && !strings.Contains(end, "dplane:trash.name\ttank/old") {
		t.Fatalf("in the trash:\n%s", end)
	}
	for _, line := range strings.Split(end, "\n") {
		if f := strings.Split(line, "\t"); len(f) == 4 && strings.HasPrefix(f[0], "tank/.dplane-trash/") && (f[1] == "canmount" && f[2] != "noauto" || f[1] == "readonly" && f[2] != "on") {
			t.Error(line)
		}
	}
	pass(t, m, load(t, tree)) // declared again: it comes back
	back := strings.NewReplacer("tank/.dplane-trash\tcanmount\toff\tlocal\n", "", "tank/.dplane-trash\tmountpoint\tnone\tlocal\n", "",
		"tank/.dplane-trash\tsharenfs\toff\tlocal\n", "", "tank/.dplane-trash\tsharesmb\toff\tlocal\n", "", "tank/.dplane-trash\ttype\tfilesystem\t-\n", "")
	if got := back.Replace(stateOf(t, m)); got != before {
		t.Fatalf("came back as\n%s\nwas\n%s", got, before)
	}
	same := func(got, want string) bool { return untimed(got) == untimed(want) }
	faults(t, withTree, load(t, gone), byHand, func(m *Machine, n int, f host.Fault) {
		pass(t, m, load(t, gone))
		if got := stateOf(t, m); !same(got, end) {
			t.Fatalf("write %d, fault %d: went on to\n%s\nwant\n%s", n, f, got, end)
		}
	})
	faults(t, withTree, load(t, gone), byHand, func(m *Machine, n int, f host.Fault) {
		if got := back.Replace(stateOf(t, m)); f == host.FailBefore && !strings.Contains(got, "tank/.dplane-trash/") && got != before {
			t.Fatalf("write %d failed, and left\n%s\nwas\n%s", n, got, before)
		}
		pass(t, m, load(t, tree))
		if got := back.Replace(stateOf(t, m)); got != before {
			t.Fatalf("write %d, fault %d: came back to\n%s\nwas\n%s", n, f, got, before)
		}
	})
}

// untimed leaves out the mark of the time: a pass that goes on keeps it, one that begins anew has its own.
func untimed(s string) string {
	var lines []string
	for _, l := range strings.Split(s, "\n") {
		if !strings.Contains(l, "dplane:trash.time") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

// TestKilledRestoring: a restore comes to the same end whatever command it dies at, and can be turned round.
func TestKilledRestoring(t *testing.T) {
	m := withTree(t)
	pass(t, m, load(t, gone))
	trashed := stateOf(t, m)
	pass(t, m, load(t, tree))
	end := stateOf(t, m)
	prepare := func(t *testing.T) *Machine {
		m := withTree(t)
		pass(t, m, load(t, gone))
		return m
	}
	faults(t, prepare, load(t, tree), byHand, func(m *Machine, n int, f host.Fault) {
		pass(t, m, load(t, tree))
		if got := stateOf(t, m); got != end {
			t.Fatalf("write %d, fault %d: came back to\n%s\nwant\n%s", n, f, got, end)
		}
	})
	faults(t, prepare, load(t, tree), byHand, func(m *Machine, n int, f host.Fault) {
		pass(t, m, load(t, gone))
		if got := stateOf(t, m); untimed(got) != untimed(trashed) {
			t.Fatalf("write %d, fault %d: went back to\n%s\nwant\n%s", n, f, got, trashed)
		}
	})
}

// named approves every action of the plan by its id, as a person who read it does.
func named(t *testing.T, want *spec.Spec) func(m *Machine) reconcile.Consent {
	return func(m *Machine) reconcile.Consent {
		step, _, err := m.Pass(want, reconcile.Consent{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, a := range step.Remaining.Actions {
			ids[a.ID] = true
		}
		return reconcile.ByHand(nil, ids)
	}
}

// TestActTwo: it waits for its time, then for a person, and destroys exactly that tree, whatever it dies at.
func TestActTwo(t *testing.T) {
	want := load(t, gone)
	m := withTree(t)
	pass(t, m, want)
	m.Clock.Move(7*24*time.Hour - time.Hour)
	pass(t, m, want) // not a pending change
	m.Clock.Move(time.Hour)
	step, _, err := m.Pass(want, reconcile.ByHand(nil, nil), nil)
	if err != nil || len(step.Outcomes) > 0 || len(step.Remaining.Actions) != 1 || !strings.Contains(step.Remaining.Actions[0].Held, "--allow") {
		t.Fatalf("%v, %+v", err, step.Remaining.Actions)
	}
	due := func(t *testing.T) *Machine {
		m := withTree(t)
		pass(t, m, want)
		m.Clock.Move(7 * 24 * time.Hour)
		return m
	}
	m = due(t)
	if _, _, err := m.Pass(want, named(t, want)(m), nil); err != nil {
		t.Fatal(err)
	}
	pass(t, m, want)
	end := stateOf(t, m)
	if strings.Contains(end, "old") || !strings.Contains(end, "tank/stays") {
		t.Fatalf("what is left:\n%s", end)
	}
	faults(t, due, want, named(t, want), func(m *Machine, n int, f host.Fault) {
		if _, _, err := m.Pass(want, named(t, want)(m), nil); err != nil {
			t.Fatal(err)
		}
		pass(t, m, want)
		if got := stateOf(t, m); got != end {
			t.Fatalf("write %d, fault %d: came to\n%s\nwant\n%s", n, f, got, end)
		}
	})
}
