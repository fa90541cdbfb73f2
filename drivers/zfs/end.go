package zfs

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// endColumns are valid for all four types: where one has no such value it is "-" (2.1.11, 2.3.9). The name is last.
const endColumns = "type,guid,createtxg,creation,written,used,referenced,userrefs,readonly,inconsistent,receive_resume_token,encryptionroot,keystatus,name"

// ListEnds asks for these datasets, or with below for all that is below them too, with all their snapshots and bookmarks,
// in one process but for the limit of a command line. Where one is not there zfs exits 1, and prints the others.
func ListEnds(below bool, datasets ...string) []host.Command {
	argv := []string{"zfs", "list", "-Hp", "-d", "1"} // its own snapshots, and, alas, its children
	if below {
		argv = []string{"zfs", "list", "-Hp", "-r"}
	}
	return farReads(datasets, append(argv, "-t", "filesystem,volume,snapshot,bookmark", "-o", endColumns)...)
}

// changedColumns are those of a dataset in endColumns, and then when its snapshots changed last, and what it is a clone of. farColumns
// are without that: it may be a dataset which the key that lists may not see.
const (
	farColumns     = "type,guid,createtxg,creation,written,used,referenced,userrefs,readonly,inconsistent,receive_resume_token,encryptionroot,keystatus,snapshots_changed,name"
	changedColumns = "type,guid,createtxg,creation,written,used,referenced,userrefs,readonly,inconsistent,receive_resume_token,encryptionroot,keystatus,snapshots_changed,origin,name"
)

// ListChanged asks for the datasets that ListEnds asks for, without their snapshots and bookmarks, and when the snapshots of each
// changed last. Of one that is not mounted zfs takes ten times as long to list the snapshots. OpenZFS 2.1 knows
// no such time: there it is an error. What is far is not asked what it is a clone of.
func ListChanged(far, below bool, dataset string) host.Command {
	argv, columns := []string{"zfs", "list", "-Hp"}, changedColumns
	if below {
		argv = append(argv, "-r")
	}
	if far {
		columns = farColumns
	}
	return farReads([]string{dataset}, append(argv, "-t", "filesystem,volume", "-o", columns)...)[0]
}

// Changed is a dataset without its snapshots and bookmarks, and what tells that its snapshots are what they were.
type Changed struct {
	state.End
	// Mark changes whenever a snapshot of the dataset is taken, received, renamed or destroyed, and when it is promoted, unless
	// it is far; but not by a second change within the same second.
	Mark string
}

