package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/watch"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

func (a *app) daemon() *cobra.Command {
	return &cobra.Command{
		Use:   "daemon",
		Short: "Observe, plan, apply what the files allow, and record, in a loop",
		Long: `The loop that dplaned.service runs: at daemon.interval, and when the files change. What is above daemon.apply
waits for a person. Invalid files change nothing: the last good configuration stays in force.`,
		Example: "  dplane daemon\n  dplane daemon --config ./nas-a --log-level info",
		Args:    args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("log-level") {
				a.logLevel = "info"
			}
			return a.runDaemon(c.Context())
		},
	}
}

// hurry bounds each read of the loop: the other pools wait for it. A pool that needs longer because its caches are
// cold has warmer ones the next time.
const hurry = 2 * time.Minute

// again is how soon a round that was left out is made good, so that one apply after the other does not starve the
// loop.
const again = 5 * time.Second

// daemon is one run of the loop.
type daemon struct {
	*app
	db    *sqlite.Store
	file  database
	loop  *reconcile.Loop
	log   *slog.Logger
	web   *endpoint
	pulse *pulse
	group *group          // nil: not yet begun
	lanes reconcile.Lanes // where long work goes on, whichever loop began it
	cache *spec.Cache

	patience reconcile.Patience // with what fails, and with whom the loop fights
	noticed  map[string]bool    // notices of the last plan: each is said once
	left     string             // what the last pass left to be done, for systemctl status
	asked    atomic.Bool        // a SIGHUP came
	systemd  *supervisor
	ended    chan struct{} // a lane ended
	until    time.Time     // the deadline of a try whose apply died; zero: none
	leftOut  string        // who had the lock, so that the last round was left out; "": it was not

	want    *spec.Spec        // in force; nil until a valid configuration was ever seen
	invalid string            // why the newest files are not in force
	seen    string            // what was last said of the files, so that it is said once
	files   map[string][]byte // as last read: unchanged bytes are not loaded again
	broken  string            // what was last said of ZFS
}

func (a *app) runDaemon(ctx context.Context) error {
	outliveReaders()
	a.hurry = hurry
	d := &daemon{app: a, log: a.logger(), cache: spec.NewCache(), ended: make(chan struct{}, 1)}
	d.lanes.Ended = d.laneEnded
	d.patience.Rand = rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(reconcile.Wall{}.Now().UnixNano())))
	if err := d.open(ctx); err != nil {
		return err
	}
	defer func() { d.db.Close() }() // the one that is open then
	defer context.AfterFunc(ctx, func() { d.log.Warn("told to stop: the running command is waited for, and no other begins") })()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	files, done := watch.Dir(ctx, a.config, d.log)
	defer func() { cancel(); <-done }()
	defer func() { d.web.stop() }()
	defer func() { d.group.stop() }()
	d.followGroup(ctx) // before the first look, which may take its time
	defer d.supervised(ctx)()
	poke := d.pokes(ctx, files)
	defer func() { cancel(); d.lanes.Wait() }() // what is sent ends, and goes on with the next start

	d.event(ctx, "daemon", "info", "daemon started")
	for {
		if d.asked.Swap(false) {
			d.beginAnew(ctx)
			d.systemd.reloading()
		}
		d.systemd.moves(d.interval())
		d.pass(ctx)
		d.systemd.moves(d.interval())
		d.systemd.ready(d.summary())
		if !d.loop.Wait(ctx, d.pause(), poke) {
			break
		}
	}
	d.event(context.WithoutCancel(ctx), "daemon", "info", "daemon stopped")
	return nil
}

// supervised begins to keep systemd informed; the function it gives ends that.
func (d *daemon) supervised(ctx context.Context) (end func()) {
	d.systemd = newSupervisor(d.log, reconcile.Wall{})
	watchdog, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("WATCHDOG_USEC is not understood: systemd is not told that the loop runs", "err", err)
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		d.systemd.watch(ctx, watchdog, over)
	}()
	return func() { close(over); <-ended }
}

// laneEnded has the loop look again at once: what was sent may be what something else waits for.
func (d *daemon) laneEnded() {
	select {
	case d.ended <- struct{}{}:
	default: // one is waiting already
	}
}

// pokes are the reasons to look before the interval is over: files that changed, and a SIGHUP, with which a person
// also asks to try again what the loop rests from.
func (d *daemon) pokes(ctx context.Context, files <-chan struct{}) <-chan struct{} {
	poke, hup := make(chan struct{}, 1), make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-files:
			case <-d.ended:
			case <-hup:
				d.asked.Store(true)
			}
			select {
			case poke <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return poke
}

