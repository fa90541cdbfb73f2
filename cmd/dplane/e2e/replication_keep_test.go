//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReplicationKeep: of what was received goes what keep lets go; what is the target's own, held or cloned stays, and what
// both have, so that it goes on by what changed. A replication that is taken out of the files leaves nothing behind.
func TestReplicationKeep(t *testing.T) {
	set := machineClock(t)
	start := time.Date(2026, 10, 24, 6, 0, 0, 0, time.UTC)
	set(start)
	p := newPair(t, ", keep: {hourly: 2}")
	replica := p.to + "/home/anna"
	hour := func(h int) {
		t.Helper()
		set(start.Add(time.Duration(h) * time.Hour))
		must(t, "touch", p.path(fmt.Sprintf("mnt/home/anna/file%d", h)))
		p.snapshot(fmt.Sprint("h", h))
		p.expect(0, "replication", "run", "off")
	}
	has := func(d string, want ...string) {
		t.Helper()
		var got []string
		for _, line := range strings.Fields(must(t, "zfs", "list", "-H", "-d", "1", "-t", "snapshot", "-o", "name", "-s", "createtxg", d)) {
			_, name, _ := strings.Cut(line, "@")
			got = append(got, name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", d, got, want)
		}
	}
	hour(1)
	must(t, "zfs", "snapshot", replica+"@own")
	must(t, "zfs", "hold", "mine", replica+"@h1")
	must(t, "zfs", "clone", p.to+"/home/vol@h1", p.to+"/clone")
	guid := zfsGet(t, "guid", replica)
	for h := 2; h <= 4; h++ {
		hour(h)
	}
	p.expect(0, "apply", "--yes")
	has(replica, "h1", "own", "h3", "h4")
	has(p.to+"/home/vol", "h1", "h3", "h4")
	has(p.to+"/home", "h3", "h4")
	has(p.from+"/home/anna", "h1", "h2", "h3", "h4")

	for _, d := range sentDatasets { // the source prunes all: the bookmark is the base
		must(t, "zfs", "destroy", p.from+"/"+d+"@h1%h4")
	}
	must(t, "zfs", "destroy", p.to+"/clone")
	must(t, "zfs", "release", "mine", replica+"@h1")
	hour(5)
	p.expect(0, "apply", "--yes")
	has(replica, "own", "h4", "h5")
	has(p.to+"/home/vol", "h4", "h5")
	if zfsGet(t, "guid", replica) != guid || zfsGet(t, "guid", replica+"@h5") != zfsGet(t, "guid", p.from+"/home/anna@h5") {
		t.Error("it did not go on by what changed")
	}

	p.write("pair.yaml", fmt.Sprintf("pools: {%s: {}, %s: {}}\n", p.from, p.to))
	p.expect(0, "apply", "--yes")
	if out := must(t, "zfs", "list", "-H", "-r", "-t", "bookmark", "-o", "name", p.from, p.to); out != "" {
		t.Errorf("bookmarks are left: %s", out)
	}
	for _, line := range strings.Split(strings.TrimSpace(must(t, "zfs", "list", "-H", "-r", "-t", "snapshot", "-o", "name,userrefs", p.from, p.to)), "\n") {
		if !strings.HasSuffix(line, "\t0") {
			t.Errorf("held: %s", line)
		}
	}
	has(replica, "own", "h4", "h5")
	if r := p.expect(0, "plan", "--detailed-exitcode"); strings.Contains(r.Stdout, "replication") {
		t.Errorf("it is still told of:\n%s", r.Stdout)
	}
}
