package zfs

import "github.com/dplaneos/dplane/drivers/host"

// The host id by which multihost tells machines apart is the parameter of the kernel module where that is not 0, else
// the first four bytes of a file (spl_hostid, zgenhostid(8)).
const (
	hostIDParameter = "/sys/module/spl/parameters/spl_hostid"
	hostIDFile      = "/etc/hostid"
)

// ReadHostIDParameter prints the parameter, a decimal number.
func ReadHostIDParameter() host.Command { return host.Read("head", "-c", "16", hostIDParameter) }

// ReadHostIDFile prints the file, four bytes.
func ReadHostIDFile() host.Command { return host.Read("head", "-c", "4", hostIDFile) }
