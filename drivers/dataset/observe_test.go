package dataset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func tankOn(t *testing.T) *zfsfake.Fake {
	f := zfsfake.New()
	f.Model.Devices["/dev/tank"] = &zfsfake.Device{Size: 64 << 30}
	do(t, f, "zpool", "create", "tank", "/dev/tank")
	return f
}

// Observing costs the same number of processes, whatever the number of datasets.
func TestCost(t *testing.T) {
	cost := func(n int) map[string]int {
		lines, have := []string{"tank", "tank/missing userquota@anna=5"}, []string{"tank"}
		for i := range n {
			name := fmt.Sprintf("tank/d%d", i)
			have = append(have, name)
			lines = append(lines, name+" compression=zstd userquota@anna=1G", name+"/missing")
		}
		counter := &host.Counter{Runner: printing{machine(have...)}}
		obs := look2(t, counter, declare(t, lines...))
		if len(obs.Datasets) != n+1 {
			t.Fatalf("%d datasets seen of %d", len(obs.Datasets), n+1)
		}
		return counter.Count
	}
	few, many := cost(10), cost(1000)
	if want := map[string]int{"zfs": 2, "find": 1}; !maps.Equal(few, want) || !maps.Equal(many, want) {
		t.Errorf("10 datasets cost %v, 1,000 cost %v, want %v", few, many, want)
	}
}

// printing answers `zfs get all` with what a machine has, and everything else with nothing.
type printing struct{ have *state.Observed }

func (p printing) Run(_ context.Context, c host.Command) (host.Result, error) {
	var b strings.Builder
	if !slices.Contains(c.Argv, "all") {
		return host.Result{}, nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.have.Datasets)) {
		d := p.have.Datasets[name]
		fmt.Fprintf(&b, "%[1]s\ttype\t%[2]s\t-\n%[1]s\tguid\t%[3]s\t-\n%[1]s\tcreatetxg\t%[4]d\t-\n", name, d.Type, d.GUID, d.TXG)
		for _, prop := range sortedKeys(d.Properties) {
			fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", name, prop, d.Properties[prop].Value, d.Properties[prop].Source)
		}
	}
	return host.Result{Stdout: []byte(b.String())}, nil
}

// With nothing missing and no quotas of users, it is one process per pool.
func TestCostOfNothing(t *testing.T) {
	f := tankOn(t)
	counter := &host.Counter{Runner: f}
	look(t, counter, declare(t, "tank compression=on"))
	if counter.Count["zfs"] != 1 || counter.Count["find"] != 0 {
		t.Errorf("processes: %v", counter.Count)
	}
}

func TestObserveOccupied(t *testing.T) {
	f := tankOn(t)
	f.Model.Dirs["/srv/full"] = []string{"a"}
	f.Model.Dirs["/srv/empty"] = nil
	f.Model.Dirs["/tank/off"] = []string{"a"}
	f.Model.Dirs["/mnt/b/full"] = []string{"a"}
	do(t, f, "zfs", "create", "tank/below")
	want := declare(t, "tank/a mountpoint=/srv/full", "tank/b mountpoint=/srv/empty", "tank/c", "tank/off canmount=off",
		"tank/below mountpoint=/mnt/b", "tank/below/full", "tank/gone absent", "tank/v volume:1M")
	obs := look(t, f, want)
	if want := []string{"/mnt/b/full", "/srv/full"}; !slices.Equal(slices.Sorted(slices.Values(obs.Occupied)), want) {
		t.Errorf("occupied: %v, want %v", obs.Occupied, want)
	}
	f.Model.Missing = []string{"find"}
	obs = state.NewObserved(time.Unix(0, 0), "test")
	obs.Pools["tank"] = &state.Pool{Name: "tank"}
	if err := (&Driver{Runner: f}).Observe(context.Background(), want, obs); err != nil || obs.UnseenPool("tank") == "" {
		t.Errorf("without find the pool is not unseen: %v %v", obs.Unseen, err)
	}
}

// The root of a missing pool is looked at, for zpool create mounts it.
func TestObserveOccupiedByPool(t *testing.T) {
	f := zfsfake.New()
	f.Model.Dirs["/tank"] = []string{"a"}
	obs := state.NewObserved(time.Unix(0, 0), "test")
	obs.Devices["/dev/tank"] = &state.Device{Path: "/dev/tank", Exists: true}
	want := declare(t, "tank/a")
	if err := (&Driver{Runner: f}).Observe(context.Background(), want, obs); err != nil || !slices.Equal(obs.Occupied, []string{"/tank"}) {
		t.Errorf("occupied: %v, %v", obs.Occupied, err)
	}
}

