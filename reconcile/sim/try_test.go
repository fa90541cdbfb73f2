package sim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

const before = `pools: {tank: {vdevs: [{mirror: [/dev/a, /dev/b]}], properties: {ashift: 12, autotrim: on, comment: old}}}
datasets:
  tank: {properties: {atime: off}}
  tank/a: {properties: {compression: zstd, quota: 1G, "com.example:owner": "it\ttoo"}}
  tank/a/b: {}
  tank/c: {properties: {readonly: on}}
  tank/recv: {}
  tank/vol: {volume: {size: 64M}}
`

// tried changes a value of each source, gives some back, and renames.
var tried = strings.NewReplacer(
	"comment: old", "comment: new", "{atime: off}", "{compression: gzip}", "compression: zstd, quota: 1G", "compression: lz4, quota: 2G, mountpoint: /elsewhere",
	`"it\ttoo"`, "us", "tank/a/b: {}", "tank/a/b: {properties: {recordsize: 32K}}", "{readonly: on}", "{}", "tank/recv: {}", "tank/recv: {properties: {compression: off}}",
).Replace(before)

func tryMachine(t *testing.T) (*Machine, *spec.Spec) {
	t.Helper()
	m, first := newMachine(t), load(t, before)
	pass(t, m, first)
	m.ZFS.Model.Pools["tank"].Datasets["tank/recv"].Received = map[string]string{"compression": "gzip-9"}
	return m, load(t, tried)
}

