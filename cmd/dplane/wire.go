package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/dataset"
	"github.com/dplaneos/dplane/drivers/ha/handover"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/drivers/pool"
	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/drivers/schedule"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state"
)

// kinds are the drivers, in the order in which they observe: what an earlier one saw a later one reads. Without leave
// to write nothing is remembered of a look.
func kinds(r host.Runner, memory memories, clock reconcile.Clock, mayWrite bool) []drivers.Driver {
	return []drivers.Driver{
		&pool.Driver{Runner: r}, &pool.Disks{Runner: r}, &dataset.Driver{Runner: r},
		&schedule.Driver{Runner: r, Memory: memory, Now: clock.Now, Learns: mayWrite},
		&replication.Driver{Runner: r, Memory: memory, Now: clock.Now, After: clock.After, Learns: mayWrite, Room: make(chan struct{}, moreStreams)},
		&handover.Driver{Memory: memory},
	}
}

// memories are what drivers remember.
type memories interface {
	schedule.Memory
	replication.Memory
	handover.Memory
}

// store is all memory of a machine.
type store interface {
	reconcile.Store
	memories
}

// loop joins the drivers, the store and the clock. Without leave to write, nothing can be changed by
// what it runs.
func (a *app) loop(store store, mayWrite bool) *reconcile.Loop {
	var r host.Runner = host.Prompting{
		Runner: process.New(process.WithLanes(zfs.PoolNamed, suspended), process.WithRemotes(a.connections, a.remote), process.WithTerm(a.term)), Ask: a.askSecret,
	}
	if !mayWrite {
		r = host.ReadOnly{Runner: r}
	}
	if a.hurry > 0 {
		r = host.Hurried{Runner: r, Limit: a.hurry}
	}
	all := kinds(r, store, reconcile.Wall{}, mayWrite)
	for _, d := range all {
		switch d := d.(type) {
		case *replication.Driver:
			if !a.json {
				d.Tell = a.sending
			}
		case *handover.Driver:
			if mayWrite {
				d.Order = a.handOver
			}
		}
	}
	return &reconcile.Loop{
		Drivers: all, Runner: r, Store: store, Clock: reconcile.Wall{}, Log: a.logger(),
		Render: render.PlanJSON, Role: a.role, Frozen: a.frozen, Enter: a.enter,
	}
}

// moreStreams is how many streams there are at once beside the one of each replication. What is behind by little waits for
// writes to be synced most of its time; disks that turn are not to be asked by too many.
const moreStreams = 3

// connections is the directory of what is kept of remotes, "" before any files were read.
func (a *app) connections() string {
	if s := a.inForce.Load(); s != nil {
		return filepath.Join(s.Daemon.Runtime, "ssh")
	}
	return ""
}

// remote is a machine that the files in force name.
func (a *app) remote(name string) (m process.Remote, known bool) {
	s := a.inForce.Load()
	if s == nil || s.Remotes[name] == nil {
		return m, false
	}
	r := s.Remotes[name]
	m = process.Remote{Host: r.Host, Port: r.Port, User: r.User, IdentityFile: r.IdentityFile, HostKey: r.HostKey}
	if s.HA != nil {
		for _, p := range s.HA.Peers {
			m.Peer = m.Peer || p.Remote == name
		}
	}
	return m, true
}

// suspended tells whether a pool says that it is: what runs on it then will not end before its devices are back.
func suspended(ctx context.Context, pool string) bool {
	ask, says := zfs.Suspended(pool)
	res, err := process.New().Run(context.WithoutCancel(ctx), ask)
	return err == nil && string(res.Stdout) == says
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// forgetful is the memory of a machine that has none: planning needs no database.
type forgetful struct{ store }

func (forgetful) Recorded(context.Context) ([]state.Recorded, error) { return nil, nil }

func (forgetful) LastGeneration(context.Context) (state.Generation, bool, error) {
	return state.Generation{}, false, nil
}

func (forgetful) Taken(context.Context, int64) (int64, map[string]*state.Taken, error) {
	return 0, map[string]*state.Taken{}, nil
}

func (forgetful) Replicated(context.Context) (map[string]*state.Replicated, error) { return nil, nil }

func (forgetful) Received(context.Context, int64) (int64, map[string]map[string]*state.Received, error) {
	return 0, map[string]map[string]*state.Received{}, nil
}

func (forgetful) Kept(context.Context, string) (*state.Kept, error) { return nil, nil }

func (forgetful) HA(context.Context) (*state.HARecord, error) { return nil, nil }
