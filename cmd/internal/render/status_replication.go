package render

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/dplaneos/dplane/state"
)

// ReplicationStatus is one replication; lag and objective are seconds.
type ReplicationStatus struct {
	Name      string       `json:"name"`
	State     string       `json:"state"` // ok, running, pending (nothing was sent yet), degraded, unknown
	Lag       int64        `json:"lag"`   // of the dataset that is furthest behind
	Objective int64        `json:"objective"`
	Error     string       `json:"error"`
	Away      string       `json:"away"`  // why an end is not to be seen, though that is no fault
	Never     int          `json:"never"` // datasets of which the target has nothing
	Last      *time.Time   `json:"last"`  // when the last run ended
	Datasets  []DatasetLag `json:"datasets"`
}

// DatasetLag is how far the target of one dataset is behind, in seconds.
type DatasetLag struct {
	Source string `json:"source"`
	Lag    int64  `json:"lag"`
	Never  bool   `json:"never"` // the target has nothing of it
	Lost   bool   `json:"lost"`  // and had it once
}

// replicationStatus judges one: what is too far behind, or fails, is degraded, for the reason that is returned.
func replicationStatus(h state.ReplicationHealth) (x ReplicationStatus, why string) {
	x = ReplicationStatus{
		Name: h.Name, State: OK, Lag: int64(h.Lag / time.Second), Objective: int64(h.Objective / time.Second),
		Error: h.Error, Away: h.Away, Never: h.Never, Last: optional(h.Last), Datasets: []DatasetLag{},
	}
	for _, d := range h.Datasets {
		x.Datasets = append(x.Datasets, DatasetLag{d.Source, int64(d.Lag / time.Second), d.Never, d.Lost})
	}
	why = h.Error
	if h.Objective > 0 && h.Lag > h.Objective {
		why = fmt.Sprintf("the target is %s behind, the objective is %s", h.Lag.Round(time.Second), h.Objective)
		if h.Error != "" {
			why += ": " + h.Error
		}
	}
	if why == "" && h.Unknown && !h.Running && h.Objective > 0 {
		why = "nothing is known to be at the target, the objective is " + h.Objective.String() + ": " + h.Away
	}
	switch {
	case why != "":
		x.State = Degraded
	case h.Running:
		x.State = "running"
	case h.Unknown:
		x.State = Unknown
	case h.Never > 0 && h.Never == len(h.Datasets):
		x.State = "pending"
	}
	return x, why
}

// replications judges each: one that is too far behind, or that fails, degrades the machine.
func (s *Status) replications(all []state.ReplicationHealth) {
	for _, h := range all {
		x, why := replicationStatus(h)
		if why != "" {
			s.worsen(Degraded, "replication "+h.Name+": "+why)
		}
		if x.State == Unknown {
			s.Notices = append(s.Notices, fmt.Sprintf("replication %s: nothing is known to be at the target: %s", h.Name, h.Away))
		}
		s.Replications = append(s.Replications, x)
	}
}

func (t *text) statusReplications(all []ReplicationStatus) {
	if len(all) == 0 {
		return
	}
	t.printf("\nReplications\n")
	var rows [][]string
	for _, r := range all {
		last := "never run"
		if r.Last != nil {
			last = "last " + timeText(*r.Last)
		}
		lag := "lag " + (time.Duration(r.Lag) * time.Second).String()
		if r.State == Unknown {
			lag = "lag unknown"
		}
		if r.Objective > 0 {
			lag += " of " + (time.Duration(r.Objective) * time.Second).String()
		}
		if r.Never > 0 {
			lag += fmt.Sprintf(", nothing there of %s", count(r.Never, "dataset"))
		}
		rows = append(rows, []string{clean(r.Name), r.State, lag, last, clean(firstLine(cmp.Or(r.Error, r.Away)))})
	}
	t.table("  ", rows, t.stateColumn)
}

// replicationDoc is one replication as `replication list` and /api/replication show it.
type replicationDoc struct {
	ReplicationStatus
	Running  bool              `json:"running"`
	Datasets []replicationPair `json:"datasets"`
	Orphans  []string          `json:"orphans"` // replicas whose source is gone
	Runs     []replicationRun  `json:"runs"`    // newest first
}

type replicationPair struct {
	Source string `json:"source"`
	Target string `json:"target"`
	Common string `json:"common"` // the newest snapshot that both have, by the source's name; "": none
	Newest string `json:"newest"` // of the source
	There  bool   `json:"there"`  // the target is
	Resume bool   `json:"resume"` // a broken transfer can go on
	Lag    int64  `json:"lag"`    // seconds
	Never  bool   `json:"never"`  // the target has nothing of it
	Lost   bool   `json:"lost"`   // and had it once
}

type replicationRun struct {
	Began    time.Time `json:"began"`
	Duration float64   `json:"duration"`
	Bytes    int64     `json:"bytes"`
	Rate     int64     `json:"rate"` // bytes per second
	Streams  int       `json:"streams"`
	Resumed  int       `json:"resumed"`
	Outcome  string    `json:"outcome"`
	Error    string    `json:"error"`
}

