package ha

import "slices"

// The steps of a promotion (HA.md section 5), in their order.
const (
	StepGate     = "gate"     // close the receive gate, end what is being received
	StepSet      = "set"      // choose the newest complete set, hold it, drop what came in part
	StepKeys     = "keys"     // load keys
	StepAhead    = "ahead"    // what is ahead of the set is kept as a clone, never just rolled back
	StepReadonly = "readonly" // off here, on there, of the group's datasets alone
	StepMount    = "mount"
	StepHooks    = "hooks"
	StepAddress  = "address"
	StepSchedule = "schedule" // snapshots, and the reverse replication
	StepPublish  = "publish"
)

// The further ones of a demotion. The final snapshot comes after readonly=on, not before it: what is written between the two
// would be in no snapshot, and lost without a word.
const (
	StepUnmount  = "unmount"
	StepSnapshot = "snapshot"
	StepSend     = "send"    // the final increment; the peer confirms its guid
	StepVerify   = "verify"  // read-only by three ways, and nothing written since the final snapshot
	StepRelease  = "release" // the lease, then the watchdog
)

// The jobs.
const (
	JobAttempt  = "attempt"  // a candidate waits for its proofs: no steps
	JobPromote  = "promote"  // a new term
	JobResume   = "resume"   // its own term, after a restart: what is here is the newest there is
	JobHandover = "handover" // a demotion on request, for a successor
	JobMend     = "mend"     // of the active node: what a promotion could not do, and it can do without
	JobClose    = "close"    // stop writing, whatever fails, until it is verified
)

var steps = map[string][]string{
	JobPromote:  {StepGate, StepSet, StepKeys, StepAhead, StepReadonly, StepMount, StepHooks, StepAddress, StepSchedule, StepPublish},
	JobResume:   {StepGate, StepKeys, StepReadonly, StepMount, StepHooks, StepAddress, StepSchedule, StepPublish},
	JobMend:     tolerated,
	JobHandover: {StepAddress, StepHooks, StepReadonly, StepUnmount, StepSnapshot, StepSend, StepVerify, StepRelease},
	JobClose:    {StepAddress, StepHooks, StepReadonly, StepUnmount, StepVerify, StepRelease},
}

// tolerated are steps whose failure leaves the node active, and degraded.
var tolerated = []string{StepHooks, StepAddress, StepSchedule, StepPublish}

// after is the step that follows, before the one that precedes; "" at the ends.
func after(job, step string) string { return beside(job, step, 1) }

func before(job, step string) string { return beside(job, step, -1) }

func beside(job, step string, by int) string {
	all := steps[job]
	if i := slices.Index(all, step) + by; i >= 0 && i < len(all) {
		return all[i]
	}
	return ""
}

// Steps are those of a job, in their order.
func Steps(job string) []string { return slices.Clone(steps[job]) }
