package schedule

import (
	"testing"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// What a replication excludes, and what is below that, is not sent, and so pruned as any other.
func TestSent(t *testing.T) {
	end := func(name string) spec.End { return spec.End{Dataset: spec.DatasetName(name)} }
	for _, c := range []struct {
		name string
		r    spec.Replication
		sent bool
	}{
		{"tank/home", spec.Replication{Source: end("tank/home")}, true},
		{"tank/home/anna", spec.Replication{Source: end("tank/home")}, false},
		{"tank/home/anna", spec.Replication{Source: end("tank/home"), Recursive: true}, true},
		{"tank/homes", spec.Replication{Source: end("tank/home"), Recursive: true}, false},
		{"tank/home/anna/cache", spec.Replication{Source: end("tank/home"), Recursive: true, Exclude: []string{"tank/home/*/cache"}}, false},
		{"tank/home/anna/cache/x", spec.Replication{Source: end("tank/home"), Recursive: true, Exclude: []string{"tank/home/*/cache"}}, false},
		{"tank/home/anna", spec.Replication{Source: end("tank/home"), Recursive: true, Exclude: []string{"tank/home/*/cache"}}, true},
		{"tank/home", spec.Replication{Source: end("tank/home"), Recursive: true, Exclude: []string{"tank/**"}}, false},
		{"tank/home", spec.Replication{Source: spec.End{Remote: "b", Dataset: "tank/home"}}, false},
	} {
		v := &view{Want: &spec.Spec{Replications: map[string]*spec.Replication{"r": &c.r}}}
		if got := v.sent(&covered{Dataset: &state.Dataset{Name: c.name}}) != ""; got != c.sent {
			t.Errorf("%s with %+v: sent: %t", c.name, c.r, got)
		}
	}
}
