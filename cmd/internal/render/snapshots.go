package render

import (
	"io"
	"strconv"
	"time"
)

// Explained is what a policy does with a list of snapshots.
type Explained struct {
	Snapshots []ExplainedSnapshot
	Next      time.Time // when the next one is due; zero for never
	Now       time.Time
	Zone      *time.Location
	Notes     []string // what keeps all of them
}

// ExplainedSnapshot is what becomes of one, and why.
type ExplainedSnapshot struct {
	Name    string
	Keep    bool
	Reasons []string
	Goes    time.Time // zero where nothing tells
}

// Simulated is what a policy did over a stretch of time.
type Simulated struct {
	From, Until time.Time
	Periods     []SimulatedPeriod // shortest first
	Exist, Most int               // snapshots at the end, and at most
}

// SimulatedPeriod is what one period took and keeps at the end.
type SimulatedPeriod struct {
	Name        string
	Taken, Kept int
}

type explainDocument struct {
	Version   int               `json:"version"`
	Snapshots []explainSnapshot `json:"snapshots"`
	Next      *time.Time        `json:"next"`
	Notes     []string          `json:"notes,omitempty"`
}

type explainSnapshot struct {
	Name     string     `json:"name"`
	Decision string     `json:"decision"`
	Reasons  []string   `json:"reasons"`
	Goes     *time.Time `json:"goes"`
}

// ExplainJSON is {"version": 1, "snapshots": [{"name", "decision": "keep" or "destroy", "reasons", "goes"}], "next"}.
func ExplainJSON(e Explained) ([]byte, error) {
	doc := explainDocument{Version: 1, Snapshots: []explainSnapshot{}, Next: optional(e.Next), Notes: e.Notes}
	for _, s := range e.Snapshots {
		doc.Snapshots = append(doc.Snapshots, explainSnapshot{s.Name, s.decision(), list(s.Reasons), optional(s.Goes)})
	}
	return document(doc)
}

func (s ExplainedSnapshot) decision() string {
	if s.Keep {
		return "keep"
	}
	return "destroy"
}

// optional is nil for the zero time, which JSON shows as null.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// ExplainText writes it for people: each snapshot with what becomes of it, in the zone of the policy.
func ExplainText(w io.Writer, e Explained, opt TextOptions) error {
	t := &text{opt: opt}
	rows, destroys := [][]string{}, 0
	for _, s := range e.Snapshots {
		if !s.Keep {
			destroys++
		}
		for i, why := range s.Reasons {
			name, decision := clean(s.Name), s.decision()
			if i > 0 {
				name, decision = "", ""
			}
			rows = append(rows, []string{decision, name, clean(why)})
		}
		if !s.Goes.IsZero() {
			rows = append(rows, []string{"", "", "goes " + zoned(s.Goes, e.Zone)})
		}
	}
	t.table("", rows, func(_, col int, cell string) string {
		switch {
		case col == 0 && cell != "" && cell[0] == 'd':
			return t.in(red, cell)
		case col == 0:
			return t.in(green, cell)
		}
		return cell
	})
	if len(rows) > 0 {
		t.printf("\n")
	}
	t.printf("%d to keep, %d to destroy at %s.\n", len(e.Snapshots)-destroys, destroys, zoned(e.Now, e.Zone))
	for _, n := range e.Notes {
		t.lines("", "-", n)
	}
	switch {
	case e.Next.IsZero():
		t.printf("None is ever due.\n")
	case e.Next.After(e.Now):
		t.printf("The next one is due %s.\n", zoned(e.Next, e.Zone))
	default:
		t.printf("One is due now.\n")
	}
	return t.writeTo(w)
}

func zoned(at time.Time, zone *time.Location) string {
	return at.In(zone).Format("2006-01-02 15:04:05 -0700")
}

type simulateDocument struct {
	Version int                       `json:"version"`
	From    time.Time                 `json:"from"`
	Until   time.Time                 `json:"until"`
	Periods map[string]simulatePeriod `json:"periods"`
	Exist   int                       `json:"exist"`
	Most    int                       `json:"most"`
}

