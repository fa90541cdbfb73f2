package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/carry"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// bench is a node whose machine, memory, gate and ZFS are seen from outside. It holds the order: what it sees out of turn it
// writes down as wrong.
type bench struct {
	t   *testing.T
	zfs *zfsfake.Fake
	x   *Exec

	watch sync.Mutex // as the watch holds it while the machine is asked
	began time.Time
	s     state.HA

	mu     sync.Mutex
	log    []string // what was persisted, shown and run, in its order
	wrong  []string
	disk   state.HA
	shown  *state.HA // what other processes read
	alarms []string
	peer   uint64 // beats that the peer sent
	runs   int
	slept  time.Duration

	saves    int
	failSave func(n int, s *state.HA) error
	failShow func(s *state.HA) error
	on       func(ctx context.Context, line string) error // before a command that writes
	part     bool
}

// clock is the bubble's.
type clock struct{}

func (clock) Now() time.Time                         { return time.Now() }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func newBench(t *testing.T) *bench {
	b := &bench{t: t, zfs: zfsfake.New(), part: true, began: time.Now()}
	b.zfs.AddFile("/pool/a", 1<<30)
	for _, line := range []string{"zpool create tank /pool/a", "zfs create tank/g", "zfs snapshot tank/g@one"} {
		if _, err := b.zfs.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	b.s = state.HA{Node: "a", Peers: map[string]state.PeerHealth{}}
	b.x = b.newExec()
	return b
}

func (b *bench) newExec() *Exec {
	x := New()
	x.Watch, x.Clock, x.Log, x.Show = b, clock{}, slog.New(slog.DiscardHandler), b.show
	x.Use(Settings{
		Config: ha.Config{
			Peers: []string{"b"}, Limits: ha.Limits{Every: 15 * time.Second, Misses: 2, Skew: ha.MaxSkew}, Patience: 45 * time.Second,
			MaxLag: spec.Lag{}, Agents: map[string]bool{},
		},
		Node: &carry.Node{
			Runner: b, HA: &spec.HA{Datasets: []spec.DatasetName{"tank/g"}, Hooks: []spec.HAHook{{Run: []string{"/bin/share"}}}}, Now: time.Now,
			Sleep: func(ctx context.Context, d time.Duration) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(d):
					return nil
				}
			},
			Send: func(context.Context, string) error { return nil },
		},
	})
	return x
}

// boot is what the watch does when the files say that there is a group.
func (b *bench) boot() {
	b.t.Helper()
	b.runs++
	if err := b.Do(ha.Event{Kind: ha.Boot, Boot: fmt.Sprintf("run%d", b.runs)}); err != nil {
		b.t.Fatal(err)
	}
	b.x.Start()
	synctest.Wait()
}

// again is the daemon's next run, from what is on disk.
func (b *bench) again() {
	b.s = b.disk
	b.x = b.newExec()
	b.boot()
}

// later lets time go by. What the test read and wrote before that comes before what happens then: all of it has the locks.
func (b *bench) later(d time.Duration) {
	b.watch.Lock()
	b.mu.Lock()
	b.slept += d
	b.mu.Unlock()
	b.watch.Unlock()
	time.Sleep(d)
	synctest.Wait()
}

// failover orders one, with a person's word for the peer.
func (b *bench) failover() error {
	defer synctest.Wait()
	return b.Do(ha.Event{Kind: ha.Commanded, Command: &ha.Command{Name: ha.Failover, Words: map[string]string{"b": "seen"}, Accept: true}})
}

// beats lets the peer be heard, twice, for the first of a run is a hello.
func (b *bench) beats(role state.Role, term uint64, active string, promise *state.Promise) {
	b.t.Helper()
	for range 2 {
		b.watch.Lock()
		b.s.Counter++ // this node spoke before
		heard := state.Heard{Boot: b.s.Boot, Counter: b.s.Counter}
		b.watch.Unlock()
		b.peer++
		beat := &state.Beat{Version: 1, Node: "b", Boot: "b1", Counter: b.peer, Heard: heard, Role: role, Term: term, Active: active, Promise: promise, At: time.Now()}
		if err := b.Do(ha.Event{Kind: ha.Heard, Peer: "b", Beat: beat}); err != nil {
			b.t.Log(err)
		}
	}
	synctest.Wait()
}

// is expects a role, and that what other processes read of it is the same.
func (b *bench) is(role state.Role) {
	b.t.Helper()
	b.watch.Lock()
	got := b.s
	b.watch.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if got.Role != role || b.shown == nil || b.shown.Role != role || b.disk.Role != role {
		b.t.Errorf("it is %s (job %+v), on disk %s, shown %v; want %s\n%s", got.Role, got.Job, b.disk.Role, b.shown, role, strings.Join(b.log, "\n"))
	}
}

// sound expects that nothing was out of turn.
func (b *bench) sound() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		b.t.Error(w)
	}
}

