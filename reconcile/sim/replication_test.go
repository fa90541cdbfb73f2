package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

const replicated = `
datasets:
  tank: {}
  usb: {}
pools:
  tank: {}
  usb: {}
replications:
  off: {source: tank/a, target: usb/a, recursive: true, exclude: [tank/a/cache]}
`

// sending is a machine with a pool that is sent to another one.
func newSending(t *testing.T) *ticking {
	t.Helper()
	dir := t.TempDir()
	m, err := New(dir, "/pool/a", "/pool/b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Store.Close() })
	x := &ticking{t: t, Machine: m, want: policyOf(t, replicated), dir: dir}
	x.do("zpool create tank /pool/a")
	x.do("zpool create usb /pool/b")
	for _, n := range []string{"a", "a/b", "a/cache"} {
		x.do("zfs create tank/" + n)
	}
	x.at("2026-11-24T07:00:00Z")
	return x
}

// meanwhile plans by hand, lets something happen, and carries the plan out.
func (x *ticking) meanwhile(r host.Runner, do func()) reconcile.Step {
	x.t.Helper()
	l, c := x.Loop(r), reconcile.ByHand(&x.want.Daemon.Limits, nil)
	p, obs, err := l.Plan(x.t.Context(), x.want, c)
	if err != nil {
		x.t.Fatal(err)
	}
	do()
	s, err := l.Carry(x.t.Context(), x.want, p, obs, c, "test")
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

// snap writes and takes a snapshot of all.
func (x *ticking) snap(name string) {
	x.t.Helper()
	for _, d := range []string{"tank/a", "tank/a/b"} {
		x.ZFS.Write(d, 1<<20)
		x.do("zfs snapshot " + d + "@" + name)
	}
}

// guidsOf are those of the snapshots of a dataset, oldest first.
func (x *ticking) guidsOf(name string) []string {
	x.t.Helper()
	return strings.Fields(x.do("zfs list -Hp -d 1 -t snapshot -o guid -s createtxg " + name))
}

// arrived fails unless both ends are equal, and nothing is left of the way.
func (x *ticking) arrived() {
	x.t.Helper()
	x.came()
	for _, d := range []string{"a", "a/b"} {
		if n := len(strings.Fields(x.do("zfs list -Hp -d 1 -t bookmark -o name tank/" + d))); n != 1 {
			x.t.Errorf("%s has %d bookmarks", d, n)
		}
	}
}

// came fails unless both ends are equal, and nothing is held that is not needed.
func (x *ticking) came() {
	x.t.Helper()
	for _, d := range []string{"a", "a/b"} {
		source, target := x.guidsOf("tank/"+d), x.guidsOf("usb/"+d)
		if len(target) < len(source) || !slices.Equal(source, target[len(target)-len(source):]) {
			x.t.Errorf("%s has %v, the target %v", d, source, target)
		}
		for _, line := range strings.Split(strings.TrimSpace(x.do("zfs list -Hp -d 1 -t snapshot -o name,userrefs -s createtxg tank/"+d)), "\n") {
			if !strings.HasSuffix(line, "\t0") {
				x.t.Errorf("held at the source: %s", line)
			}
		}
		held := strings.Fields(x.do("zfs list -Hp -d 1 -t snapshot -o userrefs -s createtxg usb/" + d))
		if n := len(held); slices.Index(held, "1") != n-1 || held[n-1] != "1" {
			x.t.Errorf("held at the target %s: %v", d, held)
		}
	}
	if out := x.do("zfs list -H -r -o name usb/a"); strings.Contains(out, "cache") {
		x.t.Errorf("the target has what is excluded: %s", out)
	}
}

// However a run dies, and at whatever write, the next leaves what an undisturbed one leaves, and sends nothing whole again.
func TestReplicationKilled(t *testing.T) {
	for _, fault := range []host.Fault{host.DieBefore, host.DieAfter, host.FailBefore} {
		for n := 1; ; n++ {
			x := newSending(t)
			x.snap("one")
			x.tick()
			x.arrived()
			was := x.do("zfs get -Hp -r -t filesystem -o name,value guid usb/a")
			x.snap("two")
			x.do("zfs destroy tank/a@one")
			x.snap("three")
			x.at("2026-11-24T08:00:00Z")
			f := &host.Faulty{N: n, Fault: fault}
			_, died, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, nil), f)
			if err != nil {
				t.Fatal(err)
			}
			if fault != host.FailBefore && !died || fault == host.FailBefore && f.Writes < n {
				if n < 8 {
					t.Fatalf("fault %d: only %d writes", fault, n-1)
				}
				break
			}
			x.do("zfs destroy tank/a/b@one") // the source prunes meanwhile
			x.at("2026-11-24T08:01:00Z")
			x.tick()
			x.at("2026-11-24T08:02:00Z")
			if step := x.tick(); len(step.Plan.Actions) > 0 {
				t.Errorf("fault %d at write %d: it is not at rest: %s %v", fault, n, step.Plan.Actions[0].Object, step.Plan.Actions[0].Fields)
			}
			if x.arrived(); x.do("zfs get -Hp -r -t filesystem -o name,value guid usb/a") != was {
				t.Error("a target was made anew")
			}
			if t.Failed() {
				t.Fatalf("fault %d at write %d", fault, n)
			}
		}
	}
}

