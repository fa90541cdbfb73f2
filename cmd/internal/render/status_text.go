package render

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/state"
)

// StatusJSON is the document of a status, whose values are lower case.
func StatusJSON(s *Status) ([]byte, error) {
	doc := *s
	doc.Pools = list(s.Pools)
	for i := range doc.Pools {
		doc.Pools[i].Vdevs = lowered(doc.Pools[i].Vdevs)
	}
	return document(&doc)
}

// lowered are vdevs as a document has them.
func lowered(vdevs []state.Vdev) []state.Vdev {
	out := slices.Clone(vdevs)
	for i := range out {
		out[i].State, out[i].Children = strings.ToLower(out[i].State), lowered(out[i].Children)
	}
	return out
}

var stateColor = map[string]string{
	OK: green, "ready": green, Degraded: yellow, "drift": yellow, "held": yellow, "missing": red, Critical: red, Unknown: magenta,
	"receivedOnly": dim, "away": dim, state.PeerHealthy: green, state.PeerUnreachable: red,
}

// shownDatasets is the number of datasets that are listed though all is well with them.
const shownDatasets = 30

// StatusText writes a status for people.
func StatusText(w io.Writer, s *Status, opt TextOptions) error {
	t := &text{opt: opt}
	host := ""
	if s.Host != "" {
		host = clean(s.Host) + ": "
	}
	t.printf("%s\n", t.in(bold+";"+stateColor[s.State], host+s.State))
	for _, r := range s.Reasons {
		t.lines("  ", "-", r)
	}
	if s.ObservedAt != nil {
		t.printf("observed %s (%s ago), generation %s\n", timeText(*s.ObservedAt), ageText(time.Duration(s.Age)*time.Second), short(s.Generation))
	}
	t.statusPools(s.Pools)
	t.statusDatasets(s.Datasets)
	t.statusSchedules(s.Schedules)
	t.statusReplications(s.Replications)
	t.statusPeers(s.Peers)
	for i, n := range s.Notices {
		if i == 0 {
			t.printf("\nTo know\n")
		}
		t.lines("  ", "-", n)
	}
	for i, e := range s.Errors {
		if i == 0 {
			t.printf("\nErrors\n")
		}
		t.lines("  ", "-", e.Message)
		if e.Hint != "" {
			t.lines("  ", "  hint:", e.Hint)
		}
	}
	return t.writeTo(w)
}

// stateColumn colours the second column of a table by the state that is in it.
func (t *text) stateColumn(_, col int, cell string) string {
	if col != 1 {
		return cell
	}
	return t.in(stateColor[strings.TrimSpace(cell)], cell)
}

func (t *text) statusPools(pools []PoolStatus) {
	if len(pools) == 0 {
		return
	}
	t.printf("\nPools\n")
	var rows [][]string
	for _, p := range pools {
		row := []string{clean(p.Name), p.State, "-", "-", "-"}
		if p.Health != "" {
			row = []string{clean(p.Name), p.State, clean(p.Health), bytesText(p.Allocated) + " of " + bytesText(p.Size), fmt.Sprintf("%d%%", p.Capacity)}
		}
		why := clean(firstLine(p.Reason))
		if !p.Managed {
			why = strings.TrimSuffix("not declared; "+why, "; ")
		}
		rows = append(rows, append(row, why))
	}
	t.table("  ", rows, t.stateColumn)
	t.poolDetails(pools)
}

// statusDatasets lists the datasets; of very many only those that are not as they should be.
func (t *text) statusDatasets(all []DatasetStatus) {
	if len(all) == 0 {
		return
	}
	t.printf("\nDatasets\n")
	var rows [][]string
	ready := 0
	for _, d := range all {
		if d.State == "ready" {
			ready++
			if len(all) > shownDatasets {
				continue
			}
		}
		rows = append(rows, []string{clean(d.Name), d.State, bytesText(d.Used), clean(firstLine(d.Reason))})
	}
	t.table("  ", rows, t.stateColumn)
	if len(all) > shownDatasets {
		t.printf("  %s ready\n", count(ready, "dataset"))
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
