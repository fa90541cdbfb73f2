package receive

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Request is what was let through.
type Request struct {
	Argv    []string
	Receive string // the dataset that a stream is received into; "": no stream is read
	Volume  bool   // the stream has to be of a volume, not of a file system
	Row     bool   // the stream is one of several snapshots, each of which has to be looked at as it comes
	Token   string // a resume token that has to be of the sources; "": none
	Plain   bool   // what it sends goes out as it is read: what is encrypted has to be of a source that may be sent so
	Send    string // the dataset that is sent; "": none, or the token tells
	Peer    string // the node of the HA group that asks for something to be changed; "": none
	Term    uint64 // the term in which it does; 0: it tells none
}

// Refused is a request that is not let through.
type Refused struct {
	Line, Why string
	Late      bool // some of the stream was received before
}

func (r *Refused) Error() string {
	line := r.Line
	if len(line) > 300 {
		line = line[:300] + "..."
	}
	if r.Late {
		return fmt.Sprintf("refused the rest of the stream of %q: %s; what came before it was received", line, r.Why)
	}
	return fmt.Sprintf("refused %q: %s; nothing was run", line, r.Why)
}

// Judge takes a line that a far side sent, and gives what may be run for it. The error is a *Refused.
func (r *Rules) Judge(line string) (*Request, error) {
	w, err := words(line)
	if err != nil {
		return nil, &Refused{Line: line, Why: err.Error()}
	}
	q, err := r.judge(w)
	if err != nil {
		return nil, &Refused{Line: line, Why: err.Error()}
	}
	q.Peer = r.changedBy(w)
	q.Term, _, _ = termOf(line) // words has read it
	return q, nil
}

// changedBy is the node of the HA group whose key it takes to change what the words name, "" where they change nothing or
// nothing of a group.
func (r *Rules) changedBy(w []string) string {
	if target, ok := zfs.EndsReceive(w); ok {
		return r.target(target).Peer
	}
	if !slices.Contains([]string{"receive", "rename", "rollback", "destroy", "hold", "release"}, w[min(1, len(w)-1)]) {
		return ""
	}
	for _, name := range w[2:] {
		of, _, _ := strings.Cut(name, "@")
		if t := r.target(of); t != nil && t.Peer != "" {
			return t.Peer
		}
	}
	return ""
}

// forms are the requests by their first words after zfs.
var forms = map[string]func(*Rules, []string) (*Request, error){
	"list": (*Rules).list, "get": (*Rules).get, "allow": (*Rules).allowed, "holds": (*Rules).holds, "hold": (*Rules).tag, "release": (*Rules).tag,
	"receive": (*Rules).receive, "rename": (*Rules).rename, "rollback": (*Rules).rollback, "destroy": (*Rules).destroy,
	"send": (*Rules).send, "bookmark": (*Rules).bookmark,
}

func (r *Rules) judge(w []string) (*Request, error) {
	if r.harmless(w) {
		return &Request{Argv: w}, nil
	}
	if target, ok := zfs.EndsReceive(w); ok { // what came is kept, and goes on
		if err := dataset(target, r.targets()...); err != nil {
			return nil, err
		}
		return &Request{Argv: w}, nil
	}
	if w[0] != "zfs" || len(w) < 3 {
		return nil, fmt.Errorf("this key runs zfs alone")
	}
	form := forms[w[1]]
	if form == nil {
		return nil, fmt.Errorf("zfs %s is nothing that this key may do", w[1])
	}
	return form(r, w)
}

// harmless tells whether it is asked what this machine is: its release of zfs, its clock, the features of a pool of the key.
func (r *Rules) harmless(w []string) bool {
	pool := func(d spec.DatasetName) bool { return slices.Equal(w, zfs.GetPool(string(d.Pool())).Argv) }
	return slices.Equal(w, zfs.Version().Argv) || slices.Equal(w, zfs.Clock().Argv) || slices.ContainsFunc(r.ends(), pool)
}

