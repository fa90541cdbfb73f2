package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/drivers/replication/receive"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/reconcile"
)

// gate runs on another machine only what its forced command lets through, and as that lets it through.
type gate struct {
	t     *testing.T
	rules receive.Rules
	far   *zfsfake.Fake
	here  *zfsfake.Fake
	local host.Runner
	forms map[string]bool // that were let through: the first words
}

func (g *gate) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if c.Stdin != nil && c.Stdin.Host != "" {
		sender := *c.Stdin
		sender.Argv = g.admit(ctx, sender, false)
		c.Stdin = &sender
	}
	if c.Host != "" {
		c.Argv = g.admit(ctx, c, c.Stdin != nil)
	}
	if c.Into != nil {
		return g.read(c)
	}
	return g.local.Run(ctx, c)
}

// read gives the stream of a snapshot as zfs would write it: its beginning and its end. That of the model is its own.
func (g *gate) read(c host.Command) (host.Result, error) {
	at := g.here
	if c.Host != "" {
		at = g.far
	}
	guid, err := strconv.ParseUint(strings.TrimSpace(doOn(g.t, at, "zfs get -Hp -o value guid "+c.Argv[len(c.Argv)-1])), 10, 64)
	if err != nil {
		return host.Result{}, err
	}
	le, stream := binary.LittleEndian, make([]byte, 2*312)
	le.PutUint64(stream[8:], 0x2f5bacbac)
	le.PutUint64(stream[16:], 1)
	if slices.Contains(c.Argv, "-w") {
		le.PutUint64(stream[16:], 1|1<<26)
	}
	le.PutUint64(stream[40:], guid)
	le.PutUint32(stream[312:], 5)
	_, err = c.Into.Write(stream)
	return host.Result{}, err
}

