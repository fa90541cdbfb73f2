package main

import (
	"slices"
	"testing"

	"github.com/dplaneos/dplane/spec"
)

// What a user still needs on a dataset is not taken from him for the sake of what is below it.
func TestNarrows(t *testing.T) {
	push := func(target string) *spec.Replication {
		return &spec.Replication{Source: spec.End{Dataset: "tank/a"}, Target: spec.End{Remote: "b", Dataset: spec.DatasetName(target)}}
	}
	pull := &spec.Replication{Source: spec.End{Remote: "b", Dataset: "far"}, Target: spec.End{Dataset: "tank/b"}}
	const rights = "canmount,create,destroy,hold,mount,readonly,receive,release"
	for name, c := range map[string]struct {
		all  []*spec.Replication
		user string
		want []string
	}{
		"root":                                {[]*spec.Replication{push("backup/a")}, "root", nil},
		"a pool":                              {[]*spec.Replication{push("backup")}, "repl", nil},
		"what is fetched":                     {[]*spec.Replication{pull}, "repl", nil},
		"below what another one is":           {[]*spec.Replication{push("backup/a"), push("backup/a/x/y")}, "repl", []string{"zfs allow -u repl " + rights + " backup/a", "zfs allow -u repl " + rights + " backup/a/x/y", "zfs unallow -u repl " + rights + " backup"}},
		"below what is fetched by it as well": {[]*spec.Replication{push("far/a"), pull}, "repl", []string{"zfs allow -u repl " + rights + " far/a"}},
	} {
		if got := narrows(c.all, c.user); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The key of a pair lets its node in by its role alone.
func TestSetupOfPair(t *testing.T) {
	want, err := spec.LoadDir("../../examples/pair/nas-a", spec.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := forced(want, []*spec.Replication{want.Replications["pair"]}); got != "dplane receive --target tank/shares --peer nas-a" {
		t.Errorf("%q", got)
	}
}
