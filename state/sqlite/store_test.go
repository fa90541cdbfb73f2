package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

var (
	ctx = context.Background()
	t0  = time.Date(2026, 11, 24, 7, 3, 0, 123456789, time.UTC)
)

func open(t *testing.T) *Store {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "dplaneos.db"))
}

func reopen(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func event(msg string, a *state.Action) state.Event {
	return state.Event{At: t0, Type: "action", Generation: "3f9c", Message: msg, Action: a}
}

func intent(verb, name string) *state.Action {
	return &state.Action{
		ID: "a1", Kind: "dataset", Name: name, Verb: verb, Risk: "safe", Reason: "drift", By: "daemon", Started: t0,
		Commands: [][]string{{"zfs", "set", "compression=zstd", name}},
	}
}

func begin(t *testing.T, s *Store, e state.Event) int64 {
	t.Helper()
	id, err := s.Begin(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestIntentAndOutcomeAreOneRow(t *testing.T) {
	s := open(t)
	id := begin(t, s, event("drift", intent("update", "tank/home")))
	unsettled, err := s.Unsettled(ctx)
	must(t, err)
	if len(unsettled) != 1 || unsettled[0].Action.Outcome != state.Started {
		t.Fatalf("unsettled: %+v", unsettled)
	}
	must(t, s.Finish(ctx, id, state.Failed, "cannot set property: out of space", t0.Add(time.Second)))

	events, err := s.Events(ctx, "", 10)
	must(t, err)
	want := event("drift", intent("update", "tank/home"))
	want.ID, want.Level = id, state.Error
	want.Action.Outcome, want.Action.Error, want.Action.Ended = state.Failed, "cannot set property: out of space", t0.Add(time.Second)
	if len(events) != 1 || !reflect.DeepEqual(events[0], want) {
		t.Fatalf("got  %+v %+v\nwant %+v %+v", events, events[0].Action, want, want.Action)
	}
	if unsettled, err = s.Unsettled(ctx); err != nil || len(unsettled) != 0 {
		t.Fatalf("still unsettled: %v %v", unsettled, err)
	}
	if err := s.Finish(ctx, id, state.Done, "", t0); err == nil {
		t.Fatal("an intent was finished twice")
	}
	if err := s.Finish(ctx, 99, state.Done, "", t0); err == nil {
		t.Fatal("an intent that never was was finished")
	}
	total, err := s.Outcomes(ctx)
	must(t, err)
	if !reflect.DeepEqual(total, map[string]int64{state.Failed: 1}) {
		t.Fatalf("outcomes: %v", total)
	}
}

func TestAKilledProcessLeavesItsIntent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.db")
	s := reopen(t, path)
	begin(t, s, event("", intent("create", "tank/a")))
	again := reopen(t, path) // the first one was never closed, as after a kill
	unsettled, err := again.Unsettled(ctx)
	must(t, err)
	if len(unsettled) != 1 || unsettled[0].Action.Name != "tank/a" {
		t.Fatalf("%+v", unsettled)
	}
}

func TestIntentsAreWrittenThrough(t *testing.T) {
	s := open(t)
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "journal_size_limit": "16777216"} {
		var got string
		must(t, s.w.QueryRow("PRAGMA "+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
	if _, err := s.r.Exec("DELETE FROM event"); err == nil {
		t.Error("a reading connection wrote")
	}
}

func TestSearch(t *testing.T) {
	s := open(t)
	id := begin(t, s, event("value was lz4", intent("update", "tank/home")))
	must(t, s.Finish(ctx, id, state.Failed, "dataset is busy", t0))
	begin(t, s, event("", intent("create", "tank/Müller")))
	must(t, s.Log(ctx, state.Event{At: t0, Type: "daemon", Message: "daemon started"}))

	for search, want := range map[string]string{
		"":                     "daemon started|create tank/Müller|update tank/home",
		"  ":                   "daemon started|create tank/Müller|update tank/home",
		"tank":                 "create tank/Müller|update tank/home",
		"tank/home":            "update tank/home",
		"home tank":            "update tank/home",
		"TANK/HO":              "update tank/home",
		"muller":               "create tank/Müller",
		"update":               "update tank/home",
		"busy":                 "update tank/home", // the index follows the outcome
		"lz4":                  "update tank/home",
		"nothing":              "",
		"daemon":               "daemon started",
		`"`:                    "",
		`tank"`:                "create tank/Müller|update tank/home",
		"* OR (":               "",
		"tank AND":             "",
		"NEAR(tank home)":      "",
		"message:daemon":       "",
		"^tank":                "create tank/Müller|update tank/home",
		"-tank":                "create tank/Müller|update tank/home",
		"tank\x00home":         "update tank/home",
		"tank \xff\xfe":        "create tank/Müller|update tank/home",
		"' ; DROP TABLE event": "",
	} {
		events, err := s.Events(ctx, search, 10)
		if err != nil {
			t.Errorf("search %q: %v", search, err)
			continue
		}
		var got []string
		for _, e := range events {
			if e.Action != nil {
				got = append(got, e.Action.Verb+" "+e.Action.Name)
			} else {
				got = append(got, e.Message)
			}
		}
		if strings.Join(got, "|") != want {
			t.Errorf("search %q: got %v, want %s", search, got, want)
		}
	}
	if events, err := s.Events(ctx, "", 1); err != nil || len(events) != 1 {
		t.Errorf("limit: %v %v", events, err)
	}
}

func FuzzSearch(f *testing.F) {
	s, err := Open(filepath.Join(f.TempDir(), "d.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	if err := s.Log(ctx, event("a message", nil)); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"a", `"a" OR b*`, "{a b}: c", "a\x00", "\xff", "NOT", "🦊", "ª²"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, search string) {
		if _, err := s.Events(ctx, search, 5); err != nil {
			t.Fatalf("search %q: %v", search, err)
		}
	})
}

func TestPruning(t *testing.T) {
	s := open(t)
	old := event("old", nil)
	old.At = t0.Add(-91 * 24 * time.Hour)
	must(t, s.Log(ctx, old))
	open := event("", intent("update", "tank/open"))
	open.At = old.At
	begin(t, s, open)
	must(t, s.Log(ctx, event("new", nil)))
	must(t, s.SaveRecord(ctx, state.Record{At: t0}))
	if got := messages(t, s); got != "new|update tank/open" {
		t.Fatalf("after pruning by age: %s", got)
	}
	if events, err := s.Events(ctx, "old", 10); err != nil || len(events) != 0 {
		t.Fatalf("the index still finds what was pruned: %v %v", events, err)
	}
	_, err := s.w.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO event (at, type, level, generation, message) SELECT ?, 'x', 'info', '', 'many' FROM n`, keptEvents+10, nanos(t0))
	must(t, err)
	must(t, s.SaveRecord(ctx, state.Record{At: t0.Add(time.Minute)}))
	if n := countEvents(t, s); n != keptEvents+12 {
		t.Fatalf("tidied twice in an hour: %d", n)
	}
	must(t, s.SaveRecord(ctx, state.Record{At: t0.Add(2 * time.Hour)}))
	if n := countEvents(t, s); n != keptEvents+1 { // and the open intent
		t.Fatalf("%d events are kept", n)
	}
}

func messages(t *testing.T, s *Store) string {
	t.Helper()
	events, err := s.Events(ctx, "", 100)
	must(t, err)
	var got []string
	for _, e := range events {
		if e.Action != nil {
			e.Message = e.Action.Verb + " " + e.Action.Name
		}
		got = append(got, e.Message)
	}
	return strings.Join(got, "|")
}

func countEvents(t *testing.T, s *Store) (n int) {
	t.Helper()
	must(t, s.r.QueryRow("SELECT count(*) FROM event").Scan(&n))
	return n
}

func TestGenerations(t *testing.T) {
	s := open(t)
	if _, found, err := s.LastGeneration(ctx); found || err != nil {
		t.Fatal(found, err)
	}
	save := func(hash string) int64 {
		n, err := s.SaveGeneration(ctx, state.Generation{Hash: hash, At: t0, Who: "anna", Commit: "c0ffee", Dirty: true, Files: map[string]string{"a.yaml": "# " + hash}})
		must(t, err)
		return n
	}
	if a, b, c, d := save("a"), save("a"), save("b"), save("a"); a != 1 || b != 1 || c != 2 || d != 3 {
		t.Fatal(a, b, c, d)
	}
	g, found, err := s.LastGeneration(ctx)
	must(t, err)
	want := state.Generation{Number: 3, Hash: "a", At: t0, Who: "anna", Commit: "c0ffee", Dirty: true, Files: map[string]string{"a.yaml": "# a"}}
	if !found || !reflect.DeepEqual(g, want) {
		t.Fatalf("%+v", g)
	}
	all, err := s.Generations(ctx)
	if err != nil || len(all) != 3 || all[0].Number != 3 || all[2].Number != 1 {
		t.Fatal(all, err)
	}
	if g, err := s.Generation(ctx, 2); err != nil || g.Hash != "b" || g.Files["a.yaml"] != "# b" {
		t.Fatal(g, err)
	}
	if _, err := s.Generation(ctx, 9); !errors.Is(err, ErrNoGeneration) {
		t.Fatal(err)
	}
}

func TestOldGenerationsLoseTheirFiles(t *testing.T) {
	s := open(t)
	for i := range keptFiles + 5 {
		_, err := s.SaveGeneration(ctx, state.Generation{Hash: fmt.Sprint("h", i), At: t0, Files: map[string]string{"a": "b"}})
		must(t, err)
	}
	old, err := s.Generation(ctx, 5)
	must(t, err)
	kept, err := s.Generation(ctx, 6)
	must(t, err)
	if len(old.Files) != 0 || len(kept.Files) != 1 {
		t.Fatal(old, kept)
	}
}

func TestAPlanIsUsedOnce(t *testing.T) {
	s := open(t)
	for i, want := range []bool{false, true, true} {
		if used, err := s.UsePlan(ctx, "hash", t0); err != nil || used != want {
			t.Fatalf("use %d: %v %v", i, used, err)
		}
	}
}

func TestTheTablesRefuseNonsense(t *testing.T) {
	s := open(t)
	for _, stmt := range []string{
		"INSERT INTO event (at, type, level, generation, message) VALUES ('abc', 'x', 'info', '', '')",
		"INSERT INTO event (at, type, level, generation, message) VALUES (1, 'x', 'loud', '', '')",
		"INSERT INTO event (at, type, level, generation, message, outcome, started, kind, name, verb) VALUES (1, 'x', 'info', '', '', 'maybe', 1, 'pool', 'a', 'run')",
		"INSERT INTO event (at, type, level, generation, message, outcome) VALUES (1, 'x', 'info', '', '', 'done')",
		"INSERT INTO observed VALUES ('share', 'a', '1', '', '{}', 1, NULL)",
		"INSERT INTO observed VALUES ('pool', 'a', '1', '', 'no json', 1, NULL)",
		"INSERT INTO record_part VALUES ('other', '', '{}')",
		"INSERT INTO pass VALUES (2, 1)",
	} {
		if _, err := s.w.Exec(stmt); err == nil {
			t.Errorf("accepted: %s", stmt)
		}
	}
	if _, err := s.Begin(ctx, event("no action", nil)); err == nil {
		t.Error("an intent without an action")
	}
}

func TestReplicated(t *testing.T) {
	s := open(t)
	r := &state.Replicated{
		Runs:   []state.TransferRun{{Began: time.Unix(1, 0).UTC(), Ended: time.Unix(2, 0).UTC(), Bytes: 7, Outcome: state.Done}},
		Common: map[string]state.Common{"g": {Source: "tank/a", GUID: "1"}},
	}
	must(t, s.SaveReplicated(t.Context(), "offsite", r))
	must(t, s.SaveReplicated(t.Context(), "drawer", &state.Replicated{}))
	r.Runs[0].Bytes = 8
	must(t, s.SaveReplicated(t.Context(), "offsite", r))
	must(t, s.SaveReplicated(t.Context(), "drawer", nil))
	all, err := s.Replicated(t.Context())
	must(t, err)
	if len(all) != 1 || !reflect.DeepEqual(all["offsite"], r) {
		t.Errorf("remembered: %+v", all["offsite"])
	}
}
