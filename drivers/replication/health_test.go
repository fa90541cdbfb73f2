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
		{"one behind", "@a,1 +5 @b,2", "@a,1", 2 * time.Hour, 0, ""},
		{"one behind, in which nothing is", "@a,1 @b,2", "@a,1", 0, 0, ""},
		{"nothing there", "@a,1 @b,2", "none", 2 * time.Hour, 1, ""},
		{"nothing there, and the oldest is not wanted", "@left-1,1 @b,2", "none", time.Hour, 1, ""},
		{"nothing to send", "", "none", 0, 0, ""},
		{"nothing that is wanted", "@left-1,1", "none", 0, 0, ""},
		{"what is left out holds data that the target lacks", "@a,1 +5 @left-1,2 @left-2,3", "@a,1", 3 * time.Hour, 0, ""},
		{"what is left out holds nothing", "@a,1 @left-1,2", "@a,1", 0, 0, ""},
		{"something else there", "@a,1", "@x,9", time.Hour, 1, "no snapshot in common"},
	} {
		seen := &state.Replication{Pairs: []state.Pair{{Source: *aged(c.source), Target: endOf(c.target)}}}
		if e := seen.Pairs[0].Target; e != nil {
			e.ReadOnly = true
		}
		h := health(&spec.Replication{Name: "off", Objective: spec.Duration(time.Hour), Snapshots: []string{"a", "b"}}, seen, sight{}, now)
		if h.Lag != c.lag || h.Never != c.never || !strings.Contains(h.Error, c.err) || c.err == "" && h.Error != "" {
			t.Errorf("%s: %+v", c.name, h)
		}
	}
}

// A replica that can be written to is a fault until it is mended, wherever the files do not say so themselves.
func TestHealthWritable(t *testing.T) {
	for name, c := range map[string]struct {
		set  string
		ends []state.End
		err  string
	}{
		"read-only":          {"on", []state.End{{ReadOnly: true}}, ""},
		"as the files say":   {"off", []state.End{{}}, ""},
		"being received":     {"on", []state.End{{Partial: true}}, ""},
		"one of two":         {"on", []state.End{{ReadOnly: true}, {}}, "usb/b may be written to, which stops the replication (as root on nas: zfs set readonly=on usb/b)"},
		"more than one line": {"on", make([]state.End, 7), "usb/a, usb/b, usb/c, usb/d, usb/e and 2 more may be written to, which stops the replication (as root on nas: zfs set readonly=on usb/a usb/b usb/c usb/d usb/e, and so on)"},
	} {
		seen := &state.Replication{}
		for i, e := range c.ends {
			n := string(rune('a' + i))
			both := []state.Point{{Name: "one", GUID: n, TXG: 1}}
			e.Name, e.Snapshots = "usb/"+n, both
			seen.Pairs = append(seen.Pairs, state.Pair{Source: state.End{Name: "tank/" + n, GUID: n, Snapshots: both}, To: e.Name, Target: &e})
		}
		r := &spec.Replication{Name: "off", Target: spec.End{Remote: "nas"}, Receive: spec.Receive{Set: map[string]spec.Property{"readonly": {Value: c.set}}}}
		if h := health(r, seen, sight{}, time.Now()); h.Error != c.err {
			t.Errorf("%s: %q", name, h.Error)
		}
	}
}

// What is not to be seen, or changes, is as old as it was, and older by what went by.
func TestHealthUnseen(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ago := func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) }
	lags := func(list ...state.DatasetLag) []state.DatasetLag { return list }
	for name, c := range map[string]struct {
		common map[string]state.Common
		last   sight
		lag    time.Duration
		none   bool
	}{
		"nothing known":                   {none: true},
		"remembered":                      {common: map[string]state.Common{"g": {Creation: ago(3), At: ago(2)}}, lag: 3 * time.Hour},
		"remembered, nothing was lacking": {common: map[string]state.Common{"g": {Creation: ago(9), At: ago(2), Whole: true}}, lag: 2 * time.Hour},
		"what is not sent any more":       {common: map[string]state.Common{"g": {Creation: ago(3), At: ago(2)}, "h": {Creation: ago(99), Left: true}}, lag: 3 * time.Hour},
		"of another target":               {common: map[string]state.Common{"g": {Creation: ago(3), Place: "b:pool/a"}}, none: true},
		"seen an hour ago":                {common: map[string]state.Common{"g": {Creation: ago(9)}}, last: sight{ago(1), lags(state.DatasetLag{Lag: time.Hour})}, lag: 2 * time.Hour},
		"seen, and sent nothing yet":      {last: sight{ago(1), lags(state.DatasetLag{Lag: time.Hour, Never: true})}, lag: 2 * time.Hour},
	} {
		for _, seen := range []*state.Replication{{Unseen: "pool usb is not imported", Away: true}, {Running: true}, {Unseen: "no route"}} {
			seen.Remembered = &state.Replicated{Common: c.common}
			h := health(&spec.Replication{Target: spec.End{Dataset: "usb/a"}}, seen, c.last, now)
			if h.Lag != c.lag || h.Unknown != c.none || (h.Error == "no route") == (seen.Unseen != "no route") {
				t.Errorf("%s: %+v", name, h)
			}
		}
	}
	known := &state.Replicated{Runs: []state.TransferRun{{Outcome: state.Failed, Error: "no space"}}}
	if h := health(&spec.Replication{}, &state.Replication{Unseen: "pool usb is not imported", Away: true, Remembered: known}, sight{}, now); h.Error != "no space" {
		t.Errorf("%+v", h)
	}
	if h := health(&spec.Replication{}, &state.Replication{Unseen: "not my role", Away: true, Elsewhere: true}, sight{}, now); h.Unknown || h.Error != "" || h.Away == "" {
		t.Errorf("what the other node sends is no fault of this one: %+v", h)
	}
}
