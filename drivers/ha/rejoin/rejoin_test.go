package rejoin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
)

// pair are a node that comes back, and the one that was promoted meanwhile.
type pair struct {
	t    *testing.T
	a, b *zfsfake.Fake
	node *Node
}

var tree = []string{"tank/home", "tank/home/anna", "tank/home/anna/mail", "tank/home/ben", "tank/home/vol"}

// newPair: both have @one and @two of the tree; a has more of some, b of all.
func newPair(t *testing.T, wrote ...string) *pair {
	t.Helper()
	p := &pair{t: t, a: zfsfake.New(), b: zfsfake.New()}
	p.b.Model.Serial = 1 << 20
	for _, f := range []*zfsfake.Fake{p.a, p.b} {
		f.AddFile("/pool/x", 1<<30)
		p.do(f, "zpool create tank /pool/x")
	}
	p.a.Remotes = map[string]*zfsfake.Fake{"nas-b": p.b}
	for _, d := range tree {
		if d == "tank/home/vol" {
			p.do(p.a, "zfs create -s -V 8M "+d)
		} else {
			p.do(p.a, "zfs create "+d)
		}
	}
	p.do(p.a, "zfs set quota=1G compression=lz4 tank/home/anna")
	for _, snap := range []string{"one", "two"} {
		p.write(p.a, snap, tree...)
	}
	for _, d := range tree {
		p.send(p.a, "", zfs.Stream{Snapshot: d + "@one"}, "nas-b", d)
		p.send(p.a, "", zfs.Stream{Snapshot: d + "@two", From: "@one"}, "nas-b", d)
		p.do(p.a, "zfs hold dplane:pair:source "+d+"@two")
	}
	p.write(p.a, "own", wrote...)
	for _, d := range wrote {
		p.do(p.a, "zfs hold dplane:pair:source "+d+"@own")
		p.do(p.a, "zfs bookmark "+d+"@own "+d+"#own")
		p.a.Write(d, 1<<18)
	}
	for _, d := range tree {
		p.do(p.a, "zfs set readonly=on "+d)
		if d != "tank/home/vol" {
			_, _ = p.a.Do("zfs unmount -f " + d)
		}
		p.do(p.b, "zfs set readonly=off "+d)
	}
	p.write(p.b, "three", tree...)
	p.do(p.b, "zfs destroy tank/home@one")
	p.node = &Node{Runner: p.a, Group: []spec.DatasetName{"tank/home"}, Remote: "nas-b", Term: 5}
	return p
}

