package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

func observed(at time.Time) *state.Observed {
	o := state.NewObserved(at, "nas-a")
	o.ZFS = state.ZFS{Userland: "2.3.9", Kernel: "2.3.9"}
	o.Pools["tank"] = &state.Pool{Name: "tank", GUID: "11", Health: "ONLINE", Size: 1 << 40, Managed: true}
	for _, n := range []string{"tank", "tank/a", "tank/ab", "tank/a/b"} {
		o.Datasets[n] = &state.Dataset{Name: n, Type: "filesystem", GUID: "guid of " + n, Properties: map[string]state.Property{"atime": {Value: "on", Source: "default"}}}
	}
	o.Unseen = []state.Unseen{{Pool: "usb", Why: "suspended"}}
	o.Devices = map[string]*state.Device{"/dev/x": {Path: "/dev/x", Exists: true}}
	return o
}

func record(o *state.Observed) state.Record {
	r := state.Record{
		At: t0, Generation: "3f9c", Interval: time.Minute, Observed: o, Plan: []byte(`{"version":1,"actions":[]}`), Errors: []string{"e"}, Invalid: "bad.yaml:1:1",
		Declared: &state.Declared{Interval: time.Minute, Pools: map[string]state.DeclaredPool{"tank": {Warn: 80, Critical: 90}}, Datasets: []string{"tank/a"}},
	}
	if o != nil {
		r.At = o.At
	}
	return r
}

func TestRecordComesBackAsItWas(t *testing.T) {
	s := open(t)
	if rec, err := s.Record(ctx); rec != nil || err != nil {
		t.Fatal(rec, err)
	}
	want := record(observed(t0))
	must(t, s.SaveRecord(ctx, want))
	for _, d := range want.Observed.Datasets {
		d.Properties = nil
	}
	got, err := s.Record(ctx)
	must(t, err)
	if !reflect.DeepEqual(*got, want) {
		a, _ := json.MarshalIndent(got, "", " ")
		b, _ := json.MarshalIndent(want, "", " ")
		t.Fatalf("got %s\nwant %s", a, b)
	}
	nothing := state.Record{At: t0.Add(time.Minute), Errors: []string{}, Invalid: "x"}
	must(t, s.SaveRecord(ctx, nothing))
	if got, err = s.Record(ctx); err != nil || !reflect.DeepEqual(*got, nothing) {
		t.Fatalf("%+v %v", got, err)
	}
}

func recorded(t *testing.T, s *Store) map[string]state.Recorded {
	t.Helper()
	list, err := s.Recorded(ctx)
	must(t, err)
	m := map[string]state.Recorded{}
	for _, r := range list {
		m[r.Kind+" "+r.Name] = r
	}
	return m
}

func TestWhatWentMissingIsRemembered(t *testing.T) {
	s := open(t)
	must(t, s.SaveRecord(ctx, record(observed(t0))))
	t1, t2, t3 := t0.Add(time.Minute), t0.Add(2*time.Minute), t0.Add(3*time.Minute)
	for _, at := range []time.Time{t1, t2} {
		o := observed(at)
		delete(o.Datasets, "tank/a")
		must(t, s.SaveRecord(ctx, record(o)))
		m := recorded(t, s)
		if m["dataset tank/a"].Seen != t0 || m["dataset tank/a"].GUID != "guid of tank/a" || m["dataset tank/ab"].Seen != at {
			t.Fatalf("at %s: %+v", at, m)
		}
		rec, err := s.Record(ctx)
		must(t, err)
		if _, there := rec.Observed.Datasets["tank/a"]; there || len(rec.Observed.Datasets) != 3 {
			t.Fatal("the record shows what was not seen")
		}
	}
	must(t, s.SaveRecord(ctx, record(nil)))
	if m := recorded(t, s); m["dataset tank/ab"].Seen != t2 {
		t.Fatal("a pass that looked at nothing counts as one that saw:", m)
	}
	must(t, s.SaveRecord(ctx, record(observed(t3))))
	if m := recorded(t, s); m["dataset tank/a"].Seen != t3 {
		t.Fatal("it is back:", m)
	}
}

func TestAStrangerUnderAKnownNameIsNotAdopted(t *testing.T) {
	s := open(t)
	must(t, s.SaveRecord(ctx, record(observed(t0))))
	for range 2 {
		o := observed(t0.Add(time.Minute))
		o.Pools["tank"].GUID = "99"
		must(t, s.SaveRecord(ctx, record(o)))
		if got := recorded(t, s)["pool tank"].GUID; got != "11" {
			t.Fatal("the memory now holds", got)
		}
		rec, err := s.Record(ctx)
		if err != nil || rec.Observed.Pools["tank"].GUID != "99" {
			t.Fatal("the record shows another pool than the one that is there")
		}
	}
	n, err := s.Forget(ctx, "tank")
	if err != nil || n != 5 {
		t.Fatal(n, err)
	}
	o := observed(t0.Add(2 * time.Minute))
	o.Pools["tank"].GUID = "99"
	must(t, s.SaveRecord(ctx, record(o)))
	if got := recorded(t, s)["pool tank"].GUID; got != "99" {
		t.Fatal(got)
	}
}

