//go:build e2e

package e2e

import (
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	_ "time/tzdata" // the guest has none
)

//go:embed testdata/schedule_day.txt
var scheduleDay string

// machineClock gives what sets this machine's clock, and puts it right when the test ends, by the clock that nobody
// sets. Tests that run one after another don't notice; no other may run meanwhile.
func machineClock(t *testing.T) (set func(time.Time)) {
	t.Helper()
	if os.Getenv("DPLANE_HOST_ZFS") != "" {
		t.Skip("sets the clock of the machine: only in a guest")
	}
	set = func(at time.Time) {
		t.Helper()
		tv := syscall.NsecToTimeval(at.UnixNano())
		if err := syscall.Settimeofday(&tv); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	t.Cleanup(func() { set(start.Add(time.Since(start))) }) // Since goes by the monotonic clock
	return set
}

// policyOracle is bucket retention in a few lines, of a schedule with three periods in one zone.
type policyOracle struct {
	zone  *time.Location
	keep  map[string]int
	taken []time.Time // every one that was ever taken, oldest first
}

// bucket is what the clock on the wall shows, as far as the period goes.
func (o *policyOracle) bucket(period string, at time.Time) string {
	local := at.In(o.zone)
	switch period {
	case "frequently":
		return fmt.Sprintf("%s %d", local.Format("2006-01-02 15 -0700"), local.Minute()/15)
	case "hourly":
		return local.Format("2006-01-02 15 -0700")
	}
	return local.Format("2006-01-02")
}

// tick takes one if the bucket of now has none, and gives the names of those that are left, oldest first.
func (o *policyOracle) tick(now time.Time) (names []string) {
	last := len(o.taken) - 1
	for period := range o.keep {
		if last < 0 || o.bucket(period, o.taken[last]) != o.bucket(period, now) {
			o.taken = append(o.taken, now)
			break
		}
	}
	stays := map[time.Time]bool{o.taken[len(o.taken)-1]: true}
	for period, count := range o.keep {
		var firsts []time.Time
		for i, at := range o.taken {
			if i == 0 || o.bucket(period, o.taken[i-1]) != o.bucket(period, at) {
				firsts = append(firsts, at)
			}
		}
		for _, at := range firsts[max(0, len(firsts)-count):] {
			stays[at] = true
		}
	}
	for _, at := range o.taken {
		if stays[at] {
			names = append(names, at.Format(nameForm))
		}
	}
	return names
}

const nameForm = "dplane-20060102T150405Z"

// day is one pool whose data is covered by a schedule.
type day struct {
	*box
	pool string
}

var secondsOfName = regexp.MustCompile(`(@dplane-\d{8}T\d{4})\d\dZ`)

// snapshots are those of the pool's data, sorted, without the pool's name. Between the tick and the look that names a
// snapshot a second or two go by: those are left out.
func (d *day) snapshots() []string {
	d.t.Helper()
	text := must(d.t, "zfs", "list", "-H", "-r", "-t", "snapshot", "-o", "name", d.pool+"/data")
	text = secondsOfName.ReplaceAllString(strings.ReplaceAll(text, d.pool+"/", ""), "${1}00Z")
	return slices.Sorted(strings.FieldsSeq(text))
}

// ticksOfDay are not all that a timer would give, since each takes seconds on an emulated machine: every quarter of an
// hour around the change of the clock and the next midnight, some that are an hour apart, one at which nothing is due,
// and stretches without any.
func ticksOfDay() (ticks []time.Time) {
	stretch := func(from, to string, step time.Duration) {
		at, _ := time.Parse("02 15:04", from)
		end, _ := time.Parse("02 15:04", to)
		for ; !at.After(end); at = at.Add(step) {
			ticks = append(ticks, time.Date(2026, 10, at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC))
		}
	}
	stretch("24 21:03", "24 21:33", 15*time.Minute)
	stretch("24 22:03", "24 23:03", time.Hour)
	stretch("24 23:48", "25 01:33", 15*time.Minute)
	stretch("25 11:03", "25 13:03", time.Hour)
	stretch("25 13:08", "25 13:08", time.Minute)
	stretch("25 21:03", "25 21:18", 15*time.Minute)
	stretch("25 22:03", "25 23:18", 15*time.Minute)
	return ticks
}

// TestScheduleDay is a day of ticks, of 25 hours: after each one the snapshots are there that an oracle tells, and
// twice those of a list that was written by hand. What others took, hold or cloned stays.
func TestScheduleDay(t *testing.T) {
	set := machineClock(t)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	ticks := ticksOfDay()
	set(ticks[0].Add(-time.Hour))
	b := newBox(t)
	d := &day{b, b.pool("tank")}
	must(t, "zpool", "create", "-m", b.path("mnt"), d.pool, b.disk("a"))
	for _, name := range []string{"data", "data/none", "data/stranger", "data/held", "data/cloned"} {
		must(t, "zfs", "create", d.pool+"/"+name)
	}
	foreign := []string{"data/none@mine", "data/stranger@mine", "data/stranger@dplane-20261001T120000Z"}
	for _, name := range foreign {
		must(t, "zfs", "snapshot", d.pool+"/"+name)
	}
	b.write("day.yaml", strings.ReplaceAll(`pools: {POOL: {}}
schedules: {day: {keep: {frequently: 2, hourly: 3, daily: 2}, frequentPeriod: 15m, timezone: Europe/Berlin}}
datasets: {POOL/data: {snapshots: day}, POOL/data/none: {snapshots: none}}
`, "POOL", d.pool))

	byHand := sections(scheduleDay)
	oracle := &policyOracle{zone: berlin, keep: map[string]int{"frequently": 2, "hourly": 3, "daily": 2}}
	const pinned = "dplane-20261024T211800Z"
	isHeld := true
	for n, tick := range ticks {
		set(tick)
		b.expect(0, "apply", "--yes")
		want := slices.Clone(foreign)
		for _, set := range []string{"data", "data/stranger", "data/held", "data/cloned"} {
			names := oracle.tick(tick)
			if n > 0 && (set == "data/held" && isHeld || set == "data/cloned") {
				names = append(names, pinned)
			}
			for _, name := range names {
				want = append(want, set+"@"+name)
			}
		}
		slices.Sort(want)
		got := d.snapshots()
		if want = slices.Compact(want); !slices.Equal(got, want) {
			t.Fatalf("after the tick of %s there are\n%s\nwant\n%s", tick.In(berlin), strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if list, ok := byHand[tick.Format("20060102T150405Z")]; ok {
			delete(byHand, tick.Format("20060102T150405Z"))
			if !slices.Equal(got, list) {
				t.Fatalf("after the tick of %s there are\n%s\nby hand:\n%s", tick.In(berlin), strings.Join(got, "\n"), strings.Join(list, "\n"))
			}
		}
		switch {
		case n == 1:
			must(t, "zfs", "hold", "mine", d.pool+"/data/held@"+d.real("data/held", pinned))
			must(t, "zfs", "clone", d.pool+"/data/cloned@"+d.real("data/cloned", pinned), d.pool+"/clone")
		case n == len(ticks)-4:
			must(t, "zfs", "release", "mine", d.pool+"/data/held@"+d.real("data/held", pinned))
			isHeld = false
		}
	}
	if len(byHand) > 0 {
		t.Errorf("no tick was at the times of %v", byHand)
	}
}

// real is the name with the second at which it was taken.
func (d *day) real(dataset, name string) string {
	d.t.Helper()
	for _, full := range strings.Fields(must(d.t, "zfs", "list", "-H", "-d", "1", "-t", "snapshot", "-o", "name", d.pool+"/"+dataset)) {
		if _, short, _ := strings.Cut(full, "@"); strings.HasPrefix(short, name[:len(name)-3]) {
			return short
		}
	}
	d.t.Fatalf("%s has no %s", dataset, name)
	return ""
}

// sections are the lists of names that were written by hand, sorted, by the times of the ticks.
func sections(text string) map[string][]string {
	all := map[string][]string{}
	at := ""
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && f[0] == "at" && len(f[1]) == len("20060102T150405Z"):
			at = f[1]
		case len(f) > 0 && at != "" && strings.Contains(f[0], "@"):
			all[at] = append(all[at], f[0])
		}
	}
	for _, list := range all {
		slices.Sort(list)
	}
	return all
}
