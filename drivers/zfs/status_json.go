package zfs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dplaneos/dplane/state"
)

// HasJSON tells whether `zpool status` of a release prints JSON, as it does since 2.3.
func HasJSON(userland string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(userland, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 2 || major == 2 && minor >= 3
}

// jsonNumber is a JSON number, or one in quotes as `-j` prints them without --json-int.
type jsonNumber uint64

func (n *jsonNumber) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseUint(strings.Trim(string(b), `"`), 10, 64)
	*n = jsonNumber(v)
	return err
}

// ordered is a JSON object in the order in which it stands: the children of a vdev are one.
type ordered []jsonVdev

func (o *ordered) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("no object: %v, %w", t, err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		v := jsonVdev{key: fmt.Sprint(key)}
		if err := dec.Decode(&v); err != nil {
			return err
		}
		*o = append(*o, v)
	}
	return nil
}

// jsonVdev is a node of the tree. A draid has no state of its own before 2.3.3 (#18431).
type jsonVdev struct {
	key               string
	Name, Path, State string
	GUID              jsonNumber
	Aux, Was          string
	Read              jsonNumber `json:"read_errors"`
	Write             jsonNumber `json:"write_errors"`
	Checksum          jsonNumber `json:"checksum_errors"`
	TrimState         string     `json:"trim_state"`
	TrimTime          jsonNumber `json:"trim_time"`
	TrimUnable        jsonNumber `json:"trim_notsup"`
	Trimmed           jsonNumber
	ToTrim            jsonNumber `json:"to_trim"`
	Vdevs             ordered
}

// jsonWork is any of scan_stats, removal_stats and raidz_expand_stats.
type jsonWork struct {
	Function, State, Name string
	Start                 jsonNumber `json:"start_time"`
	End                   jsonNumber `json:"end_time"`
	Errors                jsonNumber

	Examine   jsonNumber `json:"to_examine"` // scan
	Skipped   jsonNumber
	Processed jsonNumber
	Issued    jsonNumber
	PassStart jsonNumber `json:"pass_start"`
	Pass      jsonNumber `json:"issued_bytes_per_scan"`
	Pause     jsonNumber `json:"scrub_pause"`
	Paused    jsonNumber `json:"scrub_spent_paused"`

	ToCopy jsonNumber `json:"to_copy"` // removal
	Copied jsonNumber

	ToReflow jsonNumber `json:"to_reflow"` // expansion
	Reflowed jsonNumber
}

type jsonPool struct {
	Name, State, Status string
	Scan                *jsonWork `json:"scan_stats"`
	Removal             *jsonWork `json:"removal_stats"`
	Expansion           *jsonWork `json:"raidz_expand_stats"`
	Checkpoint          *struct {
		State string
		Start jsonNumber `json:"start_time"`
		Space jsonNumber
	} `json:"checkpoint_stats"`
	Vdevs, Special, Dedup, Logs, L2cache, Spares ordered
	ErrorCount                                   jsonNumber `json:"error_count"`
}

// ParsePoolStatusJSON reads what PoolStatusJSON prints, and fills in the same as ParsePoolStatus, with guids. now is
// when it was printed: from it follows how long a scan will still take.
func ParsePoolStatusJSON(out []byte, now time.Time, p *state.Pool) error {
	var doc struct{ Pools map[string]*jsonPool }
	if err := json.Unmarshal(out, &doc); err != nil {
		return fmt.Errorf("parse zpool status %s: %w", p.Name, err)
	}
	j := doc.Pools[p.Name]
	if j == nil || len(j.Vdevs) != 1 || j.State == "" {
		return &ParseError{What: "zpool status " + p.Name, Text: string(out)}
	}
	vdevs := j.Vdevs[0].Vdevs.vdevs("")
	for _, c := range []struct {
		class string
		vdevs ordered
	}{{"dedup", j.Dedup}, {"special", j.Special}, {"log", j.Logs}, {"cache", j.L2cache}, {"spare", j.Spares}} {
		vdevs = append(vdevs, c.vdevs.vdevs(c.class)...)
	}
	p.Vdevs, p.Health, p.Status = vdevs, j.State, strings.Join(strings.Fields(j.Status), " ")
	p.Scanned, p.Removal, p.Expansion = j.Scan.scan(now), j.Removal.removal(now), j.Expansion.expansion(now)
	p.Checkpoint = nil
	if c := j.Checkpoint; c != nil && c.State != "" && c.State != "NONE" {
		p.Checkpoint = &state.Checkpoint{State: strings.ToLower(c.State), Start: at(c.Start), Space: uint64(c.Space)}
	}
	var t trims
	for _, vdevs := range []ordered{j.Vdevs, j.Dedup, j.Special, j.Logs, j.L2cache} {
		t.json(vdevs)
	}
	t.into(p)
	p.DataErrors = uint64(j.ErrorCount)
	p.Errors = errorsText(p.DataErrors)
	return nil
}

// noErrors is what zpool status says of a pool that lost nothing.
const noErrors = "No known data errors"

func errorsText(n uint64) string {
	if n == 0 {
		return noErrors
	}
	return fmt.Sprintf("%d data errors, use '-v' for a list", n)
}