// A pool that does not answer is unseen, alone.
func TestObserveUnseen(t *testing.T) {
	f := tankOn(t)
	f.Model.Devices["/dev/usb"] = &zfsfake.Device{Size: 64 << 30}
	do(t, f, "zpool", "create", "usb", "/dev/usb")
	broken := refusing{f, "usb"}
	obs := look2(t, broken, declare(t, "tank compression=zstd", "usb compression=zstd"))
	if obs.UnseenPool("usb") == "" || obs.UnseenPool("tank") != "" || obs.Datasets["tank"] == nil || obs.Datasets["usb"] != nil {
		t.Errorf("unseen: %v, datasets: %v", obs.Unseen, slices.Collect(maps.Keys(obs.Datasets)))
	}
	if _, text := plan(declare(t, "tank compression=zstd", "usb compression=zstd"), obs); len(text) != 1 {
		t.Errorf("plan: %v", text)
	}
}

// refusing times out on every command about one pool.
type refusing struct {
	host.Runner
	pool string
}

func (r refusing) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if c.Argv[len(c.Argv)-1] == r.pool {
		return host.Result{}, fmt.Errorf("run %s: %w", c, host.ErrTimeout)
	}
	return r.Runner.Run(ctx, c)
}

func look2(t *testing.T, r host.Runner, want *spec.Spec) *state.Observed {
	obs := state.NewObserved(time.Unix(0, 0), "test")
	for _, p := range want.PoolNames() {
		obs.Pools[string(p)] = &state.Pool{Name: string(p), GUID: "1"}
	}
	if err := (&Driver{Runner: r}).Observe(context.Background(), want, obs); err != nil {
		t.Fatal(err)
	}
	return obs
}

// A quota of a name that this machine does not know is blocked; the others are seen, also those that only a
// mark names.
func TestObserveQuotas(t *testing.T) {
	f := tankOn(t)
	f.Model.Users = []string{"anna", "bob"}
	do(t, f, "zfs", "create", "tank/home")
	do(t, f, "zfs", "set", "userquota@anna=1G", "userquota@bob=1G", "dplane:applied=userquota@bob", "tank/home")
	want := declare(t, "tank/home userquota@anna=1G userquota@nobody=1G")
	_, text := plan(want, look(t, f, want))
	got := strings.Join(text, "\n")
	if want := "update safe removed: zfs set userquota@bob=none tank/home; zfs inherit dplane:applied tank/home\n" +
		"blocked drift tank/home: this machine knows no such user, group or project: create it first, or name it by its number"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A pool that took the name between plan and apply has a root of another guid: nothing is created in it.
func TestCreateOnAnotherPool(t *testing.T) {
	f, want := tankOn(t), declare(t, "tank/new")
	actions, _ := plan(want, look(t, f, want))
	do(t, f, "zpool", "export", "tank")
	f.Model.Devices["/dev/other"] = &zfsfake.Device{Size: 64 << 30}
	do(t, f, "zpool", "create", "tank", "/dev/other")
	err := (&Driver{Runner: f}).Apply(context.Background(), actions[0])
	var changed *host.Unexpected
	if !errors.As(err, &changed) || f.Model.Pools["tank"].Datasets["tank/new"] != nil {
		t.Errorf("created in a pool that the plan was not made for: %v", err)
	}
}

// A refusal by zfs must not leave a mark on what an operator set, though zfs sets the rest of the command.
func TestRefusedSetClaimsNothing(t *testing.T) {
	f, want := tankOn(t), declare(t, "tank/a reservation=1P atime=off")
	do(t, f, "zfs", "create", "-o", "reservation=3M", "tank/a")
	actions, _ := plan(want, look(t, f, want))
	if err := (&Driver{Runner: f}).Apply(context.Background(), actions[0]); !errors.Is(zfs.Classify(err), zfs.ErrNoSpace) {
		t.Fatalf("not refused for lack of space: %v", err)
	}
	if got := look(t, f, want).Datasets["tank/a"]; got.Properties["reservation"].Value != "3145728" || got.Applied()["reservation"] {
		t.Errorf("the operator's reservation is marked as dplane's: %v", got.Properties[state.AppliedProperty])
	}
}
