package sim

import (
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// tree is what is below a dataset, by name and guid.
func (x *ticking) tree(name string) map[string]string {
	x.t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(x.do("zfs get -Hp -r -t filesystem -o name,value guid " + name)) {
		n, guid, _ := strings.Cut(strings.TrimSpace(line), "\t")
		all[n] = guid
	}
	return all
}

// offered are the renames that a plan offers, by the old and the new name.
func offered(step reconcile.Step) map[string]string {
	ids := map[string]string{}
	for _, a := range step.Remaining.Actions {
		if a.Verb == drivers.Update && len(a.Fields) == 1 && a.Fields[0].Name == "name" {
			ids[a.Fields[0].From+" "+a.Fields[0].To] = a.ID
		}
	}
	return ids
}

// follow allows renames until none is offered, and gives them in order. None is done unasked, and nothing is sent whole.
func (x *ticking) follow() (done []string) {
	x.t.Helper()
	before := len(x.tree("usb"))
	for range 9 {
		x.Clock.Move(60e9)
		step := x.tick()
		if n := len(x.tree("usb")); n != before {
			x.t.Fatalf("%d replicas, not %d: %v", n, before, x.tree("usb"))
		}
		ids := offered(step)
		if len(ids) == 0 {
			return done
		}
		for way, id := range ids {
			for _, a := range step.Remaining.Actions {
				if a.ID == id && (a.Held == "" || a.Risk != spec.Disruptive) {
					x.t.Errorf("%s: %q, %s", way, a.Held, a.Risk)
				}
			}
			if strings.Contains(way, ".diverged-") && !strings.Contains(strings.Fields(way)[0], ".diverged-") && len(ids) > 1 && len(done) > 0 {
				continue // one that is out of the way is enough
			}
			x.Clock.Move(60e9)
			step, _, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, map[string]bool{id: true}), nil)
			if err != nil {
				x.t.Fatal(err)
			}
			for _, o := range step.Outcomes {
				if o.Err != nil {
					x.t.Error(o.Err)
				}
			}
			done = append(done, way)
			break
		}
	}
	x.t.Fatalf("it does not come to an end: %v", done)
	return nil
}

// A dataset of the source gets another name: its replica gets it too, once a person says so, with what is below; nothing is
// sent whole, whether the memory tells or only what both have.
func TestReplicationRenamed(t *testing.T) {
	for _, forget := range []bool{false, true} {
		x := newSending(t)
		x.do("zfs create tank/a/b/x")
		x.do("zfs snapshot tank/a/b/x@zero")
		x.snap("one")
		x.tick()
		was := x.tree("usb/a")
		x.do("zfs rename tank/a/b tank/a/n")
		x.do("zfs create tank/a/n/new")
		x.do("zfs snapshot tank/a/n/new@one")
		x.do("zfs snapshot tank/a/n@two")
		x.do("zfs snapshot tank/a@two")
		if forget {
			if err := x.Store.SaveReplicated(t.Context(), "off", nil); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(x.do("zfs list -H -r -t bookmark -o name tank/a")) {
				x.do("zfs destroy " + strings.TrimSpace(line))
			}
		}
		x.at("2026-11-24T08:00:00Z")
		step := x.tick()
		if h := x.health(step); !strings.Contains(h.Error, "tank/a/n: its replica has another name, usb/a/b") {
			t.Errorf("health: %s", h.Error)
		}
		if got := x.there("usb/a"); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("the others wait with it: %v", got)
		}
		step = x.tick()
		if told := strings.Join(step.Plan.Notices, "\n"); strings.Contains(told, "is a replica whose source is not there") {
			t.Errorf("told: %s", told)
		}
		ids := offered(step)
		id := ids["usb/a/b usb/a/n"]
		if len(ids) != 1 || id == "" {
			t.Fatalf("forget %t: offered: %v", forget, ids)
		}
		x.at("2026-11-24T08:02:00Z")
		if _, _, err := x.with(reconcile.ByHand(&x.want.Daemon.Limits, map[string]bool{id: true}), nil); err != nil {
			t.Fatal(err)
		}
		x.at("2026-11-24T08:03:00Z")
		x.tick()
		is := x.tree("usb/a")
		if is["usb/a/n"] != was["usb/a/b"] || is["usb/a/n/x"] != was["usb/a/b/x"] || is["usb/a/n/new"] == "" || len(is) != 4 {
			t.Errorf("forget %t: %v, was %v", forget, is, was)
		}
		if got := x.there("usb/a/n"); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("it does not go on: %v", got)
		}
		x.at("2026-11-24T08:04:00Z")
		if step := x.tick(); len(step.Plan.Actions)+len(step.Plan.Notices) > 0 {
			t.Errorf("it is not at rest: %v %v", step.Plan.Actions, step.Plan.Notices)
		}
	}
}

// However names go round at the source, each replica ends up as its source is called, step by step, and none is made anew.
func TestReplicationRenames(t *testing.T) {
	for name, renames := range map[string][]string{
		"the parent and its child":  {"tank/a/b tank/a/n", "tank/a/n/x tank/a/n/y"},
		"out of what is renamed":    {"tank/a/b/x tank/a/x", "tank/a/b tank/a/n"},
		"into what is renamed":      {"tank/a/c tank/a/b/c", "tank/a/b tank/a/n"},
		"along a chain":             {"tank/a/c tank/a/d", "tank/a/b tank/a/c"},
		"the child takes its place": {"tank/a/b tank/a/n", "tank/a/n/x tank/a/b"},
		"a swap":                    {"tank/a/b tank/a/n", "tank/a/c tank/a/b", "tank/a/n tank/a/c"},
	} {
		x := newSending(t)
		all := []string{"", "/b", "/b/x", "/c"}
		x.do("zfs create tank/a/b/x")
		x.do("zfs create tank/a/c")
		for _, d := range all {
			x.do("zfs snapshot tank/a" + d + "@one")
		}
		x.tick()
		source, target := x.tree("tank/a"), x.tree("usb/a")
		pairs := map[string]string{} // guids
		for _, d := range all {
			pairs[source["tank/a"+d]] = target["usb/a"+d]
		}
		for _, r := range renames {
			x.do("zfs rename " + r)
		}
		for _, d := range strings.Fields(x.do("zfs list -H -r -o name tank/a")) {
			if d != "tank/a/cache" {
				x.do("zfs snapshot " + d + "@two")
			}
		}
		x.at("2026-11-24T08:00:00Z")
		done := x.follow()
		source, target = x.tree("tank/a"), x.tree("usb/a")
		for n, guid := range source {
			to := "usb/a" + strings.TrimPrefix(n, "tank/a")
			if n == "tank/a/cache" {
				continue
			}
			if target[to] != pairs[guid] {
				t.Errorf("%s: %s is not the replica of %s: %v; done: %v", name, to, n, target, done)
			} else if got := x.there(to); !slices.Equal(got, []string{"one", "two"}) {
				t.Errorf("%s: %s has %v", name, to, got)
			}
		}
	}
}
