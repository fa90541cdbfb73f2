package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var t0 = time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC)

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func written(t *testing.T, write func(w io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func ref(kind spec.Kind, name string) spec.Ref { return spec.Ref{Kind: kind, Name: name} }

// fullPlan has one of everything that a plan can show.
func fullPlan() *reconcile.Plan {
	return &reconcile.Plan{
		Generation: "3f9c2a1b7d4e5f60718293a4b5c6d7e8", ObservedAt: t0,
		Actions: []reconcile.Planned{
			{Held: "irreversible: waits for a person", Action: drivers.Action{
				ID: "a10000000001", Object: ref(spec.KindPool, "tank"), Verb: drivers.Create, Risk: spec.Irreversible,
				Reason: drivers.Reason{Code: drivers.Missing, At: "nas.yaml:4", Observed: "no pool of this name"},
				Fields: []drivers.Field{{Name: "ashift", To: "12"}, {Name: "vdevs", To: "mirror /dev/disk/by-id/ata-A /dev/disk/by-id/ata-B"}},
				Undo:   "nothing takes it back",
				Steps:  []host.Command{host.Write("zpool", "create", "-o", "ashift=12", "tank", "mirror", "/dev/disk/by-id/ata-A", "/dev/disk/by-id/ata-B")},
			}},
			{Action: drivers.Action{
				ID: "a20000000002", Object: ref(spec.KindDataset, "tank/home"), Verb: drivers.Update, Risk: spec.Safe,
				Reason: drivers.Reason{Code: drivers.Drift, At: "home.yaml:7", Observed: "compression=lz4 (local)"},
				Fields: []drivers.Field{{Name: "compression", From: "lz4", To: "zstd"}, {Name: "quota", From: "0", To: "2199023255552"}, {Name: "com.example:owner", From: "nobody", To: "it & co"}},
				Undo:   "zfs set compression=lz4 tank/home", After: []string{"a10000000001", "ffffffffffff"},
				Notes: []string{"a new compression is for new blocks only", "reaches undeclared children:\ntank/home/x\ntank/home/y"},
				Steps: []host.Command{host.Write("zfs", "set", "compression=zstd", "quota=2199023255552", "com.example:owner=it & co", "tank/home")},
			}},
			{Action: drivers.Action{
				ID: "a30000000003", Object: ref(spec.KindDataset, "tank/home"), Verb: drivers.Run, Risk: spec.Safe,
				Reason: drivers.Reason{Code: drivers.Missing, At: "home.yaml:9"}, Steps: []host.Command{host.Write("zfs", "mount", "tank/home")},
			}},
			{Held: "destructive: only --allow a40000000004", Action: drivers.Action{
				ID: "a40000000004", Object: ref(spec.KindDataset, "tank/old"), Verb: drivers.Destroy, Risk: spec.Destructive,
				Reason: drivers.Reason{Code: drivers.Conflict, At: "home.yaml:12", Observed: "3 snapshots"}, Undo: "nothing takes it back",
			}},
			{Action: drivers.Action{
				ID: "a50000000005", Object: ref(spec.KindDataset, "tank/vm"), Verb: drivers.Blocked, Risk: spec.Irreversible,
				Reason: drivers.Reason{Code: drivers.Conflict, At: "home.yaml:20", Observed: "volblocksize 8192"},
				Fields: []drivers.Field{{Name: "volblocksize", From: "8192", To: "16384"}},
				Notes:  []string{"volblocksize can't change: make another volume and copy"},
			}},
		},
		ReceivedOnly: []reconcile.Received{{Name: "tank/backup", Why: "target of the replication offsite"}},
		Unseen:       []state.Unseen{{Pool: "usb", Why: "suspended: I/O is currently halted"}},
		Notices:      []string{"/dev/sdx left the list of tank: released, it stays in the pool"},
		Limit:        "60% of the declared objects would change, daemon.limits.changes is 50%",
	}
}

func TestGoldenPlan(t *testing.T) {
	asPlan := func(p *reconcile.Plan, opt TextOptions) []byte {
		return written(t, func(w io.Writer) error { return PlanText(w, p, opt) })
	}
	golden(t, "plan.txt", asPlan(fullPlan(), TextOptions{}))
	golden(t, "plan_commands.txt", asPlan(fullPlan(), TextOptions{Commands: true}))
	golden(t, "plan_color.txt", asPlan(fullPlan(), TextOptions{Color: true}))
	golden(t, "plan_empty.txt", asPlan(&reconcile.Plan{Generation: "3f9c2a1b7d4e", ObservedAt: t0}, TextOptions{}))
	golden(t, "plan_unseen.txt", asPlan(&reconcile.Plan{Generation: "3f9c2a1b7d4e", ObservedAt: t0, Unseen: fullPlan().Unseen}, TextOptions{}))
	golden(t, "plan_no_zfs.txt", asPlan(&reconcile.Plan{Generation: "3f9c2a1b7d4e", ObservedAt: t0, ZFSError: "zfs is not installed", ZFSHint: "apt install zfsutils-linux"}, TextOptions{}))

	doc, err := PlanJSON(fullPlan())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.json", doc)
	fromRecord := written(t, func(w io.Writer) error { return RecordedPlanText(w, doc, TextOptions{Commands: true}) })
	golden(t, "plan_commands.txt", fromRecord)
}

// A list is never null: programs index it without asking.
func TestNoListIsNull(t *testing.T) {
	p := &reconcile.Plan{Actions: []reconcile.Planned{{}}}
	step := reconcile.Step{Plan: p, Remaining: &reconcile.Plan{}}
	for name, make := range map[string]func() ([]byte, error){
		"plan":     func() ([]byte, error) { return PlanJSON(p) },
		"empty":    func() ([]byte, error) { return PlanJSON(&reconcile.Plan{}) },
		"status":   func() ([]byte, error) { return StatusJSON(NewStatus(nil, t0)) },
		"events":   func() ([]byte, error) { return EventsJSON(nil) },
		"history":  func() ([]byte, error) { return HistoryJSON(nil) },
		"diff":     func() ([]byte, error) { return DiffJSON(nil) },
		"validate": func() ([]byte, error) { return ValidateJSON(nil, errors.New("x")) },
		"outcomes": func() ([]byte, error) { return OutcomesJSON(step) },
		"error":    func() ([]byte, error) { return ErrorJSON("m", "") },
	} {
		doc, err := make()
		if err != nil {
			t.Fatal(name, err)
		}
		if clean := strings.ReplaceAll(string(doc), `"observedAt": null`, ""); strings.Contains(clean, "null") || !json.Valid(doc) || !bytes.HasSuffix(doc, []byte("}\n")) {
			t.Errorf("%s: %s", name, doc)
		}
	}
}

// What a machine or a file says never steers the terminal.
func TestTextIsHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		evil := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\x1b[2J\x1b]0;owned\a", "a\rb", "\u202egnp.exe", "\xff\xfe", "a\nb", "\x9b31m"})).Draw(t, "evil")
		p := fullPlan()
		p.Generation, p.Limit, p.ZFSError, p.ZFSHint, p.Notices = evil, evil, evil, evil, []string{evil}
		p.Actions[1].Action = drivers.Action{
			ID: evil, Object: spec.Ref{Kind: spec.Kind(evil), Name: evil}, Verb: drivers.Verb(evil), Reason: drivers.Reason{Code: evil, At: evil, Observed: evil},
			Fields: []drivers.Field{{Name: evil, From: evil, To: evil}}, Undo: evil, After: []string{evil}, Notes: []string{evil}, Steps: []host.Command{host.Write(evil)},
		}
		p.ReceivedOnly, p.Unseen, p.Actions[1].Held = []reconcile.Received{{Name: evil, Why: evil}}, []state.Unseen{{Pool: evil, Why: evil}}, evil
		e := state.Event{Level: evil, Message: evil, Action: &state.Action{Kind: evil, Name: evil, Verb: evil, Outcome: evil, Error: evil, By: evil, Commands: [][]string{{evil}}}}
		doc, err := PlanJSON(p)
		if err != nil {
			t.Fatal(err)
		}
		o := state.NewObserved(t0, evil)
		o.ZFS.Error, o.Pools[evil] = evil, &state.Pool{Health: evil, Errors: evil, Scanned: &state.Work{Kind: evil, State: state.Running}, Vdevs: []state.Vdev{{Name: evil, State: evil, Note: evil, Children: []state.Vdev{{Path: evil, State: evil}}}}}
		rec := &state.Record{At: t0, Generation: evil, Observed: o, Plan: doc, Errors: []string{evil}, Invalid: evil, Declared: &state.Declared{Datasets: []string{evil}}}
		bad := spec.Problems{{Pos: spec.Pos{File: evil}, Path: evil, Message: evil, Expected: evil, Example: evil}}.Err()
		step := reconcile.Step{Plan: p, Remaining: p, Outcomes: reconcile.Outcomes{{Action: p.Actions[1], Outcome: state.Failed, Err: errors.New(evil)}}}

		var b bytes.Buffer
		for _, err := range []error{
			PlanText(&b, p, TextOptions{Commands: true}), EventsText(&b, []state.Event{e, {Message: evil}}, TextOptions{}),
			StatusText(&b, NewStatus(rec, t0), TextOptions{}), ValidateText(&b, nil, bad), OutcomesText(&b, step),
			HistoryText(&b, []state.Generation{{Hash: evil, Who: evil, Commit: evil}}, TextOptions{}),
			DiffText(&b, []Change{{Path: evil, Change: "changed", From: evil, To: []any{evil}}}, TextOptions{}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if !utf8.Valid(b.Bytes()) {
			t.Fatal("broken UTF-8 came through")
		}
		for _, r := range b.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q came through", r)
			}
		}
	})
}

