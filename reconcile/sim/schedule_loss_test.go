package sim

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
)

func (x *ticking) hours(from, to int) {
	for h := from; h < to; h++ {
		x.at(fmt.Sprintf("2026-11-%02dT%02d:00:00Z", 24+h/24, h%24))
		x.tick()
	}
}

func outcomes(s reconcile.Step) (all []string) {
	for _, o := range s.Outcomes {
		all = append(all, fmt.Sprintf("%s %s %s: %v", o.Outcome, o.Action.Verb, o.Action.Object, o.Err))
	}
	return all
}

func guidOf(x *ticking, n string) string {
	return strings.TrimSpace(x.do("zfs get -Hp -o value guid " + n))
}

// A dataset that is renamed or goes to the trash while something is due.
func TestScheduleRenamedWhileDue(t *testing.T) {
	x := newTicking(t, covered)
	x.hours(7, 11)
	x.want = policyOf(t, `
datasets:
  tank: {}
  tank/a: {snapshots: standard}
  tank/a/b: {absent: true}
  tank/e: {renamedFrom: tank/c, snapshots: standard}
  tank/d: {}
pools:
  tank: {}
schedules:
  standard: {keep: {hourly: 3, daily: 2}}
`)
	x.at("2026-11-24T11:00:00Z")
	s := x.tick()
	for _, o := range outcomes(s) {
		t.Log(o)
		if !strings.HasPrefix(o, "done") {
			t.Error("not done")
		}
	}
}

