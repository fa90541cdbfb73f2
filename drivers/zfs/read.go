package zfs

import (
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// datasetsTimeout is the longest a recursive `zfs get` may take: on a pool with tens of thousands of
// datasets and cold caches it takes minutes, not seconds.
const datasetsTimeout = 10 * 60 * 1e9

// poolColumns are what ListPools asks for, in the order that ParsePools expects.
var poolColumns = []string{
	"name", "guid", "size", "allocated", "free", "fragmentation", "capacity", "health",
}

// Version asks for the releases of the tools and of the kernel module.
func Version() host.Command { return host.Read("zfs", "version") }

// ListPools lists every imported pool.
func ListPools() host.Command {
	return host.Read("zpool", "list", "-Hp", "-o", strings.Join(poolColumns, ","))
}

// GetPool asks for all properties of one pool.
func GetPool(pool string) host.Command {
	return host.Read("zpool", "get", "-Hp", "-o", "name,property,value,source", "all", pool)
}

// PoolStatus asks for the vdev tree, the errors, the last scan and the last trims of one pool, with whole device paths.
func PoolStatus(pool string) host.Command {
	return host.Read("zpool", "status", "-p", "-P", "-t", pool)
}

// PoolStatusJSON is PoolStatus for releases that HasJSON.
func PoolStatusJSON(pool string) host.Command {
	return host.Read("zpool", "status", "-j", "--json-int", "-P", "-t", pool)
}

// PoolGUIDs asks for the vdev tree with guids for names, where the release has no JSON.
func PoolGUIDs(pool string) host.Command { return host.Read("zpool", "status", "-p", "-g", pool) }

// GetDatasets asks for all properties of every file system and volume of a pool, in one process.
func GetDatasets(pool string) host.Command {
	c := host.Read("zfs", "get", "-Hp", "-r", "-t", "filesystem,volume", "-o", "name,property,value,source", "all", pool)
	c.Timeout = datasetsTimeout
	return c
}

// GetQuotas asks for properties that `all` leaves out (userquota@anna, groupquota@staff and their like) on
// every file system of a pool, in one process but for the limit of a word. A name without a user on this machine makes zfs print
// nothing for it and exit 1, and still print the others.
func GetQuotas(pool string, props []string) (all []host.Command) {
	for _, some := range perWord(props) {
		c := host.Read("zfs", "get", "-Hp", "-r", "-t", "filesystem", "-o", "name,property,value,source", strings.Join(some, ","), pool)
		c.Timeout = datasetsTimeout
		all = append(all, c)
	}
	return all
}