// begin is an apply with --try up to its wait, which may die at a write.
func begin(t *testing.T, m *Machine, want *spec.Spec, file reconcile.TryFile, fault *host.Faulty) (died bool) {
	t.Helper()
	fault.Runner = m.ZFS
	l := m.Loop(fault)
	defer func() {
		if x := recover(); x != nil {
			if _, ok := x.(host.Died); !ok {
				panic(x)
			}
			died = true
		}
	}()
	ctx := context.Background()
	consent := reconcile.ByHand(nil, nil)
	p, obs, err := l.Plan(ctx, want, consent)
	if err != nil {
		t.Fatal(err)
	}
	try, err := reconcile.NewTry(ctx, l.Runner, zfs.Reverse, p)
	if err != nil {
		t.Fatal(err)
	}
	try.By, try.Deadline = "anna", m.Clock.Now().Add(2*time.Minute)
	if err := file.Begin(try); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Carry(ctx, want, p, obs, consent, "anna"); err != nil {
		t.Fatal(err)
	}
	if err := try.Note(ctx, l.Runner); err != nil {
		t.Fatal(err)
	}
	if err := file.Note(try, m.Clock.Now().Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	return false
}

// settle is what the next one does who takes the lock, which may die too.
func settle(t *testing.T, m *Machine, file reconcile.TryFile, fault *host.Faulty) (pending *reconcile.Try, died bool) {
	t.Helper()
	defer func() {
		if x := recover(); x != nil {
			if _, ok := x.(host.Died); !ok {
				panic(x)
			}
			died = true
		}
	}()
	fault.Runner = m.ZFS
	pending, err := m.Loop(fault).SettleTry(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	return pending, false
}

// TestTryTakenBack: whatever the write at which the apply, or the one that takes it back, is killed, the values and
// sources from before return, and not before the time is over.
func TestTryTakenBack(t *testing.T) {
	m, want := tryMachine(t)
	was := decided(t, m, "tank")
	count := &host.Faulty{}
	begin(t, m, want, reconcile.TryFileOf(t.TempDir()+"/db"), count)
	if decided(t, m, "tank") == was || count.Writes < 8 {
		t.Fatalf("%d writes: the test has lost its subject", count.Writes)
	}
	for n := 1; n <= count.Writes+1; n++ {
		for _, fault := range []host.Fault{host.DieBefore, host.DieAfter} {
			again := 1 + (n*3+int(fault))%count.Writes
			m, want := tryMachine(t)
			file := reconcile.TryFileOf(t.TempDir() + "/db")
			if died := begin(t, m, want, file, &host.Faulty{N: n, Fault: fault}); died != (n <= count.Writes) {
				t.Fatalf("write %d: died is %v", n, died)
			}
			if pending, _ := settle(t, m, file, &host.Faulty{}); pending == nil || pending.By != "anna" {
				t.Fatalf("write %d: before the time is over: %+v", n, pending)
			}
			m.Clock.Move(3 * time.Minute)
			settle(t, m, file, &host.Faulty{N: again, Fault: fault})
			settle(t, m, file, &host.Faulty{})
			if got := decided(t, m, "tank"); got != was {
				t.Fatalf("killed at write %d (%d), and at %d of taking it back: came to\n%s\nwas\n%s", n, fault, again, got, was)
			}
			if pending, _ := settle(t, m, file, &host.Faulty{}); pending != nil {
				t.Fatal("a try that was taken back waits")
			}
			if taken, err := file.Taken(); err != nil || taken == nil || len(taken.Actions) == 0 {
				t.Fatalf("it is forgotten: %+v, %v", taken, err)
			}
		}
	}
}

// A clock that was set back does not keep what was tried by an apply that died, and the loop that waits for it, for as
// long.
func TestTryClockSetBack(t *testing.T) {
	m, want := tryMachine(t)
	was := decided(t, m, "tank")
	file := reconcile.TryFileOf(t.TempDir() + "/db")
	begin(t, m, want, file, &host.Faulty{})
	m.Clock.Move(-365 * 24 * time.Hour)
	if pending, _ := settle(t, m, file, &host.Faulty{}); pending != nil || decided(t, m, "tank") != was {
		t.Errorf("it waits until %v", pending)
	}
}

// A confirmation in time keeps everything; one that comes later keeps nothing.
func TestTryConfirmed(t *testing.T) {
	m, want := tryMachine(t)
	file := reconcile.TryFileOf(t.TempDir() + "/db")
	begin(t, m, want, file, &host.Faulty{})
	is := decided(t, m, "tank")
	if kept, err := file.Confirm(); err != nil || !kept {
		t.Fatalf("%v, %v", kept, err)
	}
	m.Clock.Move(time.Hour)
	if pending, _ := settle(t, m, file, &host.Faulty{}); pending != nil || decided(t, m, "tank") != is {
		t.Error("what was confirmed was taken back")
	}
	if kept, err := file.Confirm(); err != nil || kept {
		t.Errorf("confirmed twice: %v, %v", kept, err)
	}
}

// What somebody else changed during the try is his, and a pool that is away meanwhile is waited for.
func TestTryLeavesOthers(t *testing.T) {
	m, want := tryMachine(t)
	file := reconcile.TryFileOf(t.TempDir() + "/db")
	begin(t, m, want, file, &host.Faulty{})
	do(t, m, "zfs set quota=5G tank/a")
	m.Clock.Move(time.Hour)
	pool := m.ZFS.Model.Pools["tank"]
	delete(m.ZFS.Model.Pools, "tank")
	if _, err := m.Loop(m.ZFS).SettleTry(t.Context(), file); err == nil {
		t.Error("taken back though the pool is away")
	}
	m.ZFS.Model.Pools["tank"] = pool
	settle(t, m, file, &host.Faulty{})
	out, err := m.ZFS.Do("zfs get -Hp -o value quota,compression tank/a")
	if err != nil || out != "5368709120\nzstd\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// What can't be taken back is refused before anything is done.
func TestUntriable(t *testing.T) {
	for why, yaml := range map[string]string{
		"create dataset tank/new can't be tried": before + "  tank/new: {}\n",
		"update dataset tank/vol can't be tried": strings.Replace(before, "size: 64M", "size: 96M", 1),
		"try the rename first, and declare the other changes when it is confirmed": strings.Replace(before, "tank/c: {properties: {readonly: on}}",
			"tank/c2: {renamedFrom: tank/c, properties: {readonly: off, compression: zstd}}", 1),
	} {
		m, _ := tryMachine(t)
		l := m.Loop(host.ReadOnly{Runner: m.ZFS})
		p, _, err := l.Plan(t.Context(), load(t, yaml), reconcile.ByHand(nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		var no *reconcile.UntriableError
		if _, err := reconcile.NewTry(t.Context(), l.Runner, zfs.Reverse, p); !errors.As(err, &no) || !strings.Contains(err.Error(), why) {
			t.Errorf("%v for %s", err, yaml)
		}
	}
}
