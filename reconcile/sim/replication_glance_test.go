package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/dataset"
	"github.com/dplaneos/dplane/drivers/pool"
	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/drivers/schedule"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/reconcile"
)

// glancing is a daemon: its drivers live from pass to pass.
type glancing struct {
	*ticking
	loop *reconcile.Loop
}

func newGlancing(t *testing.T) *glancing {
	x := newSending(t)
	x.Watch = &Watched{runner: x.ZFS}
	l := x.Loop(x.Watch)
	l.Drivers = []drivers.Driver{
		&pool.Driver{Runner: x.Watch}, &dataset.Driver{Runner: x.Watch}, &schedule.Driver{Runner: x.Watch, Memory: x.Store, Now: x.Clock.Now, Learns: true},
		&replication.Driver{Runner: x.Watch, Memory: x.Store, Now: x.Clock.Now, After: x.Clock.After, Learns: true},
	}
	return &glancing{x, l}
}

// pass is one of the loop, a minute after the last. It gives how often an end was listed whole, and how many actions there were.
func (g *glancing) pass() (whole, actions int) { return g.after(time.Minute) }

func (g *glancing) after(d time.Duration) (whole, actions int) {
	g.t.Helper()
	g.Clock.Move(d)
	g.ZFS.SetClock(g.Clock.Now())
	g.Watch.All = nil
	consent := reconcile.ByHand(&g.want.Daemon.Limits, nil)
	p, obs, err := g.loop.Plan(g.t.Context(), g.want, consent)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, c := range g.Watch.All {
		if strings.Contains(strings.Join(c.Argv, " "), "filesystem,volume,snapshot,bookmark") {
			whole++
		}
	}
	if _, err := g.loop.Carry(g.t.Context(), g.want, p, obs, consent, "sim"); err != nil {
		g.t.Fatal(err)
	}
	return whole, len(p.Actions)
}

// rest lets passes go by until nothing is listed whole any more.
func (g *glancing) rest() {
	g.t.Helper()
	for range 8 {
		if whole, actions := g.pass(); whole == 0 && actions == 0 {
			return
		}
	}
	g.t.Fatal("the ends are listed whole again and again")
}

// A pass with nothing to send asks whether snapshots have changed, and lists them only where they have.
func TestReplicationGlances(t *testing.T) {
	g := newGlancing(t)
	g.snap("one")
	g.rest()
	g.arrived()
	seen := func(what string) {
		t.Helper()
		if whole, actions := g.pass(); whole == 0 || actions != 1 {
			t.Errorf("%s: %d whole lists, %d actions", what, whole, actions)
		}
		g.rest()
		g.arrived()
	}
	g.snap("two")
	seen("a snapshot")
	g.do("zfs create tank/a/c")
	g.do("zfs snapshot tank/a/c@x")
	seen("a new child")
	g.do("zfs release dplane:off usb/a/b@two")
	g.do("zfs rollback -r usb/a/b@one")
	seen("the target was rolled back")

	g.do("zfs destroy " + strings.TrimSpace(g.do("zfs list -H -d 1 -t bookmark -o name tank/a/b")))
	for n := 1; ; n++ { // it leaves no mark
		if _, actions := g.pass(); actions > 0 {
			break
		}
		if n > 11 {
			t.Fatal("a bookmark that is gone is never seen")
		}
	}
	g.rest()
	g.arrived()
}

// The marks are of whole seconds: of two snapshots within one the second is seen too.
func TestReplicationGlanceWithinASecond(t *testing.T) {
	g := newGlancing(t)
	g.snap("one")
	g.rest()
	g.Clock.Move(time.Minute)
	g.ZFS.SetClock(g.Clock.Now())
	g.snap("two")
	if _, actions := g.after(0); actions != 1 {
		t.Fatalf("%d actions", actions)
	}
	g.snap("three")
	if _, actions := g.pass(); actions != 1 {
		t.Errorf("the second of two within a second: %d actions", actions)
	}
	g.arrived()
}

