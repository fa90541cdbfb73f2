package replication

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// place is where a replication sends. Another one in the files is meant: what was sent elsewhere is not lost.
func place(remote, dataset string) string { return remote + ":" + dataset }

func (b *batch) place() string { return place(b.want.Target.Remote, string(b.want.Target.Dataset)) }

// had is what a source and the target that the files declare had in common last, nil where that is not known.
func (b *batch) had(p state.Pair) *state.Common {
	if b.seen.Remembered == nil {
		return nil
	}
	c, known := b.seen.Remembered.Common[p.Source.GUID]
	if known && (c.Place == "" || c.Place == b.place()) {
		return &c
	}
	if was := b.seen.Remembered.Elsewhere[b.place()]; was != nil {
		if c, known = was.Common[p.Source.GUID]; known {
			return &c
		}
	}
	return nil
}

// lost tells whether the target of a dataset once had something, and is gone: then nothing is sent whole unasked. Where
// nothing is remembered the bookmark tells, which can't say of which target it was.
func (b *batch) lost(p state.Pair) bool {
	if p.Target != nil {
		return false
	}
	if b.had(p) != nil {
		return true
	}
	if r := b.seen.Remembered; r != nil {
		if _, known := r.Common[p.Source.GUID]; known {
			return false
		}
	}
	return slices.ContainsFunc(p.Source.Bookmarks, func(m state.Point) bool { return m.Name == bookmarkOf(b.want.Name, m.GUID) })
}

// other says that the target is another dataset than the one that was sent to, "" where it is the same or that is not known.
func (b *batch) other(p state.Pair) string {
	c := b.had(p)
	if c == nil || p.Target == nil || c.Target == "" || c.Target == p.Target.GUID {
		return ""
	}
	return fmt.Sprintf("%s is another dataset than the one that was sent to (guid %s, now %s)", p.To, c.Target, p.Target.GUID)
}

// what says how a target differs, and first whether it is the one that was sent to.
func (b *batch) what(p state.Pair, j judgement) string {
	text := j.Diverged.what(p, j.Basis)
	if other := b.other(p); other != "" {
		return other + "; " + text
	}
	return text
}

// flags are what decides how a stream is made, and can't change for a target once it has data.
type flags struct{ raw, large bool }

// declared are the flags that the files ask for.
func (b *batch) declared(p state.Pair) flags {
	return flags{b.raw(p.Source), b.want.Send.LargeBlocks}
}

// sent is what goes over the wire: a raw stream has its blocks as they are, and of what is not encrypted it is nothing else.
func (f flags) sent(encrypted bool) flags { return flags{f.raw && encrypted, f.large || f.raw} }

// flags are those of the streams to a target: what was first received there, else what the files ask for. kept says that
// the files ask for others; refused, why nothing may be sent.
func (b *batch) flags(p state.Pair) (f flags, kept, refused string) {
	f = b.declared(p)
	first, known := b.first(p, f)
	if !known || first == f.sent(p.Source.Encrypted) {
		return f, "", ""
	}
	if p.Source.Encrypted && !first.raw && f.raw {
		return f, "", fmt.Sprintf("%s was first received in plain, and the files do not say (any more) that %s is sent so", p.To, p.Source.Name)
	}
	return first, fmt.Sprintf("%s was first received %s, and goes on so: what send says beside that holds for a new target", p.To, first), ""
}

func (f flags) String() string {
	switch {
	case f.raw:
		return "raw"
	case f.large:
		return "in plain, with large blocks"
	}
	return "in plain, without large blocks"
}

// first are the flags of the first stream that a target received: as remembered, or as far as the ends tell.
func (b *batch) first(p state.Pair, want flags) (f flags, known bool) {
	t := p.Target
	if t == nil {
		return flags{}, false
	}
	sent := want.sent(p.Source.Encrypted)
	if t.Partial { // what is thrown away begins anew as declared
		if t.Resume == nil || unusable(b.want.Patterns(), drivers.SendingPair{Raw: want.raw, Encrypted: p.Source.Encrypted}, p) != "" {
			return flags{}, false
		}
		return flags{sent.raw, t.Resume.LargeBlocks}, true
	}
	if r := b.seen.Remembered; r != nil {
		s, ok := r.Sent[p.Source.GUID]
		if was := r.Elsewhere[b.place()]; was != nil && (!ok || s.Place != b.place()) {
			s, ok = was.Sent[p.Source.GUID]
		}
		if ok && s.Place == b.place() && (s.Target == "" || s.Target == t.GUID) {
			return flags{s.Raw, s.LargeBlocks}, true
		}
	}
	switch {
	case !p.Source.Encrypted || len(t.Snapshots) == 0:
		return flags{}, false
	case !t.Encrypted:
		return flags{false, want.large}, true
	case t.EncryptionRoot == t.Name && !t.KeyLoaded: // what came in plain has the root that is above it, and its key was there
		return flags{true, true}, true
	}
	return flags{}, false
}

// remembering is what a run gathers to be remembered.
type remembering struct {
	common  map[string]state.Common // by the guids of the sources
	sources map[string]bool         // guids; nil: nobody looked
	sent    map[string]state.Sent   // as streams were received, or are about to be
}

// intend writes down how what has nothing yet is about to be sent, before it is.
func (t *transfer) intend(ctx context.Context, pairs []state.Pair) error {
	t.sent = map[string]state.Sent{}
	for _, plan := range t.Pairs {
		p, err := now(plan, pairs)
		if err == nil && (p.Target == nil && plan.Full || p.Target != nil && p.Target.Partial) {
			t.sent[plan.GUID] = t.sentAs(plan)
		}
	}
	if len(t.sent) == 0 {
		return nil
	}
	r, err := t.known(ctx)
	if err != nil {
		return err
	}
	for guid, s := range t.sent {
		noteSent(r, guid, s)
	}
	return t.Memory.SaveReplicated(ctx, t.Replication, r)
}

