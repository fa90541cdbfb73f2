// Package ha decides what a node of a group does: who is well, who may write, what proves that another one does not.
//
// # Chosen
//
// One table (decide.go) is the whole machine: (state, event) to (state, actions). It is pure, so that it can be replayed
// from a record (explain.go), gone through exhaustively, and simulated.
//
// A promotion needs a proof for every peer, not only for the last holder: of three nodes two could else prove the first
// one away. A promise (P1) is what Paxos calls one: a node that is verified read-only gives a term to one candidate, once,
// persists it before it says so, and never writes in that term nor below it. A switchover is that promise, given after a
// demotion. So terms of attempts that came to nothing are used up where they were promised: who wants to be active again
// takes the next one. A node's own new term is one more than any that it knows to be promoted or promised.
//
// A restart is no licence. What was active resumes its term once every peer has answered this run of the daemon, and knows
// no higher term, no candidate and no promise. "This run" is why beats say which of the addressee's beats the sender heard
// last, and why a beat of a run of the peer that did not answer yet is only a hello: a promise of before a restart, with a
// database from an older day, could else meet the node that made it active again.
//
// The final snapshot of a demotion is taken after readonly=on, not before it as HA.md has the order: what is written between
// the two would be lost by a switchover that says that nothing is. What fails before the promise is undone; a demotion that
// has to come about (a higher term, a lost lease, a boot) goes through all its steps whatever fails, and only the
// verification ends it.
//
// Paused is a flag beside the role: an active node that is paused has to be known as active. It stops what is done unasked
// (a handover, a resume), not what keeps a second writer away.
//
// Every promotion makes every other node compare itself with the new active one before it receives again (Dirty), also a
// standby that never wrote: it may have got more than the one that was promoted, with a loss that a person accepted.
//
// Whoever sees a higher term stops at once, also where that one's promotion failed: two that write cost more than none.
//
// # Refused
//
// A switchback by itself after a failed switchover: the operator is told, and types it. A candidate that the active node
// gives way to: one that never gets its proof would have stopped the service. A word (P4) for a peer that answers. Going on
// as active after a restart of the daemon alone, since the datasets are still writable: where a false word made another
// node active meanwhile, that restart is what ends it.
//
// # Proved by
//
// Tables (decide_test.go, lease_test.go); every interleaving of two nodes within budgets of orders, crashes, power cuts, failed
// steps and lost beats (product_test.go); schedules at random of two and three nodes, judged by package history, which
// knows neither roles nor beats (sim_test.go, `make sim`). Faults planted in the table have to be caught by both
// (mutants_test.go). What they don't hold: the lease, and words that are false, of which it is only held that two writers
// are found once the nodes hear each other.
//
// # What the steps have to do
//
// A step is idempotent, and is told done only if it was seen to be so. Readonly (off) writes dplane:term with it, which Boot
// gives back. What a reboot mounts by itself is mounted before this machine is asked: canmount stays noauto, and mount
// mounts by name. Jobs follow one another: a new one ends the step of the old one, and waits for its end.
//
// # Not here yet
//
// The lease's edges, the failsafe promises, the flap guard (I11) and the check of the etcd cluster's identity (I10).
//
// The package must never do anything: no I/O, no clock, no goroutine. What it decides is data, which its caller persists
// first and carries out then: where it can't be persisted, nothing else of it may be done.
package ha
