package ha

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

var (
	activeB   = state.Beat{Role: state.RoleActive, Term: 1, Active: "b"}
	standbyB  = state.Beat{Role: state.RoleStandby, Term: 1, Active: "a"}
	standbyOf = state.Beat{Role: state.RoleStandby, Term: 1, Active: "b"}
	allowed   = Command{Name: Failover, Accept: true}
	word      = Command{Name: Failover, Accept: true, Words: map[string]string{"b": "it is off, I stand before it"}}
)

func TestDecide(t *testing.T) {
	promised := standbyOf
	promised.Promise = &state.Promise{Term: 2, To: "a"}
	handover := standbyOf
	handover.Promise = &state.Promise{Term: 2, To: "a", Gave: 1, Handover: true}
	toAnother := handover
	toAnother.Promise = &state.Promise{Term: 2, To: "c", Gave: 1, Handover: true}
	stillWrites := activeB
	stillWrites.Promise = handover.Promise
	wants := state.Beat{Role: state.RoleCandidate, Term: 1, Active: "b", Want: 2}
	higherB := state.Beat{Role: state.RoleActive, Term: 2, Active: "b"}
	gone := func(x *one) { x.hear(activeB).lost() }
	for _, c := range []struct {
		name string
		role state.Role
		do   func(x *one)
		want string // role and term
		acts string // of the last event
		why  string // a part of it
	}{
		// Boot.
		{"boot, nothing remembered", "", func(x *one) { x.s = state.HA{Node: "a"}; x.do(Event{Kind: Boot, Boot: "a2"}) }, "boot 0", "closeGate demote:address", "no licence"},
		{"boot: a standby once it is verified", state.RoleStandby, func(x *one) { x.do(Event{Kind: Boot, Boot: "a2"}).through() }, "standby 1", "openGate", "verified"},
		{"boot: not verified is not a standby", state.RoleStandby, func(x *one) { x.do(Event{Kind: Boot, Boot: "a2"}).until(StepVerify).step("busy") }, "boot 1", "alarm:error", ""},
		{"boot: not verified is tried again", state.RoleStandby, func(x *one) {
			x.do(Event{Kind: Boot, Boot: "a2"}).until(StepVerify).step("busy").do(Event{Kind: Ticked})
		}, "boot 1", "demote:address", "once more"},
		{"boot: the term that ZFS remembers", state.RoleStandby, func(x *one) { x.do(Event{Kind: Boot, Boot: "a2", Term: 7}).through() }, "standby 7", "openGate", ""},
		{"boot of an active: no peer answers", state.RoleActive, func(x *one) { x.do(Event{Kind: Boot, Boot: "a2"}).through().lost() }, "standby 1", "", ""},
		{"boot of an active: the peer knows no more", state.RoleActive, func(x *one) { x.reboot().hear(standbyB) }, "promoting 1", "closeGate promote:gate", "knows no higher term"},
		{"boot of an active: it is active again, in its term", state.RoleActive, func(x *one) { x.reboot().hear(standbyB).through() }, "active 1", "", "done"},
		{"boot of an active: the peer was promoted", state.RoleActive, func(x *one) { x.reboot().hear(higherB) }, "rejoining 2", "closeGate compare", "another node is active"},
		{"boot of an active: the peer is a candidate", state.RoleActive, func(x *one) { x.reboot().hear(wants) }, "standby 1", "", "does not write"},
		{"boot of an active: the peer holds the same term", state.RoleActive, func(x *one) { x.reboot().hear(standbyOf) }, "standby 1", "", ""},
		{"boot of an active: the peer knows less", state.RoleActive, func(x *one) { x.s.Term = 2; x.reboot().hear(standbyOf) }, "promoting 2", "closeGate promote:gate", ""},
		{"boot of an active: a beat to the run before", state.RoleActive, func(x *one) {
			x.reboot()
			b := standbyB
			b.Version, b.Node, b.Boot, b.Counter, b.Heard = 1, "b", "b1", 99, state.Heard{Boot: "a1", Counter: 9}
			x.do(Event{Kind: Heard, Peer: "b", Beat: &b})
		}, "standby 1", "", ""},
		{"boot of an active: the files name the other", state.RoleActive, func(x *one) { x.s.Declared = "b"; x.reboot().hear(standbyB) }, "standby 1", "", ""},
		{"boot of an active: the files were overruled", state.RoleActive, func(x *one) { x.s.Declared, x.s.Overruled = "b", "b"; x.reboot().hear(standbyB) }, "promoting 1", "closeGate promote:gate", ""},
		{"boot of an active: overruled files were edited since", state.RoleActive, func(x *one) {
			x.s.Declared, x.s.Overruled = "b", "b"
			x.do(Event{Kind: Files, Active: "c"}).reboot().hear(standbyB)
		}, "standby 1", "", ""},
		{"boot of an active: paused", state.RoleActive, func(x *one) { x.s.Paused = true; x.reboot().hear(standbyB) }, "standby 1", "", ""},
		{"boot of an active that promised more", state.RoleActive, func(x *one) { x.s.Promise = state.Promise{Term: 2, To: "b"}; x.reboot().hear(standbyB) }, "standby 1", "", ""},
		{"boot of an active: startAlone", state.RoleActive, func(x *one) { x.c.StartAlone = true; x.reboot().do(Event{Kind: Alone}) }, "promoting 1", "closeGate promote:gate", "without the word"},
		{"boot of an active: startAlone is not declared", state.RoleActive, func(x *one) { x.reboot().do(Event{Kind: Alone}) }, "standby 1", "", ""},
		{"boot of a standby: startAlone", state.RoleStandby, func(x *one) { x.c.StartAlone = true; x.reboot().do(Event{Kind: Alone}) }, "standby 1", "", ""},
		{"boot in a promotion, before readonly=off", state.RoleStandby, func(x *one) {
			x.order(word).lost()
			x.until(StepAhead).reboot().hear(standbyB)
		}, "promoting 2", "closeGate promote:gate", ""},
		{"boot in a handover", state.RoleActive, func(x *one) {
			x.hear(standbyB).order(Command{Name: Switchover, To: "b"}).until(StepSend).reboot().hear(standbyB)
		}, "promoting 1", "closeGate promote:gate", ""},
		{"boot of a diverged one", state.RoleDiverged, func(x *one) { x.do(Event{Kind: Boot, Boot: "a2"}).through() }, "diverged 1", "keepSnapshot", ""},
		{"boot of a superseded one", state.RoleActive, func(x *one) { x.hear(higherB).reboot() }, "rejoining 2", "compare", ""},

		// Switchover.
		{"switchover", state.RoleActive, func(x *one) { x.hear(standbyB).order(Command{Name: Switchover, To: "b"}) }, "demoting 1", "demote:address", "switchover to b"},
		{"switchover: the peer is not reached", state.RoleActive, func(x *one) { x.order(Command{Name: Switchover, To: "b"}) }, "active 1", "", "is not reached"},
		{"switchover: to a peer of an older term", state.RoleActive, func(x *one) { x.s.Term = 3; x.hear(standbyB).order(Command{Name: Switchover, To: "b"}) }, "active 3", "", "has to be standby in term 3"},
		{"switchover: to itself", state.RoleActive, func(x *one) { x.order(Command{Name: Switchover, To: "a"}) }, "active 1", "", "already"},
		{"switchover: to a stranger", state.RoleActive, func(x *one) { x.order(Command{Name: Switchover, To: "z"}) }, "active 1", "", "no peer"},
		{"switchover: a step fails", state.RoleActive, func(x *one) {
			x.hear(standbyB).order(Command{Name: Switchover, To: "b"}).until(StepUnmount).step("busy")
		}, "promoting 1", "alarm:error promote:gate", ""},
		{"switchover: what was done is undone", state.RoleActive, func(x *one) {
			x.hear(standbyB).order(Command{Name: Switchover, To: "b"}).until(StepUnmount).step("busy").through()
		}, "active 1", "", ""},
		{"switchover: not verified is not demoted", state.RoleActive, func(x *one) {
			x.hear(standbyB).order(Command{Name: Switchover, To: "b"}).until(StepVerify).step("mounted").through()
		}, "active 1", "", ""},
		{"switchover: the term is promised at the end", state.RoleActive, func(x *one) {
			x.hear(standbyB).order(Command{Name: Switchover, To: "b"}).through()
			if x.s.Promise != (state.Promise{Term: 2, To: "b", Gave: 1, Handover: true}) {
				x.t.Errorf("%+v", x.s.Promise)
			}
		}, "standby 1", "openGate", "demoted and verified"},
		{"handed over", state.RoleStandby, func(x *one) { x.hear(handover) }, "promoting 2", "closeGate promote:gate", "b by P1"},
		{"handed over to another", state.RoleStandby, func(x *one) { x.hear(toAnother) }, "standby 1", "", ""},
		{"handed over, and still writing", state.RoleStandby, func(x *one) { x.hear(stillWrites) }, "standby 1", "", ""},
		{"handed over while paused", state.RoleStandby, func(x *one) { x.s.Paused = true; x.hear(handover) }, "standby 1", "", ""},
		{"handed over once", state.RoleStandby, func(x *one) { x.s.Taken = 2; x.hear(handover) }, "standby 1", "", ""},
		{"a promise alone promotes nobody", state.RoleStandby, func(x *one) { x.hear(promised) }, "standby 1", "", ""},
		{"switchover typed on the standby", state.RoleStandby, func(x *one) { x.hear(activeB).order(Command{Name: Switchover, To: "a"}) }, "standby 1", "forward:b", "is asked"},
		{"switchover typed on a standby, nobody is active", state.RoleStandby, func(x *one) {
			x.hear(standbyOf).order(Command{Name: Switchover, To: "a", Accept: true})
		}, "standby 1", "", "ha failover on a"},
		{"switchover typed on a standby, for another", state.RoleStandby, func(x *one) { x.hear(standbyOf).order(Command{Name: Switchover, To: "b"}) }, "standby 1", "", "ha failover on b"},
		{"switchover to a node whose files differ", state.RoleActive, func(x *one) {
			x.hear(standbyB).hear(standbyB)
			x.c.Shared = "edited here"
			x.order(Command{Name: Switchover, To: "b"})
		}, "active 1", "", "differs"},
		{"switchover to a node that is paused", state.RoleActive, func(x *one) {
			b := standbyB
			b.Paused = true
			x.hear(b).hear(b).order(Command{Name: Switchover, To: "b"})
		}, "active 1", "", "ha resume"},
		{"no promise to a node whose files differ", state.RoleStandby, func(x *one) { x.c.Shared = "edited here"; x.hear(wants); x.promisesNothing(wants) }, "standby 1", "", ""},
		{"failover: the files do not name who was active", state.RoleStandby, func(x *one) { gone(x); x.s.Holder = "z"; x.order(word) }, "standby 1", "", "name it no longer"},

		// Failover.
		{"failover: no answer, no agent, no word", state.RoleStandby, func(x *one) { gone(x); x.order(allowed) }, "standby 1", "closeGate openGate alarm:warn", "no proof is possible"},
		{"failover: an agent", state.RoleStandby, func(x *one) { x.c.Agents["b"] = true; gone(x); x.order(allowed) }, "fencing 1", "closeGate fence:b", ""},
		{"failover: fenced", state.RoleStandby, func(x *one) {
			x.c.Agents["b"] = true
			gone(x)
			x.order(allowed).do(Event{Kind: Proved, Proof: &state.Proof{Kind: state.ProofFenced, Peer: "b", Term: 2}})
		}, "promoting 2", "promote:gate", "b by P3"},
		{"failover: fenced for another attempt", state.RoleStandby, func(x *one) {
			x.c.Agents["b"] = true
			gone(x)
			x.order(allowed).do(Event{Kind: Proved, Proof: &state.Proof{Kind: state.ProofFenced, Peer: "b", Term: 1}})
		}, "fencing 1", "", ""},
		{"failover: the watchdog is no proof without a lease", state.RoleStandby, func(x *one) {
			x.c.Agents["b"] = true
			gone(x)
			x.order(allowed).do(Event{Kind: Proved, Proof: &state.Proof{Kind: state.ProofWatchdog, Peer: "b", Term: 2}})
		}, "fencing 1", "", ""},
		{"failover: the agent fails", state.RoleStandby, func(x *one) {
			x.c.Agents["b"] = true
			gone(x)
			x.order(allowed).do(Event{Kind: FenceFailed, Peer: "b", Why: "timed out"})
		}, "standby 1", "openGate alarm:warn", "timed out"},
		{"failover: a proof that nobody asked for", state.RoleStandby, func(x *one) {
			gone(x)
			x.do(Event{Kind: Proved, Proof: &state.Proof{Kind: state.ProofFenced, Peer: "b", Term: 2}})
		}, "standby 1", "", ""},
		{"failover: a word", state.RoleStandby, func(x *one) { gone(x); x.order(word) }, "promoting 2", "closeGate promote:gate", "b by P4"},
		{"failover: a word without a reason", state.RoleStandby, func(x *one) {
			gone(x)
			x.order(Command{Name: Failover, Accept: true, Words: map[string]string{"b": ""}})
		}, "candidate 1", "closeGate", ""},
		{"failover: a word waits while the peer may still answer", state.RoleStandby, func(x *one) { x.hear(activeB).order(word) }, "candidate 1", "closeGate", ""},
		{"failover: and counts when it does not", state.RoleStandby, func(x *one) { x.hear(activeB).order(word).lost() }, "promoting 2", "promote:gate", "b by P4"},
		{"failover: a false word", state.RoleStandby, func(x *one) { x.hear(activeB).order(word).hear(activeB) }, "standby 1", "openGate alarm:warn", "said to be off answers"},
		{"failover: the peer promises", state.RoleStandby, func(x *one) { x.hear(standbyOf).order(allowed).hear(promised) }, "promoting 2", "promote:gate", "b by P1"},
		{"failover: nobody promises", state.RoleStandby, func(x *one) {
			x.hear(standbyOf).order(allowed)
			x.now += 46 * time.Second
			x.do(Event{Kind: Ticked})
		}, "standby 1", "openGate alarm:warn", "not every peer"},
		{"failover: the lag is unknown", state.RoleStandby, func(x *one) {
			gone(x)
			x.order(Command{Name: Failover, Words: word.Words})
		}, "standby 1", "", "unknown"},
		{"failover: the lag is known, and allowed", state.RoleStandby, func(x *one) {
			gone(x)
			x.order(Command{Name: Failover, Words: word.Words, Lag: &Lag{Known: true, Counted: true, Complete: true, Behind: time.Minute}})
		}, "promoting 2", "closeGate promote:gate", ""},
		{"failover: it was not seen to be read-only here", state.RoleStandby, func(x *one) {
			gone(x)
			x.do(Event{Kind: Looked, Seen: state.WritableUnknown}).order(word)
		}, "standby 1", "", "not verified"},
		{"failover on the active node", state.RoleActive, func(x *one) { x.order(word) }, "active 1", "", "not possible while this node is active"},
		{"a peer promoted itself meanwhile", state.RoleStandby, func(x *one) { x.hear(standbyOf).order(allowed).hear(higherB) }, "standby 2", "alarm:warn", "came to light"},
		{"a lower promotion comes to light", state.RoleStandby, func(x *one) { x.s.Promise.Term = 2; x.hear(standbyOf).order(allowed).hear(higherB) }, "standby 2", "alarm:warn", "came to light"},

		// Promises.
		{"a candidate asks", state.RoleStandby, func(x *one) {
			x.hear(wants)
			if x.s.Promise != (state.Promise{Term: 2, To: "b"}) {
				x.t.Errorf("%+v", x.s.Promise)
			}
		}, "standby 1", "", ""},
		{"a candidate asks for what was promised to another", state.RoleStandby, func(x *one) {
			x.s.Promise = state.Promise{Term: 2, To: "c"}
			x.hear(wants)
			if x.s.Promise.To != "c" {
				x.t.Errorf("%+v", x.s.Promise)
			}
		}, "standby 1", "", ""},
		{"a candidate asks the active one", state.RoleActive, func(x *one) { x.promisesNothing(wants) }, "active 1", "", ""},
		{"a candidate asks one that is not verified", state.RoleStandby, func(x *one) {
			x.do(Event{Kind: Looked, Seen: state.WritableUnknown}).promisesNothing(wants)
		}, "standby 1", "", ""},
		{"a candidate asks a candidate", state.RoleStandby, func(x *one) { x.hear(standbyOf).order(allowed).promisesNothing(wants) }, "candidate 1", "", ""},

		// Steps.
		{"promotion: a step before the hooks fails", state.RoleStandby, func(x *one) { gone(x); x.order(word).until(StepMount).step("no") }, "promoting 2", "alarm:error undoPromote:mount", ""},
		{"promotion: what was done is undone and verified", state.RoleStandby, func(x *one) { gone(x); x.order(word).until(StepMount).step("no").until(StepGate).step("") }, "demoting 2", "demote:address", ""},
		{"promotion: after that it is a standby, whose gate is closed", state.RoleStandby, func(x *one) { gone(x); x.order(word).until(StepMount).step("no").through().through() }, "standby 2", "", ""},
		{"promotion: undone before readonly=off, the gate opens", state.RoleStandby, func(x *one) { gone(x); x.order(word).until(StepKeys).step("no").through().through() }, "standby 2", "openGate", ""},
		{"promotion: a hook fails", state.RoleStandby, func(x *one) { gone(x); x.order(word).until(StepHooks).step("no") }, "promoting 2", "alarm:error promote:address", ""},
		{"promotion: active, degraded", state.RoleStandby, func(x *one) {
			gone(x)
			x.order(word).until(StepHooks).step("no").through()
			if len(x.s.Degraded) != 1 {
				x.t.Errorf("%q", x.s.Degraded)
			}
		}, "active 2", "", ""},
		// What a promotion could do without is tried again: the hooks and the address were not done, and nothing else is.
		{"mend: at once", state.RoleActive, func(x *one) { x.lacks("hooks: no", "address: taken").tick(time.Minute) }, "active 1", "promote:hooks", "once more"},
		{"mend: one after the other", state.RoleActive, func(x *one) { x.lacks("hooks: no", "address: taken").tick(time.Minute).step("") }, "active 1", "alarm:info promote:address", ""},
		{"mend: only what was not done", state.RoleActive, func(x *one) { x.lacks("address: taken").tick(time.Minute) }, "active 1", "promote:address", ""},
		{"mend: it is well", state.RoleActive, func(x *one) {
			x.lacks("address: taken").tick(time.Minute).step("")
			if len(x.s.Degraded) != 0 || x.s.Job != nil {
				x.t.Errorf("%q, job %v", x.s.Degraded, x.s.Job)
			}
		}, "active 1", "alarm:info", ""},
		{"mend: the same again is told once", state.RoleActive, func(x *one) {
			x.lacks("address: taken").tick(time.Minute).step("taken")
			if len(x.s.Degraded) != 1 {
				x.t.Errorf("%q", x.s.Degraded)
			}
		}, "active 1", "", ""},
		{"mend: not at once again", state.RoleActive, func(x *one) { x.lacks("address: taken").tick(time.Minute).step("taken").tick(9 * time.Second) }, "active 1", "", ""},
		{"mend: but soon", state.RoleActive, func(x *one) {
			x.lacks("address: taken").tick(time.Minute).step("taken").tick(10 * time.Second)
		}, "active 1", "promote:address", "once more"},
		{"mend: while replication is frozen", state.RoleActive, func(x *one) { x.s.Frozen = "b has diverged"; x.lacks("address: taken").tick(time.Minute) }, "active 1", "promote:address", "once more"},
		{"mend: not while two write", state.RoleSplitBrain, func(x *one) { x.s.Frozen = "two write"; x.lacks("address: taken").tick(time.Minute) }, "split_brain 1", "", ""},
		{"mend: a higher term ends it", state.RoleActive, func(x *one) { x.lacks("address: taken").tick(time.Minute).hear(higherB) }, "superseded 2", "alarm:error demote:address", "higher term"},
		{"mend: not by a standby", state.RoleStandby, func(x *one) { x.lacks("address: taken").tick(time.Minute) }, "standby 1", "", ""},
		{"writable again", state.RoleActive, func(x *one) {
			x.do(Event{Kind: Looked, Seen: state.WritableNo}).do(Event{Kind: Looked, Seen: state.WritableYes})
			if len(x.s.Degraded) != 0 {
				x.t.Errorf("%q", x.s.Degraded)
			}
		}, "active 1", "", ""},
		{"a result of an older job", state.RoleStandby, func(x *one) {
			gone(x)
			x.order(word).do(Event{Kind: StepDone, Job: x.s.Job.ID - 1, Step: StepGate})
		}, "promoting 2", "", ""},
		{"promotion: the peer answers, and is active", state.RoleStandby, func(x *one) { gone(x); x.order(word).hear(activeB) }, "promoting 2", "alarm:error undoPromote:gate", ""},

		// Two that write.
		{"a higher term", state.RoleActive, func(x *one) { x.hear(higherB) }, "superseded 2", "alarm:error demote:address", "higher term"},
		{"a higher term, in a handover", state.RoleActive, func(x *one) { x.hear(standbyB).order(Command{Name: Switchover, To: "b"}).hear(higherB) }, "superseded 2", "alarm:error demote:address", ""},
		{"superseded, and not verified", state.RoleActive, func(x *one) { x.hear(higherB).until(StepVerify).step("busy") }, "superseded 2", "alarm:error", ""},
		{"superseded, and verified", state.RoleActive, func(x *one) { x.hear(higherB).through() }, "rejoining 2", "compare", ""},
		{"clean", state.RoleActive, func(x *one) { x.hear(higherB).through().do(Event{Kind: Compared, Seen: Clean}) }, "standby 2", "openGate", ""},
		{"diverged", state.RoleActive, func(x *one) { x.hear(higherB).through().do(Event{Kind: Compared, Seen: Diverged}) }, "diverged 2", "alarm:error keepSnapshot", ""},
		{"not known whether diverged", state.RoleActive, func(x *one) { x.hear(higherB).through().do(Event{Kind: Compared, Seen: "unknown"}) }, "rejoining 2", "", ""},
		{"discard without approval", state.RoleDiverged, func(x *one) { x.order(Command{Name: Discard}) }, "diverged 1", "", "approval"},
		{"discard, approved in another term", state.RoleDiverged, func(x *one) { x.order(Command{Name: Discard, Approval: "p", Term: 9}) }, "diverged 1", "", "in term 1"},
		{"keep, approved", state.RoleDiverged, func(x *one) { x.order(Command{Name: Keep, Approval: "p", Term: 1}) }, "rejoining 1", "rejoin:keep", "chose"},
		{"two are active in one term", state.RoleActive, func(x *one) { x.hear(activeB) }, "split_brain 1", "freeze alarm:error", "two nodes"},
		{"two are active, one in a lower term", state.RoleActive, func(x *one) { x.s.Term = 2; x.hear(activeB) }, "split_brain 2", "freeze alarm:error", ""},
		{"the other one stopped", state.RoleSplitBrain, func(x *one) { x.s.Frozen = "f"; x.hear(standbyB) }, "active 1", "alarm:warn", ""},
		{"and is a standby", state.RoleActive, func(x *one) { x.s.Frozen = "f"; x.hear(standbyB) }, "active 1", "unfreeze", ""},
		{"a person chooses the other", state.RoleSplitBrain, func(x *one) { x.order(Command{Name: Discard}) }, "superseded 1", "alarm:error demote:address", ""},
		{"what was on its way when the peer was fenced", state.RoleActive, func(x *one) {
			x.s.Proofs = []state.Proof{{Kind: state.ProofFenced, Peer: "b", Term: 1}}
			x.hear(activeB)
		}, "active 1", "", ""},

		// What is seen here.
		{"a standby is writable", state.RoleStandby, func(x *one) { x.do(Event{Kind: Looked, Seen: state.WritableYes}) }, "demoting 1", "alarm:error closeGate demote:address", ""},
		{"a diverged one is writable, and stays diverged", state.RoleDiverged, func(x *one) { x.do(Event{Kind: Looked, Seen: state.WritableYes}).through() }, "diverged 1", "keepSnapshot", ""},
		{"an active one is not writable", state.RoleActive, func(x *one) { x.do(Event{Kind: Looked, Seen: state.WritableNo}) }, "active 1", "alarm:error", ""},
		{"a beat of a stranger", state.RoleStandby, func(x *one) {
			x.do(Event{Kind: Heard, Peer: "z", Beat: &state.Beat{Version: 1, Node: "z", Term: 9, Role: state.RoleActive, Active: "z", Heard: state.Heard{Boot: "a1", Counter: 9}}})
		}, "standby 1", "", ""},
		{"paused", state.RoleActive, func(x *one) { x.order(Command{Name: Pause}) }, "active 1", "", "paused"},
		{"paused gives way all the same", state.RoleActive, func(x *one) { x.order(Command{Name: Pause}).hear(higherB) }, "superseded 2", "alarm:error demote:address", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := node(t, c.role)
			c.do(x)
			if got := fmt.Sprintf("%s %d", x.s.Role, x.s.Term); got != c.want || x.acts() != c.acts || !strings.Contains(x.why(), c.why) {
				t.Errorf("%s, %q (%s); want %s, %q (%s)", got, x.acts(), x.why(), c.want, c.acts, c.why)
			}
		})
	}
}

func (x *one) promisesNothing(b state.Beat) {
	x.t.Helper()
	if x.hear(b); x.s.Promise.Term != 0 {
		x.t.Errorf("it promised: %+v", x.s.Promise)
	}
}

// reboot: the daemon begins again, closes what was open, and has met b.
func (x *one) reboot() *one {
	x.do(Event{Kind: Boot, Boot: x.s.Boot + "'"}).through()
	p := x.s.Peers["b"]
	p.Seen = state.Heard{Boot: x.boot}
	x.s.Peers["b"] = p
	x.s.Counter++
	return x
}
