package render

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func TestGoldenEvents(t *testing.T) {
	events := []state.Event{
		{ID: 3, At: t0.Add(time.Minute), Type: "action", Level: state.Error, Generation: "3f9c", Message: "drift", Action: &state.Action{
			ID: "a2", Kind: "dataset", Name: "tank/home", Verb: "update", Risk: "safe", Outcome: state.Failed, Error: "cannot set property:\nout of space", By: "daemon",
			Commands: [][]string{{"zfs", "set", "com.example:owner=it & co", "tank/home"}}, Started: t0, Ended: t0.Add(time.Second),
		}},
		{ID: 1, At: t0, Type: "daemon", Level: state.Info, Message: "daemon started"},
		{ID: 0, At: t0, Type: "configuration", Level: state.Error, Message: "invalid configuration:\n\t* a.yaml:1:1: a\tb\n\n"},
	}
	golden(t, "events.txt", written(t, func(w io.Writer) error { return EventsText(w, events, TextOptions{}) }))
	golden(t, "events_none.txt", written(t, func(w io.Writer) error { return EventsText(w, nil, TextOptions{}) }))
	doc, err := EventsJSON(events)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "events.json", doc)
}

func TestGoldenHistory(t *testing.T) {
	gens := []state.Generation{
		{Number: 12, Hash: "3f9c2a1b7d4e5f60", At: t0, Who: "anna", Commit: "c0ffee00c0ffee00", Dirty: true, Files: map[string]string{"secret.yaml": "x"}},
		{Number: 3, Hash: "aa", At: t0.Add(-time.Hour), Who: "daemon"},
	}
	golden(t, "history.txt", written(t, func(w io.Writer) error { return HistoryText(w, gens, TextOptions{}) }))
	golden(t, "history_none.txt", written(t, func(w io.Writer) error { return HistoryText(w, nil, TextOptions{}) }))
	doc, err := HistoryJSON(gens)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "history.json", doc)
}

func TestGoldenOutcomes(t *testing.T) {
	p := fullPlan()
	s := reconcile.Step{Plan: p, Remaining: &reconcile.Plan{Actions: p.Actions[3:]}, Outcomes: reconcile.Outcomes{
		{Action: p.Actions[0], Outcome: state.Done},
		{Action: p.Actions[1], Outcome: state.Failed, Err: errors.New("zfs set: out of space")},
		{Action: p.Actions[2], Outcome: state.Skipped},
	}}
	golden(t, "outcomes.txt", written(t, func(w io.Writer) error { return OutcomesText(w, s) }))
	doc, err := OutcomesJSON(s)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "outcomes.json", doc)
	clean := reconcile.Step{Plan: p, Remaining: &reconcile.Plan{}, Outcomes: s.Outcomes[:1]}
	golden(t, "outcomes_done.txt", written(t, func(w io.Writer) error { return OutcomesText(w, clean) }))
}

func TestGoldenValidate(t *testing.T) {
	err := spec.Problems{
		{Pos: spec.Pos{File: "home.yaml", Line: 7, Column: 18}, Path: `datasets."tank/home".properties.compression`, Message: `"zst" is no compression (did you mean "zstd"?)`, Expected: "one of on, off, lz4, zstd", Example: "compression: zstd"},
		{Pos: spec.Pos{File: "a.yaml", Line: 2, Column: 1}, Message: "this is not YAML:\n  1 | a: b\n  2 | \tc: d"},
	}.Err()
	golden(t, "validate_errors.txt", written(t, func(w io.Writer) error { return ValidateText(w, nil, err) }))
	doc, jerr := ValidateJSON(nil, fmt.Errorf("load: %w", err))
	if jerr != nil {
		t.Fatal(jerr)
	}
	golden(t, "validate_errors.json", doc)
	s := &spec.Spec{
		Generation: "3f9c2a1b7d4e5f60", Files: map[string][]byte{"a.yaml": nil}, Datasets: map[spec.DatasetName]*spec.Dataset{"a/b": {}, "a/c": {}},
		Warnings: []spec.Problem{{Pos: spec.Pos{File: "a.yaml", Line: 3, Column: 2}, Path: "replications.offsite", Message: "no schedule covers its source"}},
	}
	golden(t, "validate_ok.txt", written(t, func(w io.Writer) error { return ValidateText(w, s, nil) }))
	if doc, err = ValidateJSON(s, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "validate_ok.json", doc)
	golden(t, "validate_plain.txt", written(t, func(w io.Writer) error {
		return ValidateText(w, nil, errors.New("open /etc/dplaneos: no such directory"))
	}))
}

func TestGoldenDiff(t *testing.T) {
	from := "daemon: {interval: 60s}\ndatasets:\n  tank/home: {properties: {compression: lz4, atime: \"off\"}}\n  tank/old: {}\npools: {tank: {vdevs: [{mirror: [/dev/a, /dev/b]}]}}\n"
	to := "datasets:\n  tank/home: {properties: {compression: zstd, atime: \"off\"}}\n  tank/new: {properties: {quota: 2T}}\npools: {tank: {vdevs: [{mirror: [/dev/a, /dev/c]}]}}\n"
	changes, err := diffYAML([]byte(from), []byte(to))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "diff.txt", written(t, func(w io.Writer) error { return DiffText(w, changes, TextOptions{}) }))
	doc, err := DiffJSON(changes)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "diff.json", doc)
	if same, err := diffYAML([]byte(to), []byte(to)); err != nil || len(same) != 0 {
		t.Fatal(same, err)
	}
	golden(t, "diff_none.txt", written(t, func(w io.Writer) error { return DiffText(w, nil, TextOptions{}) }))
}
