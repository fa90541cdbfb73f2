package exec

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

// of one order after the other: the gate is shut, the step is on disk, the role is known, and then it is done.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.boot()
		defer b.x.Stop()
		b.is(state.RoleStandby)
		if got := b.readonly(); got != "on\tlocal" {
			t.Errorf("after a boot: %s", got)
		}
		if err := b.failover(); err != nil {
			t.Fatal(err)
		}
		b.is(state.RoleActive)
		if got := b.readonly(); got != "off\tlocal" {
			t.Errorf("active: %s", got)
		}
		if i, j := b.ran("persisted promoting term 1 promote/readonly"), b.ran("run zfs set dplane:term=1 readonly=off tank/g"); i < 0 || j < i {
			t.Errorf("persisted at %d, done at %d\n%s", i, j, strings.Join(b.log, "\n"))
		}
		b.sound()

		// A higher term: the same on the way back.
		b.beats(state.RoleActive, 2, "b", nil)
		b.later(time.Second)
		if b.s.Role != state.RoleRejoining || b.readonly() != "on\tlocal" {
			t.Errorf("it is %s, %s", b.s.Role, b.readonly())
		}
		b.sound()
	})
}

var errDisk = errors.New("disk full")

// What can't be persisted is not done, whichever decision it is; and once it can be, all goes on.
func TestNotPersisted(t *testing.T) {
	whole := 0
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.boot()
		defer b.x.Stop()
		_ = b.failover()
		whole = b.saves
		b.is(state.RoleActive)
	})
	if whole < 15 {
		t.Fatalf("only %d decisions: the test has lost its subject", whole)
	}
	for n := 2; n <= whole; n++ {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			full := true
			b.failSave = func(m int, _ *state.HA) error {
				if m >= n && full {
					return errDisk
				}
				return nil
			}
			b.boot()
			defer b.x.Stop()
			err := b.failover()
			before := len(b.log)
			saved := b.disk
			b.later(10 * time.Second) // it insists
			for _, l := range b.log[before:] {
				if strings.HasPrefix(l, "run ") || strings.HasPrefix(l, "persisted") {
					t.Errorf("decision %d can't be written down, and %s", n, l)
				}
			}
			if b.s.Role != saved.Role || b.disk.Role != saved.Role {
				t.Errorf("decision %d: it is %s, on disk %s, and was %s", n, b.s.Role, b.disk.Role, saved.Role)
			}
			b.mu.Lock()
			full = false
			b.mu.Unlock()
			b.later(10 * time.Second)
			if err != nil || b.s.Role == state.RoleStandby { // the order itself was refused
				if err := b.failover(); err != nil {
					t.Fatal(err)
				}
			}
			b.is(state.RoleActive)
			b.sound()
		})
	}
}

// A role that is only remembered is told to nobody, also where the boot can't be written down.
func TestBootNotPersisted(t *testing.T) {
	for _, role := range []state.Role{state.RoleActive, state.RoleStandby} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.s = state.HA{Node: "a", Role: role, Term: 7, Holder: "a", Peers: map[string]state.PeerHealth{}}
			b.disk = b.s
			b.failSave = func(int, *state.HA) error { return errDisk }
			if err := b.Do(ha.Event{Kind: ha.Boot, Boot: "new"}); !errors.Is(err, errDisk) {
				t.Fatal(err)
			}
			if b.shown == nil || b.shown.Role != state.RoleBoot {
				t.Errorf("others are told %+v", b.shown)
			}
		})
	}
}

// Where the gate can't be shut nothing is promoted, and no peer is fenced for it. Who is to stop stops all the same.
func TestGateNotShut(t *testing.T) {
	for _, agent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			fenced := 0
			b.x.Fence = func(context.Context, string) (string, error) { fenced++; return "off", nil }
			set := b.x.Settings()
			set.Config.Agents["b"] = agent
			b.x.Use(set)
			b.boot()
			defer b.x.Stop()
			b.is(state.RoleStandby)
			b.failShow = func(*state.HA) error { return errDisk }
			c := &ha.Command{Name: ha.Failover, Accept: true}
			if !agent {
				c.Words = map[string]string{"b": "seen"}
			}
			if err := b.Do(ha.Event{Kind: ha.Commanded, Command: c}); !errors.Is(err, errDisk) {
				t.Errorf("it is not refused: %v", err)
			}
			b.later(time.Minute)
			if fenced > 0 || b.s.Role != state.RoleStandby {
				t.Errorf("fenced %d times, it is %s", fenced, b.s.Role)
			}
			b.failShow = nil
			if err := b.Do(ha.Event{Kind: ha.Commanded, Command: c}); err != nil {
				t.Fatal(err)
			}
			b.later(time.Second)
			b.is(state.RoleActive)

			b.sound()
			b.failShow = func(*state.HA) error { return errDisk }
			b.beats(state.RoleActive, 2, "b", nil)
			b.later(time.Second)
			if b.readonly() != "on\tlocal" {
				t.Errorf("it goes on writing: %s, %s", b.s.Role, b.readonly())
			}
			b.failShow = nil
			b.later(10 * time.Second) // what could not be told is told when it can be
			if b.shown.Role != b.s.Role {
				t.Errorf("it is %s, and others are told %s", b.s.Role, b.shown.Role)
			}
		})
	}
}