func TestAdoptReplacesOneMemory(t *testing.T) {
	s := open(t)
	must(t, s.SaveRecord(ctx, record(observed(t0))))
	o := observed(t0.Add(time.Minute))
	o.Datasets["tank/a"].GUID = "99"
	delete(o.Datasets, "tank/a/b")
	delete(o.Datasets, "tank/ab")
	before := recorded(t, s)
	must(t, s.Adopt(ctx, o, []state.Recorded{before["dataset tank/a"], before["dataset tank/ab"]}))
	m := recorded(t, s)
	if a := m["dataset tank/a"]; a.GUID != "99" || !a.First.Equal(o.At) {
		t.Errorf("the new one is not known: %+v", a)
	}
	if m["dataset tank/a/b"] != before["dataset tank/a/b"] || m["dataset tank"] != before["dataset tank"] {
		t.Error("what was not adopted is not known as before:", m)
	}
	if _, known := m["dataset tank/ab"]; known || len(m) != 4 {
		t.Error("what is not there is known still:", m)
	}
	must(t, s.Adopt(ctx, o, []state.Recorded{before["dataset tank/a/b"]}))
	must(t, s.SaveRecord(ctx, record(o)))
	if m := recorded(t, s); len(m) != 3 || m["dataset tank/a"].GUID != "99" {
		t.Error(m)
	}
}

func TestForgetTakesWhatIsBelow(t *testing.T) {
	s := open(t)
	must(t, s.SaveRecord(ctx, record(observed(t0))))
	if n, err := s.Forget(ctx, "tank/a"); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	m := recorded(t, s)
	if _, ok := m["dataset tank/ab"]; !ok || len(m) != 3 {
		t.Fatal(m)
	}
	if n, err := s.Forget(ctx, "tank/%"); n != 0 || err != nil {
		t.Fatal(n, err)
	}
}

// An idle daemon must not rewrite its database every minute: the log grows by what changed.
func TestAnIdlePassWritesLittle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.db")
	s := reopen(t, path)
	pass := func(i int, change bool) {
		o := observed(t0.Add(time.Duration(i) * time.Minute))
		for n := range 1000 {
			name := fmt.Sprintf("tank/d%04d", n)
			o.Datasets[name] = &state.Dataset{Name: name, GUID: name, Properties: map[string]state.Property{"compression": {Value: "lz4", Source: "local"}}}
		}
		if change {
			o.Datasets["tank/d0500"].Used = uint64(i)
		}
		r := record(o)
		r.Declared.Datasets = nil
		for name := range o.Datasets {
			r.Declared.Datasets = append(r.Declared.Datasets, name+strings.Repeat("/d", 20))
		}
		sort.Strings(r.Declared.Datasets)
		must(t, s.SaveRecord(ctx, r))
	}
	pass(0, false)
	must(t, s.checkpoint(ctx))
	pass(1, false)
	idle := walSize(t, path)
	pass(2, true)
	changed := walSize(t, path) - idle
	if idle == 0 || idle > 32<<10 || changed > 64<<10 {
		t.Fatalf("an idle pass wrote %d bytes, one change %d", idle, changed)
	}
}

func walSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	must(t, err)
	return info.Size()
}

// When a pool was first seen, and what was last done to it, outlives what ZFS knows of it.
func TestPoolsAreRememberedWithTheirCare(t *testing.T) {
	s := open(t)
	o := observed(t0)
	o.Pools["tank"].Scrubbed = t0.Add(-time.Hour)
	must(t, s.SaveRecord(ctx, record(o)))
	o = observed(t0.Add(time.Minute))
	o.Pools["tank"].Scrubbed, o.Pools["tank"].Trimmed = t0.Add(-time.Hour), t0
	must(t, s.SaveRecord(ctx, record(o)))
	list, err := s.Recorded(ctx)
	must(t, err)
	for _, r := range list {
		pool := r.Kind == "pool"
		if pool != r.Scrubbed.Equal(t0.Add(-time.Hour)) || pool != r.Trimmed.Equal(t0) || !r.First.Equal(t0) {
			t.Errorf("%+v", r)
		}
	}
}

func TestPatience(t *testing.T) {
	s := open(t)
	if doc, err := s.Patience(ctx); doc != nil || err != nil {
		t.Errorf("%s, %v", doc, err)
	}
	for _, want := range []string{`{"failures":[]}`, `{"failures":[]}`, `{}`} {
		must(t, s.SavePatience(ctx, []byte(want)))
		if doc, err := s.Patience(ctx); string(doc) != want || err != nil {
			t.Errorf("%s, %v; want %s", doc, err, want)
		}
	}
}
