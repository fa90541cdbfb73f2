package gate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/state"
)

// Nothing is let in but what the holder of the term that is known here sends to a standby; what was let in before is told when it
// leaves; and nobody is taken for gone who is on the way in.
func TestGate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run-ha")
	write := func(s state.HA) {
		t.Helper()
		if err := Write(dir, &s); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(why, sender string, term uint64) {
		t.Helper()
		if _, err := Enter(dir, sender, term); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s in term %d: %v, want %q", sender, term, err, why)
		}
	}
	refused("did not run since it booted", "nas-a", 3)
	if s, err := Read(dir); err != nil || s.Role != state.RoleBoot {
		t.Errorf("%+v, %v", s, err)
	}
	well := state.HA{Node: "nas-b", Role: state.RoleStandby, Term: 3, Holder: "nas-a"}
	write(well)
	if s, err := Read(dir); err != nil || s.Role != well.Role || s.Term != 3 || s.Holder != "nas-a" || s.Node != "nas-b" {
		t.Errorf("%+v, %v", s, err)
	}
	refused("term 3 is known here", "nas-a", 2)
	refused("the highest known is 3", "nas-a", 4)
	refused("the holder of term 3", "nas-c", 3)
	one, err := Enter(dir, "nas-a", 3)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Enter(dir, "nas-a", 3) // one does not keep another one out
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Leave(); err != nil {
		t.Error(err)
	}
	quiet := func(want bool) {
		t.Helper()
		if got, err := Quiet(dir); got != want || err != nil {
			t.Errorf("quiet: %t, %v", got, err)
		}
	}
	shut := well
	shut.Role = state.RolePromoting
	write(shut)
	quiet(false)
	refused("only a standby receives", "nas-a", 3)
	if err := two.Leave(); err == nil || !strings.Contains(err.Error(), "only a standby receives") {
		t.Errorf("what came when it was shut: %v", err)
	}
	quiet(true)
	for why, s := range map[string]state.HA{
		"not settled yet": {Role: state.RoleStandby, Term: 3, Holder: "nas-a", Dirty: true},
		"two nodes":       {Role: state.RoleStandby, Term: 3, Holder: "nas-a", Frozen: "two nodes are active"},
	} {
		write(s)
		refused(why, "nas-a", 3)
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused("can't be read", "nas-a", 3)
	info, err := os.Stat(filepath.Join(dir, file))
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); err != nil || info.Mode().Perm() != 0o644 || len(left) > 0 {
		t.Errorf("%v, %v, left %v", info, err, left)
	}
}
