package state

import (
	"sort"
	"strings"
)

// Dataset is a file system or volume.
type Dataset struct {
	Name string `json:"name"`
	Type string `json:"type"` // filesystem or volume
	GUID string `json:"guid"`
	TXG  uint64 `json:"createtxg"`

	Used       uint64 `json:"used"` // bytes
	Referenced uint64 `json:"referenced"`
	Available  uint64 `json:"available"`
	Written    uint64 `json:"written,omitempty"` // since the newest snapshot
	Mounted    bool   `json:"mounted"`
	MountedAt  string `json:"mountedAt,omitempty"` // where, if not at its mountpoint
	Origin     string `json:"origin,omitempty"`

	EncryptionRoot string `json:"encryptionRoot,omitempty"`
	KeyStatus      string `json:"keyStatus,omitempty"`
	ResumeToken    string `json:"resumeToken,omitempty"`

	// Delegations are read where the files declare some.
	Delegations *Delegations `json:"delegations,omitempty"`

	// Properties are all settable native ones, and user properties.
	Properties map[string]Property `json:"properties"`
}

// AppliedProperty is the user property that remembers, on the dataset itself, what dplane set.
const AppliedProperty = "dplane:applied"

// Applied are the names of the properties that dplane set here; only a local mark counts, since a
// child inherits its parent's.
func (d *Dataset) Applied() map[string]bool {
	names := map[string]bool{}
	mark, ok := d.Properties[AppliedProperty]
	if !ok || !mark.Local() {
		return names
	}
	for _, n := range strings.Split(mark.Value, ",") {
		if n != "" {
			names[n] = true
		}
	}
	return names
}

// EncodeApplied is the mark's value for a set of names.
func EncodeApplied(names map[string]bool) string {
	list := make([]string, 0, len(names))
	for n, on := range names {
		if on {
			list = append(list, n)
		}
	}
	sort.Strings(list)
	return strings.Join(list, ",")
}
