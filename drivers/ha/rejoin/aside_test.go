package rejoin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
)

var secrets = []string{"tank/home", "tank/home/sec", "tank/home/sec/a", "tank/home/sec/a/b", "tank/home/sec/c"}

// newSecret is newPair of a tree whose middle is encrypted, with keys that are inherited here; the other node has it as it was
// sent, raw.
func newSecret(t *testing.T, wrote ...string) *pair {
	t.Helper()
	p := &pair{t: t, a: zfsfake.New(), b: zfsfake.New()}
	p.b.Model.Serial = 1 << 20
	for _, f := range []*zfsfake.Fake{p.a, p.b} {
		f.AddFile("/pool/x", 1<<30)
		f.AddKey("/key", "12345678")
		p.do(f, "zpool create tank /pool/x")
	}
	p.a.Remotes = map[string]*zfsfake.Fake{"nas-b": p.b}
	for _, d := range secrets {
		if d == "tank/home/sec" {
			p.do(p.a, "zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///key "+d)
			continue
		}
		p.do(p.a, "zfs create "+d)
	}
	p.write(p.a, "two", secrets...)
	for _, d := range secrets {
		p.send(p.a, "", zfs.Stream{Snapshot: d + "@two", Raw: true}, "nas-b", d)
	}
	p.write(p.a, "own", wrote...)
	for _, d := range slices.Backward(secrets) {
		p.do(p.a, "zfs unmount "+d)
		p.do(p.a, "zfs set readonly=on "+d)
	}
	p.do(p.a, "zfs unload-key tank/home/sec")
	p.node = &Node{Runner: p.a, Group: []spec.DatasetName{"tank/home"}, Remote: "nas-b", Term: 5}
	return p
}

// The key is loaded for as long as the log is played back; where that can't be, it is said, and all else is in a snapshot.
func TestKeepSnapshotsWithTheLogLocked(t *testing.T) {
	for _, key := range []string{"12345678", "87654321"} {
		p := newSecret(t, "tank/home/sec")
		p.a.AddKey("/key", key)
		p.a.Model.Pools["tank"].Datasets["tank/home/sec/a"].Log = 1 << 17
		err := p.node.KeepSnapshots(t.Context())
		if want := "is in no snapshot"; key == "12345678" && err != nil || key != "12345678" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("key %s: %v", key, err)
		}
		if key != "12345678" { // a snapshot without the log would pass for all that there is
			if got := p.do(p.a, "zfs list -H -r -t snapshot -o name tank/home/sec/a"); strings.Contains(got, "sec/a@dplane_diverged") {
				t.Error(got)
			}
			continue
		}
		if got := p.do(p.a, "zfs list -Hp -o written,keystatus tank/home/sec/a"); got != "0\tunavailable\n" {
			t.Errorf("%q", got)
		}
		if got := p.do(p.a, "zfs list -Hp -o written tank/home/sec/a@dplane_diverged_t5"); got == "0\n" {
			t.Error("nothing is in its snapshot")
		}
	}
}

// What has its key from one above it is put aside with that one, and with nothing that destroys anything: whatever wrote, and at
// whatever command it died.
func TestAsideWithItsKey(t *testing.T) {
	for _, wrote := range [][]string{{"tank/home/sec/a/b"}, {"tank/home/sec/a"}, {"tank/home/sec"}, {"tank/home/sec/c", "tank/home/sec/a/b"}, secrets} {
		for _, how := range []string{ha.Keep, ha.Discard} {
			for n := 1; n > 0 && n < 80; n++ {
				t.Run(fmt.Sprint(how, wrote, n), func(t *testing.T) {
					p := newSecret(t, wrote...)
					had := p.guids(p.a)
					p.node.Runner = &host.Faulty{Runner: p.a, N: n, Fault: host.FailBefore}
					if err := p.node.Carry(t.Context(), how, p.plan(how).ID); err == nil {
						n = -1
					}
					p.node.Runner = p.a
					for range 2 {
						if err := p.node.Carry(t.Context(), how, p.plan(how).ID); err != nil {
							t.Fatal(err)
						}
					}
					for _, g := range had {
						if how == ha.Keep && !slices.Contains(p.guids(p.a), g) {
							t.Errorf("%s was destroyed", g)
						}
					}
					for _, d := range secrets { // its increments come raw, and its keys are where they were
						if root := strings.TrimSpace(p.do(p.a, "zfs get -H -o value encryptionroot "+d)); d != "tank/home" && root != "tank/home/sec" {
							t.Errorf("%s has its key from %s", d, root)
						}
						p.do(p.b, "zfs snapshot "+d+"@three")
						p.send(p.a, "nas-b", zfs.Stream{Snapshot: d + "@three", From: "@two", Raw: true}, "", d)
					}
				})
			}
		}
	}
}