// exactly lets words through that are one of these commands.
func exactly(w []string, forms ...[]string) (*Request, error) {
	if !slices.ContainsFunc(forms, func(f []string) bool { return slices.Equal(f, w) }) {
		return nil, fmt.Errorf("dplane sends no zfs %s of this form", w[1])
	}
	return &Request{Argv: w}, nil
}

// dataset refuses a name that is none, or not at or below one of these.
func dataset(name string, ends ...spec.DatasetName) error {
	d, err := spec.ParseDatasetName(name)
	switch {
	case err != nil:
		return err
	case d.InTrash():
		return fmt.Errorf("%s waits in the trash", name)
	case !slices.ContainsFunc(ends, d.Under):
		return fmt.Errorf("%s is not a dataset of this key", name)
	}
	return nil
}

// snapshots refuses names that are none, or not of datasets at or below these.
func snapshots(names []string, ends ...spec.DatasetName) error {
	for _, n := range names {
		if _, err := spec.ParseSnapshotName(n); err != nil {
			return err
		}
		of, _, _ := strings.Cut(n, "@")
		if err := dataset(of, ends...); err != nil {
			return err
		}
	}
	return nil
}

// list shows what is at and below the ends, and whether what a target stands in is there.
func (r *Rules) list(w []string) (*Request, error) {
	name := w[len(w)-1]
	if strings.Contains(name, "@") {
		names := w[min(7, len(w)):]
		if err := snapshots(names, r.ends()...); err != nil || len(names) == 0 {
			return nil, orNothing(err)
		}
		return exactly(w, zfs.ListSnapshots(names)[0].Argv)
	}
	if r.above(name) {
		return exactly(w, zfs.ListName(name).Argv)
	}
	if err := dataset(name, r.ends()...); err != nil {
		return nil, err
	}
	return exactly(w, zfs.ListEnds(false, name)[0].Argv, zfs.ListEnds(true, name)[0].Argv,
		zfs.ListChanged(true, false, name).Argv, zfs.ListChanged(true, true, name).Argv, zfs.ListName(name).Argv, zfs.ListPoints(name).Argv)
}

// get tells whether an end is still the one that was seen, what a stream of it needs, and what room there is.
func (r *Rules) get(w []string) (*Request, error) {
	name := w[len(w)-1]
	if r.above(name) {
		return exactly(w, zfs.GetAvailable(name).Argv)
	}
	if err := dataset(name, r.ends()...); err != nil {
		return nil, err
	}
	seen := map[string]state.Property{"guid": {}, "written": {}}
	return exactly(w, zfs.ExpectProps(name, seen).Command.Argv, zfs.GetAvailable(name).Argv, zfs.GetShape(name, false).Argv, zfs.GetShape(name, true).Argv)
}

// allowed tells what is delegated at an end, and above a target.
func (r *Rules) allowed(w []string) (*Request, error) {
	name := w[len(w)-1]
	if err := dataset(name, r.ends()...); err != nil && !r.above(name) {
		return nil, err
	}
	return exactly(w, zfs.Allowed(name).Argv)
}

// above tells whether a target stands in that dataset.
func (r *Rules) above(name string) bool {
	return slices.ContainsFunc(r.targets(), func(t spec.DatasetName) bool { return t.Parent() != "" && string(t.Parent()) == name })
}

func (r *Rules) holds(w []string) (*Request, error) {
	names := w[min(3, len(w)):]
	if err := snapshots(names, r.ends()...); err != nil || len(names) == 0 {
		return nil, orNothing(err)
	}
	return exactly(w, zfs.ListHolds(names)[0].Argv)
}

// tag holds or releases under a tag of dplane's own: at a source the one of sources, at a target the other one. What is
// received here may be sent on, or what is sent from here have come from elsewhere: the tags that are for that are not this key's.
func (r *Rules) tag(w []string) (*Request, error) {
	names, ends, of := w[3:], r.targets(), "targets"
	if strings.HasSuffix(w[2], ":source") {
		ends, of = r.sources(), "sources"
	}
	if err := snapshots(names, r.ends()...); err != nil || len(names) == 0 {
		return nil, orNothing(err)
	}
	if err := snapshots(names, ends...); err != nil {
		return nil, fmt.Errorf("the tag %q is one of %s: %w", w[2], of, err)
	}
	replication, ours := strings.CutPrefix(w[2], "dplane:")
	if !ours || replication == "" || strings.ContainsFunc(replication, func(c rune) bool { return !plain(c) }) {
		return nil, fmt.Errorf("the tag %q is not one of dplane's", w[2])
	}
	return exactly(w, zfs.Hold(w[2], names)[0].Argv, zfs.Release(w[2], names)[0].Argv)
}