// admit is what runs there for a command.
func (g *gate) admit(ctx context.Context, c host.Command, piped bool) (argv []string) {
	line, err := process.FarLine(c.Argv, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	door := receive.Door{Rules: g.rules, Runner: g.far, Become: func(w []string) error { argv = w; return nil },
		Feed: func(w []string, _ func(io.Reader, io.Writer) error) error { argv = w; return nil }, // the model's stream is no real one
		Head: func(n int) ([]byte, error) {
			if !piped {
				return nil, errors.New("no stream is there")
			}
			return headOf(c), nil
		}}
	if err := door.Open(ctx, line); err != nil {
		g.t.Errorf("dplane itself is not let in: %v", err)
		return c.Argv
	}
	if !slices.Equal(argv, c.Argv) && c.Argv[1] != "receive" {
		g.t.Errorf("%q runs as %q", c.Argv, argv)
	}
	g.forms[strings.Join(c.Argv[:min(3, len(c.Argv))], " ")] = true
	return argv
}

// headOf is the beginning of the stream that a real sender would write: of the model's it has the kind.
func headOf(c host.Command) []byte {
	b := make([]byte, 40)
	copy(b[8:], []byte{0xac, 0xcb, 0xba, 0xf5, 2})
	b[16], b[32] = 1, 2
	if slices.Contains(c.Stdin.Argv, "-I") {
		b[16] = 2
	}
	if !slices.Contains(c.Argv, "canmount=noauto") {
		b[32] = 3
	}
	return b
}

const overSSH = `
datasets:
  tank: {}
  usb: {}
pools:
  tank: {}
  usb: {}
remotes:
  far: {host: far.lan, user: repl, identityFile: /root/key, hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
replications:
  off: {source: SOURCE, target: TARGET, recursive: true, exclude: [tank/a/cache], receive: {set: {quota: 10G}, exclude: [mountpoint]}, keep: {daily: 2}}
`

// newGated is a machine whose other end is on another one, behind a forced command.
func newGated(t *testing.T, source, target string, rules receive.Rules) (*ticking, *gate) {
	t.Helper()
	x := newSending(t)
	x.do("zfs create -s -V 8M tank/a/vol")
	far := zfsfake.New()
	far.AddFile("/pool/c", 1<<30)
	x.want = policyOf(t, strings.NewReplacer("SOURCE", source, "TARGET", target).Replace(overSSH))
	x.ZFS.Remotes = map[string]*zfsfake.Fake{"far": far}
	g := &gate{t: t, rules: rules, far: far, here: x.ZFS, local: x.ZFS, forms: map[string]bool{}}
	return x, g
}

func (x *ticking) through(g *gate, at string, allow map[string]bool) reconcile.Step {
	x.t.Helper()
	x.at(at)
	x.ZFS.SetClock(x.Clock.now)
	g.far.SetClock(x.Clock.now)
	g.local = x.ZFS
	l := x.Loop(g)
	consent := reconcile.ByHand(&x.want.Daemon.Limits, allow)
	p, obs, err := l.Plan(x.t.Context(), x.want, consent)
	if err != nil {
		x.t.Fatal(err)
	}
	step, err := l.Carry(x.t.Context(), x.want, p, obs, consent, "sim")
	if err != nil {
		x.t.Fatal(err)
	}
	for _, o := range step.Outcomes {
		if o.Err != nil && !strings.Contains(o.Err.Error(), "incomplete stream") { // which is cut on purpose
			x.t.Errorf("%s: %v", o.Action.Object, o.Err)
		}
	}
	d := &replication.Driver{Runner: g, Memory: x.Store, Now: x.Clock.Now, After: x.Clock.After}
	if checks := d.Check(x.t.Context(), x.want, obs, "off", 0); len(checks) < 5 {
		x.t.Errorf("the checks of a replication: %+v", checks)
	}
	return step
}

// doOn runs a line on one of the machines.
func doOn(t *testing.T, f *zfsfake.Fake, line string) string {
	t.Helper()
	out, err := f.Do(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return out
}

// snapAll writes and takes snapshots of this name on the machine of the source.
func snapAll(t *testing.T, f *zfsfake.Fake, names ...string) {
	t.Helper()
	for _, name := range names {
		for _, d := range []string{"tank/a", "tank/a/b", "tank/a/vol"} {
			f.Write(d, 1<<20)
			doOn(t, f, "zfs snapshot "+d+"@"+name)
		}
	}
}

// equal fails unless each target has the newest snapshot of its source, and nothing else than it.
func equal(t *testing.T, from, to *zfsfake.Fake, target string) {
	t.Helper()
	for _, d := range []string{"", "/b", "/vol"} {
		source := strings.Fields(doOn(t, from, "zfs list -Hp -d 1 -t snapshot -o guid -s createtxg tank/a"+d))
		there := strings.Fields(doOn(t, to, "zfs list -Hp -d 1 -t snapshot -o guid -s createtxg "+target+d))
		own := func(guid string) bool { return !slices.Contains(source, guid) }
		if n := len(there); n == 0 || there[n-1] != source[len(source)-1] || slices.ContainsFunc(there, own) {
			t.Errorf("%s has %v, the target %v", d, source, there)
		}
	}
}

// All that dplane asks of the machine that it sends to goes through the forced command of its key: whole, on top, broken
// off, thrown away, and both ways out of a divergence.
func TestReceivePush(t *testing.T) {
	rules := receive.Rules{Targets: []receive.Target{{Dataset: "backup/a", Repair: true, Prune: true, Set: map[string]string{"quota": "10737418240"}}}}
	x, g := newGated(t, "tank/a", "{remote: far, dataset: backup/a}", rules)
	doOn(t, g.far, "zpool create backup /pool/c")
	snapAll(t, x.ZFS, "one")
	x.through(g, "2026-11-24T08:00:00Z", nil)
	equal(t, x.ZFS, g.far, "backup/a")
	snapAll(t, x.ZFS, "two", "three")
	x.through(g, "2026-11-24T08:01:00Z", nil)
	equal(t, x.ZFS, g.far, "backup/a")

	snapAll(t, x.ZFS, "four")
	x.ZFS.Model.Cuts = []uint64{1 << 18, 1 << 18, 1 << 18}
	x.through(g, "2026-11-24T08:02:00Z", nil)
	x.through(g, "2026-11-24T08:03:00Z", nil) // it goes on
	equal(t, x.ZFS, g.far, "backup/a")

	snapAll(t, x.ZFS, "five")
	x.ZFS.Model.Cuts = []uint64{1 << 18, 1 << 18, 1 << 18}
	x.through(g, "2026-11-24T08:04:00Z", nil)
	for _, d := range []string{"", "/b", "/vol"} { // what was cut is of nothing any more
		doOn(t, x.ZFS, "zfs release dplane:off:source tank/a"+d+"@five")
		doOn(t, x.ZFS, "zfs destroy tank/a"+d+"@five")
	}
	snapAll(t, x.ZFS, "six")
	x.through(g, "2026-11-24T08:05:00Z", nil)
	x.through(g, "2026-11-24T08:05:30Z", nil)
	equal(t, x.ZFS, g.far, "backup/a")

	for i, risk := range []string{"destructive", "disruptive"} {
		g.far.Write("backup/a/b", 1<<20)
		doOn(t, g.far, "zfs snapshot backup/a/b@own")
		snapAll(t, x.ZFS, "own"+risk)
		step := x.through(g, []string{"2026-11-24T08:06:00Z", "2026-11-24T08:08:00Z"}[i], nil)
		allow := map[string]bool{}
		for _, a := range step.Remaining.Actions {
			if a.Verb == "update" && a.Risk.String() == risk {
				allow[a.ID] = true
			}
		}
		if len(allow) != 1 {
			t.Fatalf("no way out that is %s", risk)
		}
		x.through(g, []string{"2026-11-24T08:07:00Z", "2026-11-24T08:09:00Z"}[i], allow)
	}
	for _, form := range []string{"zfs list -Hp", "zfs list -H", "zfs receive -s", "zfs receive -A", "zfs hold dplane:off", "zfs release dplane:off",
		"zfs holds -H", "zfs rename -u", "zfs rollback -r", "zfs get -Hp"} {
		if !g.forms[form] {
			t.Errorf("nothing asked for %s: the test does not see all that dplane asks for", form)
		}
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(g.forms)), func(f string) bool { return strings.HasPrefix(f, "zfs destroy backup/a") }) {
		t.Error("nothing was pruned on the target")
	}
}

// So does all that it asks of the machine that it fetches from.
func TestReceivePull(t *testing.T) {
	x, g := newGated(t, "{remote: far, dataset: tank/a}", "usb/fetched", receive.Rules{Sources: []receive.Source{{Dataset: "tank/a"}}})
	doOn(t, g.far, "zpool create tank /pool/c")
	for _, d := range []string{"tank/a", "tank/a/b"} {
		doOn(t, g.far, "zfs create "+d)
	}
	doOn(t, g.far, "zfs create -s -V 8M tank/a/vol")
	snapAll(t, g.far, "one")
	x.through(g, "2026-11-24T08:00:00Z", nil)
	equal(t, g.far, x.ZFS, "usb/fetched")
	snapAll(t, g.far, "two", "three")
	g.far.Model.Cuts = []uint64{1 << 18, 1 << 18, 1 << 18}
	x.through(g, "2026-11-24T08:01:00Z", nil)
	x.through(g, "2026-11-24T08:02:00Z", nil)
	x.through(g, "2026-11-24T08:03:00Z", nil)
	equal(t, g.far, x.ZFS, "usb/fetched")
	for _, form := range []string{"zfs list -Hp", "zfs send -P", "zfs send -n", "zfs hold dplane:off", "zfs release dplane:off", "zfs bookmark tank/a@one", "zfs destroy tank/a#"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(g.forms)), func(f string) bool { return strings.HasPrefix(f, form) }) {
			t.Errorf("nothing asked for %s: the test does not see all that dplane asks for", form)
		}
	}
}

