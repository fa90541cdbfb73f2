package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// ticking is a machine whose schedule covers some datasets, with a clock that the test sets.
type ticking struct {
	t testing.TB
	*Machine
	want *spec.Spec
	dir  string
}

const covered = `
datasets:
  tank: {}
  tank/a: {snapshots: standard}
  tank/a/b: {}
  tank/c: {snapshots: standard}
  tank/d: {}
pools:
  tank: {}
schedules:
  standard: {keep: {hourly: 3, daily: 2}}
`

func policyOf(t testing.TB, files string) *spec.Spec {
	t.Helper()
	s, err := spec.LoadFiles(map[string][]byte{"a.yaml": []byte(files)}, spec.LoadOptions{Hostname: "sim"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newTicking(t testing.TB, files string, below ...string) *ticking {
	t.Helper()
	if below == nil {
		below = []string{"a", "a/b", "c", "d"}
	}
	dir := t.TempDir()
	m, err := New(dir, "/pool/a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Store.Close() })
	x := &ticking{t: t, Machine: m, want: policyOf(t, files), dir: dir}
	x.do("zpool create tank /pool/a")
	for _, n := range below {
		x.do("zfs create tank/" + n)
	}
	x.at("2026-11-24T07:00:00Z")
	return x
}

func (x *ticking) do(line string) string {
	x.t.Helper()
	out, err := x.ZFS.Do(line)
	if err != nil {
		x.t.Fatalf("%s: %v", line, err)
	}
	return out
}

// at sets the clock, so that the next pass is of that time.
func (x *ticking) at(s string) {
	x.t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		x.t.Fatal(err)
	}
	x.Clock.now = at
}

// tick is one pass at the time of the clock, by hand.
func (x *ticking) tick() reconcile.Step {
	x.t.Helper()
	step, died, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, nil), nil)
	if err != nil || died {
		x.t.Fatal(died, err)
	}
	return step
}

func (x *ticking) with(c reconcile.Consent, fault *host.Faulty) (reconcile.Step, bool, error) {
	x.Clock.Move(-time.Minute) // a pass moves it by one
	x.ZFS.SetClock(x.Clock.now.Add(time.Minute))
	return x.Pass(x.want, c, fault)
}

// there are the snapshots of a dataset, oldest first.
func (x *ticking) there(name string) []string {
	x.t.Helper()
	out := x.do("zfs list -Hp -t snapshot -o name " + name)
	var names []string
	for line := range strings.Lines(out) {
		_, snap, _ := strings.Cut(strings.TrimSpace(line), "@")
		names = append(names, snap)
	}
	return names
}

// remembered is what is known of what was taken, by dataset.
func (x *ticking) remembered() map[string]*state.Taken {
	x.t.Helper()
	version, all, err := x.Store.Taken(x.t.Context(), 0)
	if err != nil || version == 0 || len(all) == 0 {
		x.t.Fatal(version, len(all), err)
	}
	return all
}

// remember puts an older memory back.
func (x *ticking) remember(old map[string]*state.Taken) {
	x.t.Helper()
	if err := x.Store.SaveTaken(x.t.Context(), old); err != nil {
		x.t.Fatal(err)
	}
}

// forget ends all memory of what was taken.
func (x *ticking) forget() {
	x.t.Helper()
	all := x.remembered()
	for guid := range all {
		all[guid] = nil
	}
	x.remember(all)
}

func (x *ticking) is(name string, want ...string) {
	x.t.Helper()
	if got := x.there(name); !slices.Equal(got, want) {
		x.t.Errorf("at %s %s has %v, want %v", x.Clock.now, name, got, want)
	}
}

// A day and a half of ticks: what is there is what a plain list says, of each covered dataset and of no other.
func TestScheduleTicks(t *testing.T) {
	x := newTicking(t, covered)
	from := x.Clock.now
	var plain []time.Time
	for now := from; now.Before(from.Add(36 * time.Hour)); now = now.Add(20 * time.Minute) {
		x.Clock.now = now
		step := x.tick()
		if n := step.Remaining.Pending(); n > 0 {
			t.Fatalf("at %s %d actions are left", now, n)
		}
		if now.Minute() == 0 {
			plain = keepPlain(append(plain, now))
		}
		var want []string
		for _, at := range plain {
			want = append(want, at.Format("dplane-20060102T150405Z"))
		}
		for _, n := range []string{"tank/a", "tank/a/b", "tank/c"} {
			x.is(n, want...)
		}
		x.is("tank")
		x.is("tank/d")
	}
}

// keepPlain is the policy of the test: the newest three hours and the first of each of the newest two days.
func keepPlain(all []time.Time) (left []time.Time) {
	days := map[string]time.Time{}
	var order []string
	for _, at := range all {
		d := at.Format("2006-01-02")
		if _, ok := days[d]; !ok {
			days[d] = at
			order = append(order, d)
		}
	}
	for i, at := range all {
		d := at.Format("2006-01-02")
		if i >= len(all)-3 || days[d].Equal(at) && slices.Index(order, d) >= len(order)-2 {
			left = append(left, at)
		}
	}
	return left
}

// What a tick costs: one look at all datasets; beside that nothing where nothing is due, else one snapshot, one list, and
// one destroy per dataset that is pruned.
func TestScheduleCosts(t *testing.T) {
	x := newTicking(t, covered)
	x.tick()
	commands := func() (all []string) {
		x.Watch = &Watched{}
		x.tick()
		for _, c := range x.Watch.All {
			if s := c.String(); strings.HasPrefix(s, "zfs snapshot") || strings.HasPrefix(s, "zfs destroy") || strings.HasPrefix(s, "zfs get") || strings.Contains(s, "-t snapshot") {
				all = append(all, strings.Join(c.Argv[:2], " "))
			}
		}
		slices.Sort(all)
		return all
	}
	if got := commands(); !slices.Equal(got, []string{"zfs get"}) {
		t.Errorf("with nothing due: %v", got)
	}
	for h := 8; h < 11; h++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
		want := []string{"zfs get", "zfs list", "zfs snapshot"}
		if got := commands(); !slices.Equal(got, want) {
			t.Errorf("with all due: %v", got)
		}
	}
	x.at("2026-11-24T11:00:00Z")
	if got, want := commands(), []string{"zfs destroy", "zfs destroy", "zfs destroy", "zfs get", "zfs list", "zfs snapshot"}; !slices.Equal(got, want) {
		t.Errorf("with a prune: %v", got)
	}
	if got := commands(); !slices.Equal(got, []string{"zfs get"}) {
		t.Errorf("after it: %v", got)
	}
}

