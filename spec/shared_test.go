package spec

import (
	"strings"
	"testing"
)

var sharedFiles = testGroup + `node: {name: nas-a}
datasets: {tank: {snapshots: s}, tank/a: {properties: {atime: off}}, tank/a/b: {snapshots: often}, tank/z: {}}
schedules: {s: {keep: {hourly: 1}}, often: {keep: {hourly: 2}}, other: {keep: {hourly: 3}}}
ha: {active: nas-a, datasets: [tank/a], ` +
	strings.Replace(testPeers, "}, nas-b", ", remote: nas-b}, nas-b", 1) + "}\n"

// TestShared: what is to be equal on both nodes changes the hash, and what is each node's own does not.
func TestShared(t *testing.T) {
	before := mustLoad(t, map[string]string{"a.yaml": sharedFiles}).Shared()
	if len(before) != 64 {
		t.Fatalf("the hash is %q", before)
	}
	for _, c := range []struct {
		what, from, to string
		changes        bool
	}{
		{"the node's name", "name: nas-a}", "name: nas-b}", false},
		{"its time zone", "name: nas-a}", "name: nas-a, timezone: Europe/Berlin}", false},
		{"another dataset", "tank/z: {}", "tank/z: {properties: {atime: off}}", false},
		{"another schedule", "hourly: 3", "hourly: 4", false},
		{"a pool", "{tank: {}}", "{tank: {}, usb: {}}", false},
		{"how a remote is reached", "host: b,", "host: c,", false},
		{"another replication", "replications: {", "replications: {far: {source: tank/z, target: {remote: nas-b, dataset: tank/far}}, ", false},
		{"a comment", "ha: {", "# beats compare it\nha: {", false},
		{"a dataset of the group", "atime: off", "atime: on", true},
		{"one below", "tank/a/b: {snapshots", "tank/a/b: {properties: {atime: off}, snapshots", true},
		{"its schedule", "hourly: 2", "hourly: 5", true},
		{"the one that covers the group from above", "hourly: 1", "hourly: 5", true},
		{"which one does", "tank: {snapshots: s}", "tank: {snapshots: other}", true},
		{"the replication to the standby", "recursive: true,", "recursive: true, objective: 1h,", true},
		{"who is active", "active: nas-a", "active: nas-b", true},
		{"an address", "10.0.0.2:9443", "10.0.0.3:9443", true},
		{"the heartbeat", "ha: {", "ha: {heartbeat: {every: 5s}, ", true},
	} {
		text := strings.Replace(sharedFiles, c.from, c.to, 1)
		if text == sharedFiles {
			t.Fatalf("%s: %q is not in the files", c.what, c.from)
		}
		if got := mustLoad(t, map[string]string{"a.yaml": text}).Shared(); (got != before) != c.changes {
			t.Errorf("%s changed: the hash changed %v, want %v", c.what, got != before, c.changes)
		}
	}
	if s := mustLoad(t, map[string]string{"a.yaml": "pools: {tank: {}}\n"}); s.Shared() != "" {
		t.Error("a machine that stands alone shares something")
	}
}