// A stream that breaks off goes on from where it was, however often.
func TestReplicationBreaksOff(t *testing.T) {
	x := newSending(t)
	x.snap("one")
	x.snap("two")
	x.ZFS.Model.Cuts = []uint64{1 << 18, 1 << 18, 0, 1 << 19}
	for i := range 8 {
		x.at(fmt.Sprintf("2026-11-24T08:%02d:00Z", i))
		x.tick()
	}
	x.arrived()
	known, err := x.Store.Replicated(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	resumed := 0
	for _, r := range known["off"].Runs {
		resumed += r.Resumed
	}
	if resumed != 2 { // the first was cut twice
		t.Errorf("%d streams went on where they were cut, of 2: %+v", resumed, known["off"].Runs)
	}
}

// Several datasets at once arrive as one after the other does, whatever breaks off. (make check runs it with -race.)
func TestReplicationAtOnce(t *testing.T) {
	x := newSending(t)
	x.Room = make(chan struct{}, 3)
	all := []string{"tank/a", "tank/a/b"}
	for _, d := range []string{"b/c", "b/d", "e", "f", "f/g"} {
		x.do("zfs create tank/a/" + d)
		all = append(all, "tank/a/"+d)
	}
	for i, name := range []string{"one", "two", "three"} {
		for _, d := range all {
			x.ZFS.Write(d, 1<<20)
			x.do("zfs snapshot " + d + "@" + name)
		}
		x.ZFS.Model.Cuts = []uint64{1 << 18, 0, 1 << 19, 1 << 18}
		for k := range 4 {
			x.at(fmt.Sprintf("2026-11-24T%02d:%02d:00Z", 8+i, k))
			x.tick()
		}
		x.arrived()
		for _, d := range all {
			if got, want := x.guidsOf("usb"+strings.TrimPrefix(d, "tank")), x.guidsOf(d); !slices.Equal(got, want) {
				t.Errorf("after %s: %s has %v, its target %v", name, d, want, got)
			}
		}
	}
	known, err := x.Store.Replicated(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	streams, bytes := 0, int64(0)
	for _, r := range known["off"].Runs {
		streams, bytes = streams+r.Streams, bytes+r.Bytes
	}
	if streams < 3*len(all) || bytes < int64(3*len(all))<<20 {
		t.Errorf("%d streams, %d bytes are remembered", streams, bytes)
	}
}

// What was planned to be sent and is gone in the moment in which it is to be held is left out, and the rest is sent.
func TestReplicationGoneSincePlanned(t *testing.T) {
	x := newSending(t)
	x.snap("one")
	x.tick()
	x.snap("two")
	x.snap("three")
	x.at("2026-11-24T08:00:00Z")
	if s := x.meanwhile(x.ZFS, func() { x.do("zfs destroy tank/a@three") }); s.Outcomes.Count(state.Done) != 1 {
		t.Error(outcomes(s))
	}
	x.arrived()
}

// After a stream that was gone on with the same run sends what follows, on a target that has something and on one that had
// nothing.
func TestReplicationGoesOnToTheEnd(t *testing.T) {
	for _, first := range []bool{false, true} {
		x := newSending(t)
		if !first {
			x.snap("one")
			x.tick()
		}
		x.snap("two")
		x.ZFS.Model.Cuts = []uint64{1 << 18}
		x.at("2026-11-24T08:00:00Z")
		x.tick()
		x.snap("three")
		x.snap("four")
		x.at("2026-11-24T09:00:00Z")
		step := x.tick()
		if x.arrived(); t.Failed() {
			t.Fatalf("first %t: %+v", first, step.Plan.Actions)
		}
	}
}

// What was allowed to be sent whole again, and broke off, is not begun again unasked where its token is worth nothing.
func TestReplicationAnewIsAskedForOnce(t *testing.T) {
	x := newSending(t)
	x.snap("one")
	x.tick()
	x.gone("usb/a", "one")
	x.at("2026-11-24T08:00:00Z")
	allow := map[string]bool{}
	for _, a := range x.tick().Remaining.Actions {
		if a.Object.Kind == spec.KindReplication && a.Held != "" {
			allow[a.ID] = true
		}
	}
	x.ZFS.Model.Cuts = []uint64{1 << 18}
	x.at("2026-11-24T08:01:00Z")
	if _, _, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, allow), nil); err != nil {
		t.Fatal(err)
	}
	if out := x.do("zfs get -H -o value receive_resume_token usb/a"); len(out) < 10 {
		t.Fatalf("nothing broke off: %q", out)
	}
	x.do("zfs release dplane:off:source tank/a@one") // a person who knows better
	x.do("zfs destroy tank/a@one")
	x.snap("two")
	x.at("2026-11-24T09:00:00Z")
	x.tick()
	if out := x.do("zfs list -H -r -o name usb"); strings.Contains(out, "usb/a") {
		t.Errorf("it was sent whole: %s", out)
	}
}