func (p *pair) do(f *zfsfake.Fake, line string) string {
	p.t.Helper()
	out, err := f.Do(line)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (p *pair) write(f *zfsfake.Fake, snap string, datasets ...string) {
	p.t.Helper()
	for _, d := range datasets {
		f.Write(d, 1<<19)
		p.do(f, "zfs snapshot "+d+"@"+snap)
	}
}

func (p *pair) send(at *zfsfake.Fake, from string, s zfs.Stream, to, target string) {
	p.t.Helper()
	send, receive := s.Send(), zfs.Receive(target, map[string]string{"readonly": "on"}, nil)
	send.Host, receive.Host, receive.Stdin = from, to, &send
	if _, err := at.Run(p.t.Context(), receive); err != nil {
		p.t.Fatal(err)
	}
}

// guids are all snapshots of a machine.
func (p *pair) guids(f *zfsfake.Fake) []string {
	p.t.Helper()
	return strings.Fields(p.do(f, "zfs list -Hp -t snapshot -o guid"))
}

// rejoins fails unless the node is clean, and what the active one has comes on top of what is here.
func (p *pair) rejoins(anew ...string) {
	p.t.Helper()
	c, err := p.node.Compare(p.t.Context())
	if err != nil || c.Seen() != ha.Clean {
		p.t.Fatalf("%v, %+v", err, c)
	}
	for _, d := range tree {
		if slices.Contains(anew, d) {
			p.send(p.a, "nas-b", zfs.Stream{Snapshot: d + "@three"}, "", d)
			continue
		}
		p.send(p.a, "nas-b", zfs.Stream{Snapshot: d + "@three", From: "@two"}, "", d)
	}
}

func (p *pair) plan(how string) *Plan {
	p.t.Helper()
	plan, err := p.node.Plan(p.t.Context(), how)
	if err != nil {
		p.t.Fatal(err)
	}
	return plan
}

// What stopped writing with all of it in snapshots that the active node has is clean; one byte more is not.
func TestClean(t *testing.T) {
	p := newPair(t)
	p.rejoins()
	if plan := p.plan(ha.Keep); len(plan.Steps)+len(plan.Datasets) > 0 {
		t.Errorf("%+v", plan)
	}
	p = newPair(t)
	p.a.Write("tank/home/ben", 1)
	if c, err := p.node.Compare(t.Context()); err != nil || c.Seen() != ha.Diverged {
		t.Errorf("%v, %+v", err, c)
	}
	p = newPair(t)
	p.do(p.b, "zfs bookmark tank/home/ben@two tank/home/ben#two") // as its replication makes one
	p.do(p.b, "zfs destroy tank/home/ben@two")
	p.do(p.b, "zfs destroy tank/home/ben@one")
	if c, err := p.node.Compare(t.Context()); err != nil || c.Seen() != ha.Clean {
		t.Errorf("%v, %+v", err, c)
	}
	p.b.Model.Missing = []string{"zfs"}
	if c, err := p.node.Compare(t.Context()); err == nil {
		t.Errorf("an active node that does not answer: %+v", c)
	}
}

// wrotes are what wrote before the other node was promoted.
var wrotes = [][]string{
	{"tank/home"}, {"tank/home/anna"}, {"tank/home/anna/mail"}, {"tank/home/vol"}, {"tank/home", "tank/home/ben"},
	{"tank/home/anna", "tank/home/vol"}, tree,
}

// Kept aside: nothing is destroyed, whatever it was and at whatever command it died, and the active node's increments are
// received on what takes its place. Given up: exactly what was shown.
func TestWaysOut(t *testing.T) {
	for _, how := range []string{ha.Keep, ha.Discard} {
		for _, wrote := range wrotes {
			for _, fault := range []host.Fault{host.DieBefore, host.DieAfter} {
				for n := 1; n > 0 && n < 80; n++ {
					t.Run(fmt.Sprint(how, wrote, fault, n), func(t *testing.T) {
						if !wayOut(newPair(t, wrote...), how, wrote, fault, n) {
							n = -1
						}
					})
				}
			}
		}
	}
}

// wayOut tells whether it died at all.
func wayOut(p *pair, how string, wrote []string, fault host.Fault, n int) (died bool) {
	t := p.t
	if err := p.node.KeepSnapshots(t.Context()); err != nil {
		t.Fatal(err)
	}
	had := p.guids(p.a)
	plan := p.plan(how)
	if len(plan.Datasets) != len(wrote) || how == ha.Keep && len(plan.Loses) > 0 {
		t.Fatalf("%+v", plan)
	}
	if err := p.node.Carry(t.Context(), how, "another"); err == nil || !slices.Equal(p.guids(p.a), had) {
		t.Fatalf("without approval: %v", err)
	}
	p.node.Runner = &host.Faulty{Runner: p.a, N: n, Fault: fault}
	func() {
		defer func() {
			x := recover()
			if _, ok := x.(host.Died); x != nil && !ok {
				panic(x)
			}
			died = x != nil
		}()
		if err := p.node.Carry(t.Context(), how, plan.ID); err != nil {
			t.Fatal(err)
		}
	}()
	p.node.Runner = p.a
	for range 2 { // a plan of what is left
		if err := p.node.Carry(t.Context(), how, p.plan(how).ID); err != nil {
			t.Fatal(err)
		}
	}
	has := p.guids(p.a)
	gone := map[string]bool{}
	for _, d := range plan.Datasets {
		for _, g := range d.GUIDs {
			gone[g] = how == ha.Discard
		}
	}
	for _, g := range had {
		if slices.Contains(has, g) == gone[g] {
			t.Errorf("a snapshot (%s) is there %t, and was shown to go %t", g, !gone[g], gone[g])
		}
	}
	if want := "1073741824\tlz4\n"; strings.ReplaceAll(strings.TrimSpace(p.do(p.a, "zfs get -Hp -o value quota,compression tank/home/anna")), "\n", "\t")+"\n" != want {
		t.Error("a property was lost")
	}
	p.rejoins()
	return died
}

// What the active node has not, or has nothing of in common, is put aside and never destroyed.
func TestApart(t *testing.T) {
	for _, how := range []string{ha.Keep, ha.Discard} {
		p := newPair(t)
		p.do(p.a, "zfs create -o readonly=on tank/home/ben/new")
		p.do(p.a, "zfs snapshot tank/home/ben/new@x")
		for _, s := range []string{"one", "two", "three"} {
			p.do(p.b, "zfs destroy tank/home/vol@"+s)
		}
		p.do(p.b, "zfs snapshot tank/home/vol@three")
		had := p.guids(p.a)
		plan := p.plan(how)
		if !slices.Equal(plan.Anew, []string{"tank/home/ben/new", "tank/home/vol"}) || len(plan.Loses) > 0 {
			t.Errorf("%s: %+v", how, plan)
		}
		if err := p.node.Carry(t.Context(), how, plan.ID); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(slices.Sorted(slices.Values(p.guids(p.a))), slices.Sorted(slices.Values(had))) {
			t.Errorf("%s: something was destroyed", how)
		}
		if kept := p.do(p.a, "zfs list -H -r -t snapshot -o name tank/home.diverged-t5"); !strings.Contains(kept, "/ben/new@x\n") || !strings.Contains(kept, "/vol@two\n") {
			t.Errorf("%s: kept is %s", how, kept)
		}
		p.rejoins("tank/home/vol")
	}
}

// A hold of somebody else is not let go of, and nothing is done.
func TestForeignHold(t *testing.T) {
	p := newPair(t, "tank/home/ben")
	p.do(p.a, "zfs hold legal tank/home/ben@own")
	if _, err := p.node.Plan(t.Context(), ha.Discard); err == nil || !strings.Contains(err.Error(), `zfs release "legal" tank/home/ben@own`) {
		t.Error(err)
	}
	plan := p.plan(ha.Keep)
	if err := p.node.Carry(t.Context(), ha.Keep, plan.ID); err != nil {
		t.Error(err)
	}
	p.rejoins()
}

// The plan that was approved is of exactly that: more that was written, or another term, is another plan.
func TestApproval(t *testing.T) {
	p := newPair(t, "tank/home/ben")
	was := p.plan(ha.Discard).ID
	p.node.Term++
	if p.plan(ha.Discard).ID == was || p.plan(ha.Keep).ID == was {
		t.Error("another plan has its id")
	}
	p.node.Term--
	p.do(p.a, "zfs snapshot tank/home/ben@more")
	if err := p.node.Carry(t.Context(), ha.Discard, was); err == nil || !strings.Contains(err.Error(), "another one than the one that was approved") {
		t.Error(err)
	}
	p.do(p.a, "zfs hold kept tank/home/ben@own") // it is there
	p.do(p.a, "zfs release kept tank/home/ben@own")
	if err := p.node.Carry(t.Context(), ha.Discard, p.plan(ha.Discard).ID); err != nil {
		t.Error(err)
	}
	p.rejoins()
}

// racing does something just before the first command of a kind.
type racing struct {
	host.Runner
	before string
	do     func()
}

func (r *racing) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if r.do != nil && strings.HasPrefix(strings.Join(c.Argv, " "), r.before) {
		do := r.do
		r.do = nil
		do()
	}
	return r.Runner.Run(ctx, c)
}

