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
)

// promoting is a standby that has @one and @two of the whole tree, and of some @three.
func promoting(t *testing.T, encrypted bool, ahead ...string) (*pair, []string) {
	t.Helper()
	p, all := newPair(t), tree
	if encrypted {
		p, all = newSecret(t), secrets
	}
	p.do(p.a, "zfs snapshot -r tank/home@set")
	for _, d := range ahead {
		p.a.Write(d, 1<<19)
		p.do(p.a, "zfs snapshot "+d+"@three")
		p.do(p.a, "zfs hold dplane:pair:source "+d+"@three")
	}
	p.node = Promoting(p.a, p.node.Group, 7)
	return p, all
}

// was is what the group is: the guids of all datasets and snapshots by their names, and what is held.
func (p *pair) was() string {
	return p.do(p.a, "zfs list -Hp -r -t filesystem,volume,snapshot -o name,guid,userrefs,encryptionroot tank")
}

// dies does something that is broken off at its nth command, and tells whether it was.
func (p *pair) dies(fault host.Fault, n int, do func(context.Context) error) (died bool) {
	p.node.Runner = &host.Faulty{Runner: p.a, N: n, Fault: fault}
	defer func() {
		p.node.Runner = p.a
		x := recover()
		if _, ok := x.(host.Died); x != nil && !ok {
			panic(x)
		}
		died = x != nil
	}()
	if err := do(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	return false
}

var aheads = [][]string{{"tank/home"}, {"tank/home/anna"}, {"tank/home/anna/mail", "tank/home/vol"}, {"tank/home/anna", "tank/home/anna/mail"}, tree[:4]}

// A group that is promoted as one set is that set, whatever was ahead of it and at whatever command it died; what was ahead is kept
// and held; and taken back, it is what it was.
func TestAhead(t *testing.T) {
	type try struct {
		encrypted bool
		ahead     []string
	}
	tries := []try{{true, []string{"tank/home/sec/a/b"}}, {true, []string{"tank/home/sec"}}, {true, []string{"tank/home/sec/a", "tank/home/sec/c"}}}
	for _, ahead := range aheads {
		tries = append(tries, try{false, ahead})
	}
	for _, c := range tries {
		for _, fault := range []host.Fault{host.DieBefore, host.DieAfter} {
			for n := 1; n > 0 && n < 80; n++ {
				t.Run(fmt.Sprint(c, fault, n), func(t *testing.T) {
					p, all := promoting(t, c.encrypted, c.ahead...)
					was, had := p.was(), p.guids(p.a)
					if !p.dies(fault, n, p.node.PutAside) {
						n = -1
					}
					if n%2 == 0 { // and it is taken back from there
						p.isTakenBack(was)
					}
					for range 2 {
						if err := p.node.PutAside(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					for _, d := range all {
						if got := p.do(p.a, "zfs list -H -r -d 1 -t snapshot -o name "+d); !strings.HasSuffix(strings.TrimSpace(lines(got, d)), "@set") {
							t.Errorf("%s is not at the set:\n%s", d, got)
						}
					}
					for _, d := range c.ahead {
						at := strings.Replace(d, "tank/home", "tank/home.ahead-t7", 1)
						if got := p.do(p.a, "zfs holds -H "+at+"@three"); !strings.Contains(got, Kept) {
							t.Errorf("%s is not held", at)
						}
					}
					for _, g := range had {
						if !slices.Contains(p.guids(p.a), g) {
							t.Errorf("%s was destroyed", g)
						}
					}
					p.isTakenBack(was)
				})
			}
		}
	}
}

// lines are those of one dataset.
func lines(text, dataset string) (own string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, dataset+"@") {
			own += line
		}
	}
	return own
}

func (p *pair) isTakenBack(was string) {
	p.t.Helper()
	for range 2 {
		if err := p.node.TakeBack(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
	if now := p.was(); now != was {
		p.t.Errorf("taken back it is\n%s\nand was\n%s", now, was)
	}
}

// Broken off while it is taken back, it is taken back by the next try.
func TestTakeBackAgain(t *testing.T) {
	for _, ahead := range aheads {
		for _, fault := range []host.Fault{host.DieBefore, host.DieAfter} {
			for n := 1; n > 0 && n < 80; n++ {
				p, _ := promoting(t, false, ahead...)
				was := p.was()
				if err := p.node.PutAside(t.Context()); err != nil {
					t.Fatal(err)
				}
				if !p.dies(fault, n, p.node.TakeBack) {
					n = -1
				}
				p.isTakenBack(was)
			}
		}
	}
}

// Nothing that was written is destroyed to take it back.
func TestTakeBackOfWritten(t *testing.T) {
	p, _ := promoting(t, false, "tank/home/anna", "tank/home/ben")
	if err := p.node.PutAside(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.do(p.a, "zfs set readonly=off tank/home/ben")
	p.a.Write("tank/home/ben", 1<<19)
	is := p.was()
	if err := p.node.TakeBack(t.Context()); err == nil || !strings.Contains(err.Error(), "tank/home/ben was written") || p.was() != is {
		t.Errorf("%v\n%s", err, p.was())
	}
}

// What no dataset is ahead of is left alone; and what was never taken at one moment is no set.
func TestNothingAhead(t *testing.T) {
	p, _ := promoting(t, false)
	is := p.was()
	a, err := p.node.Beyond(t.Context())
	if err != nil || a.Set != "set" || len(a.Datasets)+len(a.Plan.Steps) > 0 {
		t.Errorf("%v, %+v", err, a)
	}
	if err := p.node.PutAside(t.Context()); err != nil || p.was() != is {
		t.Error(err)
	}
	p.do(p.a, "zfs create -o readonly=on tank/home/late")
	p.do(p.a, "zfs snapshot tank/home/late@set")
	late := p.a.Model.Pools["tank"].Datasets["tank/home/late"]
	late.Snapshots[0].Creation = 4102444800 // of the same name, years later
	if _, err := p.node.Beyond(t.Context()); err == nil || !strings.Contains(err.Error(), "no complete set") {
		t.Error(err)
	}
}

// The node that was active before comes back behind a group that was promoted as a set, by both ways.
func TestRejoinsBehindASet(t *testing.T) {
	for _, how := range []string{ha.Keep, ha.Discard} {
		p := newPair(t)
		for _, d := range tree { // nas-b, the standby, has all of @two, and of one dataset a newer one
			p.do(p.b, "zfs destroy "+d+"@three")
			p.do(p.b, "zfs set readonly=on "+d)
		}
		p.do(p.a, "zfs set readonly=off tank/home/ben")
		p.write(p.a, "newer", "tank/home/ben")
		p.do(p.a, "zfs set readonly=on tank/home/ben")
		p.do(p.b, "zfs rollback tank/home/ben@two")
		p.send(p.a, "", zfs.Stream{Snapshot: "tank/home/ben@newer", From: "@two"}, "nas-b", "tank/home/ben")
		b := Promoting(p.b, p.node.Group, 5)
		if err := b.PutAside(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, d := range tree {
			p.do(p.b, "zfs set readonly=off "+d)
		}
		p.write(p.b, "three", tree...)
		c, err := p.node.Compare(t.Context())
		if err != nil || c.Seen() != ha.Diverged {
			t.Fatalf("%v, %+v", err, c)
		}
		if err := p.node.Carry(t.Context(), how, p.plan(how).ID); err != nil {
			t.Fatal(err)
		}
		p.rejoins()
	}
}