// What a release of ZFS does not know is asked for once.
func TestReplicationGlanceNoMarks(t *testing.T) {
	g := newGlancing(t)
	g.ZFS.Model.Release = "2.1.11"
	g.snap("one")
	asked := 0
	for range 5 {
		if whole, _ := g.pass(); whole < 2 {
			t.Errorf("%d whole lists", whole)
		}
		for _, c := range g.Watch.All {
			if strings.Contains(strings.Join(c.Argv, " "), "snapshots_changed") {
				asked++
			}
		}
	}
	if g.arrived(); asked != 2 {
		t.Errorf("marks were asked for %d times, of two ends", asked)
	}
}

// What goes by a list that was believed is looked at again before it is destroyed: here the replication that judged it first
// could not know yet what the next one of a chain needs.
func TestReplicationGlancePrunes(t *testing.T) {
	g := newGlancing(t)
	far := zfsfake.New()
	far.AddFile("/pool/c", 1<<30)
	doOn(t, far, "zpool create backup /pool/c")
	g.want = policyOf(t, `
pools: {tank: {}, usb: {}}
remotes:
  far: {host: far.lan, user: repl, identityFile: /root/key, hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
replications:
  off: {source: tank/a, target: usb/a, keep: {hourly: 2}}
  onward: {source: usb/a, target: {remote: far, dataset: backup/a}}
`)
	hour := func(name string) {
		g.Clock.Move(time.Hour)
		g.ZFS.SetClock(g.Clock.Now())
		g.snap(name)
		for range 8 {
			g.pass()
		}
	}
	hour("h1") // what is needed for the way onward can't be seen
	hour("h2")
	hour("h3")
	hour("h4")
	if n := len(g.guidsOf("usb/a")); n != 4 {
		t.Fatalf("%d of 4 are on the target while it is not known what is needed", n)
	}
	g.ZFS.Remotes = map[string]*zfsfake.Fake{"far": far}
	for range 12 {
		g.pass()
		looked := 0
		for _, c := range g.Watch.All {
			line := strings.Join(c.Argv, " ")
			if strings.Contains(line, "filesystem,volume,snapshot,bookmark") && strings.HasSuffix(line, " tank/a") {
				looked++ // nobody else lists the source
			}
			if strings.HasPrefix(line, "zfs destroy usb/a@") {
				if looked == 0 {
					t.Errorf("%s, and nobody looked at the source before", line)
				}
				return
			}
		}
	}
	t.Error("nothing is pruned")
}

// A bookmark that somebody destroyed leaves no mark: while a list of before is believed, the schedule lets the last snapshot that both
// ends have stay. Where it is there still, what the schedule no longer keeps goes all the same.
func TestReplicationGlanceKeepsTheBase(t *testing.T) {
	for _, destroyed := range []bool{true, false} {
		g := newGlancing(t)
		g.want = policyOf(t, `
datasets: {tank: {}, tank/a: {snapshots: short}, usb: {}}
pools: {tank: {}, usb: {}}
schedules: {short: {keep: {hourly: 2}}}
replications:
  off: {source: tank/a, target: usb/a, when: {daily: "07:00"}}
`)
		for range 110 { // to 08:50: those of 07:00 and 08:00 are there, the first one was sent
			g.pass()
		}
		for n := 0; ; n++ {
			if whole, _ := g.pass(); whole > 0 && n < 9 {
				continue
			}
			break
		}
		base := g.guidsOf("usb/a")
		if have := g.guidsOf("tank/a"); len(base) != 1 || len(have) != 2 || have[0] != base[0] {
			t.Fatalf("the source has %v, the target %v", have, base)
		}
		for g.Clock.Now().Minute() < 58 {
			g.pass()
		}
		if destroyed {
			g.do("zfs destroy " + strings.TrimSpace(g.do("zfs list -H -d 1 -t bookmark -o name tank/a")))
		}
		for range 15 {
			g.pass()
		}
		if have := g.guidsOf("tank/a"); slices.Contains(have, base[0]) != destroyed || len(have) < 2 {
			t.Errorf("its bookmark was destroyed: %t; the source has %v, and both had %v", destroyed, have, base)
		}
	}
}
