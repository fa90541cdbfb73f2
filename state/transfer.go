package state

import "time"

// Replication is what is seen of one: both ends, dataset by dataset.
type Replication struct {
	Unseen    string `json:"unseen,omitempty"`    // why one of its ends can't be seen: nothing is planned
	Away      bool   `json:"away,omitempty"`      // what is not to be seen is a pool that may be away
	Ahead     bool   `json:"ahead,omitempty"`     // the source has what a target that is away lacks, as far as is remembered
	Elsewhere bool   `json:"elsewhere,omitempty"` // another node of the HA group sends it
	Running   bool   `json:"running,omitempty"`   // it is being sent: nothing else is known
	Pairs     []Pair `json:"pairs,omitempty"`     // by the source's name
	Orphans   []End  `json:"orphans,omitempty"`   // replicas whose source is gone
	// Kept is what the target keeps and kept before, nil where it keeps all; Unchecked is why it can't be told what may go.
	Kept      *Kept  `json:"kept,omitempty"`
	Unchecked string `json:"unchecked,omitempty"`
	// Remembered is what is known of earlier runs; nil: nothing.
	Remembered *Replicated `json:"remembered,omitempty"`
}

// Pair is a source with its target; Target is nil where there is none yet.
type Pair struct {
	Source End    `json:"source"`
	To     string `json:"to"` // the target's name
	Target *End   `json:"target,omitempty"`
	// Common is the guid of the newest snapshot that both have, "" where there is none; Marked: the source has the replication's bookmark of
	// it, so that it needs the snapshot no more.
	Common string `json:"common,omitempty"`
	Marked bool   `json:"marked,omitempty"`
	// Believed: the source is as an earlier list had it. Bookmarks may be gone since.
	Believed bool `json:"believed,omitempty"`
}

// Replicated is what is remembered of a replication.
type Replicated struct {
	// Way is between which ends it went last.
	Way *Way `json:"way,omitempty"`
	// Former are the ways it went before, newest first, on which something is left.
	Former []Way `json:"former,omitempty"`

	Runs []TransferRun `json:"runs,omitempty"` // newest first
	// Common is what each source, by guid, and its target had in common last.
	Common map[string]Common `json:"common,omitempty"`
	// Sent is how each source, by guid, is sent to its target. It is written down before the first stream.
	Sent map[string]Sent `json:"sent,omitempty"`
	// Elsewhere is the same of targets that the files declared before, by their place: they may be declared again.
	Elsewhere map[string]*Elsewhere `json:"elsewhere,omitempty"`
	// Loaded is the load_guid of the import of the removable pool it sends to that is dplane's own, or was there at its first run. Awaited:
	// that pool is not imported, and dplane is about to.
	Loaded  string `json:"loaded,omitempty"`
	Awaited bool   `json:"awaited,omitempty"`
	// Failed are the sources, by guid, that could not be sent in the last run that tried, while others could.
	Failed map[string]Failure `json:"failed,omitempty"`
}

// Elsewhere is what is known of a target that is not declared now.
type Elsewhere struct {
	Common map[string]Common `json:"common,omitempty"`
	Sent   map[string]Sent   `json:"sent,omitempty"`
}

// Failure is how often in a row a dataset could not be sent, and what follows from it.
type Failure struct {
	Source string    `json:"source"` // its name
	Way    string    `json:"way"`    // how the files said that it is sent: where they say otherwise, this is over
	N      int       `json:"n"`
	Why    string    `json:"why"`   // the last time
	Until  time.Time `json:"until"` // it is left alone unasked
}

// Way is where a replication's ends are.
type Way struct {
	From      string `json:"from,omitempty"` // the remote that sends; "": here
	To        string `json:"to,omitempty"`   // the remote that receives; "": here
	Source    string `json:"source"`
	Target    string `json:"target"`
	Recursive bool   `json:"recursive,omitempty"`
}

