package replication

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Diff says of each replication what its target lacks, and what keeps it from being sent.
func (d *Driver) Diff(in drivers.Input) (r drivers.Result) {
	for _, name := range slices.Sorted(maps.Keys(in.Want.Replications)) {
		want, seen := in.Want.Replications[name], in.Have.Replications[name]
		switch {
		case seen == nil, seen.Elsewhere && want.Target.Standby: // this is the standby
		case seen.Running:
			r.Notices = append(r.Notices, fmt.Sprintf("replication %s: it is under way", name))
		case seen.Unseen != "":
			r.Notices = append(r.Notices, fmt.Sprintf("replication %s (%s): nothing is sent: %s", name, want.Pos.At(), seen.Unseen))
		default:
			one(in, want, seen, &r)
		}
	}
	diffLeft(in, &r)
	exports(in, &r)
	return r
}

// one is the difference of one replication.
func one(in drivers.Input, want *spec.Replication, seen *state.Replication, r *drivers.Result) {
	isDue, why := due(in, want, seen.Remembered)
	b := &batch{want: want, seen: seen, sending: *way(want), failedOnly: !isDue}
	if in.Patient && !in.Send[want.Name] {
		b.patient = in.Now
	}
	for _, p := range seen.Pairs {
		b.judge(p)
	}
	b.sending.Load = loaded(in, want)
	if b.lostAll != nil {
		b.lostAll.sending.Load = b.sending.Load
	}
	r.Actions = append(r.Actions, b.apart...)
	b.prune(in, r) // before anything is sent: not while that goes on
	if b.lostAll != nil {
		r.Actions = append(r.Actions, b.anew())
	}
	if !isDue {
		isDue, why = again(in, want), "it could not be sent the last time"
		b.sending.Again = true
	}
	if len(b.sending.Pairs) > 0 && isDue {
		r.Actions = append(r.Actions, b.action(why))
	}
	for _, text := range b.notices {
		r.Notices = append(r.Notices, fmt.Sprintf("replication %s (%s): %s", want.Name, want.Pos.At(), text))
	}
	for _, o := range seen.Orphans {
		if b.goesAlong(o.Name) {
			continue
		}
		r.Notices = append(r.Notices, fmt.Sprintf("replication %s: %s is a replica whose source is not there, or is not sent, any more: it stays", want.Name, o.Name))
	}
	for _, text := range b.waiting() {
		r.Notices = append(r.Notices, fmt.Sprintf("replication %s (%s): %s", want.Name, want.Pos.At(), text))
	}
}

// due tells whether a replication may run now, and why.
func due(in drivers.Input, want *spec.Replication, known *state.Replicated) (bool, string) {
	if in.Send[want.Name] {
		return true, "a person asked for it"
	}
	w := want.When
	if w.Manual {
		return false, ""
	}
	if w.After {
		return true, "the target lacks snapshots"
	}
	rule, err := in.Want.Recurrence(w.Recur)
	if err != nil {
		return false, ""
	}
	last := lastOfAll(known)
	if last.IsZero() {
		return rule.Open(in.Now), "it was not yet sent"
	}
	return rule.Due(last, in.Now), "the last time was " + moment(last)
}

// lastOfAll is when the last run of all that is sent began, zero where there was none that went well as a whole.
func lastOfAll(known *state.Replicated) time.Time {
	if known == nil {
		return time.Time{}
	}
	i := slices.IndexFunc(known.Runs, func(r state.TransferRun) bool { return !r.Again })
	if i < 0 || known.Runs[i].Outcome != state.Done && !known.Runs[i].Part {
		return time.Time{}
	}
	return known.Runs[i].Began
}

