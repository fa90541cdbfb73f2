package render

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// The states of a machine, from good to bad; Unknown is none of them.
const (
	OK       = "ok"
	Degraded = "degraded"
	Critical = "critical"
	Unknown  = "unknown"
)

// ExitCode is the exit status of `dplane status` for a state.
func ExitCode(state string) int {
	switch state {
	case OK:
		return 0
	case Degraded:
		return 1
	case Critical:
		return 2
	}
	return 3
}

// Status is the document of `dplane status` and /api/status (PRODUCT.md section 3).
type Status struct {
	Version      int                 `json:"version"`
	State        string              `json:"state"`
	Reasons      []string            `json:"reasons"`    // why the state is not ok
	ObservedAt   *time.Time          `json:"observedAt"` // null: never
	Age          int64               `json:"age"`        // of the record, in seconds
	Host         string              `json:"host"`
	Generation   string              `json:"generation"`
	Pools        []PoolStatus        `json:"pools"`
	Datasets     []DatasetStatus     `json:"datasets"`
	Schedules    []ScheduleStatus    `json:"schedules"`
	Replications []ReplicationStatus `json:"replications"`
	Peers        []PeerStatus        `json:"peers"`
	Drift        int                 `json:"drift"`   // creates and updates that are yet to be made
	Held         int                 `json:"held"`    // actions that wait for a person, blocked ones included
	Notices      []string            `json:"notices"` // of the plan: what changed nothing and an operator should know
	Errors       []StatusError       `json:"errors"`
}

// PoolStatus is one pool; those that the files don't name are shown and don't count.
type PoolStatus struct {
	Name          string `json:"name"`
	State         string `json:"state"` // ok, degraded, critical, missing, away (a removable pool), unknown
	Reason        string `json:"reason"`
	Managed       bool   `json:"managed"`
	Health        string `json:"health"` // online, degraded, ...; "" where it is not here
	Size          uint64 `json:"size"`   // bytes
	Allocated     uint64 `json:"allocated"`
	Free          uint64 `json:"free"`
	Capacity      int    `json:"capacity"`      // percent
	Fragmentation int    `json:"fragmentation"` // percent; -1 unknown
	Scan          string `json:"scan"`          // the scrub or resilver that runs, or the last one, in words

	Scanned    *state.Work       `json:"scanned,omitempty"`
	Removal    *state.Work       `json:"removal,omitempty"`
	Expansion  *state.Work       `json:"expansion,omitempty"`
	Trimming   *state.Work       `json:"trimming,omitempty"`
	Checkpoint *state.Checkpoint `json:"checkpoint,omitempty"`
	DataErrors uint64            `json:"dataErrors"`
	Vdevs      []state.Vdev      `json:"vdevs,omitempty"`
}

// DatasetStatus is one declared dataset.
type DatasetStatus struct {
	Name   string `json:"name"`
	State  string `json:"state"` // ready, drift, held, missing, receivedOnly, unknown
	Reason string `json:"reason"`
	Used   uint64 `json:"used"` // bytes
}

