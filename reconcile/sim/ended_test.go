package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
)

// remembered are the names of datasets that the store knows, with their guids.
func remembered(t *testing.T, m *Machine) map[string]string {
	all, err := m.Store.Recorded(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, r := range all {
		if r.Kind == "dataset" {
			names[r.Name] = r.GUID
		}
	}
	return names
}

// TestDestroyedOnPurpose: once act two is done, and seen to be, nothing of the tree is missed: its names can be declared
// anew. Before, and where the action failed half way, what is still there is known.
func TestDestroyedOnPurpose(t *testing.T) {
	want := load(t, gone)
	due := func(t *testing.T) *Machine {
		m := withTree(t)
		pass(t, m, want)
		m.Clock.Move(7 * 24 * time.Hour)
		return m
	}
	anew := func(t *testing.T, m *Machine) {
		t.Helper()
		for name := range remembered(t, m) {
			if strings.Contains(name, "/old") || strings.HasPrefix(name, "tank/.dplane-trash/") {
				t.Errorf("%s is remembered", name)
			}
		}
		pass(t, m, load(t, tree))
		if _, err := m.ZFS.Do("zfs list tank/old/x/y tank/old/vol"); err != nil {
			t.Error(err)
		}
	}
	m := due(t)
	if remembered(t, m)["tank/old/x"] == "" {
		t.Fatal("tank/old/x is in the trash, and not known")
	}
	if _, _, err := m.Pass(want, named(t, want)(m), nil); err != nil {
		t.Fatal(err)
	}
	anew(t, m)

	// In the middle, a command fails, or the process dies.
	for _, fault := range []host.Fault{host.FailBefore, host.DieBefore, host.DieAfter} {
		m := due(t)
		if _, _, err := m.Pass(want, named(t, want)(m), &host.Faulty{N: 5, Fault: fault}); err != nil {
			t.Fatal(err)
		}
		if remembered(t, m)["tank/old"] == "" {
			t.Errorf("fault %d: tank/old is there, and not known", fault)
		}
		if _, _, err := m.Pass(want, named(t, want)(m), nil); err != nil {
			t.Fatal(err)
		}
		anew(t, m)
	}

	// By hand it is as ever: what is missing is not what never was.
	m = due(t)
	guid := remembered(t, m)["tank/old"]
	do(t, m, "zfs destroy -r tank/.dplane-trash/"+guid)
	step, _, err := m.Pass(load(t, tree), reconcile.ByHand(nil, nil), nil)
	if err != nil || len(step.Remaining.Actions) == 0 || !strings.Contains(strings.Join(step.Remaining.Actions[0].Notes, ""), "dplane forget tank/old") {
		t.Errorf("%v %+v", err, step.Remaining.Actions)
	}
}