// However a pass dies, the next leaves what an undisturbed one leaves.
func TestScheduleKilled(t *testing.T) {
	undisturbed := func(n int, fault host.Fault) (*ticking, bool) {
		x := newTicking(t, covered)
		for h := 7; h < 12; h++ {
			x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
			if h < 11 || n == 0 {
				x.tick()
				continue
			}
			f := &host.Faulty{N: n, Fault: fault}
			_, died, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, nil), f)
			if err != nil {
				t.Fatal(err)
			}
			if fault != host.FailBefore && !died {
				return nil, false
			}
			if fault == host.FailBefore && f.Writes < n {
				return nil, false
			}
			x.at("2026-11-24T11:01:00Z")
			x.tick()
		}
		return x, true
	}
	want, _ := undisturbed(0, 0)
	for _, fault := range []host.Fault{host.DieBefore, host.DieAfter, host.FailBefore} {
		for n := 1; ; n++ {
			x, met := undisturbed(n, fault)
			if !met {
				if n < 4 {
					t.Fatalf("fault %d: only %d writes", fault, n-1)
				}
				break
			}
			for _, d := range []string{"tank/a", "tank/a/b", "tank/c"} {
				got, should := x.there(d), want.there(d)
				for i := range got {
					got[i] = strings.Replace(got[i], "T110100Z", "T110000Z", 1)
				}
				if !slices.Equal(got, should) {
					t.Errorf("fault %d at write %d: %s has %v, want %v", fault, n, d, got, should)
				}
			}
		}
	}
}

// With the memory lost, the marks tell what is dplane's; what a person took is nobody's to prune, nor what only inherits
// a mark.
func TestScheduleMemoryLost(t *testing.T) {
	x := newTicking(t, covered)
	for h := 7; h < 10; h++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
		x.tick()
	}
	x.do("zfs set dplane:schedule=standard tank/c")
	for _, n := range []string{"tank/a@mine", "tank/c@dplane-20261124T091000Z"} {
		x.do("zfs snapshot " + n)
	}
	x.forget()
	x.at("2026-11-24T10:00:00Z")
	x.tick()
	x.at("2026-11-24T11:00:00Z")
	x.tick()
	x.is("tank/a", "dplane-20261124T070000Z", "dplane-20261124T090000Z", "mine", "dplane-20261124T100000Z", "dplane-20261124T110000Z")
	x.is("tank/c", "dplane-20261124T070000Z", "dplane-20261124T090000Z", "dplane-20261124T091000Z", "dplane-20261124T100000Z", "dplane-20261124T110000Z")
}

