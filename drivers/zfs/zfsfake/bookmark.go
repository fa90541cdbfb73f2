package zfsfake

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bookmark is the moment of a snapshot without its data.
type Bookmark struct {
	Name, GUID string
	TXG        uint64
	Creation   int64
	Total      uint64 `json:",omitempty"`
	IVSet      string `json:",omitempty"`
}

// ofBookmark is a property of a bookmark.
func (d *Dataset) ofBookmark(whole, prop string) string {
	_, name, _ := strings.Cut(whole, "#")
	b := d.Bookmarks[slices.IndexFunc(d.Bookmarks, func(b Bookmark) bool { return b.Name == name })]
	switch prop {
	case "name":
		return whole
	case "type":
		return "bookmark"
	case "guid":
		return b.GUID
	case "createtxg":
		return strconv.FormatUint(b.TXG, 10)
	case "creation":
		return strconv.FormatInt(b.Creation, 10)
	case "referenced":
		return strconv.FormatUint(b.Total+emptyFilesystem, 10)
	}
	return "-"
}

// zfsBookmark is `zfs bookmark SNAPSHOT|BOOKMARK DATASET#NAME`.
func (k *call) zfsBookmark(args []string) int {
	if len(args) != 2 {
		return k.usage()
	}
	from, to := args[0], args[1]
	b := k.base(from)
	if b == nil {
		return k.fail(2, "cannot open '%s': dataset does not exist\nusage:\n\tbookmark <snapshot|bookmark> <newbookmark>", from)
	}
	of, name, _ := strings.Cut(to, "#")
	p, d := k.dataset(of)
	switch {
	case d == nil || name == "" || checkName(of+"/"+name) != nil:
		return k.fail(1, "cannot create bookmark '%s': invalid argument", to)
	case poolOf(from) != p.Name || from[:strings.IndexAny(from, "@#")] != of:
		return k.fail(1, "cannot create bookmark '%s': source is not an ancestor of the new bookmark's dataset", to)
	case slices.ContainsFunc(d.Bookmarks, func(b Bookmark) bool { return b.Name == name }):
		return k.fail(1, "cannot create bookmark '%s': bookmark exists", to)
	case p.ReadOnly:
		return k.fail(1, "cannot create bookmark '%s': pool is read-only", to)
	}
	if k.write(p) {
		d.Bookmarks = append(d.Bookmarks, Bookmark{Name: name, GUID: b.guid, TXG: b.txg, Creation: b.created, Total: b.total, IVSet: b.ivset})
		slices.SortFunc(d.Bookmarks, func(a, b Bookmark) int { return cmp.Or(cmp.Compare(a.TXG, b.TXG), cmp.Compare(a.Name, b.Name)) })
	}
	return 0
}

// destroyBookmark is `zfs destroy DATASET#NAME`.
func (k *call) destroyBookmark(whole string) int {
	of, name, _ := strings.Cut(whole, "#")
	p, d := k.dataset(of)
	if d == nil || !slices.ContainsFunc(d.Bookmarks, func(b Bookmark) bool { return b.Name == name }) {
		return k.fail(1, "bookmark '%s' does not exist.", whole)
	}
	if k.write(p) {
		d.Bookmarks = slices.DeleteFunc(d.Bookmarks, func(b Bookmark) bool { return b.Name == name })
	}
	return 0
}

// zfsRollback is `zfs rollback [-r] SNAPSHOT`. With -r what came later goes, the bookmarks too.
func (k *call) zfsRollback(args []string) int {
	opts, operands, ok := getopt(args, "r")
	if !ok || len(operands) != 1 {
		return k.usage()
	}
	whole := operands[0]
	p, d, s := k.snapshot(whole)
	if s == nil {
		return k.fail(1, "cannot open '%s': dataset does not exist", whole)
	}
	of, _, _ := strings.Cut(whole, "@")
	var later []string
	for _, n := range d.Snapshots {
		if n.TXG > s.TXG && opts.has('r') && len(n.Holds) > 0 {
			return k.fail(1, "cannot destroy snapshot %s@%s: it's being held. Run 'zfs holds -r %[1]s@%[2]s' to see holders.", of, n.Name)
		}
		if n.TXG > s.TXG {
			later = append(later, of+"@"+n.Name)
		}
	}
	for _, b := range d.Bookmarks {
		if b.TXG > s.TXG {
			later = append(later, of+"#"+b.Name)
		}
	}
	if len(later) > 0 && !opts.has('r') {
		return k.fail(1, "cannot rollback to '%s': more recent snapshots or bookmarks exist\nuse '-r' to force deletion of the following snapshots and bookmarks:\n%s", whole, strings.Join(later, "\n"))
	}
	if k.write(p) {
		txg := s.TXG
		d.Written = s.Total
		if d.Snapshots[len(d.Snapshots)-1].TXG > txg {
			d.Snapshots, d.SnapshotsChanged = slices.DeleteFunc(slices.Clone(d.Snapshots), func(s Snapshot) bool { return s.TXG > txg }), k.now()
		}
		d.Bookmarks = slices.DeleteFunc(slices.Clone(d.Bookmarks), func(b Bookmark) bool { return b.TXG > txg })
	}
	return 0
}

// zfsHold and zfsRelease take one snapshot after the other, and tell of each that they could not.
func (k *call) zfsHold(args []string) int {
	return k.tag(args, "hold snapshot", "hold", func(s *Snapshot, tag string) string {
		if slices.Contains(s.Holds, tag) {
			return "tag already exists on this dataset"
		}
		s.Holds = append(s.Holds, tag)
		return ""
	})
}

func (k *call) zfsRelease(args []string) int {
	return k.tag(args, "release hold from snapshot", "release", func(s *Snapshot, tag string) string {
		if !slices.Contains(s.Holds, tag) {
			return "no such tag on this dataset"
		}
		s.Holds = slices.DeleteFunc(s.Holds, func(t string) bool { return t == tag })
		return ""
	})
}

func (k *call) tag(args []string, does, verb string, change func(s *Snapshot, tag string) string) int {
	if len(args) < 2 {
		return k.usage()
	}
	code := 0
	for _, name := range args[1:] {
		p, _, s := k.snapshot(name)
		why := "dataset does not exist"
		if p != nil && p.ReadOnly {
			return k.fail(1, "cannot %s: pool is read-only", verb)
		}
		if p != nil {
			wrote := k.wrote
			if !k.write(p) {
				return 0
			}
			if why = change(s, args[0]); why == "" {
				continue
			}
			k.wrote = wrote
		}
		code = k.fail(1, "cannot %s '%s': %s", does, name, why)
	}
	return code
}

// zfsHolds is `zfs holds -H SNAPSHOT...`.
func (k *call) zfsHolds(args []string) int {
	opts, operands, ok := getopt(args, "rHp")
	if !ok || len(operands) == 0 || !opts.has('H') {
		return k.usage()
	}
	code := 0
	for _, name := range operands {
		_, _, s := k.snapshot(name)
		if s == nil {
			code = k.fail(1, "cannot open '%s': dataset does not exist", name)
			continue
		}
		for _, tag := range s.Holds {
			k.printf("%s\t%s\t%s\n", name, tag, time.Unix(k.now(), 0).UTC().Format("Mon Jan _2 15:04 2006"))
		}
	}
	return code
}
