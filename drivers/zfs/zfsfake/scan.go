package zfsfake

import (
	"fmt"
	"time"
)

// epoch is when what the model was told to have done was done, in seconds. What it does itself ends at once, unless it
// is Slow.
const epoch = 1795505843

// Scan is the last scrub or resilver of a pool.
type Scan struct {
	Function string // SCRUB, RESILVER
	State    string // SCANNING, FINISHED, CANCELED
	Paused   bool   `json:",omitempty"`
	Total    uint64 // bytes
	Done     uint64
	Errors   uint64 `json:",omitempty"`
	At       int64  `json:",omitempty"` // when it began, or ended; 0: epoch
}

func (s *Scan) at() int64 {
	if s.At != 0 {
		return s.At
	}
	return epoch
}

// Copying is a removal of a top-level vdev or an expansion of a raidz.
type Copying struct {
	State string // SCANNING, FINISHED
	Index int    // of the top-level vdev
	Name  string
	Bytes uint64
}

func ctime(at int64) string { return time.Unix(at, 0).UTC().Format(time.ANSIC) }

// human rounds a number of bytes as zfs_nicebytes does.
func human(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	f, u := float64(n), 0
	for f >= 1024 {
		f, u = f/1024, u+1
	}
	digits := 2
	switch {
	case f >= 100 || n%(1<<(10*u)) == 0:
		digits = 0
	case f >= 10:
		digits = 1
	}
	return fmt.Sprintf("%.*f%c", digits, f, " KMGTPE"[u])
}

// work prints what runs or ran, as `zpool status` has it in words.
func (k *call) work(p *Pool) {
	if s := p.Scan; s != nil {
		k.printf("  scan: %s\n", s.text())
	}
	if r := p.Removal; r != nil && r.State == "SCANNING" {
		k.printf("remove: Evacuation of %s in progress since %s\n\t0B copied out of %s at 0B/s, 0.00%% done, (copy is slow, no estimated time)\n", r.Name, ctime(epoch), human(r.Bytes))
	} else if r != nil {
		k.printf("remove: Removal of vdev %d copied %s in 0h0m, completed on %s\n\t216 memory used for removed device mappings\n", r.Index, human(r.Bytes), ctime(epoch))
	}
	if e := p.Expansion; e != nil && e.State == "SCANNING" {
		k.printf("expand: expansion of %s in progress since %s\n\t0B / %s copied at 0B/s, 0.00%% done, (copy is slow, no estimated time)\n", e.Name, ctime(epoch), human(e.Bytes))
	} else if e != nil {
		k.printf("expand: expanded %s copied %s in 00:00:00, on %s\n", e.Name, human(e.Bytes), ctime(epoch))
	}
	if p.Checkpoint {
		k.printf("checkpoint: created %s, consumes 0B\n", ctime(epoch))
	}
}

func (s *Scan) text() string {
	verb, fixed := "scrub", "repaired"
	if s.Function == "RESILVER" {
		verb, fixed = "resilver", "resilvered"
	}
	switch {
	case s.State == "CANCELED":
		return fmt.Sprintf("%s canceled on %s", verb, ctime(s.at()))
	case s.State == "FINISHED" && verb == "scrub":
		return fmt.Sprintf("scrub repaired 0B in 00:00:00 with %d errors on %s", s.Errors, ctime(s.at()))
	case s.State == "FINISHED":
		return fmt.Sprintf("resilvered %s in 00:00:00 with %d errors on %s", human(s.Done), s.Errors, ctime(s.at()))
	}
	progress := fmt.Sprintf("\t%s / %s scanned, %s / %s issued\n\t0B %s, %.2f%% done", human(s.Done), human(s.Total), human(s.Done), human(s.Total), fixed, 100*float64(s.Done)/float64(max(s.Total, 1)))
	if s.Paused {
		return fmt.Sprintf("scrub paused since %s\n\tscrub started on %s\n%s", ctime(s.at()), ctime(s.at()), progress)
	}
	return fmt.Sprintf("%s in progress since %s\n%s, no estimated completion time", verb, ctime(s.at()), progress)
}
