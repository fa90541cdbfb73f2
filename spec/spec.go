// Package spec is what should be: the configuration of one machine as pure types, and the loader that
// makes them from YAML files by way of the CUE schema.
//
// It must never know a ZFS command or SQL, and never look at the machine.
package spec

import (
	"fmt"
	"sort"
)

// Spec is the whole desired state. It is immutable once loaded.
type Spec struct {
	Node         Node
	Pools        map[PoolName]*Pool
	Datasets     map[DatasetName]*Dataset
	Schedules    map[string]*Schedule
	Remotes      map[string]*Remote
	Replications map[string]*Replication
	HA           *HA // nil: this machine stands alone
	Daemon       Daemon

	// Generation is the hash of the canonical form (encode.go): lower-case hex SHA-256. Positions,
	// file names, comments and the order of files and keys do not enter it.
	Generation string
	// Files are the bytes that were read, by base name: what a generation is recorded with.
	Files map[string][]byte
	// Warnings do not make a configuration invalid: a schedule that exceeds an objective, ...
	Warnings []Problem
}

// Pos is a place in a configuration file; lines and columns count from 1, columns in characters.
type Pos struct {
	File         string
	Line, Column int
}

// String is file:line:column.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// At is file:line, the form in which an action's reason names its place; "" where there is none.
func (p Pos) At() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Node is this machine.
type Node struct {
	Name     string // default: the host name
	Assumed  bool   // the name is the host's: the files say none
	Timezone string // IANA name, default UTC
}

// Daemon is how the loop behaves. The loader fills in the defaults of PRODUCT.md section 2.
type Daemon struct {
	Interval Duration
	Apply    Risk // None, Safe or Disruptive: the highest risk applied unasked
	Limits   Limits
	Trash    Duration
	Listen   string // host:port of the read-only endpoint
	Runtime  string // directory of control socket and locks
	Database string // file
}

// Limits bind what is applied unasked (PRODUCT.md section 4, promise 8).
type Limits struct {
	Destroys int
	Changes  int // percent of the declared objects
}

// PoolNames are the declared pools in order.
func (s *Spec) PoolNames() []PoolName { return sortedKeys(s.Pools) }

// DatasetNames are the declared datasets in order; a parent stands before its children.
func (s *Spec) DatasetNames() []DatasetName { return sortedKeys(s.Datasets) }

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}