func (b *bench) readonly() string {
	out, err := b.zfs.Do("zfs get -H -o value,source readonly tank/g")
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (b *bench) ran(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.IndexFunc(b.log, func(l string) bool { return strings.Contains(l, part) })
}

func (b *bench) bad(format string, args ...any) {
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...)+"\n  after: "+strings.Join(b.log, "\n         "))
}

// Do implements Watch.
func (b *bench) Do(e ha.Event) error {
	b.watch.Lock()
	defer b.watch.Unlock()
	e.Now, e.At = time.Since(b.began), time.Now()
	next, err := b.x.Decide(b.s, e, b.save)
	if err == nil {
		b.s = next
	}
	return err
}

// save is the database. The gate has to be shut by then, or to show what is being written.
func (b *bench) save(s state.HA, _ *state.Decision) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saves++
	if b.failSave != nil {
		if err := b.failSave(b.saves, &s); err != nil {
			return err
		}
	}
	if b.shown != nil && b.shown.Role != state.RoleBoot && of(b.shown) != of(&s) {
		b.bad("%s is being written down while others are told %s", s.Role, b.shown.Role)
	}
	b.disk = s
	step := ""
	if s.Job != nil {
		step = fmt.Sprintf(" %s/%s", s.Job.Kind, s.Job.Step)
	}
	b.log = append(b.log, fmt.Sprintf("persisted %s term %d%s", s.Role, s.Term, step))
	return nil
}

func (b *bench) show(s *state.HA) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failShow != nil {
		if err := b.failShow(s); err != nil {
			return err
		}
	}
	if s.Role != state.RoleBoot && of(s) != of(&b.disk) {
		b.bad("others are told %s in term %d, and on disk is %s in term %d", s.Role, s.Term, b.disk.Role, b.disk.Term)
	}
	is := *s
	b.shown, b.log = &is, append(b.log, "shown "+string(s.Role))
	return nil
}

// Run implements host.Runner. What writes has to be of the step that is on disk, and the role of that has to be known.
func (b *bench) Run(ctx context.Context, c host.Command) (host.Result, error) {
	line := strings.Join(c.Argv, " ")
	if c.Effect != host.Reads {
		b.writes(line)
		if b.on != nil {
			if err := b.on(ctx, line); err != nil {
				return host.Result{}, err
			}
		}
	}
	switch c.Argv[0] {
	case "ps", "/bin/share":
		return host.Result{}, nil
	case "touch":
		return host.Result{}, &host.ExitError{Command: c, Code: 1, Stderr: "Read-only file system"}
	}
	return b.zfs.Run(ctx, c)
}

// stepOf is the step whose command this is.
func stepOf(line string) string {
	switch {
	case strings.Contains(line, "readonly="):
		return ha.StepReadonly
	case strings.HasPrefix(line, "zfs mount"):
		return ha.StepMount
	case strings.HasPrefix(line, "zfs unmount"):
		return ha.StepUnmount
	case strings.HasPrefix(line, "zfs hold"):
		return ha.StepSet
	case strings.HasPrefix(line, "zfs snapshot tank/g@dplane-ha"):
		return ha.StepSnapshot
	case strings.HasPrefix(line, "/bin/share"):
		return ha.StepHooks
	}
	return ""
}

func (b *bench) writes(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	step := stepOf(line)
	undo := b.disk.Job != nil && b.disk.Job.Undo && step == ha.StepUnmount && b.disk.Job.Step == ha.StepMount
	if step != "" && (b.disk.Job == nil || b.disk.Job.Step != step && !undo) {
		b.bad("%q is of the step %s, and on disk is %+v", line, step, b.disk.Job)
	}
	if step != "" && (b.shown == nil || of(b.shown) != of(&b.disk) && b.shown.Role != state.RoleBoot) {
		b.bad("%q is run, and others are told %v", line, b.shown)
	}
	b.log = append(b.log, "run "+line)
}

// Reboot implements Watch.
func (b *bench) Reboot(term uint64) error {
	return b.Do(ha.Event{Kind: ha.Boot, Boot: "reboot", Term: term})
}

// State implements Watch.
func (b *bench) State() state.HA {
	b.watch.Lock()
	defer b.watch.Unlock()
	return b.s
}

// TakesPart implements Watch.
func (b *bench) TakesPart() bool { return b.part }

// Alarm implements Watch.
func (b *bench) Alarm(_, msg string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alarms = append(b.alarms, msg)
}

// Poke implements Watch.
func (b *bench) Poke() {}

// Forward implements Watch.
func (b *bench) Forward(context.Context, string, ha.Command) error { return errors.New("no line") }

// Missing implements Watch.
func (b *bench) Missing(context.Context, string, map[string]string) ([]string, error) {
	return nil, errors.New("no line")
}

var _ Watch = (*bench)(nil)
