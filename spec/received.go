package spec

import (
	"cmp"
	"fmt"
)

// RoleActive is the role in which a node may write the datasets of its HA group; any other receives.
const RoleActive = "active"

// RoleStandby is the role of a node that only receives.
const RoleStandby = "standby"

// ReceivedOnly tells why a dataset is not dplane's to change here, "" where it is: it is a replication's
// target, or belongs to an HA group whose role on this node is not active (PRODUCT.md section 2).
func (s *Spec) ReceivedOnly(name DatasetName, role string) string {
	for _, key := range sortedKeys(s.Replications) {
		r := s.Replications[key]
		if r.Target.Remote == "" && r.Target.Dataset != "" && name.Under(r.Target.Dataset) {
			return fmt.Sprintf("target of the replication %s", key)
		}
	}
	if s.HA == nil || role == RoleActive {
		return ""
	}
	for _, d := range s.HA.Datasets {
		if name.Under(d) {
			return "in the HA group, whose role here is " + cmp.Or(role, RoleStandby)
		}
	}
	return ""
}
