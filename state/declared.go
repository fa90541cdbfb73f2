package state

import (
	"time"

	"github.com/dplaneos/dplane/spec"
)

// Declared is what the generation in force names: what status is measured against, also where the
// files can't be read any more.
type Declared struct {
	Interval time.Duration           `json:"interval"` // of the daemon, whether it runs or not
	Pools    map[string]DeclaredPool `json:"pools"`
	Datasets []string                `json:"datasets"` // sorted; those declared absent are left out
}

// DeclaredPool is what status needs of a declared pool.
type DeclaredPool struct {
	Warn      int  `json:"warn"` // percent of capacity
	Critical  int  `json:"critical"`
	Removable bool `json:"removable,omitempty"` // away is no fault
}

// Declare takes from a configuration what a Record keeps of it.
func Declare(s *spec.Spec) *Declared {
	d := &Declared{Interval: s.Daemon.Interval.Std(), Pools: map[string]DeclaredPool{}, Datasets: []string{}}
	for name, p := range s.Pools {
		d.Pools[string(name)] = DeclaredPool{Warn: p.Capacity.Warn, Critical: p.Capacity.Critical, Removable: p.Removable}
	}
	for _, name := range s.DatasetNames() {
		if !s.Datasets[name].Absent {
			d.Datasets = append(d.Datasets, string(name))
		}
	}
	return d
}
