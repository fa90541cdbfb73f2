package pool

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
)

// addition is a vdev that a pool gets.
type addition struct {
	class string
	group *group
}

// add makes a new top-level vdev. It comes after what is attached to others, for zpool compares it with them.
func (p *planner) add(class string, g *group) {
	var words []string
	if class != "" {
		words = []string{class}
	}
	words = append(words, vdevs([]spec.Vdev{g.Vdev})...)
	s := step{
		at: g.Pos.At(), field: field(class, "", g.label()), observed: "none of its devices is in the pool", risk: spec.Irreversible,
		command: zfs.AddVdev(p.have.Name, words), new: paths(g.Devices), adds: true,
		undo: "nothing takes it back but a removal, which copies its data to the other vdevs", notes: addNotes[class],
	}
	obstacles := p.spares(g)
	switch class {
	case "log":
		s.undo = "a removal: name its devices in remove"
	case "special", "dedup":
		obstacles = append(obstacles, p.missingFeature("allocation_classes", "have a "+class+" vdev")...)
	}
	if strings.HasPrefix(string(g.Type), "draid") {
		obstacles = append(obstacles, p.missingFeature("draid", "have a draid")...)
	}
	if class != "log" {
		obstacles = append(append(obstacles, unequal(p.in, g.Vdev)...), p.mismatch(g)...)
		s.after = p.comparedWith()
		if p.hasRaidz() {
			s.undo = "nothing takes it back: no vdev can be removed from a pool with a raidz"
		}
		if p.have.Checkpoint == nil {
			s.notes = append(s.notes[:len(s.notes):len(s.notes)], "a checkpoint taken before it (zpool checkpoint "+p.have.Name+") is a way back, for as long as it is kept")
		}
	}
	p.plan(s, obstacles...)
}

// spares are devices that wait as spares of this pool: they take no other task while they do.
func (p *planner) spares(g *group) []string {
	var why []string
	for _, d := range g.Devices {
		if p.layout.find(d.Path) != nil {
			why = append(why, isSpare(d.Path))
		}
	}
	return why
}

func isSpare(device string) string {
	return device + " is a spare of the pool: name it in remove, and declare it here when it is out"
}

// addNotes say what people expect otherwise.
var addNotes = map[string][]string{
	"":        {"data that is there stays where it is: only what is written from now on spreads to the new vdev"},
	"special": {"metadata that is there stays where it is; small blocks go there by special_small_blocks of each dataset; losing this vdev loses the pool"},
	"dedup":   {"deduplication tables that are there stay where they are; losing this vdev loses the pool"},
	"log":     {"it serves synchronous writes alone"},
}

// hasRaidz tells whether a vdev that holds data is a raidz or draid.
func (p *planner) hasRaidz() bool {
	for _, t := range p.layout.tops {
		if t.Class != "log" && strings.Contains(kind(t.Vdev), "raid") {
			return true
		}
	}
	return false
}

// redundancy is what zpool compares before it adds a vdev without -f (get_replication in cmd/zpool/zpool_vdev.c).
type redundancy struct {
	kind    string // mirror, raidz, draid, disk
	parity  int
	devices int
}

func redundancyOf(word string, devices int) redundancy {
	base, _, _ := strings.Cut(word, ":")
	switch {
	case word == "":
		return redundancy{"disk", 0, 1}
	case strings.Contains(base, "raid"):
		parity, err := strconv.Atoi(base[len(base)-1:])
		if err != nil {
			parity = 1
		}
		return redundancy{strings.TrimRight(base, "123"), parity, devices}
	}
	return redundancy{base, 0, devices}
}

func (r redundancy) String() string {
	switch r.kind {
	case "disk":
		return "a single device"
	case "mirror":
		return fmt.Sprintf("a mirror of %d", r.devices)
	}
	return fmt.Sprintf("a %s%d of %d", r.kind, r.parity, r.devices)
}

// lost is the number of devices that it can lose.
func (r redundancy) lost() int {
	if r.kind == "mirror" {
		return r.devices - 1
	}
	return r.parity
}

// mismatch says that zpool refuses the new vdev beside those that are there: it has another redundancy. Where
// those differ among themselves, zpool does not compare; a mirror and a raidz of equal redundancy go together.
func (p *planner) mismatch(g *group) []string {
	var have []redundancy
	for _, t := range p.layout.tops {
		switch {
		case t.Class == "log" || t.Class == "cache" || t.Class == "spare":
		case stand(t.Vdev):
			return []string{"a device is being replaced in " + nameOf(t.Vdev) + ", and meanwhile zpool refuses to add: it waits until that is over"}
		case p.replaced[t] && len(t.slots) == 1:
			return []string{nameOf(t.Vdev) + " is to be replaced, and meanwhile zpool refuses to add: it comes after that"}
		default:
			have = append(have, p.redundancy(t))
		}
	}
	fresh := redundancyOf(strings.TrimSuffix(typeWord(g.Vdev), "stripe"), len(g.Devices))
	for _, h := range have[1:] {
		if !alike(h, have[0]) {
			return nil
		}
	}
	if alike(fresh, have[0]) {
		return nil
	}
	return []string{fmt.Sprintf("its redundancy differs from that of the pool (%s, and the pool has %s), and zpool refuses to mix them: declare %s; or, if it is meant so, add it by hand: zpool add -f", fresh, have[0], have[0])}
}

// redundancy is that of a vdev once it has the devices that are planned for it.
func (p *planner) redundancy(t *top) redundancy {
	word, more := kind(t.Vdev), len(p.grows[t])
	if word == "" && more > 0 {
		word = "mirror"
	}
	return redundancyOf(word, len(t.slots)+more)
}

// comparedWith are the actions that change what a new vdev is compared with.
func (p *planner) comparedWith() []string {
	var ids []string
	for _, t := range p.layout.tops {
		if t.Class != "log" {
			ids = append(ids, p.grows[t]...)
		}
	}
	return ids
}

func alike(a, b redundancy) bool {
	if a.kind != b.kind {
		return a.kind != "disk" && b.kind != "disk" && a.lost() == b.lost() && a.kind != "draid" && b.kind != "draid"
	}
	return a == b
}
