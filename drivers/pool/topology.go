package pool

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// topologyNotices say where the vdevs of a pool differ from the declared ones: this version makes pools and does not
// change them, and silence would read as agreement. A pool whose devices all go by other names, as after an
// import by another folder, is taken to be as declared if their number is.
func topologyNotices(in drivers.Input) []string {
	var out []string
	for _, name := range in.Want.PoolNames() {
		want, have := in.Want.Pools[name], in.Have.Pools[string(name)]
		if have == nil || len(want.Vdevs) == 0 || len(have.Vdevs) == 0 {
			continue
		}
		inPool := map[string]bool{}
		leaves(have.Vdevs, inPool)
		var absent []string
		declared := want.Devices()
		for _, d := range declared {
			if leaf := leafOf(d.Path, inPool); leaf != "" {
				delete(inPool, leaf)
			} else {
				absent = append(absent, d.Path)
			}
		}
		otherNames := len(absent) == len(declared) && len(absent) == len(inPool)
		if otherNames || len(absent)+len(inPool) == 0 {
			continue
		}
		out = append(out, fmt.Sprintf("pool %s (%s): its vdevs are not the declared ones, and this version of dplane does not change them;%s%s",
			name, want.Pos.At(), named(" declared and not in it:", absent), named(" in it and not declared:", sortedKeys(inPool))))
	}
	return out
}

// wholeDisk is the partition that zpool makes on a whole disk, and shows in the disk's stead.
var wholeDisk = regexp.MustCompile(`^(/dev/disk/.+)-part1$|^(/dev/nvme\d+n\d+)p1$|^(/dev/(?:sd|vd|xvd)[a-z]+)1$`)

// leafOf is the device of the pool that was declared by this path, "" where there is none.
func leafOf(declared string, inPool map[string]bool) string {
	if inPool[declared] {
		return declared
	}
	for leaf := range inPool {
		if m := wholeDisk.FindStringSubmatch(leaf); m != nil && m[1]+m[2]+m[3] == declared {
			return leaf
		}
	}
	return ""
}

func leaves(vdevs []state.Vdev, into map[string]bool) {
	for _, v := range vdevs {
		leaves(v.Children, into)
		if len(v.Children) == 0 && strings.HasPrefix(v.Name, "/") {
			into[v.Name] = true
		}
	}
}

func named(title string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	return title + " " + strings.Join(list, ", ")
}