func (o ordered) vdevs(class string) []state.Vdev {
	var out []state.Vdev
	for _, j := range o {
		v := state.Vdev{
			Name: j.Name, Path: j.Path, Class: class, State: vdevState(j), Note: note(j),
			Read: uint64(j.Read), Write: uint64(j.Write), Checksum: uint64(j.Checksum), Children: j.Vdevs.vdevs(""),
		}
		if v.Name == "" {
			v.Name = j.key
		}
		if j.GUID != 0 {
			v.GUID = strconv.FormatUint(uint64(j.GUID), 10)
		}
		if !strings.HasPrefix(v.Path, "/") { // a distributed spare has its name for a path
			v.Path = ""
		}
		out = append(out, v)
	}
	return out
}

// vdevState makes of the state that JSON has the word that text has (zpool_state_to_name in lib/libzfs).
func vdevState(j jsonVdev) string {
	switch {
	case j.State == "CANT_OPEN" && (j.Aux == "CORRUPT_DATA" || j.Aux == "BAD_LOG"):
		return "FAULTED"
	case j.State == "CANT_OPEN":
		return "UNAVAIL"
	case j.State == "HEALTHY":
		return "ONLINE"
	case j.State == "CLOSED":
		return "OFFLINE"
	case j.State == "" && len(j.Vdevs) > 0:
		return worst(j.Vdevs)
	}
	return j.State
}

// worst stands in for the state of a group that is not told.
func worst(children ordered) string {
	for _, c := range children {
		if s := vdevState(c); s != "ONLINE" {
			return "DEGRADED"
		}
	}
	return "ONLINE"
}

// auxNotes are the words that text has for them (print_status_config in cmd/zpool).
var auxNotes = map[string]string{
	"OPEN_FAILED": "cannot open", "BAD_GUID_SUM": "missing device", "NO_REPLICAS": "insufficient replicas", "VERSION_NEWER": "newer version",
	"UNSUP_FEAT": "unsupported feature(s)", "ASHIFT_TOO_BIG": "unsupported minimum blocksize", "SPARED": "currently in use",
	"ERR_EXCEEDED": "too many errors", "IO_FAILURE": "experienced I/O failures", "BAD_LOG": "bad intent log", "EXTERNAL": "external device fault",
	"SPLIT_POOL": "split into new pool", "ACTIVE": "currently in use", "CHILDREN_OFFLINE": "all children offline", "BAD_LABEL": "invalid label",
}

func note(j jsonVdev) string {
	switch aux := auxNotes[j.Aux]; {
	case j.Was != "":
		return "was " + j.Was
	case aux != "":
		return aux
	case j.Aux != "" && j.Aux != "NONE":
		return strings.ToLower(strings.ReplaceAll(j.Aux, "_", " "))
	case j.State == "INUSE":
		return "currently in use"
	}
	return ""
}

func at(seconds jsonNumber) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// work is what all three have in common.
func (j *jsonWork) work(kind string) *state.Work {
	words := map[string]string{"SCANNING": state.Running, "ACTIVE": state.Running, "FINISHED": state.Finished, "CANCELED": state.Canceled}
	w := &state.Work{Kind: kind, State: words[j.State], Start: at(j.Start), End: at(j.End), Errors: uint64(j.Errors)}
	if w.State == "" {
		return nil
	}
	return w
}

func (j *jsonWork) scan(now time.Time) *state.Work {
	if j == nil || j.Function != "SCRUB" && j.Function != "RESILVER" {
		return nil
	}
	w := j.work(strings.ToLower(j.Function))
	if w == nil {
		return nil
	}
	w.Done, w.Total, w.Fixed = uint64(j.Issued), uint64(j.Examine-min(j.Skipped, j.Examine)), uint64(j.Processed)
	switch {
	case w.State == state.Running && j.Pause != 0:
		w.State = state.Paused
	case w.State == state.Running:
		w.Left = left(w.Total, w.Done, uint64(j.Pass), now.Unix()-int64(j.PassStart)-int64(j.Paused))
	}
	return w
}

func (j *jsonWork) removal(now time.Time) *state.Work {
	if j == nil {
		return nil
	}
	w := j.work("removal")
	if w == nil {
		return nil
	}
	w.Done, w.Total = uint64(j.Copied), uint64(j.ToCopy)
	if w.State == state.Running { // the vdev that is gone is "indirect"
		w.Vdev, w.Left = j.Name, left(w.Total, w.Done, w.Done, now.Unix()-int64(j.Start))
	}
	return w
}

func (j *jsonWork) expansion(now time.Time) *state.Work {
	if j == nil {
		return nil
	}
	w := j.work("expansion")
	if w == nil {
		return nil
	}
	w.Done, w.Total = uint64(j.Reflowed), uint64(j.ToReflow)
	if w.State == state.Running {
		w.Left = left(w.Total, w.Done, w.Done, now.Unix()-int64(j.Start))
	}
	return w
}

// left are the seconds that the rest will take at the speed of this pass, 0 where that can't be told.
func left(total, done, pass uint64, seconds int64) int64 {
	if seconds <= 0 || pass/uint64(seconds) == 0 || done >= total {
		return 0
	}
	return int64((total - done) / (pass / uint64(seconds)))
}
