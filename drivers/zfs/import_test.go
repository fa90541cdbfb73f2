package zfs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Captured on 2.3.9: two file pools, one of which has continued lines of text.
const searched = `  pool: rz
    id: 11671978868016318394
 state: DEGRADED
status: One or more devices are missing from the system.
action: The pool can be imported despite missing or damaged devices.  The
	fault tolerance of the pool may be compromised if imported.
   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-2Q
config:

	rz               DEGRADED
	  raidz1-0       DEGRADED
	    /pool/d.img  UNAVAIL  cannot open
	    /pool/e.img  ONLINE

  pool: my pool
    id: 2749963865025900126
 state: ONLINE
action: The pool can be imported using its name or numeric identifier.
config:

	my pool         ONLINE
	  /pool/x1.img  ONLINE
`

func TestParseSearch(t *testing.T) {
	got, err := ParseSearch([]byte(searched))
	if err != nil {
		t.Fatal(err)
	}
	want := []Found{{"rz", "11671978868016318394", "DEGRADED", "One or more devices are missing from the system.", true}, {"my pool", "2749963865025900126", "ONLINE", "", true}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for text, want := range map[string]Found{ // of 2.1.11, 2.3.9
		"   pool: rz\n     id: 17\n  state: UNAVAIL\nstatus: One or more devices are missing from the system.\n action: The pool cannot be imported. Attach the missing\n\tdevices and try again.\n" +
			"   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-3C\n config:\n\n\trz  UNAVAIL  insufficient replicas\n": {"rz", "17", "UNAVAIL", "One or more devices are missing from the system.", false},
		"   pool: h\n     id: 4\n  state: ONLINE\nstatus: The pool was last accessed by another system.\n action: The pool can be imported using its name or numeric identifier and\n\tthe '-f' flag.\n": {
			"h", "4", "ONLINE", "The pool was last accessed by another system.", false},
		"  pool: h\n    id: 4\n state: ONLINE (DESTROYED)\naction: The pool can be imported using its name or numeric identifier.\n": {"h", "4", "ONLINE (DESTROYED)", "", false},
		"  pool: old\n    id: 30\n state: ONLINE\nstatus: Some supported features are not enabled on the pool.\n\t(Note that they may be intentionally disabled if the\n\t'compatibility' property is set.)\n" +
			"action: The pool can be imported using its name or numeric identifier, though\n\tsome features will not be available without an explicit 'zpool upgrade'.\n": {
			"old", "30", "ONLINE", "Some supported features are not enabled on the pool. (Note that they may be intentionally disabled if the 'compatibility' property is set.)", true},
	} {
		if got, err := ParseSearch([]byte(text)); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if got, err := ParseSearch(nil); len(got) != 0 || err != nil {
		t.Errorf("nothing found gives %v, %v", got, err)
	}
	for _, bad := range []string{"  pool: tank\n state: ONLINE\n", "    id: 5\n", "  pool: tank\n    id: x5\n"} {
		if got, err := ParseSearch([]byte(bad)); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
}

// Captured on 2.3.9, shortened in the tree.
const exported = `------------------------------------
LABEL 0 
------------------------------------
    version: 5000
    name: 'exp'
    state: 1
    txg: 18
    pool_guid: 13000141758594625930
    guid: 911
    hostname: 'zfsvm'
    vdev_tree:
        type: 'file'
        name: 'other'
        state: 0
        path: '/pool/exp'
    features_for_read:
        com.delphix:hole_birth
    labels = 0 1 2 3 
`

func TestParseLabels(t *testing.T) {
	none := "failed to unpack label 0\nfailed to unpack label 1\nfailed to unpack label 2\nfailed to unpack label 3\n"
	const head = "------------------------------------\nLABEL %d \n------------------------------------\n"
	old := fmt.Sprintf(head, 2) + "    version: 5000\n    name: 'old'\n    state: 2\n    pool_guid: 7\n    guid: 8\n"
	for out, want := range map[string][]state.Label{
		exported: {{Pool: "exp", GUID: "13000141758594625930", Vdev: "911", State: "exported"}},
		none:     nil,
		"":       nil,
		// Captured on 2.3.9: a spare, which names no pool, and what it names of itself.
		fmt.Sprintf(head, 0) + "    version: 5000\n    state: 3\n    guid: 9785106538942681676\n    path: '/dev/disk/by-id/virtio-disk5-part1'\n    labels = 0 1 2 3 \n": {
			{Vdev: "9785106538942681676", State: "spare"}},
		// A cache device: what comes after its label has words of its own, deeper or not.
		fmt.Sprintf(head, 0) + "    version: 5000\n    state: 4\n    guid: 57\n    labels = 0 1 2 3 \n------------------------------------\n" +
			"L2ARC device header\n------------------------------------\n    magic: 6504978260106102853\n    version: 1\n    pool_guid: 75\n": {
			{Vdev: "57", State: "cache"}},
		// Two pools on one device: each is told.
		exported + old: {{Pool: "exp", GUID: "13000141758594625930", Vdev: "911", State: "exported"}, {Pool: "old", GUID: "7", Vdev: "8", State: "destroyed"}},
		// The copies differ in their time only: one label.
		exported + strings.Replace(exported, "txg: 18", "txg: 17", 1): {{Pool: "exp", GUID: "13000141758594625930", Vdev: "911", State: "exported"}},
	} {
		if got := ParseLabels([]byte(out)); !slices.Equal(got, want) {
			t.Errorf("%q gives %+v, want %+v", out, got, want)
		}
	}
}

func TestAtCreation(t *testing.T) {
	now, later := AtCreation(map[string]spec.Property{"compression": {Value: "zstd"}, "userquota@anna": {Value: "5"}, "com.example:a": {Value: ""}})
	if want := map[string]string{"compression": "zstd", "com.example:a": "", "dplane:applied": "com.example:a,compression"}; !reflect.DeepEqual(now, want) {
		t.Errorf("now %v, want %v", now, want)
	}
	if want := map[string]string{"userquota@anna": "5", "dplane:applied": "com.example:a,compression,userquota@anna"}; !reflect.DeepEqual(later, want) {
		t.Errorf("later %v, want %v", later, want)
	}
	if _, later := AtCreation(map[string]spec.Property{"volmode": {Value: "none"}, "volthreading": {Value: "off"}}); len(later) > 0 {
		t.Errorf("with no device, later: %v", later)
	}
	if now, later := AtCreation(nil); len(now)+len(later) > 0 {
		t.Errorf("nothing declared sets %v, %v", now, later)
	}
}

func FuzzParseSearch(f *testing.F) {
	f.Add([]byte(searched))
	f.Fuzz(func(t *testing.T, out []byte) {
		found, err := ParseSearch(out)
		for _, p := range found {
			if err == nil && (p.Name == "" || p.GUID == "") {
				t.Errorf("a pool without name or guid: %+v", p)
			}
		}
	})
}

func FuzzParseLabels(f *testing.F) {
	f.Add([]byte(exported))
	f.Fuzz(func(t *testing.T, out []byte) {
		if got := ParseLabels(out); len(got) > strings.Count(string(out), "LABEL ") {
			t.Errorf("%d labels", len(got))
		}
	})
}
