package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/replication/receive"
	"github.com/dplaneos/dplane/reconcile"
)

// newOrphan is a replication whose first stream broke off while the far end goes on waiting for the rest.
func newOrphan(t *testing.T) (*ticking, *gate, func(r host.Runner, at string) string) {
	t.Helper()
	x, g := newGated(t, "tank/a", "{remote: far, dataset: backup/a}", receive.Rules{Targets: []receive.Target{{Dataset: "backup/a", Prune: true, Set: map[string]string{"quota": "10737418240"}}}})
	doOn(t, g.far, "zpool create backup /pool/c")
	run := func(r host.Runner, at string) (failed string) {
		t.Helper()
		x.at(at)
		l, consent := x.Loop(r), reconcile.ByHand(&x.want.Daemon.Limits, nil)
		p, obs, err := l.Plan(t.Context(), x.want, consent)
		if err != nil {
			t.Fatal(err)
		}
		step, err := l.Carry(t.Context(), x.want, p, obs, consent, "sim")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range step.Outcomes {
			if o.Err != nil {
				failed += o.Err.Error()
			}
		}
		return failed
	}
	x.snap("one")
	x.ZFS.Model.Cuts = []uint64{1 << 18}
	if failed := run(g, "2026-11-24T08:00:00Z"); !strings.Contains(failed, "incomplete stream") {
		t.Fatalf("it did not break: %q", failed)
	}
	g.far.Hang("backup/a", 0)
	return x, g, run
}

// A network that is away for long leaves zfs receive waiting at the far end. The next run ends it, by way of the forced
// command and without one, and goes on with what it has.
func TestReplicationTakesOver(t *testing.T) {
	for _, plain := range []bool{false, true} {
		x, g, run := newOrphan(t)
		var r host.Runner = g
		if plain {
			r = x.ZFS
		}
		was := doOn(t, g.far, "zfs get -Hp -o value guid backup/a")
		if failed := run(r, "2026-11-24T09:00:00Z"); failed != "" {
			t.Errorf("plain %t: %s", plain, failed)
		}
		if doOn(t, g.far, "zfs get -Hp -o value guid backup/a") != was {
			t.Errorf("plain %t: it was made anew", plain)
		}
		for _, d := range []string{"backup/a", "backup/a/b"} {
			if got := doOn(t, g.far, "zfs list -H -d 1 -t snapshot -o name "+d); got != d+"@one\n" {
				t.Errorf("plain %t: it has %q", plain, got)
			}
		}
		known, err := x.Store.Replicated(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if last := known["off"].Runs[0]; last.Resumed != 1 {
			t.Errorf("plain %t: %+v", plain, last)
		}
	}
}

// What still gets something is another one's, and is left alone.
func TestReplicationLeavesWhatMoves(t *testing.T) {
	x, g, run := newOrphan(t)
	x.Clock.Waits = func(time.Duration) { g.far.Hang("backup/a", 1<<10) }
	token := func() string { return doOn(t, g.far, "zfs get -Hp -o value receive_resume_token backup/a") }
	was := token()
	failed := run(g, "2026-11-24T09:00:00Z")
	if !strings.Contains(failed, "another stream is being received into backup/a on far") {
		t.Errorf("it says %q", failed)
	}
	if _, err := g.far.Do("zfs receive -A backup/a"); err == nil || !strings.Contains(err.Error(), "busy") || token() == was {
		t.Errorf("it was ended: %v", err)
	}
}

// A far end where nobody may end it, or without pkill, says what to do.
func TestReplicationCannotTakeOver(t *testing.T) {
	_, g, run := newOrphan(t)
	g.far.Model.Missing = []string{"pkill"}
	if failed := run(g, "2026-11-24T09:00:00Z"); !strings.Contains(failed, "there, end the zfs receive that names it") {
		t.Errorf("it says %q", failed)
	}
}
