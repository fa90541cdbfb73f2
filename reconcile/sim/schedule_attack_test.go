package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
)

func (x *ticking) loop() reconcile.Step {
	x.t.Helper()
	s, _, err := x.with(reconcile.Daemon(x.want), nil)
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

func (x *ticking) tell(s reconcile.Step) {
	x.t.Log(outcomes(s))
	for _, a := range s.Remaining.Actions {
		x.t.Log("left:", a.Verb, a.Object, a.Held)
	}
}

// slowly lets time go by, and somebody write, while a command of a pass runs.
type slowly struct {
	runner host.Runner
	when   string
	do     func()
}

func (s *slowly) Run(ctx context.Context, c host.Command) (host.Result, error) {
	res, err := s.runner.Run(ctx, c)
	if s.do != nil && strings.HasPrefix(c.String(), s.when) {
		s.do()
		s.do = nil
	}
	return res, err
}

// Between the two looks of one step the hour begins, and something was written: the second look has the `written` of
// before, and must not take the dataset for unwritten.
func TestScheduleWrittenBetweenTwoLooks(t *testing.T) {
	x := newTicking(t, `
datasets:
  tank: {}
  tank/a: {snapshots: hourly}
  tank/c: {snapshots: often}
pools:
  tank: {}
schedules:
  hourly: {keep: {hourly: 3}, skipEmpty: true}
  often: {keep: {frequently: 3}, frequentPeriod: 1m}
`, "a", "c")
	x.tick()
	x.at("2026-11-24T07:59:40Z")
	x.ZFS.SetClock(x.Clock.now)
	r := &slowly{runner: x.ZFS, when: "zfs snapshot", do: func() {
		x.ZFS.Write("tank/a", 1<<20)
		x.Clock.Move(25 * time.Second)
		x.ZFS.SetClock(x.Clock.now)
	}}
	l, ctx, c := x.Loop(r), context.Background(), reconcile.ByHand(&x.want.Daemon.Limits, nil)
	p, obs, err := l.Plan(ctx, x.want, c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Carry(ctx, x.want, p, obs, c, "sim")
	if err != nil {
		t.Fatal(err)
	}
	x.tell(s)
	for _, at := range []string{"2026-11-24T08:01:00Z", "2026-11-24T08:02:00Z", "2026-11-24T08:59:00Z"} {
		x.at(at)
		x.tick()
	}
	if got := x.there("tank/a"); len(got) != 2 {
		t.Errorf("what was written at 07:59:40 is in no snapshot at 08:59: %v", got)
	}
}

// A snapshot that no list showed yet is destroyed, and a person takes one of that name: a name alone is no proof.
func TestScheduleNameAlone(t *testing.T) {
	x := newTicking(t, covered)
	x.hours(7, 9)
	x.do("zfs destroy tank/a@dplane-20261124T080000Z")
	x.at("2026-11-24T08:40:00Z")
	x.ZFS.SetClock(x.Clock.now)
	x.do("zfs snapshot tank/a@dplane-20261124T080000Z") // a person's own
	x.hours(9, 24)
	if got := x.there("tank/a"); !slices.Contains(got, "dplane-20261124T080000Z") {
		t.Errorf("dplane pruned what it did not take: %v", got)
	}
}

// Less is to be kept while all of it is held. When the holds end, what is over maxPrune still waits.
func TestScheduleLessWhileHeld(t *testing.T) {
	x := newTicking(t, strings.Replace(covered, "hourly: 3, daily: 2", "hourly: 12", 1))
	x.hours(7, 17)
	all := x.there("tank/a")
	for _, s := range all {
		x.do("zfs hold backup tank/a@" + s)
	}
	x.want = policyOf(t, strings.Replace(covered, "hourly: 3, daily: 2", "hourly: 1", 1))
	x.at("2026-11-24T16:10:00Z")
	x.tell(x.loop())
	for _, s := range all {
		x.do("zfs release backup tank/a@" + s)
	}
	x.at("2026-11-24T17:00:00Z")
	x.tell(x.loop())
	x.at("2026-11-24T17:01:00Z")
	x.tell(x.loop())
	if got := x.there("tank/a"); len(got) < 10 {
		t.Errorf("%d of %d are left, and nobody allowed it (tank/c, never held: %d)", len(got), len(all)+1, len(x.there("tank/c")))
	}
}

// A clone under a shorter schedule is promoted: the history goes over to it, and not all of it at once.
func TestSchedulePromoted(t *testing.T) {
	files := `
datasets:
  tank: {}
  tank/a: {snapshots: long}
  tank/d: {snapshots: short}
pools:
  tank: {}
schedules:
  long: {keep: {hourly: 24}}
  short: {keep: {hourly: 1}}
`
	x := newTicking(t, files, "a", "d")
	x.hours(7, 17)
	x.do("zfs clone tank/a@dplane-20261124T160000Z tank/d/clone")
	x.at("2026-11-24T16:10:00Z")
	x.tell(x.loop())
	x.do("zfs promote tank/d/clone")
	t.Log(len(x.there("tank/d/clone")))
	x.at("2026-11-24T17:00:00Z")
	x.tell(x.loop())
	x.at("2026-11-24T17:01:00Z")
	x.tell(x.loop())
	if got := x.there("tank/d/clone"); len(got) < 10 {
		t.Errorf("%d are left, and nobody allowed it", len(got))
	}
}

// The clock is in 2036 for a moment, on a dataset that has only one that was taken by hand with an expiry.
func TestScheduleByHandIn2036(t *testing.T) {
	x := newTicking(t, covered)
	x.ZFS.SetClock(x.Clock.now)
	x.do("zfs snapshot -o dplane:schedule=until:2026-12-08T00:00:00Z tank/a@by-hand")
	x.at("2036-03-01T00:00:00Z")
	x.tell(x.tick())
	x.at("2036-03-01T00:01:00Z")
	x.tell(x.tick())
	if got := x.there("tank/a"); !slices.Contains(got, "by-hand") {
		t.Errorf("a minute of 2036 cost what was to be kept for two weeks: %v", got)
	}
}

// The clock is one year ahead for a day, the commonest mistake at `date -s`.
func TestScheduleOneYearAhead(t *testing.T) {
	x := newTicking(t, covered)
	x.hours(7, 12)
	truth := x.there("tank/a")
	for h := range 24 {
		x.at(fmt.Sprintf("2027-11-24T%02d:00:00Z", h))
		x.tick()
	}
	for _, n := range truth {
		if !slices.Contains(x.there("tank/a"), n) {
			t.Errorf("%s was lost", n)
		}
	}
}

// The clock was set back by an hour: creation goes backwards in createtxg order, and nothing is pruned.
func TestScheduleSetBack(t *testing.T) {
	x := newTicking(t, strings.Replace(covered, "hourly: 3, daily: 2", "frequently: 8", 1))
	for m := 0; m < 8; m++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:%02d:02Z", 7+m/4, m%4*15))
		x.tick()
	}
	before := x.there("tank/a")
	for m := 0; m < 4; m++ { // an hour earlier
		x.at(fmt.Sprintf("2026-11-24T07:%02d:01Z", m*15))
		s := x.tick()
		for _, o := range outcomes(s) {
			if strings.Contains(o, "destroy") {
				t.Errorf("at %s, with later snapshots dated before earlier ones: %s", x.Clock.now, o)
			}
		}
		x.tell(s)
	}
	t.Log(before, x.there("tank/a"))
}

// One database that can't be quiesced, and all else of its pool: the loop's patience with the first must not rest the pool.
func TestScheduleFreezeFails(t *testing.T) {
	for name, fails := range map[string]map[string]bool{"well": {}, "freeze fails": {"/bin/freeze": true}} {
		t.Run(name, func(t *testing.T) {
			x := newTicking(t, `
datasets:
  tank: {}
  tank/a: {snapshots: standard}
  tank/pg: {snapshots: {schedule: standard, before: {run: [/bin/freeze], timeout: 5s}, after: {run: [/bin/thaw], timeout: 5s}}}
pools:
  tank: {}
schedules:
  standard: {keep: {frequently: 40}, frequentPeriod: 15m}
`, "a", "pg")
			c := reconcile.Daemon(x.want)
			c.Patience = &reconcile.Patience{Interval: time.Minute}
			h := &hooking{fails: fails}
			for range 180 {
				s := x.hook(h, c)
				c.Patience.Learn(s, x.Clock.now)
				x.Clock.Move(time.Minute)
			}
			if got := x.there("tank/a"); len(got) != 12 {
				t.Errorf("tank/a, which nobody has to quiesce, has %d of 12: %v", len(got), got)
			}
			n := 0
			for _, r := range h.ran {
				if r == "/bin/freeze" {
					n++
				}
			}
			t.Logf("freeze ran %d times", n)
		})
	}
}

// The same with a dataset that zfs refuses.
func TestScheduleRefused(t *testing.T) {
	x := newTicking(t, strings.Replace(covered, "hourly: 3, daily: 2", "frequently: 40", 1))
	x.ZFS.Model.Pools["tank"].Datasets["tank/a/b"].Full = true
	c := reconcile.Daemon(x.want)
	c.Patience = &reconcile.Patience{Interval: time.Minute}
	for range 180 {
		s := x.hook(&hooking{}, c)
		c.Patience.Learn(s, x.Clock.now)
		x.Clock.Move(time.Minute)
	}
	if got := x.there("tank/a"); len(got) != 12 {
		t.Errorf("tank/a has %d of 12: %v", len(got), got)
	}
}