// Left is what a replication left behind that is not declared any more, or goes another way, by whole names.
type Left struct {
	Name      string   `json:"name"`
	Way       Way      `json:"way"`
	Now       string   `json:"now,omitempty"`     // where it sends now, as remote:dataset; "": it is not declared
	Sources   []string `json:"sources,omitempty"` // snapshots at the source that it holds
	Holds     []string `json:"holds,omitempty"`   // and at the target
	Bookmarks []string `json:"bookmarks,omitempty"`
	Unseen    []string `json:"unseen,omitempty"` // why an end can't be seen, and what to type there
}

// Common is the newest snapshot that both ends had.
type Common struct {
	Source   string    `json:"source"`          // name of the dataset then
	Target   string    `json:"target"`          // guid of the target
	To       string    `json:"to,omitempty"`    // its name
	Place    string    `json:"place,omitempty"` // the target that the files declared: remote:dataset
	Was      string    `json:"was,omitempty"`   // the remote of it, by the name that the files had for it then
	GUID     string    `json:"guid"`            // of the snapshot
	Creation time.Time `json:"creation"`
	At       time.Time `json:"at"`              // when that was seen
	Whole    bool      `json:"whole,omitempty"` // nothing was written since that snapshot, then
	Left     bool      `json:"left,omitempty"`  // the source is gone, or is not sent any more
}

// Sent are the flags of the first stream to a target: those of the later ones can't be others.
type Sent struct {
	Place       string `json:"place"`
	Target      string `json:"target,omitempty"` // its guid; "": it was not yet there
	Raw         bool   `json:"raw,omitempty"`    // it is encrypted, and was sent so
	LargeBlocks bool   `json:"largeBlocks,omitempty"`
}

// TransferRun is one run of a replication.
type TransferRun struct {
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Bytes   int64     `json:"bytes"`
	Streams int       `json:"streams"`
	Resumed int       `json:"resumed,omitempty"` // streams that went on where one had broken off
	Outcome string    `json:"outcome"`           // done or failed
	Part    bool      `json:"part,omitempty"`    // it failed, but for some datasets alone, which rest by themselves
	Load    string    `json:"load,omitempty"`    // load_guid of the removable pool that it sent to
	Again   bool      `json:"again,omitempty"`   // of what had failed before alone: all else was not due
	Error   string    `json:"error,omitempty"`
}

// Rate is how many bytes moved in a second.
func (r TransferRun) Rate() float64 {
	if d := r.Ended.Sub(r.Began).Seconds(); d > 0 {
		return float64(r.Bytes) / d
	}
	return 0
}

// ReplicationHealth is how one replication stands.
type ReplicationHealth struct {
	Name      string        `json:"name"`
	Running   bool          `json:"running,omitempty"`
	Unknown   bool          `json:"unknown,omitempty"`   // an end is not to be seen, and nothing is remembered
	Away      string        `json:"away,omitempty"`      // why an end is not to be seen, though that is no fault
	Lag       time.Duration `json:"lag"`                 // of the dataset that is furthest behind
	Never     int           `json:"never,omitempty"`     // datasets of which the target has nothing
	Objective time.Duration `json:"objective,omitempty"` // 0: none
	Last      time.Time     `json:"last,omitzero"`       // when the last run ended
	Error     string        `json:"error,omitempty"`
	Datasets  []DatasetLag  `json:"datasets,omitempty"` // by the source's name
}

// DatasetLag is how far the target of one dataset is behind.
type DatasetLag struct {
	Source string        `json:"source"`
	Lag    time.Duration `json:"lag"`
	Never  bool          `json:"never,omitempty"` // the target has nothing of it
	Lost   bool          `json:"lost,omitempty"`  // and had it once
}

// Add takes in one dataset.
func (h *ReplicationHealth) Add(d DatasetLag) {
	h.Datasets = append(h.Datasets, d)
	h.Lag = max(h.Lag, d.Lag)
	if d.Never {
		h.Never++
	}
}
