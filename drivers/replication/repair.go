package replication

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// diverged is a blocked action that says what only each side has, and the ways out of it, the least destructive first,
// each of which a person has to name.
func (b *batch) diverged(p state.Pair, j judgement) []drivers.Action {
	d := j.Diverged
	block := b.blocked(p, b.what(p, j), "only the source has: "+some(d.SourceOnly), "only the target has: "+some(d.TargetOnly))
	if source := b.whose(p); source != "" && j.Basis == nil {
		block.Notes = append(block.Notes, fmt.Sprintf("it is the replica of %s: once it is out of the way here, the next plan names it as that is called", source))
	}
	all := []drivers.Action{block, b.aside(p)}
	if j.Basis != nil {
		all = append(all, b.rollback(p, j))
	}
	for i := range all[1:] {
		all[i+1].Identify()
		all[0].Notes = append(all[0].Notes, fmt.Sprintf("a way out: dplane apply --allow %s: %s", all[i+1].ID, all[i+1].Reason.Observed))
	}
	return all
}

// what says how the target differs.
func (d *divergence) what(p state.Pair, b *basis) string {
	last := "they have no snapshot in common"
	if b != nil {
		last = "the last that both have is @" + b.Name
	}
	switch d.Kind {
	case occupied:
		return fmt.Sprintf("%s is there and has no snapshot: nothing can be received into it", p.To)
	case modified:
		return fmt.Sprintf("%s of %s was written to since its newest snapshot; %s", spec.Size(d.Written), p.To, last)
	case branched:
		return fmt.Sprintf("%s has snapshots that %s has not; %s", p.To, p.Source.Name, last)
	}
	return fmt.Sprintf("%s holds something else than %s: %s", p.To, p.Source.Name, last)
}

// asideName is what a target is called that is kept aside.
func asideName(target, guid string) string { return target + ".diverged-" + guid }

// aside keeps the target under another name, so that it is sent whole to the old one.
func (b *batch) aside(p state.Pair) drivers.Action {
	name := asideName(p.To, p.Target.GUID)
	c := zfs.Rename(p.To, name)
	if p.Target.Type != "volume" {
		c = host.Write("zfs", "rename", "-u", p.To, name)
	}
	c.Host = b.want.Target.Remote
	return drivers.Action{
		Object: b.pairRef(p), GUID: p.Target.GUID, Verb: drivers.Update, Risk: spec.Disruptive,
		Reason: drivers.Reason{Code: drivers.Conflict, At: b.want.Pos.At(), Observed: fmt.Sprintf("keep the target as %s, and send all of %s anew", name, p.Source.Name)},
		Fields: []drivers.Field{{Name: "name", From: p.To, To: name}},
		Undo:   strings.ReplaceAll("zfs rename B A", "B A", name+" "+p.To),
		Hold:   "a way out of a divergence, which a person chooses",
		Notes:  b.along(p, name),
		Guard:  b.same(p),
		Steps:  []host.Command{c},
	}
}

// along says which replicas below a target go where it goes.
func (b *batch) along(p state.Pair, name string) []string {
	var below []string
	for _, x := range b.seen.Pairs {
		if x.Target != nil && x.To != p.To && spec.DatasetName(x.To).Under(spec.DatasetName(p.To)) {
			below = append(below, x.To)
		}
	}
	if below == nil {
		return nil
	}
	return []string{fmt.Sprintf("what is below it goes to %s with it, and is sent anew as well once a person says so: %s", name, drivers.Some(below))}
}

// rollback takes the target back to what both have: what it has beyond that is lost.
func (b *batch) rollback(p state.Pair, j judgement) drivers.Action {
	at := p.To + "@" + targetName(p.Target, j.Basis.GUID)
	argv := []string{"zfs", "rollback"}
	beyond := j.Diverged.TargetOnly
	if len(beyond) > 0 {
		argv = append(argv, "-r")
	}
	c := host.Write(append(argv, at)...)
	c.Host = b.want.Target.Remote
	a := drivers.Action{
		Object: b.pairRef(p), GUID: p.Target.GUID, Verb: drivers.Update, Risk: spec.Destructive,
		Reason: drivers.Reason{Code: drivers.Conflict, At: b.want.Pos.At(), Observed: fmt.Sprintf("roll the target back to @%s: what only it has is lost", j.Basis.Name)},
		Fields: []drivers.Field{{Name: "written since", From: spec.Size(j.Diverged.Written).String(), To: "lost"}},
		Undo:   "nothing takes it back",
		Hold:   "a way out of a divergence, which a person chooses",
		Guard:  b.same(p),
		Steps:  []host.Command{c},
	}
	for _, x := range beyond {
		a.Destroy = append(a.Destroy, x.GUID)
		a.Fields = append(a.Fields, drivers.Field{Name: "@" + x.Name, To: "lost"})
	}
	return a
}

// same holds while the target is the one that was seen, with exactly the snapshots and the bytes that it had.
func (b *batch) same(p state.Pair) []host.Expect {
	it := zfs.ExpectProps(p.To, map[string]state.Property{
		"guid":    {Value: p.Target.GUID, Source: "-"},
		"written": {Value: strconv.FormatUint(p.Target.Written, 10), Source: "-"},
	})
	it.Command.Host = b.want.Target.Remote
	c := zfs.ListPoints(p.To)
	c.Host = b.want.Target.Remote
	var out strings.Builder
	for _, s := range p.Target.Snapshots {
		fmt.Fprintf(&out, "%s@%s\t%s\n", p.To, s.Name, s.GUID)
	}
	return []host.Expect{it, {Command: c, Output: out.String(), Means: fmt.Sprintf("%s has the same %d snapshots", p.To, len(p.Target.Snapshots))}}
}

// targetName is what the target calls the snapshot of this guid.
func targetName(e *state.End, guid string) string {
	for _, s := range e.Snapshots {
		if s.GUID == guid {
			return s.Name
		}
	}
	return ""
}

// some are the names of the first of many.
func some(list []state.Point) string {
	const shown = 5
	if len(list) == 0 {
		return "nothing"
	}
	var names []string
	for _, p := range list[:min(len(list), shown)] {
		names = append(names, "@"+p.Name)
	}
	text := strings.Join(names, ", ")
	if len(list) > shown {
		text += fmt.Sprintf(" and %d more", len(list)-shown)
	}
	return text
}
