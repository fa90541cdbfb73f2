package main

import (
	"flag"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/ha/history"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
)

var (
	matrix = flag.Bool("matrix", false, "every fault of TestMatrix, several rounds of each; where no pair can be made it fails")
	rounds = flag.Int("rounds", 3, "how many, with -matrix")
)

// fault is one case of the matrix: what goes wrong, and what an operator sees and does. Each is judged by its history.
type fault struct {
	name  string
	short bool // it is part of `go test ./...` too
	opts  pairOptions
	do    func(p *pair)
}

// faults are the matrix of HA.md section 6, on the model. (The clock on the wall is everybody's here, and is not set.)
var faults = slices.Concat([]fault{
	{"killed", true, pairOptions{}, killed},
	{"without power", true, pairOptions{}, withoutPower},
	{"both boot", false, pairOptions{}, bothBoot},
	{"boot alone", false, pairOptions{}, bootAlone},
	{"cut off", false, pairOptions{}, func(p *pair) { cutOff(p, true, true) }},
	{"cut one way", false, pairOptions{}, func(p *pair) { cutOff(p, true, false) }},
	{"cut the other way", false, pairOptions{}, func(p *pair) { cutOff(p, false, true) }},
	{"slow and lossy", false, pairOptions{}, slowAndLossy},
	{"flapping", false, pairOptions{}, func(p *pair) { flapping(p, time.Minute) }},
	{"cut off, a false word, and it goes on", false, pairOptions{}, goesOn},
	{"split brain", false, pairOptions{}, splitBrain},
	{"to and fro", false, pairOptions{}, toAndFro},
	{"back, diverged", false, pairOptions{}, backDiverged},
	{"back, with an older database", false, pairOptions{}, olderDatabase},
	{"off in turn", false, pairOptions{}, oneTermTwice},
	{"the address is taken", false, pairOptions{}, addressTaken},
	{"the disk of the database is full", false, pairOptions{before: ownDisk}, diskFull},
	{"zfs hangs", false, pairOptions{}, zfsHangs},
}, paused(5), paused(20), paused(40), paused(120))

// TestMatrix lives through them. With -matrix it prints the time from the command to writable for each.
func TestMatrix(t *testing.T) {
	t.Parallel()
	n := 1
	if *matrix {
		n = *rounds
	}
	took := &times{of: map[string][]time.Duration{}}
	t.Run("", func(t *testing.T) {
		for _, f := range faults {
			for round := range n {
				if !*matrix && !f.short {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(f.name, " ", "_"), round+1), func(t *testing.T) {
					t.Parallel()
					p := newPair(t, f.opts)
					p.took = func(what string, long time.Duration) {
						t.Logf("%s: writable after %.1f s", what, long.Seconds())
						took.add(f.name+": "+what, long)
					}
					f.do(p)
					p.judge()
				})
			}
		}
	})
	took.print()
}

// times are how long it took until the group could be written, by fault and command.
type times struct {
	mu sync.Mutex
	of map[string][]time.Duration
}

func (x *times) add(what string, long time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.of[what] = append(x.of[what], long)
}

func (x *times) print() {
	x.mu.Lock()
	defer x.mu.Unlock()
	var names []string
	for name := range x.of {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		all := x.of[name]
		slices.Sort(all)
		fmt.Printf("%-60s rounds %d  median %5.1f s  worst %5.1f s\n", name, len(all), all[len(all)/2].Seconds(), all[len(all)-1].Seconds())
	}
}

// writable measures a command at a node: from its begin until the group can be written there.
func (n *pairNode) writable(what string, do func()) {
	n.p.t.Helper()
	began := zfsfake.Mono()
	do()
	n.p.until(n.name+" can be written", func() bool {
		for _, f := range n.wrote() {
			if f.Event == history.RWOn && f.Mono > began {
				n.p.took(what, time.Duration(f.Mono-began))
				return true
			}
		}
		return false
	})
}

// word is a failover by a person's word that the peer is off.
func (n *pairNode) word(what, reason string) {
	n.p.t.Helper()
	n.writable(what, func() {
		n.expect(0, "ha", "failover", "--yes", "--accept-loss", "--off", n.peer().name, "--reason", reason)
	})
}

