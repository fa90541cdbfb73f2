package pool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
)

// drawPool is any pool of the devices that are left in free, which it takes from there.
func drawPool(t *rapid.T, free *[]string, label string) *spec.Pool {
	take := func(n int) string {
		n = min(n, len(*free))
		words := strings.Join((*free)[:n], " ")
		*free = (*free)[n:]
		return words
	}
	p := &spec.Pool{Name: "tank"}
	typ := rapid.SampledFrom([]spec.VdevType{"stripe", "mirror", "raidz1"}).Draw(t, label+" type")
	size := map[spec.VdevType]int{"stripe": 1, "mirror": 2, "raidz1": 3}[typ]
	for range rapid.IntRange(1, 2).Draw(t, label+" vdevs") {
		p.Vdevs = append(p.Vdevs, vdev(typ, take(size)))
	}
	if rapid.Bool().Draw(t, label+" log") {
		p.Log = []spec.Vdev{vdev("stripe", take(1))}
	}
	if rapid.Bool().Draw(t, label+" cache") {
		p.Cache = devices(take(1))
	}
	if rapid.Bool().Draw(t, label+" spare") {
		p.Spare = devices(take(1))
	}
	return p
}

// edit changes the declared pool as a person would: a device more, less, another, or gone for good.
func edit(t *rapid.T, p *spec.Pool, free *[]string) {
	v := &p.Vdevs[rapid.IntRange(0, len(p.Vdevs)-1).Draw(t, "vdev")]
	at := rapid.IntRange(0, len(v.Devices)-1).Draw(t, "device")
	fresh := func() spec.Device {
		d := devices((*free)[0])[0]
		*free = (*free)[1:]
		return d
	}
	switch what := rapid.IntRange(0, 6).Draw(t, "edit"); {
	case what == 0: // replaced
		v.Devices[at] = fresh()
	case what == 1 && v.Type != "stripe": // grown
		v.Devices = append(v.Devices, fresh())
	case what == 2 && v.Type == "mirror" && len(v.Devices) > 2: // out of a mirror
		p.Remove = append(p.Remove, v.Devices[at])
		v.Devices = slices.Delete(v.Devices, at, at+1)
	case what == 3 && len(p.Vdevs) > 1: // a vdev less
		last := len(p.Vdevs) - 1
		p.Remove, p.Vdevs = append(p.Remove, p.Vdevs[last].Devices...), p.Vdevs[:last]
	case what == 4: // a vdev more
		more := spec.Vdev{Type: v.Type}
		for range v.Devices {
			more.Devices = append(more.Devices, fresh())
		}
		p.Vdevs = append(p.Vdevs, more)
	case what == 5:
		p.Spare = append(p.Spare, fresh())
	case what == 6 && len(p.Cache) > 0:
		p.Remove, p.Cache = append(p.Remove, p.Cache...), nil
	}
}

// Whatever is edited: what can be done is done in a few rounds, then nothing is left to do; no command is forced or
// names another pool; and no device leaves but by remove, or by another one in its place.
func TestTopologyLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []string
		for i := range 20 {
			all = append(all, fmt.Sprintf("/d/%02d", i))
		}
		f := machine(append(all, "/d/other")...)
		if _, err := f.Do("zpool create other /d/other"); err != nil {
			t.Fatalf("%v", err)
		}
		p := drawPool(t, &all, "start")
		want := declared(p)
		if _, text := plan(want, look(t, f, want)); !strings.HasPrefix(text, "create ") {
			t.Fatalf("%s", text)
		}
		carry(t, &Driver{Runner: f}, want)
		edit(t, p, &all)
		for range 6 {
			if carry(t, &Driver{Runner: f}, want) == 0 {
				break
			}
		}
		before := fmt.Sprint(f.Model.Pools["tank"].Vdevs)
		if n := carry(t, &Driver{Runner: f}, want); n > 0 || fmt.Sprint(f.Model.Pools["tank"].Vdevs) != before {
			t.Fatalf("%d actions are planned again and again", n)
		}
	})
}

// carry applies a plan, checks each command, and counts what was done.
func carry(t *rapid.T, d *Driver, want *spec.Spec) (n int) {
	removable := map[string]bool{}
	for _, dev := range want.Pools["tank"].Remove {
		removable[dev.Path] = true
	}
	for _, a := range d.Diff(drivers.Input{Want: want, Have: look(t, d.Runner, want)}).Actions {
		if a.Verb == drivers.Blocked {
			continue
		}
		n++
		for _, c := range a.Steps {
			forced := slices.ContainsFunc(c.Argv, func(w string) bool { return w == "-f" || w == "other" || w == "/d/other" })
			leaves := c.Argv[1] == "detach" || c.Argv[1] == "remove"
			if forced || leaves && !removable[c.Argv[3]] && !strings.Contains(c.Argv[3], "-") {
				t.Fatalf("not allowed: %s", c)
			}
		}
		if err := d.Apply(context.Background(), a); err != nil {
			t.Fatalf("%s: %v", host.Command{Argv: a.Steps[0].Argv}, err)
		}
	}
	return n
}
