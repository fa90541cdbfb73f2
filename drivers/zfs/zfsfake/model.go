package zfsfake

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Model is the whole pretended machine, as it stands in the JSON file.
type Model struct {
	Release string              // of zfs and its module, as `zfs version` prints them
	TXG     uint64              // one clock for all pools; every write moves it
	Serial  uint64              // the guids given out so far
	Pools   map[string]*Pool    // imported, by name
	Away    map[string]*Pool    // exported, by guid
	Devices map[string]*Device  // what the machine is told to have, by path
	Dirs    map[string][]string // directories and the names in them
	Lost    map[string]*Device  `json:",omitempty"` // devices that are away for a while
	Links   map[string]string   `json:",omitempty"` // from a link to the real path
	Users   []string            // names that a quota may carry; numbers always may
	Keys    map[string]*KeyFile // small files with what is in them
	Missing []string            // programs that are not installed

	Files    map[string]string // texts, by path: feature sets
	NoModule bool              // the kernel module is not there
	Slow     bool              // what runs in the background goes on until the model is told otherwise
	Stalled  string            // what begins so does not end until the model is told otherwise; "": nothing
	Clock    int64             // seconds since 1970; 0: the real time
	User     string            `json:",omitempty"` // who runs zfs; "": root. Only receive asks what somebody else may
	Cuts     []uint64          `json:",omitempty"` // after how many bytes each of the next streams ends; 0: it is whole
}

// Pool is a pool with its datasets.
type Pool struct {
	Name, GUID string
	Props      map[string]string // set on the pool
	Vdevs      []Vdev            // top level
	Tops       int               // top-level vdevs that there ever were, those of cache and spare not counted
	Datasets   map[string]*Dataset
	Loads      uint64 `json:",omitempty"` // how often it was imported
	ReadOnly   bool   // imported so
	Foreign    bool   // last used by another machine, and not exported there
	Suspended  bool   // its devices are gone: see refusesSuspended
	Hung       bool   // reads hang as well
	Health     string // "": what its vdevs make it
	History    []string

	Scan       *Scan    `json:",omitempty"`
	Removal    *Copying `json:",omitempty"`
	Expansion  *Copying `json:",omitempty"`
	Checkpoint bool     `json:",omitempty"`
	Errors     uint64   `json:",omitempty"` // blocks that are lost

	kids map[string][]string // names of the children, by parent; nil: to be built
	used map[string]uint64   // while nothing changes: see still
}

// Vdev is a node of the tree.
type Vdev struct {
	Name     string // mirror-0, or the path of a device
	GUID     string
	ID       int    `json:",omitempty"` // of a top-level vdev, counted from 0; the name of a group ends with it
	Class    string `json:",omitempty"` // "", log, cache, special, dedup, spare
	State    string `json:",omitempty"` // of a device; "": ONLINE, or AVAIL of a spare
	Faulted  bool   `json:",omitempty"` // by `zpool offline -f`
	Fresh    bool   `json:",omitempty"` // it took the place of another device
	Size     uint64 `json:",omitempty"` // bytes of a device
	Ashift   int    `json:",omitempty"` // of a top-level vdev, its sector size as a power of two; 0: 12
	Checksum uint64 `json:",omitempty"` // errors

	Trim     *Trimming `json:",omitempty"`
	Grown    uint64    `json:",omitempty"` // bytes by which the device is larger
	Children []Vdev    `json:",omitempty"`
}

// Dataset is a file system or volume, with its snapshots.
type Dataset struct {
	GUID     string
	TXG      uint64
	Volume   bool
	Local    map[string]string // set on it
	Received map[string]string // that came with a stream
	Masked   map[string]bool   // received values that `zfs inherit` hides
	Fixed    map[string]string // chosen at creation: volblocksize, casesensitivity, ...
	Quotas   map[string]uint64 // userquota@root and its like
	Written  uint64            // bytes put in, beyond what an empty dataset takes
	Log      uint64            `json:",omitempty"` // bytes that a crash left in its log: they come when it is mounted
	// SnapshotsChanged is when a snapshot was last taken, received, renamed or destroyed, in seconds; 0: never.
	SnapshotsChanged int64 `json:",omitempty"`
	Mounted          bool
	At               string              `json:",omitempty"` // where it is mounted, if not at its mountpoint
	Stale            map[string]string   // values that the mount still has, where a refused set changed the property
	Busy             bool                // somebody has a file of it open
	Served           string              `json:",omitempty"` // the kernel's file that names the volume as what it serves
	AllowHere        map[string][]string `json:",omitempty"` // zfs allow, on the dataset: "user anna" -> permissions
	AllowBelow       map[string][]string `json:",omitempty"` // and on those under it
	Key              string              `json:",omitempty"` // what unlocks an encryption root
	Unloaded         bool                `json:",omitempty"` // its key is not loaded
	KeyOf            string              `json:",omitempty"` // guid of its encryption root, where that is not above it
	AllowSets        map[string][]string `json:",omitempty"` // zfs allow -s: "@set" -> permissions
	AllowMaker       []string            `json:",omitempty"` // zfs allow -c
	Full             bool                `json:",omitempty"` // no snapshot of it can be taken
	Origin           string              // guid of the snapshot that it is a clone of
	Snapshots        []Snapshot
	Bookmarks        []Bookmark `json:",omitempty"`
	Partial          *partial   `json:",omitempty"` // what an interrupted receive left
	Large            bool       `json:",omitempty"` // it was received with large blocks
}