// again tells whether what could not be sent the last time, and has rested, may be tried before all is due.
func again(in drivers.Input, want *spec.Replication) bool {
	if want.When.Recur == nil {
		return false
	}
	rule, err := in.Want.Recurrence(want.When.Recur)
	return err == nil && rule.Open(in.Now)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// batch gathers what one replication sends in one run.
type batch struct {
	want       *spec.Replication
	seen       *state.Replication
	sending    drivers.Sending
	fields     []drivers.Field
	apart      []drivers.Action // what needs a person's word
	held       []string         // targets that hold something else: nothing is made below them
	waits      []wait           // sources that can't be sent yet
	full       uint64           // bytes of sources that go whole
	notices    []string
	patient    time.Time            // now, where what failed lately is left alone; zero: nothing is
	failedOnly bool                 // all else is not due
	undue      []string             // targets that are not made, by that
	moves      map[string]state.End // replicas that stand under another name, by that which they should have; nil: nobody looked
	lostAll    *batch               // what is to be sent anew, with what is below; nil: nothing
}

// wanted tells which snapshots are sent.
func (b *batch) wanted(p state.Point) bool { return chooses(b.want.Patterns(), p.Name) }

// chooses tells whether a snapshot of this name is among those of patterns; no pattern: all are.
func chooses(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool { return spec.Pattern(pattern).Match(name) })
}

// raw tells whether a source is sent as it stands on the disks. An encrypted one is, unless the files say otherwise.
func (b *batch) raw(e state.End) bool {
	return b.want.Send.Raw == "true" || b.want.Send.Raw != "false" && e.Encrypted
}

// judge adds one dataset.
func (b *batch) judge(p state.Pair) {
	f, kept, refused := b.flags(p)
	if kept != "" {
		b.notices = append(b.notices, kept)
	}
	if p.Target != nil && (p.Target.Token != "" || p.Target.Partial) { // what is under way goes first
		b.take(p, b.rest(p, f, refused), f, "it goes on where it broke off")
		return
	}
	j, target := judge(&p.Source, p.Target, b.wanted, f.raw), ""
	if p.Target != nil {
		target = p.Target.GUID
	}
	if other := b.other(p); other != "" && j.Diverged == nil {
		b.notices = append(b.notices, other+fmt.Sprintf(", and has @%s of %s all the same: it is sent to from now on", j.Basis.Name, p.Source.Name))
	}
	switch {
	case j.Diverged != nil && (j.Diverged.Kind != modified || len(j.Diverged.SourceOnly) > 0):
		b.apart, b.held = append(b.apart, b.diverged(p, j)...), append(b.held, p.To)
	case len(j.Legs) > 0 && refused != "":
		b.apart = append(b.apart, b.blocked(p, refused, "declare send: {raw: false}, so that it is sent in plain; or another target, to which it is sent as it is"))
	case p.Source.Encrypted && !f.raw && !p.Source.KeyLoaded && len(j.Legs) > 0:
		b.apart = append(b.apart, b.blocked(p, "the key of the source is not loaded, and the files say that it is sent in plain", "dplane apply loads a key that has a key file; or leave out send.raw, so that it is sent as it is"))
	case p.Target == nil && slices.ContainsFunc(b.held, func(t string) bool { return spec.DatasetName(p.To).Under(spec.DatasetName(t)) }):
		b.waits = append(b.waits, wait{p.Source.Name, p.To, "what is above is settled at the target"})
	case p.Target == nil && slices.Contains(b.undue, string(spec.DatasetName(p.To).Parent())):
		b.undue = append(b.undue, p.To)
	case len(j.Legs) > 0 && b.lacks(p) != "":
		b.waits = append(b.waits, wait{p.Source.Name, p.To, b.lacks(p)})
	case len(j.Legs) > 0 && p.Target == nil && b.whole(p):
		if b.lostAll == nil {
			b.lostAll = &batch{want: b.want, seen: b.seen, sending: *way(b.want)}
		}
		b.lostAll.add(p, j, f, "")
		if o, ok := b.moved(p); ok && b.renames(p, o) {
			b.apart = append(b.apart, b.rename(p, o))
		}
	case len(j.Legs) > 0 || !anchor(b.want.Name, p, j.Basis, nil, needed(b.seen.Remembered, b.place(), p.Source.GUID, target)).none():
		b.take(p, j, f, "")
	}
}