// ParseChanged reads what ListChanged prints, sorted by name, with the care of ParseEnds.
func ParseChanged(out []byte, far, below bool, dataset string) ([]Changed, error) {
	columns, marks := changedColumns, 2
	if far {
		columns, marks = farColumns, 1
	}
	n := strings.Count(columns, ",") + 1
	p := ends{below: below, asked: []string{dataset}, of: map[string]*state.End{}, seen: map[string]bool{}}
	var list []Changed
	for line := range strings.Lines(string(out)) {
		text, ended := strings.CutSuffix(line, "\n")
		f := strings.Split(text, "\t")
		if !ended || len(f) != n || f[0] != "filesystem" && f[0] != "volume" || !isMark(f[n-1-marks:n-1]) ||
			!p.row(append(slices.Clone(f[:n-1-marks]), f[n-1])) || p.of[f[n-1]] == nil {
			return nil, &ParseError{What: "zfs list -t filesystem,volume", Text: line}
		}
		list = append(list, Changed{*p.of[f[n-1]], strings.Join(f[n-1-marks:n-1], " ")})
	}
	slices.SortFunc(list, func(a, b Changed) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// isMark tells whether this is a time, and perhaps the snapshot that a clone was made of.
func isMark(f []string) bool {
	if numbers(f[0]) == nil {
		return false
	}
	if len(f) == 1 || f[1] == "-" {
		return true
	}
	_, err := spec.ParseSnapshotName(f[1])
	return err == nil
}

// ListName asks whether a dataset is there, and nothing of what is below it. Where it is not zfs exits 1.
func ListName(dataset string) host.Command {
	return host.Read("zfs", "list", "-H", "-o", "name", dataset)
}

// ListType asks whether a dataset is a filesystem or a volume.
func ListType(dataset string) host.Command {
	return host.Read("zfs", "list", "-H", "-o", "type", dataset)
}

// ListPoints asks for the names and guids of a dataset's own snapshots.
func ListPoints(dataset string) host.Command {
	return host.Read("zfs", "list", "-Hp", "-d", "1", "-t", "snapshot", "-o", "name,guid", dataset)
}

// ParseEnds reads what ListEnds prints, sorted by name. What a far side prints is not trusted: every name has to be one
// that a dataset can have, was asked for, and comes once.
func ParseEnds(out []byte, below bool, datasets ...string) ([]state.End, error) {
	p := ends{below: below, asked: datasets, of: map[string]*state.End{}, seen: map[string]bool{}}
	for line := range strings.Lines(string(out)) {
		text, ended := strings.CutSuffix(line, "\n")
		if !ended || !p.row(strings.Split(text, "\t")) {
			return nil, &ParseError{What: "zfs list -t filesystem,volume,snapshot,bookmark", Text: line}
		}
	}
	list := make([]state.End, 0, len(p.of))
	for _, e := range p.of {
		if e.Type == "" { // its points came, but not the dataset
			return nil, &ParseError{What: "zfs list -t filesystem,volume,snapshot,bookmark", Text: e.Name}
		}
		slices.SortFunc(e.Snapshots, older)
		slices.SortFunc(e.Bookmarks, older)
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b state.End) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func older(a, b state.Point) int {
	return cmp.Or(cmp.Compare(a.TXG, b.TXG), cmp.Compare(a.Name, b.Name))
}

// ends is a list that is being read.
type ends struct {
	below bool
	asked []string
	of    map[string]*state.End
	seen  map[string]bool // whole names
}

// row takes one line, and tells whether it could be one.
func (p *ends) row(f []string) bool {
	if len(f) != strings.Count(endColumns, ",")+1 {
		return false
	}
	whole := f[len(f)-1]
	at := strings.IndexAny(whole+"@", "@#")
	dataset := whole[:at]
	if asked, wanted := p.wanted(dataset); !wanted || p.seen[whole] {
		return asked && !p.seen[whole]
	}
	p.seen[whole] = true
	if _, err := spec.ParseDatasetName(dataset); err != nil {
		return false
	}
	e := p.of[dataset]
	if e == nil {
		e = &state.End{Name: dataset}
		p.of[dataset] = e
	}
	mark := whole[at:]
	switch f[0] {
	case "filesystem", "volume":
		return mark == "" && endDataset(e, f)
	case "snapshot":
		return strings.HasPrefix(mark, "@") && point(&e.Snapshots, f, dataset, mark[1:])
	case "bookmark":
		return strings.HasPrefix(mark, "#") && point(&e.Bookmarks, f, dataset, mark[1:])
	}
	return false
}

// wanted tells whether a dataset may come in the list at all, and whether it is one that was meant: with -d 1 the children
// come unasked.
func (p *ends) wanted(dataset string) (may, meant bool) {
	for _, a := range p.asked {
		if dataset == a {
			return true, true
		}
		may = may || strings.HasPrefix(dataset, a+"/")
	}
	return may, may && p.below
}

// endDataset fills in what the row of a file system or volume says.
func endDataset(e *state.End, f []string) bool {
	n := numbers(f[2], f[4], f[5], f[6])
	if !isGUID(f[1]) || n == nil || !oneOf(f[8], "on", "off") || !oneOf(f[9], "0", "1", "-") || !oneOf(f[12], "-", "none", "available", "unavailable") {
		return false
	}
	e.Type, e.GUID, e.TXG, e.Written, e.Used, e.Referenced = f[0], f[1], n[0], n[1], n[2], n[3]
	e.ReadOnly, e.Partial, e.KeyLoaded = f[8] == "on", f[9] == "1", f[12] == "available"
	if token := f[10]; token != "-" {
		if CheckToken(token) != nil {
			return false
		}
		e.Token = token
	}
	if root := f[11]; root != "-" {
		if _, err := spec.ParseDatasetName(root); err != nil {
			return false
		}
		e.EncryptionRoot, e.Encrypted = root, true
	}
	return true
}

// lastSecond is the end of the year 9999, beyond which a time has no text.
const lastSecond = 253402300799

// point adds what the row of a snapshot or bookmark says.
func point(list *[]state.Point, f []string, dataset, name string) bool {
	n := numbers(f[2], f[3], f[4], f[7])
	if !isGUID(f[1]) || n == nil || n[1] > lastSecond || n[3] > 1<<31-1 {
		return false
	}
	if _, err := spec.ParseSnapshotName(dataset + "@" + name); err != nil { // bookmarks are named alike
		return false
	}
	*list = append(*list, state.Point{
		Name: name, GUID: f[1], TXG: n[0], Creation: time.Unix(int64(n[1]), 0).UTC(), Written: n[2], Holds: int(n[3]),
	})
	return true
}

// numbers reads values that are "-" where there is none; nil where one is something else.
func numbers(words ...string) []uint64 {
	all := make([]uint64, len(words))
	for i, w := range words {
		n, err := strconv.ParseUint(w, 10, 64)
		if err != nil && w != "-" {
			return nil
		}
		all[i] = n
	}
	return all
}

func oneOf(word string, words ...string) bool { return slices.Contains(words, word) }

// isGUID tells whether a word is a guid in the one form that is compared.
func isGUID(word string) bool {
	n, err := strconv.ParseUint(word, 10, 64)
	return err == nil && n != 0 && strconv.FormatUint(n, 10) == word
}
