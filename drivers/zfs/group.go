package zfs

import (
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

var groupProperties = []string{"type", "mounted", "receive_resume_token", "mountpoint", "readonly", "createtxg", "canmount", "guid", "written",
	"keylocation", "encryptionroot", "keystatus", "volmode", state.TermProperty}

// GetGroup asks what the steps of a promotion or demotion need to know of these datasets of one pool, and of all below
// them. ParseDatasets reads it.
func GetGroup(roots []string) host.Command {
	c := host.Read(append([]string{"zfs", "get", "-Hp", "-r", "-t", "filesystem,volume", "-o", "name,property,value,source", strings.Join(groupProperties, ",")}, roots...)...)
	c.Timeout = datasetsTimeout
	return c
}