func TestSizesAndAges(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 1023: "1023", 1024: "1.00K", 10 << 10: "10.0K", 1<<40 + 1<<39: "1.50T", 999 << 20: "999M", 1023 << 20: "1.00G", 1<<64 - 1: "16.0E"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Hour: "0s", 90 * time.Second: "90s", 2 * time.Minute: "2m", 36 * time.Hour: "36h", 9 * 24 * time.Hour: "9d"} {
		if got := ageText(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

// A schedule that takes a thousand snapshots does not push the rest of the plan off the screen; what changes or goes is
// shown whole.
func TestManyFields(t *testing.T) {
	a := drivers.Action{Object: ref(spec.KindSchedule, "tank"), Verb: drivers.Run}
	for i := range 1000 {
		a.Fields = append(a.Fields, drivers.Field{Name: fmt.Sprintf("tank/d%03d", i), To: "due"})
	}
	lines := func() int {
		p := &reconcile.Plan{Actions: []reconcile.Planned{{Action: a}}}
		return bytes.Count(written(t, func(w io.Writer) error { return PlanText(w, p, TextOptions{}) }), []byte("tank/d"))
	}
	if n := lines(); n != shownOfRun {
		t.Errorf("%d of a thousand are shown", n)
	}
	if a.Verb = drivers.Destroy; lines() != 1000 {
		t.Error("not all that goes is shown")
	}
}

// What a far side said stands in an error, and does nothing to the terminal.
func TestErrorText(t *testing.T) {
	got := ErrorText("list the target: cannot open 'x\x1b]0;y\x07': \xff\u202egone\n\tusage:\rok\n", "see \x1b[2J\nthere")
	want := "dplane: list the target: cannot open 'x\\x1b]0;y\\a': \\xff\\u202egone\n  usage:\\rok\n  see \\x1b[2J\n  there\n"
	if got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	if got := ErrorText("a\nb", ""); got != "dplane: a\nb\n" {
		t.Errorf("%q", got)
	}
}
