package render

import (
	"fmt"
	"io"
	"time"

	"github.com/dplaneos/dplane/state"
)

// ReplicationStatus is one replication; lag and objective are seconds.
type ReplicationStatus struct {
	Name      string     `json:"name"`
	State     string     `json:"state"` // ok, running, degraded
	Lag       int64      `json:"lag"`   // of the dataset that is furthest behind
	Objective int64      `json:"objective"`
	Error     string     `json:"error"`
	Never     int        `json:"never"` // datasets of which the target has nothing yet
	Last      *time.Time `json:"last"`  // when the last run ended
}

// replications judges each: one that is too far behind, or that fails, degrades the machine.
func (s *Status) replications(all []state.ReplicationHealth) {
	for _, h := range all {
		x := ReplicationStatus{
			Name: h.Name, State: OK, Lag: int64(h.Lag / time.Second), Objective: int64(h.Objective / time.Second),
			Error: h.Error, Never: h.Never, Last: optional(h.Last),
		}
		why := h.Error
		if h.Objective > 0 && h.Lag > h.Objective {
			why = fmt.Sprintf("the target is %s behind, the objective is %s", h.Lag.Round(time.Second), h.Objective)
			if h.Error != "" {
				why += ": " + h.Error
			}
		}
		switch {
		case why != "":
			x.State = Degraded
			s.worsen(Degraded, "replication "+h.Name+": "+why)
		case h.Running:
			x.State = "running"
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
		if r.Objective > 0 {
			lag += " of " + (time.Duration(r.Objective) * time.Second).String()
		}
		if r.Never > 0 {
			lag += fmt.Sprintf(", %s not yet sent", count(r.Never, "dataset"))
		}
		rows = append(rows, []string{clean(r.Name), r.State, lag, last, clean(firstLine(r.Error))})
	}
	t.table("  ", rows, t.stateColumn)
}

// replicationDoc is one replication as `replication list` shows it.
type replicationDoc struct {
	Name     string            `json:"name"`
	Running  bool              `json:"running"`
	Error    string            `json:"error"` // why an end can't be seen
	Lag      int64             `json:"lag"`
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
}

type replicationRun struct {
	Began    time.Time `json:"began"`
	Duration float64   `json:"duration"`
	Bytes    int64     `json:"bytes"`
	Streams  int       `json:"streams"`
	Resumed  int       `json:"resumed"`
	Outcome  string    `json:"outcome"`
	Error    string    `json:"error"`
}

func replicationDocs(obs *state.Observed) []replicationDoc {
	all := []replicationDoc{}
	for _, h := range obs.ReplicationHealth {
		r := obs.Replications[h.Name]
		d := replicationDoc{Name: h.Name, Running: h.Running, Error: h.Error, Lag: int64(h.Lag / time.Second), Datasets: []replicationPair{}, Orphans: []string{}, Runs: []replicationRun{}}
		for _, p := range r.Pairs {
			d.Datasets = append(d.Datasets, pairDoc(p))
		}
		for _, o := range r.Orphans {
			d.Orphans = append(d.Orphans, o.Name)
		}
		if r.Remembered != nil {
			for _, x := range r.Remembered.Runs {
				d.Runs = append(d.Runs, replicationRun{x.Began, x.Ended.Sub(x.Began).Seconds(), x.Bytes, x.Streams, x.Resumed, x.Outcome, x.Error})
			}
		}
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
		t.printf("%s\n", t.in(bold, clean(d.Name)))
		if d.Error != "" {
			t.colored("  ", yellow, "", d.Error)
		}
		var rows [][]string
		for _, p := range d.Datasets {
			what := "not yet sent"
			switch {
			case p.Resume:
				what = "a transfer broke off, and goes on"
			case p.There && p.Common == p.Newest:
				what = "has all, up to @" + p.Newest
			case p.Common != "":
				what = "has @" + p.Common + ", not @" + p.Newest
			case p.There:
				what = "has nothing that the source still has as a snapshot"
			}
			rows = append(rows, []string{clean(p.Source), "-> " + clean(p.Target), clean(what)})
		}
		t.table("  ", rows, nil)
		for _, o := range d.Orphans {
			t.printf("  %s: its source is gone, it stays\n", clean(o))
		}
	}
	return t.writeTo(w)
}
