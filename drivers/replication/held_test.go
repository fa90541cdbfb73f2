package replication

import (
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Nothing is made below a target that holds something else.
func TestNothingBelowAStranger(t *testing.T) {
	want := &spec.Spec{Replications: map[string]*spec.Replication{"off": {
		Name: "off", Source: spec.End{Dataset: "tank/a"}, Target: spec.End{Dataset: "usb/a"}, Recursive: true, When: spec.When{After: true},
	}}}
	child := *endOf("@a,5")
	child.Name = "tank/a/b"
	for stranger, sent := range map[string]int{"@x,9": 0, "@a,1": 1} {
		seen := &state.Replication{Pairs: []state.Pair{{Source: *endOf("@a,1"), To: "usb/a", Target: endOf(stranger)}, {Source: child, To: "usb/a/b"}}}
		r := (&Driver{}).Diff(drivers.Input{Want: want, Have: &state.Observed{Replications: map[string]*state.Replication{"off": seen}}})
		n := 0
		for _, a := range r.Actions {
			if a.Sending == nil {
				continue
			}
			for _, p := range a.Sending.Pairs {
				if p.Source == "tank/a/b" {
					n++
				}
			}
		}
		if n != sent {
			t.Errorf("the target of tank/a has %s: the child is sent %d times, want %d (%v)", stranger, n, sent, r.Notices)
		}
	}
}

// A pool that took a known name is sent nothing, and is a fault; one that may be away is none.
func TestAwayPools(t *testing.T) {
	want := &spec.Spec{Pools: map[spec.PoolName]*spec.Pool{"usb": {Removable: true}}}
	r := &spec.Replication{Source: spec.End{Dataset: "tank/a"}, Target: spec.End{Dataset: "usb/a"}}
	for name, c := range map[string]struct {
		usb, recorded, unseen string
		away, fine            bool
	}{
		"as known":    {usb: "1", recorded: "1"},
		"new":         {usb: "1"},
		"another one": {usb: "2", recorded: "1", away: true},
		"in a drawer": {recorded: "1", away: true, fine: true},
		"suspended":   {usb: "1", recorded: "1", unseen: "suspended", away: true},
	} {
		obs := &state.Observed{Pools: map[string]*state.Pool{"tank": {GUID: "7"}}}
		if c.usb != "" {
			obs.Pools["usb"] = &state.Pool{GUID: c.usb}
		}
		if c.recorded != "" {
			obs.Recorded = []state.Recorded{{Kind: "pool", Name: "usb", GUID: c.recorded}}
		}
		if c.unseen != "" {
			obs.Unseen = []state.Unseen{{Pool: "usb", Why: c.unseen}}
		}
		if got := away(r, obs); (got != "") != c.away || c.away && removable(r, want, obs) != c.fine {
			t.Errorf("%s: %q, no fault: %t", name, got, removable(r, want, obs))
		}
	}
}
