package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dplaneos/dplane/drivers/ha/history"
)

// The faults after which a node comes back to a group that went on, and those of its own disks.

// pausedTrueWord: the daemon stands still, and somebody switches the machine off for that.
func pausedTrueWord(p *pair, long time.Duration) {
	p.begin()
	p.a.take("two")
	p.a.pause()
	time.Sleep(long)
	p.b.alone()
	p.a.off()
	p.b.word("failover, P4", "it hung, and I pulled the plug")
	p.a.on()
	p.a.start()
	p.a.until("it stands by", func(s *haShown) bool { return s.Role == "standby" && s.Term == 2 && s.Active == "nas-b" })
}

// bothBoot: both are begun at once. Who was active goes on, in its own term.
func bothBoot(p *pair) {
	p.begin()
	p.a.take("two")
	p.a.off()
	p.b.off()
	p.a.on()
	p.b.on()
	p.a.writable("both boot", func() { p.b.start(); p.a.start() })
	p.a.until("it is active in its own term", func(s *haShown) bool { return s.Role == "active" && s.Term == 1 })
	p.b.role("standby")
}

// bootAlone: a node that was active boots, and its peer does not answer. It can't know whether it was replaced.
func bootAlone(p *pair) {
	p.begin()
	p.b.off()
	p.a.off()
	p.a.on()
	p.a.start()
	p.a.role("standby")
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		if s := p.a.shows(); s.Role != "standby" {
			p.t.Fatalf("it is %s", s.Role)
		}
	}
	if r := p.a.expect(3, "ha", "failover", "--yes"); !strings.Contains(r.err, "--off nas-b --reason") {
		p.t.Errorf("it does not say what decides: %s", r.err)
	}
	p.b.on()
	p.a.writable("the peer answers", p.b.start)
	p.a.until("it is active in its own term", func(s *haShown) bool { return s.Role == "active" && s.Term == 1 })
}

// goesOn: a false word while the old active node goes on writing, cut off. When they hear each other the older term stands down,
// what it has is kept, and a person decides.
func goesOn(p *pair) {
	p.begin()
	p.a.take("two")
	p.link.cut(true, true)
	p.b.alone()
	p.b.word("failover, false P4", "a lie")
	p.a.must("zfsfake", "write", pairHome, "3M")
	p.a.must("zfs", "snapshot", pairHome+"@alone")
	p.link.cut(false, false)
	p.fact(history.Fact{Event: history.Healed})
	p.a.role("diverged")
	p.a.loud("both may have written")
	if all := p.a.snapshots(); !slices.Contains(all, pairHome+"@alone") {
		p.t.Errorf("what only it has is not kept: %v", all)
	}
	for _, n := range p.nodes() {
		n.until("that a person has to decide is told", func(s *haShown) bool {
			return s.code > 0 && s.code < 3 && strings.Contains(strings.Join(s.Reasons, " "), "dplane ha rejoin")
		})
	}
	p.a.rejoin("--keep")
	if kept := p.a.must("zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-r", "tank"); !strings.Contains(kept, ".diverged-t2@alone") {
		p.t.Errorf("what only it had is gone: %s", kept)
	}
	p.b.take("three")
}

// loud is an event of the highest severity.
func (n *pairNode) loud(text string) {
	n.p.t.Helper()
	n.p.until(n.name+" tells: "+text, func() bool {
		log, _ := os.ReadFile(n.path("daemon.log"))
		return slices.ContainsFunc(strings.Split(string(log), "\n"), func(line string) bool {
			return strings.Contains(line, " ERR ") && strings.Contains(line, text)
		}) && strings.Contains(n.events(text), text)
	})
}

// rejoin comes back: nothing is done before it is approved.
func (n *pairNode) rejoin(how string) {
	n.p.t.Helper()
	n.expect(3, "ha", "rejoin", how)
	n.expect(0, "ha", "rejoin", how, "--yes")
	n.role("standby")
}

