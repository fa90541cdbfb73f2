package zfs

import "github.com/dplaneos/dplane/drivers/host"

// ImportPool imports one pool by its guid, found in these folders.
func ImportPool(folders []string, guid string) host.Command {
	c := SearchPools(folders)
	return host.Write(append(c.Argv, guid)...)
}

// ExportPool lets go of a pool; it refuses where a file is open.
func ExportPool(name string) host.Command { return host.Write("zpool", "export", name) }

// Scrub begins a scrub of a pool, or goes on with one that is paused; it returns at once. It never waits (-w) for
// the end: that can be days away.
func Scrub(pool string) host.Command { return host.Write("zpool", "scrub", pool) }

// Trim begins to trim every device of a pool that can be, or goes on with it; it returns at once.
func Trim(pool string) host.Command { return host.Write("zpool", "trim", pool) }
