package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

const toFar = `
datasets:
  tank: {}
pools:
  tank: {}
remotes:
  REMOTE: {host: far.lan, user: repl, identityFile: /root/key, hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
replications:
  NAME: {source: tank/a, target: {remote: REMOTE, dataset: backup/a}, recursive: true, exclude: [tank/a/cache]}
`

// A replication, or its machine, has another name in the files since, and its target is gone: it is not sent whole unasked,
// with its bookmarks at the source and without, and not either once the next looks have come to terms with the new name.
func TestReplicationRenamedAndLost(t *testing.T) {
	for _, names := range [][2]string{{"off", "nas"}, {"other", "far"}, {"other", "nas"}} {
		for _, marked := range []bool{true, false} {
			x := newSending(t)
			far := zfsfake.New()
			far.AddFile("/pool/c", 1<<30)
			doOn(t, far, "zpool create backup /pool/c")
			x.ZFS.Remotes = map[string]*zfsfake.Fake{"far": far}
			x.want = policyOf(t, strings.NewReplacer("NAME", "off", "REMOTE", "far").Replace(toFar))
			x.snap("one")
			x.tick()
			for _, d := range []string{"backup/a/b", "backup/a"} {
				doOn(t, far, "zfs release dplane:off "+d+"@one")
				doOn(t, far, "zfs destroy "+d+"@one")
				doOn(t, far, "zfs destroy "+d)
			}
			if !marked {
				for _, line := range strings.Fields(x.do("zfs list -H -r -t bookmark -o name tank/a")) {
					x.do("zfs destroy " + line)
				}
			}
			x.ZFS.Remotes = map[string]*zfsfake.Fake{names[1]: far}
			x.want = policyOf(t, strings.NewReplacer("NAME", names[0], "REMOTE", names[1]).Replace(toFar))
			var step reconcile.Step
			for _, at := range []string{"08:00", "09:30", "11:00"} {
				x.at("2026-11-24T" + at + ":00Z")
				step = x.tick()
			}
			if out := doOn(t, far, "zfs list -H -r -o name backup"); strings.Contains(out, "backup/a") {
				t.Errorf("%v, marked %t: it was sent whole unasked: %s", names, marked, out)
			}
			allow := map[string]bool{}
			for _, a := range step.Remaining.Actions {
				if a.Object == (spec.Ref{Kind: spec.KindReplication, Name: names[0]}) && strings.Contains(a.Held, "was replicated before") || strings.Contains(a.Held, "were replicated before") {
					allow[a.ID] = true
					if told := strings.Contains(strings.Join(a.Notes, "\n"), "nas is taken for the machine that was called far"); told != (names[1] == "nas") {
						t.Errorf("%v: that it may be another machine is told: %t: %q", names, told, a.Notes)
					}
				}
			}
			x.at("2026-11-24T11:30:00Z")
			if _, _, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, allow), nil); err != nil {
				t.Fatal(err)
			}
			if out := doOn(t, far, "zfs list -H -r -t snapshot -o name backup"); len(allow) != 1 || !strings.Contains(out, "backup/a/b@one") {
				t.Errorf("%v, marked %t: %d are allowed: %s", names, marked, len(allow), out)
			}
		}
	}
}

// A machine of another name, whose former one the files still have, is another machine.
func TestReplicationToAnotherMachine(t *testing.T) {
	x := newSending(t)
	far, second := zfsfake.New(), zfsfake.New()
	for _, f := range []*zfsfake.Fake{far, second} {
		f.AddFile("/pool/c", 1<<30)
		doOn(t, f, "zpool create backup /pool/c")
	}
	x.ZFS.Remotes = map[string]*zfsfake.Fake{"far": far, "second": second}
	text := strings.NewReplacer("NAME", "off", "REMOTE", "far").Replace(toFar)
	x.want = policyOf(t, text)
	x.snap("one")
	x.tick()
	text = strings.Replace(text, "  far: {host", "  second: {host: second.lan, user: repl, identityFile: /root/key, hostKey: \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}\n  far: {host", 1)
	x.want = policyOf(t, strings.Replace(text, "remote: far", "remote: second", 1))
	x.at("2026-11-24T08:00:00Z")
	x.tick()
	if out := doOn(t, second, "zfs list -H -r -t snapshot -o name backup"); !strings.Contains(out, "backup/a/b@one") {
		t.Errorf("it was not sent: %s", out)
	}
}

