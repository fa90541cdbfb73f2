package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/ha/gate"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// member is a node of a group, whose daemon says which role it has.
func member(t *testing.T) (a *app, says func(role state.Role)) {
	want := &spec.Spec{
		Node: spec.Node{Name: "nas-a"}, Daemon: spec.Daemon{Runtime: filepath.Join(t.TempDir(), "run")},
		HA: &spec.HA{Datasets: []spec.DatasetName{"tank/home"}, Peers: map[string]*spec.Peer{"nas-a": {}, "nas-b": {Remote: "nas-b"}}},
		Replications: map[string]*spec.Replication{
			"pair":    {Source: spec.End{Dataset: "tank/home"}},
			"below":   {Source: spec.End{Dataset: "tank/home/a"}},
			"other":   {Source: spec.End{Dataset: "tank/other"}},
			"fetched": {Source: spec.End{Remote: "nas-c", Dataset: "tank/home"}, Target: spec.End{Dataset: "tank/copy"}},
		},
	}
	a = &app{edges: edges{stderr: io.Discard}}
	a.inForce.Store(want)
	keeper := &gate.Keeper{}
	t.Cleanup(keeper.Close)
	return a, func(role state.Role) {
		t.Helper()
		if err := keeper.Write(gate.Dir(want.Daemon.Runtime), &state.HA{Node: "nas-a", Role: role, Term: 1, Holder: "nas-a"}, os.Geteuid()); err != nil {
			t.Fatal(err)
		}
	}
}

func acts(kind spec.Kind, name string, steps ...host.Command) reconcile.Planned {
	return reconcile.Planned{Action: drivers.Action{Object: spec.Ref{Kind: kind, Name: name}, Steps: steps}}
}

func snapshotOf(name string) reconcile.Planned {
	return acts(spec.KindSchedule, name, host.Write("zfs", "snapshot", name+"@x"))
}

func TestOfGroup(t *testing.T) {
	a, _ := member(t)
	want := a.inForce.Load()
	pipe := host.Write("zfs", "receive", "tank/copy")
	pipe.Stdin = &host.Command{Argv: []string{"zfs", "send", "tank/home@x"}}
	for _, c := range []struct {
		what string
		x    reconcile.Planned
		is   bool
	}{
		{"a snapshot", snapshotOf("tank/home"), true},
		{"one below", snapshotOf("tank/home/a"), true},
		{"one that only begins so", snapshotOf("tank/homes"), false},
		{"another one", snapshotOf("tank/other"), false},
		{"a property", acts(spec.KindDataset, "tank/home", host.Write("zfs", "set", "a=b", "tank/home")), true},
		{"a bookmark", acts(spec.KindSchedule, "x", host.Write("zfs", "bookmark", "tank/home@x", "tank/home#x")), true},
		{"a bookmark that goes", acts(spec.KindSchedule, "x", host.Write("zfs", "destroy", "tank/home#x")), true},
		{"many snapshots", acts(spec.KindSchedule, "tank/other", host.Write("zfs", "destroy", "tank/home@a,b")), true},
		{"the end of a pipe", acts(spec.KindDataset, "tank/copy", pipe), true},
		{"the second step", acts(spec.KindDataset, "tank", host.Write("zfs", "set", "a=b", "tank"), host.Write("zfs", "mount", "tank/home/b")), true},
		{"its replication", acts(spec.KindReplication, "pair"), true},
		{"a part of it", acts(spec.KindReplication, "pair:tank/home/a"), true},
		{"one of a part", acts(spec.KindReplication, "below"), true},
		{"another replication", acts(spec.KindReplication, "other"), false},
		{"one that is fetched", acts(spec.KindReplication, "fetched"), false},
		{"one that left the files", acts(spec.KindReplication, "gone"), true},
	} {
		if got := reconcile.OfGroup(want, &c.x.Action); got != c.is {
			t.Errorf("%s: %t", c.what, got)
		}
	}
	if x := snapshotOf("tank/home"); reconcile.OfGroup(nil, &x.Action) || reconcile.OfGroup(&spec.Spec{}, &x.Action) {
		t.Error("without a group")
	}
}

// What was planned while the node was active is not done once it is not; what is not the group's is.
func TestEnterByRole(t *testing.T) {
	a, says := member(t)
	for _, role := range []state.Role{"", state.RoleBoot, state.RoleStandby, state.RolePromoting, state.RoleDemoting, state.RoleSuperseded, state.RoleDiverged} {
		if role != "" { // else nothing is written at all
			says(role)
		}
		if _, _, err := a.enter(t.Context(), snapshotOf("tank/home")); !errors.Is(err, errNotOurs) {
			t.Errorf("%q: %v", role, err)
		}
		_, leave, err := a.enter(t.Context(), snapshotOf("tank/other"))
		if err != nil {
			t.Fatalf("%q: %v", role, err)
		}
		leave()
		if err := a.drain(t.Context()); err != nil { // who was refused holds nothing
			t.Errorf("%q: %v", role, err)
		}
	}
	for _, role := range []state.Role{state.RoleActive, state.RoleActiveFailsafe} {
		says(role)
		_, leave, err := a.enter(t.Context(), snapshotOf("tank/home"))
		if err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		leave()
	}
	a.inForce.Load().Node.Name = "nas-c" // it was renamed: that role is another one's
	if _, _, err := a.enter(t.Context(), snapshotOf("tank/home")); !errors.Is(err, errNotOurs) {
		t.Error(err)
	}
}

// A demotion ends what is being done to the group and waits for its end; nothing comes in between.
func TestDrain(t *testing.T) {
	a, says := member(t)
	says(state.RoleActive)
	var over sync.WaitGroup
	var ended sync.Map
	const many = 5
	for i := range many {
		ctx, leave, err := a.enter(t.Context(), snapshotOf("tank/home"))
		if err != nil {
			t.Fatal(err)
		}
		over.Go(func() {
			<-ctx.Done() // it was told to end, and takes its time
			time.Sleep(50 * time.Millisecond)
			ended.Store(i, true)
			leave()
		})
	}
	says(state.RoleDemoting)
	if err := a.drain(t.Context()); err != nil {
		t.Error(err)
	}
	for i := range many {
		if _, is := ended.Load(i); !is {
			t.Error("it did not wait")
		}
	}
	over.Wait()
	if n := len(a.work.doing); n > 0 {
		t.Errorf("%d are left", n)
	}
	if _, _, err := a.enter(t.Context(), snapshotOf("tank/home")); !errors.Is(err, errNotOurs) {
		t.Error(err)
	}
}

// Another process of dplane that is at work is waited for, and what does not end is told.
func TestDrainOther(t *testing.T) {
	a, says := member(t)
	says(state.RoleActive)
	other, err := groupLock(a.inForce.Load(), syscall.LOCK_SH)
	if err != nil {
		t.Fatal(err)
	}
	says(state.RoleDemoting)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := a.drain(ctx); err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Error(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { other.Close() })
	if err := a.drain(t.Context()); err != nil {
		t.Error(err)
	}
	held, err := groupLock(a.inForce.Load(), syscall.LOCK_EX) // as while it is drained
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	says(state.RoleActive)
	if _, _, err := a.enter(t.Context(), snapshotOf("tank/home")); !errors.Is(err, errNotOurs) {
		t.Error(err)
	}
	if n := len(a.work.doing); n > 0 {
		t.Errorf("%d are left", n)
	}
}
