package zfs

import (
	"github.com/dplaneos/dplane/drivers/host"
)

// The commands that change the vdevs of a pool. None has -f: what zpool refuses stays refused. A vdev that is there
// is named as `zpool status -P` shows it: by its path, by its guid where it can't be opened, or as raidz1-0.

// AddVdev adds top-level vdevs, in the words of zpool-add(8).
func AddVdev(pool string, words []string) host.Command {
	return host.Write(append([]string{"zpool", "add", pool}, words...)...)
}

// AttachVdev attaches a device to a single one or to a mirror, by one of its devices, or to a raidz by its name.
func AttachVdev(pool, to, device string) host.Command {
	return host.Write("zpool", "attach", pool, to, device)
}

// DetachVdev takes a device out of a mirror, or ends a replacement.
func DetachVdev(pool, device string) host.Command { return host.Write("zpool", "detach", pool, device) }

// ReplaceVdev puts one device in the place of another.
func ReplaceVdev(pool, old, device string) host.Command {
	return host.Write("zpool", "replace", pool, old, device)
}

// RemoveVdev takes out a top-level vdev, a cache device or a spare.
func RemoveVdev(pool, vdev string) host.Command { return host.Write("zpool", "remove", pool, vdev) }

// OnlineVdev brings a device back.
func OnlineVdev(pool, device string) host.Command { return host.Write("zpool", "online", pool, device) }

// OfflineVdev takes a device offline, until it is brought back.
func OfflineVdev(pool, device string) host.Command {
	return host.Write("zpool", "offline", pool, device)
}

// ExpectVdev holds while a vdev of the pool is still the one that was seen. Vdevs have properties since 2.2.
func ExpectVdev(pool, vdev, guid string) host.Expect {
	return host.Expect{
		Command: host.Read("zpool", "get", "-Hp", "-o", "value", "guid", pool, vdev),
		Output:  guid + "\n",
		Means:   vdev + " is still the vdev " + guid + " of " + pool,
	}
}
