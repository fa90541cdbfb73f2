package zfs

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

// ZFS tells nobody who has a volume open: the kernel does, in /proc, /sys and the tables of what it serves.

// UsersTimeout is for a look at every open file of a machine with thousands of processes.
const UsersTimeout = 5 * time.Minute

// FindDevices asks for the block devices of these volumes of one pool, and of their partitions. find exits 1 where the pool
// has none.
func FindDevices(pool string, volumes []string) host.Command {
	argv := []string{"find", "/dev/zvol/" + pool, "-type", "l", "("}
	for i, name := range volumes {
		if i > 0 {
			argv = append(argv, "-o")
		}
		link := "/dev/zvol/" + name
		argv = append(argv, "-path", literal(link), "-o", "-path", literal(link)+"-part*")
	}
	return host.Read(append(argv, ")", "-printf", `%p\t%l\n`)...)
}

// ParseDevices reads what FindDevices prints: the names by their devices.
func ParseDevices(out []byte) map[string]string {
	devices := map[string]string{}
	for line := range strings.Lines(string(out)) {
		link, to, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		devices["/dev/"+path.Base(to)] = strings.TrimPrefix(link, "/dev/zvol/")
	}
	return devices
}

// FindUsers prints the links of processes to what is at or below the places, and to the devices, and the names of devices
// above those. find exits 1 where a process ended meanwhile, or a path is not there.
func FindUsers(places []string, devices map[string]string) host.Command {
	argv := []string{"find", "-H", "/proc"}
	var holders, links []string
	for _, dev := range slices.Sorted(maps.Keys(devices)) {
		argv = append(argv, "/sys/class/block/"+path.Base(dev))
		holders = append(holders, "-o", "-path", "/sys/class/block/"+path.Base(dev)+"/holders/*")
		links = append(links, "-o", "-lname", dev)
	}
	for _, at := range places {
		links = append(links, "-o", "-lname", literal(at), "-o", "-lname", strings.TrimSuffix(literal(at), "/")+"/*")
	}
	argv = append(argv, "-maxdepth", "3", "(", "-path", "/proc/[0-9]*", "(")
	argv = append(append(argv, links[1:]...), ")")
	argv = append(append(argv, holders...), ")", "-printf", `%p\t%l\n`)
	c := host.Read(argv...)
	c.Timeout = UsersTimeout
	return c
}

// literal is a path as a pattern that fits nothing else.
func literal(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// Served reads the files of the kernel that name what it serves: loop devices, LIO (iSCSI and its like), NVMe over fabrics.
// No process has that open, and no holder is listed. One command, whatever there is of them; grep exits 1 where there is
// none, and 2 where a directory is not there.
var Served = host.Read("grep", "-r", "-s", "-H", "-Z", "--include=backing_file", "--include=udev_path", "--include=device_path", "",
	"/sys/devices/virtual/block", "/sys/kernel/config/target/core", "/sys/kernel/config/nvmet/subsystems")

// Server is what serves a file or a device.
type Server struct{ Name, What string }

// ParseServed reads what Served prints.
func ParseServed(out []byte) (all []Server) {
	for line := range strings.Lines(string(out)) {
		where, what, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\x00") // names of targets hold colons
		if ok {
			all = append(all, Server{server(where), what})
		}
	}
	return all
}

// server is what serves by a file: loop0, iblock_0/disk of LIO, NQN/namespaces/1 of nvmet.
func server(file string) string {
	if rest, ok := strings.CutPrefix(path.Dir(file), "/sys/kernel/config/target/core/"); ok {
		return rest + " of LIO"
	}
	if rest, ok := strings.CutPrefix(path.Dir(file), "/sys/kernel/config/nvmet/subsystems/"); ok {
		return rest + " of nvmet"
	}
	for dir := path.Dir(file); dir != "/" && dir != "."; dir = path.Dir(dir) {
		if path.Base(path.Dir(dir)) == "block" {
			return path.Base(dir)
		}
	}
	return file
}

// VolumeOf is the volume, or the partition of one, that a path names: by its device or by its link.
func VolumeOf(what string, devices map[string]string) (string, bool) {
	if name, ok := devices[what]; ok {
		return name, true
	}
	for _, name := range devices {
		if what == "/dev/zvol/"+name {
			return name, true
		}
	}
	return "", false
}