func orNothing(err error) error {
	if err == nil {
		return fmt.Errorf("it names nothing")
	}
	return err
}

// rename keeps a target aside, beside where it stands, under the one name that dplane gives.
func (r *Rules) rename(w []string) (*Request, error) {
	if len(w) < 4 {
		return nil, fmt.Errorf("it names too little")
	}
	from, to := w[len(w)-2], w[len(w)-1]
	if err := dataset(from, r.targets()...); err != nil {
		return nil, err
	}
	below := slices.DeleteFunc(slices.Clone(r.Targets), func(t Target) bool { return !t.Dataset.Under(spec.DatasetName(from)) })
	for _, t := range append(below, *r.target(from)) { // what is below goes with it
		if !t.Repair {
			return nil, fmt.Errorf("this key may not repair %s (--repair)", t.Dataset)
		}
	}
	guid, aside := strings.CutPrefix(to, from+".diverged-")
	if _, err := spec.ParseDatasetName(to); err != nil || !aside || !digits(guid) {
		return nil, fmt.Errorf("%s is not the name under which %s is kept aside", to, from)
	}
	return exactly(w, zfs.Rename(from, to).Argv, []string{"zfs", "rename", "-u", from, to})
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// rollback takes a target back. -r destroys the snapshots that it has beyond, and no clone.
func (r *Rules) rollback(w []string) (*Request, error) {
	to := w[len(w)-1]
	if err := snapshots([]string{to}, r.targets()...); err != nil {
		return nil, err
	}
	of, _, _ := strings.Cut(to, "@")
	if t := r.target(of); !t.Repair {
		return nil, fmt.Errorf("this key may not repair %s (--repair)", t.Dataset)
	}
	return exactly(w, []string{"zfs", "rollback", to}, []string{"zfs", "rollback", "-r", to})
}

// destroy takes snapshots off a target, each by its name, or a bookmark of dplane's own off a source: never a dataset.
func (r *Rules) destroy(w []string) (*Request, error) {
	name := w[len(w)-1]
	if of, mark, ok := strings.Cut(name, "#"); ok {
		if err := r.mark(of, mark); err != nil {
			return nil, err
		}
		return exactly(w, zfs.DestroyBookmark(of, mark).Argv)
	}
	of, list, ok := strings.Cut(name, "@")
	if !ok {
		return nil, fmt.Errorf("a dataset is never destroyed by a key")
	}
	names := strings.Split(list, ",")
	for _, n := range names {
		if err := snapshots([]string{of + "@" + n}, r.targets()...); err != nil {
			return nil, err
		}
	}
	if t := r.target(of); !t.Prune {
		return nil, fmt.Errorf("this key may not destroy snapshots of %s (--prune)", t.Dataset)
	}
	return exactly(w, zfs.DestroySnapshots(of, names)[0].Argv)
}

// mark refuses a bookmark that is not dplane's own, of a source.
func (r *Rules) mark(of, mark string) error {
	if _, err := spec.ParseSnapshotName(of + "@" + mark); err != nil { // bookmarks are named alike
		return err
	}
	if err := dataset(of, r.sources()...); err != nil {
		return err
	}
	if !strings.HasPrefix(mark, "dplane-") {
		return fmt.Errorf("#%s is not a bookmark of dplane's", mark)
	}
	return nil
}

func (r *Rules) bookmark(w []string) (*Request, error) {
	if err := snapshots(w[2:3], r.sources()...); err != nil {
		return nil, err
	}
	of, mark, _ := strings.Cut(w[len(w)-1], "#")
	if err := r.mark(of, mark); err != nil {
		return nil, err
	}
	return exactly(w, zfs.Bookmark(w[2], mark).Argv)
}
