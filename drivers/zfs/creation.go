package zfs

import (
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// AtCreation parts declared properties into those that a create command takes (now) and those that are set once
// the dataset is there (later). Both carry the mark dplane:applied as it is to be after them; a
// map is empty where there is nothing to set.
func AtCreation(props map[string]spec.Property) (now, later map[string]string) {
	now, later = map[string]string{}, map[string]string{}
	marked := map[string]bool{}
	for name, p := range props {
		if !afterwards(name) {
			now[name], marked[name] = p.Value, true
		}
	}
	if len(now) > 0 {
		now[state.AppliedProperty] = state.EncodeApplied(marked)
	}
	for name, p := range props {
		if afterwards(name) && !(name == "volthreading" && props["volmode"].Value == "none") { // then it can't be set at all
			later[name], marked[name] = p.Value, true
		}
	}
	if len(later) > 0 {
		later[state.AppliedProperty] = state.EncodeApplied(marked)
	}
	return now, later
}

// afterwards: zfs and zpool take quotas of users at creation (conformance_test.go), but one of a user that this
// machine does not know fails the whole create, and set alone it is the quota alone that waits. volthreading
// beside volmode and one more makes `zfs create -V` fail with "no such parent" (both seen on 2.3.9).
func afterwards(name string) bool { return spec.IsUserQuota(name) || name == "volthreading" }