// summary is what `systemctl status` shows.
func (d *daemon) summary() string {
	switch {
	case d.want == nil:
		return "no valid configuration"
	case d.invalid != "":
		return fmt.Sprintf("the newest files are invalid, generation %.12s stays in force; %s", d.want.Generation, d.left)
	}
	return fmt.Sprintf("generation %.12s; %s", d.want.Generation, d.left)
}

// open gets the database and the last good configuration, which tells where the database is: without
// a valid one now, the place of the default or of the one key that can be read.
func (d *daemon) open(ctx context.Context) error {
	path := defaultDatabase
	if s, err := spec.LoadDir(d.config, d.options()); err == nil {
		path = s.Daemon.Database
	} else if p := databaseKey(d.config); p != "" {
		path = p
	}
	if err := d.use(path); err != nil {
		return err
	}
	if err := d.loop.Recall(ctx, &d.patience); err != nil {
		d.log.Warn("what failed before is tried again at once", "err", err)
	}
	last, found, err := d.db.LastGeneration(ctx)
	if err != nil {
		return fmt.Errorf("read the last generation: %w", err)
	}
	if found {
		if d.want, err = reload(last); err != nil {
			d.log.Warn("the recorded generation can't be read by this release", "generation", last.Number, "err", err)
		}
		d.inForce.Store(d.want)
	}
	return nil
}

func (d *daemon) options() spec.LoadOptions {
	dir, err := filepath.Abs(d.config)
	if err != nil {
		dir = d.config
	}
	return spec.LoadOptions{Hostname: hostname(), Dir: dir, Cache: d.cache}
}

func (d *daemon) interval() time.Duration {
	if d.want == nil {
		return 60 * time.Second
	}
	return d.want.Daemon.Interval.Std()
}

// pause is how long it is to the next round.
func (d *daemon) pause() time.Duration {
	if left := d.until.Sub(d.loop.Clock.Now()); !d.until.IsZero() && left < d.interval() {
		return max(left, time.Second)
	}
	if d.leftOut != "" {
		return min(again, d.interval())
	}
	return d.interval()
}

// pass is one round: read the files, look, plan, apply what is allowed, record.
func (d *daemon) pass(ctx context.Context) {
	started := d.loop.Clock.Now()
	if err := d.follow(ctx); err != nil {
		d.log.Error("reconcile", "err", err)
		return // not on time: /health says so when it lasts
	}
	d.reload(ctx)
	d.web.serve(d.want)
	d.followGroup(ctx)
	if d.want != nil {
		if err := d.step(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("reconcile", "err", err, "hint", sqlite.Hint(err))
			d.event(ctx, "daemon", "error", err.Error())
			if sqlite.Corrupt(err) {
				d.file.broken = true // opened anew in the next pass, which puts it aside
			}
			return // not on time: /health says so when it lasts
		}
	} else {
		d.recordNothing(ctx)
	}
	if ctx.Err() == nil {
		d.web.alive(started, d.interval())
	}
	debug.FreeOSMemory() // the load and the look leave garbage that an idle daemon need not hold
}

// reload puts newly read files in force if they are valid.
func (d *daemon) reload(ctx context.Context) {
	files, err := watch.Stable(ctx, d.config, d.lastRead())
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = watch.CheckOwner(d.config)
	}
	if err == nil && d.invalid == "" && d.files != nil && maps.EqualFunc(files, d.files, bytes.Equal) {
		return
	}
	var s *spec.Spec
	if err == nil {
		s, err = spec.LoadFiles(files, d.options())
	}
	d.files = files
	if err != nil {
		d.reject(ctx, err)
		return
	}
	d.invalid, d.seen = "", ""
	if err := d.accept(ctx, d.loop, s, reconcile.ByDaemon); err != nil {
		d.log.Error("record the configuration", "err", err)
		d.files = nil // tried again: what can't be recorded is not put in force
		return
	}
	if d.want == nil || d.want.Generation != s.Generation {
		d.log.Info("configuration in force", "generation", s.Generation[:12])
		d.beginAnew(ctx)
	}
	d.want = s
	d.inForce.Store(s)
}

// lastRead are the files as they were last: one that is gone now is looked for twice.
func (d *daemon) lastRead() map[string][]byte {
	if d.files == nil && d.want != nil {
		return d.want.Files
	}
	return d.files
}

// reject keeps the last good configuration and says so, once for each different error.
func (d *daemon) reject(ctx context.Context, err error) {
	d.invalid = err.Error()
	if d.seen == d.invalid {
		return
	}
	d.seen = d.invalid
	kept := "no good configuration is known: nothing is done"
	if d.want != nil {
		kept = fmt.Sprintf("generation %.12s stays in force", d.want.Generation)
	}
	d.log.Error("the configuration is invalid", "kept", kept, "err", err)
	d.event(ctx, "configuration", "error", "invalid configuration, "+kept+": "+err.Error())
}

