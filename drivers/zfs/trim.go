package zfs

import (
	"regexp"
	"time"

	"github.com/dplaneos/dplane/state"
)

// trimNote is what `zpool status -t` adds to the line of each device (print_status_trim in cmd/zpool).
var trimNote = regexp.MustCompile(`\s*\((?:\d+% trimmed(, suspended)?, (started|completed) at (\w{3} \w{3} +\d+ [\d:]{8} \d{4})|untrimmed|(trim unsupported))\)$`)

// trims gathers what the devices of a pool tell of trimming.
type trims struct {
	told, able int
	running    *state.Work
	newest     time.Time
}

func (t *trims) into(p *state.Pool) {
	p.Trimming, p.Trimmed, p.Trimless = t.running, t.newest, t.told > 0 && t.able == 0
}

// add counts a device. One whose trim a person suspended counts from when that began: it is not wanted back at once.
func (t *trims) add(able, running bool, last time.Time, done, total uint64) {
	t.told++
	if able {
		t.able++
	}
	if !running {
		if last.After(t.newest) {
			t.newest = last
		}
		return
	}
	if t.running == nil {
		t.running = &state.Work{Kind: "trim", State: state.Running, Start: last}
	}
	t.running.Done, t.running.Total = t.running.Done+done, t.running.Total+total
}

// text takes the notes out of a tree.
func (t *trims) text(vdevs []state.Vdev) {
	for i := range vdevs {
		v := &vdevs[i]
		if m := trimNote.FindStringSubmatchIndex(v.Note); m != nil {
			part := trimNote.FindStringSubmatch(v.Note)
			v.Note = v.Note[:m[0]]
			t.add(part[4] == "", part[2] == "started" && part[1] == "", when(part[3]), 0, 0)
		}
		if v.Class != "spare" {
			t.text(v.Children)
		}
	}
}

func (t *trims) json(vdevs ordered) {
	for _, v := range vdevs {
		t.json(v.Vdevs)
		if v.TrimState == "" && v.TrimTime == 0 {
			continue
		}
		t.add(v.TrimUnable == 0, v.TrimState == "ACTIVE", at(v.TrimTime), uint64(v.Trimmed), uint64(v.ToTrim))
	}
}
