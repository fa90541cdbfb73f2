package render

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state"
)

// well is a record of a machine that is as declared.
func well() *state.Record {
	o := state.NewObserved(t0, "nas-a")
	o.Pools["tank"] = &state.Pool{Name: "tank", GUID: "1", Health: "ONLINE", Size: 2 << 40, Allocated: 1 << 40, Free: 1 << 40, Capacity: 50, Managed: true, Errors: "No known data errors"}
	o.Pools["other"] = &state.Pool{Name: "other", GUID: "2", Health: "FAULTED", Capacity: 99}
	for _, n := range []string{"tank", "tank/home", "tank/backup", "tank/undeclared"} {
		o.Datasets[n] = &state.Dataset{Name: n, GUID: n, Used: 3 << 30}
	}
	return &state.Record{
		At: t0, Generation: "3f9c2a1b7d4e5f60", Interval: time.Minute, Observed: o, Plan: planOf(&reconcile.Plan{}),
		Declared: &state.Declared{
			Interval: time.Minute, Datasets: []string{"tank", "tank/backup", "tank/home"},
			Pools: map[string]state.DeclaredPool{"tank": {Warn: 80, Critical: 90}, "usb": {Removable: true}},
		},
	}
}

func planOf(p *reconcile.Plan) []byte {
	doc, err := PlanJSON(p)
	if err != nil {
		panic(err) // plain data
	}
	return doc
}

func TestState(t *testing.T) {
	full := fullPlan()
	for _, c := range []struct {
		name   string
		change func(r *state.Record)
		after  time.Duration
		want   string
		why    string
	}{
		{name: "well", change: func(*state.Record) {}, want: OK},
		{name: "three intervals old", change: func(*state.Record) {}, after: 3 * time.Minute, want: OK},
		{name: "older", change: func(*state.Record) {}, after: 3*time.Minute + time.Second, want: Unknown, why: "is the daemon running?"},
		{name: "from a clock that is a little ahead", change: func(*state.Record) {}, after: -3 * time.Minute, want: OK},
		{name: "from the future", change: func(*state.Record) {}, after: -time.Hour, want: Unknown, why: "the clock was set back since"},
		{name: "an apply's, the declared interval counts", change: func(r *state.Record) { r.Interval, r.Declared.Interval = 0, time.Hour }, after: 2 * time.Hour, want: OK},
		{name: "an apply's, long ago", change: func(r *state.Record) { r.Interval = 0 }, after: time.Hour, want: Unknown},
		{name: "critical, then old", change: func(r *state.Record) { delete(r.Observed.Pools, "tank") }, after: time.Hour, want: Unknown},
		{name: "pool missing", change: func(r *state.Record) { delete(r.Observed.Pools, "tank") }, want: Critical, why: "pool tank: declared, and not imported"},
		{name: "pool faulted", change: func(r *state.Record) { r.Observed.Pools["tank"].Health = "FAULTED" }, want: Critical},
		{name: "pool suspended", change: func(r *state.Record) { r.Observed.Pools["tank"].Health = "SUSPENDED" }, want: Critical},
		{name: "pool unavailable", change: func(r *state.Record) { r.Observed.Pools["tank"].Health = "UNAVAIL" }, want: Critical},
		{name: "pool degraded", change: func(r *state.Record) { r.Observed.Pools["tank"].Health = "DEGRADED" }, want: Degraded},
		{name: "pool degraded and critically full", change: func(r *state.Record) {
			r.Observed.Pools["tank"].Health, r.Observed.Pools["tank"].Capacity = "DEGRADED", 95
		}, want: Critical},
		{name: "data errors", change: func(r *state.Record) { r.Observed.Pools["tank"].Errors = "3 data errors" }, want: Degraded},
		{name: "79% full", change: func(r *state.Record) { r.Observed.Pools["tank"].Capacity = 79 }, want: OK},
		{name: "80% full", change: func(r *state.Record) { r.Observed.Pools["tank"].Capacity = 80 }, want: Degraded},
		{name: "90% full", change: func(r *state.Record) { r.Observed.Pools["tank"].Capacity = 90 }, want: Critical},
		{name: "no ZFS", change: func(r *state.Record) {
			r.Observed = state.NewObserved(t0, "nas-a")
			r.Observed.ZFS = state.ZFS{Error: "zfs is not installed", Hint: "apt install zfsutils-linux"}
		}, want: Critical, why: "zfs is not installed"},
		{name: "pool unseen", change: func(r *state.Record) {
			r.Observed.Unseen = []state.Unseen{{Pool: "tank", Why: "zfs hangs"}}
		}, want: Degraded, why: "zfs hangs"},
		{name: "drift", change: func(r *state.Record) { r.Plan = planOf(&reconcile.Plan{Actions: full.Actions[1:2]}) }, want: Degraded, why: "1 change yet"},
		{name: "held", change: func(r *state.Record) { r.Plan = planOf(&reconcile.Plan{Actions: full.Actions[3:4]}) }, want: Degraded, why: "1 action held"},
		{name: "blocked", change: func(r *state.Record) { r.Plan = planOf(&reconcile.Plan{Actions: full.Actions[4:5]}) }, want: Degraded},
		{name: "limits", change: func(r *state.Record) { r.Plan = planOf(&reconcile.Plan{Limit: "too many"}) }, want: Degraded, why: "too many"},
		{name: "run only", change: func(r *state.Record) { r.Plan = planOf(&reconcile.Plan{Actions: full.Actions[2:3]}) }, want: OK},
		{name: "invalid files", change: func(r *state.Record) { r.Invalid = "a.yaml:1:1: no" }, want: Degraded},
		{name: "never a valid file", change: func(r *state.Record) { r.Invalid, r.Generation = "a.yaml:1:1: no", "" }, want: Critical},
		{name: "errors", change: func(r *state.Record) { r.Errors = []string{"set compression: busy"} }, want: Degraded},
		{name: "a plan that can't be read", change: func(r *state.Record) { r.Plan = []byte("[") }, want: Degraded},
		{name: "no configuration ever", change: func(r *state.Record) { *r = state.Record{At: t0, Interval: time.Minute, Errors: []string{"none"}} }, want: Degraded},
	} {
		rec := well()
		c.change(rec)
		st := NewStatus(rec, t0.Add(c.after))
		if st.State != c.want || !strings.Contains(strings.Join(st.Reasons, "; "), c.why) {
			t.Errorf("%s: %s (%q), want %s (%s)", c.name, st.State, st.Reasons, c.want, c.why)
		}
		if (st.State == OK) != (len(st.Reasons) == 0) {
			t.Errorf("%s: %s with reasons %q", c.name, st.State, st.Reasons)
		}
	}
	none := well()
	none.Observed = state.NewObserved(t0, "nas-a")
	none.Observed.ZFS, none.Errors = state.ZFS{Error: "no zfs", Hint: "apt"}, []string{"no zfs"}
	if st := NewStatus(none, t0); len(st.Reasons) != 1 || len(st.Errors) != 1 || st.Errors[0].Hint != "apt" {
		t.Errorf("one cause is said once: %q %v", st.Reasons, st.Errors)
	}
	if st := NewStatus(nil, t0); st.State != Unknown || st.ObservedAt != nil {
		t.Errorf("without a record: %+v", st)
	}
}

