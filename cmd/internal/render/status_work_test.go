package render

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

// What ails a pool and what runs on it is told in words, device by device.
func TestPoolDetails(t *testing.T) {
	at := time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC)
	o := state.NewObserved(at, "nas")
	o.Pools["tank"] = &state.Pool{
		Name: "tank", Health: "DEGRADED", Size: 1 << 40, Errors: "No known data errors",
		Vdevs: []state.Vdev{
			{Name: "mirror-0", State: "DEGRADED", Children: []state.Vdev{
				{Name: "/d/a", Path: "/d/a", State: "ONLINE", Checksum: 7},
				{Name: "spare-1", State: "DEGRADED", Children: []state.Vdev{
					{Name: "77", Path: "/d/b", State: "UNAVAIL", Note: "was /d/b"}, {Name: "/d/s", Path: "/d/s", State: "ONLINE"}}}}},
			{Name: "/d/s", Path: "/d/s", Class: "spare", State: "INUSE", Note: "currently in use"},
			{Name: "/d/t", Path: "/d/t", Class: "spare", State: "FAULTED", Note: "too many errors"},
		},
		Scanned:    &state.Work{Kind: "resilver", State: state.Running, Start: at, Done: 1 << 30, Total: 4 << 30, Left: 3661},
		Expansion:  &state.Work{Kind: "expansion", State: state.Running, Vdev: "raidz1-1"},
		Removal:    &state.Work{Kind: "removal", State: state.Finished},
		Checkpoint: &state.Checkpoint{State: "exists", Start: at},
	}
	rec := &state.Record{At: at, Observed: o, Declared: &state.Declared{Pools: map[string]state.DeclaredPool{"tank": {}}}}
	var out bytes.Buffer
	if err := StatusText(&out, NewStatus(rec, at), TextOptions{}); err != nil {
		t.Fatal(err)
	}
	doc, err := StatusJSON(NewStatus(rec, at))
	if err != nil || strings.Contains(string(doc), `"state": "UNAVAIL"`) || !strings.Contains(string(doc), `"state": "unavail"`) {
		t.Errorf("values of a document are lower case: %s, %v", doc, err)
	}
	for _, want := range []string{
		"health is DEGRADED: /d/b of mirror-0 is UNAVAIL, /d/t is FAULTED (too many errors)",
		"- tank: resilver 25.0% done (1.00G of 4.00G), 1h1m1s left",
		"- tank: expansion of raidz1-1 begins",
		"- tank: checkpoint of 2026-11-24 07:03:00 UTC (exists): no device can be attached",
		"- tank: /d/b of mirror-0 is UNAVAIL",
		"- tank: /d/a has errors: 0 read, 0 write, 7 checksum",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "removal") {
		t.Errorf("a removal that is over is told:\n%s", &out)
	}
}

func TestScanText(t *testing.T) {
	end := time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC)
	for want, w := range map[string]*state.Work{
		"": nil,
		"scrub ended 2026-11-24 07:03:00 UTC, 0 repaired, 2 errors":       {Kind: "scrub", State: state.Finished, End: end, Errors: 2},
		"resilver ended 2026-11-24 07:03:00 UTC, 1.00K written, 0 errors": {Kind: "resilver", State: state.Finished, End: end, Fixed: 1024},
		"scrub canceled 2026-11-24 07:03:00 UTC":                          {Kind: "scrub", State: state.Canceled, End: end},
		"scrub paused, 50.0% done (1.00K of 2.00K)":                       {Kind: "scrub", State: state.Paused, Done: 1024, Total: 2048},
	} {
		if got := scanText(w); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A device with errors is a pool that is not well, whatever its health.
func TestCountersCount(t *testing.T) {
	p := &state.Pool{Name: "tank", Health: "ONLINE", Errors: noErrors, Vdevs: []state.Vdev{{Name: "mirror-0", State: "ONLINE", Children: []state.Vdev{{Path: "/d/a", State: "ONLINE", Checksum: 7}}}}}
	if got, why := poolState(p, state.DeclaredPool{}, ""); got != Degraded || !strings.Contains(why, "/d/a has errors: 0 read, 0 write, 7 checksum: replace the device, or run `zpool clear tank`") {
		t.Errorf("%s: %s", got, why)
	}
	p.Vdevs[0].Children[0].Checksum = 0
	if got, why := poolState(p, state.DeclaredPool{}, ""); got != OK {
		t.Errorf("%s: %s", got, why)
	}
}