// From one target to another: what stays there for the way back is told, with what lets go of it; what the way back needs
// stays at the source, so that it goes on there though the snapshot is pruned. Once a person let go it is told no more.
func TestReplicationRepointed(t *testing.T) {
	there := strings.Replace(replicated, "target: usb/a", "target: usb/z", 1)
	left := func(step reconcile.Step) (told []string) {
		for _, n := range step.Plan.Notices {
			if strings.Contains(n, "the way back to usb/") {
				told = append(told, n)
			}
		}
		return told
	}
	for _, back := range []bool{true, false} {
		x := newSending(t)
		x.snap("one")
		x.tick()
		was := x.tree("usb/a")
		x.want = policyOf(t, there)
		x.snap("two")
		x.at("2026-11-24T08:00:00Z")
		x.tick()
		x.at("2026-11-24T08:01:00Z")
		step := x.tick()
		told := left(step)
		if len(told) != 1 || !strings.Contains(told[0], "2 hold(s) on usb/a, 2 bookmark(s): tank/a#dplane-off-") || len(step.Plan.Actions) > 0 {
			t.Fatalf("told: %v; planned: %d", step.Plan.Notices, len(step.Plan.Actions))
		}
		for _, d := range []string{"tank/a/b", "tank/a"} {
			x.do("zfs destroy " + d + "@one")
		}
		x.snap("three")
		x.at("2026-11-24T09:30:00Z")
		x.tick()
		if back {
			x.want = policyOf(t, replicated)
			x.at("2026-11-24T11:00:00Z")
			x.tick()
			if now := x.tree("usb/a"); now["usb/a"] != was["usb/a"] || !slices.Equal(x.there("usb/a"), []string{"one", "two", "three"}) && !slices.Equal(x.there("usb/a"), []string{"one", "three"}) {
				t.Errorf("it does not go on: %v, was %v: %v", now, was, x.there("usb/a"))
			}
			x.at("2026-11-24T12:30:00Z")
			if told := left(x.tick()); len(told) != 1 || !strings.Contains(told[0], "usb/z") {
				t.Errorf("told of the other one: %v", told)
			}
			continue
		}
		for _, d := range []string{"usb/a/b", "usb/a"} {
			x.do("zfs release dplane:off " + d + "@one")
		}
		for _, d := range []string{"tank/a/b", "tank/a"} {
			for _, m := range strings.Fields(x.do("zfs list -H -d 1 -t bookmark -o name -s createtxg " + d))[:1] {
				x.do("zfs destroy " + m)
			}
		}
		for _, at := range []string{"11:00", "11:01"} {
			x.at("2026-11-24T" + at + ":00Z")
			if step = x.tick(); len(left(step)) > 0 {
				t.Errorf("told again: %v", step.Plan.Notices)
			}
		}
		known, err := x.Store.Replicated(t.Context())
		if err != nil || len(known["off"].Former) > 0 {
			t.Errorf("%+v, %v", known["off"].Former, err)
		}
	}
}