// StatusError is something that went wrong.
type StatusError struct {
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// staleAfter is the number of intervals after which a record tells nothing any more.
const staleAfter = 3

// defaultInterval is the daemon's, for a record that names none.
const defaultInterval = time.Minute

// NewStatus judges the latest record at a given time; nil is no record.
func NewStatus(rec *state.Record, now time.Time) *Status {
	s := &Status{
		Version: 1, State: OK, Reasons: []string{}, Pools: []PoolStatus{}, Datasets: []DatasetStatus{}, Schedules: []ScheduleStatus{},
		Replications: []ReplicationStatus{}, Peers: []PeerStatus{}, Notices: []string{}, Errors: []StatusError{},
	}
	if rec == nil {
		s.worsen(Unknown, "nothing was recorded yet: the daemon never ran, and neither did an apply")
		return s
	}
	s.Generation = rec.Generation
	s.Notices = append(s.Notices, rec.Lost...)
	s.Age = int64(max(0, now.Sub(rec.At)) / time.Second)
	p := s.plan(rec)
	if rec.Observed != nil {
		at := rec.Observed.At.UTC()
		s.ObservedAt, s.Host = &at, rec.Observed.Host
		s.machine(rec, p)
	}
	s.group(rec.HA, now)
	s.errors(rec)
	switch interval := intervalOf(rec); {
	case now.Sub(rec.At) > staleAfter*interval:
		s.worsen(Unknown, fmt.Sprintf("the last record is %s old, and one is due every %s: is the daemon running?", ageText(now.Sub(rec.At)), ageText(interval)))
	case rec.At.Sub(now) > staleAfter*interval: // or it would be fresh until the clock is there again
		s.worsen(Unknown, fmt.Sprintf("the last record is of %s, which is yet to come: the clock was set back since; is the daemon running?", timeText(rec.At)))
	}
	return s
}

// intervalOf is how often a record is due. One that a single apply made carries the interval that the
// files declare.
func intervalOf(rec *state.Record) time.Duration {
	if rec.Interval > 0 {
		return rec.Interval
	}
	if rec.Declared != nil && rec.Declared.Interval > 0 {
		return rec.Declared.Interval
	}
	return defaultInterval
}

// worsen moves the state towards bad; unknown covers all else, since nothing older can be relied on.
func (s *Status) worsen(to, why string) {
	rank := map[string]int{OK: 0, Degraded: 1, Critical: 2, Unknown: 3}
	if rank[to] > rank[s.State] {
		s.State = to
	}
	s.Reasons = append(s.Reasons, why)
}

// plan counts what the recorded plan leaves to be done.
func (s *Status) plan(rec *state.Record) *plan {
	p := &plan{}
	if len(rec.Plan) > 0 {
		var err error
		if p, err = parsePlan(rec.Plan); err != nil {
			s.worsen(Degraded, err.Error())
			p = &plan{}
		}
	}
	for _, a := range p.Actions {
		if a.Verb == string(drivers.Create) || a.Verb == string(drivers.Update) {
			s.Drift++
		}
		if a.waits() {
			s.Held++
		}
	}
	if s.Drift > 0 {
		s.worsen(Degraded, count(s.Drift, "change")+" yet to be made")
	}
	if s.Held > 0 {
		s.worsen(Degraded, count(s.Held, "action")+" held or blocked")
	}
	s.Notices = append(s.Notices, p.Notices...)
	if p.Limit != "" {
		s.worsen(Degraded, "the limits hold the whole plan: "+p.Limit)
	}
	return p
}

func (a action) waits() bool { return a.Held != "" || a.Verb == string(drivers.Blocked) }

// machine judges ZFS itself, the pools and the declared datasets.
func (s *Status) machine(rec *state.Record, p *plan) {
	if z := rec.Observed.ZFS; z.Error != "" {
		s.worsen(Critical, "ZFS could not be asked: "+z.Error)
	}
	s.pools(rec.Observed, rec.Declared)
	s.schedules(rec.Observed.Schedules)
	s.replications(rec.Observed.ReplicationHealth)
	if rec.Declared != nil {
		s.datasets(rec.Observed, rec.Declared, p)
	}
}

func (s *Status) errors(rec *state.Record) {
	if rec.Invalid != "" {
		if rec.Generation == "" {
			s.worsen(Critical, "no valid configuration was ever in force: nothing is looked at or done")
		} else {
			s.worsen(Degraded, "the newest configuration is invalid, the last good one is in force")
		}
		s.Errors = append(s.Errors, StatusError{rec.Invalid, "dplane validate shows every error with its place"})
	}
	others := 0
	for _, e := range rec.Errors {
		hint := ""
		if o := rec.Observed; o != nil && e == o.ZFS.Error {
			hint = o.ZFS.Hint // a reason of its own
		} else {
			others++
		}
		s.Errors = append(s.Errors, StatusError{e, hint})
	}
	if others > 0 {
		s.worsen(Degraded, count(others, "error")+" in the last pass")
	}
}

// datasets judges each declared dataset by what the plan says of it.
func (s *Status) datasets(o *state.Observed, want *state.Declared, p *plan) {
	actions := map[string][]action{}
	for _, a := range p.Actions {
		if a.Object.Kind == "dataset" {
			actions[a.Object.Name] = append(actions[a.Object.Name], a)
		}
	}
	received := map[string]string{}
	for _, r := range p.ReceivedOnly {
		received[r.Name] = r.Why
	}
	for _, name := range want.Datasets {
		d := DatasetStatus{Name: name}
		have := o.Datasets[name]
		if have != nil {
			d.Used = have.Used
		}
		d.State, d.Reason = datasetState(have, actions[name], received[name], unseen(o, name))
		s.Datasets = append(s.Datasets, d)
	}
}

func unseen(o *state.Observed, dataset string) string {
	pool, _, _ := strings.Cut(dataset, "/")
	return o.UnseenPool(pool)
}

func datasetState(have *state.Dataset, actions []action, received, unseen string) (state, reason string) {
	for _, a := range actions {
		if a.waits() {
			return "held", reasonOf(a)
		}
	}
	switch {
	case received != "":
		return "receivedOnly", received
	case unseen != "":
		return Unknown, unseen
	case have == nil && len(actions) > 0:
		return "missing", reasonOf(actions[0])
	case have == nil:
		return "missing", "not there, and nothing is planned for it"
	case len(actions) > 0:
		return "drift", reasonOf(actions[0])
	}
	return "ready", ""
}

// reasonOf tells in one line what an action would change, and why it waits.
func reasonOf(a action) string {
	var fields []string
	for _, f := range a.Fields {
		if f.From == "" {
			fields = append(fields, f.Name+" "+valueText(f.Name, f.To))
		} else {
			fields = append(fields, f.Name+" "+valueText(f.Name, f.From)+" -> "+valueText(f.Name, f.To))
		}
	}
	s := a.Verb
	if len(fields) > 0 {
		s += " " + strings.Join(fields, ", ")
	}
	switch {
	case a.Held != "":
		s += ": " + a.Held
	case a.Verb == string(drivers.Blocked) && len(a.Notes) > 0:
		s += ": " + a.Notes[0]
	}
	return s
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
