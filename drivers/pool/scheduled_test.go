package pool

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func day(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		panic(err)
	}
	return t
}

// cared is a pool that is scrubbed on the first of each month and trimmed on Sundays, at the time of Berlin; it was last
// cared for in October.
func cared() (*spec.Spec, *state.Observed) {
	want := declared(&spec.Pool{Name: "tank", Pos: spec.Pos{File: "p.yaml", Line: 2},
		Scrub: &spec.Recur{Monthly: "1 03:00", Pos: spec.Pos{File: "p.yaml", Line: 3}},
		Trim:  &spec.Recur{Weekly: "sun 04:00", Window: "04:00-06:00", Pos: spec.Pos{File: "p.yaml", Line: 4}}})
	want.Node.Timezone = "Europe/Berlin"
	have := state.NewObserved(time.Unix(0, 0), "test")
	have.Pools["tank"] = &state.Pool{Name: "tank", GUID: "9", Health: "ONLINE", Managed: true, Scrubbed: day("2026-10-01 04:00"), Trimmed: day("2026-10-04 04:00")}
	have.Recorded = []state.Recorded{{Kind: "pool", Name: "tank", GUID: "9", First: day("2020-01-01 00:00")}}
	return want, have
}

func TestScheduled(t *testing.T) {
	const scrub, trim = "run safe due: zpool scrub tank", "run safe due: zpool trim tank"
	running := func(kind, st string) *state.Work { return &state.Work{Kind: kind, State: st} }
	for name, c := range map[string]struct {
		now    string
		change func(*spec.Spec, *state.Observed, *state.Pool)
		plan   string
	}{
		"not yet":                    {"2026-10-11 01:59", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) { p.Trimmed = day("2026-10-04 04:00") }, ""},
		"a trim at its hour":         {"2026-10-11 02:00", nil, trim},
		"a trim outside its window":  {"2026-10-11 04:00", nil, ""},
		"a scrub, and no trim then":  {"2026-11-01 03:30", nil, scrub},
		"a scrub missed long ago":    {"2027-05-19 12:00", nil, scrub},
		"the trim after the scrub":   {"2026-11-01 03:30", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) { p.Scrubbed = day("2026-11-01 03:00") }, trim},
		"one that ran into the next": {"2026-11-02 12:00", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) { p.Scrubbed = day("2026-11-01 09:00") }, ""},
		"while a scrub runs":         {"2026-11-01 03:30", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) { p.Scanned = running("scrub", state.Running) }, ""},
		"a paused scrub goes on":     {"2026-11-01 03:30", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) { p.Scanned = running("scrub", state.Paused) }, scrub},
		"a paused one is left":       {"2026-10-10 12:00", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) { p.Scanned = running("scrub", state.Paused) }, ""},
		"one that was paused since it was due": {"2026-11-01 03:30", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) {
			p.Scanned = running("scrub", state.Paused)
			p.Scanned.Start, p.Trimmed = day("2026-11-01 02:00"), day("2026-11-01 03:00")
		}, ""},
		"while a resilver runs": {"2026-11-01 03:30", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) { p.Scanned = running("resilver", state.Running) }, ""},
		"while a removal runs":  {"2026-11-01 03:30", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) { p.Removal = running("removal", state.Running) }, ""},
		"while an expansion runs": {"2026-11-01 03:30", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) {
			p.Expansion = running("expansion", state.Running)
		}, ""},
		"while a trim runs": {"2026-11-01 03:30", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) { p.Trimming = running("trim", state.Running) }, ""},
		"never done, seen just now": {"2026-11-01 03:30", func(_ *spec.Spec, o *state.Observed, p *state.Pool) {
			p.Scrubbed, p.Trimmed, o.Recorded[0].First = time.Time{}, time.Time{}, day("2026-11-01 03:29")
		}, ""},
		"never done, seen last month": {"2026-11-01 03:30", func(_ *spec.Spec, o *state.Observed, p *state.Pool) {
			p.Scrubbed, p.Trimmed, o.Recorded[0].First = time.Time{}, time.Time{}, day("2026-10-31 03:29")
		}, scrub},
		"not recorded": {"2026-11-01 03:30", func(_ *spec.Spec, o *state.Observed, _ *state.Pool) { o.Recorded = nil }, ""},
		"not scheduled": {"2026-11-01 03:30", func(s *spec.Spec, _ *state.Observed, _ *state.Pool) {
			s.Pools["tank"].Scrub, s.Pools["tank"].Trim = nil, nil
		}, ""},
		"no device can be trimmed": {"2026-10-11 02:00", func(_ *spec.Spec, _ *state.Observed, p *state.Pool) { p.Trimless = true },
			"notice: pool tank (p.yaml:4): a trim is scheduled, and none of its devices can be trimmed"},
		"imported read-only": {"2026-11-01 03:30", func(s *spec.Spec, _ *state.Observed, p *state.Pool) {
			s.Pools["tank"].Trim = nil
			p.Properties = map[string]state.Property{"readonly": {Value: "on", Source: "-"}}
		}, "notice: pool tank (p.yaml:3): it is imported read-only, so no scrub of it can run"},
		"another pool of that name": {"2026-11-01 03:30", func(_ *spec.Spec, o *state.Observed, _ *state.Pool) { o.Recorded[0].GUID = "8" },
			"blocked conflict: another pool took a known name: nothing of it is touched; if it is the right one: dplane adopt tank"},
	} {
		want, have := cared()
		if c.change != nil {
			c.change(want, have, have.Pools["tank"])
		}
		r := new(Driver).Diff(drivers.Input{Want: want, Have: have, Now: day(c.now)})
		got := strings.TrimPrefix(strings.Join(append([]string{lines(r.Actions)}, r.Notices...), "\nnotice: "), "\n")
		if got != c.plan {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.plan)
		}
		for _, a := range r.Actions {
			if a.Scheduled != (a.Verb == drivers.Run) {
				t.Errorf("%s: scheduled is %v", name, a.Scheduled)
			}
		}
	}
}

