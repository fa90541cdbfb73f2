package main

import (
	"testing"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

// TestPlanHash: an order is of the plan that was shown. What says nothing of what would be done may change meanwhile.
func TestPlanHash(t *testing.T) {
	shown := func(change func(*failoverPlan)) string {
		p := &failoverPlan{Version: 1, Node: "nas-b", Role: "standby", Term: 1, Active: "nas-a", Steps: ha.Steps(ha.JobPromote),
			Peers: []peerProof{{Name: "nas-a", State: state.PeerHealthy, Role: "standby", Proof: state.ProofPromise, Text: "it answers"}}, Lag: lagDoc{Known: true, Set: "one"}}
		change(p)
		return hashOf(p)
	}
	was := shown(func(*failoverPlan) {})
	for _, c := range []struct {
		what   string
		same   bool
		change func(*failoverPlan)
	}{
		{"a peer that missed a beat", true, func(p *failoverPlan) { p.Peers[0].State, p.Peers[0].Text = state.PeerDegraded, "it answers still" }},
		{"time", true, func(p *failoverPlan) { p.Lag.Seconds = 9 }},
		{"another proof", false, func(p *failoverPlan) { p.Peers[0].Proof = state.ProofWord }},
		{"another role", false, func(p *failoverPlan) { p.Peers[0].Role = "active" }},
		{"what would be lost", false, func(p *failoverPlan) { p.Lag.Bytes = 9 }},
		{"another set", false, func(p *failoverPlan) { p.Lag.Set = "two" }},
	} {
		if same := shown(c.change) == was; same != c.same {
			t.Errorf("%s: the same plan: %t", c.what, same)
		}
	}
}
