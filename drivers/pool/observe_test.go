package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// fatal is what testing.T and rapid.T have in common.
type fatal interface{ Fatalf(string, ...any) }

func look(t fatal, r host.Runner, want *spec.Spec) *state.Observed {
	obs := state.NewObserved(time.Unix(0, 0), "test")
	if err := (&Driver{Runner: host.ReadOnly{Runner: r}}).Observe(context.Background(), want, obs); err != nil {
		t.Fatalf("observe: %v", err)
	}
	return obs
}

// machine is a fake with blank disks.
func machine(disks ...string) *zfsfake.Fake {
	f := zfsfake.New()
	for _, d := range disks {
		f.Model.Devices[d] = &zfsfake.Device{Size: 8 << 30}
	}
	return f
}

func declared(pools ...*spec.Pool) *spec.Spec {
	s := &spec.Spec{Pools: map[spec.PoolName]*spec.Pool{}, Datasets: map[spec.DatasetName]*spec.Dataset{}}
	for _, p := range pools {
		s.Pools[p.Name] = p
	}
	return s
}

// A pool of any topology and properties is created in one action, and then there is nothing left to do.
func TestLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		disks := []string{"/dev/a", "/dev/b", "/dev/c", "/dev/d", "/dev/e", "/dev/f"}
		f := machine(disks...)
		f.Model.Devices["/dev/other"] = &zfsfake.Device{Size: 8 << 30}
		if _, err := f.Do("zpool create other /dev/other"); err != nil {
			t.Fatalf("%v", err)
		}
		p := &spec.Pool{Name: "tank", Properties: map[string]spec.Property{}}
		typ := rapid.SampledFrom([]spec.VdevType{"stripe", "mirror", "raidz1", "raidz2"}).Draw(t, "type")
		p.Vdevs = []spec.Vdev{vdev(typ, strings.Join(disks[:3], " "))}
		if rapid.Bool().Draw(t, "log") {
			p.Log = []spec.Vdev{vdev("mirror", "/dev/d /dev/e")}
		}
		if rapid.Bool().Draw(t, "cache") {
			p.Cache = devices("/dev/f")
		}
		values := map[string][]string{"ashift": {"9", "12"}, "autotrim": {"on", "off"}, "comment": {"", "the big one"}, "cachefile": {"none", defaultCachefile}}
		for _, n := range sortedKeys(values) {
			if rapid.Bool().Draw(t, n+" is declared") {
				p.Properties[n] = property(rapid.SampledFrom(values[n]).Draw(t, n))
			}
		}
		want := declared(p)
		for i, obs := 0, look(t, f, want); i < 2; i, obs = i+1, look(t, f, want) {
			actions, text := plan(want, obs)
			if i == 1 && len(actions) > 0 {
				t.Fatalf("the next plan is not empty:\n%s", text)
			}
			for _, a := range actions {
				if slices.ContainsFunc(a.Steps, func(c host.Command) bool { return slices.Contains(c.Argv, "-f") || slices.Contains(c.Argv, "other") }) {
					t.Fatalf("not allowed: %v", a.Steps)
				}
				if err := (&Driver{Runner: f}).Apply(context.Background(), a); err != nil {
					t.Fatalf("%v", err)
				}
			}
			// What was changed by hand is set back, and only that.
			if _, err := f.Do("zpool set autotrim=on tank"); err != nil {
				t.Fatalf("%v", err)
			}
			_, text = plan(want, look(t, f, want))
			drift := p.Properties["autotrim"].Value == "off"
			if drift != (text == "update safe drift: zpool set autotrim=off tank") || !drift && text != "" {
				t.Fatalf("after autotrim=on by hand: %q", text)
			}
			if _, err := f.Do("zpool set autotrim=" + max(p.Properties["autotrim"].Value, "off") + " tank"); err != nil {
				t.Fatalf("%v", err)
			}
		}
	})
}

