//go:build e2e

package e2e

import (
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// wire is a network between this machine and the far end, which is in a namespace of its own.
type wire struct {
	t    *testing.T
	here string // the end of the cable that is here
}

// overWire begins an sshd behind a network that can be cut.
func (p *pairOf) overWire() *wire {
	t := p.t
	t.Helper()
	if os.Getenv("DPLANE_HOST_ZFS") != "" {
		t.Skip("makes a network on the machine: only in a guest")
	}
	space, here, there := p.prefix, p.prefix+"a", p.prefix+"b"
	must(t, "ip", "netns", "add", space)
	t.Cleanup(func() { must(t, "ip", "netns", "del", space) })
	must(t, "ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", space)
	must(t, "ip", "addr", "add", "10.213.7.1/30", "dev", here)
	must(t, "ip", "link", "set", here, "up")
	in := []string{"ip", "netns", "exec", space}
	must(t, append(in, "ip", "addr", "add", "10.213.7.2/30", "dev", there)...)
	must(t, append(in, "ip", "link", "set", there, "up")...)
	p.sshdAt("10.213.7.2:22", "nsenter", "--net=/run/netns/"+space) // ip would make it a namespace of mounts too, in which the pools stay mounted
	return &wire{t, here}
}

func (w *wire) cut()  { must(w.t, "ip", "link", "set", w.here, "down") }
func (w *wire) mend() { must(w.t, "ip", "link", "set", w.here, "up") }

// broken is one way in which a transfer is broken off; it tells whether the run is to go on all the same.
type broken struct {
	name string
	do   func(p *pairOf, w *wire, after time.Duration) error
	well bool
	left bool // the far end hears of nothing, and goes on waiting
}

// longCut is longer than ssh waits for an answer, and than the kernel tries to tell that it has hung up.
const longCut = 150 * time.Second

// ways are all there are. Those that are killed here belong to the machine that sends, but for the receiver.
func ways() []broken {
	kill := func(victim string) broken {
		return broken{name: "kill -9 of " + victim, do: func(p *pairOf, _ *wire, after time.Duration) error {
			return p.within(after, func(cmd *exec.Cmd) { p.kill(victim, cmd) })
		}}
	}
	return []broken{
		{name: "the network is away for a while", well: true, do: func(p *pairOf, w *wire, after time.Duration) error {
			return p.within(after, func(*exec.Cmd) {
				w.cut()
				time.Sleep(8 * time.Second)
				w.mend()
			})
		}},
		kill("dplane"), kill("zfs send"), kill("zfs receive"), kill("ssh"), kill("ssh:"), // the last is the shared connection
		{name: "the network is away for long", left: true, do: func(p *pairOf, w *wire, after time.Duration) error {
			var cut time.Time
			err := p.within(after, func(*exec.Cmd) {
				cut = time.Now()
				w.cut()
			})
			time.Sleep(time.Until(cut.Add(longCut)))
			w.mend()
			return err
		}},
	}
}

// TestReplicationRandom: a transfer over SSH is broken off at random, again and again: it converges each time, from where
// it was, and leaves nothing behind.
func TestReplicationRandom(t *testing.T) {
	kills, seed := numberFrom(t, "DPLANE_E2E_KILLS", 1), numberFrom(t, "DPLANE_E2E_SEED", int(time.Now().Unix()))
	t.Logf("DPLANE_E2E_SEED=%d", seed)
	random := rand.New(rand.NewSource(int64(seed)))
	p := newPair(t, "")
	w := p.overWire()
	p.between(p.from+"/home", far(p.to+"/home"), "")
	p.fill("file", 1)
	p.snapshot("s0")
	p.expect(0, "replication", "run", "off")
	guids := func() string {
		return must(t, "zfs", "get", "-Hp", "-r", "-o", "value", "-t", "filesystem,volume", "guid", p.to+"/home")
	}
	had, all, resumed := guids(), ways(), 0
	const mib = 3 // of each of two file systems
	for i := range kills {
		how := all[i%len(all)] // each in turn, at another moment
		if i >= 2*len(all) {
			how = all[random.Intn(len(all)-1)] // but the last takes minutes
		}
		snap := fmt.Sprint("s", i+1)
		p.fill("file", mib)
		p.snapshot(snap)
		p.between(p.from+"/home", far(p.to+"/home"), ", rateLimit: 512K")
		after, before := time.Duration(random.Intn(4000))*time.Millisecond, len(p.runs())
		err := how.do(p, w, after)
		if (err == nil) != how.well {
			t.Fatalf("kill %d: %s after %s, and the run ended with %v", i, how.name, after, err)
		}
		var took time.Duration
		if !how.left {
			took = p.farEnds()
		} else if run(p.t, "pgrep", "-f", receives).Code != 0 {
			t.Errorf("kill %d: nothing was left at the far end: the network was not away for long enough", i)
		}
		p.between(p.from+"/home", far(p.to+"/home"), "")
		if r := p.dplane("replication", "run", "off"); r.Code != 0 {
			t.Fatalf("kill %d: %s after %s: then exit status %d\n%s%s", i, how.name, after, r.Code, r.Stdout, r.Stderr)
		}
		p.clean(snap)
		if guids() != had {
			t.Error("a target was made anew")
		}
		var bytes int64
		runs := p.runs()
		for _, r := range runs[:min(len(runs)-before, len(runs))] {
			bytes, resumed = bytes+r.Bytes, resumed+r.Resumed
		}
		if bytes > 2*2*mib<<20 {
			t.Errorf("%d bytes were sent in all, of %d MiB", bytes, 2*mib)
		}
		if t.Failed() {
			t.Fatalf("kill %d: %s after %s", i, how.name, after)
		}
		t.Logf("kill %d: %s after %s: the far end was rid of it in %s, %d bytes sent", i, how.name, after, took.Round(time.Second), bytes)
		p.prune(i)
	}
	p.same(fmt.Sprint("s", kills))
	if resumed == 0 && kills > 1 {
		t.Error("nothing was gone on with")
	}
}

// receives is what sends and receives, of either side.
const receives = "^([^ ]*/)?zfs (send|receive) "

// farEnds waits until nothing receives any more.
func (p *pairOf) farEnds() time.Duration {
	p.t.Helper()
	start := time.Now()
	for run(p.t, "pgrep", "-f", receives).Code == 0 {
		if time.Since(start) > 4*time.Minute {
			p.t.Fatal("left running: " + run(p.t, "pgrep", "-af", receives).Stdout)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(start)
}

// prune destroys what is older than the newest snapshot at both ends: the disks are small.
func (p *pairOf) prune(before int) {
	p.t.Helper()
	for _, home := range []string{p.from + "/home", p.to + "/home"} {
		if run(p.t, "zfs", "list", fmt.Sprintf("%s@s%d", home, before)).Code == 0 {
			must(p.t, "zfs", "destroy", "-r", fmt.Sprintf("%s@s%d", home, before))
		}
	}
}

// powerCut is a replication on disks that outlive the machine.
type powerCut struct {
	*pairOf
	disks []string
}

// TestReplicationPowerCut is run by the script crash-replication, in a guest on whose disks it goes on from boot to boot:
// each time what the last machine left is brought to its end, more is to be sent, and the machine stops in the middle.
func TestReplicationPowerCut(t *testing.T) {
	place := os.Getenv("DPLANE_REPLICATION_CUT")
	if place == "" {
		t.Skip("the script crash-replication runs it (make test-replication)")
	}
	var boot, at int
	var how, dir string
	if _, err := fmt.Sscanf(place, "%s %d %d %s", &dir, &boot, &at, &how); err != nil {
		t.Fatalf("DPLANE_REPLICATION_CUT=%q: %v", place, err)
	}
	b := &box{t: t, dir: dir, prefix: "dptcut", listen: "127.0.0.1:9000"}
	c := &powerCut{&pairOf{b, "dptcutfrom", "dptcutto"}, strings.Fields(os.Getenv("DPLANE_E2E_DISKS"))}
	if boot == 0 {
		c.begin()
	} else {
		c.goOn(boot)
	}
	if how == "never" {
		return
	}
	c.fill("file", 6)
	c.snapshot(fmt.Sprint("s", boot+1))
	if how == "stream" {
		c.declare(", rateLimit: 512K")
	}
	must(t, "sync") // the test's own files, not dplane's
	if how != "stream" {
		r := c.cutting(at, how, "replication", "run", "off")
		t.Fatalf("the machine goes on: exit status %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	err := c.within(time.Duration(at)*time.Second, func(*exec.Cmd) {
		_ = os.WriteFile("/proc/sysrq-trigger", []byte("b"), 0)
		time.Sleep(time.Minute)
	})
	t.Fatalf("the machine goes on: %v", err)
}

// begin makes the pools, and the replicas.
func (c *powerCut) begin() {
	t := c.t
	if err := os.MkdirAll(c.path("etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.settings("10m")
	c.create(c.disks[0], c.disks[1])
	c.declare("")
	c.fill("file", 1)
	c.snapshot("s0")
	c.expect(0, "replication", "run", "off")
	if err := os.WriteFile(c.path("guids"), []byte(c.guids()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *powerCut) guids() string {
	c.t.Helper()
	return must(c.t, "zfs", "get", "-Hp", "-r", "-o", "value", "-t", "filesystem,volume", "guid", c.to+"/home")
}

// goOn brings to its end what the last machine was at.
func (c *powerCut) goOn(boot int) {
	t := c.t
	must(t, "zpool", "import", "-d", "/dev/disk/by-id", c.from)
	must(t, "zpool", "import", "-N", "-d", "/dev/disk/by-id", c.to)
	must(t, "zfs", "load-key", c.from+"/home/secret")
	must(t, "zfs", "mount", c.from+"/home/secret")
	c.declare("")
	tokens := strings.Fields(must(t, "zfs", "get", "-Hp", "-r", "-o", "value", "-t", "filesystem,volume", "receive_resume_token", c.to+"/home"))
	began := slices.ContainsFunc(tokens, func(s string) bool { return s != "-" })
	c.expect(0, "replication", "run", "off")
	snap := fmt.Sprint("s", boot)
	c.same(snap)
	c.clean(snap)
	if c.guids() != string(content(t, c.path("guids"))) {
		t.Error("a target was made anew")
	}
	last := c.runs()[0]
	if began && last.Resumed == 0 {
		t.Error("nothing was gone on with")
	}
	t.Logf("boot %d: tokens left: %v, sent then: %+v", boot, began, last)
	c.prune(boot - 1)
}
