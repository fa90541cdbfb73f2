package spec

// Pool is a declared pool.
type Pool struct {
	Name PoolName
	Pos  Pos // of its key

	Vdevs         []Vdev // data vdevs; none: it must exist, its topology is not managed
	Special       []Vdev
	Log           []Vdev
	Dedup         []Vdev
	Cache         []Device
	Spare         []Device
	Properties    map[string]Property // pool properties
	Compatibility string
	Scrub, Trim   *Recur
	Capacity      Capacity
	Remove        []Device
	Removable     bool
}

// VdevType is a redundancy: stripe, mirror, raidz1..3, draid1..3.
type VdevType string

// Vdev is one top-level vdev. A stripe of several devices is as many top-level vdevs.
type Vdev struct {
	Type    VdevType
	Pos     Pos
	Devices []Device
	Data    int // draid: data devices per group; 0: zpool's default
	Spares  int // draid: distributed spares
}

// Device is the absolute path of a disk, partition or file.
type Device struct {
	Path string
	Pos  Pos
}

// Capacity are the fill levels at which status changes, in percent.
type Capacity struct{ Warn, Critical int }

// Devices are all devices of the declared topology, in the order of the files.
func (p *Pool) Devices() []Device {
	var all []Device
	for _, group := range [][]Vdev{p.Vdevs, p.Special, p.Log, p.Dedup} {
		for _, v := range group {
			all = append(all, v.Devices...)
		}
	}
	return append(append(all, p.Cache...), p.Spare...)
}