// Whatever is put on a device between plan and apply stops the create before anything is done.
func TestCreateAgainstAChangedWorld(t *testing.T) {
	want := declared(&spec.Pool{Name: "tank", Vdevs: []spec.Vdev{vdev("mirror", "/dev/a /dev/b")}})
	for name, change := range map[string]func(*zfsfake.Fake){
		"a signature": func(f *zfsfake.Fake) { f.Model.Devices["/dev/b"].Signature = "ext4" },
		"a mount":     func(f *zfsfake.Fake) { f.Model.Devices["/dev/b"].Mounted = "/srv" },
		"a holder":    func(f *zfsfake.Fake) { f.Model.Devices["/dev/a"].Holders = []string{"md0"} },
		"a label": func(f *zfsfake.Fake) {
			f.Model.Devices["/dev/a"].Label = &zfsfake.Label{Pool: "x", GUID: "5", State: 2}
		},
		"another pool": func(f *zfsfake.Fake) { _, _ = f.Do("zpool create tank /dev/c") },
		"a file":       func(f *zfsfake.Fake) { f.Model.Devices["/dev/a"].File = true },
		"gone":         func(f *zfsfake.Fake) { delete(f.Model.Devices, "/dev/a") },
	} {
		t.Run(name, func(t *testing.T) {
			f := machine("/dev/a", "/dev/b", "/dev/c")
			actions, text := plan(want, look(t, f, want))
			if len(actions) != 1 || actions[0].Verb != drivers.Create {
				t.Fatalf("plan: %s", text)
			}
			change(f)
			var changed *host.Unexpected
			if err := (&Driver{Runner: f}).Apply(context.Background(), actions[0]); !errors.As(err, &changed) {
				t.Errorf("apply: %v", err)
			}
			if actions, text := plan(want, look(t, f, want)); name != "another pool" && name != "a file" && (len(actions) != 1 || actions[0].Verb != drivers.Blocked) {
				t.Errorf("the next plan: %s", text)
			}
		})
	}
}

// Pools that are exported or destroyed are known by their labels, and import is offered.
func TestKnownByLabel(t *testing.T) {
	want := declared(&spec.Pool{Name: "tank", Vdevs: []spec.Vdev{vdev("stripe", "/dev/a")}})
	for _, verb := range []string{"export", "destroy"} {
		f := machine("/dev/a")
		for _, line := range []string{"zpool create tank /dev/a", "zpool " + verb + " tank"} {
			if _, err := f.Do(line); err != nil {
				t.Fatal(err)
			}
		}
		actions, text := plan(want, look(t, f, want))
		said := map[string]string{"export": "run disruptive missing: zpool import -d /dev", "destroy": "is not imported: zpool import -D -d /dev"}[verb]
		if len(actions) != 1 || !strings.Contains(text, said) {
			t.Errorf("after %s: %s", verb, text)
		}
	}
}

// A suspended pool is unseen, keeps its health and status, and is asked nothing that could hang.
func TestSuspended(t *testing.T) {
	f := machine("/dev/a", "/dev/b")
	for _, line := range []string{"zpool create tank /dev/a", "zpool create well /dev/b"} {
		if _, err := f.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	f.Model.Pools["tank"].Suspended = true
	want := declared(&spec.Pool{Name: "tank"}, &spec.Pool{Name: "well", Properties: map[string]spec.Property{"autotrim": property("on")}})
	counter := &host.Counter{Runner: f}
	obs := look(t, counter, want)
	if p := obs.Pools["tank"]; p.Health != "SUSPENDED" || p.Status == "" || !p.Managed || !strings.Contains(obs.UnseenPool("tank"), "zpool clear tank") {
		t.Errorf("pool %+v, unseen %v", p, obs.Unseen)
	}
	if _, text := plan(want, obs); text != "update safe drift: zpool set autotrim=on well" {
		t.Errorf("plan: %s", text)
	}
	if want := map[string]int{"zfs": 1, "zpool": 4}; !maps.Equal(counter.Count, want) { // list, two of status, one get
		t.Errorf("processes: %v, want %v", counter.Count, want)
	}
}

// silent lets commands about one pool run into their deadline.
type silent struct {
	host.Runner
	pool string
}

func (s silent) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if c.Argv[len(c.Argv)-1] == s.pool {
		return host.Result{}, fmt.Errorf("run %s: %w", c, host.ErrTimeout)
	}
	return s.Runner.Run(ctx, c)
}

func TestTimeout(t *testing.T) {
	f := machine("/dev/a", "/dev/b")
	for _, line := range []string{"zpool create tank /dev/a", "zpool create well /dev/b"} {
		if _, err := f.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	obs := look(t, silent{f, "tank"}, declared(&spec.Pool{Name: "tank"}, &spec.Pool{Name: "well"}))
	if obs.UnseenPool("tank") == "" || obs.UnseenPool("well") != "" || obs.Pools["well"].Properties["autotrim"].Value != "off" {
		t.Errorf("unseen %v, well %+v", obs.Unseen, obs.Pools["well"])
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := (&Driver{Runner: f}).Observe(ctx, declared(), state.NewObserved(time.Unix(0, 0), "")); err == nil {
		t.Error("a cancelled pass is no error")
	}
}
