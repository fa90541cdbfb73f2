package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/beat"
	"github.com/dplaneos/dplane/drivers/ha/carry"
	"github.com/dplaneos/dplane/drivers/ha/exec"
	"github.com/dplaneos/dplane/drivers/ha/gate"
	"github.com/dplaneos/dplane/drivers/ha/rejoin"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// How the group's machine is joined to the daemon: what the files say of it, what the loop may do beside it.

// patienceOfPeers is how long a candidate waits for promises: three beats.
const patienceOfPeers = 45 * time.Second

// show makes the role known to the commands and to what peers send.
func (g *group) show(s *state.HA) error {
	seen := g.seen.Load()
	if seen == nil {
		return errors.New("no files were read yet")
	}
	return g.role.Write(gate.Dir(seen.want.Daemon.Runtime), s, receiverOf(seen.want))
}

// receiverOf is as whom other nodes log in to this one: by the entry in remotes that is its own. Where that is not declared here, or
// is nobody that this machine knows, it is root.
func receiverOf(want *spec.Spec) int {
	if want.HA == nil || os.Geteuid() != 0 {
		return os.Geteuid() // nobody but root can let others in
	}
	p := want.HA.Peers[want.Node.Name]
	if p == nil || want.Remotes[p.Remote] == nil {
		return 0
	}
	u, err := user.Lookup(want.Remotes[p.Remote].User)
	if err != nil {
		return 0
	}
	id, err := strconv.Atoi(u.Uid)
	if err != nil {
		return 0
	}
	return id
}

// settings are what the files say of the group, and who does its steps here.
func (d *daemon) settings(want *spec.Spec) exec.Settings {
	h := want.HA
	if h == nil {
		return exec.Settings{}
	}
	c := ha.Config{
		Limits: ha.Limits{Every: h.Heartbeat.Every.Std(), Misses: h.Heartbeat.Misses, Skew: ha.MaxSkew}, MaxLag: h.MaxLag,
		Agents: map[string]bool{}, Patience: patienceOfPeers, Shared: want.Shared(), StartAlone: h.StartAlone > 0, Automatic: h.Failover.Mode == "automatic",
	}
	for name := range h.Peers {
		if name != want.Node.Name {
			c.Peers = append(c.Peers, name)
			c.Agents[name] = d.group.exec.Fence != nil && len(h.Fencing[name]) > 0
		}
	}
	slices.Sort(c.Peers)
	n := &carry.Node{
		Runner: d.loop.Runner, HA: h, Mountpoints: mountpoints(want), Now: reconcile.Wall{}.Now, Sleep: sleep,
		Quiet: func() (bool, error) { return gate.Quiet(gate.Dir(want.Daemon.Runtime)) },
	}
	db := d.db
	n.Send = func(ctx context.Context, to string) error {
		return d.group.final(ctx, d.app, d.app.loop(db, true), want, n, to)
	}
	back := func(active string, term uint64) *rejoin.Node {
		b := rejoinOf(d.loop.Runner, want, active, term)
		if b != nil {
			b.Replaced = func(ctx context.Context, name string) error { _, err := db.Forget(ctx, name); return err }
		}
		return b
	}
	n.Replaced = func(ctx context.Context, name string) error { _, err := db.Forget(ctx, name); return err }
	return exec.Settings{Config: c, StartAlone: h.StartAlone.Std(), Node: n, Back: back}
}

// mountpoints are those that the files declare in the group.
func mountpoints(want *spec.Spec) map[string]string {
	all := map[string]string{}
	for name, d := range want.Datasets {
		if at := d.Properties["mountpoint"].Value; at != "" && slices.ContainsFunc(want.HA.Datasets, name.Under) {
			all[string(name)] = at
		}
	}
	return all
}

func sleep(ctx context.Context, long time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-(reconcile.Wall{}).After(long):
		return nil
	}
}

// takePart has the machine run once there is something to take part in.
func (g *group) takePart() {
	if !g.running && g.watch.TakesPart() {
		g.running = true
		g.exec.Start()
	}
}

