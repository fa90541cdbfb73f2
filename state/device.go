package state

// Device is a read-only probe of a disk, partition or file that a declared pool would take.
type Device struct {
	Path      string `json:"path"`
	Exists    bool   `json:"exists"`
	File      bool   `json:"file,omitempty"`      // a regular file, no block device
	Partition bool   `json:"partition,omitempty"` // a part of a disk: what says so is no trace
	Whole     bool   `json:"whole,omitempty"`     // a disk, on which zpool makes a partition

	Size   uint64 `json:"size,omitempty"`   // bytes; 0: not known
	Sector uint64 `json:"sector,omitempty"` // bytes of a logical sector
	// Used says in words what is on it and what uses it. Empty: blank.
	Used []string `json:"used,omitempty"`
	// Vdev is the guid in its ZFS label, by which a vdev is found again under another path.
	Vdev string `json:"vdev,omitempty"`
	// Held says what has it in use now, a mount, swap, md, LVM, a loop device, as what a person runs to end that.
	// What is held is never wiped.
	Held []string `json:"held,omitempty"`
	// Traces are what is written on its partitions and on itself, in the order in which it can be cleared.
	Traces []Trace `json:"traces,omitempty"`
	// Answers are what the reads of the probe said of a used device: before a wipe they must say it again.
	Answers []Answer `json:"answers,omitempty"`
	// Error is a probe that could not be carried out; the device then counts as used.
	Error string `json:"error,omitempty"`
}

// Trace is what is written on a device or on one of its partitions.
type Trace struct {
	Path       string   `json:"path"`
	Labels     []Label  `json:"labels,omitempty"`     // of ZFS
	Signatures []string `json:"signatures,omitempty"` // of anything else: ext4, named backup
}

// Label is what a ZFS label says. Spares and cache devices name no pool.
type Label struct {
	Pool  string `json:"pool,omitempty"`  // "" where it names none
	GUID  string `json:"guid,omitempty"`  // of the pool
	Vdev  string `json:"vdev,omitempty"`  // guid of the device
	State string `json:"state,omitempty"` // active, exported, destroyed, spare, cache; "" for another number
}

// Answer is what a read printed to standard output, and how it ended.
type Answer struct {
	Argv   []string `json:"argv"`
	Code   int      `json:"code"`
	Output string   `json:"output"`
}

// Blank tells whether dplane's own probe found the device empty.
func (d *Device) Blank() bool { return d.Exists && d.Error == "" && len(d.Used) == 0 }

// Labels are the ZFS labels on the device and its partitions.
func (d *Device) Labels() []Label {
	var all []Label
	for _, t := range d.Traces {
		all = append(all, t.Labels...)
	}
	return all
}
