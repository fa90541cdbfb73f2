package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state"
)

// minutes is a clock that goes on by a minute each time it is told to.
type minutes struct {
	reconcile.Wall
	now time.Time
}

func (m *minutes) Now() time.Time { return m.now }

// looping is a daemon on a model machine, and a function that lets one round of it pass.
func looping(t *testing.T, yaml string) (d *daemon, fake *zfsfake.Fake, round func()) {
	t.Helper()
	d, dir := idle(t)
	conf := filepath.Join(dir, "etc", "tank.yaml")
	if err := os.WriteFile(conf, []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	fake = zfsfake.New()
	if err := d.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.db.Close(); d.web.stop() })
	clock := &minutes{now: reconcile.Wall{}.Now()}
	d.loop.Drivers, d.loop.Clock = kinds(fake, d.db, clock, true), clock
	return d, fake, func() {
		clock.now = clock.now.Add(time.Minute)
		d.pass(t.Context())
	}
}

// What somebody else keeps changing is told once in the journal, and left alone; what fails is tried again later, and
// the record says when.
func TestDaemonPatience(t *testing.T) {
	d, fake, round := looping(t, `pools: {tank: {}}
datasets: {tank/calm: {properties: {compression: zstd}}, tank/busy: {properties: {mountpoint: /elsewhere}}}
daemon: {apply: disruptive}
`)
	fake.AddFile("/vdev/a", 1<<30)
	do := func(line string) string {
		out, err := fake.Do(line)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	do("zpool create tank /vdev/a")
	do("zfs create tank/calm")
	do("zfs create tank/busy")
	fake.SetBusy("tank/busy", true)
	for range 6 {
		round()
		do("zfs set compression=off tank/calm")
	}
	events, err := d.db.Events(t.Context(), "fight", 10)
	if err != nil || len(events) != 1 || !strings.Contains(events[0].Message, "dataset tank/calm: a fight: compression was set back 3 times") {
		t.Errorf("events %+v, %v", events, err)
	}
	rec, err := d.db.Record(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a fight: compression", "failure(s): update dataset tank/busy"} {
		if !strings.Contains(string(rec.Plan), text) {
			t.Errorf("no %q in the record:\n%s", text, rec.Plan)
		}
	}
	if tried, err := d.db.Events(t.Context(), "busy mountpoint", 10); err != nil || len(tried) == 0 || len(tried) >= 6 {
		t.Errorf("%d tries in 6 rounds, %v", len(tried), err)
	}
	// A person who applies is a new beginning, and so are new files.
	lock, err := reconcile.Acquire(d.want.Daemon.Runtime, applying)
	if err != nil {
		t.Fatal(err)
	}
	lock.Release()
	round()
	if got := do("zfs get -H -o value compression tank/calm"); got != "zstd" {
		t.Errorf("after an apply compression is %s", got)
	}
	for range 4 {
		do("zfs set compression=off tank/calm")
		round()
	}
	if got := do("zfs get -H -o value compression tank/calm"); got != "off" {
		t.Errorf("the second fight was not given up: %s", got)
	}
	if err := os.WriteFile(filepath.Join(d.config, "more.yaml"), []byte("schedules: {daily: {keep: {daily: 7}}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	round()
	if got := do("zfs get -H -o value compression tank/calm"); got != "zstd" {
		t.Errorf("after the files changed compression is %s", got)
	}
}

// restarted is the next process of a daemon on the same machine.
func restarted(t *testing.T, d *daemon, fake *zfsfake.Fake) *daemon {
	t.Helper()
	next := &daemon{app: d.app, log: d.log, cache: d.cache}
	d.web.stop()
	d.db.Close()
	if err := next.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { next.db.Close(); next.web.stop() })
	next.loop.Drivers, next.loop.Clock = kinds(fake, next.db, d.loop.Clock, true), d.loop.Clock
	return next
}

// A daemon that is started again with each round neither fights anew nor tries at once what failed; what it died of
// counts as failed. A person who applies ends that, also while no daemon runs.
func TestDaemonPatienceOutlivesIt(t *testing.T) {
	d, fake, _ := looping(t, `pools: {tank: {}}
datasets: {tank/calm: {properties: {compression: zstd}}, tank/deadly: {properties: {atime: off}}, tank/busy: {properties: {mountpoint: /elsewhere}}}
daemon: {apply: disruptive}
`)
	fake.AddFile("/vdev/a", 1<<30)
	do := func(lines ...string) (out string) {
		for _, line := range lines {
			var err error
			if out, err = fake.Do(line); err != nil {
				t.Fatal(err)
			}
		}
		return strings.TrimSpace(out)
	}
	clock := d.loop.Clock.(*minutes)
	round := func() {
		clock.now = clock.now.Add(time.Minute)
		d.pass(t.Context())
	}
	do("zpool create tank /vdev/a", "zfs create tank/calm", "zfs create tank/busy", "zfs create tank/deadly")
	fake.SetBusy("tank/busy", true)
	round()
	do("zfs set atime=on tank/deadly")
	dying := &state.Action{ID: "1", Kind: "dataset", Name: "tank/deadly", Verb: "update", Started: clock.now, By: reconcile.ByDaemon}
	if _, err := d.db.Begin(t.Context(), state.Event{At: clock.now, Type: "action", Action: dying}); err != nil {
		t.Fatal(err)
	}
	d = restarted(t, d, fake)
	d.pass(t.Context()) // in the same minute
	if got := do("zfs get -H -o value atime tank/deadly"); got != "on" {
		t.Error("what the daemon died of was begun again at once")
	}
	for range 6 {
		do("zfs set compression=off tank/calm")
		d = restarted(t, d, fake)
		round()
	}
	if got := do("zfs get -H -o value compression tank/calm"); got != "off" {
		t.Errorf("the fight goes on: compression is %s", got)
	}
	if got := do("zfs get -H -o value atime tank/deadly"); got != "off" {
		t.Error("what the daemon died of was never begun again")
	}
	if events, err := d.db.Events(t.Context(), "fight", 10); err != nil || len(events) != 1 {
		t.Errorf("events %+v, %v", events, err)
	}
	if tried, err := d.db.Events(t.Context(), "busy mountpoint", 10); err != nil || len(tried) == 0 || len(tried) >= 6 {
		t.Errorf("%d tries in 8 rounds, %v", len(tried), err)
	}
	if err := d.loop.Remember(t.Context(), &reconcile.Patience{}); err != nil { // as dplane apply does
		t.Fatal(err)
	}
	d = restarted(t, d, fake)
	round()
	if got := do("zfs get -H -o value compression tank/calm"); got != "zstd" {
		t.Errorf("after a person applied compression is %s", got)
	}
}