// A mark that came with a stream is no proof: what another machine, or another dataset, was taken of stays.
func TestScheduleReceivedMark(t *testing.T) {
	x := newTicking(t, covered)
	x.tick()
	if err := x.ZFS.Copy("tank/a@dplane-20261124T070000Z", "tank/c/copy"); err != nil {
		t.Fatal(err)
	}
	for h := 8; h < 13; h++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
		x.tick()
	}
	x.is("tank/c/copy", "dplane-20261124T070000Z", "dplane-20261124T080000Z", "dplane-20261124T100000Z", "dplane-20261124T110000Z", "dplane-20261124T120000Z")
}

// With the memory lost, one too many is no retention that became smaller: nothing waits for a person.
func TestScheduleMemoryLostOfOne(t *testing.T) {
	x := newTicking(t, strings.Replace(covered, "hourly: 3, daily: 2", "hourly: 1", 1))
	x.tick()
	x.forget()
	x.at("2026-11-24T08:00:00Z")
	x.tick()
	x.is("tank/a", "dplane-20261124T080000Z")
}

// A child that is destroyed and made anew is covered by itself.
func TestScheduleChildMadeAnew(t *testing.T) {
	x := newTicking(t, strings.Replace(covered, "  tank/a/b: {}\n", "", 1))
	x.tick()
	x.do("zfs destroy -r tank/a/b")
	x.do("zfs create tank/a/b")
	x.at("2026-11-24T07:30:00Z")
	x.tick()
	x.is("tank/a/b", "dplane-20261124T073000Z")
	x.is("tank/a", "dplane-20261124T070000Z")
}

// An older copy of the database knows less: what carries the mark and is newer is dplane's all the same.
func TestScheduleOlderMemory(t *testing.T) {
	x := newTicking(t, covered)
	x.tick()
	x.at("2026-11-24T08:00:00Z")
	x.tick()
	old := x.remembered()
	for h := 9; h < 12; h++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
		x.tick()
	}
	x.remember(old)
	x.at("2026-11-24T12:00:00Z")
	x.tick()
	x.is("tank/a", "dplane-20261124T070000Z", "dplane-20261124T100000Z", "dplane-20261124T110000Z", "dplane-20261124T120000Z")
}

// A day with the clock in 2036 costs no true snapshot, and what it left is kept and fills no bucket.
func TestScheduleClockIn2036(t *testing.T) {
	x := newTicking(t, covered)
	for h := 7; h < 12; h++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
		x.tick()
	}
	truth := x.there("tank/a")
	for h := range 24 {
		x.at(fmt.Sprintf("2036-03-01T%02d:00:00Z", h))
		x.tick()
	}
	for _, n := range truth {
		if !slices.Contains(x.there("tank/a"), n) {
			t.Errorf("%s was lost", n)
		}
	}
	wrong := len(x.there("tank/a")) - len(truth)
	if wrong != 24 {
		t.Errorf("%d of 2036", wrong)
	}
	for h := 12; h < 14; h++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
		x.tick()
	}
	if got := len(x.there("tank/a")) - wrong; got != 4 { // three hours, and the first of the day
		t.Errorf("%d true ones, want 4: %v", got, x.there("tank/a"))
	}
}

// A dataset that can't be snapshotted keeps no other from it, and rests by itself.
func TestScheduleOneFails(t *testing.T) {
	x := newTicking(t, covered)
	x.ZFS.Model.Pools["tank"].Datasets["tank/a/b"].Full = true
	step := x.tick()
	if step.Outcomes.Count(state.Failed) != 1 {
		t.Errorf("outcomes: %+v", step.Outcomes)
	}
	x.is("tank/a", "dplane-20261124T070000Z")
	x.is("tank/c", "dplane-20261124T070000Z")
	x.is("tank/a/b")
	x.at("2026-11-24T08:00:00Z")
	x.tick()
	x.is("tank/c", "dplane-20261124T070000Z", "dplane-20261124T080000Z")
	x.ZFS.Model.Pools["tank"].Datasets["tank/a/b"].Full = false
	x.at("2026-11-24T08:10:00Z")
	x.tick()
	x.is("tank/a/b", "dplane-20261124T081000Z")
}

// The machine slept over many boundaries: one is taken, and named by now.
func TestScheduleSlept(t *testing.T) {
	x := newTicking(t, covered)
	x.tick()
	x.at("2026-11-27T09:17:00Z")
	x.tick()
	x.is("tank/a", "dplane-20261124T070000Z", "dplane-20261127T091700Z")
	x.at("2026-11-27T09:18:00Z")
	x.tick()
	x.is("tank/a", "dplane-20261124T070000Z", "dplane-20261127T091700Z")
}

