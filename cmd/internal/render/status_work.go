package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/dplaneos/dplane/state"
)

// scanText says in one line what a scrub or resilver does or did.
func scanText(w *state.Work) string {
	switch {
	case w == nil:
		return ""
	case w.Runs():
		return workText(w)
	case w.State == state.Canceled:
		return w.Kind + " canceled " + timeText(w.End)
	}
	verb := "repaired"
	if w.Kind == "resilver" {
		verb = "written"
	}
	return fmt.Sprintf("%s ended %s, %s %s, %s", w.Kind, timeText(w.End), bytesText(w.Fixed), verb, count(int(w.Errors), "error"))
}

// workText is the progress of what runs: resilver 12.3% done (34G of 280G), 1h12m0s left.
func workText(w *state.Work) string {
	s := w.Kind
	if w.Vdev != "" {
		s += " of " + w.Vdev
	}
	if w.State == state.Paused {
		s += " paused,"
	}
	switch {
	case w.Total == 0 && w.Kind == "trim":
		s += " runs"
	case w.Total > 0:
		s += fmt.Sprintf(" %.1f%% done (%s of %s)", 100*float64(min(w.Done, w.Total))/float64(w.Total), bytesText(w.Done), bytesText(w.Total))
	default:
		s += " begins"
	}
	if w.Left > 0 {
		s += ", " + (time.Duration(w.Left) * time.Second).String() + " left"
	}
	return s
}

// sick names the devices to which a pool owes its health: ": /dev/b of mirror-0 is OFFLINE".
func sick(vdevs []state.Vdev) string {
	var all []string
	eachSick(vdevs, "", func(v state.Vdev, group string) { all = append(all, deviceText(v, group)) })
	if len(all) == 0 {
		return ""
	}
	return ": " + strings.Join(all, ", ")
}

func deviceText(v state.Vdev, group string) string {
	name := v.Path
	if name == "" {
		name = v.Name
	}
	if group != "" {
		name += " of " + group
	}
	s := name + " is " + v.State
	if v.Note != "" && !strings.HasPrefix(v.Note, "was ") {
		s += " (" + v.Note + ")"
	}
	return s
}

// eachSick visits the devices that are not as they should be: a spare waits or stands in for another.
func eachSick(vdevs []state.Vdev, group string, visit func(v state.Vdev, group string)) {
	for _, v := range vdevs {
		if len(v.Children) == 0 && v.State != "ONLINE" && (v.Class != "spare" || v.State != "AVAIL" && v.State != "INUSE") {
			visit(v, group)
		}
		below := v.Name
		if group != "" && (strings.HasPrefix(v.Name, "spare-") || strings.HasPrefix(v.Name, "replacing-")) {
			below = group
		}
		eachSick(v.Children, below, visit)
	}
}

// poolDetails lists below the pools what runs on them, and each device that is not well or has errors.
func (t *text) poolDetails(pools []PoolStatus) {
	for _, p := range pools {
		for _, w := range []*state.Work{p.Scanned, p.Removal, p.Expansion, p.Trimming} {
			if w.Runs() {
				t.lines("  ", "-", p.Name+": "+workText(w))
			}
		}
		if c := p.Checkpoint; c != nil {
			t.lines("  ", "-", fmt.Sprintf("%s: checkpoint of %s (%s): no device can be attached, detached, removed or replaced until it is discarded", p.Name, timeText(c.Start), c.State))
		}
		t.faults(p.Name, p.Vdevs)
	}
}

func (t *text) faults(pool string, vdevs []state.Vdev) {
	eachSick(vdevs, "", func(v state.Vdev, group string) { t.lines("  ", "-", pool+": "+deviceText(v, group)) })
	for _, v := range vdevs {
		t.counters(pool, v)
	}
}

func (t *text) counters(pool string, v state.Vdev) {
	if v.Read+v.Write+v.Checksum > 0 && len(v.Children) == 0 {
		t.lines("  ", "-", pool+": "+countersText(v))
	}
	for _, c := range v.Children {
		t.counters(pool, c)
	}
}

func countersText(v state.Vdev) string {
	return fmt.Sprintf("%s has errors: %d read, %d write, %d checksum", v.Path, v.Read, v.Write, v.Checksum)
}

// faulty tells of the first device with errors, "" where there is none.
func faulty(vdevs []state.Vdev) string {
	for _, v := range vdevs {
		if v.Read+v.Write+v.Checksum > 0 && len(v.Children) == 0 {
			return countersText(v)
		}
		if s := faulty(v.Children); s != "" {
			return s
		}
	}
	return ""
}