func (n *pairNode) switchTo(to *pairNode) {
	n.p.t.Helper()
	to.writable("switchover", func() { n.expect(0, "ha", "switchover", "--to", to.name, "--yes") })
}

// alone waits until a node hears nothing of its peer.
func (n *pairNode) alone() {
	n.p.t.Helper()
	n.until("its peer is unreachable", func(s *haShown) bool { return s.peer().State == "unreachable" })
}

// killed: the daemon is killed, which nobody else takes for a proof. Begun again it goes on in its own term.
func killed(p *pair) {
	p.begin()
	p.a.kill()
	p.b.alone()
	if r := p.b.expect(3, "ha", "failover", "--yes"); !strings.Contains(r.err, "no proof that nas-a does not write") {
		p.t.Error(r.err)
	}
	p.a.writable("the daemon is begun again", p.a.start)
	p.a.until("it is active in its own term", func(s *haShown) bool { return s.Role == "active" && s.Term == 1 })
	p.b.stop()
	p.b.start()
	p.b.role("standby")
}

// withoutPower: the machine is off, and a person has seen it. It comes back with nothing of its own, and stands by.
func withoutPower(p *pair) {
	p.begin()
	p.a.take("two")
	p.a.off()
	p.b.alone()
	p.b.word("failover, P4", "no power, seen in the rack")
	p.a.on()
	p.a.start()
	p.a.until("it stands by", func(s *haShown) bool { return s.Role == "standby" && s.Term == 2 && s.Active == "nas-b" })
}

// cutOff: no frames come from a, or from b. Nobody becomes active for that, and what needs both sides is refused.
func cutOff(p *pair, a, b bool) {
	p.begin()
	p.link.cut(a, b)
	p.b.alone()
	p.a.alone()
	p.b.expect(3, "ha", "failover", "--yes")
	p.b.expect(1, "ha", "switchover", "--to", "nas-b", "--yes")
	if r := p.a.expect(1, "ha", "switchover", "--to", "nas-b", "--yes"); !strings.Contains(r.err, "nas-b is not reached") {
		p.t.Error(r.err)
	}
	p.link.cut(false, false)
	p.b.until("all is well again", func(s *haShown) bool {
		return s.Role == "standby" && s.peer().Role == "active" && s.peer().State == "healthy"
	})
	p.a.until("it hears its peer", func(s *haShown) bool { return s.peer().State == "healthy" })
	p.a.switchTo(p.b)
}

// slowAndLossy: the network is up, and as good as down.
func slowAndLossy(p *pair) {
	p.begin()
	p.link.worsen(0.3, 2*time.Second)
	p.b.alone()
	p.b.expect(3, "ha", "failover", "--yes")
	time.Sleep(10 * time.Second)
	p.link.worsen(0, 0)
	p.a.until("it is active still, and hears its peer", func(s *haShown) bool { return s.Role == "active" && s.Term == 1 && s.peer().State == "healthy" })
	p.a.switchTo(p.b)
}

// pausedFalseWord: the daemon stands still, and what it had opened can be written on. A person says that the machine is off.
func pausedFalseWord(p *pair, long time.Duration) {
	p.begin()
	p.a.pause()
	began := time.Now()
	p.b.alone()
	p.b.word("failover, false P4", "a lie")
	time.Sleep(long - time.Since(began))
	p.a.resume()
	p.a.until("it has stopped", func(s *haShown) bool {
		return (s.Role == "standby" || s.Role == "diverged") && s.Term == 2 && s.Active == "nas-b"
	})
	if got := p.a.events("both may have written"); got == "" {
		p.t.Error("nobody was told")
	}
}

// addressTaken: somebody else has the group's address. The group can be written, and the address is left alone.
func addressTaken(p *pair) {
	p.link.take(net.ParseIP(pairAddress))
	p.begin()
	s := p.a.shows()
	if s.code == 0 || !strings.Contains(strings.Join(s.Reasons, "\n"), "address") {
		p.t.Errorf("nobody is told: %+v", s)
	}
	if slices.ContainsFunc(p.facts(), func(f history.Fact) bool { return f.Event == history.VIPOn }) {
		p.t.Error("the address was taken all the same")
	}
}