type simulatePeriod struct {
	Taken int `json:"taken"`
	Kept  int `json:"kept"`
}

// SimulateJSON is {"version": 1, "from", "until", "periods": {"hourly": {"taken", "kept"}}, "exist", "most"}.
func SimulateJSON(s Simulated) ([]byte, error) {
	doc := simulateDocument{1, s.From.UTC(), s.Until.UTC(), map[string]simulatePeriod{}, s.Exist, s.Most}
	for _, p := range s.Periods {
		doc.Periods[p.Name] = simulatePeriod{p.Taken, p.Kept}
	}
	return document(doc)
}

// SimulateText writes it for people.
func SimulateText(w io.Writer, s Simulated, opt TextOptions) error {
	t := &text{opt: opt}
	rows := [][]string{{"period", "boundaries", "kept at the end"}}
	for _, p := range s.Periods {
		rows = append(rows, []string{p.Name, strconv.Itoa(p.Taken), strconv.Itoa(p.Kept)})
	}
	t.table("", rows, nil)
	t.printf("\nFrom %s until %s: %d snapshots exist at the end, and %d at most.\n", timeText(s.From), timeText(s.Until), s.Exist, s.Most)
	return t.writeTo(w)
}

// SnapshotsOf are those of one dataset; sizes are bytes.
type SnapshotsOf struct {
	Name        string        `json:"name"`
	Schedule    string        `json:"schedule"`
	Reclaimable uint64        `json:"reclaimable"`        // if all that dplane took, and that nothing holds, were gone
	AtLeast     bool          `json:"reclaimableAtLeast"` // it may be more
	Snapshots   []SnapshotRow `json:"snapshots"`
}

// SnapshotRow is one snapshot of a list.
type SnapshotRow struct {
	Name     string     `json:"name"`
	GUID     string     `json:"guid"`
	Creation time.Time  `json:"creation"`
	Used     uint64     `json:"used"` // by this one alone
	Own      bool       `json:"own"`  // dplane took it
	Holds    int        `json:"holds"`
	Clones   []string   `json:"clones,omitempty"`
	Expires  *time.Time `json:"expires,omitempty"` // taken by hand, and kept until then
}

// SnapshotsJSON is {"version": 1, "datasets": [SnapshotsOf]}.
func SnapshotsJSON(all []SnapshotsOf) ([]byte, error) {
	return document(struct {
		Version  int           `json:"version"`
		Datasets []SnapshotsOf `json:"datasets"`
	}{1, list(all)})
}

// SnapshotsText writes them for people.
func SnapshotsText(w io.Writer, all []SnapshotsOf, opt TextOptions) error {
	t := &text{opt: opt}
	for i, d := range all {
		if i > 0 {
			t.printf("\n")
		}
		free := bytesText(d.Reclaimable)
		if d.AtLeast {
			free = "at least " + free
		}
		t.printf("%s: schedule %s, %d snapshots, %s reclaimable\n", clean(d.Name), clean(d.Schedule), len(d.Snapshots), free)
		var rows [][]string
		for _, s := range d.Snapshots {
			whose := "dplane"
			switch {
			case !s.Own:
				whose = "not dplane's"
			case s.Expires != nil:
				whose = "by hand, until " + timeText(*s.Expires)
			}
			if s.Holds > 0 {
				whose += ", held"
			}
			if len(s.Clones) > 0 {
				whose += ", cloned"
			}
			rows = append(rows, []string{clean(s.Name), timeText(s.Creation), bytesText(s.Used), whose})
		}
		t.table("  ", rows, nil)
	}
	return t.writeTo(w)
}

// TakenJSON is {"version": 1, "name": dataset@name}.
func TakenJSON(name string) ([]byte, error) {
	return document(struct {
		Version int    `json:"version"`
		Name    string `json:"name"`
	}{1, name})
}