// final sends the last increment of a switchover, and believes what the other node says that it has.
func (g *group) final(ctx context.Context, a *app, l *reconcile.Loop, want *spec.Spec, n *carry.Node, to string) error {
	names := map[string]bool{}
	for name, r := range want.Replications {
		if r.Pair != "" && r.Source.Remote == "" && want.HA.Peers[to] != nil && r.Target.Remote == want.HA.Peers[to].Remote {
			names[name] = true
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("no replication with `target: standby` sends to %s", to)
	}
	l.Role, l.Frozen, l.Enter = func() string { return spec.RoleActive }, nil, nil // what is sent is this node's, until it is handed over
	l.Lanes = &reconcile.Lanes{Dirs: reconcile.LaneDirs(&want.Daemon)}             // or the loop would take it for what a killed process left
	consent := reconcile.ByHand(&want.Daemon.Limits, nil)
	consent.Send = names
	p, obs, err := l.Plan(ctx, want, consent)
	if err != nil {
		return err
	}
	for name := range names {
		if seen := obs.Replications[name]; seen == nil || seen.Unseen != "" {
			return fmt.Errorf("replication %s: %s", name, unseen(seen))
		}
	}
	p.Actions = slices.DeleteFunc(p.Actions, func(x reconcile.Planned) bool {
		name, _, _ := strings.Cut(x.Object.Name, ":")
		return x.Object.Kind != spec.KindReplication || !names[name] || !x.Runnable()
	})
	s, err := l.Carry(ctx, want, p, obs, consent, reconcile.ByDaemon)
	if err != nil {
		return err
	}
	for _, o := range append(s.Outcomes, l.Lanes.Wait()...) {
		if o.Err != nil {
			return o.Err
		}
	}
	return g.arrived(ctx, n, to)
}

func unseen(seen *state.Replication) string {
	if seen == nil {
		return "it was not looked at"
	}
	return seen.Unseen
}

func (g *group) arrived(ctx context.Context, n *carry.Node, to string) error {
	all, err := n.Published(ctx)
	if err != nil {
		return err
	}
	guids := map[string]string{}
	for name, p := range all {
		guids[name] = p.GUID
	}
	lacks, err := g.watch.Missing(ctx, to, guids)
	if err == nil && len(lacks) > 0 {
		err = fmt.Errorf("%s has not the final snapshot of %s", to, strings.Join(lacks, ", "))
	}
	return err
}

// groupWork is what is being done to the group's datasets by the loop. A lock in daemon.runtime stands for it, which other
// processes of dplane take too.
type groupWork struct {
	mu    sync.Mutex
	next  int
	doing map[int]context.CancelFunc
}

// errNotOurs is why an action on the group is refused: it was planned in another role.
var errNotOurs = errors.New("the role of this node in its HA group changed since this was planned: nothing was done")

// enter lets an action of the loop begin, or not: the role is read again before each one that touches the group. What is let in
// ends when the node is to demote itself, which waits for it.
func (a *app) enter(ctx context.Context, x reconcile.Planned) (context.Context, func(), error) {
	want := a.inForce.Load()
	if !reconcile.OfGroup(want, &x.Action) {
		return ctx, func() {}, nil
	}
	f, err := groupLock(want, syscall.LOCK_SH)
	if err != nil {
		return ctx, nil, fmt.Errorf("%w: it is being changed now (%w)", errNotOurs, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	id := a.work.add(cancel)
	leave := func() { a.work.remove(id); cancel(); f.Close() }
	if role := a.role(); role != spec.RoleActive {
		leave()
		return ctx, nil, fmt.Errorf("%w: it is %s", errNotOurs, role)
	}
	if why := a.frozen(); why != "" && x.Takes() {
		leave()
		return ctx, nil, fmt.Errorf("replication and pruning in the HA group stand still: %s: nothing was done", why)
	}
	return ctx, leave, nil
}

func groupLock(want *spec.Spec, how int) (*os.File, error) {
	if err := os.MkdirAll(want.Daemon.Runtime, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(want.Daemon.Runtime, "group.lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (w *groupWork) add(cancel context.CancelFunc) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.doing == nil {
		w.doing = map[int]context.CancelFunc{}
	}
	w.next++
	w.doing[w.next] = cancel
	return w.next
}

func (w *groupWork) remove(id int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.doing, id)
}

func (w *groupWork) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cancel := range w.doing {
		cancel()
	}
}

// drained is how long a demotion waits for what is being done to the group.
const drained = 30 * time.Second

// drain ends what is being done to the group's datasets, and waits until it has ended. The role is known to be another one by
// then, so nothing new begins.
func (a *app) drain(ctx context.Context) error {
	want := a.inForce.Load()
	if want == nil || want.HA == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, drained)
	defer cancel()
	for {
		a.work.end()
		f, err := groupLock(want, syscall.LOCK_EX)
		if err == nil {
			return f.Close()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return errors.New("something is being done to the group's datasets, and does not end: dplane status")
		}
	}
}

// configOf is what the watch follows.
func (d *daemon) groupConfig() *beat.Config {
	var key *beat.Key
	var err error
	if d.want.HA != nil {
		key, err = beat.LoadKey(beat.KeyFile(d.file.path))
	}
	return beat.ConfigOf(d.want, key, err)
}

// off has a peer's fence agents switch it off, and gives what they said then.
func (g *group) off(ctx context.Context, peer string) (string, error) {
	seen := g.seen.Load()
	if seen == nil {
		return "", errors.New("no files were read yet")
	}
	p, err := newFencer(fenceLevels(seen.want)).Off(ctx, peer)
	if err != nil {
		return "", err
	}
	return p.String(), nil
}