// Snapshot is one snapshot.
type Snapshot struct {
	Name, GUID string
	TXG        uint64
	Holds      []string          // tags
	Creation   int64             `json:",omitempty"` // seconds since 1970; 0: it follows from TXG
	Local      map[string]string `json:",omitempty"` // user properties that are its own
	Received   map[string]string `json:",omitempty"` // and those that came with a stream
	Total      uint64            `json:",omitempty"` // Dataset.Written when it was taken
	Unique     uint64            `json:",omitempty"` // bytes that only this one keeps
	IVSet      string            `json:",omitempty"` // see Dataset.ivset
}

// Device is a disk, partition or file.
type Device struct {
	Size   uint64 // bytes
	Sector uint64 `json:",omitempty"` // bytes of a logical sector; 0: 512
	// Signature is what blkid -p finds, as TYPE or PTTYPE: ext4, or dos for a partition table.
	Signature string `json:",omitempty"`
	Table     bool   `json:",omitempty"` // Signature is a partition table
	// Label is the pool whose label it carries.
	Label *Label `json:",omitempty"`
	File  bool   `json:",omitempty"` // a regular file
	Of    string `json:",omitempty"` // the disk of which it is a partition
	Loop  string `json:",omitempty"` // the loop device that stands on a file
	// Mounted is where it is mounted.
	Mounted string `json:",omitempty"`
	// Holders are what stands on it: md0, dm-3, ...
	Holders []string `json:",omitempty"`
	// Trimless is a disk that knows no discard.
	Trimless bool `json:",omitempty"`
}

// Label is a ZFS label. State is as zdb prints it: 0 active, 1 exported, 2 destroyed, 3 a spare, 4 a cache device.
type Label struct {
	Pool, GUID string
	Vdev       string // guid of the device
	State      int
}

func newModel() *Model {
	return &Model{
		Release: "2.3.9-0+deb13u1", TXG: 100,
		Pools: map[string]*Pool{}, Away: map[string]*Pool{}, Devices: map[string]*Device{}, Dirs: map[string][]string{}, Lost: map[string]*Device{},
		Users: []string{"root", "nobody"},
		Files: map[string]string{
			"/sys/module/spl/parameters/spl_hostid": "0\n", hostID: "\x01\x02\x03\x04",
			sets + "openzfs-2.0-linux": "# Features supported by OpenZFS 2.0 on Linux\nallocation_classes\nasync_destroy\ndevice_removal\nlz4_compress\n",
			sets + "openzfs-2.1-linux": "# Features supported by OpenZFS 2.1 on Linux\nallocation_classes\nasync_destroy\ndevice_removal\ndraid\nlz4_compress\n",
		},
	}
}

// guid gives out a number that looks like one of ZFS's, the same ones in every run.
func (m *Model) guid() string {
	m.Serial++
	z := m.Serial * 0x9e3779b97f4a7c15 // splitmix64
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return fmt.Sprint(z ^ z>>31)
}

// dataset finds a dataset by its whole name, and its pool.
func (m *Model) dataset(name string) (*Pool, *Dataset) {
	pool := m.Pools[poolOf(name)]
	if pool == nil {
		return nil, nil
	}
	return pool, pool.Datasets[name]
}

func poolOf(name string) string {
	if i := strings.IndexAny(name, "/@#"); i >= 0 {
		return name[:i]
	}
	return name
}

// parent is the name above, "" above a pool.
func parent(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return ""
}

// below are the dataset and all its descendants, as zfs lists them: by the bytes of the name, so a parent
// before its children, and a-b between a and a/x.
func (p *Pool) below(name string) []string {
	var names []string
	for n := range p.Datasets {
		if n == name || strings.HasPrefix(n, name+"/") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// children are the names right below; they are looked for once, until a dataset comes or goes.
func (p *Pool) children(name string) []string {
	if p.kids == nil {
		p.kids = map[string][]string{}
		for n := range p.Datasets {
			p.kids[parent(n)] = append(p.kids[parent(n)], n)
		}
	}
	return p.kids[name]
}

// add and remove change the set of datasets.
func (p *Pool) add(name string, d *Dataset) {
	p.Datasets[name] = d
	if p.kids != nil {
		p.kids[parent(name)] = append(p.kids[parent(name)], name)
	}
}

func (p *Pool) remove(name string) {
	delete(p.Datasets, name)
	p.kids = nil
}

// Load reads a model that Save wrote; a file that is not there is an empty machine.
func Load(path string) (*Fake, error) {
	f := New()
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(b, f.Model)
	}
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	return f, nil
}

// Save writes the model, whole or not at all.
func (f *Fake) Save(path string) error {
	f.mu.Lock()
	b, err := json.MarshalIndent(f.Model, "", " ")
	f.mu.Unlock()
	if err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".model-*")
	if err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	_, err = tmp.Write(b)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // of no use any more
		return fmt.Errorf("save model: %w", err)
	}
	return nil
}
