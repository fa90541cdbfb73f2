package dataset

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// What is seen of a pool with replicas is what is seen of any other: of what dplane may change, of what is above it and of
// its own marks; of the rest what zfs tells without opening it.
func TestUnopenedIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := randomMachine(t)
		want := &spec.Spec{Pools: map[spec.PoolName]*spec.Pool{"tank": {Name: "tank"}}, Datasets: map[spec.DatasetName]*spec.Dataset{"tank/a/b": {Name: "tank/a/b"}}}
		do(t, f, "zfs", "set", "com.example:own=x", "tank")
		all := look(t, f, want)
		want.Replications = map[string]*spec.Replication{"r": {Name: "r", Target: spec.End{Dataset: "tank/e"}}}
		quick := look(t, f, want)
		if !maps.EqualFunc(all.Datasets, quick.Datasets, func(a, b *state.Dataset) bool { return a.GUID == b.GUID && a.Used == b.Used }) {
			t.Fatalf("%v, and %v", sortedKeys(all.Datasets), sortedKeys(quick.Datasets))
		}
		for n, a := range all.Datasets {
			b := quick.Datasets[n]
			missing := []string{}
			for prop, p := range a.Properties {
				switch q, has := b.Properties[prop]; {
				case !has:
					missing = append(missing, prop)
				case p != q:
					t.Fatalf("%s of %s is %v, and %v", prop, n, p, q)
				}
			}
			may := n == "tank/a/b" || n == "tank" || n == "tank/a" || a.Properties[state.AppliedProperty].Local() && !spec.DatasetName(n).Under("tank/e")
			if may && len(missing) > 0 {
				t.Fatalf("of %s there is no %v", n, missing)
			}
			for _, prop := range missing {
				if !slices.Contains(openedForThem, prop) && !strings.HasPrefix(prop, "com.example:") {
					t.Fatalf("of %s there is no %s", n, prop)
				}
			}
		}
	})
}

// openedForThem are the native properties that are not asked for everywhere.
var openedForThem = strings.Fields("version utf8only normalization casesensitivity prefetch direct longname volthreading")

// A machine that only receives declares its pool alone: nothing is opened there. One that declares datasets asks all of all.
func TestReceives(t *testing.T) {
	f := zfsfake.New()
	f.AddFile("/pool/a", 1<<30)
	do(t, f, "zpool", "create", "tank", "/pool/a")
	pool := map[spec.PoolName]*spec.Pool{"tank": {Name: "tank"}}
	a := map[spec.DatasetName]*spec.Dataset{"tank/a": {Name: "tank/a"}}
	for name, c := range map[string]struct {
		want *spec.Spec
		role string
		is   bool
	}{
		"a pool alone":          {&spec.Spec{Pools: pool}, "", true},
		"what is declared":      {&spec.Spec{Pools: pool, Datasets: a}, "", false},
		"a target beside it":    {&spec.Spec{Pools: pool, Datasets: a, Replications: map[string]*spec.Replication{"r": {Target: spec.End{Dataset: "tank/b"}}}}, "", true},
		"a target elsewhere":    {&spec.Spec{Pools: pool, Datasets: a, Replications: map[string]*spec.Replication{"r": {Target: spec.End{Remote: "far", Dataset: "tank/b"}}}}, "", false},
		"a group, as standby":   {&spec.Spec{Pools: pool, Datasets: a, HA: &spec.HA{Datasets: []spec.DatasetName{"tank/a"}}}, "standby", true},
		"a group, and it leads": {&spec.Spec{Pools: pool, Datasets: a, HA: &spec.HA{Datasets: []spec.DatasetName{"tank/a"}}}, spec.RoleActive, false},
	} {
		if got := receives(c.want, c.role, "tank"); got != c.is {
			t.Errorf("%s: %v", name, got)
		}
	}
}
