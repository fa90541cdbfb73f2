package schedule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// memory is one that is lost with the process.
type memory struct{ all map[string]*state.Taken }

func (m *memory) Taken(context.Context, int64) (int64, map[string]*state.Taken, error) {
	return 1, maps.Clone(m.all), nil
}

func (m *memory) SaveTaken(_ context.Context, changed map[string]*state.Taken) error {
	maps.Copy(m.all, changed)
	return nil
}

// machine runs nothing: it keeps what it was told to run, and refuses what fails tells of.
type machine struct {
	ran   []string
	fails func(line string) error
}

func (m *machine) Run(_ context.Context, c host.Command) (host.Result, error) {
	line := c.String()
	m.ran = append(m.ran, line)
	if m.fails != nil {
		if err := m.fails(line); err != nil {
			return host.Result{Code: 1}, err
		}
	}
	return host.Result{}, nil
}

func exits(stderr string) error { return &host.ExitError{Code: 1, Stderr: stderr} }

// takingOf is an action that takes one of each of these datasets; a hook is of those whose name begins with db.
func takingOf(hook *drivers.Hook, names ...string) drivers.Action {
	t := &drivers.Taking{Mark: "standard"}
	if hook != nil {
		t.Hooks = []drivers.Hook{*hook}
	}
	for _, n := range names {
		of := drivers.Taken{Dataset: n, GUID: "guid of " + n, Name: "s"}
		if hook != nil && strings.HasPrefix(n, "db") {
			of.Hook = 1
		}
		t.Of = append(t.Of, of)
	}
	return drivers.Action{Verb: drivers.Run, Taking: t}
}

func driverOn(m *machine) (*Driver, *memory) {
	mem := &memory{map[string]*state.Taken{}}
	d := &Driver{Runner: m, Memory: mem, Now: func() time.Time { return time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC) }}
	if err := d.recall(context.Background()); err != nil {
		panic(err)
	}
	return d, mem
}