// whole tells whether a dataset that is not there is not sent whole unasked: it was there, or is under another name, or
// what is above it is not sent unasked either.
func (b *batch) whole(p state.Pair) bool {
	_, moved := b.moved(p)
	return moved || b.lost(p) || b.lostAll.makes(spec.DatasetName(p.To).Parent())
}

// rest is what a target lacks that has a part of a stream: the stream's end is sent before it.
func (b *batch) rest(p state.Pair, how flags, refused string) judgement {
	if p.Target.Token == "" || refused != "" || p.Source.Encrypted && !how.raw && !p.Source.KeyLoaded {
		return judgement{}
	}
	j, gone := judge(&p.Source, p.Target, b.wanted, how.raw), p
	gone.Target = nil
	switch {
	case p.Target.Partial && b.lost(gone): // where it has to be thrown away, it is not sent whole unasked
		return judgement{}
	case p.Target.Partial:
		return full(&p.Source, b.wanted)
	case j.Diverged != nil:
		return judgement{}
	}
	return j
}

// take adds a dataset to the run, unless it failed lately and rests, or others are due.
func (b *batch) take(p state.Pair, j judgement, how flags, to string) {
	f := b.failure(p)
	switch {
	case f != nil && !b.patient.IsZero() && rests(f, b.patient):
		b.waits = append(b.waits, wait{p.Source.Name, p.To, fmt.Sprintf("%s, after %d failure(s): %s", moment(f.Until), f.N, f.Why)})
	case f != nil || !b.failedOnly:
		b.add(p, j, how, to)
	case p.Target == nil:
		b.undue = append(b.undue, p.To)
	}
}

// add takes a dataset into the run.
func (b *batch) add(p state.Pair, j judgement, how flags, to string) {
	s := drivers.SendingPair{Source: p.Source.Name, GUID: p.Source.GUID, Target: p.To, Raw: how.raw, LargeBlocks: how.large, Encrypted: p.Source.Encrypted, Full: p.Target == nil}
	for _, x := range j.Sends {
		s.Snapshots = append(s.Snapshots, x.GUID)
	}
	f := drivers.Field{Name: p.Source.Name, To: to}
	if n := len(j.Sends); n > 0 {
		if to != "" {
			f.To += ", to "
		}
		f.To += fmt.Sprintf("@%s, %d snapshot(s)", j.Sends[n-1].Name, n)
	} else if to == "" {
		f.To = "what both have is held and marked"
	}
	if j.Basis != nil {
		f.From = "@" + j.Basis.Name
	} else if s.Full {
		b.full += b.own(p)
	}
	b.sending.Pairs, b.fields = append(b.sending.Pairs, s), append(b.fields, f)
}

// action is the run of what needs no person.
func (b *batch) action(why string) drivers.Action {
	a := drivers.Action{
		Object: spec.Ref{Kind: spec.KindReplication, Name: b.want.Name}, Verb: drivers.Run, Risk: spec.Safe, Scheduled: true, Long: true, Apart: true,
		Reason:  drivers.Reason{Code: drivers.Behind, At: b.want.Pos.At(), Observed: why},
		Undo:    "zfs destroy of what was received",
		Fields:  b.fields,
		Sending: &b.sending,
	}
	if b.full > 0 {
		a.Notes = append(a.Notes, fmt.Sprintf("some of it is sent whole: about %s", spec.Size(b.full)))
	}
	a.Steps = preview(b.sending, b.seen.Pairs)
	return a
}

// pairRef is the object of what concerns one dataset of a replication.
func (b *batch) pairRef(p state.Pair) spec.Ref {
	return spec.Ref{Kind: spec.KindReplication, Name: b.want.Name + ":" + p.Source.Name}
}

func (b *batch) blocked(p state.Pair, observed string, notes ...string) drivers.Action {
	return drivers.Action{
		Object: b.pairRef(p), GUID: p.Source.GUID, Verb: drivers.Blocked, Risk: spec.Safe,
		Reason: drivers.Reason{Code: drivers.Conflict, At: b.want.Pos.At(), Observed: observed}, Notes: notes,
	}
}
