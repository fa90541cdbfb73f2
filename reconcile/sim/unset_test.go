package sim

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// zfs receive of an ordinary user who may not set readonly exits 0. The run fails then, names the right and what to type, and
// says that what was sent arrived; and it goes on so until the replica is read-only.
func TestReplicaNotReadOnly(t *testing.T) {
	x := newSending(t)
	far := zfsfake.New()
	far.AddFile("/pool/c", 1<<30)
	far.Model.Users, far.Model.User = append(far.Model.Users, "repl"), "repl"
	x.want = policyOf(t, strings.NewReplacer("SOURCE", "tank/a", "TARGET", "{remote: far, dataset: backup/a}", "keep: {daily: 2}", "keep: {daily: 99}").Replace(overSSH))
	x.ZFS.Remotes = map[string]*zfsfake.Fake{"far": far}
	doOn(t, far, "zpool create backup /pool/c")
	doOn(t, far, "zfs allow -u repl create,mount,receive,hold,release,destroy,quota backup")
	told := func() string {
		t.Helper()
		_, obs, err := x.Loop(x.ZFS).Plan(t.Context(), x.want, reconcile.ByHand(&x.want.Daemon.Limits, nil))
		if err != nil {
			t.Fatal(err)
		}
		return obs.ReplicationHealth[0].Error
	}
	run := func(at string) (failed string) {
		t.Helper()
		x.at(at)
		x.ZFS.SetClock(x.Clock.now)
		far.SetClock(x.Clock.now)
		l := x.Loop(x.ZFS)
		consent := reconcile.ByHand(&x.want.Daemon.Limits, nil)
		p, obs, err := l.Plan(t.Context(), x.want, consent)
		if err != nil {
			t.Fatal(err)
		}
		step, err := l.Carry(t.Context(), x.want, p, obs, consent, "sim")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range step.Outcomes {
			if o.Action.Object.Kind == spec.KindReplication && o.Err != nil {
				failed += o.Err.Error()
			}
		}
		return failed
	}
	x.snap("one")
	failed := run("2026-11-24T08:00:00Z")
	for _, d := range []string{"backup/a", "backup/a/b"} { // what is below comes as well
		if got := doOn(t, far, "zfs list -H -d 1 -t snapshot -o name "+d); got != d+"@one\n" {
			t.Errorf("it has %q", got)
		}
		if !strings.Contains(failed, d+" has received what was sent, but zfs did not set canmount=noauto (permission denied), readonly=on (permission denied), so that it may be written to. As root on far: zfs set canmount=noauto readonly=on "+d+".") {
			t.Errorf("%s: %s", d, failed)
		}
	}
	if !strings.Contains(failed, "lacks the right to set canmount, readonly: dplane replication setup off prints") || strings.Contains(failed, "quota") {
		t.Error(failed)
	}
	known, err := x.Store.Replicated(t.Context())
	if err != nil || len(known["off"].Runs) != 1 || known["off"].Runs[0].Outcome != state.Failed || !strings.Contains(known["off"].Runs[0].Error, "readonly=on") {
		t.Errorf("%+v, %v", known["off"].Runs, err)
	}
	x.snap("two")
	if failed := run("2026-11-24T08:01:00Z"); !strings.Contains(failed, "readonly") {
		t.Errorf("it is writable still, and nobody is told: %s", failed)
	}
	for _, want := range []string{"backup/a, backup/a/b may be written to, which stops the replication (as root on far: zfs set readonly=on backup/a backup/a/b)", ""} {
		if got := told(); got != want {
			t.Errorf("status tells %q, want %q", got, want)
		}
		far.Model.User = ""
		doOn(t, far, "zfs set readonly=on backup/a backup/a/b")
		far.Model.User = "repl"
	}
	for _, d := range []string{"backup/a", "backup/a/b"} { // as it was
		doOn(t, far, "zfs inherit readonly "+d)
	}
	doOn(t, far, "zfs allow -u repl canmount,readonly backup")
	x.snap("three")
	if failed := run("2026-11-24T08:02:00Z"); failed != "" {
		t.Error(failed)
	}
	if got := doOn(t, far, "zfs get -Hp -o value readonly,canmount backup/a/b"); got != "on\nnoauto\n" {
		t.Errorf("%q", got)
	}
}