// splitBrain: both are said to be off, at the other one. Both are active in one term, until they hear each other: that is named,
// and everything between them stands still until a person chose.
func splitBrain(p *pair) {
	p.begin()
	p.a.take("two")
	p.link.cut(true, true)
	p.a.kill()
	p.b.kill()
	p.a.start()
	p.b.start()
	p.a.alone2()
	p.b.alone2()
	p.a.word("failover, false P4", "a lie")
	p.b.word("failover, false P4", "another one")
	p.link.cut(false, false)
	p.fact(history.Fact{Event: history.Healed})
	for _, n := range p.nodes() {
		n.until("the split brain is told", func(s *haShown) bool { return s.Role == "split_brain" && s.Frozen != "" && s.code == 2 })
		n.loud("two nodes are active")
	}
	p.b.must("zfsfake", "write", pairHome, "3M")
	p.b.must("zfs", "snapshot", pairHome+"@alone")
	time.Sleep(6 * time.Second)
	if slices.Contains(p.a.snapshots(), pairHome+"@alone") {
		p.t.Error("it was sent")
	}
	p.b.expect(0, "ha", "rejoin", "--keep", "--yes")
	p.b.role("diverged")
	p.b.rejoin("--keep")
	p.a.until("all is well", func(s *haShown) bool { return s.Role == "active" && s.Frozen == "" })
	p.a.take("three")
}

// alone2 waits until a node that has just begun stands by, and hears nobody.
func (n *pairNode) alone2() {
	n.p.t.Helper()
	n.until("it stands by, alone", func(s *haShown) bool { return s.Role == "standby" && s.peer().State != "healthy" })
	n.p.until("a failover by a word is possible", func() bool {
		return strings.Contains(n.dplane("ha", "failover", "--plan").out, ": P4")
	})
}

// toAndFro is from a to b, back, and to b again, within two minutes.
func toAndFro(p *pair) {
	p.begin()
	p.a.take("two")
	began := time.Now()
	p.a.switchTo(p.b)
	p.b.switchTo(p.a)
	p.a.switchTo(p.b)
	if long := time.Since(began); long > 2*time.Minute {
		p.t.Errorf("it took %s", long)
	}
	p.b.take("three")
}

// backDiverged: what the active node wrote last is nowhere else when it loses its power. Back, it keeps it until a person gave it up.
func backDiverged(p *pair) {
	p.begin()
	p.a.take("two")
	p.a.kill()
	p.a.must("zfsfake", "write", pairHome, "3M")
	p.a.off()
	p.b.alone()
	p.b.word("failover, P4", "no power, seen in the rack")
	p.a.on()
	p.a.start()
	p.a.role("diverged")
	p.a.loud("has what nas-b lacks")
	p.a.until("it is kept", func(*haShown) bool { return slices.Contains(p.a.snapshots(), pairHome+"@dplane_diverged_t2") })
	if r := p.a.expect(3, "ha", "rejoin", "--discard"); !strings.Contains(r.out, "LOST is "+pairHome+"@dplane_diverged_t2") {
		p.t.Errorf("what is lost is not shown: %s", r.out)
	}
	p.a.rejoin("--discard")
	p.b.take("three")
}

// olderDatabase: the old active node comes back with the database of term 1, while the group is in term 3 and it was a standby.
func olderDatabase(p *pair) {
	p.begin()
	p.a.take("two")
	p.a.stop()
	p.must(p.a.harvest())
	p.must(copyDir(p.a.path("db"), p.a.path("older")))
	p.a.writable("the daemon is begun again", p.a.start)
	p.a.role("active")
	p.a.switchTo(p.b)
	p.b.take("three")
	p.a.off()
	p.must(p.a.harvest())
	p.must(os.RemoveAll(p.a.path("db")))
	p.must(os.Rename(p.a.path("older"), p.a.path("db")))
	p.fact(history.Fact{Node: "nas-a", Event: history.Restored, Term: 1})
	p.a.on()
	p.a.start()
	p.a.until("it stands by in the term of the group", func(s *haShown) bool { return s.Role == "standby" && s.Term == 2 && s.Active == "nas-b" })
	p.b.take("four")
}

// oneTermTwice: with the database of term 1, and the other one off, a person makes it active: in a term that the other one had.
func oneTermTwice(p *pair) {
	p.begin()
	p.a.take("two")
	p.a.off()
	p.b.alone()
	p.b.word("failover, P4", "no power")
	p.b.must("zfsfake", "write", pairHome, "3M")
	p.b.must("zfs", "snapshot", pairHome+"@alone")
	p.b.off()
	p.a.on()
	p.a.start()
	p.a.alone2()
	p.a.word("failover of the old one, P4", "the other one is off too")
	p.b.on()
	p.b.start()
	p.b.role("diverged")
	if !slices.Contains(p.b.snapshots(), pairHome+"@alone") {
		p.t.Error("what only it had is gone")
	}
	p.b.rejoin("--keep")
	p.a.take("three")
}

