package zfsfake

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// user is the process that has a file open where a dataset is busy.
const user = "4242"

// device is the block device of a volume.
func device(d *Dataset) string { return fmt.Sprintf("/dev/zd%d", d.TXG*16) }

// each calls f for every dataset, in order.
func (m *Model) each(f func(p *Pool, name string, d *Dataset)) {
	for _, p := range sortedPools(m.Pools) {
		for _, n := range p.below(p.Name) {
			f(p, n, p.Datasets[n])
		}
	}
}

// findLinks is `find /dev/zvol/POOL -type l ( -path A -o ... ) -printf '%p\t%l\n'`.
func (k *call) findLinks(args []string) int {
	k.each(func(_ *Pool, name string, d *Dataset) {
		link := "/dev/zvol/" + name
		if d.Volume && slices.Contains(args, link) {
			k.printf("%s\t%s%s\n", link, strings.Repeat("../", strings.Count(name, "/")+1), path.Base(device(d)))
		}
	})
	return 0
}

// findUsers is a search of /proc for links to what is open: -lname PATTERN, where * fits / too.
func (k *call) findUsers(args []string) int {
	k.each(func(p *Pool, name string, d *Dataset) {
		target := p.place(name) + "/file"
		if d.Volume {
			target = device(d)
		}
		if !d.Busy || !d.Volume && !d.Mounted {
			return
		}
		for i, w := range args {
			prefix, all := strings.CutSuffix(w, "*")
			if i > 0 && args[i-1] == "-lname" && (w == target || all && strings.HasPrefix(target, prefix)) {
				k.printf("/proc/%s/fd/3\t%s\n", user, target)
				return
			}
		}
	})
	return 0
}

// cat knows the tables of mounts and of swap.
func (k *call) cat() int {
	swaps := slices.Equal(k.argv[1:], []string{"/proc/self/mounts", "/proc/swaps"})
	if !swaps && !slices.Equal(k.argv[1:], []string{"/proc/self/mounts"}) {
		return k.fail(1, "cat: this model knows /proc/self/mounts and /proc/swaps alone")
	}
	k.printf("/dev/vda / ext4 rw 0 0\n")
	k.each(func(p *Pool, name string, d *Dataset) {
		if d.Mounted {
			k.printf("%s %s zfs rw 0 0\n", strings.ReplaceAll(name, " ", `\040`), strings.ReplaceAll(p.place(name), " ", `\040`))
		}
	})
	if !swaps {
		return 0
	}
	k.printf("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")
	return 0
}

// serving is what the kernel's tables of loop devices and targets say: grep -r -s -H -Z --include=... "" DIRECTORIES.
func (k *call) serving() int {
	k.each(func(_ *Pool, name string, d *Dataset) {
		if d.Served != "" {
			k.printf("%s\x00/dev/zvol/%s\n", d.Served, name)
		}
	})
	return 2 // a machine without targets has no such directory
}

// ps names processes; of all of them there is one that has nothing to do with ZFS.
func (k *call) ps() int {
	if slices.Contains(k.argv, "-e") {
		k.printf("      1 /sbin/init\n")
		return 0
	}
	pids := strings.Split(k.argv[len(k.argv)-1], ",")
	if !slices.Contains(pids, user) {
		return 1
	}
	n, _ := strconv.Atoi(user)
	k.printf("%7d sleep\n", n)
	return 0
}