// proven fails unless a comparison through the forced command finds all datasets equal, by what they hold as well.
func (x *ticking) proven(g *gate) {
	x.t.Helper()
	d := &replication.Driver{Runner: g, Memory: x.Store, Now: x.Clock.Now, After: x.Clock.After}
	obs, err := x.Loop(g).Observe(x.t.Context(), x.want)
	if err != nil {
		x.t.Fatal(err)
	}
	all, err := d.Verify(x.t.Context(), x.want, obs, "off", replication.Proof{Deep: true})
	if err != nil || len(all) != 3 {
		x.t.Fatalf("%+v, %v", all, err)
	}
	for _, v := range all {
		if !v.OK() || v.Deep == nil || !v.Deep.Equal {
			x.t.Errorf("%+v %+v", v, v.Deep)
		}
	}
}

// A comparison, and the way back, ask of the far end what its forced command lets through: of a source nothing more than a
// replication, and of a target that it is named as a source too.
func TestReceiveVerifyAndRestore(t *testing.T) {
	target := receive.Target{Dataset: "backup/a", Set: map[string]string{"quota": "10737418240"}, Prune: true}
	x, g := newGated(t, "tank/a", "{remote: far, dataset: backup/a}", receive.Rules{Targets: []receive.Target{target}, Sources: []receive.Source{{Dataset: "backup/a"}}})
	doOn(t, g.far, "zpool create backup /pool/c")
	snapAll(t, x.ZFS, "one", "two")
	x.through(g, "2026-11-24T08:00:00Z", nil)
	equal(t, x.ZFS, g.far, "backup/a")
	x.proven(g)

	back := func(at string) {
		t.Helper()
		x.at(at)
		d := &replication.Driver{Runner: g, Memory: x.Store, Now: x.Clock.Now, After: x.Clock.After}
		obs, err := x.Loop(g).Observe(t.Context(), x.want)
		if err != nil {
			t.Fatal(err)
		}
		act, _, err := d.PlanRestore(t.Context(), x.want, obs, "off", replication.Wish{To: "usb/back"})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Apply(t.Context(), act); err != nil && !strings.Contains(err.Error(), "incomplete stream") {
			t.Error(err)
		}
	}
	g.far.Model.Cuts = []uint64{1 << 18, 0, 1 << 18}
	for _, at := range []string{"2026-11-24T08:01:00Z", "2026-11-24T08:02:00Z", "2026-11-24T08:03:00Z"} { // it goes on by tokens
		back(at)
	}
	for _, d := range []string{"", "/b", "/vol"} {
		if a, b := doOn(t, g.far, "zfs list -Hp -d 1 -t snapshot -o guid -s createtxg backup/a"+d), doOn(t, x.ZFS, "zfs list -Hp -d 1 -t snapshot -o guid -s createtxg usb/back"+d); a != b || a == "" {
			t.Errorf("usb/back%s has %q, want %q", d, b, a)
		}
	}
	for _, form := range []string{"zfs send -P", "zfs send -n", "zfs send backup/a@", "zfs send backup/a/b@", "zfs hold dplane:restore", "zfs release dplane:restore"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(g.forms)), func(f string) bool { return strings.HasPrefix(f, form) }) {
			t.Errorf("nothing asked for %s: the test does not see all that dplane asks for: %q", form, slices.Sorted(maps.Keys(g.forms)))
		}
	}
	q, err := (&receive.Rules{Targets: []receive.Target{target}}).Judge("zfs send backup/a@one")
	if err == nil || !strings.Contains(err.Error(), "--source backup/a") {
		t.Errorf("a key that is to push alone reads the target: %+v, %v", q, err)
	}
}

// What a pull compares is let through as it is.
func TestReceiveVerifyPull(t *testing.T) {
	x, g := newGated(t, "{remote: far, dataset: tank/a}", "usb/fetched", receive.Rules{Sources: []receive.Source{{Dataset: "tank/a"}}})
	doOn(t, g.far, "zpool create tank /pool/c")
	for _, d := range []string{"tank/a", "tank/a/b"} {
		doOn(t, g.far, "zfs create "+d)
	}
	doOn(t, g.far, "zfs create -s -V 8M tank/a/vol")
	snapAll(t, g.far, "one")
	x.through(g, "2026-11-24T08:00:00Z", nil)
	x.proven(g)
}