// A target that is named otherwise, and the files with it, is the one that it was: nobody goes back.
func TestReplicationTargetRenamed(t *testing.T) {
	x := newSending(t)
	x.snap("one")
	x.tick()
	x.do("zfs rename usb/a usb/z")
	x.want = policyOf(t, strings.Replace(replicated, "target: usb/a", "target: usb/z", 1))
	x.at("2026-11-24T08:00:00Z")
	x.tick()
	x.snap("two")
	for _, at := range []string{"08:01", "10:00", "10:01"} {
		x.at("2026-11-24T" + at + ":00Z")
		if step := x.tick(); strings.Contains(strings.Join(step.Plan.Notices, "\n"), "way back") && at != "08:01" {
			t.Errorf("at %s: %v", at, step.Plan.Notices)
		}
	}
	if got := x.there("usb/z"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("usb/z has %v", got)
	}
	if out := x.do("zfs list -H -d 1 -t bookmark -o name tank/a"); strings.Count(out, "\n") != 1 {
		t.Errorf("bookmarks: %s", out)
	}
}

// What was seen of a way that it goes no more is not believed once it went it again: one process sees all of it within the hour.
func TestReplicationLeftAgain(t *testing.T) {
	there, none := strings.Replace(replicated, "target: usb/a", "target: usb/z", 1), replicated[:strings.Index(replicated, "replications:")]
	for _, away := range []string{there, none} {
		x := newSending(t)
		l := x.Loop(x.ZFS)
		tick := func(text string) (told string) {
			t.Helper()
			x.want = policyOf(t, text)
			x.Clock.Move(time.Minute)
			x.ZFS.SetClock(x.Clock.now)
			c := reconcile.ByHand(&x.want.Daemon.Limits, nil)
			p, obs, err := l.Plan(t.Context(), x.want, c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Carry(t.Context(), x.want, p, obs, c, "test"); err != nil {
				t.Fatal(err)
			}
			for _, a := range p.Actions {
				if a.Reason.Code == drivers.Removed { // a person at the prompt has it done
					told += "lets go of " + a.Object.Name
				}
			}
			return told + strings.Join(p.Notices, "\n")
		}
		x.snap("one")
		tick(replicated)
		told := tick(away) + tick(away)
		if away == there { // by hand; the other one was let go of
			for _, d := range []string{"/b", ""} {
				x.do("zfs release dplane:off usb/a" + d + "@one")
				for _, m := range strings.Fields(x.do("zfs list -H -d 1 -t bookmark -o name tank/a" + d)) {
					x.do("zfs destroy " + m)
				}
			}
			x.Clock.Move(2 * time.Hour)
		}
		if still := tick(away) + tick(away); !strings.Contains(told, "usb/a needs") && !strings.Contains(told, "lets go of off") || still != "" {
			t.Errorf("told %q, and then %q", told, still)
		}
		tick(replicated)
		x.snap("two")
		tick(replicated)
		if told := tick(away) + tick(away); !strings.Contains(told, "usb/a needs") && !strings.Contains(told, "lets go of off") {
			t.Errorf("what is left again is not told: %q", told)
		}
	}
}

// Out of the files altogether, it is let go of on every way that it went.
func TestReplicationRepointedAndRemoved(t *testing.T) {
	x := newSending(t)
	x.snap("one")
	x.tick()
	x.want = policyOf(t, strings.Replace(replicated, "target: usb/a", "target: usb/z", 1))
	x.at("2026-11-24T08:00:00Z")
	x.tick()
	x.want = policyOf(t, replicated[:strings.Index(replicated, "replications:")])
	x.at("2026-11-24T08:01:00Z")
	x.tick()
	if out := x.do("zfs list -H -r -t bookmark -o name tank"); out != "" {
		t.Errorf("bookmarks: %s", out)
	}
	for line := range strings.Lines(x.do("zfs list -Hp -r -t snapshot -o name,userrefs usb")) {
		if !strings.HasSuffix(line, "\t0\n") {
			t.Errorf("held: %s", line)
		}
	}
	x.at("2026-11-24T10:00:00Z")
	x.tick()
	if known, err := x.Store.Replicated(t.Context()); err != nil || len(known) > 0 {
		t.Errorf("%v, %v", known, err)
	}
}