// The token of a broken stream is of a snapshot that is gone: what came is thrown away, and it begins anew.
func TestReplicationTokenGone(t *testing.T) {
	x := newSending(t)
	x.snap("one")
	x.tick()
	x.snap("two")
	x.ZFS.Model.Cuts = []uint64{1 << 18}
	x.at("2026-11-24T08:00:00Z")
	x.tick()
	x.do("zfs release dplane:off:source tank/a@two") // a person who knows better
	x.do("zfs destroy tank/a@two")
	x.snap("three")
	for _, at := range []string{"2026-11-24T08:01:00Z", "2026-11-24T08:02:00Z"} {
		x.at(at)
		x.tick()
	}
	if got := x.there("usb/a"); !slices.Equal(got, []string{"one", "three"}) {
		t.Errorf("the target has %v", got)
	}
	x.arrived()
}

// The token of a broken stream is of a snapshot that the files leave out meanwhile: it is not sent.
func TestReplicationTokenLeftOut(t *testing.T) {
	x := newSending(t)
	x.snap("one")
	x.tick()
	x.snap("two")
	x.ZFS.Model.Cuts = []uint64{1 << 18}
	x.at("2026-11-24T08:00:00Z")
	x.tick()
	x.want.Replications["off"].Snapshots = []string{"one", "th*"}
	x.snap("three")
	for _, at := range []string{"2026-11-24T08:01:00Z", "2026-11-24T08:02:00Z"} {
		x.at(at)
		x.tick()
	}
	if got := x.there("usb/a"); !slices.Equal(got, []string{"one", "three"}) {
		t.Errorf("the target has %v", got)
	}
}

// What the target has of its own is told, not overwritten; the other datasets are sent.
func TestReplicationDiverged(t *testing.T) {
	x := newSending(t)
	x.snap("one")
	x.tick()
	x.ZFS.Write("usb/a", 1<<20)
	x.do("zfs snapshot usb/a@own")
	x.snap("two")
	x.at("2026-11-24T08:00:00Z")
	step := x.tick()
	if got := x.there("usb/a"); !slices.Equal(got, []string{"one", "own"}) {
		t.Errorf("the target has %v", got)
	}
	if got := x.there("usb/a/b"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("the other one has %v", got)
	}
	ways := func() map[string]string {
		ids := map[string]string{}
		for _, a := range step.Remaining.Actions {
			if a.Verb == "update" {
				ids[a.Risk.String()] = a.ID
			}
		}
		return ids
	}
	ids := ways()
	if len(ids) != 2 {
		t.Fatalf("the ways out: %v", ids)
	}
	x.ZFS.Write("usb/a", 1<<20) // after the plan
	for _, a := range step.Remaining.Actions {
		if a.ID != ids["destructive"] && a.ID != ids["disruptive"] {
			continue
		}
		var changed *host.Unexpected
		if err := drivers.Apply(t.Context(), x.ZFS, a.Action); !errors.As(err, &changed) {
			t.Errorf("%v of what was written to since: %v", a.Fields, err)
		}
		if a.ID == ids["disruptive"] && (len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "usb/a/b")) {
			t.Errorf("what goes along is not told: %q", a.Notes)
		}
	}
	x.at("2026-11-24T08:01:00Z")
	step = x.tick()
	x.at("2026-11-24T08:02:00Z")
	if _, _, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, map[string]bool{ways()["destructive"]: true}), nil); err != nil {
		t.Fatal(err)
	}
	x.at("2026-11-24T08:03:00Z")
	x.tick()
	x.arrived()
}

// A target that had it once is not sent whole unasked, whether the memory tells or only the bookmark.
func TestReplicationLost(t *testing.T) {
	for _, forget := range []bool{false, true} {
		x := newSending(t)
		x.snap("one")
		x.tick()
		x.gone("usb/a", "one")
		if forget {
			if err := x.Store.SaveReplicated(t.Context(), "off", nil); err != nil {
				t.Fatal(err)
			}
		}
		x.at("2026-11-24T08:00:00Z")
		step := x.tick()
		if out := x.do("zfs list -H -r -o name usb"); strings.Contains(out, "usb/a") {
			t.Errorf("forgotten %t: it was sent whole: %s", forget, out)
		}
		allow := map[string]bool{}
		for _, a := range step.Remaining.Actions {
			if a.Object.Kind == spec.KindReplication && a.Held != "" {
				allow[a.ID] = true
				if !strings.Contains(a.Held, "usb/a (about ") || !strings.Contains(a.Held, "usb/a/b (about ") {
					t.Errorf("it does not say all that is sent whole: %s", a.Held)
				}
			}
		}
		if len(allow) != 1 {
			t.Errorf("the parent and its child are %d actions", len(allow))
		}
		x.snap("two") // since the person read the plan
		x.at("2026-11-24T08:01:00Z")
		if _, _, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, allow), nil); err != nil {
			t.Fatal(err)
		}
		x.arrived()
	}
}
