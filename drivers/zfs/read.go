package zfs

import (
	"slices"
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

// unopened are properties of every release that zfs tells without opening the file system. For version, utf8only,
// normalization and casesensitivity (and the default quotas of 2.4) it opens each one that is not mounted, which takes
// ten times as long as all others do together (2.3.9).
var unopened = strings.Fields(`type creation used available referenced compressratio mounted origin receive_resume_token quota reservation
	volsize volblocksize recordsize mountpoint sharenfs checksum compression atime devices exec setuid readonly zoned snapdir
	aclmode aclinherit createtxg canmount xattr copies vscan nbmand sharesmb refquota refreservation guid primarycache
	secondarycache usedbysnapshots usedbydataset usedbychildren usedbyrefreservation logbias objsetid dedup sync dnodesize
	refcompressratio written logicalused logicalreferenced volmode filesystem_limit snapshot_limit snapdev acltype context
	fscontext defcontext rootcontext relatime redundant_metadata overlay encryption keylocation keyformat pbkdf2iters
	encryptionroot keystatus special_small_blocks`)

// GetUnopened asks for what is known of every file system and volume of a pool without opening it, and for these user
// properties. Where one has no such property its value and its source are "-".
func GetUnopened(pool string, user []string) host.Command {
	c := host.Read("zfs", "get", "-Hp", "-r", "-t", "filesystem,volume", "-o", "name,property,value,source", strings.Join(slices.Concat(unopened, user), ","), pool)
	c.Timeout = datasetsTimeout
	return c
}

// GetWhole asks for all properties of these file systems and volumes, in one process but for the limit of a command line.
func GetWhole(names []string) []host.Command {
	return reads(names, "zfs", "get", "-Hp", "-t", "filesystem,volume", "-o", "name,property,value,source", "all")
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
