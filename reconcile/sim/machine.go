// Package sim runs whole passes of the loop on a model machine, with faults at chosen commands and a
// clock that only moves when it is told to. Only tests import it.
//
// It must never touch the machine it runs on, nor wait for real time.
package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/dataset"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/pool"
	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/drivers/schedule"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state/sqlite"
)

// Machine is one host: its ZFS, its database, its clock.
type Machine struct {
	ZFS   *zfsfake.Fake
	Store *sqlite.Store
	Clock *Clock
	Runs  *host.Counter // of the last pass: processes by program
	Hurry time.Duration // of real time, for each read of a pass; 0: its own deadline
	Watch *Watched      // sees every command; may be nil
	Room  chan struct{} // for streams at once; nil: one after the other
	Role  string        // in the HA group; "": standby
	// Frozen is why the group stands still; "": it does not.
	Frozen string
}

// Watched keeps every command that passes, and those that outlived their deadline.
type Watched struct {
	All, TimedOut []host.Command
	runner        host.Runner
}

// Run passes the command on.
func (w *Watched) Run(ctx context.Context, c host.Command) (host.Result, error) {
	w.All = append(w.All, c)
	res, err := w.runner.Run(ctx, c)
	if errors.Is(err, host.ErrTimeout) {
		w.TimedOut = append(w.TimedOut, c)
	}
	return res, err
}

// Clock stands still but for Move.
type Clock struct {
	now   time.Time
	Waits func(time.Duration) // what happens while somebody waits; may be nil
}

// Now is the time that was set.
func (c *Clock) Now() time.Time { return c.now }

// Move lets time go by.
func (c *Clock) Move(d time.Duration) { c.now = c.now.Add(d) }

// After is ready at once: nothing waits.
func (c *Clock) After(d time.Duration) <-chan time.Time {
	if c.Waits != nil {
		c.Waits(d)
	}
	ch := make(chan time.Time, 1)
	ch <- c.now
	return ch
}

// New makes a machine with these files as blank disks, and its database in dir.
func New(dir string, disks ...string) (*Machine, error) {
	store, err := sqlite.Open(dir + "/dplane.db")
	if err != nil {
		return nil, err
	}
	m := &Machine{ZFS: zfsfake.New(), Store: store, Clock: &Clock{now: time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC)}}
	for _, d := range disks {
		m.ZFS.AddFile(d, 1<<30)
	}
	return m, nil
}

// Pass is one `dplane apply`: settle what a killed one left, look, plan, carry out. With a fault, the
// process may die in the middle; died then tells so, and all that remains of it is what ZFS and the
// database hold.
func (m *Machine) Pass(want *spec.Spec, consent reconcile.Consent, fault *host.Faulty) (step reconcile.Step, died bool, err error) {
	m.Clock.Move(time.Minute)
	m.Runs = &host.Counter{Runner: m.ZFS}
	var r host.Runner = m.Runs
	if fault != nil {
		fault.Runner = r
		r = fault
	}
	if m.Watch != nil {
		m.Watch.runner, r = r, m.Watch
	}
	if m.Hurry > 0 {
		r = host.Hurried{Runner: r, Limit: m.Hurry}
	}
	l := m.Loop(r)
	defer func() {
		if x := recover(); x != nil {
			if _, ok := x.(host.Died); !ok {
				panic(x)
			}
			died = true
		}
	}()
	ctx := context.Background()
	if err := l.Settle(ctx, want, nil); err != nil {
		return step, false, err
	}
	p, obs, err := l.Plan(ctx, want, consent)
	if err != nil {
		return step, false, err
	}
	step, err = l.Carry(ctx, want, p, obs, consent, "sim")
	return step, false, err
}

// Loop is one of this machine, whose commands go through r.
func (m *Machine) Loop(r host.Runner) *reconcile.Loop {
	return &reconcile.Loop{
		Role:   func() string { return cmp.Or(m.Role, spec.RoleStandby) },
		Frozen: func() string { return m.Frozen },
		Drivers: []drivers.Driver{
			&pool.Driver{Runner: r}, &dataset.Driver{Runner: r},
			&schedule.Driver{Runner: r, Memory: m.Store, Now: m.Clock.Now, Learns: true},
			&replication.Driver{Runner: r, Memory: m.Store, Now: m.Clock.Now, After: m.Clock.After, Learns: true, Room: m.Room},
		}, Runner: r,
		Store: m.Store, Clock: m.Clock, Log: slog.New(slog.DiscardHandler), Render: func(*reconcile.Plan) ([]byte, error) { return []byte("{}"), nil },
	}
}

// Decided is all that somebody decided about a pool, as text: what exists, and each value that was set.
// It is the model's own word, not what a driver observed; guids and times are left out.
func (m *Machine) Decided(pool string) (string, error) {
	out, err := m.ZFS.Do("zfs get -Hp -r -t filesystem,volume -o name,property,value,source all " + pool)
	if err != nil {
		return "", err
	}
	var lines []string
	for _, line := range strings.Split(out, "\n") {
		f := strings.Split(line, "\t")
		if len(f) == 4 && (f[1] == "type" || f[3] == "local" || f[3] == "received") {
			lines = append(lines, line)
		}
	}
	sort.Strings(lines)
	props, err := m.ZFS.Do("zpool get -Hp -o name,property,value,source all " + pool)
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(props, "\n") {
		if strings.HasSuffix(line, "\tlocal") {
			lines = append(lines, line)
		}
	}
	return fmt.Sprintln(strings.Join(lines, "\n")), nil
}
