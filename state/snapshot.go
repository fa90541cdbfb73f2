package state

import (
	"strings"
	"time"
)

// Snapshot is one snapshot of a file system or volume.
type Snapshot struct {
	Dataset  string    `json:"dataset"`
	Name     string    `json:"name"` // what stands after the @
	GUID     string    `json:"guid"`
	TXG      uint64    `json:"createtxg"` // the order within a pool; Creation may go backwards
	Creation time.Time `json:"creation"`
	Used     uint64    `json:"used"`             // bytes that only this one keeps
	Holds    int       `json:"holds"`            // of all tags
	Clones   []string  `json:"clones,omitempty"` // datasets
	// Written are bytes that were written since the snapshot before, where that was asked for.
	Written uint64 `json:"written,omitempty"`
	// Mark is the value that zfs shows of ScheduleProperty, which may be inherited; Marked: it is the snapshot's own.
	Mark   string `json:"mark,omitempty"`
	Marked bool   `json:"marked,omitempty"`
}

// ScheduleProperty is the user property that dplane sets on the snapshots that it takes.
const ScheduleProperty = "dplane:schedule"

// FullName is dataset@name.
func (s Snapshot) FullName() string { return s.Dataset + "@" + s.Name }

// Follow is a dataset's or snapshot's name once the dataset from, with what is below it, is called to.
func Follow(name, from, to string) string {
	rest, ok := strings.CutPrefix(name, from)
	if !ok || rest != "" && rest[0] != '/' && rest[0] != '@' {
		return name
	}
	return to + rest
}