// A restart in the middle of a step closes what may be open, and then resumes its term, or begins the promotion again.
func TestRestart(t *testing.T) {
	for _, at := range []string{"zfs hold", "readonly=off", "zfs mount", "/bin/share"} {
		for _, after := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.boot()
				b.on = func(ctx context.Context, line string) error {
					if !strings.Contains(line, at) {
						return nil
					}
					if after {
						_, _ = b.zfs.Do(line)
					}
					<-ctx.Done()
					return ctx.Err()
				}
				if err := b.failover(); err != nil {
					t.Fatal(err)
				}
				if b.s.Role != state.RolePromoting || b.s.Job.Step != stepOf(at) {
					t.Fatalf("it is %s in %+v", b.s.Role, b.s.Job)
				}
				b.x.Stop()
				if b.shown.Role != state.RoleBoot {
					t.Errorf("after the end others are told %s", b.shown.Role)
				}
				b.on = nil
				b.again()
				defer func() { b.x.Stop() }()
				b.is(state.RoleStandby)
				if b.readonly() != "on\tlocal" {
					t.Errorf("%s: after the restart: %s", at, b.readonly())
				}
				b.beats(state.RoleStandby, 1, "a", nil) // it knows of the term, and of no higher one
				b.later(time.Second)
				if b.s.Declared == "a" {
					t.Fatal("the files say so in this test already")
				}
				b.is(state.RoleStandby) // the files don't agree
				if err := b.Do(ha.Event{Kind: ha.Files, Active: "a"}); err != nil {
					t.Fatal(err)
				}
				b.beats(state.RoleStandby, 1, "a", nil)
				b.later(time.Second)
				b.is(state.RoleActive)
				if b.s.Term != 1 || b.readonly() != "off\tlocal" {
					t.Errorf("%s: term %d, %s", at, b.s.Term, b.readonly())
				}
				b.sound()
			})
		}
	}
}

// A step that was overtaken ends before the next job's first one, and its result is not taken.
func TestLateResult(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.boot()
			defer b.x.Stop()
			let := make(chan struct{})
			b.on = func(ctx context.Context, line string) error {
				if !strings.Contains(line, "readonly=off") {
					return nil
				}
				ended := ctx.Done()
				if !heeds { // a zfs set that hangs is waited for
					ended = nil
				}
				select {
				case <-ended:
				case <-let:
				}
				b.mu.Lock()
				b.log = append(b.log, "it ends")
				b.mu.Unlock()
				return ctx.Err()
			}
			if err := b.failover(); err != nil {
				t.Fatal(err)
			}
			old := *b.s.Job
			b.beats(state.RoleActive, 2, "b", nil)
			b.later(time.Second)
			if !heeds {
				if i := slices.IndexFunc(b.log[b.ran("readonly=off"):], func(l string) bool { return strings.Contains(l, "readonly=on") }); i >= 0 {
					t.Error("it is closed while the step that opens goes on")
				}
				close(let)
				b.later(time.Second)
			}
			if b.s.Role != state.RoleRejoining || b.readonly() != "on\tlocal" {
				t.Errorf("it is %s, %s", b.s.Role, b.readonly())
			}
			if b.ran("it ends") < 0 {
				t.Fatal("the step that was overtaken did not end")
			}
			was := b.s
			if err := b.Do(ha.Event{Kind: ha.StepDone, Job: old.ID, Step: old.Step}); err != nil {
				t.Fatal(err)
			}
			if b.s.Role != was.Role || b.s.Jobs != was.Jobs {
				t.Errorf("a late result made it %s", b.s.Role)
			}
			b.sound()
		})
	}
}