func copyDir(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(at, 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, text, 0o600)
	})
}

// ownDisk puts the active node's database on a disk of its own.
func ownDisk(p *pair) {
	at := p.a.path("db")
	p.must(os.MkdirAll(at, 0o700))
	p.must(syscall.Mount("tmpfs", at, "tmpfs", 0, "size=24m"))
	p.t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) })
}

// diskFull: what can't be written down is not done: a switchover is done as a whole, or not at all.
func diskFull(p *pair) {
	p.begin()
	p.a.take("two")
	filler, err := os.Create(p.a.path("db", "filler"))
	p.must(err)
	for block := make([]byte, 4096); err == nil; {
		_, err = filler.Write(block)
	}
	p.must(filler.Close())
	r := p.a.dplane("ha", "switchover", "--to", "nas-b", "--yes", "--wait", "20s")
	a, b := p.a.roleNow(), p.b.roleNow()
	p.t.Logf("exit status %d, %s is %s, %s is %s: %s", r.code, "nas-a", a, "nas-b", b, r.err)
	if r.code == 0 {
		p.t.Error("it was done, though nothing could be written down")
	}
	if r.code != 0 && a != "active" {
		p.t.Errorf("nas-a is %s", a)
	}
	p.must(os.Remove(filler.Name()))
	p.a.switchTo(p.b)
}

// roleNow is what the daemon itself says, where its database can't be read.
func (n *pairNode) roleNow() string {
	n.p.t.Helper()
	text, _ := os.ReadFile(filepath.Join(n.path("run-ha"), "role.json"))
	_, role, _ := strings.Cut(string(text), `"role":"`)
	role, _, _ = strings.Cut(role, `"`)
	return role
}

// zfsHangs: a command of the demotion does not end. Beats go on, nobody is promoted, and when it ends so does the switchover.
func zfsHangs(p *pair) {
	p.begin()
	p.a.take("two")
	p.a.must("zfsfake", "stall", "zfs", "set")
	done := make(chan printed)
	go func() { done <- p.a.dplane("ha", "switchover", "--to", "nas-b", "--yes") }()
	p.until("it hangs", func() bool { _, err := os.Stat(p.a.path("machine.json.stalled")); return err == nil })
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		if s := p.b.shows(); s.Role != "standby" || s.peer().State != "healthy" {
			p.t.Errorf("nas-b is %s, and nas-a is %s there", s.Role, s.peer().State)
		}
	}
	p.b.writable("switchover, zfs goes on", func() { p.a.must("zfsfake", "stall", "nothing") })
	if r := <-done; r.code != 0 {
		p.t.Errorf("%+v", r)
	}
}

// flapping: the link is cut every five seconds. The active one stays so.
func flapping(p *pair, long time.Duration) {
	p.begin()
	for end := time.Now().Add(long); time.Now().Before(end); {
		p.link.cut(true, true)
		time.Sleep(5 * time.Second)
		p.link.cut(false, false)
		time.Sleep(5 * time.Second)
	}
	opened := 0
	for _, f := range p.facts() {
		if f.Event == history.RWOn {
			opened++
		}
	}
	if opened != 1 {
		p.t.Errorf("the group was opened %d times", opened)
	}
	p.a.until("it hears its peer", func(s *haShown) bool { return s.Role == "active" && s.Term == 1 && s.peer().State == "healthy" })
	p.a.switchTo(p.b)
}

// paused are the cases of a daemon that stands still for so long.
func paused(seconds int) []fault {
	long := time.Duration(seconds) * time.Second
	return []fault{
		{fmt.Sprintf("paused %d s, and a false word", seconds), seconds == 5, pairOptions{}, func(p *pair) { pausedFalseWord(p, long) }},
		{fmt.Sprintf("paused %d s, and switched off", seconds), false, pairOptions{}, func(p *pair) { pausedTrueWord(p, long) }},
	}
}
