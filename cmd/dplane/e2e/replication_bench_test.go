//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// race is one snapshot of incompressible data that three tools send over the same SSH, whole, again and again.
type race struct {
	*pairOf
	source, target, port string
	ssh                  []string // how a person types it
}

// transferCost is what one run of a tool took.
type transferCost struct {
	wall       time.Duration
	stream     time.Duration // while both zfs send and zfs receive ran: without what comes before and after
	own, total time.Duration // on the processors: the tool itself, and all processes of the transfer with it
	ran        []string      // the processes, with how long each was there, as they ended
}

// newRace makes both pools, of three files each, and what is sent.
func newRace(t *testing.T, mib int) *race {
	b := newBox(t)
	r := &race{pairOf: &pairOf{b, b.pool("from"), b.pool("to")}}
	r.source, r.target = r.from+"/data", r.to+"/data"
	for i, pool := range []string{r.from, r.to} {
		disks := []string{b.disk(fmt.Sprint("a", i)), b.disk(fmt.Sprint("b", i)), b.disk(fmt.Sprint("c", i))}
		must(t, append([]string{"zpool", "create", "-m", b.path(fmt.Sprint("mnt", i)), pool}, disks...)...)
	}
	must(t, "zfs", "create", r.source)
	must(t, "dd", "if=/dev/urandom", "of="+b.path("mnt0/data/file"), "bs=1M", fmt.Sprint("count=", mib), "status=none")
	must(t, "zfs", "snapshot", r.source+"@one")
	r.port = r.sshd()
	r.ssh = []string{"-F", "none", "-i", r.path("id"), "-p", r.port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + r.path("known"), "-o", "LogLevel=ERROR"}
	must(t, append(append([]string{"ssh"}, r.ssh...), "root@127.0.0.1", "true")...) // the host key is known from now on
	r.write("pair.yaml", fmt.Sprintf("pools: {%s: {}, %s: {}}\nreplications: {off: {source: %s, target: %s, when: {manual: true}}}\n", r.from, r.to, r.source, far(r.target)))
	return r
}

