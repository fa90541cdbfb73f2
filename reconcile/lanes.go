package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Lanes carry out long work beside the loop, so that a transfer of an hour keeps nothing else from being done: one action
// of a lane at a time, on the whole machine.
type Lanes struct {
	Dirs  []string // where they are locked: LaneDirs
	Ended func()   // hears when one has ended; may be nil

	mu   sync.Mutex
	done Outcomes
	own  map[spec.Ref]string // what runs in this process, whatever the files say meanwhile of where it is locked
	all  sync.WaitGroup
}

// task is an action that is handed over.
type task struct {
	Planned
	allowed bool
}

// lanes are tasks by their lane, in the order of the plan.
type lanes struct {
	order []spec.Ref
	tasks map[spec.Ref][]task
}

func (q *lanes) add(t task) {
	if q.tasks == nil {
		q.tasks = map[spec.Ref][]task{}
	}
	of := t.Lane()
	if q.tasks[of] == nil {
		q.order = append(q.order, of)
	}
	q.tasks[of] = append(q.tasks[of], t)
}

// begin hands over what is to be done in one lane, one after the other. Where that is busy nothing of it is done: the next
// plan sees what is left.
func (l *Loop) begin(ctx context.Context, of spec.Ref, all []task, generation, by string) {
	w := l.Lanes
	lock, err := w.acquire(of, by)
	if err != nil {
		for _, t := range all {
			l.end(l.notBegun(t.Planned, err, generation))
		}
		return
	}
	w.all.Go(func() {
		for _, t := range all {
			l.end(l.one(ctx, t.Planned, generation, by, t.allowed, ""))
		}
		w.release(of, lock) // what it did is told by now: whoever sees the lane free finds that
		if w.Ended != nil {
			w.Ended()
		}
	})
}

// notBegun is what becomes of an action whose lane can't be had.
func (l *Loop) notBegun(a Planned, err error, generation string) Outcome {
	o := Outcome{a, state.Failed, fmt.Errorf("%s %s: not begun: %w", a.Verb, a.Object, err)}
	var held *LockedError
	if errors.As(err, &held) {
		o.Outcome, o.Err = state.Skipped, fmt.Errorf("%s %s: not begun: it is under way already, by %s: %w", a.Verb, a.Object, held.By(), ErrUnderWay)
	}
	l.note(o.Err.Error(), generation)
	return o
}

// ErrUnderWay is why long work was not begun: the same is being done by somebody else, whom the plan did not see.
var ErrUnderWay = errors.New("one at a time")

// end takes down how something in a lane ended.
func (l *Loop) end(o Outcome) {
	if l.Progress != nil {
		l.Progress(o)
	}
	l.Lanes.mu.Lock()
	defer l.Lanes.mu.Unlock()
	l.Lanes.done = append(l.Lanes.done, o)
}

// acquire takes a lane.
func (w *Lanes) acquire(of spec.Ref, by string) (laneLock, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if who, busy := w.own[of]; busy {
		return nil, &LockedError{Path: laneName(of), Holder: who}
	}
	lock, err := acquireLane(w.Dirs, of, by)
	if err == nil {
		if w.own == nil {
			w.own = map[spec.Ref]string{}
		}
		w.own[of] = signature(by)
	}
	return lock, err
}

func (w *Lanes) release(of spec.Ref, lock laneLock) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.own, of)
	lock.release()
}

// take gives what has ended since it was called last.
func (w *Lanes) take() Outcomes {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	done := w.done
	w.done = nil
	return done
}

// Wait blocks until nothing runs any more, and gives what ended.
func (w *Lanes) Wait() Outcomes {
	w.all.Wait()
	return w.take()
}

// running are the lanes that are busy: those of this process, and those of any that locks them where these files say.
func (l *Loop) running(d *spec.Daemon) []state.Lane {
	all := map[spec.Ref]string{}
	for _, x := range running(LaneDirs(d)) {
		all[spec.Ref{Kind: spec.Kind(x.Kind), Name: x.Name}] = x.By
	}
	if w := l.Lanes; w != nil {
		w.mu.Lock()
		maps.Copy(all, w.own)
		w.mu.Unlock()
	}
	out := make([]state.Lane, 0, len(all))
	for of, who := range all {
		out = append(out, state.Lane{Kind: string(of.Kind), Name: of.Name, By: who})
	}
	slices.SortFunc(out, func(a, b state.Lane) int { return strings.Compare(laneRef(a).String(), laneRef(b).String()) })
	return out
}

func laneRef(x state.Lane) spec.Ref { return spec.Ref{Kind: spec.Kind(x.Kind), Name: x.Name} }

// busy tells whether a lane is.
func busy(all []state.Lane, of spec.Ref) bool {
	return slices.ContainsFunc(all, func(x state.Lane) bool { return laneRef(x) == of })
}