// What takes something away waits for what else is being done to the group, and ends it; a switchover that can't is taken back,
// and who has to stop stops.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		busy, drained := false, 0
		b.x.Drain = func(context.Context) error {
			if b.mu.Lock(); b.shown.Role == state.RoleActive {
				b.bad("it is drained while others are told that it is active")
			}
			b.log = append(b.log, "drained")
			b.mu.Unlock()
			if drained++; busy {
				return errors.New("a send does not end")
			}
			return nil
		}
		b.boot()
		defer b.x.Stop()
		_ = b.failover()
		b.is(state.RoleActive)
		b.beats(state.RoleStandby, 1, "a", nil)

		busy, drained = true, 0
		if err := b.Do(ha.Event{Kind: ha.Commanded, Command: &ha.Command{Name: ha.Switchover, To: "b"}}); err != nil {
			t.Fatal(err)
		}
		b.later(time.Second)
		b.is(state.RoleActive) // nothing was promised
		if drained == 0 || b.s.Promise.Term != 0 || b.readonly() != "off\tlocal" {
			t.Errorf("drained %d times, promised %+v, %s", drained, b.s.Promise, b.readonly())
		}

		busy, drained, b.log = false, 0, nil
		if err := b.Do(ha.Event{Kind: ha.Commanded, Command: &ha.Command{Name: ha.Switchover, To: "b"}}); err != nil {
			t.Fatal(err)
		}
		b.later(time.Second)
		b.is(state.RoleStandby)
		if first := b.ran("run /bin/share stop"); b.ran("drained") < 0 || first < b.ran("drained") {
			t.Errorf("a hook is stopped at %d, drained at %d", first, b.ran("drained"))
		}
		if b.s.Promise.Term != 2 || b.s.Promise.To != "b" || !b.s.Promise.Handover {
			t.Errorf("promised %+v", b.s.Promise)
		}
		b.sound()
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.x.Drain = func(context.Context) error { return errors.New("a send does not end") }
		b.boot()
		defer b.x.Stop()
		_ = b.failover()
		b.beats(state.RoleActive, 2, "b", nil)
		b.later(time.Second)
		if b.readonly() != "on\tlocal" || b.s.Role != state.RoleRejoining {
			t.Errorf("it is %s, %s", b.s.Role, b.readonly())
		}
	})
}

// What an agent says is taken, for the attempt that asked; one that was given up fences nobody.
func TestFence(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			asked := 0
			b.x.Fence = func(context.Context, string) (string, error) {
				if asked++; fails {
					return "", errors.New("the agent timed out")
				}
				return "it is off", nil
			}
			set := b.x.Settings()
			set.Config.Agents["b"] = true
			b.x.Use(set)
			b.boot()
			defer b.x.Stop()
			b.x.fence(t.Context(), "b") // as of an attempt that is over
			if asked > 0 {
				t.Error("a peer is fenced for nothing")
			}
			if err := b.Do(ha.Event{Kind: ha.Commanded, Command: &ha.Command{Name: ha.Failover, Accept: true}}); err != nil {
				t.Fatal(err)
			}
			b.later(time.Second)
			b.x.fence(t.Context(), "b")
			if asked != 1 {
				t.Errorf("asked %d times", asked)
			}
			if fails {
				b.is(state.RoleStandby)
				if d := b.x.Last(); d == nil || !d.Refused || !strings.Contains(d.Why, "the agent timed out") {
					t.Errorf("%+v", d)
				}
				return
			}
			b.is(state.RoleActive)
			if len(b.s.Proofs) != 1 || b.s.Proofs[0].Kind != state.ProofFenced || b.s.Proofs[0].Reason != "it is off" {
				t.Errorf("%+v", b.s.Proofs)
			}
			b.sound()
		})
	}
}

// What this node alone has is in a snapshot in the end, also where a restart came before it; and not once a person has chosen.
func TestKeep(t *testing.T) {
	diverged := func(b *bench) {
		b.boot()
		_ = b.failover()
		_ = b.zfs.Control("write tank/g 1M")
		full := true
		b.on = func(_ context.Context, line string) error {
			if strings.HasPrefix(line, "zfs snapshot") && full {
				return errors.New("out of space")
			}
			return nil
		}
		b.beats(state.RoleActive, 2, "b", nil)
		b.later(time.Second)
		b.beats(state.RoleActive, 2, "b", nil)
		b.later(time.Second)
		b.is(state.RoleDiverged)
	}
	kept := func(b *bench) bool {
		_, err := b.zfs.Do("zfs get -H -o value guid tank/g@dplane_diverged_t2")
		return err == nil
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		diverged(b)
		b.x.Stop()
		b.on = nil
		if kept(b) {
			t.Fatal("it is kept already")
		}
		b.again()
		defer b.x.Stop()
		b.later(time.Second)
		b.is(state.RoleDiverged)
		if !kept(b) {
			t.Error("after a restart it is not kept")
		}
		b.sound()
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		diverged(b)
		defer b.x.Stop()
		if err := b.Do(ha.Event{Kind: ha.Commanded, Command: &ha.Command{Name: ha.Discard, Approval: "it", Term: 2}}); err != nil {
			t.Fatal(err)
		}
		b.on = nil
		b.later(5 * time.Minute)
		if b.s.Role == state.RoleDiverged || kept(b) {
			t.Errorf("it is %s, and a snapshot was taken: %v", b.s.Role, kept(b))
		}
	})
}