func (d *daemon) step(ctx context.Context) error {
	lock, err := reconcile.Acquire(d.want.Daemon.Runtime, reconcile.TheDaemon)
	var held *reconcile.LockedError
	if errors.As(err, &held) {
		if d.leftOut != held.By() {
			d.log.Info("somebody else is at work: this round is left out", "holder", held.By())
		}
		d.leftOut = held.By()
		return nil
	} else if err != nil {
		return err
	}
	d.leftOut = ""
	defer lock.Release()
	if strings.Contains(lock.Last, applying) { // a person looked after it
		d.beginAnew(ctx)
	}
	d.patience.Interval = d.interval()
	d.loop.Invalid, d.lanes.Dirs, d.loop.Lanes = d.invalid, reconcile.LaneDirs(&d.want.Daemon), &d.lanes
	if err := d.loop.Settle(ctx, d.want, &d.patience); err != nil { // under the lock alone: no intent is that of a living apply
		return err
	}
	consent := reconcile.Daemon(d.want)
	consent.Patience = &d.patience
	d.tries(ctx, &consent)
	p, obs, err := d.loop.Plan(ctx, d.want, consent)
	if err != nil {
		return err
	}
	d.tellZFS(ctx, obs.ZFS)
	d.tellNotices(p)
	s, err := d.loop.Carry(ctx, d.want, p, obs, consent, reconcile.ByDaemon)
	if err != nil {
		return err
	}
	d.group.looked(d.want, s.Observed)
	d.left = fmt.Sprintf("%d to do", s.Remaining.Pending())
	for _, fight := range d.patience.Learn(s, d.loop.Clock.Now()) {
		d.log.Warn("somebody else keeps changing it", "fight", fight)
		d.event(ctx, "drift", state.Warn, fight)
	}
	return d.loop.Remember(ctx, &d.patience)
}

// beginAnew ends the rest of what failed and the fights: a person looked after it, or the files changed.
func (d *daemon) beginAnew(ctx context.Context) {
	d.patience.Forget()
	if err := d.loop.Remember(ctx, &d.patience); err != nil && ctx.Err() == nil {
		d.log.Error("begin anew with what failed", "err", err)
	}
}

// tries takes back what was tried by an apply that died, and keeps the loop from doing what waits for a
// confirmation, or did not get one.
func (d *daemon) tries(ctx context.Context, consent *reconcile.Consent) {
	d.until = time.Time{}
	file := reconcile.TryFileOf(d.file.path)
	pending, err := d.loop.SettleTry(ctx, file)
	if err != nil {
		d.log.Error("what was tried could not be taken back", "err", err)
	}
	if pending != nil {
		d.until = pending.Deadline
		consent.Pause = fmt.Sprintf("what %s tried waits for dplane confirm until %s", pending.By, pending.Deadline.UTC().Format(time.RFC3339))
	}
	if consent.Taken, err = file.Taken(); err != nil {
		d.log.Error("read what was tried", "err", err)
	}
	if t := consent.Taken; t != nil && t.Generation != d.want.Generation {
		file.Forget()
		consent.Taken = nil
	}
}

// tellNotices says once what the plan has to say beside its actions.
func (d *daemon) tellNotices(p *reconcile.Plan) {
	if p.ZFSError != "" {
		return // nobody was asked
	}
	now := map[string]bool{}
	for _, n := range p.Notices {
		if !d.noticed[n] {
			d.log.Info("notice", "of", n)
		}
		now[n] = true
	}
	d.noticed = now
}

// tellZFS says once that ZFS is missing or broken, and once that it is back.
func (d *daemon) tellZFS(ctx context.Context, z state.ZFS) {
	if z.Error == d.broken {
		return
	}
	d.broken = z.Error
	if z.Error == "" {
		d.log.Info("ZFS answers again")
		d.event(ctx, "zfs", "info", "ZFS answers again")
		return
	}
	d.log.Error("ZFS does not answer: nothing is planned", "err", z.Error, "hint", z.Hint)
	d.event(ctx, "zfs", "error", "ZFS does not answer, nothing is planned: "+z.Error)
}

// recordNothing keeps status and the endpoint honest while there is no configuration at all.
func (d *daemon) recordNothing(ctx context.Context) {
	r := state.Record{At: d.loop.Clock.Now(), Interval: d.interval(), Invalid: d.invalid}
	if err := d.db.SaveRecord(ctx, r); err != nil && ctx.Err() == nil {
		d.log.Error("record", "err", err)
	}
}

func (d *daemon) event(ctx context.Context, kind, level, msg string) {
	e := state.Event{At: d.loop.Clock.Now(), Type: kind, Level: level, Message: msg}
	if err := d.db.Log(ctx, e); err != nil && ctx.Err() == nil {
		d.log.Error("write an event", "err", err)
	}
}
