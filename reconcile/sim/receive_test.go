package sim

import (
	"context"
	"errors"
	"maps"
	"slices"
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
	return g.local.Run(ctx, c)
}

// admit is what runs there for a command.
func (g *gate) admit(ctx context.Context, c host.Command, piped bool) (argv []string) {
	line, err := process.FarLine(c.Argv)
	if err != nil {
		g.t.Fatal(err)
	}
	door := receive.Door{Rules: g.rules, Runner: g.far, Become: func(w []string) error { argv = w; return nil },
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
	g := &gate{t: t, rules: rules, far: far, forms: map[string]bool{}}
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
	d := &replication.Driver{Runner: g, Memory: x.Store, Now: x.Clock.Now}
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