// What is put aside is held, and goes with what the plan says, and with nothing less.
func TestLetGo(t *testing.T) {
	p := newPair(t, "tank/home/ben", "tank/home/vol")
	plan := p.plan(ha.Keep)
	if err := p.node.Carry(t.Context(), ha.Keep, plan.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := p.a.Do("zfs destroy -r tank/home.diverged-t5"); err == nil {
		t.Error("a slip destroys it")
	}
	for _, name := range []string{"ben@own", "ben@dplane_diverged_t5", "vol@own", "vol@dplane_diverged_t5"} {
		if got := p.do(p.a, "zfs holds -H tank/home.diverged-t5/"+name); !strings.Contains(got, "\t"+Kept+"\t") {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, c := range plan.LetGo {
		p.do(p.a, strings.Join(c.Argv, " "))
	}
	if _, err := p.a.Do("zfs list tank/home.diverged-t5"); err == nil {
		t.Error("it is there still")
	}
	p.rejoins()
}

// Who may do what on a dataset may do it on what takes its place: an ordinary user receives into it.
func TestDelegationsGoOn(t *testing.T) {
	for n := range 12 {
		p := newPair(t, "tank/home/ben")
		p.do(p.a, "zfs allow -u replication create,receive,mount tank/home/ben")
		p.do(p.a, "zfs allow -s @mine hold,release tank/home/ben")
		p.do(p.a, "zfs allow -l -g it @mine tank/home/ben")
		want := p.do(p.a, "zfs allow tank/home/ben")
		p.node.Runner = &host.Faulty{Runner: p.a, N: n, Fault: host.FailBefore}
		_ = p.node.Carry(t.Context(), ha.Keep, p.plan(ha.Keep).ID)
		p.node.Runner = p.a
		if err := p.node.Carry(t.Context(), ha.Keep, p.plan(ha.Keep).ID); err != nil {
			t.Fatal(err)
		}
		if got := p.do(p.a, "zfs allow tank/home/ben"); got != want {
			t.Errorf("%d: %s\nwant\n%s", n, got, want)
		}
	}
}

// A reservation goes over to what takes the place, and none is left where nothing is written any more.
func TestReservationsGoOver(t *testing.T) {
	for n := range 12 {
		p := newPair(t, "tank/home/vol")
		p.do(p.a, "zfs set refreservation=8M tank/home/vol")
		p.node.Runner = &host.Faulty{Runner: p.a, N: n, Fault: host.FailBefore}
		_ = p.node.Carry(t.Context(), ha.Keep, p.plan(ha.Keep).ID)
		p.node.Runner = p.a
		if err := p.node.Carry(t.Context(), ha.Keep, p.plan(ha.Keep).ID); err != nil {
			t.Fatal(err)
		}
		if got := p.do(p.a, "zfs get -Hp -o value refreservation tank/home/vol"); got != "8388608\n" {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// What ZFS would refuse on the way is refused before anything moves, with the dataset and what to type; and that helps.
func TestRefusedBefore(t *testing.T) {
	long := strings.Repeat("s", 250-len("tank/home/ben"))
	for name, c := range map[string]struct{ do, want, mend string }{
		"space":             {"zfs set refreservation=600M tank/home/vol", "zfs set refreservation=none tank/home/vol", "zfs set refreservation=none tank/home/vol"},
		"a snapshot's name": {"zfs snapshot tank/home/ben@" + long, "tank/home/ben@SHORTER", "zfs rename tank/home/ben@" + long + " tank/home/ben@short"},
	} {
		p := newPair(t, "tank/home/ben", "tank/home/vol")
		p.do(p.a, c.do)
		_, err := p.node.Plan(t.Context(), ha.Keep)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := p.node.Plan(t.Context(), ha.Discard); err != nil {
			t.Errorf("%s: --discard is refused as well: %v", name, err)
		}
		p.do(p.a, c.mend)
		if err := p.node.Carry(t.Context(), ha.Keep, p.plan(ha.Keep).ID); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := newPair(t, "tank/home/ben") // no room for any name
	deep := "tank/home/ben/" + strings.Repeat("d", 225)
	p.do(p.a, "zfs create -o readonly=on "+deep)
	if _, err := p.node.Plan(t.Context(), ha.Keep); err == nil || !strings.Contains(err.Error(), deep+" would be called") {
		t.Error(err)
	}
}
