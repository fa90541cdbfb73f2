package spec

import "slices"

// Remote is a machine reached over SSH.
type Remote struct {
	Name string
	Pos  Pos

	Host         string
	Port         int
	User         string
	IdentityFile string
	HostKey      string
}

// Replication sends snapshots from one dataset to another.
type Replication struct {
	Name string
	Pos  Pos
	Pair string // to the standby, as this node sends it: its name in the files
	Back string // of such a one: what it is called where another node sends to this one
	// Beside are those to the other peers, where there are more: Back is of them too.
	Beside []string

	Source    End
	Target    End
	Recursive bool
	Exclude   []string // patterns: * within a component, ** any number
	Snapshots []string // patterns of snapshot names; none: all
	When      When
	Objective Duration // 0: none declared
	RateLimit Size     // bytes per second; 0: none
	Send      Send
	Receive   Receive
	Keep      map[string]int // what stays on the target; nil: all
}

// Retention is what the target keeps, as a schedule with the defaults; nil where it keeps all.
func (r *Replication) Retention() *Schedule {
	if r.Keep == nil {
		return nil
	}
	return &Schedule{
		Name: r.Name, Pos: r.Pos, Keep: r.Keep, FrequentPeriod: defaultFrequent, At: defaultAt, Weekday: defaultWeekday,
		Monthday: defaultMonthday, Month: defaultMonth, MaxPrune: defaultMaxPrune,
	}
}

// FinalSnapshot begins the names of those that a node of a group takes when it hands over.
const FinalSnapshot = "dplane-ha-t"

// Patterns are those of the snapshots that are sent, none: all. To the standby the final ones go too, whatever is left out: without
// them no switchover comes to its end.
func (r *Replication) Patterns() []string {
	if r.Pair == "" || len(r.Snapshots) == 0 {
		return r.Snapshots
	}
	return append(slices.Clone(r.Snapshots), FinalSnapshot+"*")
}

// Excludes tells whether a dataset of the source is not sent: it, or one above it, is excluded.
func (r *Replication) Excludes(name DatasetName) bool {
	return slices.ContainsFunc(r.Exclude, func(p string) bool { return Pattern(p).Covers(string(name)) })
}

// Sends tells whether a dataset of this machine is one that is sent.
func (r *Replication) Sends(name DatasetName) bool {
	s := r.Source
	return s.Remote == "" && s.Dataset != "" && (name == s.Dataset || r.Recursive && name.Under(s.Dataset)) && !r.Excludes(name)
}

// End is one end of a replication: here (no remote), there, or every other HA peer (Standby). Of a spec that was loaded a
// standby is one peer, with its remote and dataset, where this machine is one of the group.
type End struct {
	Remote  string
	Dataset DatasetName
	Standby bool
	Pos     Pos
}

// When is what starts a replication: a recurrence, After snapshot, or a person (Manual).
type When struct {
	Recur  *Recur
	After  bool
	Manual bool
}

// Send are the options of the sending end.
type Send struct {
	Compressed  bool
	Raw         string // auto, true or false
	LargeBlocks bool
}

// Receive are the options of the receiving end.
type Receive struct {
	Set     map[string]Property
	Exclude []string
}
