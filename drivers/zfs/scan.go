package zfs

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// What `zpool status` says of background work in words, its lines joined by spaces (print_scan_scrub_resilver_status,
// print_removal_status, print_raidz_expand_status and print_checkpoint_status in cmd/zpool). A resilver of one vdev by
// itself, as distributed spares have it, names that in parentheses.
const (
	date = `([A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})`
	took = `(?:(\d+) days )?(\d+):(\d\d):(\d\d)`
)

var (
	scanRuns     = regexp.MustCompile(`^(scrub|resilver)(?: \(\S+\))? in progress since ` + date)
	scanPaused   = regexp.MustCompile(`^(scrub) paused since .* started on ` + date)
	scanFinished = regexp.MustCompile(`^(scrub repaired|resilvered)(?: \(\S+\))? (\S+) in ` + took + ` with (\d+) errors on ` + date)
	scanCanceled = regexp.MustCompile(`^(scrub|resilver)(?: \(\S+\))? canceled on ` + date)
	scanOf       = regexp.MustCompile(`(\S+) / (\S+) issued|(\S+) issued(?: at \S+)?, (\S+) total`) // since 2.2; 2.1
	scanFixed    = regexp.MustCompile(` (\S+) (?:repaired|resilvered),`)
	toGo         = regexp.MustCompile(took + ` to go`)

	removalRuns     = regexp.MustCompile(`^Evacuation of (.+) in progress since ` + date + ` (\S+) copied out of (\S+)(?: .*?(?:(\d+)h(\d+)m to go))?`)
	removalFinished = regexp.MustCompile(`^Removal of vdev \d+ copied (\S+) in (\d+)h(\d+)m, completed on ` + date)
	removalCanceled = regexp.MustCompile(`^Removal of .+ canceled on ` + date)

	expansionRuns     = regexp.MustCompile(`^expansion of (\S+) in progress since ` + date + ` (\S+) / (\S+) copied`)
	expansionFinished = regexp.MustCompile(`^expanded (\S+) copied (\S+) in ` + took + `, on ` + date)

	checkpointExists = regexp.MustCompile(`^created ` + date + `, consumes (\S+)`)
	discarding       = regexp.MustCompile(`^discarding, (\S+) remaining`)
	dataErrors       = regexp.MustCompile(`^(\d+) data errors`)
)

// when reads a date of ctime(3): commands run with TZ=UTC.
func when(s string) time.Time {
	t, err := time.Parse("Mon Jan _2 15:04:05 2006", s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// size reads a size as zpool rounds it, 0 where it is none.
func size(s string) uint64 {
	n, err := spec.ParseSize(s)
	if err != nil {
		return 0
	}
	return uint64(n)
}

// seconds of "2 days 03:04:05", as the pattern took has it in four groups.
func seconds(m []string) int64 {
	var n [4]int64
	for i := range n {
		n[i], _ = strconv.ParseInt(m[i], 10, 32) // the pattern lets digits alone pass; no days are 0
	}
	return ((n[0]*24+n[1])*60+n[2])*60 + n[3]
}

func parseScan(text string) *state.Work {
	if m := scanFinished.FindStringSubmatch(text); m != nil {
		kind := "resilver"
		if m[1] == "scrub repaired" {
			kind = "scrub"
		}
		end := when(m[8])
		return &state.Work{Kind: kind, State: state.Finished, Start: end.Add(-time.Duration(seconds(m[3:7])) * time.Second), End: end, Fixed: size(m[2]), Errors: count(m[7])}
	}
	if m := scanCanceled.FindStringSubmatch(text); m != nil {
		return &state.Work{Kind: m[1], State: state.Canceled, End: when(m[2])}
	}
	w := &state.Work{State: state.Running}
	m := scanRuns.FindStringSubmatch(text)
	if m == nil {
		if m = scanPaused.FindStringSubmatch(text); m == nil {
			return nil
		}
		w.State = state.Paused
	}
	w.Kind, w.Start = m[1], when(m[2])
	if of := scanOf.FindStringSubmatch(text); of != nil {
		w.Done, w.Total = size(of[1]+of[3]), size(of[2]+of[4])
	}
	if fixed := scanFixed.FindStringSubmatch(text); fixed != nil {
		w.Fixed = size(fixed[1])
	}
	w.Left = remaining(text)
	return w
}

func remaining(text string) int64 {
	if m := toGo.FindStringSubmatch(text); m != nil {
		return seconds(m[1:])
	}
	return 0
}

func count(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func parseRemoval(text string) *state.Work {
	if m := removalRuns.FindStringSubmatch(text); m != nil {
		return &state.Work{Kind: "removal", State: state.Running, Vdev: m[1], Start: when(m[2]), Done: size(m[3]), Total: size(m[4]),
			Left: seconds([]string{"", m[5], m[6], ""})}
	}
	if m := removalFinished.FindStringSubmatch(text); m != nil {
		n, end := size(m[1]), when(m[4])
		return &state.Work{Kind: "removal", State: state.Finished, Start: end.Add(-time.Duration(seconds([]string{"", m[2], m[3], ""})) * time.Second), End: end, Done: n, Total: n}
	}
	if m := removalCanceled.FindStringSubmatch(text); m != nil {
		return &state.Work{Kind: "removal", State: state.Canceled, End: when(m[1])}
	}
	return nil
}

func parseExpansion(text string) *state.Work {
	if m := expansionRuns.FindStringSubmatch(text); m != nil {
		return &state.Work{Kind: "expansion", State: state.Running, Vdev: m[1], Start: when(m[2]), Done: size(m[3]), Total: size(m[4]), Left: remaining(text)}
	}
	if m := expansionFinished.FindStringSubmatch(text); m != nil {
		n, end := size(m[2]), when(m[7])
		return &state.Work{Kind: "expansion", State: state.Finished, Vdev: m[1], Start: end.Add(-time.Duration(seconds(m[3:7])) * time.Second), End: end, Done: n, Total: n}
	}
	return nil
}

func parseCheckpoint(text string) *state.Checkpoint {
	if m := checkpointExists.FindStringSubmatch(text); m != nil {
		return &state.Checkpoint{State: "exists", Start: when(m[1]), Space: size(m[2])}
	}
	if m := discarding.FindStringSubmatch(text); m != nil {
		return &state.Checkpoint{State: "discarding", Space: size(m[1])}
	}
	return nil
}

func parseDataErrors(text string) uint64 {
	if m := dataErrors.FindStringSubmatch(text); m != nil {
		return count(m[1])
	}
	return 0
}

// ParsePoolGUIDs reads what PoolGUIDs prints and gives each vdev of p its guid: the tree is the same, in the same
// order. Where it is not, the pool changed between the two, and p keeps its vdevs without guids.
func ParsePoolGUIDs(out []byte, p *state.Pool) error {
	fields, config := statusSections(out)
	if fields["pool"] != p.Name {
		return &ParseError{What: "zpool status -g " + p.Name, Text: string(out)}
	}
	guids, err := parseVdevs(p.Name, config)
	if err != nil {
		return err
	}
	if alike(p.Vdevs, guids) {
		takeGUIDs(p.Vdevs, guids)
	}
	return nil
}

func alike(a, b []state.Vdev) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		isGUID := b[i].Name != "" && strings.Trim(b[i].Name, "0123456789") == ""
		if a[i].Class != b[i].Class || !isGUID || !alike(a[i].Children, b[i].Children) {
			return false
		}
	}
	return true
}

func takeGUIDs(to, guids []state.Vdev) {
	for i := range to {
		to[i].GUID = guids[i].Name
		takeGUIDs(to[i].Children, guids[i].Children)
	}
}