// What comes while a plan is carried out was approved by nobody: it stays.
func TestGivesUpNothingElse(t *testing.T) {
	for _, before := range []string{"zfs release", "zfs destroy", "zfs rollback"} {
		p := newPair(t, "tank/home/ben")
		if err := p.node.KeepSnapshots(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := p.plan(ha.Discard).ID
		p.node.Runner = &racing{p.a, before, func() { p.do(p.a, "zfs snapshot tank/home/ben@raced") }}
		err := p.node.Carry(t.Context(), ha.Discard, id)
		if _, gone := p.a.Do("zfs list -t snapshot tank/home/ben@raced"); err == nil || gone != nil {
			t.Errorf("before %s: %v, %v", before, err, gone)
		}
	}
	p := newPair(t, "tank/home/anna", "tank/home/ben") // the second one is written while the first one is given up
	id := p.plan(ha.Discard).ID
	p.node.Runner = &racing{p.a, "zfs rollback tank/home/anna@", func() { p.a.Write("tank/home/ben", 1<<19) }}
	err := p.node.Carry(t.Context(), ha.Discard, id)
	if _, gone := p.a.Do("zfs list -t snapshot tank/home/ben@own"); err == nil || !strings.Contains(err.Error(), "tank/home/ben was written") || gone != nil {
		t.Errorf("%v, %v", err, gone)
	}
	p = newPair(t, "tank/home/ben")
	p.do(p.a, "zfs set readonly=off tank/home/ben")
	if _, err := p.node.Plan(t.Context(), ha.Discard); err == nil || !strings.Contains(err.Error(), "readonly=off") {
		t.Errorf("what can be written: %v", err)
	}
}

// One that was written again has its snapshot already, and keeps nobody's from being taken; one that stands aside is taken there.
func TestKeepSnapshotsAgain(t *testing.T) {
	p := newPair(t, "tank/home/ben")
	for range 2 {
		if err := p.node.KeepSnapshots(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.a.Write("tank/home/ben", 1<<18)
		p.a.Write("tank/home/vol", 1<<18)
	}
	if got := p.do(p.a, "zfs list -H -r -t snapshot -o name tank/home"); !strings.Contains(got, "/ben@dplane_diverged_t5_2\n") || !strings.Contains(got, "/vol@dplane_diverged_t5\n") {
		t.Error(got)
	}
	p.do(p.a, "zfs rename -u tank/home tank/home.diverged-t5")
	if err := p.node.KeepSnapshots(t.Context()); err != nil {
		t.Error(err)
	}
}

// What a crash left in the log, which whoever wrote it was told is on disk, is in the snapshot; also where a key is needed.
func TestKeepSnapshotsWithTheLog(t *testing.T) {
	p := newPair(t, "tank/home/ben")
	p.do(p.a, "zfs unmount tank/home")
	for _, d := range []string{"tank/home/ben", "tank/home/anna"} {
		p.a.Model.Pools["tank"].Datasets[d].Log = 1 << 17
	}
	if err := p.node.KeepSnapshots(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"tank/home/ben", "tank/home/anna"} {
		if got := p.do(p.a, "zfs list -Hp -o written,mounted "+d); got != "0\tno\n" {
			t.Errorf("%s: %q is in no snapshot", d, got)
		}
		if got := p.do(p.a, "zfs list -Hp -o written "+d+"@dplane_diverged_t5"); got == "0\n" {
			t.Errorf("%s: nothing is in its snapshot", d)
		}
	}
}

// A boot mounts nothing that was put aside: where its mountpoint is its own it would stand over what took its place.
func TestAsideIsNotMounted(t *testing.T) {
	p := newPair(t, "tank/home/ben")
	p.do(p.a, "zfs set mountpoint=/srv/ben tank/home/ben")
	if err := p.node.Carry(t.Context(), ha.Keep, p.plan(ha.Keep).ID); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"tank/home/ben", "tank/home.diverged-t5/ben"} {
		if got := strings.TrimSpace(p.do(p.a, "zfs get -H -o value canmount "+d)); got != "noauto" {
			t.Errorf("%s has canmount=%s", d, got)
		}
	}
}

// A plan that goes on moves one back, and puts aside what is below that.
func TestGoesOnBelow(t *testing.T) {
	p := newPair(t, "tank/home", "tank/home/anna/mail")
	id := p.plan(ha.Keep).ID
	p.node.Runner = &host.Faulty{Runner: p.a, N: 2, Fault: host.FailBefore}
	if err := p.node.Carry(t.Context(), ha.Keep, id); err == nil {
		t.Fatal("nothing failed")
	}
	p.node.Runner = p.a
	for range 2 {
		if err := p.node.Carry(t.Context(), ha.Keep, p.plan(ha.Keep).ID); err != nil {
			t.Fatal(err)
		}
	}
	p.rejoins()
}