func replicationDocs(obs *state.Observed) []replicationDoc {
	all := []replicationDoc{}
	if obs == nil {
		return all
	}
	for _, h := range obs.ReplicationHealth {
		r := obs.Replications[h.Name]
		if r == nil {
			r = &state.Replication{}
		}
		x, _ := replicationStatus(h)
		d := replicationDoc{ReplicationStatus: x, Running: h.Running, Datasets: datasetDocs(x, r.Pairs), Orphans: []string{}, Runs: []replicationRun{}}
		for _, o := range r.Orphans {
			d.Orphans = append(d.Orphans, o.Name)
		}
		if r.Remembered != nil {
			for _, x := range r.Remembered.Runs {
				d.Runs = append(d.Runs, replicationRun{x.Began, x.Ended.Sub(x.Began).Seconds(), x.Bytes, int64(x.Rate()), x.Streams, x.Resumed, x.Outcome, x.Error})
			}
		}
		all = append(all, d)
	}
	return all
}

// datasetDocs are the datasets with both their ends, where these were seen, else with what is known of their lag.
func datasetDocs(x ReplicationStatus, pairs []state.Pair) []replicationPair {
	all := []replicationPair{}
	seen := map[string]state.Pair{}
	for _, p := range pairs {
		seen[p.Source.Name] = p
	}
	for _, l := range x.Datasets {
		d := replicationPair{Source: l.Source}
		if p, ok := seen[l.Source]; ok {
			d = pairDoc(p)
		}
		d.Lag, d.Never, d.Lost = l.Lag, l.Never, l.Lost
		all = append(all, d)
	}
	return all
}

func pairDoc(p state.Pair) replicationPair {
	d := replicationPair{Source: p.Source.Name, Target: p.To, There: p.Target != nil}
	if n := len(p.Source.Snapshots); n > 0 {
		d.Newest = p.Source.Snapshots[n-1].Name
	}
	if p.Target == nil {
		return d
	}
	d.Resume = p.Target.Token != ""
	there := map[string]bool{}
	for _, s := range p.Target.Snapshots {
		there[s.GUID] = true
	}
	for _, s := range p.Source.Snapshots {
		if there[s.GUID] {
			d.Common = s.Name
		}
	}
	return d
}

// ReplicationsJSON is the document of `replication list`.
func ReplicationsJSON(obs *state.Observed) ([]byte, error) {
	return document(struct {
		Version      int              `json:"version"`
		Replications []replicationDoc `json:"replications"`
	}{1, replicationDocs(obs)})
}

// ReplicationsText is it for people.
func ReplicationsText(w io.Writer, obs *state.Observed, opt TextOptions) error {
	t := &text{opt: opt}
	for _, d := range replicationDocs(obs) {
		t.printf("%s  %s\n", t.in(bold, clean(d.Name)), t.in(stateColor[d.State], d.State))
		if d.Error != "" {
			t.colored("  ", yellow, "-", d.Error)
		}
		if d.Away != "" {
			t.lines("  ", "-", d.Away)
		}
		var rows [][]string
		for _, p := range d.Datasets {
			what := "not yet sent"
			switch {
			case p.Target == "":
				what = "not looked at"
			case p.Lost:
				what = "the target had it once, and is gone"
			case p.There && p.Common == p.Newest && p.Lag > 0:
				what = "has all, up to @" + p.Newest + "; written to since"
			case p.Resume:
				what = "a transfer broke off, and goes on"
			case p.There && p.Common == p.Newest:
				what = "has all, up to @" + p.Newest
			case p.Common != "":
				what = "has @" + p.Common + ", not @" + p.Newest
			case p.There:
				what = "has nothing that the source still has as a snapshot"
			}
			rows = append(rows, []string{clean(p.Source), "-> " + clean(p.Target), "lag " + ageText(time.Duration(p.Lag)*time.Second), clean(what)})
		}
		t.table("  ", rows, nil)
		for _, o := range d.Orphans {
			t.printf("  %s: its source is gone, it stays\n", clean(o))
		}
		t.runs(d.Runs)
	}
	return t.writeTo(w)
}

// shownRuns is how many runs are listed for people; the document has all that are remembered.
const shownRuns = 5

func (t *text) runs(all []replicationRun) {
	var rows [][]string
	for _, r := range all[:min(len(all), shownRuns)] {
		took := time.Duration(r.Duration * float64(time.Second)).Round(time.Second)
		moved := fmt.Sprintf("%s in %s (%s/s), %s", bytesText(uint64(max(0, r.Bytes))), took, bytesText(uint64(max(0, r.Rate))), count(r.Streams, "stream"))
		if r.Resumed > 0 {
			moved += fmt.Sprintf(", %d resumed", r.Resumed)
		}
		rows = append(rows, []string{timeText(r.Began), r.Outcome, moved, clean(firstLine(r.Error))})
	}
	if len(rows) > 0 {
		t.printf("  runs, newest first\n")
		t.table("    ", rows, nil)
	}
}
