package replication

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// tried is how the datasets of a run fared. One that was not begun, for what is above it failed, is in neither: it waits for
// that one, which rests.
type tried struct {
	well   []drivers.SendingPair
	unwell map[string]error // by the guids of the sources
}

func (t *tried) went(plan drivers.SendingPair, err error) {
	switch {
	case err == nil:
		t.well = append(t.well, plan)
	case t.unwell == nil:
		t.unwell = map[string]error{plan.GUID: err}
	default:
		t.unwell[plan.GUID] = err
	}
}

// longestAlone is how long a dataset that fails is left alone at most, as any other object.
const longestAlone = time.Hour

// rest takes in which datasets failed, where others did not: these are left alone, ever longer, and the others go on. Where
// all of them failed the whole replication rests, which is not said here.
func (t *transfer) rest(r *state.Replicated) {
	for _, plan := range t.well {
		delete(r.Failed, plan.GUID)
	}
	for guid := range r.Failed {
		if t.sources != nil && !t.sources[guid] {
			delete(r.Failed, guid)
		}
	}
	if !t.run.Part {
		return
	}
	if r.Failed == nil {
		r.Failed = map[string]state.Failure{}
	}
	for _, plan := range t.Pairs {
		err := t.unwell[plan.GUID]
		if err == nil {
			continue
		}
		f := r.Failed[plan.GUID]
		if f.Way != wayOf(t.Sending) {
			f = state.Failure{Way: wayOf(t.Sending)}
		}
		why, _, _ := strings.Cut(err.Error(), "\n")
		f.Source, f.Why, f.Until = plan.Source, why, t.Now().Add(min(time.Minute<<min(f.N, 10), longestAlone))
		f.N++
		r.Failed[plan.GUID] = f
	}
}

// wayOf is how the files say that something is sent, as a short text.
func wayOf(s *drivers.Sending) string {
	w := *s
	w.Pairs, w.Again, w.Load = nil, false, ""
	b, err := json.Marshal(w)
	if err != nil {
		panic(err) // plain data always marshals
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// failure is what is known against a dataset, nil where nothing is, or where the files say something else since.
func (b *batch) failure(p state.Pair) *state.Failure {
	if b.seen.Remembered == nil {
		return nil
	}
	f, known := b.seen.Remembered.Failed[p.Source.GUID]
	if !known || f.Way != wayOf(way(b.want)) {
		return nil
	}
	return &f
}

// rests tells whether a dataset that failed is left alone at this time. A rest longer than any is of a clock that was set
// back since.
func rests(f *state.Failure, now time.Time) bool {
	left := f.Until.Sub(now)
	return left > 0 && left <= longestAlone
}

// failures are what could not be sent the last time, of what is still to be sent.
func (b *batch) failures() (all []string) {
	if b.seen.Remembered == nil {
		return nil
	}
	still := map[string]bool{}
	for _, p := range b.seen.Pairs {
		j := judge(&p.Source, p.Target, b.wanted, b.raw(p.Source))
		still[p.Source.GUID] = len(j.Legs) > 0 || p.Target != nil && p.Target.Token != ""
	}
	for _, guid := range slices.Sorted(maps.Keys(b.seen.Remembered.Failed)) {
		f := b.seen.Remembered.Failed[guid]
		if f.Way == wayOf(way(b.want)) && (still[guid] || b.seen.Pairs == nil) {
			all = append(all, fmt.Sprintf("%s failed %d time(s), the last: %s", f.Source, f.N, f.Why))
		}
	}
	return all
}