// The plan waits at the prompt while a person rolls back.
func TestScheduleRollbackAtThePrompt(t *testing.T) {
	x := newTicking(t, strings.Replace(covered, "hourly: 3, daily: 2", "hourly: 8", 1))
	x.hours(7, 11)
	x.want = policyOf(t, strings.Replace(covered, "hourly: 3, daily: 2", "hourly: 2", 1))
	x.at("2026-11-24T10:05:00Z")
	l := x.Loop(x.ZFS)
	ctx := context.Background()
	c := reconcile.ByHand(&x.want.Daemon.Limits, nil)
	p, obs, err := l.Plan(ctx, x.want, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range p.Actions {
		t.Log(a.Verb, a.Object, a.Held, a.Steps)
	}
	x.do("zfs destroy tank/a@dplane-20261124T090000Z,dplane-20261124T100000Z") // as rollback -r does
	x.at("2026-11-24T10:10:00Z")
	x.ZFS.SetClock(x.Clock.now)
	s, err := l.Carry(ctx, x.want, p, obs, c, "sim")
	t.Log(outcomes(s), err)
	if got := x.there("tank/a"); !slices.Contains(got, "dplane-20261124T080000Z") {
		t.Errorf("the newest after the rollback is gone: %v", got)
	}
}

// Lower count seen first while the clock is back.
func TestScheduleLessWithTheClockBack(t *testing.T) {
	x := newTicking(t, strings.Replace(covered, "hourly: 3, daily: 2", "hourly: 8", 1))
	x.hours(7, 15)
	x.want = policyOf(t, strings.Replace(covered, "hourly: 3, daily: 2", "hourly: 1", 1))
	loop := func() reconcile.Step {
		s, _, err := x.with(reconcile.Daemon(x.want), nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	x.at("2026-11-24T06:30:00Z") // a machine without a clock of its own, right after boot
	loop()
	n := len(x.there("tank/a"))
	x.at("2026-11-24T15:00:00Z")
	s := loop()
	t.Log(outcomes(s))
	for _, a := range s.Remaining.Actions {
		t.Log(a.Verb, a.Object, a.Held)
	}
	if got := x.there("tank/a"); len(got) < n {
		t.Errorf("%d of %d are left: %v", len(got), n, got)
	}
	x.do("zfs destroy tank/a@dplane-20261124T063000Z")
	x.do("zfs destroy tank/a/b@dplane-20261124T063000Z")
	x.do("zfs destroy tank/c@dplane-20261124T063000Z")
	x.at("2026-11-24T15:01:00Z")
	s = loop()
	t.Log(outcomes(s))
	if got := x.there("tank/a"); len(got) < n-1 { // the oldest was kept no longer in any case
		t.Errorf("at once, unasked, over maxPrune: %d of %d are left: %v", len(got), n, got)
	}
}

const hooked = `
datasets:
  tank: {}
  tank/a: {}
  tank/pg: {snapshots: {schedule: standard, before: {run: [/bin/freeze], timeout: 5s}, after: {run: [/bin/thaw], timeout: 5s}}}
  tank/pg/data: {}
  tank/pg/wal: {}
pools:
  tank: {}
schedules:
  standard: {keep: {hourly: 3, daily: 2}}
`

// hooking runs the two programs.
type hooking struct {
	runner host.Runner
	ran    []string
	fails  map[string]bool
}

func (h *hooking) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if strings.HasPrefix(c.Argv[0], "/bin/") {
		h.ran = append(h.ran, c.Argv[0])
		if h.fails[c.Argv[0]] {
			return host.Result{Code: 1}, &host.ExitError{Code: 1, Stderr: "no"}
		}
		return host.Result{}, nil
	}
	if len(c.Argv) > 1 && c.Argv[0] == "zfs" && c.Argv[1] == "snapshot" {
		h.ran = append(h.ran, "snapshot")
	}
	return h.runner.Run(ctx, c)
}

func (x *ticking) hook(h *hooking, c reconcile.Consent) reconcile.Step {
	x.t.Helper()
	h.runner = x.ZFS
	x.ZFS.SetClock(x.Clock.now)
	l := x.Loop(h)
	ctx := context.Background()
	p, obs, err := l.Plan(ctx, x.want, c)
	if err != nil {
		x.t.Fatal(err)
	}
	s, err := l.Carry(ctx, x.want, p, obs, c, "sim")
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

// Once a freeze failed, the datasets of one database are frozen and taken apart.
func TestScheduleFreezeFailedOnce(t *testing.T) {
	x := newTicking(t, hooked, "a", "pg", "pg/data", "pg/wal")
	c := reconcile.ByHand(&x.want.Daemon.Limits, nil)
	x.hook(&hooking{fails: map[string]bool{"/bin/freeze": true}}, c)
	x.at("2026-11-24T07:01:00Z")
	h := &hooking{}
	x.hook(h, c)
	if got := strings.Join(h.ran, " "); got != "/bin/freeze snapshot /bin/thaw" {
		t.Errorf("one instant of one database: %s", got)
	}
}

// Frozen, killed, and no longer covered.
func TestScheduleFrozenAndUncovered(t *testing.T) {
	for name, files := range map[string]string{
		"hooks removed":        strings.Replace(hooked, "{snapshots: {schedule: standard, before: {run: [/bin/freeze], timeout: 5s}, after: {run: [/bin/thaw], timeout: 5s}}}", "{snapshots: standard}", 1),
		"no schedule any more": strings.Replace(hooked, "{snapshots: {schedule: standard, before: {run: [/bin/freeze], timeout: 5s}, after: {run: [/bin/thaw], timeout: 5s}}}", "{snapshots: none}", 1),
	} {
		t.Run(name, func(t *testing.T) {
			x := newTicking(t, hooked, "a", "pg", "pg/data", "pg/wal")
			c := reconcile.ByHand(&x.want.Daemon.Limits, nil)
			x.hook(&hooking{fails: map[string]bool{"/bin/thaw": true}}, c)
			x.want = policyOf(t, files)
			x.at("2026-11-24T08:00:00Z")
			if name == "hooks removed" { // it fails once more
				x.hook(&hooking{fails: map[string]bool{"/bin/thaw": true}}, c)
				x.at("2026-11-24T09:00:00Z")
			}
			h := &hooking{}
			x.hook(h, c)
			if !slices.Contains(h.ran, "/bin/thaw") {
				t.Errorf("the database stays frozen: ran %v", h.ran)
			}
		})
	}
}

// An older database, and a database that is quiesced for some seconds: what was taken meanwhile carries the mark, and a
// name of some seconds before its creation
func TestScheduleOlderMemorySlowTake(t *testing.T) {
	x := newTicking(t, covered)
	x.tick()
	x.at("2026-11-24T08:00:00Z")
	x.tick()
	old := x.remembered()
	for h := 9; h < 12; h++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
		x.Clock.Move(-time.Minute)
		x.ZFS.SetClock(x.Clock.now.Add(time.Minute + 5*time.Second))
		if _, _, err := x.Pass(x.want, reconcile.ByHand(&x.want.Daemon.Limits, nil), nil); err != nil {
			t.Fatal(err)
		}
	}
	x.remember(old)
	x.at("2026-11-24T11:10:00Z")
	x.tick()
	t.Log(x.there("tank/a"))
	x.hours(12, 36)
	if got := x.there("tank/a"); len(got) > 6 {
		t.Errorf("%v", got)
	}
}

// One row of the memory that can't be read.
func TestScheduleOneBadRow(t *testing.T) {
	x := newTicking(t, covered)
	x.tick()
	db, err := sql.Open("sqlite3", x.dir+"/dplane.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE taken SET body = '{\"since\": 7}' WHERE dataset = ?", guidOf(x, "tank/a/b")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE taken_version SET n = n + 1"); err != nil {
		t.Fatal(err)
	}
	x.at("2026-11-24T08:00:00Z")
	if _, _, err := x.with(reconcile.Daemon(x.want), nil); err != nil {
		t.Errorf("nothing at all is planned, of no pool: %v", err)
	}
}
