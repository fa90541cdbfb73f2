//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

// cost is what one run of a program took, with all that it started.
type cost struct {
	wall, cpu time.Duration
	programs  int
}

// process is what the kernel noted of one that ended: its own time on the processors, without what it waited for.
type process struct {
	program string // the first 15 bytes of its name
	cpu     time.Duration
	elapsed time.Duration
	forked  bool // it never became another program
}

// accounted notes all processes that end while do runs, by the kernel's accounting (acct(5)): a record of 64 bytes for
// each. (Tracing would have the kernel patch its own code, which an emulated one does not always survive.)
func accounted(t *testing.T, records string, do func()) (all []process) {
	t.Helper()
	if err := os.WriteFile(records, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Acct(records); err != nil {
		t.Fatal(err)
	}
	end := func() error {
		if _, _, errno := syscall.Syscall(syscall.SYS_ACCT, 0, 0, 0); errno != 0 { // no file: the end of it
			return errno
		}
		return nil
	}
	defer func() { _ = end() }() // where do does not come back
	do()
	if err := end(); err != nil {
		t.Fatal(err)
	}
	for r := range slices.Chunk(content(t, records), 64) {
		const tick = time.Second / 100
		name, _, _ := bytes.Cut(r[48:], []byte{0})
		all = append(all, process{
			program: string(name),
			cpu:     (compressed(r[32:]) + compressed(r[34:])) * tick, // in user mode and in the kernel
			elapsed: time.Duration(math.Float32frombits(binary.NativeEndian.Uint32(r[28:]))) * tick,
			forked:  r[0]&1 != 0,
		})
	}
	return all
}

// compressed reads a comp_t: thirteen bits, times eight to the power of the other three.
func compressed(b []byte) time.Duration {
	n := binary.NativeEndian.Uint16(b)
	return time.Duration(n&0x1fff) << (3 * (n >> 13))
}

// measured runs a program that has to succeed, and counts what it starts.
func measured(t *testing.T, records string, argv ...string) (c cost) {
	t.Helper()
	all := accounted(t, records, func() {
		cmd := exec.Command(argv[0], argv[1:]...)
		start := time.Now()
		out, err := cmd.CombinedOutput()
		c.wall = time.Since(start)
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
		c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	})
	for _, p := range all {
		if !p.forked {
			c.programs++
		}
	}
	return c
}

// fleet is a pool with many datasets, and what takes their snapshots.
type fleet struct {
	*box
	pool            string
	datasets, snaps int
	set             func(time.Time)
}

// numberFrom is a number of the environment.
func numberFrom(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// lastHour is that of the newest snapshot at the start, and midnight the one that sanoid has as its daily.
var (
	lastHour = time.Date(2026, 11, 24, 5, 0, 10, 0, time.UTC)
	midnight = time.Date(2026, 11, 24, 0, 0, 10, 0, time.UTC)
)

// fill makes the datasets, mounted as most are (zfs has to open one that is not for each question), one of them above the others, with snapshots an hour apart: the name says to sanoid that
// they are its own, the mark to dplane.
func (f *fleet) fill() {
	f.t.Helper()
	all := []string{f.pool + "/data"}
	for i := range f.datasets - 1 {
		all = append(all, fmt.Sprintf("%s/data/d%03d", f.pool, i))
	}
	f.set(lastHour.Add(-1000 * time.Hour))
	must(f.t, "zpool", "create", "-m", f.path("mnt"), f.pool, f.disk("a"))
	must(f.t, append([]string{"sh", "-c", `for d; do zfs create "$d" || exit 1; done`, "sh"}, all...)...)
	for i := range f.snaps {
		at := lastHour.Add(-time.Duration(f.snaps-1-i) * time.Hour)
		f.set(at)
		argv, name := []string{"zfs", "snapshot", "-o", "dplane:schedule=hours"}, "@autosnap_2006-01-02_15:04:05_hourly"
		if at.Equal(midnight) {
			name = "@autosnap_2006-01-02_15:04:05_daily"
		}
		for _, d := range all {
			argv = append(argv, d+at.Format(name))
		}
		must(f.t, argv...)
	}
	must(f.t, "zpool", "export", f.pool)
	for _, dir := range []string{"sanoid", "dplane"} {
		must(f.t, "mkdir", f.path(dir))
		must(f.t, "cp", "--sparse=always", f.path("a"), f.path(dir))
	}
}

func (f *fleet) snapshots() int {
	f.t.Helper()
	return len(strings.Fields(must(f.t, "zfs", "list", "-H", "-r", "-t", "snapshot", "-o", "name", f.pool)))
}

// ticks measures one with nothing due, one with all due, and one with a prune of one snapshot of each dataset as well.
func (f *fleet) ticks(with string, argv ...string) (costs [3]cost) {
	f.t.Helper()
	f.set(lastHour.Add(20 * time.Minute))
	must(f.t, "zpool", "import", "-d", f.path(with), f.pool)
	must(f.t, argv...) // what it remembers is as it is after some time
	n, all := f.datasets, f.datasets*f.snaps
	for i, tick := range []struct {
		after time.Duration
		want  int
	}{{25 * time.Minute, all}, {65 * time.Minute, all + n}, {125 * time.Minute, all + n}} {
		f.set(lastHour.Add(tick.after))
		costs[i] = measured(f.t, f.path("records"), argv...)
		f.t.Logf("%s at %s: %v", with, tick.after, costs[i])
		if got := f.snapshots(); got != tick.want {
			f.t.Fatalf("after the tick at %s there are %d snapshots, want %d", tick.after, got, tick.want)
		}
	}
	must(f.t, "zpool", "destroy", f.pool)
	return costs
}

// withSanoid is the policy as sanoid has it: a daily is a snapshot of its own there, and it prunes what it found at its
// start.
func (f *fleet) withSanoid() [3]cost {
	f.write("sanoid.conf", fmt.Sprintf(`[%s/data]
  use_template = hours
  recursive = yes
[template_hours]
  frequently = 0
  hourly = %d
  daily = 1
  daily_hour = 0
  daily_min = 0
  weekly = 0
  monthly = 0
  yearly = 0
  autosnap = yes
  autoprune = yes
`, f.pool, f.snaps-1))
	return f.ticks("sanoid", "sanoid", "--cron", "--configdir="+f.path("etc"), "--cache-dir="+f.path("cache"), "--run-dir="+f.path("lock"))
}

func (f *fleet) withDplane() [3]cost {
	f.write("hours.yaml", fmt.Sprintf("pools: {%[1]s: {}}\nschedules: {hours: {keep: {hourly: %[2]d, daily: 1}, timezone: UTC}}\ndatasets: {%[1]s/data: {snapshots: hours}}\n", f.pool, f.snaps+1))
	return f.ticks("dplane", os.Getenv("DPLANE_BIN"), "--config", f.path("etc"), "apply", "--yes")
}

// TestScheduleBench measures sanoid and dplane side by side and tells; that both did the same work is all that it
// asserts.
func TestScheduleBench(t *testing.T) {
	set := machineClock(t)
	if _, err := exec.LookPath("sanoid"); err != nil {
		t.Skip("there is no sanoid here")
	}
	datasets, snaps := numberFrom(t, "DPLANE_E2E_DATASETS", 50), numberFrom(t, "DPLANE_E2E_SNAPSHOTS", 10)
	if datasets == 0 {
		t.Skip("no datasets are asked for")
	}
	b := newBox(t)
	f := &fleet{b, b.pool("tank"), datasets, snaps, set}
	f.fill()
	costs := [2][3]cost{f.withSanoid(), f.withDplane()} // each alone on the machine
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "a tick with\twall: sanoid\tdplane\tratio\tCPU: sanoid\tdplane\tratio\tprograms: sanoid\tdplane\tratio\t")
	for i, what := range []string{"nothing due", "all due", "all due and a prune of each"} {
		a, b := costs[0][i], costs[1][i]
		fmt.Fprintf(w, "%s\t%.2f s\t%.2f s\t%.1f\t%.2f s\t%.2f s\t%.1f\t%d\t%d\t%.1f\t\n", what,
			a.wall.Seconds(), b.wall.Seconds(), a.wall.Seconds()/b.wall.Seconds(),
			a.cpu.Seconds(), b.cpu.Seconds(), a.cpu.Seconds()/b.cpu.Seconds(),
			a.programs, b.programs, float64(a.programs)/float64(b.programs))
	}
	w.Flush()
	t.Logf("%d datasets with %d snapshots each\n%s", datasets, snaps, &text)
}