// Where nothing was written none is taken; what somebody else took since does not hide what was.
func TestScheduleSkipsEmpty(t *testing.T) {
	x := newTicking(t, strings.Replace(covered, "daily: 2}", "daily: 2}, skipEmpty: true", 1))
	x.tick()
	x.ZFS.Write("tank/c", 4096)
	x.do("zfs snapshot tank/c@mine")
	x.at("2026-11-24T08:00:00Z")
	x.tick()
	x.is("tank/a", "dplane-20261124T070000Z")
	x.is("tank/c", "dplane-20261124T070000Z", "mine", "dplane-20261124T080000Z")
	x.Watch = &Watched{}
	x.at("2026-11-24T08:01:00Z")
	x.tick()
	for _, c := range x.Watch.All {
		if strings.Contains(c.String(), "-t snapshot") {
			t.Errorf("it is looked at again within the hour: %s", c)
		}
	}
}

// A retention that became smaller is pruned by hand at once, by the loop ten minutes later, and never by the loop where it
// is more than maxPrune.
func TestScheduleLessIsKept(t *testing.T) {
	start := func() *ticking {
		x := newTicking(t, strings.Replace(covered, "hourly: 3, daily: 2", "hourly: 8", 1))
		for h := 7; h < 15; h++ {
			x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
			x.tick()
		}
		return x
	}
	less := func(n int) string {
		return strings.Replace(covered, "hourly: 3, daily: 2", fmt.Sprintf("hourly: %d", n), 1)
	}
	loop := func(x *ticking) {
		t.Helper()
		if _, _, err := x.with(reconcile.Daemon(x.want), nil); err != nil {
			t.Fatal(err)
		}
	}
	x := start()
	x.want = policyOf(t, less(6))
	x.at("2026-11-24T14:01:00Z")
	loop(x)
	if n := len(x.there("tank/a")); n != 8 {
		t.Errorf("the loop pruned at once: %d are left", n)
	}
	x.at("2026-11-24T14:12:00Z")
	loop(x)
	if n := len(x.there("tank/a")); n != 6 {
		t.Errorf("after ten minutes %d are left", n)
	}

	x = start()
	x.want = policyOf(t, less(6))
	x.at("2026-11-24T14:01:00Z")
	x.tick()
	if n := len(x.there("tank/a")); n != 6 {
		t.Errorf("by hand %d are left", n)
	}

	x = start()
	x.want = policyOf(t, less(2))
	for _, at := range []string{"2026-11-24T14:01:00Z", "2026-11-24T14:30:00Z", "2026-11-24T15:00:00Z"} {
		x.at(at)
		loop(x)
		step := x.tick()
		if n := len(x.there("tank/a")); n != 8 { // at 15:00 one that was not kept before either went
			t.Fatalf("at %s %d are left", at, n)
		}
		if at != "2026-11-24T15:00:00Z" {
			continue
		}
		allow := map[string]bool{}
		for _, a := range step.Remaining.Actions {
			if strings.Contains(a.Held, "maxPrune") {
				allow[a.ID] = true
			}
		}
		if step.Remaining.Asked() != 3 || step.Remaining.Pending() != 0 {
			t.Errorf("%d wait to be named, %d are pending", step.Remaining.Asked(), step.Remaining.Pending())
		}
		if len(allow) != 3 {
			t.Fatalf("%d actions wait for a person", len(allow))
		}
		if _, _, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, allow), nil); err != nil {
			t.Fatal(err)
		}
		if n := len(x.there("tank/a")); n != 2 {
			t.Errorf("allowed, and %d are left", n)
		}
	}
}

// Held and cloned snapshots that no period keeps stay, and stop no other from being pruned, nor any action.
func TestScheduleProtected(t *testing.T) {
	x := newTicking(t, covered)
	for h := 7; h < 14; h++ {
		x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", h))
		if step := x.tick(); step.Outcomes.Count(state.Done) != len(step.Outcomes) {
			t.Errorf("at %d: %+v", h, step.Outcomes)
		}
		switch h {
		case 8:
			x.do("zfs hold keep tank/a@dplane-20261124T080000Z")
		case 9:
			x.do("zfs clone tank/a@dplane-20261124T090000Z tank/d/clone")
		}
	}
	x.is("tank/a", "dplane-20261124T070000Z", "dplane-20261124T080000Z", "dplane-20261124T090000Z", "dplane-20261124T110000Z", "dplane-20261124T120000Z", "dplane-20261124T130000Z")
}