func (t *transfer) sentAs(plan drivers.SendingPair) state.Sent {
	f := flags{plan.Raw, plan.LargeBlocks}.sent(plan.Encrypted)
	return state.Sent{Place: place(t.To, t.Target), Raw: f.raw, LargeBlocks: f.large}
}

// received notes how a stream was received.
func (t *transfer) received(plan drivers.SendingPair) {
	t.noting.Lock()
	defer t.noting.Unlock()
	t.sent[plan.GUID] = t.sentAs(plan)
}

// known is what is remembered of the replication, with nothing in it that is nil.
func (t *transfer) known(ctx context.Context) (*state.Replicated, error) {
	all, err := t.Memory.Replicated(ctx)
	if err != nil {
		return nil, err
	}
	r := all[t.Replication]
	if r == nil {
		r = &state.Replicated{}
	}
	if r.Common == nil {
		r.Common = map[string]state.Common{}
	}
	if r.Sent == nil {
		r.Sent = map[string]state.Sent{}
	}
	return r, nil
}

// note takes what both ends have in common.
func (t *transfer) note(pairs []state.Pair) {
	t.common, t.sources = map[string]state.Common{}, map[string]bool{}
	for _, p := range pairs {
		t.sources[p.Source.GUID] = true
		if b := basisOf(p); b != nil {
			t.common[p.Source.GUID] = state.Common{
				Source: p.Source.Name, Target: p.Target.GUID, To: p.To, Place: place(t.To, t.Target),
				GUID: b.GUID, Creation: b.Creation, At: t.Now(), Whole: whole(p.Source, b.TXG),
			}
		}
	}
}

// keptLeft is how long it is remembered what was sent of a source that is not there any more, or not sent: it may come back.
const keptLeft = 30 * 24 * time.Hour

// into adds what was gathered to what is remembered.
func (m *remembering) into(r *state.Replicated, now time.Time) {
	for guid, c := range m.common {
		if was := r.Common[guid]; was.Place != "" && was.Place != c.Place {
			elsewhere(r, was.Place).Common[guid] = was
		}
		r.Common[guid] = c
	}
	for guid, s := range m.sent {
		noteSent(r, guid, s)
	}
	for guid, c := range m.common {
		if s, ok := r.Sent[guid]; ok && s.Place == c.Place && s.Target == "" {
			s.Target = c.Target
			r.Sent[guid] = s
		}
	}
	if m.sources == nil {
		return
	}
	for guid, c := range r.Common {
		c.Left = !m.sources[guid]
		if r.Common[guid] = c; c.Left && now.Sub(c.At) > keptLeft {
			delete(r.Common, guid)
		}
	}
	for _, was := range r.Elsewhere {
		maps.DeleteFunc(was.Common, func(guid string, c state.Common) bool { return !m.sources[guid] && now.Sub(c.At) > keptLeft })
		maps.DeleteFunc(was.Sent, func(guid string, _ state.Sent) bool {
			_, common := was.Common[guid]
			return !common && !m.sources[guid]
		})
	}
	for guid := range r.Sent {
		if _, common := r.Common[guid]; !common && !m.sources[guid] {
			delete(r.Sent, guid)
		}
	}
}

// noteSent notes how a source is sent to the target that the files declare now; what is known of another one stays.
func noteSent(r *state.Replicated, guid string, s state.Sent) {
	if was := r.Sent[guid]; was.Place != "" && was.Place != s.Place {
		elsewhere(r, was.Place).Sent[guid] = was
	}
	r.Sent[guid] = s
}

// elsewhere is what is known of a target that is not declared now.
func elsewhere(r *state.Replicated, place string) *state.Elsewhere {
	if r.Elsewhere == nil {
		r.Elsewhere = map[string]*state.Elsewhere{}
	}
	x := r.Elsewhere[place]
	if x == nil {
		x = &state.Elsewhere{}
		r.Elsewhere[place] = x
	}
	if x.Common == nil {
		x.Common = map[string]state.Common{}
	}
	if x.Sent == nil {
		x.Sent = map[string]state.Sent{}
	}
	return x
}

// keptRuns is how many runs are remembered.
const keptRuns = 100

// remember keeps what became of the run.
func (t *transfer) remember(ctx context.Context, err error) error {
	t.run.Ended, t.run.Outcome = t.Now(), state.Done
	if err != nil {
		t.run.Outcome, t.run.Error = state.Failed, err.Error()
	}
	r, err := t.known(ctx)
	if err != nil {
		return err
	}
	t.into(r, t.Now())
	t.rest(r)
	if r.Loaded == "" {
		r.Loaded = t.run.Load
	}
	r.Runs = kept(slices.Insert(r.Runs, 0, t.run))
	return t.Memory.SaveReplicated(ctx, t.Replication, r)
}

// kept are the newest runs, and among them the last one of all that is sent: what is due is reckoned from it.
func kept(runs []state.TransferRun) []state.TransferRun {
	if len(runs) <= keptRuns {
		return runs
	}
	newest := runs[:keptRuns]
	if i := slices.IndexFunc(runs, func(r state.TransferRun) bool { return !r.Again }); i >= keptRuns {
		newest[keptRuns-1] = runs[i]
	}
	return newest
}