// has are the datasets of which the memory has a snapshot that was taken.
func (m *memory) has() string {
	var names []string
	for guid, t := range m.all {
		for _, s := range t.Snapshots {
			word := strings.TrimPrefix(guid, "guid of ")
			if s.Pending {
				word += "?"
			}
			names = append(names, word)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// What zfs refuses is left out: what it names at once, and where it names none by halves.
func TestTakeMost(t *testing.T) {
	var many []string
	for i := range 64 {
		many = append(many, fmt.Sprintf("d%02d", i))
	}
	refuse := func(names ...string) func(string) error {
		return func(line string) error {
			for _, n := range names {
				if strings.Contains(line, " "+n+"@s") {
					return exits("cannot create snapshot '" + n + "@s': out of space\nno snapshots were created\n")
				}
			}
			return nil
		}
	}
	silent := func(name string) func(string) error {
		return func(line string) error {
			if strings.Contains(line, " "+name+"@s") {
				return exits("cannot create snapshots : out of space\nno snapshots were created\n")
			}
			return nil
		}
	}
	for _, c := range []struct {
		name     string
		of       []string
		fails    func(string) error
		has      string
		commands int
		partial  bool
	}{
		{"all", []string{"a", "b"}, nil, "a b", 1, false},
		{"one is named", []string{"a", "b", "c"}, refuse("b"), "a c", 2, true},
		{"one is not named", []string{"a", "b", "c", "d"}, silent("b"), "a c d", 5, true},
		{"none can", []string{"a", "b"}, refuse("a", "b"), "", 2, false},
		{"the pool is suspended", []string{"a", "b"}, func(string) error { return exits("cannot create snapshots : pool I/O is currently suspended\n") }, "", 1, false},
		{"no answer", []string{"a", "b"}, func(string) error { return host.ErrTimeout }, "a? b?", 1, false},
		{"very many", many, func(string) error { return exits("cannot create snapshots : whatever\n") }, "", attempts, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &machine{fails: c.fails}
			d, mem := driverOn(m)
			err := d.Apply(context.Background(), takingOf(nil, c.of...))
			var partial *drivers.Partial
			if c.fails != nil != (err != nil) || errors.As(err, &partial) != c.partial {
				t.Errorf("%v", err)
			}
			if got := mem.has(); got != c.has {
				t.Errorf("has %q, want %q", got, c.has)
			}
			if len(m.ran) != c.commands {
				t.Errorf("%d commands, want %d: %v", len(m.ran), c.commands, m.ran)
			}
		})
	}
}

// What quiesces runs once, what ends it runs whatever happened, and is tried again where it fails.
func TestHooks(t *testing.T) {
	freeze, thaw := host.Write("freeze"), host.Write("thaw")
	hook := func(skip bool) *drivers.Hook { return &drivers.Hook{Before: &freeze, After: &thaw, Skip: skip} }
	failing := func(word string) func(string) error {
		return func(line string) error {
			if strings.HasPrefix(line, word) {
				return exits("no")
			}
			return nil
		}
	}
	for _, c := range []struct {
		name  string
		skip  bool
		fails func(string) error
		ran   string
		has   string
		left  bool
	}{
		{"well", true, nil, "freeze, zfs, thaw", "a db1 db2", false},
		{"it can't be quiesced: left out", true, failing("freeze"), "freeze, zfs, thaw", "a", false},
		{"it can't be quiesced: taken", false, failing("freeze"), "freeze, zfs, thaw", "a db1 db2", false},
		{"nothing is taken", true, func(l string) error { return failing("zfs")(l) }, "freeze, zfs, zfs, zfs, zfs, zfs, thaw", "", false},
		{"it can't be ended", true, failing("thaw"), "freeze, zfs, thaw", "a db1 db2", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &machine{fails: c.fails}
			d, mem := driverOn(m)
			if err := d.Apply(context.Background(), takingOf(hook(c.skip), "a", "db1", "db2")); (err != nil) != (c.fails != nil) {
				t.Error(err)
			}
			var ran []string
			for _, line := range m.ran {
				word, _, _ := strings.Cut(line, " ")
				ran = append(ran, word)
			}
			if got := strings.Join(ran, ", "); got != c.ran {
				t.Errorf("ran %s, want %s", got, c.ran)
			}
			if got := mem.has(); got != c.has {
				t.Errorf("has %q, want %q", got, c.has)
			}
			if left := mem.all["guid of db1"].Quiesced != nil; left != c.left {
				t.Errorf("what ends it is left to be run: %v", left)
			}
		})
	}
}

// A process that dies after it quiesced leaves word of what ends that.
func TestQuiescedIsRemembered(t *testing.T) {
	freeze, thaw := host.Write("freeze"), host.Write("thaw", "now")
	var mem *memory
	m := &machine{}
	var d *Driver
	m.fails = func(line string) error {
		if line == "freeze" {
			q := mem.all["guid of db"].Quiesced
			if q == nil || strings.Join(q.Run, " ") != "thaw now" {
				t.Errorf("before it is quiesced %+v is remembered", q)
			}
		}
		return nil
	}
	d, mem = driverOn(m)
	if err := d.Apply(context.Background(), takingOf(&drivers.Hook{Before: &freeze, After: &thaw, Skip: true}, "db")); err != nil {
		t.Fatal(err)
	}
	if mem.all["guid of db"].Quiesced != nil {
		t.Error("it was ended")
	}
}

// A prune that was decided with a snapshot that was not taken does nothing; one whose list is old looks again.
func TestPruneChecks(t *testing.T) {
	prune := drivers.Action{Verb: drivers.Destroy, GUID: "g", Counts: "new", Destroy: []string{"7"}, Fields: []drivers.Field{{Name: "old", To: "no longer kept"}}, Steps: []host.Command{host.Write("zfs", "destroy", "tank@old")}}
	prune.Object.Name = "tank"
	at := time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	row := state.TakenSnapshot{Name: "new", Creation: at}
	old := state.TakenSnapshot{Name: "old", GUID: "7", TXG: 5, Creation: at}
	for _, c := range []struct {
		name  string
		rows  []state.TakenSnapshot
		stale bool
		moot  bool
		ran   int
	}{
		{"taken", []state.TakenSnapshot{old, row}, false, false, 1},
		{"not taken", []state.TakenSnapshot{old}, false, true, 0},
		{"not known to be taken", []state.TakenSnapshot{old, {Name: "new", Creation: at, Pending: true}}, false, true, 0},
		{"an old list", []state.TakenSnapshot{old, row}, true, false, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &machine{}
			d, mem := driverOn(m)
			mem.all["g"] = &state.Taken{Snapshots: c.rows}
			d.version = 0
			if err := d.recall(context.Background()); err != nil {
				t.Fatal(err)
			}
			if d.listed["tank"] = d.Now(); c.stale {
				d.listed["tank"] = d.Now().Add(-2 * time.Minute)
			}
			err := d.Apply(context.Background(), prune)
			if errors.Is(err, drivers.ErrMoot) != c.moot || len(m.ran) != c.ran {
				t.Errorf("%v, ran %v", err, m.ran)
			}
			if gone := len(mem.all["g"].Snapshots) < len(c.rows); gone == c.moot {
				t.Errorf("remembered: %+v", mem.all["g"].Snapshots)
			}
		})
	}
}
