package render

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

func TestReplicationStates(t *testing.T) {
	never := []state.DatasetLag{{Source: "tank/a", Lag: time.Hour, Never: true}}
	for name, c := range map[string]struct {
		h              state.ReplicationHealth
		state, machine string
	}{
		"all there":                         {state.ReplicationHealth{}, OK, OK},
		"nothing sent yet":                  {state.ReplicationHealth{Never: 1, Lag: time.Hour, Datasets: never}, "pending", OK},
		"nothing sent yet, and too late":    {state.ReplicationHealth{Never: 1, Lag: time.Hour, Objective: time.Minute, Datasets: never}, Degraded, Degraded},
		"under way":                         {state.ReplicationHealth{Running: true, Unknown: true, Objective: time.Minute}, "running", OK},
		"away, and known":                   {state.ReplicationHealth{Away: "not imported"}, OK, OK},
		"away, and nothing known":           {state.ReplicationHealth{Away: "not imported", Unknown: true}, Unknown, OK},
		"away, not known, and an objective": {state.ReplicationHealth{Away: "not imported", Unknown: true, Objective: time.Hour}, Degraded, Degraded},
		"a fault":                           {state.ReplicationHealth{Error: "no route", Unknown: true}, Degraded, Degraded},
	} {
		s := &Status{State: OK}
		s.replications([]state.ReplicationHealth{c.h})
		if s.Replications[0].State != c.state || s.State != c.machine {
			t.Errorf("%s: %s, the machine %s: %v", name, s.Replications[0].State, s.State, s.Reasons)
		}
	}
}

func TestReplicationList(t *testing.T) {
	at := time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	one := state.Point{Name: "one", GUID: "1"}
	obs := &state.Observed{
		ReplicationHealth: []state.ReplicationHealth{{Name: "off", Lag: 3 * time.Hour, Error: "tank/b: usb/b had it once, and is gone", Datasets: []state.DatasetLag{
			{Source: "tank/a", Lag: time.Minute}, {Source: "tank/b", Lag: 3 * time.Hour, Never: true, Lost: true},
		}}},
		Replications: map[string]*state.Replication{"off": {
			Pairs: []state.Pair{
				{Source: state.End{Name: "tank/a", Snapshots: []state.Point{one}}, To: "usb/a", Target: &state.End{Snapshots: []state.Point{one}}},
				{Source: state.End{Name: "tank/b", Snapshots: []state.Point{one}}, To: "usb/b"},
			},
			Remembered: &state.Replicated{Runs: []state.TransferRun{
				{Began: at, Ended: at.Add(8 * time.Second), Bytes: 8 << 20, Streams: 3, Resumed: 1, Outcome: state.Done},
				{Began: at.Add(-time.Hour), Ended: at.Add(-time.Hour), Streams: 1, Outcome: state.Failed, Error: "no space\nat all"},
			}},
		}},
	}
	var out bytes.Buffer
	if err := ReplicationsText(&out, obs, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	want := `off  degraded
  - tank/b: usb/b had it once, and is gone
  tank/a  -> usb/a  lag 60s  has all, up to @one; written to since
  tank/b  -> usb/b  lag 3h   the target had it once, and is gone
  runs, newest first
    2026-11-24 07:00:00 UTC  done    8.00M in 8s (1.00M/s), 3 streams, 1 resumed
    2026-11-24 06:00:00 UTC  failed  0 in 0s (0/s), 1 stream                      no space
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
	b, err := ReplicationsJSON(obs)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Replications []struct {
			State    string
			Lag      int64
			Datasets []struct {
				Source, Target string
				Lag            int64
				Lost           bool
			}
			Runs []struct {
				Bytes, Rate, Resumed int64
				Duration             float64
				Outcome              string
			}
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	r := doc.Replications[0]
	if r.State != Degraded || r.Lag != 10800 || len(r.Datasets) != 2 || r.Datasets[1].Lag != 10800 || !r.Datasets[1].Lost || r.Datasets[1].Target != "usb/b" {
		t.Errorf("%+v", r)
	}
	if x := r.Runs[0]; x.Bytes != 8<<20 || x.Rate != 1<<20 || x.Resumed != 1 || x.Duration != 8 || x.Outcome != "done" {
		t.Errorf("%+v", x)
	}
	if b, err := ReplicationsJSON(nil); err != nil || !strings.Contains(string(b), `"replications": []`) {
		t.Errorf("%s %v", b, err)
	}
}