// again is as if nothing had ever been sent.
func (r *race) again() {
	r.t.Helper()
	if run(r.t, "zfs", "list", r.target).Code == 0 {
		for _, tag := range strings.Fields(must(r.t, "sh", "-c", "zfs holds -H "+r.target+"@one | cut -f 2")) {
			must(r.t, "zfs", "release", tag, r.target+"@one")
		}
		must(r.t, "zfs", "destroy", "-r", r.target)
	}
	for _, b := range strings.Fields(must(r.t, "zfs", "list", "-H", "-t", "bookmark", "-o", "name", "-r", r.source)) {
		must(r.t, "zfs", "destroy", b)
	}
	files, err := filepath.Glob(r.path("dplane.db*"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range files {
		must(r.t, "rm", "-r", f)
	}
	must(r.t, "sync")
	must(r.t, "zpool", "sync")
}

// hangUp ends the connection that dplane keeps for a minute: what it cost to make belongs to the run, and its processes
// are counted when they end.
func (r *race) hangUp() {
	r.t.Helper()
	sockets, err := filepath.Glob(r.path("run/ssh/*"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range sockets {
		if info, err := os.Stat(s); err == nil && info.Mode()&os.ModeSocket != 0 {
			must(r.t, "ssh", "-F", "none", "-o", "ControlPath="+s, "-O", "exit", "127.0.0.1")
		}
	}
	for end := time.Now().Add(time.Minute); run(r.t, "pgrep", "-f", "^sshd(-session)?: root|^ssh: ").Code == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatal("a connection does not end: " + run(r.t, "pgrep", "-af", "ssh").Stdout)
		}
	}
}

// one runs a tool whose process has this name.
func (r *race) one(program string, argv ...string) (c transferCost) {
	r.t.Helper()
	r.again()
	all := accounted(r.t, r.path("records"), func() {
		start := time.Now()
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		c.wall = time.Since(start)
		if err != nil {
			r.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
		r.hangUp()
	})
	var ran []time.Duration
	for _, p := range all {
		switch p.program {
		case "pgrep": // our own
			continue
		case "zfs":
			ran = append(ran, p.elapsed)
		case program:
			c.own += p.cpu
		}
		c.total += p.cpu
		c.ran = append(c.ran, fmt.Sprintf("%s %.2f", p.program, p.elapsed.Seconds()))
	}
	slices.Sort(ran)
	c.stream = ran[len(ran)-2] // the sender may wait for a connection
	if a, b := zfsGet(r.t, "guid", r.source+"@one"), zfsGet(r.t, "guid", r.target+"@one"); a != b {
		r.t.Fatalf("%s sent %s, and it is %s", program, a, b)
	}
	return c
}

func (r *race) byHand() transferCost {
	return r.one("", "sh", "-c", fmt.Sprintf("zfs send %s@one | ssh %s root@127.0.0.1 zfs receive -u %s", r.source, strings.Join(r.ssh, " "), r.target))
}

func (r *race) byDplane() transferCost {
	return r.one("dplane", os.Getenv("DPLANE_BIN"), "--config", r.path("etc"), "replication", "run", "off")
}

func (r *race) bySyncoid() transferCost {
	argv := []string{"syncoid", "--no-sync-snap", "--quiet", "--sshport=" + r.port, "--sshkey=" + r.path("id")}
	for _, o := range []string{"StrictHostKeyChecking=no", "UserKnownHostsFile=" + r.path("known"), "LogLevel=ERROR"} {
		argv = append(argv, "--sshoption="+o)
	}
	return r.one("syncoid", append(argv, r.source, "root@127.0.0.1:"+r.target)...)
}

// median is the one in the middle.
func median[T any](all []T, of func(T) time.Duration) time.Duration {
	var values []time.Duration
	for _, x := range all {
		values = append(values, of(x))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// forBench skips a measurement that nobody asked for, and gives how many rounds it has.
func forBench(t *testing.T) int {
	t.Helper()
	rounds := numberFrom(t, "DPLANE_E2E_ROUNDS", 0)
	if rounds == 0 {
		t.Skip("DPLANE_E2E_ROUNDS asks for it (make bench-replication)")
	}
	if _, err := exec.LookPath("syncoid"); err != nil {
		t.Skip("there is no syncoid here")
	}
	return rounds
}

// TestReplicationBench sends the same data by hand, by dplane and by syncoid, one after the other, and tells; that it
// arrived each time is all that it asserts. What a tool does before and after the stream costs as much for a gigabyte as
// for these few, so both are told: the whole command, and the stream alone.
func TestReplicationBench(t *testing.T) {
	rounds, mib := forBench(t), numberFrom(t, "DPLANE_E2E_MIB", 128)
	r := newRace(t, mib)
	r.hangUp()
	tools := []struct {
		name string
		send func() transferCost
	}{{"by hand", r.byHand}, {"dplane", r.byDplane}, {"syncoid", r.bySyncoid}}
	seen := make([][]transferCost, len(tools))
	for n := range rounds {
		for i, tool := range tools {
			c := tool.send()
			t.Logf("round %d: %s %.2f s, the stream %.2f s, CPU %.2f s of %.2f s", n+1, tool.name, c.wall.Seconds(), c.stream.Seconds(), c.own.Seconds(), c.total.Seconds())
			if n == 0 {
				t.Logf("its processes, in seconds: %s", strings.Join(c.ran, ", "))
			}
			seen[i] = append(seen[i], c)
		}
	}
	wall, stream := func(c transferCost) time.Duration { return c.wall }, func(c transferCost) time.Duration { return c.stream }
	own, total := func(c transferCost) time.Duration { return c.own }, func(c transferCost) time.Duration { return c.total }
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "median\tcommand\tof by hand\tstream\tMiB/s\tof by hand\tCPU of the tool\tof all processes\t\t")
	for i, tool := range tools {
		in := func(list []transferCost, of func(transferCost) time.Duration) float64 {
			return median(list, of).Seconds()
		}
		fmt.Fprintf(w, "%s\t%.2f s\t%.3f\t%.2f s\t%.1f\t%.3f\t%.2f s\t%.2f s\t%.1f %%\t\n", tool.name,
			in(seen[i], wall), in(seen[0], wall)/in(seen[i], wall), in(seen[i], stream), float64(mib)/in(seen[i], stream), in(seen[0], stream)/in(seen[i], stream),
			in(seen[i], own), in(seen[i], total), 100*in(seen[i], own)/in(seen[i], total))
	}
	w.Flush()
	t.Logf("%d MiB over SSH, median of %d\n%s", mib, rounds, &text)
}

// newCrowd are as many datasets with as many snapshots, and their replicas: both halves of a mirror, which takes minutes
// less than to receive them one by one. Nothing of the replicas is mounted.
func newCrowd(t *testing.T, datasets, snaps int) *pairOf {
	b := newBox(t)
	p := &pairOf{b, b.pool("from"), b.pool("to")}
	must(t, "zpool", "create", "-m", b.path("mnt"), p.from, "mirror", b.disk("a"), b.disk("b"))
	all := []string{p.from + "/data"}
	for i := range datasets - 1 {
		all = append(all, fmt.Sprintf("%s/data/d%03d", p.from, i))
	}
	must(t, append([]string{"sh", "-c", `for d; do zfs create "$d" || exit 1; done`, "sh"}, all...)...)
	for i := range snaps {
		must(t, "zfs", "snapshot", "-r", fmt.Sprintf("%s/data@s%02d", p.from, i))
	}
	must(t, "zpool", "split", p.from, p.to, b.path("b"))
	must(t, "zpool", "import", "-N", "-d", b.dir, p.to)
	must(t, "zfs", "set", "readonly=on", p.to+"/data")
	p.write("pair.yaml", fmt.Sprintf("pools: {%s: {}, %s: {}}\nreplications: {off: {source: %s, target: %s, recursive: true, when: {after: snapshot}}}\n", p.from, p.to, p.from+"/data", p.to+"/data"))
	return p
}

// TestReplicationIdle measures what a tick costs that has nothing to send, beside syncoid.
func TestReplicationIdle(t *testing.T) {
	forBench(t)
	datasets, snaps := numberFrom(t, "DPLANE_E2E_DATASETS", 50), numberFrom(t, "DPLANE_E2E_SNAPSHOTS", 12)
	p := newCrowd(t, datasets, snaps)
	dplane := []string{os.Getenv("DPLANE_BIN"), "--config", p.path("etc")}
	first := measured(t, p.path("records"), append(slices.Clip(dplane), "apply", "--yes")...)
	t.Logf("the first run, which holds and marks what both have: %.1f s, %d programs", first.wall.Seconds(), first.programs)
	p.expect(0, "plan", "--detailed-exitcode")
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "nothing to send\twall\tCPU\tprograms\t")
	for _, tool := range []struct {
		name string
		argv []string
	}{
		{"dplane apply", append(slices.Clip(dplane), "apply", "--yes")},
		{"dplane replication run", append(slices.Clip(dplane), "replication", "run", "off")},
		{"syncoid -r", []string{"syncoid", "-r", "--no-sync-snap", "--quiet", p.from + "/data", p.to + "/data"}},
	} {
		c := measured(t, p.path("records"), tool.argv...)
		fmt.Fprintf(w, "%s\t%.2f s\t%.2f s\t%d\t\n", tool.name, c.wall.Seconds(), c.cpu.Seconds(), c.programs)
	}
	c := p.tick()
	fmt.Fprintf(w, "a pass of the daemon\t%.2f s\t%.2f s\t%d\t\n", c.wall.Seconds(), c.cpu.Seconds(), c.programs)
	w.Flush()
	t.Logf("%d datasets with %d snapshots each\n%s", datasets, snaps, &text)
}

// tick is what one pass of a daemon costs that has nothing to do: its wall time is that of its programs, one after the other,
// and of the daemon's own work.
func (p *pairOf) tick() (c cost) {
	t := p.t
	d := p.daemon("")
	last := func() (at string) {
		var doc struct {
			At string `json:"observedAt"`
		}
		if code, body := d.get("/api/status"); code == 200 {
			if err := json.Unmarshal([]byte(body), &doc); err != nil {
				t.Fatal(err)
			}
		}
		return doc.At
	}
	next := func() {
		was := last()
		d.until("another pass", func() bool { return last() != was })
	}
	own := func() time.Duration {
		var ticks [2]int
		f := strings.Fields(string(content(t, fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))))
		for i := range ticks {
			n, err := strconv.Atoi(f[13+i])
			if err != nil {
				t.Fatal(err)
			}
			ticks[i] = n
		}
		return time.Duration(ticks[0]+ticks[1]) * time.Second / 100
	}
	for range 6 { // what changed last has to have settled
		next()
	}
	const window = time.Minute // in which nobody asks the daemon anything
	began, passes := own(), 0
	all := accounted(t, p.path("records"), func() { time.Sleep(window) })
	c.cpu = own() - began
	c.wall = c.cpu
	for _, x := range all {
		switch x.program {
		case "cat": // once in each pass
			passes++
			fallthrough
		case "zfs", "zpool":
			c.cpu, c.wall = c.cpu+x.cpu, c.wall+x.elapsed
			c.programs++
		}
	}
	if passes == 0 {
		t.Fatal("no pass in a minute")
	}
	d.stop()
	c.cpu, c.wall, c.programs = c.cpu/time.Duration(passes), c.wall/time.Duration(passes), (c.programs+passes-1)/passes
	return c
}
