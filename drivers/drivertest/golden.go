// Package drivertest holds what the tests of several kinds share.
package drivertest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Golden compares the plans of a kind with those in testdata/*.txtar: spec.yaml, observed.json and now in, plan.txt out;
// with -update it rewrites them.
func Golden(t *testing.T, diff func(drivers.Input) drivers.Result) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file, diff) })
	}
}

func golden(t *testing.T, file string, diff func(drivers.Input) drivers.Result) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]*txtar.File{}
	for i := range archive.Files {
		part[archive.Files[i].Name] = &archive.Files[i]
	}
	in := drivers.Input{Have: state.NewObserved(time.Time{}, "")}
	if in.Want, err = spec.LoadFiles(map[string][]byte{"spec.yaml": part["spec.yaml"].Data}, spec.LoadOptions{Hostname: "test"}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(part["observed.json"].Data, in.Have); err != nil {
		t.Fatal(err)
	}
	if in.Now, err = time.Parse(time.RFC3339, strings.TrimSpace(string(part["now"].Data))); err != nil {
		t.Fatal(err)
	}
	got := Text(diff(in).Actions)
	want := part["plan.txt"]
	if got == string(want.Data) {
		return
	}
	if !*update {
		t.Fatalf("got\n%s\nwant\n%s", got, want.Data)
	}
	want.Data = []byte(got)
	if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Text shows everything of a plan that a person or a guard relies on; ids are shown by their order.
func Text(actions []drivers.Action) string {
	var b strings.Builder
	number := map[string]int{}
	for i := range actions {
		actions[i].Identify()
		number[actions[i].ID] = i + 1
	}
	for i, a := range actions {
		fmt.Fprintf(&b, "%d %s %s (%s): %s %s: %s\n", i+1, a.Verb, a.Object, a.Risk, a.Reason.Code, a.Reason.At, a.Reason.Observed)
		for _, f := range a.Fields {
			fmt.Fprintf(&b, "  %s: %q -> %q\n", f.Name, f.From, f.To)
		}
		for _, id := range a.After {
			fmt.Fprintf(&b, "  after %d\n", number[id])
		}
		for _, ref := range a.Waits {
			fmt.Fprintf(&b, "  waits for %s\n", ref)
		}
		for _, g := range a.Guard {
			fmt.Fprintf(&b, "  if %s (%s)\n", g.Means, g.Command)
		}
		for _, c := range a.Steps {
			fmt.Fprintf(&b, "  $ %s\n", c)
		}
		for _, n := range a.Notes {
			fmt.Fprintf(&b, "  note: %s\n", n)
		}
		fmt.Fprintf(&b, "  undo: %s\n", a.Undo)
	}
	return b.String()
}
