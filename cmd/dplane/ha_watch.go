package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/dplaneos/dplane/cmd/internal/control"
	"github.com/dplaneos/dplane/cmd/internal/web"
	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/beat"
	"github.com/dplaneos/dplane/drivers/ha/exec"
	"github.com/dplaneos/dplane/drivers/ha/gate"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// group is this node's part in its HA group: the watch has goroutines of its own, so that the loop, which waits for zfs,
// never costs a beat.
type group struct {
	watch   *beat.Watch
	exec    *exec.Exec
	seen    atomic.Pointer[sight]
	ready   bool // its memory was read
	running bool // the machine takes part
	began   time.Time
	control *control.Server
	at      string      // where it answers
	fence   *fenceWatch // nil: no fence device is declared
	role    gate.Keeper
	lacks   string // what a promotion would miss, as it was told last
}

// sight is the last look at the machine, and the files it was for.
type sight struct {
	want *spec.Spec
	obs  *state.Observed
}

func (d *daemon) newGroup() *group {
	g := &group{began: reconcile.Wall{}.Now(), exec: exec.New()}
	g.watch = &beat.Watch{
		Line: beat.Net{}, Clock: reconcile.Wall{}, Log: d.log, Local: g.local,
	}
	asked := web.New(nil, d.pulse.loop) // by load balancers alone: it reads no database
	asked.Live, g.watch.Health = g.live, asked
	g.watch.Machine = g.exec
	g.exec.Watch, g.exec.Clock, g.exec.Log, g.exec.Show, g.exec.Drain = g.watch, reconcile.Wall{}, d.log, g.show, d.drain
	g.exec.Fence = g.off
	return g
}

// live is what load balancers are answered by; nil where this node has no role.
func (g *group) live() *state.HARecord {
	if g == nil || !g.watch.TakesPart() {
		return nil
	}
	return g.watch.Record()
}

// local is what this node says of itself to its peers.
func (g *group) local(now time.Time) ha.Local {
	s := g.seen.Load()
	if s == nil {
		return ha.Local{}
	}
	obs, fresh := s.obs, max(lookedFor*s.want.Daemon.Interval.Std(), lookedLeast)
	if obs == nil && now.Sub(g.began) > fresh {
		obs = &state.Observed{} // it should have looked by now
	}
	l := ha.LocalOf(s.want, obs, now, fresh)
	l.Group, l.Looked = g.exec.Group(), g.exec.Looked()
	return l
}

// lookedFor is how many intervals a look tells something, and lookedLeast for how long it does in any case: a machine that is
// busy looks later.
const (
	lookedFor   = 3
	lookedLeast = 30 * time.Second
)

// follow puts the files in force, or another database, to the group. Without its memory this node takes no part: it might
// forget a term.
func (d *daemon) followGroup(ctx context.Context) {
	if d.group == nil {
		d.group = d.newGroup()
	}
	g := d.group
	g.watch.Use(d.db)
	if !g.ready {
		if err := g.watch.Load(ctx); err != nil {
			d.log.Error("this node takes no part in its HA group", "err", err)
			return
		}
		g.ready = true
	}
	if d.want == nil {
		return
	}
	s := &sight{want: d.want}
	if old := g.seen.Load(); old != nil {
		s.obs = old.obs
	}
	g.seen.Store(s)
	if d.want.HA != nil && !g.running { // until it is known which role it has, it has none
		if err := g.show(&state.HA{Node: d.want.Node.Name, Role: state.RoleBoot}); err != nil {
			d.log.Error("this node takes no part in its HA group", "err", err)
			return
		}
	}
	g.exec.Use(d.settings(d.want))
	g.watch.Follow(d.groupConfig())
	g.takePart()
	d.answer()
	g.followFencing(d.want)
	d.lacks(ctx)
}

// lacks tells, once for each state of the files, what a promotion would miss.
func (d *daemon) lacks(ctx context.Context) {
	n := d.group.exec.Settings().Node
	if n == nil || !d.group.running {
		return
	}
	text := ""
	if err := n.Lacks(ctx); err != nil {
		text = err.Error()
	}
	if text != "" && text != d.group.lacks {
		d.group.watch.Alarm(state.Error, text)
	}
	d.group.lacks = text
}

// looked tells the group what was seen of this machine.
func (g *group) looked(want *spec.Spec, obs *state.Observed) {
	if g != nil {
		g.seen.Store(&sight{want, obs})
	}
}

func (g *group) stop() {
	if g != nil && g.ready {
		g.fence.stop()
		g.control.Stop()
		if g.running {
			g.exec.Stop()
		}
		g.watch.Stop()
		g.role.Close()
	}
}
