package spec

// Dataset is a declared file system or volume.
type Dataset struct {
	Name DatasetName
	Pos  Pos // of its key

	Properties map[string]Property // nil: the files say nothing of properties; empty: they declare none
	Snapshots  *Snapshots          // nil: the nearest one above holds
	Allow      map[string][]string // "user:backup" -> permissions
	Volume     *Volume             // nil: a file system
	Origin     SnapshotName        // a clone of it
	Encryption *Encryption
	Absent     bool
	Renamed    DatasetName // renamedFrom
}

// Type is the type of the declared dataset.
func (d *Dataset) Type() DatasetType {
	if d.Volume != nil {
		return Volumes
	}
	return Filesystems
}

// Property is a declared value with its place.
type Property struct {
	Value string // canonical, as `zfs get -p` prints it
	Text  string // as it stands in the file
	Pos   Pos    // of its key
}

// Volume makes a dataset a block device.
type Volume struct {
	Size      Size
	BlockSize Size  // 0: ZFS's default
	Sparse    *bool // nil: a new one is not, and one that is there stays as it is
	Pos       Pos
}

// IsSparse tells whether a new volume reserves no space.
func (v *Volume) IsSparse() bool { return v.Sparse != nil && *v.Sparse }

// Encryption is how a dataset that is an encryption root gets its key.
type Encryption struct {
	Format  string // raw, hex, passphrase
	KeyFile string // "": asked for, never loaded unasked
	Pos     Pos
}

// Snapshots names the schedule of a dataset and what is below it.
type Snapshots struct {
	Schedule string // "none" stops an inherited one
	Before   *Hook
	After    *Hook
	Pos      Pos
}

// Hook is a program to run: an argument vector, never a shell line.
type Hook struct {
	Run       []string
	Timeout   Duration
	OnFailure string // skip or snapshot
}
