package main

import (
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"github.com/dplaneos/dplane/drivers/ha"
)

// death is when a daemon is killed: before or after a program that it runs, or, where words is "", once a step was done and before
// that can be written down: its result is refused by the database until then.
type death struct {
	job, step   string
	when, words string
}

func (d death) String() string {
	if d.words == "" {
		return d.job + " after " + d.step
	}
	return fmt.Sprintf("%s in %s, %s %s", d.job, d.step, d.when, strings.Trim(d.words, "*"))
}

// deaths are all of a job: after each of its steps, and around each program that changes something.
func deaths(job string) (all []death) {
	words := map[string]string{
		ha.StepSet: "zfs hold dplane:ha *", ha.StepMount: "zfs mount *", ha.StepUnmount: "zfs unmount *", ha.StepSnapshot: "zfs snapshot *", ha.StepSend: "zfs send *",
		ha.StepReadonly: "zfs set *readonly=off*", ha.StepHooks: "share start", ha.StepAddress: "ip address add *",
	}
	if job == ha.JobHandover {
		words[ha.StepReadonly], words[ha.StepHooks], words[ha.StepAddress] = "zfs set *readonly=on*", "share stop", "ip address del *"
	}
	for _, step := range ha.Steps(job) {
		if w := words[step]; w != "" {
			all = append(all, death{job, step, "before", w}, death{job, step, "after", w})
		}
		all = append(all, death{job: job, step: step})
	}
	return all
}

// deadly is a program in the place of another one, which kills the daemon that runs it where the file die says so. (The node's ssh
// server, which is the test, runs it too.)
func deadly(name, does string) string {
	return `#!/bin/sh
here=${DPLANE_FAKE_STATE%/*} when= words=
[ ! -f "$here/die" ] || read -r when words <"$here/die"
read -r by <"/proc/$PPID/comm"
case "$by: ` + name + ` $*" in "dplane: "$words) ;; *) when= ;; esac
export PATH="${PATH#*:}"
[ "$when" != before ] || { rm "$here/die"; kill -KILL $PPID; exit 1; }
` + does + `
code=$?
[ "$when" != after ] || { rm "$here/die"; kill -KILL $PPID; }
exit $code
`
}

// newDeadlyPair is one whose daemons can be killed in each step. It has a hook.
func newDeadlyPair(t *testing.T) *pair {
	t.Helper()
	share, err := os.CreateTemp("", "share")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(share.Name()) })
	p := newPair(t, pairOptions{ha: "  hooks: [{run: [" + share.Name() + "]}]\n"})
	_, err = share.WriteString(deadly("share", `echo "$1" >"$here/shared"`))
	p.must(err)
	p.must(share.Chmod(0o755))
	p.must(share.Close())
	for _, n := range p.nodes() {
		for _, name := range []string{"zfs", "ip"} {
			p.must(os.WriteFile(n.path("bin", name), []byte(deadly(name, name+` "$@"`)), 0o755))
		}
	}
	return p
}

const refusal = "killed by a test"

// arm has the daemon killed.
func (n *pairNode) arm(d death) {
	n.p.t.Helper()
	if d.words != "" {
		n.p.must(os.WriteFile(n.path("die"), []byte(d.when+" "+d.words+"\n"), 0o644))
		return
	}
	n.inDatabase(fmt.Sprintf(`CREATE TRIGGER die BEFORE UPDATE ON ha
		WHEN json_extract(OLD.body, '$.ha.job.kind') = '%s' AND json_extract(OLD.body, '$.ha.job.step') = '%s' AND json_extract(NEW.body, '$.ha.job.step') IS NOT '%[2]s'
		BEGIN SELECT RAISE(ABORT, '%s'); END`, d.job, d.step, refusal))
}

func (n *pairNode) inDatabase(line string) {
	n.p.t.Helper()
	db, err := sql.Open("sqlite3", n.path("db", "d.db")+"?_busy_timeout=20000&_txlock=immediate")
	n.p.must(err)
	defer db.Close()
	_, err = db.Exec(line)
	n.p.must(err)
}

// dies waits for the death, and has the daemon begin anew.
func (n *pairNode) dies(d death) {
	n.p.t.Helper()
	n.p.until(n.name+" dies: "+d.String(), func() bool {
		if d.words == "" {
			log, _ := os.ReadFile(n.path("daemon.log"))
			return strings.Contains(string(log), refusal)
		}
		select {
		case <-n.ended:
			return true
		default:
			return false
		}
	})
	if d.words == "" {
		n.kill()
		n.inDatabase("DROP TRIGGER die")
		n.p.must(os.Truncate(n.path("daemon.log"), 0))
	}
}

// heard: well, or not wholly so (what is slow here is late there).
func (s *haShown) heard() bool { return s.peer().State == "healthy" || s.peer().State == "degraded" }

// settled waits until one node is active and the other one a standby that hears it, and gives the active one.
func (p *pair) settled() (active *pairNode) {
	p.t.Helper()
	p.until("one is active, and the other one stands by", func() bool {
		for _, n := range p.nodes() {
			s, o := n.shows(), n.peer().shows()
			if s.Role == "active" && s.Job == "" && s.heard() && s.peer().Role == "standby" && o.Role == "standby" && o.Job == "" && o.Term == s.Term && o.heard() && o.peer().Role == "active" {
				active = n
				return true
			}
		}
		return false
	})
	p.whole(active)
	return active
}