func TestExitCode(t *testing.T) {
	for state, want := range map[string]int{OK: 0, Degraded: 1, Critical: 2, Unknown: 3, "": 3} {
		if got := ExitCode(state); got != want {
			t.Errorf("%s: %d", state, got)
		}
	}
}

func TestDatasetStates(t *testing.T) {
	full := fullPlan()
	rec := well()
	rec.Declared.Datasets = []string{"tank", "tank/backup", "tank/gone", "tank/home", "tank/vm", "usb/x"}
	rec.Observed.Unseen = full.Unseen
	rec.Plan = planOf(&reconcile.Plan{Actions: full.Actions[1:], ReceivedOnly: full.ReceivedOnly})
	got := map[string]string{}
	for _, d := range NewStatus(rec, t0).Datasets {
		got[d.Name] = d.State + ": " + d.Reason
	}
	for name, want := range map[string]string{
		"tank":        "ready: ",
		"tank/backup": "receivedOnly: target of the replication offsite",
		"tank/gone":   "missing: not there, and nothing is planned for it",
		"tank/home":   "drift: update compression lz4 -> zstd, quota 0 -> 2T, com.example:owner nobody -> it & co",
		"tank/vm":     "held: blocked volblocksize 8K -> 16K: volblocksize can't change: make another volume and copy",
		"usb/x":       "unknown: suspended: I/O is currently halted",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

func TestGoldenStatus(t *testing.T) {
	sick := well()
	sick.Observed.Pools["tank"].Capacity = 85
	sick.Plan = planOf(fullPlan())
	sick.Errors = []string{"set compression on tank/home: dataset is busy\n(pid 12)"}
	sick.Invalid = "home.yaml:3:1: unknown section"
	many := well()
	for range 40 {
		many.Declared.Datasets = append(many.Declared.Datasets, "tank/home")
	}
	for name, rec := range map[string]*state.Record{"status": well(), "status_sick": sick, "status_many": many, "status_none": nil} {
		st := NewStatus(rec, t0.Add(12*time.Second))
		golden(t, name+".txt", written(t, func(w io.Writer) error { return StatusText(w, st, TextOptions{}) }))
		doc, err := StatusJSON(st)
		if err != nil {
			t.Fatal(err)
		}
		if name != "status_many" {
			golden(t, name+".json", doc)
		}
	}
	golden(t, "status_color.txt", written(t, func(w io.Writer) error { return StatusText(w, NewStatus(sick, t0), TextOptions{Color: true}) }))
}
