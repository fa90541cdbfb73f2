package replication

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func TestHealth(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	// endOf with the snapshots an hour apart, the newest an hour ago
	aged := func(text string) *state.End {
		e := endOf(text)
		for i := range e.Snapshots {
			e.Snapshots[i].Creation = now.Add(-time.Duration(len(e.Snapshots)-i) * time.Hour)
		}
		return e
	}
	for _, c := range []struct {
		name, source, target string
		lag                  time.Duration
		never                int
		err                  string
	}{
		{"the same, and nothing written", "@a,1 @b,2", "@a,1 @b,2", 0, 0, ""},
		{"the same, and written to since", "@a,1 @b,2 +5", "@a,1 @b,2", time.Hour, 0, ""},
		{"one behind", "@a,1 @b,2", "@a,1", 2 * time.Hour, 0, ""},
		{"nothing there", "@a,1", "none", 0, 1, ""},
		{"nothing to send", "", "none", 0, 0, ""},
		{"something else there", "@a,1", "@x,9", 0, 1, "no snapshot in common"},
	} {
		seen := &state.Replication{Pairs: []state.Pair{{Source: *aged(c.source), Target: endOf(c.target)}}}
		h := health(&spec.Replication{Name: "off", Objective: spec.Duration(time.Hour)}, seen, now)
		if h.Lag != c.lag || h.Never != c.never || !strings.Contains(h.Error, c.err) || c.err == "" && h.Error != "" {
			t.Errorf("%s: %+v", c.name, h)
		}
	}
	known := &state.Replicated{Common: map[string]state.Common{"g": {Creation: now.Add(-3 * time.Hour)}}, Runs: []state.TransferRun{{Outcome: state.Failed, Error: "no space"}}}
	for _, seen := range []*state.Replication{{Unseen: "pool usb is not imported", Away: true, Remembered: known}, {Running: true, Remembered: known}} {
		if h := health(&spec.Replication{}, seen, now); h.Lag != 3*time.Hour {
			t.Errorf("what is away or under way is as old as it was: %+v", h)
		}
	}
	if h := health(&spec.Replication{}, &state.Replication{Unseen: "no route"}, now); h.Error != "no route" {
		t.Errorf("%+v", h)
	}
	if h := health(&spec.Replication{}, &state.Replication{Unseen: "pool usb is not imported", Away: true}, now); h.Error != "" {
		t.Errorf("a disk in a drawer is no fault: %+v", h)
	}
}
