package replication

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// short is checks in a line: names, with a state where they are not well.
func short(all []state.Check) string {
	var words []string
	for _, c := range all {
		w := c.Name
		if c.State != state.CheckOK {
			w += ":" + c.State
		}
		if c.State == state.CheckSkipped && strings.HasPrefix(c.Detail, "after ") {
			w = c.Name + "<" + strings.TrimPrefix(c.Detail, "after ")
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// Where the way to a machine ends, what comes before it is well, and what comes after was not tried.
func TestSteps(t *testing.T) {
	m := &spec.Remote{Name: "b", Host: "nas-b", User: "repl", IdentityFile: "/key"}
	good, bad := fine("key-file", ""), failed("key-file", "", "chmod")
	lost := func(s host.Stage) error {
		return fmt.Errorf("run: %w", &host.UnreachableError{Stage: s, Why: "do this", Stderr: "first\nlast\n"})
	}
	for _, c := range []struct {
		name string
		key  state.Check
		err  error
		want string
	}{
		{"all well", good, nil, "resolve connect host-key key-file authentication"},
		{"no such name", good, lost(host.Resolve), "resolve:failed connect<resolve host-key<resolve key-file authentication<resolve"},
		{"nobody listens", good, lost(host.Connect), "resolve connect:failed host-key<connect key-file authentication<connect"},
		{"another host key", good, lost(host.HostKey), "resolve connect host-key:failed key-file authentication<host-key"},
		{"a key that ssh can't read", good, lost(host.OwnKey), "resolve connect host-key key-file:failed authentication<key-file"},
		{"a key that others can read", bad, lost(host.OwnKey), "resolve connect host-key key-file:failed authentication<key-file"},
		{"no key", bad, errors.New("no such file"), "resolve<key-file connect<key-file host-key<key-file key-file:failed authentication<key-file"},
		{"not admitted", good, lost(host.Login), "resolve connect host-key key-file authentication:failed"},
		{"it hung up", good, lost(""), "resolve connect host-key key-file authentication:failed"},
		{"no ssh", good, host.ErrNotFound, "resolve:failed connect<resolve host-key<resolve key-file authentication<resolve"},
	} {
		if got := short(steps(m, c.key, c.err)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if x := steps(m, good, lost(host.Login))[4]; x.Detail != "last" || x.Hint != "do this" {
		t.Errorf("%+v", x)
	}
}

func TestJudgeKey(t *testing.T) {
	for _, c := range []struct {
		k    state.KeyFile
		want string
	}{
		{state.KeyFile{Kind: "regular file", Owner: "0", Mode: "600"}, state.CheckOK},
		{state.KeyFile{Kind: "regular file", Owner: "7", Mode: "400"}, state.CheckOK},
		{state.KeyFile{Kind: "regular file", Owner: "8", Mode: "600"}, state.CheckFailed},
		{state.KeyFile{Kind: "regular file", Owner: "0", Mode: "640"}, state.CheckFailed},
		{state.KeyFile{Kind: "regular file", Owner: "0", Mode: "604"}, state.CheckFailed},
		{state.KeyFile{Kind: "directory", Owner: "0", Mode: "700"}, state.CheckFailed},
		{state.KeyFile{}, state.CheckFailed},
	} {
		if got := judgeKey("/key", &c.k, 7); got.State != c.want {
			t.Errorf("%+v: %+v", c.k, got)
		}
	}
}

func TestJudgeClock(t *testing.T) {
	now := time.Unix(1000000, 7e8)
	for skew, want := range map[time.Duration]string{0: "ok", -time.Second: "ok", 50 * time.Second: "ok", -50 * time.Second: "ok", 2 * time.Minute: "warning", -2 * time.Minute: "warning"} {
		if got := judgeClock(now.Add(skew).Truncate(time.Second), now, now.Add(time.Second)); got.State != want {
			t.Errorf("%s: %+v", skew, got)
		}
	}
	if got := judgeClock(now.Truncate(time.Second), now, now.Add(30*time.Second)); got.Detail != "0s apart" { // a slow answer
		t.Errorf("%+v", got)
	}
}

func TestJudgeFeatures(t *testing.T) {
	props := func(text string) map[string]state.Property {
		m := map[string]state.Property{}
		for _, w := range strings.Fields(text) {
			n, v, _ := strings.Cut(w, "=")
			m["feature@"+n] = state.Property{Value: v}
		}
		return m
	}
	const enable, upgrade = "zpool set feature@", "does not know"
	for _, c := range []struct{ name, raw, source, target, shape, want string }{
		{"all there", "auto", "large_blocks=active lz4_compress=active", "large_blocks=enabled lz4_compress=active", "recordsize=1048576", "ok"},
		{"large blocks, for sure", "auto", "large_blocks=active", "large_blocks=disabled", "recordsize=1048576", "failed"},
		{"large blocks, once perhaps", "auto", "large_blocks=active", "large_blocks=disabled", "recordsize=131072", "warning"},
		{"a pool that never had one", "auto", "large_blocks=enabled", "", "recordsize=1048576", "ok"},
		{"zstd", "auto", "zstd_compress=active", "zstd_compress=disabled", "compression=zstd-3", "failed"},
		{"encrypted", "auto", "", "encryption=disabled", "encryption=aes-256-gcm", "failed"},
		{"encrypted, in plain", "false", "", "", "encryption=aes-256-gcm", "ok"},
		{"dnodes", "auto", "large_dnode=active", "large_dnode=disabled", "dnodesize=auto", "failed"},
		{"zstd, to a release before it", "auto", "zstd_compress=active", "lz4_compress=active", "compression=zstd-3", "failed"},
		{"long names, to a pool without", "auto", "longname=active", "longname=disabled", "recordsize=131072", "warning"},
		{"long names, to a release before them", "auto", "longname=active", "lz4_compress=active", "recordsize=131072", "warning"},
		{"directories in large blocks", "auto", "large_microzap=active", "large_microzap=disabled", "recordsize=131072", "warning"},
	} {
		shape := map[string]map[string]string{}
		n, v, _ := strings.Cut(c.shape, "=")
		shape[n] = map[string]string{v: "tank/a"}
		w := &drivers.Sending{Source: "tank/a", Target: "usb/a", Compressed: true, LargeBlocks: true}
		got := judgeFeatures(w, c.raw, props(c.source), props(c.target), shape)
		hint := enable
		if !strings.Contains(c.target, "disabled") {
			hint = upgrade
		}
		if got.State != c.want || c.want != "ok" && !strings.Contains(got.Hint, hint) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestJudgeRights(t *testing.T) {
	grants := func(who string, here, below []string) map[string]state.Grant {
		return map[string]state.Grant{who: {Here: here, Below: below}}
	}
	need := []string{"hold", "receive"}
	for _, c := range []struct {
		grants map[string]state.Grant
		want   string
	}{
		{grants("user:repl", need, need), "ok"}, {grants("everyone", need, need), "ok"}, {grants("group:it", need, need), "warning"},
		{grants("user:repl", need, nil), "failed"}, {grants("user:repl", need[1:], need), "failed"}, {grants("user:other", need, need), "failed"}, {nil, "failed"},
	} {
		if got := judgeRights("repl", "usb/a", need, c.grants); got.State != c.want {
			t.Errorf("%+v: %+v", c.grants, got)
		}
	}
}

// checked are two machines, of which the second is the remote b.
func checked(t *testing.T) (*zfsfake.Fake, *Driver, *spec.Spec, *state.Observed) {
	t.Helper()
	here, there := zfsfake.New(), zfsfake.New()
	here.Remotes = map[string]*zfsfake.Fake{"b": there}
	do := func(f *zfsfake.Fake, lines ...string) {
		t.Helper()
		for _, l := range lines {
			if _, err := f.Do(l); err != nil {
				t.Fatal(err)
			}
		}
	}
	here.AddDisk("/a", 1<<40)
	there.AddDisk("/b", 1<<40)
	do(here, "zpool create tank /a", "zfs create tank/a", "zfs snapshot tank/a@one")
	do(there, "zpool create usb /b")
	if err := here.Control("key /key secret"); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	here.SetClock(now)
	there.SetClock(now)
	if err := there.Control("user repl"); err != nil {
		t.Fatal(err)
	}
	want := &spec.Spec{
		Remotes: map[string]*spec.Remote{"b": {Name: "b", Host: "nas-b", User: "root", IdentityFile: "/key"}},
		Replications: map[string]*spec.Replication{"off": {
			Name: "off", Source: spec.End{Dataset: "tank/a"}, Target: spec.End{Remote: "b", Dataset: "usb/a"}, Recursive: true, Send: spec.Send{Compressed: true, LargeBlocks: true},
		}},
	}
	obs := state.NewObserved(now, "")
	obs.Pools["tank"] = &state.Pool{Name: "tank"}
	obs.ZFS.Userland = "2.3.9"
	return here, &Driver{Runner: here, Memory: nothing{}, Now: func() time.Time { return now }}, want, obs
}

const wellFar = "zfs resolve connect host-key key-file authentication zfs-there source target parent features rights space clock readonly state others"

// All checks over two machines, well and each ill.
func TestCheckFar(t *testing.T) {
	for _, c := range []struct {
		name, control, do string
		change            func(*spec.Spec, *zfsfake.Fake)
		want              string
		hint              string
	}{
		{name: "well", want: wellFar},
		{name: "key", control: "key /key secret 644", want: strings.Replace(wellFar, "key-file", "key-file:failed", 1), hint: "chmod 600"},
		{name: "no parent", change: func(s *spec.Spec, _ *zfsfake.Fake) { s.Replications["off"].Target.Dataset = "usb/x/a" },
			want: "zfs resolve connect host-key key-file authentication zfs-there source target parent:failed features<parent rights space<parent clock readonly<parent state<parent others<parent", hint: "zfs create usb/x"},
		{name: "a user without rights", change: func(s *spec.Spec, _ *zfsfake.Fake) { s.Remotes["b"].User = "repl" }, want: strings.Replace(wellFar, "rights", "rights:failed", 1), hint: "zfs allow -u repl"},
		{name: "a user with rights", do: "zfs allow -u repl receive,create,mount,destroy,hold,release,readonly,canmount usb", change: func(s *spec.Spec, _ *zfsfake.Fake) { s.Remotes["b"].User = "repl" }, want: wellFar},
		{name: "clock", change: func(_ *spec.Spec, f *zfsfake.Fake) { f.SetClock(time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)) }, want: strings.Replace(wellFar, "clock", "clock:warning", 1), hint: "synchronise"},
		{name: "a forced command", change: func(_ *spec.Spec, f *zfsfake.Fake) { f.Model.Missing = []string{"date"} }, want: strings.Replace(wellFar, "clock", "clock:skipped", 1)},
		{name: "something else stands there", do: "zfs create usb/a", want: strings.Replace(strings.Replace(wellFar, "readonly", "readonly:warning", 1), "state", "state:failed", 1), hint: "dplane plan"},
		{name: "of a group, and the key asks for no term", change: func(s *spec.Spec, _ *zfsfake.Fake) { s.Replications["off"].Pair = "off" },
			want: strings.Replace(wellFar, "clock", "clock term:failed", 1), hint: "dplane replication setup off"},
		{name: "no space", do: "zfs set quota=4M usb", want: strings.Replace(wellFar, "space", "space:failed", 1), hint: "free space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			here, d, want, obs := checked(t)
			there := here.Remotes["b"]
			here.Write("tank/a", 8<<20)
			if _, err := here.Do("zfs snapshot tank/a@two"); err != nil {
				t.Fatal(err)
			}
			if c.control != "" {
				if err := here.Control(c.control); err != nil {
					t.Fatal(err)
				}
			}
			if c.do != "" {
				if _, err := there.Do(c.do); err != nil {
					t.Fatal(err)
				}
			}
			if c.change != nil {
				c.change(want, there)
			}
			all := d.Check(t.Context(), want, obs, "off", 0)
			if got := short(all); got != c.want {
				t.Errorf("%s\nwant %s\n%+v", got, c.want, all)
			}
			hints := ""
			for _, x := range all {
				hints += x.Hint + "\n"
			}
			if !strings.Contains(hints, c.hint) {
				t.Errorf("the hints: %s", hints)
			}
		})
	}
}

func TestJudgeHolds(t *testing.T) {
	off := &spec.Replication{Name: "off", Target: spec.End{Dataset: "usb/a"}}
	for tag, w := range map[string]string{"dplane:off": "ok", "mine": "ok", sourceTag("on"): "ok", sourceTag(restoring("off", "tank/x")): "ok", "dplane:other": "warning"} {
		if got := judgeHolds(off, map[string]string{tag: "usb/a@x"}); got.State != w {
			t.Errorf("%s: %+v", tag, got)
		}
	}
}

// Only a refusal that was made before zfs was run is one: zfs itself, a key without a forced command, and a machine that is away
// don't ask for a term.
func TestJudgeTerm(t *testing.T) {
	says := func(code int, text string) error { return &host.ExitError{Code: code, Stderr: text} }
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"refused", says(77, `error: receive: refused "zfs release dplane:pair tank/home@x": the stream is of term 0, and term 3 is known here; nothing was run`), state.CheckOK},
		{"zfs was run", says(1, "cannot release hold from snapshot 'tank/home@x': dataset does not exist"), state.CheckFailed},
		{"zfs did not understand", says(2, "usage:"), state.CheckFailed},
		{"it did something", nil, state.CheckFailed},
		{"it ran, and was refused afterwards", says(77, `dplane: receive: refused the rest of the stream of "zfs release": the term; what came before it was received`), state.CheckSkipped},
		{"refused by something else", says(77, "no permission"), state.CheckOK},
		{"no such program", says(127, "zfs: command not found"), state.CheckSkipped},
		{"away", says(255, "Connection refused"), state.CheckSkipped},
		{"no answer", host.ErrTimeout, state.CheckSkipped},
	} {
		if got := judgeTerm("pair", c.err); got.State != c.want || got.State == state.CheckFailed && !strings.Contains(got.Hint, "dplane replication setup pair") {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
