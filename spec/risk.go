package spec

import "fmt"

// Kind is what an object is.
type Kind string

const (
	KindPool        Kind = "pool"
	KindDataset     Kind = "dataset"
	KindSchedule    Kind = "schedule"
	KindReplication Kind = "replication"
	KindHA          Kind = "ha"
	KindDisk        Kind = "disk" // no section of the files: a device that a pool is to take
)

// Ref names one object: dataset tank/home.
type Ref struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

// String is "dataset tank/home".
func (r Ref) String() string { return string(r.Kind) + " " + r.Name }

// Risk says what a change can cost (PRODUCT.md section 4). The order counts.
type Risk int

const (
	None         Risk = iota // as a threshold: nothing is applied unasked
	Safe                     // one command takes it back and nobody notices
	Disruptive               // taken back, but noticed
	Irreversible             // no data is lost, and there is no way back
	Destructive              // data is lost
)

var riskNames = [...]string{"none", "safe", "disruptive", "irreversible", "destructive"}

func (r Risk) String() string {
	if r < None || r > Destructive {
		return fmt.Sprintf("risk(%d)", int(r))
	}
	return riskNames[r]
}

// ParseRisk reads the lower-case name.
func ParseRisk(s string) (Risk, error) {
	for i, n := range riskNames {
		if n == s {
			return Risk(i), nil
		}
	}
	return None, fmt.Errorf("risk %q is not one of none, safe, disruptive, irreversible, destructive", s)
}

// MarshalText gives the name.
func (r Risk) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the name.
func (r *Risk) UnmarshalText(b []byte) (err error) { *r, err = ParseRisk(string(b)); return err }