// Files that name no group any more end nothing half way, and nothing falls over.
func TestNoGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.boot()
		defer b.x.Stop()
		set := b.x.Settings()
		b.x.Use(Settings{Config: set.Config})
		for _, do := range []string{ha.CloseGate, ha.KeepSnapshot, ha.Compare} {
			b.x.push([]ha.Action{{Do: do}})
		}
		b.later(time.Minute)
		if _, err := b.x.Missing(t.Context(), nil); err == nil {
			t.Error("it has what it does not know")
		}
		_ = b.failover()
		if b.s.Role != state.RolePromoting && b.s.Role != state.RoleDemoting || b.readonly() != "on\tlocal" {
			t.Errorf("it is %s, %s", b.s.Role, b.readonly())
		}
		b.x.Use(set)
		b.later(time.Minute)
		if b.readonly() != "on\tlocal" {
			t.Errorf("it is %s, %s", b.s.Role, b.readonly())
		}
		b.sound()
	})
}

// Stop ends what goes on, whatever it waits for, and nothing is told to others after it.
func TestStop(t *testing.T) {
	for what, prepare := range map[string]func(b *bench){
		"at rest": func(b *bench) {},
		"in a step": func(b *bench) {
			b.on = func(ctx context.Context, line string) error {
				if strings.Contains(line, "readonly=off") {
					<-ctx.Done()
				}
				return ctx.Err()
			}
		},
		"while a result can't be taken in": func(b *bench) {
			b.failSave = func(_ int, s *state.HA) error {
				if s.Job != nil && s.Job.Step == ha.StepMount {
					return errDisk
				}
				return nil
			}
		},
		"while a peer is fenced": func(b *bench) {
			b.x.Fence = func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }
			set := b.x.Settings()
			set.Config.Agents["b"] = true
			b.x.Use(set)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			prepare(b)
			b.boot()
			c := &ha.Command{Name: ha.Failover, Accept: true, Words: map[string]string{"b": "seen"}}
			if b.x.Fence != nil {
				c.Words = nil
			}
			_ = b.Do(ha.Event{Kind: ha.Commanded, Command: c})
			b.later(3 * time.Second)
			b.failSave = nil
			b.x.Stop() // synctest says so where it never comes back
			runs := len(b.log)
			b.later(time.Minute)
			if b.shown.Role != state.RoleBoot {
				t.Errorf("%s: after the end others are told %s", what, b.shown.Role)
			}
			b.beats(state.RoleStandby, 1, "a", nil) // the watch is stopped after it
			b.beats(state.RoleActive, 2, "b", nil)
			if b.shown.Role != state.RoleBoot {
				t.Errorf("%s: after the end others are told %s", what, b.shown.Role)
			}
			for _, l := range b.log[runs:] {
				if strings.HasPrefix(l, "run ") {
					t.Errorf("%s: after the end %s", what, l)
				}
			}
		})
	}
}

// A term that the datasets name and the memory does not know is found before anything is begun.
func TestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		if _, err := b.zfs.Do("zfs set dplane:term=9 tank/g"); err != nil {
			t.Fatal(err)
		}
		if err := b.zfs.Control("missing zfs"); err != nil {
			t.Fatal(err)
		}
		b.boot()
		defer b.x.Stop()
		b.later(time.Minute)
		if b.s.Role != state.RoleBoot || len(b.alarms) != 1 {
			t.Errorf("it is %s, and said %q", b.s.Role, b.alarms)
		}
		if err := b.zfs.Control("missing nothing"); err != nil {
			t.Fatal(err)
		}
		b.later(time.Minute)
		b.is(state.RoleStandby)
		if b.s.Term != 9 || b.s.Holder != "" {
			t.Errorf("term %d of %q", b.s.Term, b.s.Holder)
		}
		b.sound()
	})
}