// The same work keeps its id until it is done, and has another the next time.
func TestScheduledIdentity(t *testing.T) {
	id := func(now string) string {
		want, have := cared()
		a := new(Driver).Diff(drivers.Input{Want: want, Have: have, Now: day(now)}).Actions[0]
		a.Identify()
		return a.ID
	}
	if a, b, c := id("2026-11-01 03:30"), id("2026-11-09 12:00"), id("2026-12-01 03:30"); a != b || b == c {
		t.Errorf("ids %s, %s, %s", a, b, c)
	}
}

// What was done is known from the pool; what the pool forgets, dplane remembers.
func TestRemember(t *testing.T) {
	f := machine("/dev/a", "/dev/b")
	f.Model.Clock = day("2026-11-01 03:00").Unix()
	do := func(line string) {
		t.Helper()
		if _, err := f.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	do("zpool create tank mirror /dev/a /dev/b")
	want := declared(&spec.Pool{Name: "tank", Scrub: &spec.Recur{Monthly: "1 03:00"}, Trim: &spec.Recur{Weekly: "sun 03:00"}})
	memory := state.Recorded{Kind: "pool", Name: "tank", GUID: f.Model.Pools["tank"].GUID, First: day("2026-10-01 04:00")}
	now := day("2026-11-01 04:00")
	pass := func() (*state.Pool, []drivers.Action) {
		t.Helper()
		obs := state.NewObserved(now, "test")
		obs.Recorded = []state.Recorded{memory}
		if err := (&Driver{Runner: host.ReadOnly{Runner: f}}).Observe(t.Context(), want, obs); err != nil {
			t.Fatal(err)
		}
		p := obs.Pools["tank"]
		memory.Scrubbed, memory.Trimmed = p.Scrubbed, p.Trimmed
		return p, new(Driver).Diff(drivers.Input{Want: want, Have: obs, Now: now}).Actions
	}
	for _, step := range []string{"zpool scrub tank", "zpool trim tank"} { // one in each pass
		_, actions := pass()
		if got := lines(actions); got != "run safe due: "+step {
			t.Fatalf("got %s, want %s", got, step)
		}
		if err := (&Driver{Runner: f}).Apply(t.Context(), actions[0]); err != nil {
			t.Fatal(err)
		}
	}
	p, actions := pass()
	if len(actions) > 0 || !p.Scrubbed.Equal(day("2026-11-01 03:00")) || !p.Trimmed.Equal(p.Scrubbed) {
		t.Fatalf("scrubbed %s, trimmed %s, then %s", p.Scrubbed, p.Trimmed, lines(actions))
	}
	// A resilver takes the place of the scrub, and new devices know of no trim.
	f.Model.Pools["tank"].Scan = &zfsfake.Scan{Function: "RESILVER", State: "FINISHED"}
	for i := range f.Model.Pools["tank"].Vdevs[0].Children {
		f.Model.Pools["tank"].Vdevs[0].Children[i].Trim = nil
	}
	if p, actions = pass(); len(actions) > 0 || !p.Scrubbed.Equal(day("2026-11-01 03:00")) || !p.Trimmed.Equal(p.Scrubbed) {
		t.Fatalf("after a resilver: scrubbed %s, trimmed %s, then %s", p.Scrubbed, p.Trimmed, lines(actions))
	}
	// What can't be seen for a while is not forgotten.
	f.Model.Pools["tank"].Suspended = true
	if p, _ = pass(); p.Scrubbed.IsZero() {
		t.Error("a suspended pool forgets its scrub")
	}
	f.Model.Pools["tank"].Suspended = false
	// One that a person cancels is not begun again before it is due again.
	now, f.Model.Clock, f.Model.Slow = day("2026-12-01 03:00"), day("2026-12-01 03:00").Unix(), true
	do("zpool scrub tank")
	if p, actions = pass(); len(actions) > 0 || p.Scanned.State != state.Running {
		t.Fatalf("while it runs: %s", lines(actions))
	}
	do("zpool scrub -s tank")
	now = day("2026-12-02 03:00")
	if _, actions = pass(); lines(actions) != "run safe due: zpool trim tank" {
		t.Fatalf("after it was canceled: %s", lines(actions))
	}
}

// Begun meanwhile by somebody else: zpool refuses the second.
func TestScrubRefused(t *testing.T) {
	f := machine("/dev/a")
	f.Model.Slow = true
	for _, line := range []string{"zpool create tank /dev/a", "zpool scrub tank"} {
		if _, err := f.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	want, have := cared()
	have.Pools["tank"].GUID, have.Recorded[0].GUID = f.Model.Pools["tank"].GUID, f.Model.Pools["tank"].GUID
	a := new(Driver).Diff(drivers.Input{Want: want, Have: have, Now: day("2026-11-01 03:30")}).Actions[0]
	if err := (&Driver{Runner: f}).Apply(context.Background(), a); err == nil || !strings.Contains(err.Error(), "currently scrubbing") {
		t.Errorf("%v", err)
	}
}