// whole expects that all of an active node's part is there, and nothing of it at the other one; and no more holds than are told of.
func (p *pair) whole(active *pairNode) {
	p.t.Helper()
	for _, n := range p.nodes() {
		want := "on local no - stop"
		if n == active {
			want = "off local yes - start"
		}
		shared, _ := os.ReadFile(n.path("shared"))
		got := n.must("zfs", "get", "-H", "-o", "value,source", "readonly", pairHome) + " " + n.must("zfs", "get", "-H", "-o", "value", "mounted", pairHome) +
			" " + n.must("zfs", "get", "-H", "-o", "value", "receive_resume_token", pairHome) + " " + string(shared)
		if got = strings.Join(strings.Fields(got), " "); got != want {
			p.t.Errorf("%s: it is %q, want %q\n%s", n.name, got, want, p.told())
		}
		if has := strings.Contains(n.must("ip", "-o", "address", "show"), pairAddress+"/"); has != (n == active) {
			p.t.Errorf("%s: it has the address: %t\n%s", n.name, has, p.told())
		}
		for _, s := range n.snapshots() {
			for line := range strings.Lines(n.must("zfs", "holds", "-H", s)) {
				if f := strings.Fields(line); len(f) > 1 && !slices.Contains([]string{"dplane:ha", "dplane:pair", "dplane:pair:source"}, f[1]) {
					p.t.Errorf("%s: %s", n.name, line)
				}
			}
		}
	}
}

// order gives one that may fail, and waits for its end elsewhere.
func (n *pairNode) order(args ...string) (over chan printed) {
	over = make(chan printed, 1)
	go func() { over <- n.dplane(args...) }()
	return over
}

// dyingHandover: the active node dies while it hands over. It goes on as the active one, or the other one is: whichever, a second
// order brings it about.
func dyingHandover(p *pair, d death) {
	from := p.settled()
	to := from.peer()
	from.arm(d)
	over := from.order("ha", "switchover", "--to", to.name, "--yes", "--wait", "30s")
	from.dies(d)
	if r := <-over; r.code != 1 || !strings.Contains(r.err, "the order was given") {
		p.t.Errorf("%s: exit status %d\n%s", d, r.code, r.err)
	}
	from.start()
	if p.settled() == from {
		from.expect(0, "ha", "switchover", "--to", to.name, "--yes")
	}
	if p.settled() != to {
		p.t.Errorf("%s: %s is active", d, from.name)
	}
}

// dyingSuccessor: the one that takes over dies. It has the term, and goes on in it.
func dyingSuccessor(p *pair, d death) {
	from := p.settled()
	to := from.peer()
	to.arm(d)
	over := from.order("ha", "switchover", "--to", to.name, "--yes", "--wait", "3m")
	to.dies(d)
	to.start()
	if p.settled() != to {
		p.t.Errorf("%s: %s is active, and gave its term away", d, from.name)
	}
	if r := <-over; r.code != 0 {
		p.t.Errorf("%s: exit status %d, and %s is active\n%s", d, r.code, to.name, r.err)
	}
}

// dyingFailover: the active machine has no power, and its successor dies. Begun anew it stays a standby, for it can't know whether
// it was replaced meanwhile, and says what is to be typed; which comes about then.
func dyingFailover(p *pair, d death) {
	from := p.settled()
	to := from.peer()
	from.take(fmt.Sprintf("before-%d", time.Now().UnixNano()))
	from.off()
	to.alone()
	to.arm(d)
	word := []string{"ha", "failover", "--yes", "--accept-loss", "--off", from.name, "--reason", "no power"}
	over := to.order(append(word, "--wait", "30s")...)
	to.dies(d)
	if r := <-over; r.code != 1 || !strings.Contains(r.err, "the order was given") {
		p.t.Errorf("%s: exit status %d\n%s", d, r.code, r.err)
	}
	to.start()
	to.role("standby")
	to.alone()
	if got := to.dplane("ha", "status").out; !strings.Contains(got, "dplane ha failover") {
		p.t.Errorf("%s: nobody is told what to type:\n%s", d, got)
	}
	to.expect(0, word...)
	to.role("active")
	from.on()
	from.start()
	if p.settled() != to {
		p.t.Errorf("%s: %s is active", d, from.name)
	}
}

// TestMatrixDeaths kills a daemon in each step of what it does. With -matrix all of them, else one of each kind.
func TestMatrixDeaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		all  []death
		do   func(*pair, death)
		few  death
	}{
		{"handover", deaths(ha.JobHandover), dyingHandover, death{job: ha.JobHandover, step: ha.StepSend}},
		{"successor", deaths(ha.JobPromote), dyingSuccessor, death{ha.JobPromote, ha.StepReadonly, "after", "zfs set *readonly=off*"}},
		{"failover", deaths(ha.JobPromote), dyingFailover, death{job: ha.JobPromote, step: ha.StepMount}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !*matrix {
				c.all = []death{c.few}
			}
			p := newDeadlyPair(t)
			p.begin()
			for _, d := range c.all {
				began := time.Now()
				c.do(p, d)
				t.Logf("%-45s %4.1f s", d, time.Since(began).Seconds())
				if t.Failed() {
					break
				}
			}
			p.judge()
		})
	}
}
